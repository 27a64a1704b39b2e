"""CheckpointBucket and CheckpointAccess: what is kept, and who may; and the Jobs of GpuWorkloads that keep it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from checkpoint import keeper
from components.gpu.checkpoint_access import CheckpointAccess, CheckpointAccessArgs
from components.gpu.checkpoint_bucket import CheckpointBucket, CheckpointBucketArgs
from components.gpu.checkpoints import Checkpointing
from components.gpu.gpu_workload import Security
from gpu import checkpoints
from tests.unit.components.recording import Recording, record
from tests.unit.components.test_workloads import recorded, workload

ABOUT: dict[str, Any] = {
    "cluster_name": "ml",
    "account_id": "123456789012",
    "region": "eu-west-1",
    "tags": {"team": "ml"},
}
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
KEEPING = Checkpointing(
    bucket_name="acme", prefix="team/train", region="eu-west-1", interval_seconds=300, grace_seconds=90
)


def bucket(**values: Any) -> Recording[CheckpointBucket]:
    arguments = CheckpointBucketArgs(**{**ABOUT, "key_arn": KEY, **values})
    return record(lambda: CheckpointBucket("checkpoints", arguments))


def statements(**values: Any) -> list[dict[str, Any]]:
    arguments = {**ABOUT, "bucket_name": "acme", "prefix": "team/train", "namespace": "workloads", **values}
    made = record(lambda: CheckpointAccess("train", CheckpointAccessArgs(service_account="train", **arguments)))
    found: list[dict[str, Any]] = json.loads(made.one("aws:iam/policy:Policy").inputs["policy"])["Statement"]
    return found


def pod(each: Any) -> dict[str, Any]:
    spec: dict[str, Any] = each["spec"]["template"]["spec"]
    return spec


def test_the_bucket_is_closed_encrypted_and_ends_with_the_stack() -> None:
    made = bucket()
    found = made.one("aws:s3/bucket:Bucket").inputs
    assert found["bucket"] == f"{checkpoints.bucket_stem('ml', 'eu-west-1')}123456789012"
    assert found["forceDestroy"] is True
    closed = made.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    assert {value for key, value in closed.items() if key != "bucket"} == {True}
    (rule,) = made.one("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration").inputs[
        "rules"
    ]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY}
    assert rule["bucketKeyEnabled"] is True


def test_nobody_speaks_to_it_in_plain_text() -> None:
    policy = json.loads(bucket().one("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"])
    (statement,) = policy["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(statement["Resource"]) == 2


def test_what_ended_runs_leave_goes_by_itself() -> None:
    (rule,) = bucket().one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs["rules"]
    assert rule["status"] == "Enabled"
    assert rule["expiration"] == {"days": 30}
    assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 1}


@pytest.mark.parametrize("cluster", ["ml", "c-" * 19 + "c0", "a" * 40])
def test_names_of_buckets_are_such_as_s3_takes(cluster: str) -> None:
    name = f"{checkpoints.bucket_stem(cluster, 'ap-southeast-1')}123456789012"
    assert len(name) <= 63
    assert name == name.lower()
    assert "--" not in name.partition(checkpoints.bucket_stem(cluster, "ap-southeast-1"))[0]
    assert checkpoints.bucket_stem(cluster, "ap-southeast-1") != checkpoints.bucket_stem(cluster, "us-east-1")


def test_two_long_names_that_begin_alike_have_two_buckets() -> None:
    assert checkpoints.bucket_stem("a" * 39 + "b", "x") != checkpoints.bucket_stem("a" * 40, "x")


def test_a_job_may_see_its_prefix_and_nothing_else() -> None:
    listing, objects = statements()
    assert listing["Action"] == "s3:ListBucket"
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "team/train/*"}}
    assert objects["Resource"] == "arn:aws:s3:::acme/team/train/*"
    assert set(objects["Action"]) == {
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:PutObject",
    }


def test_the_key_is_for_what_goes_through_s3() -> None:
    *_, key = statements(key_arn=KEY)
    assert key["Resource"] == KEY
    assert key["Condition"] == {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}


def test_a_job_has_the_variables_that_the_helper_reads() -> None:
    made = recorded(workload(kind="Job", checkpoint=KEEPING))
    job = made.one("kubernetes:batch/v1:Job").inputs
    main, sidecar = pod(job)["containers"]
    told = {variable["name"]: variable for variable in main["env"]}
    assert told[keeper.URL_VARIABLE]["value"] == (
        "s3://acme/team/train/$(CHECKPOINT_JOB)-$(CHECKPOINT_JOB_UID)/$(CHECKPOINT_INDEX)"
    )
    assert told[keeper.INTERVAL_VARIABLE]["value"] == "300"
    assert told[keeper.GRACE_VARIABLE]["value"] == "90"
    # Kubernetes fills in what stands before, and leaves what stands behind as it is.
    names = list(told)
    assert max(map(names.index, checkpoints.RUN_VARIABLES)) < names.index(keeper.URL_VARIABLE)
    assert not any(variable["name"].startswith("CHECKPOINT") for variable in sidecar["env"])


def test_the_component_and_the_helper_have_the_same_names_and_figures() -> None:
    ours = (checkpoints.URL_VARIABLE, checkpoints.INTERVAL_VARIABLE, checkpoints.GRACE_VARIABLE)
    assert ours == (keeper.URL_VARIABLE, keeper.INTERVAL_VARIABLE, keeper.GRACE_VARIABLE)
    assert keeper.Checkpoints("x")._keep == checkpoints.KEPT
    s3 = pytest.importorskip("checkpoint.s3")
    assert s3._PARTS.multipart_chunksize / 1e6 == checkpoints.PART_MB


def test_a_region_of_ones_own_stays() -> None:
    main = workload().containers[0]
    mine = {"name": "AWS_DEFAULT_REGION", "value": "us-west-2"}
    changed = workload(kind="Job", checkpoint=KEEPING, containers=[type(main)(**{**vars(main), "env": [mine]})])
    (container,) = pod(recorded(changed).one("kubernetes:batch/v1:Job").inputs)["containers"]
    assert [each for each in container["env"] if each["name"] == "AWS_DEFAULT_REGION"] == [mine]


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


def test_without_checkpoints_a_job_is_as_it_was() -> None:
    made = recorded(workload(kind="Job"))
    spec = made.one("kubernetes:batch/v1:Job").inputs["spec"]
    assert "completionMode" not in spec
    assert "terminationGracePeriodSeconds" not in spec["template"]["spec"]
    assert not made.of_type("kubernetes:core/v1:ServiceAccount")


@pytest.mark.parametrize(
    "values", [{"kind": "Deployment"}, {"kind": "Job", "security": Security(service_account="mine")}]
)
def test_what_never_ends_and_what_has_another_account_keeps_none(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a Job with a service account of its own keeps checkpoints"):
        workload(**values, checkpoint=KEEPING)
