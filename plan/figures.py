"""What the domain makes of a stack: slots of its pools, memory of its models, and what it all costs.

Prices are USD, those of the stack's region; Spot prices are estimates (`gpu.prices`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from config.pool_schema import GpuPool
from config.schema import Model, StackConfig
from config.services import Service, memory_of, service_name
from gpu.catalog import InstanceType
from gpu.coldstart import ColdStart
from gpu.estimate import CostItem, dedicated_gpu, total_usd_per_month
from gpu.models import ModelMemory
from gpu.pool import Pool
from gpu.prices import CapacityType, RegionPrices, priced_regions
from stacks.summary import floor_items, stack_services


@dataclass(frozen=True, kw_only=True)
class ModelFigures:
    """A served model and the slot it runs in. Memory in MiB, prices in USD per hour."""

    config: Model
    memory: ModelMemory
    slot_memory_mib: int
    pool: Pool
    dedicated: InstanceType | None
    """Cheapest type whose single GPU holds the model alone, bought as its pool buys.

    None where none with a known price does.
    """

    @property
    def usd_per_slot_hour(self) -> float | None:
        """Price of its slot on a node whose slots are all taken."""
        return self.pool.usd_per_slot_hour

    @property
    def dedicated_usd_per_hour(self) -> float | None:
        """Price of the GPU of its own, bought as its pool buys: an estimate for Spot."""
        if self.dedicated is None:
            return None
        return self.pool.prices.node_usd_per_hour(self.dedicated.name, self.pool.capacity_type)

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
class PoolComparison:
    """The models of one pool at the same time: slots that they take, whole nodes for these, prices in USD per hour."""

    taken: int
    slots: int
    nodes: int
    shared_usd_per_hour: float
    dedicated_usd_per_hour: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All models at the same time, in USD per hour: on whole nodes of their pools, against a GPU for each.

    Both are bought alike: Spot where the pool is Spot, on-demand where it is not.
    """

    pools: Mapping[str, PoolComparison]

    @property
    def nodes(self) -> Mapping[str, int]:
        """How many of its cheapest nodes each pool needs."""
        return {name: pool.nodes for name, pool in self.pools.items()}

    @property
    def shared_usd_per_hour(self) -> float:
        """All nodes."""
        return sum(pool.shared_usd_per_hour for pool in self.pools.values())

    @property
    def dedicated_usd_per_hour(self) -> float:
        """A GPU for each model."""
        return sum(pool.dedicated_usd_per_hour for pool in self.pools.values())


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A stack in figures."""

    config: StackConfig
    pools: tuple[Pool, ...]
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
    pools, sections = config.gpu_pools, {section.name: section for section in config.pools}
    dedicated: dict[tuple[int, CapacityType], InstanceType | None] = {}
    return Figures(
        config=config,
        pools=tuple(pools.values()),
        models=tuple(_model(model, pools[model.pool], dedicated) for model in config.models),
        services=tuple(
            _service(service, pools[service.first.pool], sections[service.first.pool])
            for service in stack_services(config)
        ),
        idle_floor=tuple(floor_items(config)),
    )


def _model(model: Model, pool: Pool, dedicated: dict[tuple[int, CapacityType], InstanceType | None]) -> ModelFigures:
    memory = memory_of(model)
    assert memory is not None, f"{model.name}: the configuration lets only known models pass"
    key = (memory.total_mib, pool.capacity_type)
    if key not in dedicated:
        dedicated[key] = dedicated_gpu(memory, pool.capacity_type, pool.prices)
    return ModelFigures(
        config=model,
        memory=memory,
        slot_memory_mib=pool.slot_memory_mib,
        pool=pool,
        dedicated=dedicated[key],
    )


def _service(service: Service, pool: Pool, section: GpuPool) -> ServiceFigures:
    alone = [replace(service, models=(model,)) for model in service.models] if len(service.models) > 1 else []
    return ServiceFigures(
        service=service,
        start=service.cold_start(section),
        usd_per_slot_hour=pool.usd_per_slot_hour,
        alone=tuple((each.first.name, each.cold_start(section)) for each in alone),
    )


def _comparison(pools: Sequence[Pool], models: Sequence[ModelFigures]) -> Comparison | None:
    # Models of one server take one slot together.
    per_pool = Counter(pool for pool, _ in {(model.config.pool, service_name(model.config)) for model in models})
    compared: dict[str, PoolComparison] = {}
    for summary in pools:
        name, taken = summary.name, per_pool[summary.name]
        own = [model.dedicated_usd_per_hour for model in models if model.config.pool == name]
        known = [price for price in own if price is not None]
        if not taken:
            continue
        if summary.price is None or len(known) < len(own):
            return None
        nodes = -(-taken // summary.price.slots)
        compared[name] = PoolComparison(
            taken=taken,
            slots=nodes * summary.price.slots,
            nodes=nodes,
            shared_usd_per_hour=nodes * summary.price.usd_per_hour(summary.capacity_type),
            dedicated_usd_per_hour=sum(known),
        )
    return Comparison(pools=compared) if compared else None


def prices_note(prices: RegionPrices) -> str:
    """Where the prices come from, and what they are not."""
    region, nodes, services = prices.region, prices.on_demand_date, prices.services.date
    if nodes is None:
        known = ", ".join(priced_regions())
        return f"No prices of {region} are known, so nothing is priced; those of other regions differ. Known: {known}."
    also = f", service prices of {services}" if services else ""
    missing = "" if services else f"; no service prices of {region} are known"
    return (
        f"GPU and node prices of {nodes}{also}, in USD for {region} and Linux, without traffic and tax{missing}. "
        "Spot prices are estimates by instance family: real ones move by the hour and the zone."
    )
