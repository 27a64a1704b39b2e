"""PullThroughPolicy in a program of somebody else's."""

from __future__ import annotations

import json

import pytest

from components.cluster.pull_through import PullThroughPolicy, PullThroughPolicyArgs
from gpu.registries import EcrRegistry
from tests.unit.components.recording import record


@pytest.mark.parametrize(("path", "folder"), [("", ""), ("team/pull", "team/pull/")])
def test_only_repositories_of_rules_may_be_made(path: str, folder: str) -> None:
    registry = EcrRegistry(account="600000000001", region="eu-west-1", path=path)
    arguments = PullThroughPolicyArgs(cluster_name="c", registry=registry, tags={"team": "ml"})
    policy = record(lambda: PullThroughPolicy("pull", arguments)).one("aws:iam/policy:Policy").inputs
    (statement,) = json.loads(policy["policy"])["Statement"]
    beginning = f"arn:aws:ecr:eu-west-1:600000000001:repository/{folder}"
    assert f"{beginning}ecr-public/*" in statement["Resource"]
    assert not [each for each in statement["Resource"] if each in ("*", f"{beginning}*")]
    # nvcr.io and gcr.io have no rule in ECR.
    assert not [each for each in statement["Resource"] if each.startswith((f"{beginning}nvcr", f"{beginning}gcr"))]
    assert policy["tags"] == {"team": "ml"}
