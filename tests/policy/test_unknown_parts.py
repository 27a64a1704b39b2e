"""What is not known in preview is never taken for safe: rules about pods and their pools say so."""

from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.framework import Rule
from policy.rules import (
    fail_requests_greater_than_one,
    mig_for_untrusted_tenants,
    mps_client_limits,
    mps_no_own_shm,
    mps_one_user,
    ollama_fits_slot,
    ollama_not_public,
    ollama_version,
    one_slot_per_pod,
)
from tests.policy.platform import RELEASE, container, deployment, platform
from tests.policy.support import UNKNOWN, judged, recorded

POD_RULES = (
    mps_client_limits.RULE,
    mps_no_own_shm.RULE,
    mps_one_user.RULE,
    ollama_fits_slot.RULE,
    ollama_not_public.RULE,
    ollama_version.RULE,
    one_slot_per_pod.RULE,
    mig_for_untrusted_tenants.RULE,
)
UNTRUSTED = {"metadata": {"labels": {"gpu-slices/tenants": "untrusted"}}}
OLLAMA = container(image="ollama/ollama:0.30.0", name="ollama")


def said(rule: Rule, *resources: Recorded) -> list[str]:
    return [verdict.message for verdict in judged(rule, *platform("mps"), *resources)]


@pytest.mark.parametrize("spec", [UNKNOWN, {"containers": UNKNOWN}, {"containers": [UNKNOWN]}], ids=str)
@pytest.mark.parametrize("rule", POD_RULES, ids=lambda rule: rule.name)
def test_pods_that_cannot_be_seen_are_said(rule: Rule, spec: Any) -> None:
    pod = {"nodeSelector": {}, "tolerations": [{"operator": "Exists"}], **spec} if isinstance(spec, dict) else spec
    template = {**UNTRUSTED, "spec": pod}
    hidden = recorded(
        deployment().type, {"metadata": {"namespace": "models"}, "spec": {"template": template}}, "hidden"
    )
    (message,) = said(rule, hidden)
    assert "must be a literal" in message


def test_one_pod_that_cannot_be_seen_hides_no_other() -> None:
    hidden = recorded(deployment().type, {"spec": {"template": UNKNOWN}}, "hidden")
    messages = said(one_slot_per_pod.RULE, hidden, deployment(container("2")))
    assert len(messages) == 2
    assert any("asks for 2" in message for message in messages)


@pytest.mark.parametrize("resources", [UNKNOWN, {"limits": UNKNOWN}])
def test_resources_that_cannot_be_seen_may_be_slots(resources: Any) -> None:
    (message,) = said(one_slot_per_pod.RULE, deployment({"name": "main", "resources": resources}))
    assert "must be a literal" in message


@pytest.mark.parametrize("metadata", [UNKNOWN, {"labels": UNKNOWN}, {"annotations": UNKNOWN}], ids=str)
def test_marks_that_cannot_be_seen_may_be_there(metadata: Any) -> None:
    spec = deployment(OLLAMA).inputs["spec"]["template"]["spec"]
    inputs = {"metadata": {"namespace": "models"}, "spec": {"template": {"metadata": metadata, "spec": spec}}}
    pods = recorded(deployment().type, inputs, "app")
    assert "must be a literal" in said(mig_for_untrusted_tenants.RULE, pods)[0]
    if metadata != {"labels": UNKNOWN}:
        assert "must be literals" in said(ollama_fits_slot.RULE, pods)[0]


@pytest.mark.parametrize(
    ("service", "labels"),
    [
        ({"selector": UNKNOWN}, {"app": "chat"}),
        ({"selector": {"app": UNKNOWN}}, {"app": "chat"}),
        ({"selector": {"app": "chat"}}, UNKNOWN),
        ({"selector": {"app": "chat"}}, {"app": UNKNOWN}),
    ],
)
def test_a_service_that_may_lead_to_ollama_does(service: dict[str, Any], labels: Any) -> None:
    pods = deployment(OLLAMA, metadata={"labels": labels})
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}], **service}
    front = recorded("kubernetes:core/v1:Service", {"metadata": {"namespace": "models"}, "spec": spec}, "front")
    assert "a load balancer leads to Ollama" in said(ollama_not_public.RULE, pods, front)[0]
    spec["selector"] = {"app": "other"}
    other = deployment(OLLAMA, metadata={"labels": {"app": "chat"}})
    assert said(ollama_not_public.RULE, other, front) == []


def test_a_service_that_cannot_be_seen_is_said() -> None:
    front = recorded("kubernetes:core/v1:Service", {"metadata": {"namespace": "models"}, "spec": UNKNOWN}, "front")
    assert "must be a literal" in said(ollama_not_public.RULE, deployment(OLLAMA), front)[0]


@pytest.mark.parametrize("values", [UNKNOWN, {"config": UNKNOWN}, {"config": {"map": UNKNOWN}}], ids=str)
def test_values_of_the_device_plugin_that_cannot_be_seen_are_said(values: Any) -> None:
    chart = recorded(RELEASE, {"chart": "nvidia-device-plugin", "values": values})
    (verdict,) = judged(fail_requests_greater_than_one.RULE, chart)
    assert "must be a literal" in verdict.message
    other = recorded(RELEASE, {"chart": "cert-manager", "values": values})
    assert judged(fail_requests_greater_than_one.RULE, other) == []
