"""GpuSharing: NVIDIA's device plugin on AL2023 nodes, with one named configuration per pool.

A node takes the configuration that its label `nvidia.com/device-plugin.config` names; `GpuPool` sets that label.
Bottlerocket runs the plugin as a host service and is configured by user data, so its pools get no pods from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_kubernetes as k8s
import yaml
from pulumi import ResourceOptions
from pulumi_kubernetes.helm.v3 import Release, RepositoryOptsArgs

import versions
from gpu.device_plugin import MPS_ROOT, device_plugin_config
from gpu.sharing import NoSharing, SharingProfile

NAMESPACE = "gpu-system"
#: Configuration of nodes that carry no label of ours: whole GPUs.
DEFAULT_CONFIG = "default"
CONFIG_LABEL = "nvidia.com/device-plugin.config"

_GPU_TAINT_TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
_SYSTEM_NODES = {"karpenter.sh/controller": "true"}
_SYSTEM_TOLERATION = {"key": "CriticalAddonsOnly", "operator": "Exists"}


@dataclass(frozen=True, kw_only=True)
class GpuSharingArgs:
    """Sharing profile of each AL2023 pool by pool name, and what installs the device plugin."""

    profiles: Mapping[str, SharingProfile]
    installer: Literal["device-plugin", "gpu-operator"] = "device-plugin"


class GpuSharing(pulumi.ComponentResource):
    """The namespace of the GPU system pods, and the chart that runs them; no chart when every pool is Bottlerocket."""

    namespace: k8s.core.v1.Namespace
    release: Release | None

    def __init__(self, name: str, args: GpuSharingArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:GpuSharing", name, None, opts)
        self.namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={
                "name": NAMESPACE,
                # Plugin, MPS daemon and model cache use paths of the host; nothing else runs here.
                "labels": {"pod-security.kubernetes.io/enforce": "privileged"},
            },
            opts=ResourceOptions(parent=self),
        )
        self.release = self._install(name, args) if args.profiles else None
        self.register_outputs({})

    def _install(self, name: str, args: GpuSharingArgs) -> Release:
        operator = args.installer == "gpu-operator"
        chart = versions.GPU_OPERATOR_CHART if operator else versions.NVIDIA_DEVICE_PLUGIN_CHART
        return Release(
            f"{name}-{args.installer}",
            chart=chart.chart,
            version=chart.version,
            repository_opts=RepositoryOptsArgs(repo=chart.repo),
            name="gpu-operator" if operator else "nvidia-device-plugin",
            namespace=NAMESPACE,
            values=gpu_operator_values(args.profiles) if operator else device_plugin_values(args.profiles),
            # No GPU node exists yet: the DaemonSets have nothing to become ready on.
            skip_await=True,
            cleanup_on_fail=True,
            max_history=5,
            timeout=600,
            opts=ResourceOptions(parent=self, depends_on=[self.namespace]),
        )


def named_configs(profiles: Mapping[str, SharingProfile]) -> dict[str, str]:
    """Device-plugin configurations as YAML, by the name that the node label selects."""
    configs = {DEFAULT_CONFIG: device_plugin_config(NoSharing())}
    configs |= {pool: device_plugin_config(profile) for pool, profile in profiles.items()}
    return {name: yaml.safe_dump(config, sort_keys=False) for name, config in configs.items()}


def device_plugin_values(profiles: Mapping[str, SharingProfile]) -> dict[str, Any]:
    """Values of NVIDIA's device plugin chart."""
    return {
        "config": {"map": named_configs(profiles), "default": DEFAULT_CONFIG},
        "mps": {"root": MPS_ROOT},
        # GpuPool labels nodes itself, so that Karpenter knows the labels before a node exists.
        "gfd": {"enabled": False},
        "nfd": {"enabled": False},
        "nodeSelector": {"nvidia.com/gpu.present": "true"},
        "tolerations": [_GPU_TAINT_TOLERATION, _SYSTEM_TOLERATION],
    }


def gpu_operator_values(profiles: Mapping[str, SharingProfile]) -> dict[str, Any]:
    """Values of the GPU Operator chart: the AMI has driver and toolkit, nodes cut their MIG instances at boot."""
    on_system_nodes = {"nodeSelector": _SYSTEM_NODES, "tolerations": [_SYSTEM_TOLERATION]}
    return {
        "driver": {"enabled": False},
        "toolkit": {"enabled": False},
        "mig": {"strategy": "mixed"},
        "migManager": {"enabled": False},
        "dcgmExporter": {"enabled": False},
        "devicePlugin": {
            "config": {
                "create": True,
                "name": "device-plugin-config",
                "default": DEFAULT_CONFIG,
                "data": named_configs(profiles),
            },
            "mps": {"root": MPS_ROOT},
        },
        "daemonsets": {"tolerations": [_GPU_TAINT_TOLERATION]},
        # Nothing of the operator may keep a CPU node alive that would otherwise be gone.
        "operator": on_system_nodes,
        "node-feature-discovery": {
            "master": on_system_nodes,
            "gc": on_system_nodes,
            "worker": {"tolerations": [_GPU_TAINT_TOLERATION, _SYSTEM_TOLERATION]},
        },
    }
