"""Jobs and CronJobs: what they outlast, and how often they run."""

from components.gpu.gpu_workload import CronSchedule, Security
from tests.unit.components.gpu_workloads import KEEPING, recorded, workload


def test_a_job_is_not_blamed_for_spot_interruptions() -> None:
    spec = recorded(workload(kind="Job")).one("kubernetes:batch/v1:Job").inputs["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["podReplacementPolicy"] == "Failed"
    assert (spec["completions"], spec["parallelism"]) == (2, 2)


def test_a_cron_job_makes_jobs_like_those_that_run_once() -> None:
    times = CronSchedule(schedule="30 3 * * 1-5", time_zone="Europe/Berlin")
    spec = recorded(workload(kind="CronJob", schedule=times)).one("kubernetes:batch/v1:CronJob").inputs["spec"]
    job = recorded(workload(kind="Job")).one("kubernetes:batch/v1:Job").inputs["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == (
        "30 3 * * 1-5",
        "Europe/Berlin",
        "Forbid",
    )
    assert spec["jobTemplate"]["spec"] == job


def test_a_job_outlasts_its_disruptions_and_has_an_account_of_its_own() -> None:
    made = recorded(workload(kind="Job", checkpoint=KEEPING))
    spec = made.one("kubernetes:batch/v1:Job").inputs["spec"]
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    assert spec["completionMode"] == "Indexed"
    template = spec["template"]["spec"]
    assert (template["serviceAccountName"], template["terminationGracePeriodSeconds"]) == ("transcribe", 90)
    assert template["restartPolicy"] == "Never"
    account = made.one("kubernetes:core/v1:ServiceAccount").inputs
    assert account["metadata"]["name"] == "transcribe"
    assert account["automountServiceAccountToken"] is False


def test_checkpoints_by_the_rights_of_an_account_that_is_there() -> None:
    made = recorded(workload(kind="Job", checkpoint=KEEPING, security=Security(service_account="mine")))
    template = made.one("kubernetes:batch/v1:Job").inputs["spec"]["template"]["spec"]
    assert (template["serviceAccountName"], template["terminationGracePeriodSeconds"]) == ("mine", 90)
    assert not made.of_type("kubernetes:core/v1:ServiceAccount")


def test_without_checkpoints_a_job_is_as_it_was() -> None:
    made = recorded(workload(kind="Job"))
    spec = made.one("kubernetes:batch/v1:Job").inputs["spec"]
    assert "completionMode" not in spec
    assert "terminationGracePeriodSeconds" not in spec["template"]["spec"]
    assert not made.of_type("kubernetes:core/v1:ServiceAccount")
