"""The bill of a stack for a month: the floor, what always runs, what is used, traffic and logs; line by line.

All prices are USD of the stack's region, for 730 hours; a line whose price is not known has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal, assert_never

from pydantic.alias_generators import to_camel

import versions
from config.errors import counted, listed
from config.pool_schema import GpuPool
from config.pools import network_zones, reservations_shared
from config.quantities import cpu_millis, memory_mib
from config.schedule import parse_schedule
from config.schema import StackConfig, Usage, UsageOf, Workload
from config.services import (
    Service,
    memory_of,
    service_claim,
    slots_of,
    stack_services,
    warm_hours_per_month,
    workload_claim,
)
from gpu.bill import (
    Consumer,
    Line,
    Part,
    Reasons,
    Spread,
    asked_reasons,
    block_reasons,
    bought_words,
    gpu_mib_of,
    node_of,
    node_peak,
    reserved_reasons,
    standing_reasons,
    sum_of,
    why_ceiling,
    why_more_hours,
    why_most_hours,
    why_most_standing_hours,
    why_volume,
)
from gpu.checkpoints import KEPT, PART_MB, REQUESTS_BESIDE
from gpu.coldstart import IMAGE_MB
from gpu.compare import HOURS_PER_DAY
from gpu.durations import seconds
from gpu.estimate import MONTH, CostItem, FloorInputs, Kept, idle_floor, kept_items
from gpu.host_share import HostShare
from gpu.pool import Pool
from gpu.prices import HOURS_PER_MONTH
from gpu.registries import ecr_registry, in_mirror
from gpu.sharing import AMIS
from gpu.standing import CONVERSATIONS_GIB, CUDA_EXAMPLE, INTERFACE_SERVICES, KMS_KEYS, SYSTEM_VOLUME_GIB, nat_zones
from gpu.weights import WEIGHTS
from gpu.why import Why, given, most, plus, times

NodePart = Literal["always", "on demand"]

DAYS_PER_MONTH = HOURS_PER_MONTH / HOURS_PER_DAY
#: Hours of a month in which schedules count their runs: leap days are in it.
_HOURS_OF_SCHEDULES = 365.25 / 12 * HOURS_PER_DAY
_MB_PER_MIB = 2**20 / 1e6
#: Bottlerocket's own volume, beside that for images (`components.karpenter.node_class`), in GiB.
_SYSTEM_GIB = 4


def zones(config: StackConfig) -> tuple[str, ...]:
    """Zone ids of the network: those of the stack file, else those that offer the pools' types."""
    types = [t for pool in config.gpu_pools.values() for t in pool.types]
    return config.network.zone_ids or network_zones(config.region, types)


# --- Who holds slots --------------------------------------------------------------------------------------------------


def consumers(config: StackConfig) -> list[Consumer]:
    """All that hold slots: models, workloads, the example, slots that are kept warm, and nodes that always stand."""
    pools, known = config.gpu_pools, {entry.name: entry for entry in config.usage.each}
    found = [_service(service, pools[service.first.pool], config.usage, known) for service in stack_services(config)]
    stays = {section.name: seconds(section.consolidate_after) / 3600 for section in config.pools}
    found += [_workload(each, pools[each.pool], config.usage, known, stays[each.pool]) for each in config.workloads]
    if config.examples:
        entry, pool = known.get(CUDA_EXAMPLE), pools[config.pools[0].name]
        hours = min(_run_hours(config.usage, entry), HOURS_PER_MONTH) if entry else 0.0
        idle = _runs(config.usage, entry, None) * stays[pool.name] if entry else 0.0
        example = Consumer(name=CUDA_EXAMPLE, kind="example", pool=pool, slots=1, hours=hours, part="on demand")
        found.append(replace(example, idle=idle))
    return [*found, *_warm(config), *_static(config)]


def _service(service: Service, pool: Pool, usage: Usage, known: dict[str, UsageOf]) -> Consumer:
    names = {service.name, *(model.name for model in service.models)}
    said = [hours for name in names if name in known and (hours := known[name].hours_per_day) is not None]
    hours = max(said, default=usage.hours_per_day)
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
        hours_from="minScale" if always else "usage.each" if said else _said(usage, "hours_per_day"),
        claim_mib=service_claim(service, pool),
    )


def _said(usage: Usage, field: str) -> str:
    """A key of `usage`, and whether the stack file has it."""
    return f"usage.{to_camel(field)}{'' if field in usage.model_fields_set else ', supposed'}"


def _workload(workload: Workload, pool: Pool, usage: Usage, known: dict[str, UsageOf], stays_hours: float) -> Consumer:
    """stays_hours: for which a node of the pool stays after the last of its slots is free."""
    entry, slots, at_once = known.get(workload.name), slots_of(workload), 1
    pods, always = workload.most_replicas, workload.kind == "Deployment"
    match workload.kind:
        case "Deployment":
            hours, hours_from = float(HOURS_PER_MONTH), "a Deployment never sleeps"
            if workload.autoscaling:
                hours_from = f"{hours_from}, and may have all of autoscaling.maxReplicas"
        case "Job":
            hours, hours_from = _run_hours(usage, entry), f"{_said(usage, 'runs_per_month')}, or usage.each"
        case "CronJob":
            hours = _run_hours(usage, entry, _scheduled_runs(workload))
            hours_from = f"its schedule and {_said(usage, 'hours_per_run')}"
            if workload.concurrency_policy == "Allow" and hours > HOURS_PER_MONTH:
                # More hours than a month has: runs stand beside each other, each with slots of its own.
                at_once = ceil(round(hours / _HOURS_OF_SCHEDULES, 6))
                hours, hours_from = hours / at_once, f"{hours_from}, {at_once} runs at once"
        case "KnativeService":
            pods, always = workload.min_scale or 1, workload.min_scale > 0
            said = entry.hours_per_day if entry else None
            hours = HOURS_PER_MONTH if always else (usage.hours_per_day if said is None else said) * DAYS_PER_MONTH
            hours_from = _said(usage, "hours_per_day") if said is None else "usage.each"
            hours_from = "minScale" if always else hours_from
        case _:
            assert_never(workload.kind)
    held = pool.held_slots(slots)
    return Consumer(
        name=workload.name,
        kind=workload.kind,
        pool=pool,
        slots=at_once * pods * held,
        hours=min(hours, HOURS_PER_MONTH),
        part="always" if always else "on demand",
        sleeps=workload.kind == "KnativeService" and not always,
        hours_from=hours_from,
        idle=_idle_hours(workload, usage, entry, stays_hours),
        # A GPU of its own for each slot: of several whole GPUs each holds its part.
        needs=(-(-workload.gpu_memory_mib // slots),) if workload.gpu_memory_mib else (),
        claim_mib=workload_claim(workload, pool),
        host=_asked(workload) if pool.claims else None,
    )


def _asked(workload: Workload) -> HostShare:
    """What the containers of a pod ask of its node together."""
    return HostShare(
        sum(cpu_millis(container.cpu) for container in workload.containers),
        sum(memory_mib(container.memory) for container in workload.containers),
    )


def _idle_hours(workload: Workload, usage: Usage, entry: UsageOf | None, stays_hours: float) -> float:
    """Hours of a month for which nodes stay after runs: until the next run of a schedule at most."""
    if not workload.ends:
        return 0.0
    runs = _runs(usage, entry, _scheduled_runs(workload))
    if workload.schedule is None:
        return runs * stays_hours
    run_hours = _hours_per_run(usage, entry)
    gaps = [gap / 60 for gap in parse_schedule(workload.schedule).gaps]
    return runs * sum(min(stays_hours, max(0.0, gap - run_hours)) for gap in gaps) / len(gaps)


def _run_hours(usage: Usage, entry: UsageOf | None, scheduled: float | None = None) -> float:
    """Hours of all runs of a Job in a month, which may be more than it has. scheduled: runs a month by its schedule."""
    return _runs(usage, entry, scheduled) * _hours_per_run(usage, entry)


def _hours_per_run(usage: Usage, entry: UsageOf | None) -> float:
    return entry.hours_per_run if entry and entry.hours_per_run is not None else usage.hours_per_run


def _runs(usage: Usage, entry: UsageOf | None, scheduled: float | None) -> float:
    runs = usage.runs_per_month if scheduled is None else scheduled
    return entry.runs_per_month if entry and entry.runs_per_month is not None else runs


def _scheduled_runs(workload: Workload) -> float | None:
    """Runs of a CronJob in a month; None of what has no schedule."""
    return parse_schedule(workload.schedule).runs_per_year / 12 if workload.schedule else None


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
                hours_from="warm",
            )


def _static(config: StackConfig) -> Iterator[Consumer]:
    """Nodes that always stand. Whoever holds slots of theirs adds nothing: no pool has more nodes than it may."""
    for pool in config.gpu_pools.values():
        if pool.static is not None:
            slots = max((price.slots for price in pool.node_prices), default=pool.max_slots // pool.static)
            yield Consumer(
                name=f"{pool.name}, static",
                kind="static nodes",
                pool=pool,
                slots=pool.static * slots,
                hours=HOURS_PER_MONTH,
                part="always",
                hours_from="static",
            )


# --- The floor --------------------------------------------------------------------------------------------------------


def floor_items(config: StackConfig) -> Sequence[CostItem]:
    """What the stack costs in a month when no GPU and no CPU pool node runs, item by item."""
    if config.cluster.existing:
        # Its control plane, nodes and gateways are there with and without the stack.
        return [
            CostItem(
                f"Cluster {config.cluster.existing}",
                "existing, and no cost of this stack",
                given("what is there without the stack", 0, "USD"),
            ),
            *kept_items(_kept(config), config.prices),
        ]
    zone_ids = zones(config)
    nodes = config.cluster.system_nodes
    there = config.network.existing is not None
    made = idle_floor(
        FloorInputs(
            system_node_types=tuple(nodes.instance_types),
            system_nodes=nodes.desired,
            system_capacity_type=nodes.capacity_type,
            public_addresses=nodes.desired if config.network.nat == "none" else 0,
            system_volume_gib=SYSTEM_VOLUME_GIB,
            nat_gateways=0 if there else len(nat_zones(config.network.nat, zone_ids)),
            kms_keys=KMS_KEYS,
            interface_endpoints=len(INTERFACE_SERVICES) if config.network.interface_endpoints else 0,
            zones=len(zone_ids),
            load_balancers=1 if config.serving.door else 0,
            kept=_kept(config),
            monitoring=config.monitoring.backend,
            figures_gib=config.monitoring.volume_gib,
        ),
        config.prices,
    )
    return [*made, _NETWORK_THERE] if there else made


#: In the floor, so that nobody takes the bill for all of it.
_NETWORK_THERE = CostItem(
    "Network",
    "existing: its gateways and endpoints, and what passes them, are no cost of this stack",
    given("what is there without the stack", 0, "USD"),
)


def _kept(config: StackConfig) -> Kept:
    dialogue = config.dialogue if config.models else None
    mirror = config.cluster.registry_mirror
    return Kept(
        volume_gib=CONVERSATIONS_GIB if dialogue and dialogue.on_volume else 0,
        table_gib=CONVERSATIONS_GIB if dialogue and dialogue.image and dialogue.store == "dynamodb" else 0,
        # The server's image is nearly all that a stack pulls; whatever else the mirror holds, others may share.
        images_gb=IMAGE_MB / 1000 if config.models and mirror and ecr_registry(mirror) else 0.0,
    )


def _floor_reasons(item: CostItem) -> Reasons:
    low, high = item.range or (item.why, item.why)
    return Reasons(low, item.why, high)


# --- The bill ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Bill:
    """A month's bill, USD. ceiling: all GPUs that `maxGpus` allows, around the clock, and the rest of the bill."""

    lines: tuple[Line, ...]
    why_ceiling: Why

    @property
    def ceiling(self) -> float | None:
        """The sum of `why_ceiling`."""
        return self.why_ceiling.value

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parts that have a line, in their order."""
        return tuple(dict.fromkeys(line.part for line in self.lines))

    def of(self, *parts: Part) -> Spread | None:
        """The sum of some parts, or of all."""
        return sum_of([line for line in self.lines if not parts or line.part in parts])


def quiet_lines(config: StackConfig, holding: Sequence[Consumer]) -> list[Line]:
    """The floor, and what always runs: what the stack costs when nobody uses it."""
    floor = [Line.reckoned("floor", item.name, item.detail, _floor_reasons(item)) for item in floor_items(config)]
    return [*floor, *_node_lines(config, holding, "always")]


def bill(config: StackConfig, holding: Sequence[Consumer]) -> Bill:
    """The bill of a stack. holding: its `consumers`."""
    lines = [*quiet_lines(config, holding), *_node_lines(config, holding, "on demand")]
    lines += _traffic(config, holding)
    lines += _checkpoints(config)
    if not config.cluster.existing:
        lines.append(_logs(config))
    pools = config.gpu_pools
    # A capacity block is not paid by the hour.
    nodes = plus(*(why_ceiling(pool) for pool in pools.values() if not pool.block))
    blocks = [
        block_reasons(pools[each.name], each.upfront_fee_usd).high for each in config.pools if pools[each.name].block
    ]
    volumes = plus(*(times(_most(pools[each.name]), plus(*_beside_a_node(each, config))) for each in config.pools))
    steady = [given(line.name, line.usd.high if line.usd else None, "USD") for line in lines if line.part in _STEADY]
    return Bill(lines=tuple(lines), why_ceiling=plus(times(plus(nodes, volumes), MONTH), *blocks, *steady))


#: Parts that do not depend on how many GPU nodes there are.
_STEADY: tuple[Part, ...] = ("floor", "traffic and logs")


def _most(pool: Pool) -> Why:
    return given(f"volumes of {pool.name} within maxGpus", max(pool.most_nodes(t.name) for t in pool.types))


def _node_lines(config: StackConfig, holding: Sequence[Consumer], part: NodePart) -> Iterator[Line]:
    """Nodes and their volumes, pool by pool. On demand: what comes on top of what always runs."""
    for section in config.pools:
        pool = config.gpu_pools[section.name]
        if pool.purchase == "reserved" and part == "always":
            yield _reserved(section, pool, _on_the_same(section, config))
        standing, asked = _split(holding, pool)
        if standing if part == "always" else asked:
            yield from _lines(section, config, standing, asked, part)


def _on_the_same(section: GpuPool, config: StackConfig) -> str:
    """Pools that name a reservation of this one: whoever writes them parts its GPUs, which no stack file tells."""
    named = {
        name: sorted({term.id for term in terms if term.id})
        for name, terms in reservations_shared(section, config.pools).items()
    }
    told = [f"{listed(ids, 'and')} is pool {name}'s too" for name, ids in named.items() if ids]
    return f"; {listed(told, 'and')}: each counts its own maxGpus" if told else ""


def _reserved(section: GpuPool, pool: Pool, others: str) -> Line:
    """What is paid whether nodes run or not: reservations by the hour, a capacity block once, for all of its time.

    others: in words, which pools have a part of the same reservation.
    """
    gpus = counted(pool.max_gpus, "GPU")
    if not pool.block:
        detail = f"{gpus}, paid whether nodes run or not{others}"
        return Line.reckoned("always", f"Reserved capacity, {pool.name}", detail, reserved_reasons(pool), pool.name)
    fee = section.upfront_fee_usd
    how_much = "" if fee else "; how much is not known: write upfrontFeeUsd"
    detail = f"{gpus}, paid once, in advance, whether nodes run or not{others}{how_much}"
    line = Line.reckoned("always", f"Capacity block, {pool.name}", detail, block_reasons(pool, fee), pool.name)
    return replace(line, once=True)


def _split(holding: Sequence[Consumer], pool: Pool) -> tuple[list[Consumer], list[Consumer]]:
    mine = [consumer for consumer in holding if consumer.pool is pool and consumer.slot_hours > 0]
    return [c for c in mine if c.part == "always"], [c for c in mine if c.part == "on demand"]


def _lines(
    section: GpuPool, config: StackConfig, standing: Sequence[Consumer], asked: Sequence[Consumer], part: NodePart
) -> Iterator[Line]:
    pool = config.gpu_pools[section.name]
    always = part == "always"
    name, held = f"GPU nodes, {pool.name}", sum(consumer.slots for consumer in (standing if always else asked))
    reasons = standing_reasons(pool, standing, asked) if always else asked_reasons(pool, standing, asked)
    node = node_of(pool, [*standing, *asked])
    if node is None:
        yield Line.reckoned(part, name, "no price known", reasons, pool.name)
        return
    if always:
        hours = why_more_hours(pool, node, (), standing)
        longest = most(hours, why_most_standing_hours(pool, standing))
    else:
        hours = why_more_hours(pool, node, standing, asked)
        longest = most(hours, why_most_hours(pool, standing, asked))
    where = f"{hours.value:,.0f} h of {node.instance_type}, {bought_words(pool)}"
    # Who comes on demand may find room on nodes that are there anyway.
    where = where if hours.value else "free on nodes that always run"
    if pool.purchase != "reserved":
        who = counted(held, "claim" if pool.claims else "slot")
        who = "nodes that always stand" if always and pool.static is not None else who
        yield Line.reckoned(part, name, f"{who}, {where}", reasons, pool.name)

    def hourly(each: Why) -> Reasons:
        usual = times(hours, each)
        return Reasons(usual, usual, times(longest, each))

    size = section.volume.size_gib + sum(volume.size_gib for volume in section.node_class.volumes)
    detail = f"{hours.value:,.0f} h of {size} GiB gp3"
    yield Line.reckoned(part, f"Volumes, {pool.name}", detail, hourly(_volume(section, config)), pool.name)
    if config.network.nat == "none":
        detail = f"{hours.value:,.0f} h of an IPv4 address"
        reasons = hourly(config.prices.services.why("public_ipv4_per_hour"))
        yield Line.reckoned(part, f"Public addresses, {pool.name}", detail, reasons, pool.name)


def _beside_a_node(section: GpuPool, config: StackConfig) -> Iterator[Why]:
    """What a node costs an hour beside its instance."""
    yield _volume(section, config)
    if config.network.nat == "none":
        yield config.prices.services.why("public_ipv4_per_hour")


def _volume(section: GpuPool, config: StackConfig) -> Why:
    """Of all volumes of a node."""
    volume, system = section.volume, _SYSTEM_GIB if AMIS[section.ami].data_volume else 0
    services = config.prices.services
    first = why_volume(volume.size_gib + system, volume.iops, volume.throughput_mibps, services)
    more = [why_volume(v.size_gib, v.iops, v.throughput_mibps, services) for v in section.node_class.volumes]
    return plus(first, *more) if more else first


# --- Traffic and logs -------------------------------------------------------------------------------------------------


def _traffic(config: StackConfig, holding: Sequence[Consumer]) -> Iterator[Line]:
    """What nodes that start anew fetch: through the NAT gateway, and from another zone where there is only one."""
    starts, price = config.usage.starts_per_day * DAYS_PER_MONTH, config.prices.services.why
    each = [_fetched_gb(section, config, holding) for section in config.pools]
    together, apart = sum(gb for gb, _ in each), sum(gb for _, gb in each)
    if not apart or config.network.nat == "none" or config.network.existing:
        return  # what comes from the Internet by its gateway costs nothing; of a network that is there the floor speaks
    start = given("starts of nodes in a month", starts, "", _said(config.usage, "starts_per_day"))
    usual, longest = (
        given(f"fetched by a start, {words}", gb, "GB")
        for words, gb in (("all on as few nodes as hold them", together), ("each on a node of its own", apart))
    )
    nat = price("nat_gateway_per_gb")
    low = times(usual, start, nat)
    detail = f"{together:.1f} GB a start, {starts:.0f} starts"
    by_nat = Reasons(low, low, times(longest, start, nat))
    yield Line.reckoned("traffic and logs", "Images and weights", f"{detail}, through NAT", by_nat)
    count = len(zones(config))
    if config.network.nat == "single" and count > 1:
        both = times(given("ways", 2), price("between_zones_per_gb"))
        others = given("part of the zones that has no NAT gateway", (count - 1) / count)
        crossing = times(others, usual, start, both)
        none = times(given("nodes in another zone than the NAT gateway, at best", 0), both)
        between = Reasons(none, crossing, times(longest, start, both))
        detail = f"{(count - 1) / count * together:.1f} GB a start, both ways"
        yield Line.reckoned("traffic and logs", "Between zones", detail, between)


def _fetched_gb(section: GpuPool, config: StackConfig, holding: Sequence[Consumer]) -> tuple[float, float]:
    """GB that a pool's nodes fetch when its sleeping models start: together on as few as hold them, and on one each.

    Nodes that always run have image and weights after their first start, which is not counted.
    """
    pool = config.gpu_pools[section.name]
    standing, asked = _split(holding, pool)
    by_name = {service.name: service for service in stack_services(config)}
    # How large the images of workloads are, nobody says.
    waking = [consumer for consumer in asked if consumer.sleeps and consumer.name in by_name]
    if section.volume.snapshot_id or section.static or not waking:
        return 0.0, 0.0
    parts = [_image_and_weights_mb(by_name[consumer.name], config) for consumer in waking]
    images, weights = [image for image, _ in parts], sum(own for _, own in parts)
    node = node_of(pool, [*standing, *waking])
    room = pool.slots_per_node, gpu_mib_of(node) if node else pool.smallest.gpu.memory.total_mib
    new = node_peak([*standing, *waking], *room) - node_peak(standing, *room)
    # Images may differ, since some hold weights or lie in ECR: the new nodes fetch the larger ones.
    together = sum(sorted(images, reverse=True)[:new]) + weights if new else 0.0
    return together / 1000, (sum(images) + weights) / 1000


def _image_and_weights_mb(service: Service, config: StackConfig) -> tuple[float, float]:
    """MB of the server's image and of the weights that come through the NAT gateway."""
    source, named = service.first.weights.source, service.first.weights.image
    server = named if named and not WEIGHTS[source].mounted else versions.OLLAMA_IMAGE
    image = 0.0 if _by_gateway(server, config) else float(IMAGE_MB)
    weights = 0.0 if named and _by_gateway(named, config) else service.weights_mib * _MB_PER_MIB
    return image, weights


def _by_gateway(image: str, config: StackConfig) -> bool:
    """Whether an image's layers come over S3's gateway, which costs nothing: those of ECR in the stack's region."""
    mirror = config.cluster.registry_mirror
    registry = ecr_registry(in_mirror(image, mirror) if mirror else image)
    return registry is not None and registry.region == config.region


def _checkpoints(config: StackConfig) -> Iterator[Line]:
    """What S3 asks for the checkpoints of Jobs: writes while they run, and what every run leaves for a month."""
    price = config.prices.services.why
    known = {entry.name: entry for entry in config.usage.each}
    for workload in config.workloads:
        checkpoint = workload.checkpoint
        if checkpoint is None:
            continue
        entry, scheduled = known.get(workload.name), _scheduled_runs(workload)
        runs, hours = _runs(config.usage, entry, scheduled), _run_hours(config.usage, entry, scheduled)
        if workload.concurrency_policy != "Allow":
            hours = min(hours, HOURS_PER_MONTH)
        size = given("size of a checkpoint", checkpoint.size_gb, "GB", "checkpoint.sizeGb")
        pods = given("pods", workload.replicas)
        kept = times(given("runs in a month", runs), pods, given("kept", KEPT), size, price("s3_storage_per_gb_month"))
        saves = given("saves in a month", hours * 60 / checkpoint.interval_minutes)
        requests = given("requests of a save", ceil(checkpoint.size_gb * 1000 / PART_MB) + REQUESTS_BESIDE)
        writes = times(saves, pods, requests, price("s3_write_per_request"))
        detail = f"{KEPT} of {checkpoint.size_gb:g} GB, one each {checkpoint.interval_minutes} min"
        yield Line.reckoned(
            "traffic and logs", f"Checkpoints, {workload.name}", detail, Reasons.even(plus(kept, writes))
        )


def _logs(config: StackConfig) -> Line:
    price, written, days = config.prices.services.why, config.usage.log_gb_per_month, config.cluster.log_retention_days
    kept = times(given("months that logs are kept", days / DAYS_PER_MONTH), price("log_storage_per_gb_month"))
    why = times(
        given("logs in a month", written, "GB", _said(config.usage, "log_gb_per_month")),
        plus(price("log_ingestion_per_gb"), kept),
    )
    detail = f"{written:g} GB written, kept {days} days"
    return Line.reckoned("traffic and logs", "Logs", detail, Reasons.even(why))
