from typing import Any

import pytest

from policy.rules.k8s_namespace_pod_security import LABEL, RULE
from tests.policy.support import UNKNOWN, violations

NAMESPACE = "kubernetes:core/v1:Namespace"


def namespace(level: Any, name: Any = "models") -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {} if level is None else {LABEL: level}}}


@pytest.mark.parametrize("level", ["restricted", "baseline"])
def test_a_level_passes(level: str) -> None:
    assert violations(RULE, NAMESPACE, namespace(level)) == []


@pytest.mark.parametrize("inputs", [namespace(None), {"metadata": {"name": "models"}}, {}], ids=str)
def test_no_label_fails(inputs: dict[str, Any]) -> None:
    (message,) = violations(RULE, NAMESPACE, inputs)
    assert "is missing, which means privileged" in message


def test_the_gpu_system_namespace_may_be_privileged_but_must_say_so() -> None:
    assert violations(RULE, NAMESPACE, namespace("privileged", "gpu-system")) == []
    assert violations(RULE, NAMESPACE, namespace(None, "gpu-system"))
    assert violations(RULE, NAMESPACE, namespace("privileged"))
    assert violations(RULE, NAMESPACE, namespace("privileged", UNKNOWN))


@pytest.mark.parametrize("labels", [UNKNOWN, {LABEL: UNKNOWN}], ids=str)
def test_unknown_fails(labels: Any) -> None:
    (message,) = violations(RULE, NAMESPACE, {"metadata": {"name": "models", "labels": labels}})
    assert "must be a literal" in message


def test_levels_and_exemptions_can_be_set() -> None:
    assert violations(RULE, NAMESPACE, namespace("baseline"), levels=["restricted"])
    assert violations(RULE, NAMESPACE, namespace("privileged", "nvidia"), exemptNamespaces=["nvidia"]) == []
