from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpu.contract import TENANTS_LABEL
from policy.analyzer import Recorded
from policy.rules.mig_for_untrusted_tenants import RULE
from tests.policy.claims import GOOD, claim, device_class, request
from tests.policy.platform import container, deployment, node_class, platform, plugin, pool
from tests.policy.support import UNKNOWN, judged, recorded

MARK = {TENANTS_LABEL: "untrusted"}


def said(*resources: Recorded) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources)]


def namespace(**metadata: Any) -> Recorded:
    return recorded("kubernetes:core/v1:Namespace", {"metadata": {"name": "models", **metadata}}, "namespace")


CLOSED = "nvidia-ctk config --in-place --set accept-nvidia-visible-devices-envvar-when-unprivileged=false"
MOUNTS = {"plugin": {"deviceListStrategy": ["volume-mounts"]}}
MIG = [
    node_class(user_data=f"nvidia-smi mig -cgi 1g.10gb -C\n{CLOSED}"),
    pool("p5.4xlarge", labels=MARK),
    plugin(gpu={"version": "v1", "flags": {"migStrategy": "mixed", **MOUNTS}}),
]


def test_mig_and_whole_gpus_pass() -> None:
    app = deployment(container(resource="nvidia.com/mig-1g.10gb"), metadata={"labels": MARK})
    assert said(*MIG, app, namespace(labels=MARK)) == []
    whole = {"version": "v1", "flags": {"plugin": {"deviceListStrategy": "volume-mounts"}}}
    assert said(node_class(user_data=CLOSED), pool(labels=MARK), plugin(gpu=whole)) == []
    assert said(node_class("bottlerocket@v1.68.1"), pool(labels=MARK)) == []


@pytest.mark.parametrize(
    ("flags", "user_data"),
    [
        ({}, CLOSED),
        ({"plugin": {"deviceListStrategy": ["envvar"]}}, CLOSED),
        ({"plugin": {"deviceListStrategy": ["volume-mounts", "envvar"]}}, CLOSED),
        (MOUNTS, "#!/bin/bash"),
        (MOUNTS, None),
    ],
)
def test_nodes_that_give_gpus_to_whoever_names_them_fail(flags: dict[str, Any], user_data: str | None) -> None:
    resources = [node_class(user_data=user_data), pool(labels=MARK), plugin(gpu={"version": "v1", "flags": flags})]
    (message,) = said(*resources)
    assert message.startswith(f"pool gpu: {TENANTS_LABEL} is untrusted, and its nodes give GPUs to any container")
    assert said(resources[0], pool(labels={TENANTS_LABEL: "trusted"}), resources[2]) == []


@pytest.mark.parametrize("strategy", ["envvar", "volume-mounts,envvar", UNKNOWN])
def test_a_release_that_names_devices_by_variable_opens_its_nodes(strategy: str) -> None:
    closed = plugin(gpu={"version": "v1", "flags": MOUNTS})
    given = {**closed.inputs, "values": {**closed.inputs["values"], "deviceListStrategy": strategy}}
    nodes = (node_class(user_data=CLOSED), pool(labels=MARK))
    assert said(*nodes, closed) == []
    assert "give GPUs to any container" in said(*nodes, replace(closed, inputs=given))[0]
    texts = closed.inputs["values"]["config"]["map"]
    elsewhere = recorded("kubernetes:core/v1:ConfigMap", {"metadata": {"name": "texts"}, "data": texts}, "texts")
    naming = {"config": {"name": "texts", "default": "default"}}
    assert said(*nodes, elsewhere, replace(closed, inputs={**given, "values": naming})) == []
    opened = {**naming, "deviceListStrategy": strategy}
    (message,) = said(*nodes, elsewhere, replace(closed, inputs={**given, "values": opened}))
    assert "give GPUs to any container" in message


def test_trusted_tenants_may_share() -> None:
    trusted = {TENANTS_LABEL: "trusted"}
    resources = platform("mps")
    resources[1] = pool(labels=trusted)
    assert said(*resources, deployment(metadata={"labels": trusted}), namespace(labels=trusted)) == []


@pytest.mark.parametrize("strategy", ["timeSlicing", "mps"])
@pytest.mark.parametrize(
    "marked", [{"labels": MARK}, {"metadata": {"labels": MARK}}, {"metadata": {"annotations": MARK}}]
)
def test_an_untrusted_pool_that_shares_by_software_fails(strategy: str, marked: dict[str, Any]) -> None:
    resources = platform(strategy)
    resources[1] = pool(**marked)
    (message,) = said(*resources)
    assert f"{TENANTS_LABEL} is untrusted" in message


def test_untrusted_pods_and_namespaces_fail() -> None:
    (by_pod,) = said(*platform(), deployment(metadata={"labels": MARK}))
    (by_namespace,) = said(*platform(), deployment(), namespace(annotations=MARK))
    assert "the pod may land on pool gpu" in by_pod
    assert by_namespace.startswith("namespace models")


def test_pods_that_have_a_gpu_otherwise_are_untrusted_too() -> None:
    before = {"containers": [container(None)], "initContainers": [container(name="first")]}
    assert len(said(*platform(), deployment(metadata={"labels": MARK}, spec=before))) == 1
    claiming = {
        "containers": [container(None)],
        "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu-6gi"}],
    }
    (message,) = said(*GOOD, deployment(metadata={"labels": MARK}, spec=claiming))
    assert message.endswith("says memory. Select a pool with MIG.")
    asking = deployment(container(resource="deviceclass.resource.kubernetes.io/team-gpu"), metadata={"labels": MARK})
    assert len(said(*GOOD, device_class(), asking)) == 1
    assert said(*GOOD, asking) == []


def test_claims_are_met_on_pools_of_claims_alone() -> None:
    """No driver of DRA runs beside the plugin; pools of claims meet the plugin's resource too, where a class has it."""
    claiming = {
        "containers": [container(None)],
        "nodeSelector": {},
        "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu-6gi"}],
    }
    untrusted = deployment(metadata={"labels": MARK}, spec=claiming)
    assert said(*platform(), claim(request()), untrusted) == []
    assert said(*platform("mps"), claim(request()), untrusted) == []
    assert len(said(*GOOD, untrusted)) == 1
    both = deployment(metadata={"labels": MARK}, spec={**claiming, "containers": [container()]})
    assert len(said(*platform(), claim(request()), both)) == 1
    assert len(said(*GOOD, deployment(metadata={"labels": MARK}))) == 1


def test_an_unknown_mark_counts_as_untrusted() -> None:
    assert "must be a literal" in said(*platform(), deployment(), namespace(labels={TENANTS_LABEL: UNKNOWN}))[0]


def test_untrusted_pods_elsewhere_are_left_alone() -> None:
    assert said(*platform(), deployment(pool="other", metadata={"labels": MARK})) == []
    assert said(*platform(), deployment(container(None), metadata={"labels": MARK})) == []
