"""What the domain makes of a stack: slots of its pools, memory of its models, and what it all costs.

Prices are USD at us-east-1; Spot prices are estimates (`gpu.prices`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from gpu import prices
from gpu.catalog import InstanceType
from gpu.coldstart import ColdStart
from gpu.estimate import CostItem, dedicated_gpu, total_usd_per_month
from gpu.models import ModelMemory
from gpu.sharing import Mig, Mps, SharingProfile, TimeSlicing
from stacks.schema import Model, StackConfig
from stacks.services import Service, memory_of, service_name
from stacks.summary import PoolSummary, floor_items, pool_summaries, stack_services


@dataclass(frozen=True, kw_only=True)
class ModelFigures:
    """A served model and the slot it runs in. Memory in MiB, prices in USD per hour."""

    config: Model
    memory: ModelMemory
    slot_memory_mib: int
    usd_per_slot_hour: float | None
    dedicated: InstanceType | None
    """Cheapest on-demand type whose single GPU holds the model alone; None where none does."""

    @property
    def model(self) -> str:
        """Ollama's name of the model."""
        return self.config.model or self.config.name

    @property
    def headroom_mib(self) -> int:
        """What is left of the slot, or of the model's own limit in it; negative where the model does not fit."""
        own = self.config.mps.memory_mib if self.config.mps else None
        return min(self.slot_memory_mib, own or self.slot_memory_mib) - self.memory.total_mib


@dataclass(frozen=True, kw_only=True)
class ServiceFigures:
    """What runs in one slot: a model, or several in one server; and how long it takes to wake, in seconds."""

    service: Service
    start: ColdStart
    usd_per_slot_hour: float | None
    alone: tuple[tuple[str, ColdStart], ...]
    """For a server of several models, what each would take to wake in a slot of its own."""

    @property
    def model_names(self) -> tuple[str, ...]:
        """Names of its models in the stack file."""
        return tuple(model.name for model in self.service.models)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All models at the same time, in USD per hour: on whole nodes of their pools, against a GPU for each."""

    nodes: Mapping[str, int]
    """How many of its cheapest nodes each pool needs."""
    shared_usd_per_hour: float
    dedicated_usd_per_hour: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A stack in figures."""

    config: StackConfig
    pools: tuple[PoolSummary, ...]
    models: tuple[ModelFigures, ...]
    services: tuple[ServiceFigures, ...]
    idle_floor: tuple[CostItem, ...]
    """USD per month with no GPU and no CPU pool node."""

    @property
    def idle_usd_per_month(self) -> float | None:
        """Sum of the idle floor."""
        return total_usd_per_month(self.idle_floor)

    @cached_property
    def comparison(self) -> Comparison | None:
        """Sharing against dedicated GPUs; None without models, or where a price is missing and a sum would mislead."""
        return _comparison(self.pools, self.models)


def figures(config: StackConfig) -> Figures:
    """The figures of a stack."""
    pools = {summary.pool.name: summary for summary in pool_summaries(config)}
    dedicated: dict[int, InstanceType | None] = {}
    return Figures(
        config=config,
        pools=tuple(pools.values()),
        models=tuple(_model(model, pools[model.pool], dedicated) for model in config.models),
        services=tuple(_service(service, pools[service.first.pool]) for service in stack_services(config)),
        idle_floor=tuple(floor_items(config)),
    )


def _model(model: Model, pool: PoolSummary, dedicated: dict[int, InstanceType | None]) -> ModelFigures:
    memory = memory_of(model)
    assert memory is not None, f"{model.name}: the configuration lets only known models pass"
    if memory.total_mib not in dedicated:
        dedicated[memory.total_mib] = dedicated_gpu(memory)
    return ModelFigures(
        config=model,
        memory=memory,
        slot_memory_mib=pool.slot_memory_mib,
        usd_per_slot_hour=pool.usd_per_slot_hour,
        dedicated=dedicated[memory.total_mib],
    )


def _service(service: Service, pool: PoolSummary) -> ServiceFigures:
    alone = [replace(service, models=(model,)) for model in service.models] if len(service.models) > 1 else []
    return ServiceFigures(
        service=service,
        start=service.cold_start(pool.pool),
        usd_per_slot_hour=pool.usd_per_slot_hour,
        alone=tuple((each.first.name, each.cold_start(pool.pool)) for each in alone),
    )


def _comparison(pools: Sequence[PoolSummary], models: Sequence[ModelFigures]) -> Comparison | None:
    # Models of one server take one slot together.
    per_pool = Counter(pool for pool, _ in {(model.config.pool, service_name(model.config)) for model in models})
    nodes: dict[str, int] = {}
    shared = 0.0
    for summary in pools:
        count = per_pool[summary.pool.name]
        if not count:
            continue
        if summary.price is None:
            return None
        nodes[summary.pool.name] = -(-count // summary.price.slots)
        shared += nodes[summary.pool.name] * summary.price.usd_per_hour(summary.pool.capacity_type)
    own = [model.dedicated.on_demand_usd_per_hour if model.dedicated else None for model in models]
    known = [price for price in own if price is not None]
    if not known or len(known) < len(own):
        return None
    return Comparison(nodes=nodes, shared_usd_per_hour=shared, dedicated_usd_per_hour=sum(known))


def profile_text(profile: SharingProfile) -> str:
    """A sharing profile in a few words, such as `time-slicing, 3 replicas`."""
    match profile:
        case TimeSlicing():
            return f"{profile.strategy}, {profile.replicas} replicas"
        case Mps():
            # Also when it is alone: unlike a slice of time, a share of threads is not lent.
            return f"mps, {profile.replicas} replicas ≤ {profile.active_thread_percentage} %"
        case Mig():
            return f"mig {profile.profile}"
        case _:
            return "one slot per GPU"


def prices_note(region: str) -> str:
    """Where the prices come from, and what they are not."""
    elsewhere = "" if region == prices.PRICE_REGION else f"; those of {region} differ"
    return (
        f"GPU and node prices of {prices.PRICES_DATE}, service prices of {prices.SERVICE_PRICES_DATE}, in USD for "
        f"{prices.PRICE_REGION} and Linux, without traffic and tax{elsewhere}. Spot prices are estimates by instance "
        "family: real ones move by the hour and the zone."
    )
