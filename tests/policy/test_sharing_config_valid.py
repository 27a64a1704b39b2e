from __future__ import annotations

from typing import Any

import pytest
import yaml

from gpu.sharing import Mig, Mps, NoSharing, SharingProfile, TimeSlicing
from gpu.sharing.bottlerocket import bottlerocket_settings
from gpu.sharing.plugin_config import device_plugin_config
from policy.rules.sharing_config_valid import RULE
from tests.policy.platform import config, node_class, plugin, section
from tests.policy.support import UNKNOWN, judged, recorded


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


def chart(named: dict[str, Any], chosen: Any = None, **values: Any) -> Any:
    """A release of the device plugin's chart; `chosen` beside the map of configurations."""
    texts = {name: yaml.safe_dump(given) for name, given in named.items()}
    section_ = {"map": texts, **(chosen or {})}
    inputs = {"chart": "nvidia-device-plugin", "values": {"config": section_, **values}}
    return recorded("kubernetes:helm.sh/v3:Release", inputs)


TWO = {"a": config(mps=section()), "b": config()}


@pytest.mark.parametrize(
    ("named", "chosen", "message"),
    [
        (TWO, {"default": "c"}, "config.default names c, and there is no such configuration (there are: a, b)"),
        (TWO, {}, "nodes without a label get no configuration of a, b (fallbackStrategies: named, single)"),
        (
            TWO,
            {"fallbackStrategies": ["each", "empty"]},
            "get no configuration of a, b (fallbackStrategies: each, empty)",
        ),
        ({"a": config()}, {"fallbackStrategies": []}, "get no configuration of a (fallbackStrategies: none)"),
        (TWO, {"default": "a", "name": "another"}, "config.name and config.map are both given"),
    ],
)
def test_a_release_that_leaves_nodes_without_a_configuration_fails(named: Any, chosen: Any, message: str) -> None:
    (told,) = said(chart(named, chosen))
    assert told.startswith("values: ")
    assert message in told
    assert said(chart(named, chosen, devicePlugin={"enabled": False})) == []


@pytest.mark.parametrize(
    "chosen",
    [
        *({"default": "a"}, {"default": UNKNOWN}, {"fallbackStrategies": UNKNOWN}, {"fallbackStrategies": ["empty"]}),
        {"fallbackStrategies": [UNKNOWN]},
        {"fallbackStrategies": ["named", "single", "empty"]},
    ],
)
def test_a_default_that_is_there_or_unknown_passes(chosen: Any) -> None:
    assert said(chart(TWO, chosen)) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"migStrategy": "mixed"}, "MPS with migStrategy mixed"),
        ({"migStrategy": "both"}, "migStrategy is both"),
        ({"deviceListStrategy": "volume-mounts, mounts"}, "deviceListStrategy mounts is none"),
    ],
)
def test_strategies_of_a_release_win_over_its_configurations(values: Any, message: str) -> None:
    mps = {"a": config(mps=section())}
    assert message in said(chart(mps, None, **values))[0]
    assert said(chart(mps, None, migStrategy=None, deviceListStrategy=UNKNOWN)) == []
    mixed = {"a": {**config(mps=section()), "flags": {"migStrategy": "mixed"}}}
    assert said(chart(mixed)) != []
    assert said(chart(mixed, None, migStrategy="none")) == []
