import re
from typing import Any

import pytest

from gpu.catalog import INSTANCE_TYPES
from policy.karpenter import KNOWN_VALUES
from policy.rules.node_pool_known_values import RULE
from tests.policy.support import UNKNOWN, judged, recorded, violations

POOL = "kubernetes:karpenter.sh/v1:NodePool"
CAPACITY = "karpenter.sh/capacity-type"


def pool(key: str, operator: str, *values: Any, labels: dict[str, Any] | None = None) -> dict[str, Any]:
    requirement = {"key": key, "operator": operator, "values": list(values)}
    template = {"metadata": {"labels": labels or {}}, "spec": {"requirements": [requirement]}}
    return {"spec": {"template": template}}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (CAPACITY, "On-Demand"),
        (CAPACITY, "on_demand"),
        (CAPACITY, "SPOT"),
        (CAPACITY, "ondemand"),
        ("kubernetes.io/arch", "x86_64"),
        ("kubernetes.io/arch", "aarch64"),
        ("beta.kubernetes.io/arch", "ARM64"),
        ("kubernetes.io/os", "Linux"),
        ("karpenter.k8s.aws/capacity-reservation-type", "CAPACITY_BLOCK"),
        ("beta.kubernetes.io/os", "bottlerocket"),
    ],
)
@pytest.mark.parametrize("operator", ["In", "NotIn"])
def test_values_that_no_node_has_fail(key: str, value: str, operator: str) -> None:
    (message,) = violations(RULE, POOL, pool(key, operator, value))
    assert f"no node has {value!r}" in message
    known = sorted(KNOWN_VALUES[key.removeprefix("beta.")])
    assert message.endswith(f"write {', '.join(known)}.")
    (message,) = violations(RULE, POOL, pool(key, operator, known[0], value))  # beside one that there is
    assert f"no node has {value!r}" in message
    assert violations(RULE, POOL, pool(key, operator, *known)) == []


@pytest.mark.parametrize(
    "inputs",
    [
        pool(CAPACITY, "In", UNKNOWN),  # for gpu-on-demand-needs-justification, if it can buy GPUs
        pool(CAPACITY, "Exists"),
        pool("example.com/capacity-type", "In", "On-Demand"),
        pool("kubernetes.io/arch", UNKNOWN, "x86_64"),
    ],
)
def test_other_labels_and_values_that_are_not_known_yet_pass(inputs: dict[str, Any]) -> None:
    assert violations(RULE, POOL, inputs) == []


def test_labels_of_the_template_count_as_requirements() -> None:
    inputs = pool("kubernetes.io/arch", "In", "arm64", labels={CAPACITY: "Spot"})
    assert len(violations(RULE, POOL, inputs)) == 1


@pytest.mark.parametrize("kind", ["NodePoolPatch", "NodeClaim", "NodeOverlay"])
def test_everything_with_requirements_is_read(kind: str) -> None:
    requirement = {"key": CAPACITY, "operator": "In", "values": ["On-Demand"]}
    spec: dict[str, Any] = {"requirements": [requirement]}
    inputs = {"spec": {"template": {"spec": spec}} if kind == "NodePoolPatch" else spec}
    (verdict,) = judged(RULE, recorded(f"kubernetes:karpenter.sh/v1:{kind}", inputs))
    assert verdict.mandatory


def test_the_catalogue_has_no_other_architecture() -> None:
    assert {found.arch for found in INSTANCE_TYPES.values()} == KNOWN_VALUES["kubernetes.io/arch"]


def test_the_document_names_every_value() -> None:
    assert {value for values in KNOWN_VALUES.values() for value in values} <= set(re.findall(r"`([^`]+)`", RULE.fix))
