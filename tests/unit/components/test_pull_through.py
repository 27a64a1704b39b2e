"""PullThroughCache and PullThroughPolicy in a program of somebody else's."""

from __future__ import annotations

import json

import pytest

from components.cluster.pull_through_cache import PullThroughCache, PullThroughCacheArgs
from components.cluster.pull_through_policy import PullThroughPolicy, PullThroughPolicyArgs
from gpu.registries import UPSTREAMS, EcrRegistry, in_mirror
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


RULE = "aws:ecr/pullThroughCacheRule:PullThroughCacheRule"
SECRET = "arn:aws:secretsmanager:us-east-1:600000000001:secret:ecr-pullthroughcache/hub-a1b2c3"


def test_rules_are_those_that_a_mirror_s_names_lead_to() -> None:
    upstreams = {host: SECRET if each.secret else None for host, each in UPSTREAMS.items() if each.ecr}
    recording = record(lambda: PullThroughCache("cache", PullThroughCacheArgs(upstreams=upstreams)))
    rules = {rule.inputs["ecrRepositoryPrefix"]: rule for rule in recording.of_type(RULE)}
    assert len(rules) == len(upstreams)
    for host, credentials in upstreams.items():
        prefix = in_mirror(f"{host}/a/b", "mirror").split("/")[1]
        assert rules[prefix].name == f"cache-{prefix}"
        assert rules[prefix].inputs.get("credentialArn") == credentials
    assert rules["docker-hub"].inputs["upstreamRegistryUrl"] == "registry-1.docker.io"
    assert rules["quay"].inputs["upstreamRegistryUrl"] == "quay.io"


@pytest.mark.parametrize(
    ("host", "credentials", "error"),
    [
        ("nvcr.io", None, "ECR pulls nothing through from nvcr.io: it does from docker.io, ghcr.io"),
        ("example.com", None, "ECR pulls nothing through from example.com"),
        ("docker.io", None, "ECR's rule for docker.io needs a secret with credentials"),
        ("quay.io", SECRET, "ECR's rule for quay.io needs no credentials"),
        ("docker.io", SECRET.replace("ecr-", ""), "secrets whose name begins with ecr-pullthroughcache/"),
    ],
)
def test_what_ecr_would_refuse(host: str, credentials: str | None, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        PullThroughCacheArgs(upstreams={host: credentials})
