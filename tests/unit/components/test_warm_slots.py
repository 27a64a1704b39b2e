"""WarmSlots: always by a buffer, at hours by a job that gives way."""

from typing import Any

from components.serving.warm_slots import WarmSlots, WarmSlotsArgs, cron, seconds_between
from gpu.host_share import HostShare
from tests.unit.components.recording import Recording, record

HOURS = {"days": ("mon", "fri"), "start": "08:30", "end": "18:00", "time_zone": "Europe/Berlin"}


def warm(**arguments: Any) -> Recording[WarmSlots]:
    given = {"pool": "shared", "resource_name": "nvidia.com/gpu", "share": HostShare(1000, 4000), "slots": 2}
    return record(lambda: WarmSlots("warm-shared", WarmSlotsArgs(**{**given, **arguments})))


def test_always_is_a_buffer_of_pods_that_never_run() -> None:
    recording = warm()
    buffer = recording.one("kubernetes:autoscaling.x-k8s.io/v1beta1:CapacityBuffer")
    template = recording.one("kubernetes:core/v1:PodTemplate")
    assert buffer.inputs["spec"] == {"podTemplateRef": {"name": "slot"}, "replicas": 2}
    assert template.inputs["metadata"]["namespace"] == buffer.inputs["metadata"]["namespace"] == "warm-shared"
    (container,) = template.inputs["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "1000m", "memory": "4000Mi", "nvidia.com/gpu": "1"}
    assert recording.outlives(template, buffer)
    assert recording.of_type("kubernetes:batch/v1:CronJob") == []


def test_hours_are_a_job_that_any_model_may_push_away() -> None:
    recording = warm(**HOURS)
    spec = recording.one("kubernetes:batch/v1:CronJob").inputs["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("30 8 * * mon,fri", "Europe/Berlin")
    job = spec["jobTemplate"]["spec"]
    assert (job["parallelism"], job["completions"], job["activeDeadlineSeconds"]) == (2, 2, 9.5 * 3600)
    # What was pushed away does not come back: Karpenter would buy a second node for it.
    assert (job["completionMode"], job["backoffLimitPerIndex"], job["maxFailedIndexes"]) == ("Indexed", 0, 2)
    priority = recording.one("kubernetes:scheduling.k8s.io/v1:PriorityClass").inputs
    assert priority["value"] < 0
    assert priority["preemptionPolicy"] == "Never"
    assert job["template"]["spec"]["priorityClassName"] == priority["metadata"]["name"]
    assert recording.of_type("kubernetes:autoscaling.x-k8s.io/v1beta1:CapacityBuffer") == []


def test_schedules() -> None:
    assert cron(("sat",), "00:00") == "0 0 * * sat"
    assert seconds_between("08:00", "08:01") == 60
