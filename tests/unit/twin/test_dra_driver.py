"""What NVIDIA's DRA driver publishes, by its chart's values; each expectation is the driver's or the chart's own."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gpu.catalog import INSTANCE_TYPES
from gpu.claims import known_to_karpenter
from tests.gotools import karpenter_dir
from twin.play.dra_driver import (
    announced_shares,
    device_class,
    expects_driver,
    installed_driver,
    published,
    refusal,
)

VALUES: dict[str, Any] = {
    "gpuResourcesEnabledOverride": True,
    "consumableShares": "memory",
    "featureGates": {"ConsumableShares": True},
    "kubeletPlugin": {"nodeSelector": {"gpu-slices/sharing": "memory"}},
}


def node(instance_type: str) -> dict[str, Any]:
    labels = {"node.kubernetes.io/instance-type": instance_type, "gpu-slices/sharing": "memory"}
    return {"metadata": {"name": "node-1", "uid": "uid-1", "labels": labels}}


def devices(shares: str, instance_type: str = "g6.xlarge", **more: Any) -> list[dict[str, Any]]:
    found = published(node(instance_type), shares, **more)
    assert found is not None
    listed: list[dict[str, Any]] = found["spec"]["devices"]
    return listed


def policy(default: str, least: str, most: str, step: str) -> dict[str, Any]:
    return {"default": default, "validRange": {"min": least, "max": most, "step": step}}


def test_a_slice_belongs_to_its_node() -> None:
    """Karpenter drops slices of nodes that are not ready yet by the owner; the server ends them by it."""
    found = published(node("g6.xlarge"), "memory")
    assert found is not None
    owner = {"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "uid-1", "controller": True}
    assert found["metadata"]["ownerReferences"] == [owner]
    spec = {key: value for key, value in found["spec"].items() if key != "devices"}
    pool = {"name": "node-1", "generation": 1, "resourceSliceCount": 1}
    assert spec == {"driver": "gpu.nvidia.com", "nodeName": "node-1", "pool": pool}


@pytest.mark.parametrize(
    ("shares", "capacity", "shared"),
    [
        ("memory", {"memory": {"value": "23034Mi", "requestPolicy": policy("23034Mi", "1Mi", "23034Mi", "1Mi")}}, True),
        ("unlimited", {"memory": {"value": "23034Mi", "requestPolicy": policy("0", "0", "23034Mi", "1Mi")}}, True),
        ("disabled", {"memory": {"value": "23034Mi"}}, None),
        (
            "4",
            {
                "memory": {"value": "23034Mi", "requestPolicy": policy("0", "0", "23034Mi", "1Mi")},
                "shares": {"value": "4", "requestPolicy": policy("1", "1", "4", "1")},
            },
            True,
        ),
    ],
)
def test_what_claims_may_share(shares: str, capacity: dict[str, Any], shared: bool | None) -> None:
    """cmd/gpu-kubelet-plugin/consumable_shares.go, applyConsumableShares."""
    (device,) = devices(shares)
    assert device["name"] == "gpu-0"
    assert device["attributes"]["type"] == {"string": "gpu"}
    assert device["attributes"]["cudaComputeCapability"] == {"version": "8.9.0"}
    assert device["capacity"] == capacity
    assert device.get("allowMultipleAllocations") is shared


@pytest.mark.go
def test_claims_may_select_by_what_karpenter_buys_by() -> None:
    """Of every type that pools of claims may have: attributes as in Karpenter's table, scraped from such nodes."""
    text = (karpenter_dir() / "pkg/providers/drametadata/zz_generated_gpu_metadata.go").read_text()
    found = dict(re.findall(r'^\t"([\w.-]+)": \{\n(.*?)^\t\},', text, re.MULTILINE | re.DOTALL))
    able = [t.name for t in INSTANCE_TYPES.values() if t.gpu_count == 1 and known_to_karpenter(t.gpu)]
    assert len(able) > 20
    for name in able:
        written = re.findall(r'"(\w+)":\s+\{(String|Version)Value: strPtr\("(.*?)"\)', found[name])
        wanted = {key: {kind.lower(): value} for key, kind, value in written}
        attributes = devices("memory", name)[0]["attributes"]
        assert {key: attributes[key] for key in wanted} == wanted, name


@pytest.mark.parametrize("name", ["g4dn.xlarge", "g5.xlarge", "g6.12xlarge", "g6e.xlarge"])
def test_memory_is_the_drivers(name: str) -> None:
    known = INSTANCE_TYPES[name]
    found = devices("memory", name)
    assert {each["capacity"]["memory"]["value"] for each in found} == {f"{known.gpu.memory.total_mib}Mi"}
    assert [each["name"] for each in found] == [f"gpu-{index}" for index in range(known.gpu_count)]
    assert len({each["attributes"]["uuid"]["string"] for each in found}) == known.gpu_count


def test_a_driver_may_show_less() -> None:
    assert devices("memory", memory_mib=12000)[0]["capacity"]["memory"]["value"] == "12000Mi"


def test_what_has_no_gpu_has_no_devices() -> None:
    assert published(node("m7g.large"), "memory") is None


def test_what_asks_for_a_gpu_gets_a_device_of_the_class() -> None:
    """Its chart's deviceclass-gpu.yaml."""
    assert device_class()["spec"]["extendedResourceName"] == "nvidia.com/gpu"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, ""),
        ({"consumableShares": ""}, ""),
        ({"featureGates": {}}, "--consumable-shares requires feature gate ConsumableShares to be enabled"),
        ({"consumableShares": "half"}, "invalid value for --consumable-shares: 'half'"),
        ({"consumableShares": "0"}, "invalid value for --consumable-shares: '0'"),
        ({"consumableShares": 4}, ""),
        ({"resources": {"gpus": {"enabled": False}}}, "its chart is installed with resources.gpus.enabled: false"),
    ],
)
def test_when_a_driver_does_not_start(change: dict[str, Any], problem: str) -> None:
    """cmd/gpu-kubelet-plugin/main.go."""
    assert installed_driver({**VALUES, **change}).problem == problem


def test_a_chart_that_would_take_the_plugins_gpus_is_refused() -> None:
    """Its chart's validation.yaml."""
    assert refusal(VALUES) == ""
    assert "gpuResourcesEnabledOverride: true" in refusal({**VALUES, "gpuResourcesEnabledOverride": False})
    assert refusal({"resources": {"gpus": {"enabled": False}}}) == ""


def test_whose_nodes_they_are() -> None:
    drivers = [installed_driver(VALUES)]
    memory, slots = {"gpu-slices/sharing": "memory"}, {"gpu-slices/sharing": "mps"}
    announced = {"metadata": {"annotations": {"karpenter.k8s.aws/nvidia-consumable-capacity": "memory"}}}
    assert announced_shares(announced) == "memory"
    assert announced_shares({"metadata": {}}) == announced_shares(None) == "disabled"
    assert expects_driver(memory, None, drivers)
    assert not expects_driver(slots, {"metadata": {}}, drivers)
    assert expects_driver(slots, announced, []), "Karpenter counts on one"
