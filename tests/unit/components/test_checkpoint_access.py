"""CheckpointAccess: a Job's prefix of a bucket, and nothing else."""

import json
from typing import Any

from components.gpu.checkpoint_access import CheckpointAccess, CheckpointAccessArgs
from tests.unit.components.recording import record
from tests.unit.components.test_checkpoint_bucket import ABOUT, KEY


def statements(**values: Any) -> list[dict[str, Any]]:
    arguments = {**ABOUT, "bucket_name": "acme", "prefix": "team/train", "namespace": "workloads", **values}
    made = record(lambda: CheckpointAccess("train", CheckpointAccessArgs(service_account="train", **arguments)))
    found: list[dict[str, Any]] = json.loads(made.one("aws:iam/policy:Policy").inputs["policy"])["Statement"]
    return found


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
