"""CheckpointBucket: what is kept, for how long, and that nobody else gets at it."""

import json
from typing import Any

import pytest

from components.gpu.checkpoint_bucket import CheckpointBucket, CheckpointBucketArgs
from gpu import checkpoints
from tests.unit.components.recording import Recording, record

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"


ABOUT: dict[str, Any] = {
    "cluster_name": "ml",
    "account_id": "123456789012",
    "region": "eu-west-1",
    "tags": {"team": "ml"},
}


def bucket(**values: Any) -> Recording[CheckpointBucket]:
    arguments = CheckpointBucketArgs(**{**ABOUT, "key_arn": KEY, **values})
    return record(lambda: CheckpointBucket("checkpoints", arguments))


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
