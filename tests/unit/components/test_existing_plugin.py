"""A device plugin that is there: its ConfigMap gets entries, and nothing is installed."""

from __future__ import annotations

import yaml

from components.gpu.gpu_pool import node_labels
from components.gpu.gpu_sharing import ExistingPlugin, GpuSharing, GpuSharingArgs, device_plugin_values
from gpu import prices
from gpu.catalog import INSTANCE_TYPES
from gpu.pool import Pool, Taint
from gpu.sharing import Mps, SharingProfile, TimeSlicing
from gpu.sharing.plugin_config import config_name
from tests.unit.components.recording import record

PROFILES: dict[str, SharingProfile] = {"dev": TimeSlicing(4), "chat": Mps(2)}
THERE = ExistingPlugin(config_map="plugin-configs", namespace="nvidia")
TAINT = Taint("team", "ml", "NoSchedule")


def test_all_pools_share_one_patch() -> None:
    recording = record(lambda: GpuSharing("sharing", GpuSharingArgs(profiles=PROFILES, existing=THERE)))
    patch = recording.one("kubernetes:core/v1:ConfigMapPatch")
    assert patch.inputs["kind"] == "ConfigMap"
    assert patch.inputs["metadata"] == {"name": "plugin-configs", "namespace": "nvidia"}
    names = {pool: config_name(pool, profile) for pool, profile in PROFILES.items()}
    assert set(patch.inputs["data"]) == set(names.values())
    assert yaml.safe_load(patch.inputs["data"][names["chat"]])["sharing"]["mps"]["resources"][0]["replicas"] == 2
    assert recording.of_type("kubernetes:helm.sh/v3:Release") == []
    assert set(recording.result.plugins) == set(PROFILES)


def test_without_a_pool_that_it_configures_nothing_is_patched() -> None:
    recording = record(lambda: GpuSharing("sharing", GpuSharingArgs(profiles={}, existing=THERE)))
    assert [each.type for each in recording.resources] == [
        "gpu-slices:index:GpuSharing",
        "kubernetes:core/v1:Namespace",
    ]


def test_the_operator_of_somebody_brings_neither_driver_nor_toolkit() -> None:
    types = (INSTANCE_TYPES["g6.xlarge"],)
    pool = Pool(name="dev", profile=TimeSlicing(4), types=types, max_gpus=2, prices=prices.of("us-east-1"))
    alone, beside = node_labels(pool, "trusted"), node_labels(pool, "trusted", gpu_operator=True)
    assert alone.keys() - beside.keys() == {"nvidia.com/gpu.present"}
    assert beside["nvidia.com/gpu.deploy.driver"] == "false"


def test_our_plugin_tolerates_the_taints_of_its_pool() -> None:
    args = GpuSharingArgs(profiles=PROFILES, taints={"dev": [TAINT]})
    wanted = {"key": "team", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}
    assert wanted in device_plugin_values("dev", args)["tolerations"]
    assert wanted not in device_plugin_values("chat", args)["tolerations"]
