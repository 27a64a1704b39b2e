"""Whether OpenCost splits our shared GPUs rightly: its arithmetic (`tests.plan.opencost`) on our nodes and pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from components.gpu.gpu_pool import node_labels
from gpu.catalog import INSTANCE_TYPES
from gpu.contract import GPU_RESOURCE, MODEL_LABEL, SHARED_RESOURCE
from gpu.pool import Pool
from gpu.prices import of
from gpu.sharing import Ami, Mig, Mps, NoSharing, SharingProfile, TimeSlicing
from plan.make import make_plan
from plan.manifests import kubernetes_object
from tests.plan.conftest import ROOT, STACKS
from tests.plan.opencost import Node, gpu_usd, gpus_requested

L4, H100 = "g6.xlarge", "p5.4xlarge"


def node_of(
    profile: SharingProfile, type_name: str = L4, ami: Ami = "al2023", labels: Mapping[str, str] | None = None
) -> tuple[Node, str]:
    """A node of a pool, as its device plugin and Karpenter make it, and the resource that its pods ask for."""
    shape = INSTANCE_TYPES[type_name]
    pool = Pool(name="a", profile=profile, types=(shape,), max_gpus=1, prices=of("us-east-1"), ami=ami)
    usd = pool.prices.node_usd_per_hour(type_name, "on-demand")
    assert usd
    capacity = pool.overlay_capacities.get(shape.gpu_count, {GPU_RESOURCE: shape.gpu_count})
    # What Karpenter overlays with 0 the node does not have at all.
    offered = {name: number for name, number in capacity.items() if number}
    node = Node(
        usd=usd,
        vcpus=shape.vcpus,
        gib=shape.memory_mib / 1024,
        capacity=offered,
        ec2_gpus=shape.gpu_count,
        labels={**node_labels(pool, "trusted"), **(labels or {})},
    )
    return node, pool.resource


@pytest.mark.parametrize("profile", [NoSharing(), TimeSlicing(3), Mps(3)])
def test_slots_of_one_name_with_gpus_are_split_rightly(profile: SharingProfile) -> None:
    """Each of three pods pays a third of the node's GPUs, one that is not there is idle cost."""
    node, resource = node_of(profile)
    slots = profile.slots_per_gpu(INSTANCE_TYPES[L4].gpu)
    assert gpu_usd(node, {resource: "1"}) * slots == pytest.approx(node.gpu_usd)


def test_a_node_of_three_slots_by_hand() -> None:
    """g6.xlarge, 0.8048 an hour, 4 vCPUs, 16 GiB. Weights: 3 x 0.95 + 4 x 0.031611 + 16 x 0.004237 = 3.0442.
    A slot: 0.8048 x 0.95 / 3.0442 = 0.2511. Three are 0.7534, 94 % of the node; a slot's share of it is 0.2683."""
    node, resource = node_of(TimeSlicing(3))
    assert (node.vcpus, round(node.gib)) == (4, 16)
    assert gpu_usd(node, {resource: "1"}) == pytest.approx(0.2511, abs=1e-4)
    assert node.gpu_usd / node.usd == pytest.approx(0.936, abs=1e-3)


@pytest.mark.parametrize("profile", [TimeSlicing(3, rename=True), Mps(3, rename=True)])
def test_renamed_slots_cost_nothing_and_the_gpu_is_idle(profile: SharingProfile) -> None:
    node, resource = node_of(profile)
    assert resource == "nvidia.com/gpu.shared"
    assert gpu_usd(node, {resource: "1"}) == 0
    assert node.gpu_usd > 0.6


def test_mig_instances_are_seen_on_bottlerocket_alone() -> None:
    """An H100 of seven: a seventh each where they are called `nvidia.com/gpu`, nothing under their own name."""
    seven = Mig("1g.10gb")
    bottlerocket, resource = node_of(seven, H100, "bottlerocket")
    assert resource == "nvidia.com/gpu"
    assert gpu_usd(bottlerocket, {resource: "1"}) * 7 == pytest.approx(bottlerocket.gpu_usd)
    al2023, resource = node_of(seven, H100)
    assert resource == "nvidia.com/mig-1g.10gb"
    assert gpu_usd(al2023, {resource: "1"}) == 0


def test_gpu_feature_discovery_would_make_each_slot_a_whole_gpu() -> None:
    """Its labels say one GPU; the source that was read scales no request by them. So it stays off."""
    node, resource = node_of(TimeSlicing(3), labels={"nvidia.com/gpu.replicas": "3", "nvidia.com/gpu.count": "1"})
    assert gpu_usd(node, {resource: "1"}) == pytest.approx(node.gpu_usd)
    ours, _ = node_of(TimeSlicing(3))
    assert not {"nvidia.com/gpu.replicas", "nvidia.com/gpu.count"} & set(ours.labels)


def containers(value: Any) -> Iterator[dict[str, Any]]:
    """Everything in an object that asks for an NVIDIA resource."""
    if isinstance(value, dict):
        resources = value.get("resources")
        limits = resources.get("limits") if isinstance(resources, dict) else None
        if isinstance(limits, dict) and any(name.startswith("nvidia.com/") for name in limits):
            yield limits
        for each in value.values():
            yield from containers(each)
    elif isinstance(value, list):
        for each in value:
            yield from containers(each)


@pytest.mark.parametrize("stack", STACKS)
def test_pods_of_the_stacks(stack: str) -> None:
    """All that hold a slot are seen, except renamed ones and MIG's on AL2023: docs/costs.md says so."""
    plan = make_plan(ROOT, stack)
    assert plan.figures
    mig = {pool.resource for pool in plan.figures.pools if pool.profile.strategy == "mig" and pool.ami == "al2023"}
    unseen = {SHARED_RESOURCE} | mig
    objects = [kubernetes_object(each) for each in plan.recording.resources if each.type.startswith("kubernetes:")]
    asked = [limits for each in objects for limits in containers(each)]
    assert asked
    for limits in asked:
        (name,) = [name for name in limits if name.startswith("nvidia.com/")]
        assert gpus_requested(limits) == (0 if name in unseen else 1)


def test_models_are_told_apart_by_a_label_of_their_own() -> None:
    plan = make_plan(ROOT, "dev")
    assert plan.figures
    services = [each for each in plan.recording.resources if each.type.endswith(":Service") and "knative" in each.type]
    labels = {each.inputs["spec"]["template"]["metadata"]["labels"][MODEL_LABEL] for each in services}
    assert labels == {model.config.name for model in plan.figures.models}
    assert "label:gpu_slices_model" in Path(ROOT, "docs", "costs.md").read_text(encoding="utf-8")
