"""One profile, one number of slots: what the device plugin offers is what Karpenter expects and what a plan shows."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu.catalog import INSTANCE_TYPES, Gpu, InstanceType
from gpu.contract import GPU_RESOURCE
from gpu.sharing import Ami, Mig, NoSharing, SharingError, SharingProfile, TimeSlicing, overlay_capacities
from gpu.sharing.bottlerocket import bottlerocket_mig_problem, bottlerocket_settings
from gpu.sharing.mig import mig_resource
from gpu.sharing.plugin_config import device_plugin_config
from tests.unit.gpu.support import AMIS, MIG_GPUS, SHAPES, TYPES, profiles, shared_types


def offered_on_al2023(profile: SharingProfile, gpu: Gpu) -> tuple[str, int]:
    """Resource and number of it that the device plugin would offer for one GPU, read from its configuration."""
    config = device_plugin_config(profile)
    sharing = config.get("sharing", {})
    if config["flags"]["migStrategy"] == "mixed":
        # The plugin names what it finds: user data cuts as many instances as fit, and each is one device.
        assert not sharing
        assert isinstance(profile, Mig)
        mig = gpu.mig_profiles[profile.profile]
        return mig_resource(mig.name), mig.max_per_gpu
    assert config["flags"]["migStrategy"] == "none"
    if not sharing:
        return "nvidia.com/gpu", 1
    ((_, replicated),) = sharing.items()
    (resource,) = replicated["resources"]
    assert replicated["failRequestsGreaterThanOne"] is True
    return resource["name"] + (".shared" if replicated["renameByDefault"] else ""), resource["replicas"]


def offered_on_bottlerocket(profile: SharingProfile, gpu: Gpu) -> tuple[str, int]:
    """The same for a Bottlerocket node, read from its user data."""
    settings: dict[str, Any] = tomllib.loads(bottlerocket_settings(profile, [gpu]))
    nvidia = settings["settings"]["kubelet-device-plugins"]["nvidia"]
    strategy = nvidia["device-sharing-strategy"]
    if nvidia.get("device-partitioning-strategy") == "mig":
        assert strategy == "none"
        (name,) = nvidia["mig"]["profile"].values()
        return "nvidia.com/gpu", gpu.mig_profiles[name].max_per_gpu
    if strategy == "none":
        return "nvidia.com/gpu", 1
    assert strategy == profile.strategy
    replicated = nvidia[strategy]
    assert replicated.get("fail-requests-greater-than-one", strategy == "mps") is True
    return "nvidia.com/gpu" + (".shared" if replicated["rename-by-default"] else ""), replicated["replicas"]


def assert_consistent(profile: SharingProfile, ami: Ami, instance_type: InstanceType) -> None:
    gpu, count = instance_type.gpu, instance_type.gpu_count
    offered = offered_on_bottlerocket if ami == "bottlerocket" else offered_on_al2023
    resource, per_gpu = offered(profile, gpu)
    assert resource == profile.resource_name(ami)
    assert per_gpu == profile.slots_per_gpu(gpu)
    capacities = overlay_capacities(profile, ami, [instance_type])
    if isinstance(profile, NoSharing):
        # EC2's own figure holds: as many nvidia.com/gpu as there are GPUs.
        assert (capacities, resource, per_gpu) == ({}, GPU_RESOURCE, 1)
        return
    assert capacities.keys() == {count}
    assert capacities[count].pop(resource) == per_gpu * count
    # Nothing else may be promised: a node whose slots have another name never offers whole GPUs.
    assert capacities[count] == ({} if resource == GPU_RESOURCE else {GPU_RESOURCE: 0})


@pytest.mark.parametrize("instance_type", SHAPES, ids=lambda t: t.name)
def test_every_profile_gives_the_same_slots_everywhere(instance_type: InstanceType) -> None:
    for profile in profiles(instance_type.gpu):
        assert_consistent(profile, "al2023", instance_type)
        if not isinstance(profile, Mig) or not bottlerocket_mig_problem(profile, instance_type.gpu):
            assert_consistent(profile, "bottlerocket", instance_type)


@given(shared_types(), st.sampled_from(AMIS))
def test_every_type_gives_the_same_slots_everywhere(shared: tuple[InstanceType, SharingProfile], ami: Ami) -> None:
    instance_type, profile = shared
    if ami == "bottlerocket" and isinstance(profile, Mig) and bottlerocket_mig_problem(profile, instance_type.gpu):
        with pytest.raises(SharingError):
            bottlerocket_settings(profile, [instance_type.gpu])
    else:
        assert_consistent(profile, ami, instance_type)


@given(st.lists(st.sampled_from(TYPES), min_size=1), st.integers(2, 48), st.booleans(), st.sampled_from(AMIS))
def test_each_number_of_gpus_has_one_overlay(types: list[InstanceType], replicas: int, rename: bool, ami: Ami) -> None:
    profile = TimeSlicing(replicas, rename)
    capacities = overlay_capacities(profile, ami, types)
    assert list(capacities) == sorted({t.gpu_count for t in types})
    assert all(capacity[profile.resource_name(ami)] == replicas * count for count, capacity in capacities.items())


def test_types_that_would_give_different_slots_are_refused() -> None:
    """An overlay matches by the number of GPUs, so types with the same number must give the same slots."""
    p4d, p5 = INSTANCE_TYPES["p4d.24xlarge"], INSTANCE_TYPES["p5.48xlarge"]
    with pytest.raises(SharingError, match=r"^p5\.48xlarge gives other slots than the pool's other types with 8 GPUs$"):
        overlay_capacities(Mig("1g.10gb"), "al2023", [p4d, p5])
    single = INSTANCE_TYPES["p5.4xlarge"]
    assert overlay_capacities(Mig("1g.10gb"), "al2023", [p4d, single]) == {
        1: {"nvidia.com/mig-1g.10gb": 7, "nvidia.com/gpu": 0},
        8: {"nvidia.com/mig-1g.10gb": 32, "nvidia.com/gpu": 0},
    }


def test_a_gpu_without_the_profile_is_refused() -> None:
    t4, a100 = INSTANCE_TYPES["g4dn.xlarge"].gpu, INSTANCE_TYPES["p4d.24xlarge"].gpu
    with pytest.raises(SharingError, match=r"^NVIDIA T4 has no MIG profile 1g\.5gb$"):
        Mig("1g.5gb").slots_per_gpu(t4)
    with pytest.raises(SharingError, match=r"^NVIDIA A100 has no MIG profile 1g\.6gb$"):
        Mig("1g.6gb").slots_per_gpu(a100)


@pytest.mark.parametrize("gpu", MIG_GPUS, ids=lambda gpu: f"{gpu.name}-{gpu.memory_mib}")
def test_mig_slots_are_named_by_profile_only_where_the_plugin_does_so(gpu: Gpu) -> None:
    for name in gpu.mig_profiles:
        assert Mig(name).resource_name("al2023") == f"nvidia.com/mig-{name}"
        assert Mig(name).resource_name("bottlerocket") == "nvidia.com/gpu"
