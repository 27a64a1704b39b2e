"""Jobs with checkpoints, from the stack file to what the engine is told."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import yaml

from plan.figures import figures
from plan.make import stack_config
from plan.monitor import Resource
from plan.project import StackFile, find_project
from plan.record import Recording, record
from policy.analyzer import judge
from tests.plan.conftest import ROOT, as_judged
from tests.plan.test_existing import stack_file
from tests.plan.test_standing_costs import FREE, STANDING
from tests.plan.test_teardown import FOUND, PARTS
from tests.plan.variants import MODEL, POOL, varied

VARIANT = "jobs with checkpoints"
JOB = "kubernetes:batch/v1:Job"
CRON_JOB = "kubernetes:batch/v1:CronJob"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"


def named(plan: Recording, type_: str, name: str) -> Resource:
    (found,) = [each for each in plan.of_type(type_) if each.name == name]
    return found


def policy(plan: Recording, name: str) -> list[dict[str, Any]]:
    text = named(plan, "aws:iam/policy:Policy", f"checkpoints-{name}").inputs["policy"]
    statements: list[dict[str, Any]] = json.loads(text)["Statement"]
    return statements


def test_each_job_has_a_role_for_its_own_place() -> None:
    plan = varied(VARIANT)
    (bucket,) = plan.of_type("aws:s3/bucket:Bucket")
    assert policy(plan, "train")[1]["Resource"].endswith(":s3:::" + bucket.inputs["bucket"] + "/train/*")
    assert policy(plan, "nightly")[1]["Resource"].endswith("/nightly/*")
    assert policy(plan, "elsewhere")[1]["Resource"] == "arn:aws:s3:::acme-research/team/train/*"
    # The stack's key is for the stack's bucket.
    assert [len(policy(plan, name)) for name in ("train", "nightly", "elsewhere")] == [3, 3, 2]


def test_pods_begin_once_they_get_credentials_and_the_bucket_is_closed() -> None:
    plan = varied(VARIANT)
    for type_, name in ((JOB, "train"), (CRON_JOB, "nightly"), (JOB, "elsewhere")):
        job = named(plan, type_, f"workloads-{name}")
        association = named(plan, ASSOCIATION, f"checkpoints-{name}")
        assert association.inputs["serviceAccount"] == name
        assert association.inputs["namespace"] == job.inputs["metadata"]["namespace"]
        assert association.urn in job.dependencies
    closed = {each.urn for each in plan.resources if each.type.startswith("aws:s3/")}
    assert len(closed) == 5
    assert closed <= set(named(plan, JOB, "workloads-train").dependencies)
    assert not closed & set(named(plan, JOB, "workloads-elsewhere").dependencies)


def test_a_nightly_run_begins_nothing_while_one_goes_on() -> None:
    spec = named(varied(VARIANT), CRON_JOB, "workloads-nightly").inputs["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each.get("value") for each in container["env"]}
    assert told["CHECKPOINT_INTERVAL_SECONDS"] == "300"
    # A run is a Job, and has its folder.
    assert told["CHECKPOINT_URL"].endswith("/nightly/$(CHECKPOINT_JOB)-$(CHECKPOINT_JOB_UID)/$(CHECKPOINT_INDEX)")


def test_teardown_and_the_bill_know_all_that_is_made() -> None:
    types = {each.type for each in varied(VARIANT).resources if each.type.startswith("aws:")}
    assert types - FOUND.keys() - PARTS.keys() == set()
    assert types - STANDING.keys() - FREE == set()


def somewhere() -> StackFile:
    """The sample of a cluster that is there, the last one of docs/jobs.md; and a Job of several pods."""
    samples = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8"), re.DOTALL)
    (nightly,) = yaml.safe_load(samples[-1])["gpu-slices:workloads"]
    train = {
        "name": "train",
        "pool": "p",
        "kind": "Job",
        "replicas": 2,
        "serviceAccountName": "research",
        "checkpoint": {"bucket": "acme-research"},
        "containers": nightly["containers"],
    }
    # What is interrupted is Spot's alone, and gives way.
    workloads = [{**nightly, "importance": "batch"}, {**train, "importance": "batch"}]
    return stack_file(pools=[POOL], models=[MODEL], dialogue={}, workloads=workloads)


@cache
def there() -> Recording:
    return record(find_project(ROOT), somewhere())


def test_on_a_cluster_that_is_there_each_run_has_its_place_by_rights_of_theirs() -> None:
    nightly = named(there(), CRON_JOB, "workloads-nightly").inputs["spec"]["jobTemplate"]["spec"]
    train = named(there(), JOB, "workloads-train").inputs["spec"]
    places = {}
    for job in (nightly, train):
        pod = job["template"]["spec"]
        told = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
        places[pod["serviceAccountName"]] = told["CHECKPOINT_URL"]
        assert pod["terminationGracePeriodSeconds"] == 100
        assert told["CHECKPOINT_GRACE_SECONDS"] == "100"
        assert (job["completionMode"], job["podReplacementPolicy"]) == ("Indexed", "Failed")
        assert job["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    run = "$(CHECKPOINT_JOB)-$(CHECKPOINT_JOB_UID)/$(CHECKPOINT_INDEX)"
    assert places == {
        "nightly": f"s3://acme-checkpoints/gpu/nightly/{run}",
        "research": f"s3://acme-research/train/{run}",
    }


def test_on_a_cluster_that_is_there_nothing_is_made_for_checkpoints() -> None:
    assert not [each.name for each in there().resources if "checkpoint" in each.name]
    assert not there().of_type(ASSOCIATION)
    accounts = there().of_type("kubernetes:core/v1:ServiceAccount")
    assert not {"nightly", "research"} & {each.inputs["metadata"]["name"] for each in accounts}


def test_on_a_cluster_that_is_there_the_pack_and_the_plan_know_them() -> None:
    judged = [as_judged(found, there().preview_inputs(found)) for found in there().resources]
    assert [verdict for verdict in judge(judged) if verdict.mandatory] == []
    found = figures(stack_config(somewhere()))
    (train,) = [each for each in found.work if each.name == "train"]
    assert "at most 10 min of work lost" in train.taken
    assert train.taken.partition("Kept in ")[2].startswith("acme-research, train/")
    assert "Checkpoints, nightly" in {line.name for line in found.bill.lines}
