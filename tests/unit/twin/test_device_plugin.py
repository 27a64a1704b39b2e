"""What a node offers follows from what was rendered for its device plugin, whatever Karpenter expects."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from components.gpu.gpu_sharing import GpuSharingArgs, device_plugin_values
from gpu.catalog import INSTANCE_TYPES
from gpu.contract import CONFIG_LABEL, GPU_COUNT_LABEL
from gpu.sharing import Mig, Mps, NoSharing, SharingProfile, TimeSlicing, overlay_capacities
from gpu.sharing.al2023 import al2023_user_data
from gpu.sharing.bottlerocket import bottlerocket_settings
from gpu.sharing.plugin_config import config_name, device_plugin_config
from twin.play.device_plugin import InstalledPlugin, Offer, installed_plugins, offer

TYPE = "node.kubernetes.io/instance-type"


def labels(count: int = 1, config: str | None = "pool", instance_type: str = "g6.xlarge") -> dict[str, str]:
    found = {GPU_COUNT_LABEL: str(count), TYPE: instance_type}
    return {**found, CONFIG_LABEL: config} if config is not None else found


def chart(**configs: Any) -> tuple[InstalledPlugin, ...]:
    texts = {name: config if isinstance(config, str) else yaml.safe_dump(config) for name, config in configs.items()}
    return installed_plugins([{"config": {"map": texts, "default": "default"}}], [])


def node_class(user_data: str = "", alias: str = "al2023@v1") -> dict[str, Any]:
    return {"spec": {"amiSelectorTerms": [{"alias": alias}], "userData": user_data}}


@pytest.mark.parametrize(
    ("profile", "count", "expected"),
    [
        (NoSharing(), 4, {"nvidia.com/gpu": 4}),
        (TimeSlicing(4), 1, {"nvidia.com/gpu": 4}),
        (TimeSlicing(3, rename=True), 8, {"nvidia.com/gpu.shared": 24}),
        (Mps(2), 4, {"nvidia.com/gpu": 8}),
        (Mps(3, rename=True), 1, {"nvidia.com/gpu.shared": 3}),
    ],
)
def test_replicas_come_from_the_rendered_configuration(
    profile: SharingProfile, count: int, expected: dict[str, int]
) -> None:
    offered = offer(labels(count), node_class(), chart(pool=device_plugin_config(profile)))
    assert offered.resources == expected
    assert not offered.problem


def test_mig_instances_are_those_that_user_data_cuts() -> None:
    cut = "nvidia-smi mig -i 0 -cgi 1g.10gb,1g.10gb,2g.20gb -C"
    mixed = chart(pool=device_plugin_config(Mig("1g.10gb")))
    assert offer(labels(2), node_class(cut), mixed).resources == {
        "nvidia.com/mig-1g.10gb": 4,
        "nvidia.com/mig-2g.20gb": 2,
    }
    # Nothing is cut: the plugin finds whole GPUs, whatever an overlay promises.
    assert offer(labels(2), node_class(""), mixed).resources == {"nvidia.com/gpu": 2}


def test_the_program_s_own_user_data_is_understood() -> None:
    profile = INSTANCE_TYPES["p5.4xlarge"].gpu.mig_profiles["1g.10gb"]
    mixed = chart(pool=device_plugin_config(Mig("1g.10gb")))
    user_data = al2023_user_data(profile) or ""
    assert offer(labels(2), node_class(user_data), mixed).resources == {"nvidia.com/mig-1g.10gb": 14}


def test_single_strategy_wants_equal_instances() -> None:
    single = chart(pool={"version": "v1", "flags": {"migStrategy": "single"}})
    same = offer(labels(1), node_class("nvidia-smi mig -cgi 1g.10gb,1g.10gb -C"), single)
    assert same.resources == {"nvidia.com/gpu": 2}
    mixed = offer(labels(1), node_class("nvidia-smi mig -cgi 1g.10gb,2g.20gb -C"), single)
    assert not mixed.resources
    assert "single" in mixed.problem


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ("no: [yaml", "'pool' is not YAML: while parsing"),
        ("sharing: !!bool x", "'pool' is not YAML: no boolean"),  # PyYAML's own reader raises KeyError
        ({"version": "v2"}, "version is not v1"),
        ({"sharing": {"timeSlicing": {"resources": [{"name": "nvidia.com/gpu", "replicas": 1}]}}}, "at least 2"),
        ({"sharing": {"mps": {"resources": [{"name": "nvidia.com/gpu", "replicas": 49}]}}}, "48 clients"),
        (
            {"flags": {"migStrategy": "mixed"}, "sharing": {"mps": {"resources": [{"name": "gpu", "replicas": 2}]}}},
            "MPS with migStrategy mixed",
        ),
    ],
)
def test_what_the_plugin_refuses_offers_nothing_and_says_why(config: Any, word: str) -> None:
    offered = offer(labels(), node_class(), chart(pool=config))
    assert not offered.resources
    assert word in offered.problem


def test_a_text_is_read_as_the_plugin_reads_it() -> None:
    octal = "sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 0o4}]}}"  # a text to PyYAML
    assert offer(labels(), node_class(), chart(pool=octal)).resources == {"nvidia.com/gpu": 4}


def test_an_unknown_configuration_offers_nothing_and_names_it() -> None:
    offered = offer(labels(config="misspelt"), node_class(), chart(pool=device_plugin_config(NoSharing())))
    assert not offered.resources
    assert "'misspelt'" in offered.problem
    assert "pool" in offered.problem


def test_without_a_label_the_default_counts() -> None:
    configs = chart(default=device_plugin_config(TimeSlicing(2)), pool=device_plugin_config(TimeSlicing(4)))
    assert offer(labels(config=None), node_class(), configs).resources == {"nvidia.com/gpu": 2}


def test_without_the_chart_an_al2023_node_never_offers_anything() -> None:
    offered = offer(labels(), node_class(), installed_plugins([], []))
    assert not offered.resources
    assert "no device plugin" in offered.problem


#: What the program's pools say of their nodes, and its releases ask for.
PRESENT = {"nvidia.com/gpu.present": "true"}


def releases(**pools: Any) -> tuple[InstalledPlugin, ...]:
    """A release a pool, as the program installs them."""
    args = GpuSharingArgs(profiles=pools)
    return installed_plugins([device_plugin_values(pool, args) for pool in pools], [])


def test_a_node_takes_the_release_of_its_pool() -> None:
    profiles: dict[str, SharingProfile] = {"dev": TimeSlicing(4), "chat": Mps(3, rename=True)}
    plugins = releases(**profiles)
    assert [plugin.name for plugin in plugins] == ["plugin-dev", "plugin-chat"]
    for pool, expected in {"dev": {"nvidia.com/gpu": 4}, "chat": {"nvidia.com/gpu.shared": 3}}.items():
        node = {**labels(config=config_name(pool, profiles[pool])), "gpu-slices/pool": pool, **PRESENT}
        assert offer(node, node_class(), plugins).resources == expected


@pytest.mark.parametrize("profile", [TimeSlicing(3), Mps(3), Mps(3, rename=True), NoSharing()])
def test_slots_of_mps_alone_wait_for_its_daemon(profile: SharingProfile) -> None:
    chart_s = offer(
        {**labels(config=config_name("p", profile)), "gpu-slices/pool": "p", **PRESENT},
        node_class(),
        releases(p=profile),
    )
    user_data = bottlerocket_settings(profile, [INSTANCE_TYPES["g6.xlarge"].gpu])
    host_s = offer(labels(), node_class(user_data, alias="bottlerocket@v1"), ())
    assert chart_s.waits_for_mps is host_s.waits_for_mps is isinstance(profile, Mps)


def test_a_pool_without_a_release_never_offers_anything() -> None:
    offered = offer({**labels(config="gone"), "gpu-slices/pool": "gone"}, node_class(), releases(dev=TimeSlicing(4)))
    assert offered == Offer(problem="no device plugin is installed for its labels")


def test_two_plugins_on_a_node_take_the_kubelet_s_socket_from_each_other() -> None:
    one = {"config": {"map": {"pool": yaml.safe_dump(device_plugin_config(TimeSlicing(4)))}}}
    offered = offer(labels(), node_class(), installed_plugins([one, one], []))
    assert not offered.resources
    assert "2 device plugins run on it" in offered.problem
    assert "nvidia-device-plugin-1, nvidia-device-plugin-2" in offered.problem


def test_the_gpu_operator_has_its_configurations_elsewhere() -> None:
    text = yaml.safe_dump(device_plugin_config(TimeSlicing(5)))
    values = {"devicePlugin": {"config": {"create": True, "default": "pool", "data": {"pool": text}}}}
    assert offer(labels(), node_class(), installed_plugins([values], [])).resources == {"nvidia.com/gpu": 5}


def test_a_config_map_of_the_program_may_hold_the_configurations() -> None:
    data = {"pool": yaml.safe_dump(device_plugin_config(TimeSlicing(6)))}
    config_map = {"kind": "ConfigMap", "metadata": {"name": "mine"}, "data": data}
    configs = installed_plugins([{"config": {"name": "mine"}}], [config_map])
    assert offer(labels(), node_class(), configs).resources == {"nvidia.com/gpu": 6}


@pytest.mark.parametrize(
    ("profile", "type_name"),
    [
        (NoSharing(), "g6.xlarge"),
        (TimeSlicing(4), "g6.12xlarge"),
        (TimeSlicing(4, rename=True), "g5.xlarge"),
        (Mps(3), "g6.xlarge"),
        (Mps(3, rename=True), "g6.xlarge"),
        (Mig("1g.10gb"), "p5.4xlarge"),
        (Mig("2g.20gb"), "p5.48xlarge"),
    ],
)
def test_bottlerocket_needs_no_chart_and_agrees_with_the_overlay(profile: SharingProfile, type_name: str) -> None:
    instance_type = INSTANCE_TYPES[type_name]
    user_data = bottlerocket_settings(profile, [instance_type.gpu])
    offered = offer(
        labels(instance_type.gpu_count, instance_type=type_name),
        node_class(user_data, alias="bottlerocket@v1"),
        installed_plugins([], []),
    )
    overlays = overlay_capacities(profile, "bottlerocket", [instance_type])
    expected = overlays.get(instance_type.gpu_count, {"nvidia.com/gpu": instance_type.gpu_count})
    assert offered.resources == {name: number for name, number in expected.items() if number}


def test_bottlerocket_renames_unless_told_not_to() -> None:
    root = "settings.kubelet-device-plugins.nvidia"
    user_data = f'[{root}]\ndevice-sharing-strategy = "mps"\n[{root}.mps]\nreplicas = 3\n'
    offered = offer(labels(), node_class(user_data, alias="bottlerocket@v1"), installed_plugins([], []))
    assert offered.resources == {"nvidia.com/gpu.shared": 3}


def test_a_cpu_node_offers_nothing_and_nothing_is_wrong() -> None:
    offered = offer({TYPE: "m7g.large"}, None, installed_plugins([], []))
    assert not offered.resources
    assert not offered.problem


def test_mps_goes_before_time_slicing_and_nobodys_rename_counts() -> None:
    """As NVIDIA's plugin reads it (tests/unit/gpu/nvidia); it says so only in its log."""
    one = {"name": "nvidia.com/gpu", "rename": "nvidia.com/slice"}
    sections = {"timeSlicing": {"resources": [{**one, "replicas": 8}]}, "mps": {"resources": [{**one, "replicas": 4}]}}
    offered = offer(labels(), node_class(), chart(pool={"sharing": sections}))
    assert offered == Offer({"nvidia.com/gpu": 4}, waits_for_mps=True, one_at_most=frozenset({"nvidia.com/gpu"}))


def test_an_older_gpu_has_fewer_clients() -> None:
    config = {"sharing": {"mps": {"resources": [{"name": "nvidia.com/gpu", "replicas": 17}]}}}
    offered = offer(labels(instance_type="p3dn.24xlarge"), node_class(), chart(pool=config))
    assert "V100 takes 16 clients, not 17" in offered.problem


def test_without_a_label_the_operator_leaves_gpus_whole_and_the_chart_takes_its_only_configuration() -> None:
    """The operator's fallback is an empty configuration (FALLBACK_STRATEGIES), the chart's the only one there is."""
    text = yaml.safe_dump({"sharing": {"timeSlicing": {"resources": [{"name": "nvidia.com/gpu", "replicas": 4}]}}})
    operator = installed_plugins([{"devicePlugin": {"config": {"data": {"four": text}}}}], [])
    assert offer(labels(config=None), node_class(), operator) == Offer({"nvidia.com/gpu": 1})
    only = installed_plugins([{"config": {"map": {"four": text}}}], [])
    assert offer(labels(config=None), node_class(), only) == Offer({"nvidia.com/gpu": 4})
    several = installed_plugins([{"config": {"map": {"four": text, "other": text}}}], [])
    assert "the node asks for none" in offer(labels(config=None), node_class(), several).problem
