"""The bill of a stack for a month: the floor, what always runs, what is used, traffic and logs; line by line.

All prices are USD of the stack's region, for 730 hours; a line whose price is not known has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from config.pool_schema import GpuPool
from config.pools import network_zones
from config.schedule import parse_schedule
from config.schema import StackConfig, Usage, UsageOf, Workload
from config.services import Service, memory_of, slots_of, stack_services, warm_hours_per_month
from gpu.bill import (
    Consumer,
    Line,
    Part,
    Spread,
    asked_usd,
    ceiling_usd_per_hour,
    more_hours,
    most_hours,
    most_nodes,
    node_peak,
    standing_usd,
    sum_of,
    volume_usd_per_hour,
)
from gpu.coldstart import IMAGE_MB
from gpu.compare import HOURS_PER_DAY
from gpu.estimate import BOUGHT, CostItem, FloorInputs, idle_floor
from gpu.pool import Pool
from gpu.prices import HOURS_PER_MONTH, product, total
from gpu.sharing import AMIS
from gpu.standing import CONVERSATIONS_GIB, CUDA_EXAMPLE, INTERFACE_SERVICES, KMS_KEYS, SYSTEM_VOLUME_GIB, nat_zones
from gpu.weights import WEIGHTS

DAYS_PER_MONTH = HOURS_PER_MONTH / HOURS_PER_DAY
_MB_PER_MIB = 2**20 / 1e6
#: Bottlerocket's own volume, beside that for images (`components.karpenter.node_class`), in GiB.
_SYSTEM_GIB = 4
#: Images of ECR come over S3's gateway, which costs nothing.
_ECR = ".dkr.ecr."


def zones(config: StackConfig) -> tuple[str, ...]:
    """Zone ids of the network: those of the stack file, else those that offer the pools' types."""
    types = [t for pool in config.gpu_pools.values() for t in pool.types]
    return config.network.zone_ids or network_zones(config.region, types)


# --- Who holds slots --------------------------------------------------------------------------------------------------


def consumers(config: StackConfig) -> list[Consumer]:
    """All that hold slots: models, workloads, the example, and slots that are kept warm."""
    pools, known = config.gpu_pools, {entry.name: entry for entry in config.usage.each}
    found = [_service(service, pools[service.first.pool], config.usage, known) for service in stack_services(config)]
    found += [_workload(workload, pools[workload.pool], config.usage, known) for workload in config.workloads]
    if config.examples:
        entry, pool = known.get(CUDA_EXAMPLE), pools[config.pools[0].name]
        hours = _run_hours(config.usage, entry) if entry else 0.0
        found.append(Consumer(name=CUDA_EXAMPLE, kind="example", pool=pool, slots=1, hours=hours, part="on demand"))
    return [*found, *_warm(config)]


def _service(service: Service, pool: Pool, usage: Usage, known: dict[str, UsageOf]) -> Consumer:
    names = {service.name, *(model.name for model in service.models)}
    said = [known[name].hours_per_day for name in names if name in known]
    hours = max((each for each in said if each is not None), default=usage.hours_per_day)
    memories = [memory_of(model) for model in service.models]
    always = service.first.min_scale
    return Consumer(
        name=service.name,
        kind="model" if len(service.models) == 1 else "server",
        pool=pool,
        slots=always or 1,
        hours=HOURS_PER_MONTH if always else hours * DAYS_PER_MONTH,
        part="always" if always else "on demand",
        sleeps=not always,
        needs=tuple(memory.total_mib for memory in memories if memory),
    )


def _workload(workload: Workload, pool: Pool, usage: Usage, known: dict[str, UsageOf]) -> Consumer:
    entry, slots = known.get(workload.name), slots_of(workload)
    match workload.kind:
        case "Deployment":
            hours = float(HOURS_PER_MONTH)
        case "Job":
            hours = _run_hours(usage, entry)
        case "CronJob":
            hours = _run_hours(usage, entry, parse_schedule(workload.schedule or "").runs_per_year / 12)
        case _:
            assert_never(workload.kind)
    held = pool.held_slots(slots)
    return Consumer(
        name=workload.name,
        kind=workload.kind,
        pool=pool,
        slots=workload.replicas * held,
        hours=hours,
        part="always" if workload.kind == "Deployment" else "on demand",
        # A GPU of its own for each slot: of several whole GPUs each holds its part.
        needs=(-(-workload.gpu_memory_mib // slots),) if workload.gpu_memory_mib else (),
    )


def _run_hours(usage: Usage, entry: UsageOf | None, scheduled: float | None = None) -> float:
    """Hours of a Job's runs in a month. scheduled: runs a month by its schedule, where it has one."""
    runs, hours = usage.runs_per_month if scheduled is None else scheduled, usage.hours_per_run
    if entry and entry.runs_per_month is not None:
        runs = entry.runs_per_month
    if entry and entry.hours_per_run is not None:
        hours = entry.hours_per_run
    return min(runs * hours, HOURS_PER_MONTH)


def _warm(config: StackConfig) -> Iterator[Consumer]:
    for section in config.pools:
        if section.warm:
            yield Consumer(
                name=f"{section.name}, kept warm",
                kind="warm slots",
                pool=config.gpu_pools[section.name],
                slots=section.warm.slots,
                hours=warm_hours_per_month(section),
                part="always",
            )


# --- The floor --------------------------------------------------------------------------------------------------------


def floor_items(config: StackConfig) -> Sequence[CostItem]:
    """What the stack costs in a month when no GPU and no CPU pool node runs, item by item."""
    zone_ids = zones(config)
    nodes = config.cluster.system_nodes
    return idle_floor(
        FloorInputs(
            system_node_type=nodes.instance_types[0],
            system_nodes=nodes.desired,
            system_volume_gib=SYSTEM_VOLUME_GIB,
            nat_gateways=len(nat_zones(config.network.nat, zone_ids)),
            kms_keys=KMS_KEYS,
            interface_endpoints=len(INTERFACE_SERVICES) if config.network.interface_endpoints else 0,
            zones=len(zone_ids),
            load_balancers=1 if config.serving.door else 0,
            conversations_gib=_conversations_gib(config),
        ),
        config.prices,
    )


def _conversations_gib(config: StackConfig) -> int:
    dialogue = config.dialogue
    return CONVERSATIONS_GIB if config.models and dialogue and dialogue.image and dialogue.storage_class else 0


# --- The bill ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Bill:
    """A month's bill, USD. ceiling: all GPUs that `maxGpus` allows, around the clock, and the rest of the bill."""

    lines: tuple[Line, ...]
    ceiling: float | None

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parts that have a line, in their order."""
        return tuple(dict.fromkeys(line.part for line in self.lines))

    def of(self, *parts: Part) -> Spread | None:
        """The sum of some parts, or of all."""
        return sum_of([line for line in self.lines if not parts or line.part in parts])


def quiet_lines(config: StackConfig, holding: Sequence[Consumer]) -> list[Line]:
    """The floor, and what always runs: what the stack costs when nobody uses it."""
    floor = [
        Line("floor", item.name, item.detail, None if item.usd_per_month is None else Spread.even(item.usd_per_month))
        for item in floor_items(config)
    ]
    return [*floor, *_node_lines(config, holding, "always")]


def bill(config: StackConfig, holding: Sequence[Consumer]) -> Bill:
    """The bill of a stack. holding: its `consumers`."""
    lines = [*quiet_lines(config, holding), *_node_lines(config, holding, "on demand")]
    lines += [*_traffic(config, holding), _logs(config)]
    steady = sum_of([line for line in lines if line.part in ("floor", "traffic and logs")])
    nodes = total(ceiling_usd_per_hour(pool) for pool in config.gpu_pools.values())
    volumes = total(product(_most(config.gpu_pools[each.name]), _volume(each, config)) for each in config.pools)
    top = product(total([nodes, volumes]), HOURS_PER_MONTH)
    return Bill(lines=tuple(lines), ceiling=total([top, steady.high if steady else None]))


def _most(pool: Pool) -> int:
    return max(most_nodes(pool, t.name) for t in pool.types)


def _node_lines(config: StackConfig, holding: Sequence[Consumer], part: Part) -> Iterator[Line]:
    """Nodes and their volumes, pool by pool. On demand: what comes on top of what always runs."""
    for section in config.pools:
        pool = config.gpu_pools[section.name]
        standing, asked = _split(holding, pool)
        if part == "always" and standing:
            yield from _lines(section, config, standing, (), "always")
        if part == "on demand" and asked:
            yield from _lines(section, config, standing, asked, "on demand")


def _split(holding: Sequence[Consumer], pool: Pool) -> tuple[list[Consumer], list[Consumer]]:
    mine = [consumer for consumer in holding if consumer.pool is pool and consumer.slot_hours > 0]
    return [c for c in mine if c.part == "always"], [c for c in mine if c.part == "on demand"]


def _lines(
    section: GpuPool, config: StackConfig, standing: Sequence[Consumer], asked: Sequence[Consumer], part: Part
) -> Iterator[Line]:
    pool = config.gpu_pools[section.name]
    name, held = f"GPU nodes, {pool.name}", sum(consumer.slots for consumer in asked or standing)
    if pool.price is None:
        yield Line(part, name, "no price known", None)
        return
    if asked:
        hours, usd = more_hours(pool, pool.price, standing, asked), asked_usd(pool, standing, asked)
    else:
        hours, usd = more_hours(pool, pool.price, (), standing), standing_usd(pool, standing)
    where = f"{hours:,.0f} h of {pool.price.instance_type}, {BOUGHT[pool.capacity_type]}"
    # Who comes on demand may find room on nodes that are there anyway.
    where = where if hours else "free on nodes that always run"
    yield Line(part, name, f"{held} slot{'' if held == 1 else 's'}, {where}", usd)
    each, most = _volume(section, config), max(hours, most_hours(pool, standing, asked))
    volumes = None if each is None else Spread(hours * each, hours * each, most * each)
    yield Line(part, f"Volumes, {pool.name}", f"{hours:,.0f} h of {section.volume.size_gib} GiB gp3", volumes)


def _volume(section: GpuPool, config: StackConfig) -> float | None:
    volume, system = section.volume, _SYSTEM_GIB if AMIS[section.ami].data_volume else 0
    size = volume.size_gib + system
    return volume_usd_per_hour(size, volume.iops, volume.throughput_mibps, config.prices.services)


# --- Traffic and logs -------------------------------------------------------------------------------------------------


def _traffic(config: StackConfig, holding: Sequence[Consumer]) -> Iterator[Line]:
    """What nodes that start anew fetch: through the NAT gateway, and from another zone where there is only one."""
    starts, services = config.usage.starts_per_day * DAYS_PER_MONTH, config.prices.services
    each = [_fetched_gb(section, config, holding) for section in config.pools]
    together, apart = sum(gb for gb, _ in each), sum(gb for _, gb in each)
    if not apart:
        return
    detail = f"{together:.1f} GB a start, {starts:.0f} starts"
    yield _by_gb("Images and weights", f"{detail}, through NAT", services.nat_gateway_per_gb, starts, together, apart)
    count = len(zones(config))
    if config.network.nat == "single" and count > 1:
        both = product(2, services.between_zones_per_gb)
        crossing = (count - 1) / count * together
        yield _by_gb("Between zones", f"{crossing:.1f} GB a start, both ways", both, starts, crossing, apart, low=0.0)


def _by_gb(
    name: str, detail: str, usd_per_gb: float | None, starts: float, gb: float, most: float, low: float | None = None
) -> Line:
    if usd_per_gb is None:
        return Line("traffic and logs", name, detail, None)
    usd = starts * usd_per_gb
    return Line("traffic and logs", name, detail, Spread((gb if low is None else low) * usd, gb * usd, most * usd))


def _fetched_gb(section: GpuPool, config: StackConfig, holding: Sequence[Consumer]) -> tuple[float, float]:
    """GB that a pool's nodes fetch when its sleeping models start: together on as few as hold them, and on one each.

    Nodes that always run have image and weights after their first start, which is not counted.
    """
    pool = config.gpu_pools[section.name]
    standing, asked = _split(holding, pool)
    waking = [consumer for consumer in asked if consumer.sleeps]
    if section.volume.snapshot_id or not waking:
        return 0.0, 0.0
    by_name = {service.name: service for service in stack_services(config)}
    parts = [_image_and_weights_mb(by_name[consumer.name]) for consumer in waking]
    images, weights = [image for image, _ in parts], sum(own for _, own in parts)
    new = node_peak([*standing, *waking], pool.slots_per_node) - node_peak(standing, pool.slots_per_node)
    together = new * max(images) + weights if new else 0.0
    return together / 1000, (sum(images) + weights) / 1000


def _image_and_weights_mb(service: Service) -> tuple[float, float]:
    """MB of the server's image and of the weights that come through the NAT gateway."""
    source, image = service.first.weights.source, service.first.weights.image
    by_gateway = image is not None and _ECR in image
    traits = WEIGHTS[source]
    weights = 0.0 if by_gateway else service.weights_mib * _MB_PER_MIB
    return (0.0 if by_gateway and not traits.mounted else float(IMAGE_MB)), weights


def _logs(config: StackConfig) -> Line:
    services, written, days = config.prices.services, config.usage.log_gb_per_month, config.cluster.log_retention_days
    kept = days / DAYS_PER_MONTH
    usd = product(written, total([services.log_ingestion_per_gb, product(kept, services.log_storage_per_gb_month)]))
    detail = f"{written:g} GB written, kept {days} days"
    return Line("traffic and logs", "Logs", detail, None if usd is None else Spread.even(usd))
