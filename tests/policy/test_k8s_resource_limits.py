from typing import Any

import pytest

from policy.pods import POD_TYPES
from policy.rules.k8s_resource_limits import RULE
from tests.policy.support import UNKNOWN, violations
from tests.policy.test_k8s_pod_security import POD, inside

GOOD: dict[str, Any] = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}


def spec(resources: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "resources": resources}]}


@pytest.mark.parametrize("type_", [pattern.replace("*", "v1") for pattern in POD_TYPES])
def test_requests_and_a_memory_limit_pass_in_every_kind(type_: str) -> None:
    assert violations(RULE, type_, inside(type_, spec(GOOD))) == []
    assert len(violations(RULE, type_, inside(type_, spec({})))) == 1


@pytest.mark.parametrize(
    ("resources", "missing"),
    [
        (None, "requests.cpu, requests.memory, limits.memory"),
        ({"requests": {"cpu": "1", "memory": "1Gi"}}, "limits.memory"),
        ({"limits": {"memory": "1Gi"}}, "requests.cpu"),
        ({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "0Mi"}}, "limits.memory"),
        ({"requests": {"cpu": 0, "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}, "requests.cpu"),
    ],
    ids=str,
)
def test_what_is_missing_is_named(resources: Any, missing: str) -> None:
    (message,) = violations(RULE, POD, inside(POD, spec(resources)))
    assert f"resources lack {missing}:" in message


def test_a_limit_is_also_the_request() -> None:
    assert violations(RULE, POD, inside(POD, spec({"limits": {"cpu": "1", "memory": "1Gi"}}))) == []


def test_unknown_quantities_count_as_given() -> None:
    unknown = {"requests": {"cpu": UNKNOWN, "memory": UNKNOWN}, "limits": {"memory": UNKNOWN}}
    assert violations(RULE, POD, inside(POD, spec(unknown))) == []
    assert violations(RULE, POD, inside(POD, spec(UNKNOWN))) == []
    assert violations(RULE, POD, inside(POD, UNKNOWN))


def test_a_cpu_limit_can_be_asked_for() -> None:
    (message,) = violations(RULE, POD, inside(POD, spec(GOOD)), cpuLimit=True)
    assert "resources lack limits.cpu:" in message


def test_exempt_namespaces_are_left_alone() -> None:
    assert violations(RULE, POD, inside(POD, spec({}), "gpu-system")) == []
    assert violations(RULE, POD, inside(POD, spec({}), "gpu-system"), exemptNamespaces=[])
