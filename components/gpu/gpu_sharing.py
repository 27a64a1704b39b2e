"""GpuSharing: NVIDIA's device plugin on AL2023 nodes, a release of its chart for each pool; and its DRA driver.

The chart puts a checksum over its whole ConfigMap on the pods of the plugin and of the MPS control daemon (v0.20.0,
`templates/_helpers.tpl`, podAnnotations). With the configurations of all pools in one release, adding or changing one
pool would restart the MPS daemons of every other, and end their clients. The GPU Operator knows one configuration for
the cluster: there the pools share it, and a node takes the one that its label `nvidia.com/device-plugin.config` names.
Bottlerocket runs the plugin as a host service and is configured by user data, so its pools get no pods from here.

On pools whose pods claim memory NVIDIA's driver for dynamic resource allocation (DRA) owns the GPUs, and no plugin
runs: its one release selects nodes of that strategy, and a release of the plugin those of its pool with another: a pool
that came from claims has nodes of both until the old ones have drifted. Before the driver come the policies by which no
pod takes a GPU without a claim (`components.gpu.sized_claims`). The GPU Operator, which would find all GPU nodes, is
kept away by a label (`components.gpu.gpu_pool`).

Of a plugin that somebody installed one reads only the ConfigMap that its values name (`config.name`; of the operator
`devicePlugin.config.name`): its sidecar takes the entry that the node's label names (v0.19.3 cmd/config-manager).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

import pulumi
import yaml
from pulumi import ResourceOptions

import versions
from components.arguments import Arguments
from components.cluster.system_nodes import SYSTEM_NODE_LABEL, SYSTEM_NODE_TOLERATION
from components.gpu.sized_claims import SizedClaims
from components.options import child_options
from components.pods import tolerations
from components.sdk import k8s
from gpu.contract import (
    DEVICE_CLASS,
    DRIVER_ANNOTATION,
    GPU_PRESENT_LABEL,
    GPU_SYSTEM_NAMESPACE,
    POOL_LABEL,
    SHARING_LABEL,
    UNCLAIMED_RESOURCE,
)
from gpu.pool import Taint
from gpu.sharing import MemoryClaims, NoSharing, SharingProfile
from gpu.sharing.memory import CONSUMABLE
from gpu.sharing.plugin_config import MPS_ROOT, config_name, device_plugin_config

NAMESPACE = GPU_SYSTEM_NAMESPACE
#: The operator's configuration of nodes that carry no label of ours: whole GPUs.
DEFAULT_CONFIG = "default"
#: Release of the DRA driver.
DRA_RELEASE = "dra-driver"

#: Nodes of a pool that the plugin may have: with GPUs, as `components.gpu.gpu_pool` says of them, which nobody claims.
#: It stands in place of the chart's own terms, of which it is one (v0.20.0 values.yaml, affinity).
_UNCLAIMED_GPUS = [
    {"key": GPU_PRESENT_LABEL, "operator": "In", "values": ["true"]},
    {"key": SHARING_LABEL, "operator": "NotIn", "values": [MemoryClaims.strategy]},
]


@dataclass(frozen=True, kw_only=True)
class ExistingPlugin:
    """A device plugin that somebody runs on all GPU nodes, and the ConfigMap from which it takes configurations."""

    config_map: str
    namespace: str


@dataclass(frozen=True, kw_only=True)
class GpuSharingArgs(Arguments):
    """Inputs of `GpuSharing`.

    profiles: sharing profile of each AL2023 pool with a device plugin, by pool name. claims: pools whose pods claim
    memory in its place. taints: those that the nodes of both have beside that of GPU nodes, by pool name.
    untrusted: pools among them whose tenants do not trust each other: see `gpu.sharing.plugin_config`.
    installer: what brings the device plugin.
    existing: the plugin that is there; the pools' configurations are then added to its ConfigMap, and nothing is
    installed. Its own configurations, and nodes with other labels, stay as they are.
    node_selector: labels of the nodes that the GPU Operator's own pods run on; empty for any.
    """

    profiles: Mapping[str, SharingProfile]
    claims: Collection[str] = ()
    taints: Mapping[str, Sequence[Taint]] = field(default_factory=dict)
    untrusted: Collection[str] = ()
    installer: Literal["device-plugin", "gpu-operator"] = "device-plugin"
    existing: ExistingPlugin | None = None
    node_selector: Mapping[str, str] = field(default_factory=lambda: dict(SYSTEM_NODE_LABEL))

    def config(self, pool: str) -> str:
        """The device plugin's configuration of a pool, as YAML."""
        return _yaml(device_plugin_config(self.profiles[pool], untrusted=pool in self.untrusted))

    def config_name(self, pool: str) -> str:
        """What that configuration is called, as the label of the pool's nodes has it."""
        return config_name(pool, self.profiles[pool], untrusted=pool in self.untrusted)

    @property
    def configs(self) -> dict[str, str]:
        """All configurations by name."""
        return {self.config_name(pool): self.config(pool) for pool in self.profiles}


class GpuSharing(pulumi.ComponentResource):
    """The namespace of the GPU system pods, and what runs the device plugin on the nodes of each pool.

    plugins: by pool what its nodes take their configuration from; the operator's release, the entries in a ConfigMap
    that is there, or the DRA driver's release, are the same for all of theirs.
    """

    namespace: k8s.core.v1.Namespace
    plugins: Mapping[str, pulumi.Resource]

    def __init__(self, name: str, args: GpuSharingArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:GpuSharing", name, None, opts)
        self._opts = opts
        self.namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={
                "name": NAMESPACE,
                # Plugin, MPS daemon and model cache use paths of the host; nothing else runs here.
                "labels": {"pod-security.kubernetes.io/enforce": "privileged"},
            },
            opts=child_options(self, opts),
        )
        plugins = self._adopted(name, args.existing, args) if args.existing else self._installed(name, args)
        self.plugins = {**plugins, **self._driver(name, args)}
        self.register_outputs({})

    def _installed(self, name: str, args: GpuSharingArgs) -> Mapping[str, pulumi.Resource]:
        match args.installer:
            case "gpu-operator":
                return self._operator(name, args)
            case "device-plugin":
                return self._plugins(name, args)
            case _:
                assert_never(args.installer)

    def _adopted(self, name: str, existing: ExistingPlugin, args: GpuSharingArgs) -> dict[str, pulumi.Resource]:
        """Entries of the pools in a ConfigMap that is there: a patch owns these alone, and takes them away again."""
        if not args.profiles:
            return {}
        patch = k8s.core.v1.ConfigMapPatch(
            f"{name}-configurations",
            metadata={"name": existing.config_map, "namespace": existing.namespace},
            data=args.configs,
            opts=child_options(self, self._opts),
        )
        return dict.fromkeys(args.profiles, patch)

    def _plugins(self, name: str, args: GpuSharingArgs) -> dict[str, pulumi.Resource]:
        chart = versions.NVIDIA_DEVICE_PLUGIN_CHART
        return {
            pool: self._release(
                f"{name}-device-plugin-{pool}", chart, release_name(pool), device_plugin_values(pool, args)
            )
            for pool in args.profiles
        }

    def _driver(self, name: str, args: GpuSharingArgs) -> Mapping[str, pulumi.Resource]:
        if not args.claims:
            return {}
        chart, values = versions.NVIDIA_DRA_DRIVER_CHART, dra_driver_values(args)
        # Before there is a DeviceClass, and until it is gone.
        sized = SizedClaims(f"{name}-sized-claims", child_options(self, self._opts))
        release = self._release(f"{name}-{DRA_RELEASE}", chart, DRA_RELEASE, values, *sized.ready)
        # The chart has no value for it: by its DeviceClass what asks `nvidia.com/gpu` and may go to such a node gets a
        # whole GPU, and claims find less than Karpenter has bought for them. Each upgrade of the release writes the
        # chart's word again (helm v3.18 pkg/kube/client.go, createPatch: against what is there), so that the patch must
        # change with it.
        annotations = {"pulumi.com/patchForce": "true", DRIVER_ANNOTATION: _digest(chart.version, values)}
        metadata: Any = {"name": DEVICE_CLASS, "annotations": annotations}
        spec: Any = {"extendedResourceName": UNCLAIMED_RESOURCE}
        unclaimed = k8s.resource.v1.DeviceClassPatch(
            f"{name}-claims-alone",
            metadata=metadata,
            spec=spec,
            opts=child_options(self, self._opts, release),
        )
        return dict.fromkeys(args.claims, unclaimed)

    def _operator(self, name: str, args: GpuSharingArgs) -> dict[str, pulumi.Resource]:
        if not args.profiles:
            return {}
        chart = versions.GPU_OPERATOR_CHART
        release = self._release(f"{name}-gpu-operator", chart, "gpu-operator", gpu_operator_values(args))
        return dict.fromkeys(args.profiles, release)

    def _release(
        self, name: str, chart: versions.Chart, release: str, values: dict[str, Any], *after: pulumi.Resource
    ) -> k8s.helm.v3.Release:
        return k8s.helm.v3.Release(
            name,
            chart=chart.chart,
            version=chart.version,
            repository_opts=k8s.helm.v3.RepositoryOptsArgs(repo=chart.repo) if chart.repo else None,
            name=release,
            namespace=NAMESPACE,
            values=values,
            # No GPU node exists yet: the DaemonSets have nothing to become ready on.
            skip_await=True,
            cleanup_on_fail=True,
            max_history=5,
            timeout=600,
            opts=child_options(self, self._opts, self.namespace, *after),
        )


def _digest(version: str, values: Mapping[str, Any]) -> str:
    return hashlib.sha256(f"{version} {_yaml(values)}".encode()).hexdigest()[:16]


def release_name(pool: str) -> str:
    """Name of a pool's release and of its objects. Helm takes 53 characters, and a pool's name may have 40."""
    return f"plugin-{pool}"


def device_plugin_values(pool: str, args: GpuSharingArgs) -> dict[str, Any]:
    """Values of NVIDIA's device plugin chart for the nodes of one pool, and no others."""
    return {
        # The chart would append its own name, cut the whole at 63 characters, and with a long pool name give the
        # DaemonSets of plugin and MPS daemon the same one.
        "fullnameOverride": release_name(pool),
        "config": {"map": {args.config_name(pool): args.config(pool)}},
        # The chart would write a digest of its configurations here, and restart plugin and MPS daemon on all nodes at
        # once when one changes. A node's label names the one it was started for: those that run keep it.
        "podAnnotations": {"checksum/config": "by-label"},
        "mps": {"root": MPS_ROOT},
        # GpuPool labels nodes itself, so that Karpenter knows the labels before a node exists.
        "gfd": {"enabled": False},
        "nfd": {"enabled": False},
        "nodeSelector": {POOL_LABEL: pool},
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": _UNCLAIMED_GPUS}]
                }
            }
        },
        "tolerations": [*tolerations(args.taints.get(pool, ())), SYSTEM_NODE_TOLERATION],
    }


def dra_driver_values(args: GpuSharingArgs) -> dict[str, Any]:
    """Values of the chart of NVIDIA's DRA driver, for nodes whose GPUs' memory is claimed, and no others."""
    taints = dict.fromkeys(each for pool in args.claims for each in args.taints.get(pool, ()))
    return {
        # The chart refuses GPUs beside a device plugin unless told that none is on the same nodes.
        "gpuResourcesEnabledOverride": True,
        "resources": {"computeDomains": {"enabled": False}},
        "featureGates": {"ConsumableShares": True},
        "consumableShares": CONSUMABLE,
        "kubeletPlugin": {
            "nodeSelector": {SHARING_LABEL: MemoryClaims.strategy},
            "tolerations": [*tolerations(taints), SYSTEM_NODE_TOLERATION],
        },
    }


def gpu_operator_values(args: GpuSharingArgs) -> dict[str, Any]:
    """Values of the GPU Operator chart: the AMI has driver and toolkit, nodes cut their MIG instances at boot."""
    on_gpu_nodes = tolerations(dict.fromkeys(each for taints in args.taints.values() for each in taints))
    on_system_nodes: dict[str, Any] = {"tolerations": [SYSTEM_NODE_TOLERATION]}
    if args.node_selector:
        on_system_nodes["nodeSelector"] = dict(args.node_selector)
    return {
        "driver": {"enabled": False},
        "toolkit": {"enabled": False},
        # The operator hands a strategy, and the ways of CDI, to the plugin as environment, which wins over each pool's
        # own configuration (gpu-operator v26.7.0 controllers/object_controls.go; k8s-device-plugin api/config/v1
        # NewConfig): with `mixed` a plugin that shares by MPS does not start.
        "mig": {"strategy": ""},
        "cdi": {"enabled": False},
        "migManager": {"enabled": False},
        "dcgmExporter": {"enabled": False},
        "devicePlugin": {
            "config": {
                "create": True,
                "name": "device-plugin-config",
                "default": DEFAULT_CONFIG,
                "data": {DEFAULT_CONFIG: _yaml(device_plugin_config(NoSharing())), **args.configs},
            },
            "mps": {"root": MPS_ROOT},
        },
        "daemonsets": {"tolerations": on_gpu_nodes},
        # Nothing of the operator may keep a CPU node alive that would otherwise be gone.
        "operator": on_system_nodes,
        "node-feature-discovery": {
            "master": on_system_nodes,
            "gc": on_system_nodes,
            "worker": {"tolerations": [*on_gpu_nodes, SYSTEM_NODE_TOLERATION]},
        },
    }


def _yaml(config: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(config), sort_keys=False)
