"""Objects of a cluster as its API server has them, made up: what pictures are drawn from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from twin.kube.client import Object
from twin.plan import PlannedPool
from twin.watch.compose import KINDS, About, compose
from twin.watch.scene import Box, Scene

#: The moment of these pictures, in seconds since 1970.
NOW = 1_790_000_000.0
MPS = PlannedPool(name="mps", resource="nvidia.com/gpu.shared", slots={1: 3}, capacity_type="spot")
MEMORY = PlannedPool(name="memory", resource="nvidia.com/gpu", slots={}, capacity_type="spot", claims=True)
MIG = PlannedPool(name="mig", resource="nvidia.com/gpu", slots={1: 7}, capacity_type="spot")


def stamp(ago: float) -> str:
    """RFC 3339 of so many seconds before NOW."""
    return datetime.fromtimestamp(NOW - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Cluster:
    """Objects by kind; the methods add to them."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Object]] = {kind: [] for kind in KINDS}

    def pool(self, name: str, sharing: str = "", problem: str = "", **limits: str) -> None:
        """A NodePool."""
        condition = {"type": "Ready", "status": "False" if problem else "True", "message": problem}
        labels = {"gpu-slices/sharing": sharing} if sharing else {}
        types = [{"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["g6.xlarge"]}]
        self._add(
            "NodePool",
            {"name": name},
            spec={"template": {"metadata": {"labels": labels}, "spec": {"requirements": types}}, "limits": limits},
            status={"conditions": [condition]},
        )

    def node(self, name: str, pool: str = "mps", *, stage: str = "ready", ago: float = 100, **more: Any) -> str:
        """A NodeClaim, and its Node (`node-of-<name>`) unless it was only just bought; the name pods sit on."""
        slots, expected, asked = more.get("slots", 3), more.get("expected", more.get("slots", 3)), more.get("asked", 0)
        resource = more.get("resource", "nvidia.com/gpu.shared")
        labels = {
            "karpenter.sh/nodepool": pool,
            "karpenter.sh/capacity-type": more.get("capacity", "spot"),
            "node.kubernetes.io/instance-type": more.get("type", "g6.xlarge"),
            "topology.kubernetes.io/zone": more.get("zone", "us-east-1a"),
            **({"karpenter.k8s.aws/instance-gpu-name": more.get("gpu", "l4")} if more.get("gpu", "l4") else {}),
            **({"gpu-slices/sharing": more["sharing"]} if "sharing" in more else {}),
        }
        metadata = {"name": name, "labels": labels, "creationTimestamp": stamp(ago)}
        if stage == "leaving":
            metadata["deletionTimestamp"] = stamp(1)
        instance = f"aws:///{name}"
        self._add(
            "NodeClaim",
            metadata,
            spec={"resources": {"requests": {resource: str(asked)}}},
            status={"providerID": instance, "allocatable": {resource: str(expected)}},
        )
        if stage == "bought":
            return name
        ready = "False" if stage == "booting" else "True"
        allocatable = {} if stage in ("booting", "no GPU yet") or not slots else {resource: str(slots)}
        self._add(
            "Node",
            {**metadata, "name": f"node-of-{name}"},
            spec={"providerID": instance},
            status={"conditions": [{"type": "Ready", "status": ready}], "allocatable": allocatable},
        )
        return f"node-of-{name}"

    def system_node(self, name: str) -> str:
        """A node that no pool has."""
        labels = {"gpu-slices/system-node": "true", "node.kubernetes.io/instance-type": "m7g.large"}
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        self._add("Node", {"name": name, "labels": labels, "creationTimestamp": stamp(900)}, spec={}, status=status)
        return name

    def pod(
        self, name: str, node: str = "", owner: str = "", *, slots: int = 1, ready: bool = True, **more: Any
    ) -> None:
        """A pod that sits on a node, or waits."""
        resource = more.get("resource", "nvidia.com/gpu.shared")
        metadata: dict[str, Any] = {
            "name": name,
            "namespace": more.get("namespace", "models"),
            "labels": {"gpu-slices/model": owner} if owner else {},
            "creationTimestamp": stamp(more.get("ago", 60)),
            "uid": f"uid-{name}",
        }
        if more.get("leaving"):
            metadata["deletionTimestamp"] = stamp(1)
        if more.get("daemon"):
            metadata["ownerReferences"] = [{"kind": "DaemonSet"}]
        conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
        if not node:
            conditions = [{"type": "PodScheduled", "status": "False", "message": more.get("reason", "")}]
        container = {"resources": {"limits": {resource: str(slots)}}} if slots else {}
        self._add(
            "Pod",
            metadata,
            spec={"containers": [container], **({"nodeName": node} if node else {})},
            status={"phase": "Running" if node else "Pending", "conditions": conditions},
        )

    def claim(
        self, name: str, mib: int, node: str = "", owner: str = "", *, device: str = "gpu-0", **more: Any
    ) -> None:
        """A pod that claims MiB of a GPU, which it has when it has a node; and its claim."""
        self.pod(name, node, owner, slots=0, **more)
        pod = self.objects["Pod"][-1]
        claim = f"{name}-gpu-x"
        pod["status"]["resourceClaimStatuses"] = [{"name": "gpu", "resourceClaimName": claim}]
        exactly = {"count": 1, "capacity": {"requests": {"memory": f"{mib}Mi"}}}
        taken = {"driver": "gpu.nvidia.com", "pool": node, "device": device, "consumedCapacity": {"memory": f"{mib}Mi"}}
        self._add(
            "ResourceClaim",
            {"name": claim, "namespace": pod["metadata"]["namespace"]},
            spec={"devices": {"requests": [{"name": "gpu", "exactly": exactly}]}},
            status={"allocation": {"devices": {"results": [taken]}}} if node else {},
        )

    def devices(self, node: str, *mib: int) -> None:
        """The GPUs that a node's driver has published, by their memory."""
        found = [{"name": f"gpu-{i}", "capacity": {"memory": {"value": f"{each}Mi"}}} for i, each in enumerate(mib)]
        spec = {"driver": "gpu.nvidia.com", "nodeName": node, "pool": {"name": node}, "devices": found}
        self._add("ResourceSlice", {"name": f"{node}-x"}, spec=spec)

    def event(self, reason: str, message: str, about: str, kind: str = "Pod", *, ago: float = 5, **more: Any) -> None:
        """An event about an object."""
        number = len(self.objects["Event"])
        self._add(
            "Event",
            {"name": f"event-{number}", "uid": f"event-{number}", "creationTimestamp": stamp(ago)},
            type="Warning" if more.get("warning") else "Normal",
            reason=reason,
            message=message,
            source={"component": more.get("source", "karpenter")},
            lastTimestamp=stamp(ago),
            involvedObject={
                "kind": kind,
                "name": about,
                "namespace": more.get("namespace", "models" if kind == "Pod" else ""),
                "uid": f"uid-{about}",
            },
        )

    def scene(self, before: Scene | None = None, **about: Any) -> Scene:
        """The picture of it."""
        known = {
            "stack": "local",
            "region": "us-east-1",
            "started": NOW - 600,
            "usd": 0.0123,
            "gpu_pools": {"mps": MPS, "mig": MIG, "memory": MEMORY},
            **about,
        }
        return compose(self.objects, About(**known), NOW, before)

    def _add(self, kind: str, metadata: dict[str, Any], **fields: Any) -> None:
        self.objects[kind].append({"kind": kind, "metadata": metadata, **fields})


def everyday() -> Cluster:
    """Nodes in all stages, a full one, pods that wait with and without hope."""
    made = Cluster()
    made.pool("mps", "mps", **{"nvidia.com/gpu.shared": "300"})
    made.pool("mig", "mig", problem="NodeClass not ready")
    made.pool("general")
    full = made.node("mps-aaaaa", ago=700)
    for model in ("mistral", "llama2", "llama3-2"):
        made.pod(f"{model}-0", full, model)
    leaving = made.node("mps-ddddd", stage="leaving", ago=800)
    made.pod("phi-0", leaving, "phi", leaving=True)
    made.node("mps-bbbbb", stage="booting", type="g5.xlarge", gpu="a10g", asked=2, ago=12)
    made.pod("gemma-0", owner="gemma", reason="0/4 nodes are available: 4 Insufficient nvidia.com/gpu.shared.")
    made.event("Nominated", "Pod should schedule on: nodeclaim/mps-bbbbb", "gemma-0")
    half = made.node("mps-ccccc", capacity="on-demand", zone="us-east-1b")
    made.pod("qwen-0", half, "qwen", ready=False)
    made.pod("huge-0", owner="huge", slots=8, ago=130, reason="0/4 nodes are available")
    made.event("FailedScheduling", "Failed to schedule pod, no instance type has 8 slots", "huge-0", warning=True)
    cpu = made.node("general-eeeee", "general", slots=0, gpu="", type="m7g.large")
    made.pod("dialogue-0", cpu, "dialogue", slots=0, namespace="dialogue")
    system = made.system_node("system-1")
    made.pod("karpenter-0", system, "karpenter", slots=0, namespace="kube-system")
    made.pod("aws-node-0", system, slots=0, namespace="kube-system", daemon=True)
    made.event("Launched", "Status condition transitioned, Type: Launched, Status: Unknown -> True, Reason: Launched",
               "mps-bbbbb", "NodeClaim", ago=11)  # fmt: skip
    return made


def claimed() -> Cluster:
    """GPUs whose memory pods claim: one with claims, one whose driver has not spoken, one bought, one that goes."""
    made = Cluster()
    made.pool("memory", "memory", cpu="16")
    more: dict[str, Any] = {"slots": 0, "sharing": "memory"}
    full = made.node("memory-aaaaa", "memory", ago=700, **more)
    made.devices(full, 23034)
    made.claim("mistral-0", 6554, full, "mistral")
    made.claim("phi-0", 3277, full, "phi", ready=False)
    leaving = made.node("memory-ddddd", "memory", stage="leaving", ago=800, **more)
    made.devices(leaving, 23034)
    made.claim("old-0", 4000, leaving, "old", leaving=True)
    made.node("memory-bbbbb", "memory", stage="no GPU yet", ago=40, **more)
    made.claim("llama2-0", 10240, owner="llama2", reason="0/4 nodes are available: 1 cannot allocate all claims.")
    made.event("Nominated", "Pod should schedule on: nodeclaim/memory-bbbbb", "llama2-0")
    made.node("memory-ccccc", "memory", stage="bought", ago=3, **more)
    made.claim("huge-0", 24000, owner="huge", reason="0/4 nodes are available")
    refused = "Failed to schedule pod, allocating dynamic resources, no instance type can satisfy the allocation"
    made.event("FailedScheduling", refused, "huge-0", warning=True)
    return made


def crowd(pods: int = 3000, slots: int = 4) -> Cluster:
    """As many pods of one slot each as given, on full nodes; each pod has told of itself three times."""
    made = Cluster()
    made.pool("mps", "mps")
    for number in range(-(-pods // slots)):
        node = made.node(f"mps-{number:05}", slots=slots)
        for pod in range(number * slots, min(pods, (number + 1) * slots)):
            made.pod(f"burst-{pod}", node, "burst")
            for reason in ("Scheduled", "Pulled", "Started"):
                made.event(reason, f"{reason} it", f"burst-{pod}", ago=pod % 90)
    return made


def box_of(scene: Scene, name: str) -> Box:
    """The node of that name."""
    return next(node for pool in scene.pools for node in pool.nodes if node.name == name)
