"""Lines of the bill for what nodes fetch, what Jobs keep in S3, and logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

import versions
from config.consumers import (
    run_hours_per_month,
    runs_per_month,
    said_in_usage,
    scheduled_runs_per_month,
    standing_and_asked,
)
from config.pool_schema import GpuPool
from config.schema import StackConfig
from config.services import Service, stack_services
from gpu.bill import Consumer, Line, NodeRoom, Reasons, node_of, node_peak, room_on
from gpu.checkpoints import KEPT, PART_MB, REQUESTS_BESIDE
from gpu.coldstart import IMAGE_MB
from gpu.prices import DAYS_PER_MONTH, HOURS_PER_MONTH
from gpu.registries import ecr_registry, in_mirror
from gpu.weights import WEIGHTS
from gpu.why import given, plus, times

_MB_PER_MIB = 2**20 / 1e6


def traffic_lines(config: StackConfig, holding: Sequence[Consumer]) -> Iterator[Line]:
    """What comes on top of nodes and floor. holding: the stack's `consumers`."""
    yield from _traffic(config, holding)
    yield from _checkpoints(config)
    if not config.cluster.existing:
        yield _logs(config)


def _traffic(config: StackConfig, holding: Sequence[Consumer]) -> Iterator[Line]:
    """What nodes that start anew fetch: through the NAT gateway, and from another zone where there is only one."""
    starts, price = config.usage.starts_per_day * DAYS_PER_MONTH, config.prices.services.why
    each = [_fetched_gb(section, config, holding) for section in config.pools]
    together, apart = sum(gb for gb, _ in each), sum(gb for _, gb in each)
    if not apart or config.network.nat == "none" or config.network.existing:
        return  # what comes from the Internet by its gateway costs nothing; of a network that is there the floor speaks
    start = given("starts of nodes in a month", starts, "", said_in_usage(config.usage, "starts_per_day"))
    usual, longest = (
        given(f"fetched by a start, {words}", gb, "GB")
        for words, gb in (("all on as few nodes as hold them", together), ("each on a node of its own", apart))
    )
    nat = price("nat_gateway_per_gb")
    low = times(usual, start, nat)
    detail = f"{together:.1f} GB a start, {starts:.0f} starts"
    by_nat = Reasons(low, low, times(longest, start, nat))
    yield Line.reckoned("traffic and logs", "Images and weights", f"{detail}, through NAT", by_nat)
    count = len(config.zones)
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
    standing, asked = standing_and_asked(holding, pool)
    by_name = {service.name: service for service in stack_services(config)}
    # How large the images of workloads are, nobody says.
    waking = [consumer for consumer in asked if consumer.sleeps and consumer.name in by_name]
    if section.volume.snapshot_id or section.static or not waking:
        return 0.0, 0.0
    parts = [_image_and_weights_mb(by_name[consumer.name], config) for consumer in waking]
    images, weights = [image for image, _ in parts], sum(own for _, own in parts)
    node = node_of(pool, standing, waking)
    room = room_on(node) if node else NodeRoom(pool.slots_per_node, pool.smallest.gpu.memory.total_mib)
    new = node_peak([*standing, *waking], room) - node_peak(standing, room)
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
        entry, scheduled = known.get(workload.name), scheduled_runs_per_month(workload)
        runs = runs_per_month(config.usage, entry, scheduled)
        hours = run_hours_per_month(config.usage, entry, scheduled)
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
        given("logs in a month", written, "GB", said_in_usage(config.usage, "log_gb_per_month")),
        plus(price("log_ingestion_per_gb"), kept),
    )
    detail = f"{written:g} GB written, kept {days} days"
    return Line.reckoned("traffic and logs", "Logs", detail, Reasons.even(why))
