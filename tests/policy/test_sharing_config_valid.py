from __future__ import annotations

from typing import Any

import pytest

from gpu.sharing import Mig, Mps, NoSharing, SharingProfile, TimeSlicing
from gpu.sharing.bottlerocket import bottlerocket_settings
from gpu.sharing.plugin_config import device_plugin_config
from policy.rules.sharing_config_valid import RULE
from tests.policy.platform import config, node_class, plugin, section
from tests.policy.support import UNKNOWN, judged


def said(resource: Any) -> list[str]:
    return [verdict.message for verdict in judged(RULE, resource)]


@pytest.mark.parametrize("profile", [NoSharing(), TimeSlicing(2), Mps(48, rename=True), Mig("1g.10gb")])
def test_what_our_profiles_generate_passes(profile: SharingProfile) -> None:
    assert said(plugin(gpu=device_plugin_config(profile))) == []


MIXED = {**config(mps=section()), "flags": {"migStrategy": "mixed"}}
REFUSED = {
    "both strategies": (config(mps=section(), timeSlicing=section()), "both given"),
    "one replica": (config(timeSlicing=section(1)), "replicas are 1;"),
    "replicas missing": (config(mps=section(None)), "replicas are missing"),
    "half a replica": (config(mps=section(2.5)), "replicas are 2.5"),
    "49 under MPS": (config(mps=section(49)), "takes 48 clients"),
    "no resources": (config(mps=section(resources=[])), "names no resources"),
    "MPS with mixed MIG": (MIXED, "migStrategy mixed"),
    "another version": ({**config(mps=section()), "version": "v2"}, "version is not v1"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=list(REFUSED))
def test_what_the_plugin_refuses_fails(given: dict[str, Any], message: str) -> None:
    assert [found for found in said(plugin(gpu=given)) if message in found]


def test_49_slices_of_time_are_allowed() -> None:
    assert said(plugin(gpu=config(timeSlicing=section(49)))) == []


def test_unknown_is_another_rules_finding() -> None:
    assert said(plugin(gpu=UNKNOWN)) == []


def test_bottlerocket() -> None:
    good = bottlerocket_settings(Mps(4), [])
    assert said(node_class("bottlerocket@v1", good)) == []
    assert "replicas are 1" in said(node_class("bottlerocket@v1", good.replace("replicas = 4", "replicas = 1")))[0]
    mig = good.replace(
        "[settings.kubelet-device-plugins.nvidia]\n",
        '[settings.kubelet-device-plugins.nvidia]\ndevice-partitioning-strategy = "mig"\n',
        1,
    )
    assert "MPS and MIG together" in said(node_class("bottlerocket@v1", mig))[0]
