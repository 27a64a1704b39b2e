"""What the domain makes of a stack: slots of its pools, memory of its models, and what it all costs.

Prices are USD, those of the stack's region; Spot prices are estimates (`gpu.prices`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

from config.bill import Bill, bill
from config.consumers import consumers
from config.errors import listed
from config.placing import Placement, placements
from config.pool_schema import GpuPool
from config.schema import Model, StackConfig
from config.services import Service, memory_of, service_claim, stack_services
from config.tokens import TokenCosts, token_costs
from gpu.bill import Consumer, known_of, sum_of
from gpu.catalog import InstanceType
from gpu.coldstart import ColdStart
from gpu.compare import Comparison, compare
from gpu.estimate import dedicated_gpu
from gpu.models import ModelMemory
from gpu.pool import Pool
from gpu.prices import FRESH_DAYS, CapacityType, PriceTable, RegionPrices
from plan.claims import ClaimFigures, claim_figures
from plan.errors import as_called
from plan.hosts import HostFigures, host_figures
from plan.work import WorkFigures, work_figures


@dataclass(frozen=True, kw_only=True)
class ModelFigures:
    """A served model and the slot it runs in, or the claim. Memory in MiB, prices in USD per hour."""

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
class Figures:
    """A stack in figures."""

    config: StackConfig
    pools: tuple[Pool, ...]
    models: tuple[ModelFigures, ...]
    services: tuple[ServiceFigures, ...]
    consumers: tuple[Consumer, ...]
    """All that hold slots: services, workloads, the example, slots that are kept warm."""
    placements: tuple[Placement, ...]
    """Where work goes that says what it needs in place of a pool or slots."""
    work: tuple[WorkFigures, ...]
    """Services and workloads, with where they may run."""
    bill: Bill
    today: date
    """The day against which prices are old."""

    @property
    def idle_usd_per_month(self) -> float | None:
        """The floor and what always runs: what the stack costs when nobody uses it."""
        quiet = self.bill.of("floor", "always")
        return quiet.expected if quiet else None

    @cached_property
    def token_costs(self) -> list[TokenCosts]:
        """What tokens cost, of models whose rate the stack file says."""
        return token_costs(self.config, self.consumers, self.bill)

    @property
    def budget_share(self) -> float | None:
        """Part of the budget that is expected to be spent, by what is known; None without one, or where nothing is."""
        known, budget = sum_of(known_of(self.bill.lines)), self.config.budget
        return known.expected / budget.monthly_usd if known and known.expected and budget else None

    @cached_property
    def claims(self) -> tuple[ClaimFigures, ...]:
        """What claims of memory come to, pool by pool."""
        return tuple(claim_figures(self.pools, self.consumers))

    @cached_property
    def hosts(self) -> tuple[HostFigures, ...]:
        """What pods with slots take of their nodes beside the GPU, pool by pool."""
        return tuple(host_figures(self.pools, self.consumers))

    @cached_property
    def comparison(self) -> Comparison | None:
        """The same work shared and not, on Spot and not, asleep and not."""
        return compare(self.consumers)


def figures(config: StackConfig) -> Figures:
    """The figures of a stack."""
    pools, sections = config.gpu_pools, {section.name: section for section in config.pools}
    holding = tuple(consumers(config))
    dedicated: dict[tuple[int, CapacityType], InstanceType | None] = {}
    claims = {
        model.name: service_claim(service, pools[service.first.pool])
        for service in stack_services(config)
        for model in service.models
    }
    return Figures(
        config=config,
        pools=tuple(pools.values()),
        models=tuple(_model(model, pools[model.pool], dedicated, claims) for model in config.models),
        services=tuple(
            _service(service, pools[service.first.pool], sections[service.first.pool])
            for service in stack_services(config)
        ),
        consumers=holding,
        placements=tuple(placements(config)),
        work=work_figures(config),
        bill=bill(config, holding),
        today=date.today(),
    )


def _model(
    model: Model,
    pool: Pool,
    dedicated: dict[tuple[int, CapacityType], InstanceType | None],
    claims: Mapping[str, int],
) -> ModelFigures:
    memory = memory_of(model)
    assert memory is not None, f"{model.name}: the configuration lets only known models pass"
    key = (memory.total_mib, pool.capacity_type)
    if key not in dedicated:
        dedicated[key] = dedicated_gpu(memory, pool.capacity_type, pool.prices)
    return ModelFigures(
        config=model,
        memory=memory,
        slot_memory_mib=claims.get(model.name) or pool.slot_memory_mib,
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


def prices_note(prices: RegionPrices) -> str:
    """Where the prices come from and of which day they are, and what they are not."""
    region = prices.region
    if not prices.on_demand:
        return as_called(
            f"No prices of {region} are known, so nothing is priced; those of other regions differ. "
            f"`slices prices refresh --region {region}` asks AWS for them."
        )
    sources: dict[tuple[str | None, str], list[str]] = {}
    for each in prices.tables:
        sources.setdefault((each.date, each.source), []).append(each.what)
    tables = "; ".join(f"{listed(what, 'and')} {_of_day(day)} ({source})" for (day, source), what in sources.items())
    missing = "" if prices.services.date else f" No service prices of {region} are known."
    spot = "move by the hour and the zone." if prices.spot_seen else "are estimates by instance family: real ones move."
    if prices.spot_seen and prices.estimated_families:
        spot = "move by the hour and the zone; of families with a discount they are estimates."
    return f"In USD for {region} and Linux, without tax: {tables}.{missing} Spot prices {spot}"


def prices_warnings(prices: RegionPrices, today: date) -> list[str]:
    """What is wrong with the prices: too old, of a day to come, or a file that cannot be read."""
    ask = as_called(f"`slices prices refresh --region {prices.region}`")
    found = [f"{prices.problem}: it is not used; {ask} writes it anew."] if prices.problem else []
    coming = [each for each in prices.tables if each.is_of_the_future(today)]
    if coming:
        found.append(
            f"Of a day that is still to come: {_by_day(coming)}. This machine's clock is wrong, or that of who "
            f"asked; {ask} writes today's."
        )
    old = [each for each in prices.tables if each.is_old(today)]
    if asked := [each for each in old if each.what != "Spot interruptions"]:
        found.append(f"Older than {FRESH_DAYS} days: {_by_day(asked)}. {ask} asks AWS for today's.")
    if told := [each for each in old if each.what == "Spot interruptions"]:
        found.append(f"Older than {FRESH_DAYS} days: {_by_day(told)}; no API of AWS' tells newer ones.")
    return found


def _by_day(tables: Sequence[PriceTable]) -> str:
    days: dict[str | None, list[str]] = {}
    for each in tables:
        days.setdefault(each.date, []).append(each.what)
    return "; ".join(f"{listed(what, 'and')} {_of_day(day)}" for day, what in days.items())


def _of_day(day: str | None) -> str:
    return f"of {day}" if day else "of a day that their source does not say"
