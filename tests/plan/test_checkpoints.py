"""Jobs with checkpoints, from the stack file to what the engine is told."""

from __future__ import annotations

import json
from typing import Any

from plan.monitor import Resource
from plan.record import Recording
from tests.plan.test_standing_costs import FREE, STANDING
from tests.plan.test_teardown import FOUND, PARTS
from tests.plan.variants import varied

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
