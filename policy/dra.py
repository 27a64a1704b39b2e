"""What a program says of dynamic resource allocation (DRA): NVIDIA's driver, Karpenter's gates, claims of devices."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from gpu.contract import DEVICE_CLASS, DEVICE_CLASS_PREFIX, NVIDIA_PREFIX, OPERANDS_LABEL
from gpu.sharing.memory import DEVICE_MEMORY
from policy.framework import Resource, Stack
from policy.karpenter import NodePool
from policy.placement import admitted, on_pool
from policy.pods import POD_TYPES, PodTemplate, pod_templates
from policy.reading import Unknown, each, get, literal, literals, quantity, text, truthy

RELEASE_TYPES: Final = ("kubernetes:helm.sh/*:Release", "kubernetes:helm.sh/*:Chart")
#: Objects that ask for devices. Pods name one of these.
CLAIM_TYPES: Final = (
    "kubernetes:resource.k8s.io/*:ResourceClaimTemplate",
    "kubernetes:resource.k8s.io/*:ResourceClaim",
)
DEVICE_CLASS_TYPES: Final = ("kubernetes:resource.k8s.io/*:DeviceClass",)
#: What gives a class that is there another spec, without its selectors.
DEVICE_CLASS_PATCHES: Final = ("kubernetes:resource.k8s.io/*:DeviceClassPatch",)

#: Texts in an expression of CEL, and one that wants devices of the driver's which are no whole GPUs.
_QUOTED: Final = re.compile(r"""['"]([^'"]*)['"]""")
_OTHER_TYPE: Final = re.compile(r"""\.type\s*==\s*['"](?:mig|vfio)['"]""")
_DRIVER: Final = re.compile(r"(.*/)?(dra-driver-nvidia-gpu|nvidia-dra-driver-gpu)")
_PLUGIN: Final = re.compile(r"(.*/)?nvidia-device-plugin")
_OPERATOR: Final = re.compile(r"(.*/)?gpu-operator")
_KARPENTER: Final = re.compile(r"(.*/)?karpenter")
#: Labels that keep the GPU Operator's device plugin away from a node (gpu-operator controllers/state_manager.go).
_NO_OPERATOR: Final = (OPERANDS_LABEL, "nvidia.com/gpu.deploy.device-plugin")


@dataclass(frozen=True)
class DriverRelease:
    """A release of NVIDIA's DRA driver that owns GPUs."""

    name: str
    urn: str
    shares: Any
    """`consumableShares` of its values, or Unknown."""
    gate: Any
    """Its feature gate ConsumableShares, or Unknown."""
    selection: Mapping[str, Any]
    """What has its node selector and affinity."""

    def runs_on(self, pool: NodePool) -> bool:
        """Whether it may run on nodes of a pool."""
        return admitted(self.selection, on_pool(pool))


@dataclass(frozen=True)
class DevicePlugin:
    """What runs NVIDIA's device plugin: a release of its chart, pods, or the GPU Operator, which finds its nodes.

    selection: what has its node selector and affinity.
    """

    name: str
    selection: Mapping[str, Any]
    operator: bool = False

    def runs_on(self, pool: NodePool) -> bool:
        """Whether it may run on nodes of a pool."""
        if self.operator:
            return not any(text(pool.labels.get(label)) == "false" for label in _NO_OPERATOR)
        return admitted(self.selection, on_pool(pool))


@dataclass(frozen=True)
class KarpenterRelease:
    """A release of Karpenter's chart. gate: whether it buys for claims of NVIDIA's devices, or Unknown."""

    name: str
    urn: str
    gate: Any


@dataclass(frozen=True)
class DeviceRequest:
    """A request for devices in a claim, or one of its alternatives. memory: what it asks of the GPU's, or None.

    admin: it looks after devices that others have, and takes nothing of them (`adminAccess`).
    """

    path: str
    device_class: str
    everything: bool
    memory: Any
    admin: bool = False


def device_plugins(stack: Stack) -> Iterator[DevicePlugin]:
    """All that runs NVIDIA's device plugin, with a configuration or without."""
    for resource in stack.of(*RELEASE_TYPES):
        chart, values = text(get(resource.plain, "chart")), get(resource.plain, "values")
        if _PLUGIN.fullmatch(chart):
            yield DevicePlugin(f"device plugin {resource.name}", _mapping(values))
        elif _OPERATOR.fullmatch(chart):
            enabled = get(values, "devicePlugin", "enabled")
            if enabled is None or isinstance(enabled, Unknown) or truthy(enabled):
                yield DevicePlugin(f"the device plugin of GPU Operator {resource.name}", {}, operator=True)
    for resource in stack.of(*POD_TYPES):
        for pod in pod_templates(resource):
            images = (text(get(container, "image")) for container in each(pod.spec.get("containers")))
            if any("k8s-device-plugin" in image for image in images):
                yield DevicePlugin(f"device plugin {resource.name}", pod.spec)


def _mapping(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}


def drivers(stack: Stack) -> Iterator[DriverRelease]:
    """The releases of NVIDIA's driver with GPUs on."""
    for resource in stack.of(*RELEASE_TYPES):
        values = get(resource.plain, "values")
        enabled = get(values, "resources", "gpus", "enabled")
        if _DRIVER.fullmatch(text(get(resource.plain, "chart"))) and (enabled is None or truthy(enabled)):
            yield DriverRelease(
                name=resource.name,
                urn=resource.urn,
                shares=get(values, "consumableShares"),
                gate=get(values, "featureGates", "ConsumableShares"),
                selection=_mapping(get(values, "kubeletPlugin")),
            )


def karpenters(stack: Stack) -> Iterator[KarpenterRelease]:
    """The releases of Karpenter's controller."""
    for resource in stack.of(*RELEASE_TYPES):
        if _KARPENTER.fullmatch(text(get(resource.plain, "chart"))):
            settings = get(resource.plain, "values", "settings")
            given = (get(settings, "awsFeatureGates", "draNVIDIAGPU"), get(settings, "enableDRA"))
            on = any(truthy(value) for value in given if not isinstance(value, Unknown))
            unknown = next((value for value in given if isinstance(value, Unknown)), False)
            yield KarpenterRelease(resource.name, resource.urn, on or unknown)


def device_classes(stack: Stack) -> set[str]:
    """Names of the classes whose devices may be NVIDIA's GPUs: the driver's own, and of the stack's those that may."""
    found = {DEVICE_CLASS}
    for resource in stack.of(*DEVICE_CLASS_TYPES):
        selectors = each(get(resource.plain, "spec", "selectors"))
        if all(_may_select_gpus(text(get(selector, "cel", "expression"))) for selector in selectors):
            found.add(text(get(resource.plain, "metadata", "name")))
    return found


def _may_select_gpus(expression: str) -> bool:
    """Whether a selector leaves NVIDIA's GPUs in.

    Not if it names another type of the driver's devices, or domains of which none is the driver's or a part of it.
    """
    domains = [name for name in _QUOTED.findall(expression) if "." in name]
    return not _OTHER_TYPE.search(expression) and (not domains or any(name in DEVICE_CLASS for name in domains))


def class_resources(stack: Stack, classes: Collection[str]) -> set[str]:
    """What pods may request in place of a claim of these classes: a resource by the name of each, and one of its spec.

    Not a device plugin's, which NVIDIA's class has by default: it is also what slots are called.
    """
    named = {
        text(get(resource.plain, "spec", "extendedResourceName"))
        for resource in stack.of(*DEVICE_CLASS_TYPES, *DEVICE_CLASS_PATCHES)
        if text(get(resource.plain, "metadata", "name")) in classes
    }
    slots = {name for name in named if not name or name.startswith(NVIDIA_PREFIX)}
    return {f"{DEVICE_CLASS_PREFIX}{each}" for each in classes} | named - slots


def without_claim(pod: PodTemplate, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Containers that have a device by a resource of its class, of which Kubernetes claims all; and that resource.

    names: of such resources. Raises UnknownValueError at what is not known.
    """
    for container in pod.containers(init=True):
        asked = [literal(container, "resources", kind) for kind in ("requests", "limits")]
        found = {name: given for each in asked if isinstance(each, Mapping) for name, given in each.items()}
        for name in sorted({*names} & {*found}):
            if quantity(found[name]) != 0:
                yield text(literal(container, "name")), name


def requests(resource: Resource) -> Iterator[DeviceRequest]:
    """The requests of a claim or of a template, each alternative by itself (resource.k8s.io v1, and its betas).

    Raises UnknownValueError at what is not known.
    """
    template = resource.type.endswith("Template")
    path = ("spec", "spec", "devices", "requests") if template else ("spec", "devices", "requests")
    for index, request in enumerate(literals(resource.plain, *path)):
        place = f"{'.'.join(path)}[{index}]"
        exactly = literal(request, "exactly")
        # Up to v1beta1 the one alternative stood in the request itself.
        only = request if exactly is None else exactly
        yield replace(_request(place, only), admin=truthy(literal(only, "adminAccess")))
        for number, other in enumerate(literals(request, "firstAvailable")):
            yield _request(f"{place}.firstAvailable[{number}]", other)


def _request(path: str, given: Any) -> DeviceRequest:
    return DeviceRequest(
        path=path,
        device_class=text(literal(given, "deviceClassName")),
        everything=text(literal(given, "allocationMode")) == "All",
        memory=literal(given, "capacity", "requests", DEVICE_MEMORY),
    )
