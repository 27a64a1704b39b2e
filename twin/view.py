"""What a cluster looks like at one moment: nodes with their slots, who sits where, who waits and why, what it costs.

Pure: from copies of objects to plain data. `slices status`, `slices watch` and the scenarios all read this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gpu.catalog import INSTANCE_TYPES
from gpu.contract import (
    CAPACITY_TYPE_LABEL,
    EKS_CAPACITY_TYPE_LABEL,
    GPU_NAME_LABEL,
    INSTANCE_TYPE_LABEL,
    MODEL_LABEL,
    NAME_LABEL,
    NODE_POOL_LABEL,
    NVIDIA_PREFIX,
    SERVICE_LABEL,
    SHARING_LABEL,
    TWIN_SYSTEM_LABEL,
    ZONE_LABEL,
)
from gpu.prices import CapacityType, RegionPrices
from gpu.sharing.memory import MemoryClaims
from twin.devices import Device, Devices
from twin.kube.client import Object
from twin.kube.events import last_seen

#: Why the kubelet fails a pod whose devices the plugin does not give (kubelet/cm/admission/errors.go).
REFUSED = "UnexpectedAdmissionError"


@dataclass(frozen=True, kw_only=True)
class PodView:
    """A pod that is not a DaemonSet's."""

    name: str
    namespace: str
    node: str
    """Name of its node; empty while it waits."""
    phase: str
    """`Pending`, `Running`, `Succeeded`, `Failed`, or `Terminating`."""
    ready: bool
    slots: int
    """Slots that it requests."""
    resource: str
    """Name of the slots' resource; empty for a pod without."""
    reason: str
    """Why it waits; empty when it does not."""
    owner: str
    """Name of what it belongs to, such as a model's; its own name for a bare pod."""
    mib: int = 0
    """GPU memory that it claims, in MiB."""
    device: str = ""
    """Name of the GPU on its node that the claim is of; empty while it has none."""

    @property
    def wants_gpu(self) -> bool:
        """Whether it asks for slots, or claims GPU memory."""
        return bool(self.slots or self.mib)

    @property
    def key(self) -> str:
        """Namespace and name."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class NodeView:
    """A node, from the moment Karpenter has bought it. Prices in USD per hour."""

    name: str
    """Of the Node, or of the NodeClaim as long as there is no Node."""
    called: str
    """What people are told: the NodeClaim's name, short and the same from the purchase on; the Node's without one."""
    pool: str
    instance_type: str
    zone: str
    capacity_type: str
    """`spot`, `on-demand`, or empty."""
    gpu: str
    """Karpenter's name of its GPU; empty for a CPU node."""
    stage: str
    """`bought`, `booting`, `no GPU yet`, `ready`, or `leaving`."""
    resource: str
    """Name of the slots' resource, once offered."""
    slots: int
    """Slots that it offers now."""
    expected_slots: int
    """Slots that Karpenter counts on."""
    pods: tuple[PodView, ...]
    daemon_pods: int
    usd_per_hour: float
    system: bool
    created: str
    """RFC 3339."""
    devices: tuple[Device, ...] = ()
    """GPUs whose memory pods claim; empty where pods take slots."""

    @property
    def used_slots(self) -> int:
        """Slots that pods hold."""
        return sum(pod.slots for pod in self.pods)

    @property
    def claimed_mib(self) -> int:
        """GPU memory that pods claim."""
        return sum(pod.mib for pod in self.pods)

    @property
    def mib(self) -> int:
        """GPU memory that can be claimed; 0 where pods take slots."""
        return sum(device.mib for device in self.devices)


@dataclass(frozen=True, kw_only=True)
class View:
    """The cluster at one moment."""

    nodes: tuple[NodeView, ...]
    pending: tuple[PodView, ...]
    warnings: tuple[str, ...] = field(default=())
    """What controllers complain about, newest last."""
    refused: tuple[PodView, ...] = field(default=())
    """Pods that their node's device plugin has refused; nobody tries them again."""

    @property
    def usd_per_hour(self) -> float:
        """Of all nodes together."""
        return sum(node.usd_per_hour for node in self.nodes)

    @property
    def gpu_nodes(self) -> tuple[NodeView, ...]:
        """Nodes with GPUs."""
        return tuple(node for node in self.nodes if node.gpu)

    def pool(self, name: str) -> tuple[NodeView, ...]:
        """Nodes of a pool."""
        return tuple(node for node in self.nodes if node.pool == name)


def view(
    prices: RegionPrices,
    nodes: Iterable[Object],
    claims: Iterable[Object],
    pods: Iterable[Object],
    events: Iterable[Object] = (),
    devices: Devices = Devices(),  # noqa: B008  nobody changes it
) -> View:
    """The view of these objects. prices: what nodes cost where the twin is (`twin.prices.played`)."""
    by_node: dict[str, list[Object]] = {}
    waiting: list[Object] = []
    refused: list[Object] = []
    for pod in pods:
        if _finished(pod):
            if pod["status"].get("reason") == REFUSED:
                refused.append(pod)
            continue
        node = pod["spec"].get("nodeName")
        if node:
            by_node.setdefault(node, []).append(pod)
        elif not _of_daemon_set(pod):
            waiting.append(pod)
    warnings = [event for event in events if event.get("type") == "Warning"]
    # Karpenter's newest word about each object: looked up once for each of thousands of waiting pods.
    words = {
        (event.get("involvedObject") or {}).get("uid", ""): str(event.get("message", ""))
        for event in sorted(warnings, key=last_seen)
        if str((event.get("source") or {}).get("component", "")).startswith("karpenter")
    }
    seen = _bought(list(nodes), list(claims))
    return View(
        nodes=tuple(_node(prices, node, claim, by_node, devices) for node, claim in seen),
        pending=tuple(_pod(pod, words, devices) for pod in waiting),
        refused=tuple(replace(_pod(pod, {}, devices), reason=str(pod["status"].get("message", ""))) for pod in refused),
        warnings=tuple(_text(event) for event in sorted(warnings, key=last_seen)[-20:]),
    )


def _bought(nodes: list[Object], claims: list[Object]) -> list[tuple[Object | None, Object | None]]:
    """Node and claim of everything that costs money, in the order in which it was bought."""
    # By the instance, not by the node's name in the claim: that follows some moments after the node.
    by_instance = {node["spec"].get("providerID") or node["metadata"]["name"]: node for node in nodes}
    bought = [(str((claim.get("status") or {}).get("providerID", "")), claim) for claim in claims]
    pairs: list[tuple[Object | None, Object | None]] = [
        (by_instance.pop(instance, None), claim) for instance, claim in bought if instance
    ]
    pairs += [(node, None) for node in by_instance.values()]
    return sorted(pairs, key=lambda pair: _created(pair[1] or pair[0] or {}))


def _node(
    prices: RegionPrices,
    node: Object | None,
    claim: Object | None,
    by_node: Mapping[str, list[Object]],
    devices: Devices,
) -> NodeView:
    there = node or claim or {}
    # A new Node has labels of its own until Karpenter registers it; the claim is right from the beginning.
    labels: Mapping[str, str] = {**_labels(node), **_labels(claim)}
    name = there["metadata"]["name"]
    sitting = by_node.get(name, [])
    resource, slots = _slots((node or {}).get("status") or {})
    _, expected = _slots((claim or {}).get("status") or {})
    of_group = "spot" if labels.get(EKS_CAPACITY_TYPE_LABEL) == "SPOT" else "on-demand"
    capacity_type = labels.get(CAPACITY_TYPE_LABEL, of_group if EKS_CAPACITY_TYPE_LABEL in labels else "")
    bought: CapacityType = "spot" if capacity_type == "spot" else "on-demand"
    gpu = labels.get(GPU_NAME_LABEL, "")
    published = devices.of_node(name)
    return NodeView(
        name=name,
        called=(claim or there)["metadata"]["name"],
        pool=labels.get(NODE_POOL_LABEL, ""),
        instance_type=labels.get(INSTANCE_TYPE_LABEL, ""),
        zone=labels.get(ZONE_LABEL, ""),
        capacity_type=capacity_type,
        gpu=gpu,
        stage=_stage(node, claim, lacks_gpu=bool(gpu) and not slots and not published),
        resource=resource,
        slots=slots,
        expected_slots=expected or slots,
        pods=tuple(_pod(pod, {}, devices) for pod in sitting if not _of_daemon_set(pod)),
        daemon_pods=sum(map(_of_daemon_set, sitting)),
        usd_per_hour=prices.node_usd_per_hour(labels.get(INSTANCE_TYPE_LABEL, ""), bought) or 0.0,
        system=TWIN_SYSTEM_LABEL in labels,
        created=_created(claim or node or {}),
        devices=published or _expected(labels),
    )


def _expected(labels: Mapping[str, str]) -> tuple[Device, ...]:
    """GPUs whose memory a node's driver will publish."""
    kind = INSTANCE_TYPES.get(labels.get(INSTANCE_TYPE_LABEL, ""))
    if labels.get(SHARING_LABEL) != MemoryClaims.strategy or kind is None:
        return ()
    mib = kind.gpu.memory.total_mib
    return tuple(Device(name=f"gpu-{index}", mib=mib, offered=False) for index in range(kind.gpu_count))


def _stage(node: Object | None, claim: Object | None, *, lacks_gpu: bool) -> str:
    if any(obj and obj["metadata"].get("deletionTimestamp") for obj in (node, claim)):
        return "leaving"
    if node is None:
        return "bought"
    conditions = (node.get("status") or {}).get("conditions") or []
    if not any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
        return "booting"
    return "no GPU yet" if lacks_gpu else "ready"


def slots_of(status: Mapping[str, Any]) -> dict[str, int]:
    """Extended resources of NVIDIA's that a node's or claim's status offers."""
    return {
        name: int(quantity)
        for name, quantity in (status.get("allocatable") or {}).items()
        if name.startswith(NVIDIA_PREFIX) and int(quantity)
    }


def _slots(status: Mapping[str, Any]) -> tuple[str, int]:
    found = slots_of(status)
    return (next(iter(found)), sum(found.values())) if found else ("", 0)


def _pod(pod: Object, words: Mapping[str, str], devices: Devices) -> PodView:
    metadata, status = pod["metadata"], pod.get("status") or {}
    resource, slots = requested(pod)
    claimed = devices.of_pod(pod)
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    phase = "Terminating" if metadata.get("deletionTimestamp") else status.get("phase", "Pending")
    return PodView(
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        node=pod["spec"].get("nodeName", ""),
        phase=phase,
        ready=conditions.get("Ready", {}).get("status") == "True",
        slots=slots,
        resource=resource,
        reason="" if pod["spec"].get("nodeName") else _reason(pod, conditions, words),
        owner=_owner(pod),
        mib=claimed.mib,
        device=claimed.device,
    )


def requested(pod: Object) -> tuple[str, int]:
    """Name and number of the slots that a pod requests: of all its containers together, as the scheduler counts them.

    Containers that run before the others need no more than the largest of them; one that stays beside counts.
    """
    spec = pod["spec"]
    total, before = Counter[str](), Counter[str]()
    for container in spec["containers"]:
        total.update(slots_asked(container))
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            total.update(slots_asked(container))
        else:
            before |= slots_asked(container)
    total |= before
    return (next(iter(total)), total.total()) if total else ("", 0)


def slots_asked(container: Mapping[str, Any]) -> Counter[str]:
    """Extended resources of NVIDIA's that a container requests."""
    resources = container.get("resources") or {}
    asked = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    return Counter({name: int(quantity) for name, quantity in asked.items() if name.startswith(NVIDIA_PREFIX)})


def _reason(pod: Object, conditions: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """Karpenter's word before the scheduler's: it says why there will be no node, the scheduler why there is none."""
    said = words.get(pod["metadata"]["uid"])
    if said:
        return said
    return str(conditions.get("PodScheduled", {}).get("message", ""))


def _owner(pod: Object) -> str:
    labels = _labels(pod)
    for label in (MODEL_LABEL, SERVICE_LABEL, NAME_LABEL, "job-name"):
        if label in labels:
            return labels[label]
    name: str = pod["metadata"]["name"]
    return name


def _of_daemon_set(pod: Object) -> bool:
    return any(owner["kind"] == "DaemonSet" for owner in pod["metadata"].get("ownerReferences") or [])


def _finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _labels(obj: Object | None) -> Mapping[str, str]:
    labels: Mapping[str, str] = (obj or {}).get("metadata", {}).get("labels") or {}
    return labels


def _created(obj: Object) -> str:
    return str((obj.get("metadata") or {}).get("creationTimestamp", ""))


def _text(event: Object) -> str:
    about = event.get("involvedObject") or {}
    return f"{about.get('kind', '')} {about.get('name', '')}: {event.get('reason', '')}: {event.get('message', '')}"
