"""Services: what runs in one slot. Most models are a service of their own; those with one `server` are one together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from config.pool_schema import GpuPool
from config.quantities import cpu_millis, memory_mib
from config.schema import Container, Model, StackConfig, Workload
from gpu.claims import ClaimError
from gpu.coldstart import ColdStart, NodeStart, cold_start
from gpu.host_share import QUEUE_PROXY_ASKS, SERVER_AT_LEAST, HostShare
from gpu.models import ModelMemory, ModelSpec, find_model, model_memory
from gpu.pods import WorkloadKind
from gpu.pool import Pool
from gpu.prices import HOURS_PER_MONTH
from gpu.sharing import STRATEGIES

#: Pods of a model, unless its pool has fewer slots.
DEFAULT_MAX_SCALE = 2


def model_spec(model: Model) -> ModelSpec | None:
    """What is known of the model: the built-in table, with what the stack file says instead."""
    spec = find_model(ollama_name(model))
    if spec is None:
        if model.weights_mib is None or model.kv_kib_per_token is None:
            return None
        most = model.max_context or model.context_length
        return ModelSpec(ollama_name(model), model.weights_mib, model.kv_kib_per_token, most)
    if model.weights_mib is not None:
        spec = replace(spec, weights_mib=model.weights_mib)
    if model.kv_kib_per_token is not None:
        # One figure for the whole cache: nothing of the table's comes on top.
        spec = replace(spec, kv_kib_per_token=model.kv_kib_per_token, window=0, window_kib_per_token=0, state_kib=0)
    return replace(spec, max_context=model.max_context) if model.max_context else spec


def memory_of(model: Model) -> ModelMemory | None:
    """GPU memory that the model needs as configured; None when the model is not known."""
    spec = model_spec(model)
    if spec is None:
        return None
    return model_memory(
        spec, context_length=model.context_length, parallel=model.parallel, kv_cache_type=model.kv_cache_type
    )


def ollama_name(model: Model) -> str:
    """Ollama's name of the model, as the stack file has it."""
    return model.model or model.name


def tagged_name(model: Model) -> str:
    """Ollama's name with its tag, as Ollama shows it: without one it means `latest`."""
    name = ollama_name(model)
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def service_name(model: Model) -> str:
    """Name of the Knative service that serves the model."""
    return model.server or model.name


@dataclass(frozen=True)
class Service:
    """A Knative service. What its models must agree on is that of the first (`config.checks.serving`)."""

    name: str
    models: Sequence[Model]
    slots: int
    """Slots of the pool when all its GPUs are bought."""

    @property
    def first(self) -> Model:
        """The model that speaks for all."""
        return self.models[0]

    @property
    def max_scale(self) -> int:
        """Most pods."""
        return max_scale(self.first, self.slots)

    @property
    def weights_mib(self) -> int:
        """Weights of all models, in MiB."""
        return sum(memory.weights_mib for memory in self._memories())

    @property
    def memory_mib(self) -> int:
        """GPU memory of all models, in MiB: each runs in a llama-server of its own, with its own overhead."""
        return sum(memory.total_mib for memory in self._memories())

    @property
    def is_known(self) -> bool:
        """Whether the built-in table knows all models, and nothing was said instead."""
        return all(
            find_model(ollama_name(m)) and m.weights_mib is m.kv_kib_per_token is m.max_context is None
            for m in self.models
        )

    def _memories(self) -> list[ModelMemory]:
        return [memory for model in self.models if (memory := memory_of(model))]

    def cold_start(self, pool: GpuPool) -> ColdStart:
        """How long it takes to answer when it sleeps."""
        return cold_start(node_start(pool), self.first.weights.source, self.weights_mib)


def service_claim(service: Service, pool: Pool) -> int:
    """MiB that a pod of a service claims: what its models need, and enough of the node; 0 where the pool has slots.

    Raises ClaimError for what fits on none of the pool's GPUs.
    """
    return pool.claim_mib(service.memory_mib, SERVER_AT_LEAST) if pool.claims else 0


def workload_claim(workload: Workload, pool: Pool) -> int:
    """MiB that a pod of a workload claims; 0 where the pool has slots. Raises as `service_claim`."""
    if not pool.claims:
        return 0
    if workload.gpu_memory_mib is None:
        raise ClaimError("gpuMemoryMib is missing")
    return pool.claim_mib(workload.gpu_memory_mib)


def slots_of(workload: Workload) -> int:
    """Slots of one pod of a workload: those of its one container that uses the GPU."""
    return max(container.slots for container in workload.containers)


def pod_asks(kind: WorkloadKind, containers: Iterable[Container]) -> HostShare:
    """What a pod of a workload asks of its node: its containers, and Knative's own."""
    asked = [HostShare(cpu_millis(each.cpu), memory_mib(each.memory)) for each in containers]
    asked += [QUEUE_PROXY_ASKS] if kind == "KnativeService" else []
    return HostShare(sum(each.cpu_millis for each in asked), sum(each.memory_mib for each in asked))


def checkpoint_prefix(workload: Workload) -> str:
    """Where in their bucket the checkpoints of a workload are, if it has some."""
    return (workload.checkpoint and workload.checkpoint.prefix) or workload.name


def max_scale(work: Model | Workload, slots: int) -> int:
    """Most pods of a model or a KnativeService on a pool with slots for so many."""
    return work.max_scale or max(work.min_scale, min(DEFAULT_MAX_SCALE, slots))


def workload_scale(workload: Workload, pool: Pool) -> int:
    """Most pods of a KnativeService."""
    # None at all would be 0, which is no limit to Knative.
    return max_scale(workload, max(1, pool.max_slots // pool.held_slots(slots_of(workload))))


def services(config: StackConfig, slots: dict[str, int]) -> list[Service]:
    """The services of a stack, in the order of their first models. slots: of each pool."""
    grouped: dict[str, list[Model]] = {}
    for model in config.models:
        grouped.setdefault(service_name(model), []).append(model)
    return [Service(name, tuple(models), slots[models[0].pool]) for name, models in grouped.items()]


def stack_services(config: StackConfig) -> list[Service]:
    """The Knative services of a stack, with the slots of their pools."""
    return services(config, {name: pool.max_slots for name, pool in config.gpu_pools.items()})


def node_start(pool: GpuPool) -> NodeStart:
    """How the nodes of a pool start; at hours when it keeps none warm, if there are such."""
    return NodeStart(
        ami=pool.ami,
        mps=STRATEGIES[pool.sharing.strategy].needs_daemon,
        fast_image_pull=pool.fast_image_pull,
        volume_mib_per_s=pool.volume.throughput_mibps,
        instance_store=pool.instance_store,
        snapshot=pool.volume.snapshot_id is not None,
        snapshot_mib_per_s=pool.volume.initialization_rate_mibps,
        warm=pool.warm is not None and pool.warm.start is None,
        static=pool.static is not None,
        claims=STRATEGIES[pool.sharing.strategy].claims,
    )


_WEEKS_PER_MONTH = HOURS_PER_MONTH / (24 * 7)


def warm_hours_per_month(pool: GpuPool) -> float:
    """Hours of a month in which the pool keeps slots free; `HOURS_PER_MONTH` for always, 0 for never."""
    if pool.warm is None:
        return 0.0
    if pool.warm.start is None or pool.warm.end is None:
        return HOURS_PER_MONTH
    hours = (_minutes(pool.warm.end) - _minutes(pool.warm.start)) / 60
    return hours * len(pool.warm.days) * _WEEKS_PER_MONTH


def _minutes(time: str) -> int:
    hours, _, minutes = time.partition(":")
    return int(hours) * 60 + int(minutes)
