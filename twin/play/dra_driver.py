"""What NVIDIA's DRA driver would publish on a node: ResourceSlices, from the values of the chart that installs it.

Held against kubernetes-sigs/dra-driver-nvidia-gpu of August 2026: cmd/gpu-kubelet-plugin (consumable_shares.go,
deviceinfo.go, main.go) and its chart (deviceclass-gpu.yaml, kubeletplugin.yaml, validation.yaml). Memory in MiB.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gpu.catalog import INSTANCE_TYPES, Gpu
from gpu.contract import (
    CONSUMABLE_ANNOTATION,
    DEVICE_CLASS,
    GPU_PRESENT_LABEL,
    GPU_RESOURCE,
    INSTANCE_TYPE_LABEL,
)
from gpu.sharing.memory import DEVICE_MEMORY
from twin.kube.client import Object

#: API version of slices, claims and classes.
DEVICES_API: Final = "resource.k8s.io/v1"
#: Name of the chart, and of what it installs unless its values say otherwise.
CHART: Final = "dra-driver-nvidia-gpu"
#: Label of the pods that the chart's DaemonSet makes.
COMPONENT: Final = {f"{CHART}-component": "kubelet-plugin"}
_GATE: Final = "ConsumableShares"
#: Value of `consumableShares`, and of Karpenter's annotation, for GPUs that one claim takes whole.
DISABLED: Final = "disabled"
#: What the chart's DaemonSet asks of nodes where its values have no `kubeletPlugin.affinity`; of its five labels the
#: one that others than node feature discovery set.
_AFFINITY: Final[Mapping[str, Any]] = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": GPU_PRESENT_LABEL, "operator": "In", "values": ["true"]}]}
            ]
        }
    }
}
#: What NVML calls GPUs that one node of a pool of claims has, where it is not the product's name.
_SAID_BY_NVML: Final[Mapping[str, str]] = {"t4": "Tesla T4", "h100": "NVIDIA H100 80GB HBM3"}
#: Architecture by the first compute capability that has it.
_ARCHITECTURES: Final = ((7.0, "Volta"), (7.5, "Turing"), (8.0, "Ampere"), (8.9, "Ada Lovelace"), (9.0, "Hopper"))
_TOLERATIONS: Final = ({"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"},)


@dataclass(frozen=True, kw_only=True)
class InstalledDriver:
    """A driver as a release of the program installs it."""

    name: str = CHART
    """What its objects are called."""
    namespace: str = ""
    """Namespace of its DaemonSet, where it is not the stack's."""
    consumable_shares: str = DISABLED
    """`disabled`, `memory`, `unlimited`, or a number of shares."""
    problem: str = ""
    """Why it does not start; empty where it does."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    affinity: Mapping[str, Any] = field(default_factory=lambda: _AFFINITY)
    tolerations: Sequence[Mapping[str, Any]] = _TOLERATIONS

    def runs_on(self, labels: Mapping[str, str]) -> bool:
        """Whether its selector lets its pod go to a node with these labels."""
        return all(labels.get(key) == value for key, value in self.node_selector.items())


def installed_driver(values: Mapping[str, Any]) -> InstalledDriver:
    """The driver that a release with these values of the chart is."""
    plugin = values.get("kubeletPlugin") or {}
    shares = str(values.get("consumableShares") or DISABLED)
    return InstalledDriver(
        name=str(values.get("nameOverride") or CHART),
        namespace=str(values.get("namespaceOverride") or ""),
        consumable_shares=shares,
        problem=_problem(values, shares),
        node_selector=plugin.get("nodeSelector") or {},
        affinity=plugin.get("affinity") or _AFFINITY,
        tolerations=tuple(plugin.get("tolerations") or _TOLERATIONS),
    )


def _problem(values: Mapping[str, Any], shares: str) -> str:
    """Why the driver does not start with these values."""
    if not _gpus_enabled(values):
        return "its chart is installed with resources.gpus.enabled: false"
    if shares == DISABLED:
        return ""
    if not (values.get("featureGates") or {}).get(_GATE):
        return f"--consumable-shares requires feature gate {_GATE} to be enabled"
    if shares not in ("memory", "unlimited") and not (shares.isdecimal() and int(shares)):
        return f"invalid value for --consumable-shares: {shares!r}"
    return ""


def _gpus_enabled(values: Mapping[str, Any]) -> bool:
    return ((values.get("resources") or {}).get("gpus") or {}).get("enabled") is not False


def refusal(values: Mapping[str, Any]) -> str:
    """Why the chart cannot be installed with these values; empty where it can."""
    if _gpus_enabled(values) and not values.get("gpuResourcesEnabledOverride"):
        return "resources.gpus.enabled needs gpuResourcesEnabledOverride: true"
    return ""


def device_class() -> Object:
    """The chart's DeviceClass: also what asks `nvidia.com/gpu` gets a device of it."""
    selects = f"device.driver == '{DEVICE_CLASS}' && device.attributes['{DEVICE_CLASS}'].type == 'gpu'"
    return {
        "apiVersion": DEVICES_API,
        "kind": "DeviceClass",
        "metadata": {"name": DEVICE_CLASS},
        "spec": {"selectors": [{"cel": {"expression": selects}}], "extendedResourceName": GPU_RESOURCE},
    }


def published(node: Object, shares: str, memory_mib: int | None = None) -> Object | None:
    """The ResourceSlice of a node; None where its type has no GPU of the catalogue.

    shares: what the driver is set to. memory_mib: what it shows of each GPU; None for all of its memory.
    """
    metadata = node["metadata"]
    found = INSTANCE_TYPES.get((metadata.get("labels") or {}).get(INSTANCE_TYPE_LABEL, ""))
    if found is None:
        return None
    shown = memory_mib or found.gpu.memory.total_mib
    name, uid = metadata["name"], metadata.get("uid", "")
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid, "controller": True}
    return {
        "apiVersion": DEVICES_API,
        "kind": "ResourceSlice",
        # The kubelet's library lets the server complete the name; ours is found again after a crash.
        "metadata": {"name": f"{name}-{DEVICE_CLASS}", "ownerReferences": [owner]},
        "spec": {
            "driver": DEVICE_CLASS,
            "nodeName": name,
            "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
            "devices": [_device(found.gpu, index, uid, shares, shown) for index in range(found.gpu_count)],
        },
    }


def _device(gpu: Gpu, index: int, node: str, shares: str, memory_mib: int) -> Object:
    """A GPU. Its addresses and versions of drivers are left out: nobody here knows them."""
    architectures = [name for first, name in _ARCHITECTURES if gpu.compute_capability >= first]
    device: Object = {
        "name": f"gpu-{index}",
        "attributes": {
            "type": {"string": "gpu"},
            "uuid": {"string": f"GPU-{uuid.uuid5(uuid.NAMESPACE_OID, f'{node}/{index}')}"},
            # Claims select by these, and Karpenter buys by them.
            "productName": {"string": _SAID_BY_NVML.get(gpu.name, gpu.product)},
            "brand": {"string": "Nvidia"},
            "architecture": {"string": architectures[-1]},
            "cudaComputeCapability": {"version": f"{gpu.compute_capability}.0"},
        },
        "capacity": {DEVICE_MEMORY: {"value": f"{memory_mib}Mi"}},
    }
    if shares == DISABLED:
        return device
    whole, nothing = f"{memory_mib}Mi", "0"
    default, least = (whole, "1Mi") if shares == "memory" else (nothing, nothing)
    device["allowMultipleAllocations"] = True
    device["capacity"][DEVICE_MEMORY]["requestPolicy"] = _policy(default, least, whole, "1Mi")
    if shares.isdecimal():
        device["capacity"]["shares"] = {"value": shares, "requestPolicy": _policy("1", "1", shares, "1")}
    return device


def _policy(default: str, least: str, most: str, step: str) -> Object:
    return {"default": default, "validRange": {"min": least, "max": most, "step": step}}


def expects_driver(
    labels: Mapping[str, str], node_class: Mapping[str, Any] | None, drivers: Sequence[InstalledDriver]
) -> bool:
    """Whether a node's GPUs are to be published as devices: a driver goes there, or Karpenter counts on one."""
    return announced_shares(node_class) != DISABLED or any(driver.runs_on(labels) for driver in drivers)


def announced_shares(node_class: Mapping[str, Any] | None) -> str:
    """What Karpenter takes the driver of a class's nodes to be set to."""
    annotations = ((node_class or {}).get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(CONSUMABLE_ANNOTATION) or DISABLED)
