"""The device plugin's configuration and Bottlerocket's settings, word for word."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from gpu.catalog import INSTANCE_TYPES, Gpu
from gpu.sharing import Mig, Mps, NoSharing, SharingError, SharingProfile, TimeSlicing
from gpu.sharing.bottlerocket import bottlerocket_mig_problem, bottlerocket_settings
from gpu.sharing.plugin_config import MPS_ROOT, device_plugin_config


def gpu(instance_type: str) -> Gpu:
    return INSTANCE_TYPES[instance_type].gpu


def replicated(replicas: int, rename: bool) -> dict[str, Any]:
    return {
        "renameByDefault": rename,
        "failRequestsGreaterThanOne": True,
        "resources": [{"name": "nvidia.com/gpu", "replicas": replicas}],
    }


@pytest.mark.parametrize(
    ("profile", "config"),
    [
        (NoSharing(), {"version": "v1", "flags": {"migStrategy": "none"}}),
        (
            TimeSlicing(4),
            {"version": "v1", "flags": {"migStrategy": "none"}, "sharing": {"timeSlicing": replicated(4, False)}},
        ),
        (
            Mps(3, rename=True),
            {
                "version": "v1",
                "flags": {"migStrategy": "none", "mpsRoot": MPS_ROOT},
                "sharing": {"mps": replicated(3, True)},
            },
        ),
        (Mig("1g.10gb"), {"version": "v1", "flags": {"migStrategy": "mixed"}}),
    ],
    ids=lambda value: value.strategy if not isinstance(value, dict) else "",
)
def test_the_device_plugin_s_configuration(profile: SharingProfile, config: dict[str, Any]) -> None:
    assert device_plugin_config(profile) == config


def test_configurations_share_nothing() -> None:
    """Whoever changes one of them must not change another."""
    first = device_plugin_config(Mps(3))
    first["flags"]["mpsRoot"] = "/elsewhere"
    first["sharing"]["mps"]["resources"][0]["replicas"] = 5
    assert device_plugin_config(Mps(3))["flags"]["mpsRoot"] == MPS_ROOT
    assert device_plugin_config(Mps(3))["sharing"]["mps"]["resources"][0]["replicas"] == 3


@pytest.mark.parametrize(
    ("profile", "types", "settings"),
    [
        (NoSharing(), ["g6.xlarge"], {"device-sharing-strategy": "none"}),
        (
            TimeSlicing(4, rename=True),
            ["g6.xlarge"],
            {
                "device-sharing-strategy": "time-slicing",
                "time-slicing": {"replicas": 4, "rename-by-default": True, "fail-requests-greater-than-one": True},
            },
        ),
        (
            Mps(3),
            ["g6.xlarge"],
            {"device-sharing-strategy": "mps", "mps": {"replicas": 3, "rename-by-default": False}},
        ),
        (
            Mig("1g.10gb"),
            ["p5.4xlarge", "p4de.24xlarge", "p5.48xlarge"],
            {
                "device-partitioning-strategy": "mig",
                "device-sharing-strategy": "none",
                "mig": {"profile": {"a100.80gb": "1g.10gb", "h100.80gb": "1g.10gb"}},
            },
        ),
    ],
    ids=["none", "time-slicing", "mps", "mig"],
)
def test_bottlerocket_s_settings(profile: SharingProfile, types: list[str], settings: dict[str, Any]) -> None:
    parsed = tomllib.loads(bottlerocket_settings(profile, [gpu(name) for name in types]))
    assert parsed == {"settings": {"kubelet-device-plugins": {"nvidia": settings}}}


@pytest.mark.parametrize(
    ("profile", "instance_type", "reason"),
    [
        ("1g.24gb", "g7e.2xlarge", "Bottlerocket has no MIG settings for NVIDIA RTX PRO 6000"),
        ("1g.23gb", "p6-b200.48xlarge", "Bottlerocket has no MIG settings for NVIDIA B200"),
        ("4g.20gb", "p4d.24xlarge", "Bottlerocket cannot lay out MIG profile 4g.20gb"),
    ],
)
def test_what_bottlerocket_cannot_cut_is_refused(profile: str, instance_type: str, reason: str) -> None:
    assert bottlerocket_mig_problem(Mig(profile), gpu(instance_type)) == reason
    with pytest.raises(SharingError) as raised:
        bottlerocket_settings(Mig(profile), [gpu("p5.4xlarge"), gpu(instance_type)])
    assert str(raised.value) == reason


@pytest.mark.parametrize("profile", ["1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "7g.40gb"])
def test_what_bottlerocket_can_cut(profile: str) -> None:
    assert bottlerocket_mig_problem(Mig(profile), gpu("p4d.24xlarge")) is None


@pytest.mark.parametrize("replicas", [-1, 0, 1, 257])
def test_time_slicing_has_bounds(replicas: int) -> None:
    with pytest.raises(SharingError, match=r"^time-slicing replicas must be 2 to 256$"):
        TimeSlicing(replicas)


@pytest.mark.parametrize("replicas", [-1, 0, 1, 49])
def test_mps_has_bounds(replicas: int) -> None:
    with pytest.raises(SharingError, match=r"^MPS replicas must be 2 to 48$"):
        Mps(replicas)


@pytest.mark.parametrize(("replicas", "percentage"), [(2, 50), (3, 33), (4, 25), (7, 14), (48, 2)])
def test_mps_clients_get_equal_threads(replicas: int, percentage: int) -> None:
    """As the MPS control daemon sets it: 100 / replicas, rounded down."""
    assert Mps(replicas).active_thread_percentage == percentage
