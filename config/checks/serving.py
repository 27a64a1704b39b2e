"""Checks of how models are served: pods and slots, weights, shared servers, the room that their nodes have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from config.checks.models import pool_of, room_of
from config.checks.parts import Parts, Slots, attempt
from config.errors import MISSING, Path, Problem, counted, listed
from config.schema import GpuPool, Model, Monitoring
from config.section import BrokenValueError
from config.services import memory_of, ollama_name, service_name
from gpu.durations import seconds
from gpu.host_share import SERVER_AT_LEAST
from gpu.pool import Pool
from gpu.sharing import STRATEGIES, Mps
from gpu.system_pods import (
    EBS_NODE_CPU_MILLIS,
    MONITORING_CPU_MILLIS,
    PER_NODE_CPU_MILLIS,
    control_plane_cpu_millis,
)
from gpu.weights import WEIGHTS

#: Knative 1.22 and 1.23 want 1.34; image volumes are on by default from 1.35 (KEP-4639).
IMAGE_VOLUMES_SINCE = (1, 35)
#: GiB of a node's volume that images, logs and the system take.
SYSTEM_DISK_GIB = 25

#: Longest scale-to-zero-pod-retention-period (knative.dev/serving pkg/apis/autoscaling/register.go, WindowMax).
MOST_IDLE_SECONDS = 3600

#: What the models of one server share, since they are one process: attribute and key.
_SHARED: Mapping[str, str] = {
    "pool": "pool",
    "importance": "importance",
    "context_length": "contextLength",
    "parallel": "parallel",
    "kv_cache_type": "kvCacheType",
    "min_scale": "minScale",
    "max_scale": "maxScale",
    "idle": "idle",
}


def check_serving(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """Everything about the serving of models but their memory."""
    servers: dict[str, list[tuple[int, Model]]] = {}
    for index, model in enumerate(parts.models or ()):
        if model:
            path: Path = ("models", index)
            yield from attempt(_idle(model, path))
            yield from attempt(_weights(model, path, parts))
            yield from service_on_pool([(index, model)], slots)
            with suppress(BrokenValueError):
                if model.server:
                    servers.setdefault(model.server, []).append((index, model))
    if _knative(parts) or (parts.monitoring and parts.monitoring.backend == "prometheus"):
        yield from attempt(_control_plane(parts))
    if parts.monitoring:
        yield from attempt(_figures(parts.monitoring))
    for name, members in servers.items():
        yield from attempt(_server(name, members, parts, slots))
    for index, pool in enumerate(parts.pools or ()):
        if pool:
            yield from attempt(_disk(pool, ("pools", index), parts.models or ()))
            yield from attempt(_tenants(pool, parts.models or ()))


def service_on_pool(members: Sequence[tuple[int, Model]], slots: Slots) -> Iterator[Problem]:
    """What may be wrong with the serving of a model, or of all of a server, on one pool and right on another."""
    for index, model in members:
        path: Path = ("models", index)
        yield from attempt(_scale(model, path, slots))
        yield from attempt(_share(model, path, slots))
    if len(members) > 1:
        pool = pool_of(members[0][1], slots)
        yield from attempt(_server_fits(members[0][1].server or "", members, pool)) if pool else ()


def _scale(model: Model, path: Path, slots: Slots) -> Iterator[Problem]:
    pool = slots.get(model.pool)
    # How many claims a pool holds depends on the others'.
    most = pool.max_slots if pool and not pool.claims else None
    wanted = model.max_scale
    if most is not None and wanted is not None and wanted > most:
        message = f"must be {most} or less: pool {model.pool} has {counted(most, 'slot')}, and each pod takes one"
        yield Problem((*path, "maxScale"), wanted, message)
    elif wanted is not None and model.min_scale > wanted:
        yield Problem((*path, "minScale"), model.min_scale, f"must be {wanted} or less, the model's maxScale")


def _idle(model: Model, path: Path) -> Iterator[Problem]:
    if message := idle_problem(model.idle):
        yield Problem((*path, "idle"), model.idle, message)


def idle_problem(idle: str) -> str:
    """What is wrong with the time for which the last pod stays; empty where it is right."""
    if seconds(idle) <= MOST_IDLE_SECONDS:
        return ""
    return "must be 1h or less: Knative keeps no idle pod for longer; minScale: 1 keeps one for ever"


def _weights(model: Model, path: Path, parts: Parts) -> Iterator[Problem]:
    weights, place = model.weights, (*path, "weights")
    if not WEIGHTS[weights.source].from_image:
        if weights.image:
            message = "belongs to source image or baked: write one of these, or remove the image"
            yield Problem((*place, "image"), weights.image, message)
        return
    if weights.image is None:
        message = f"is missing: with source {weights.source} write the image that holds the weights, with its digest"
        yield Problem((*place, "image"), MISSING, message)
    elif "@sha256:" not in weights.image:
        message = "must have a digest (@sha256:...): weights are code that answers, and a tag may move"
        yield Problem((*place, "image"), weights.image, message)
    if weights.source == "image" and parts.cluster and _version(parts.cluster.version) < IMAGE_VOLUMES_SINCE:
        message = (
            f"needs Kubernetes {'.'.join(map(str, IMAGE_VOLUMES_SINCE))} or later, and cluster.version is "
            f"{parts.cluster.version}: use node-cache or baked"
        )
        yield Problem((*place, "source"), weights.source, message)


def _version(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split("."))
    except ValueError:
        return IMAGE_VOLUMES_SINCE  # no version: reported already


def _share(model: Model, path: Path, slots: Slots) -> Iterator[Problem]:
    """A slot's share of the node's own memory and processors must hold a server."""
    pool = slots.get(model.pool)
    if not pool or pool.claims:
        return  # a claim grows until its share of the node is enough
    share, least = pool.host_share, SERVER_AT_LEAST
    if share.memory_mib < least.memory_mib or share.cpu_millis < least.cpu_millis:
        message = (
            f"gives each slot {share.cpu_millis}m CPU and {share.memory_mib} MiB of its smallest node, but a model's "
            f"server needs {least.cpu_millis}m and {least.memory_mib} MiB: use fewer slots per GPU or larger types"
        )
        yield Problem((*path, "pool"), model.pool, message)


def _server(name: str, members: Sequence[tuple[int, Model]], parts: Parts, slots: Slots) -> Iterator[Problem]:
    index, first = members[0]
    others = [model.name for model in parts.models or () if model and not model.server]
    if name in others:
        message = "is the name of a model that has no server: choose another name"
        yield Problem(("models", index, "server"), name, message)
    if len(members) == 1:
        message = "is the server of this model alone: name it in another model too, or remove it"
        yield Problem(("models", index, "server"), name, message)
        return
    agree = True
    for place, model in members[1:]:
        for problem in _disagreements(name, first, model, ("models", place)):
            agree = False
            yield problem
    pool = slots.get(first.pool)
    if agree and pool:
        yield from _server_fits(name, members, pool)


def _disagreements(name: str, first: Model, model: Model, path: Path) -> Iterator[Problem]:
    for attribute, key in _SHARED.items():
        wanted = getattr(first, attribute)
        if getattr(model, attribute) != wanted:
            message = f"must be {wanted if wanted is not None else 'left out'}, as in {first.name}: both are in server "
            yield Problem((*path, key), getattr(model, attribute), f"{message}{name}, which is one process")
    if model.weights.source != first.weights.source or model.weights.image != first.weights.image:
        message = f"must be those of {first.name}: both are in server {name}, which has one folder of weights"
        yield Problem((*path, "weights"), MISSING, message)
    if ollama_name(model) == ollama_name(first):
        message = f"is served by {name} already, as {first.name}"
        yield Problem((*path, "model"), ollama_name(model), message)


def _server_fits(name: str, members: Sequence[tuple[int, Model]], pool: Pool) -> Iterator[Problem]:
    index, first = members[0]
    place: Path = ("models", index, "server")
    if isinstance(pool.profile, Mps):
        # NVIDIA/k8s-device-plugin#594: the limit is each process', and each model of a server is one.
        message = (
            f"cannot share a slot of pool {first.pool}: MPS limits the memory of each process, and Ollama runs each "
            "model in its own, so together they would take more than the slot; use time-slicing, mig or none"
        )
        yield Problem(place, name, message)
        return
    needs = [memory_of(model) for _, model in members]
    if None in needs:
        return
    total = sum(need.total_mib for need in needs if need)
    if total > pool.slot_memory_mib:
        names = listed([model.name for _, model in members], "and")
        message = (
            f"holds {names}, which need {total / 1024:.2f} GiB together, but {room_of(pool)} of pool {first.pool} has "
            f"{pool.slot_memory_mib / 1024:.2f} GiB on {pool.smallest.gpu.product}: "
            + (
                "use a larger GPU, or no server"
                if pool.claims
                else "use fewer slots per GPU, a larger GPU, or slots of their own"
            )
        )
        yield Problem(place, name, message)


def _disk(pool: GpuPool, path: Path, models: Sequence[Model | None]) -> Iterator[Problem]:
    """All models of a pool may meet on one node, and their weights stay there."""
    if pool.instance_store:
        return
    weights: dict[str, int] = {}
    for model in models:
        if model and model.pool == pool.name and WEIGHTS[model.weights.source].cached:
            memory = memory_of(model)
            weights[ollama_name(model)] = memory.weights_mib if memory else 0
    needed = -(-sum(weights.values()) // 1024) + SYSTEM_DISK_GIB
    if weights and needed > pool.volume.size_gib:
        message = (
            f"must be {needed} or more: the weights of this pool's {len(weights)} models stay on a node, beside "
            f"{SYSTEM_DISK_GIB} GiB for images and the system"
        )
        yield Problem((*path, "volume", "sizeGib"), pool.volume.size_gib, message)


def _tenants(pool: GpuPool, models: Sequence[Model | None]) -> Iterator[Problem]:
    """Who controls one model's server can have the cache of its node delete another's weights, or pull others."""
    if pool.tenants != "untrusted" or not STRATEGIES[pool.sharing.strategy].isolated:
        return
    first: Model | None = None
    for index, model in enumerate(models):
        if model is None or model.pool != pool.name or not WEIGHTS[model.weights.source].cached:
            continue
        if first is not None and service_name(model) != service_name(first):
            message = (
                f"must be image or baked: tenants of pool {pool.name} do not trust each other, and models share their "
                f"node's cache with {first.name}"
            )
            yield Problem(("models", index, "weights", "source"), model.weights.source, message)
        first = first or model


def _figures(monitoring: Monitoring) -> Iterator[Problem]:
    """A volume that would be nowhere."""
    if monitoring.backend != "prometheus" and "volume_gib" in monitoring.model_fields_set:
        keeps = "CloudWatch keeps its own" if monitoring.backend == "cloudwatch" else "there are none"
        message = f"is for backend: prometheus, which keeps its figures itself; {keeps}"
        yield Problem(("monitoring", "volumeGib"), monitoring.volume_gib, message)


def _control_plane(parts: Parts) -> Iterator[Problem]:
    """Knative's own pods, and Prometheus, share the system nodes with Karpenter; what finds no room waits for ever."""
    if parts.cluster is None or parts.serving is None or parts.monitoring is None or parts.cluster.existing:
        return  # nobody knows the nodes of a cluster that is there
    nodes, backend = parts.cluster.system_nodes, parts.monitoring.backend
    sizes = [_vcpus(name) for name in nodes.instance_types]
    if not all(sizes):
        return  # no types that we know: reported already
    room = min(sizes) * 1000 - PER_NODE_CPU_MILLIS - (MONITORING_CPU_MILLIS if backend == "cloudwatch" else 0)
    room -= EBS_NODE_CPU_MILLIS if parts.monitoring.needs_driver else 0
    driver = parts.monitoring.needs_driver or bool(parts.dialogue and parts.dialogue.needs_driver)
    packing = parts.gpu_sharing is not None and parts.gpu_sharing.scheduler is not None
    braked = parts.budget is not None and parts.budget.soft_brake
    needed = control_plane_cpu_millis(
        parts.serving.replicas if _knative(parts) else 0,
        nodes.desired,
        ebs_driver=driver,
        prometheus=backend == "prometheus",
        packing=packing,
        soft_brake=braked,
    )
    if nodes.desired * room < needed:
        besides = {
            "Prometheus": backend == "prometheus",
            "the EBS CSI driver": driver,
            "the packing scheduler": packing,
            "the soft brake": braked,
        }
        more = [name for name, there in besides.items() if there]
        does = f"do{'es' if len(more) == 1 else ''}"
        runs = (
            f"with {'models' if parts.models else 'a KnativeService'}, Knative's control plane runs on these nodes too"
        )
        if not _knative(parts):
            runs = f"{listed(more, 'and')} run{'s' if len(more) == 1 else ''} on these nodes too"
        elif more:
            runs = f"{runs}, as {does} {listed(more, 'and')}"
        left = " beside monitoring" if backend == "cloudwatch" else ""
        message = (
            f"must be {-(-needed // room)} or more: {runs}; all pods on them request {needed}m CPU, and one "
            f"{nodes.instance_types[0]} has {room}m{left}"
        )
        yield Problem(("cluster", "systemNodes", "desired"), nodes.desired, message)


def _knative(parts: Parts) -> bool:
    """Whether the stack brings Knative, as far as its sections are right."""
    with suppress(BrokenValueError):
        return bool(parts.models) or any(each and each.kind == "KnativeService" for each in parts.workloads or ())
    return bool(parts.models)


def _vcpus(instance_type: str) -> int:
    """vCPUs of a Graviton type, by its size; 0 for sizes that system nodes cannot have."""
    size = instance_type.partition(".")[2]
    return {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16}.get(size, 0)
