"""Checks that concern several values: does a model fit its slot, does a GPU have MIG, is a date past.

Each check gets what could be validated on its own; an entry that could not is None and is left alone, so that one
mistake is reported once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from gpu.catalog import REGIONS
from stacks.checks.cluster import check_cluster, check_network
from stacks.checks.models import check_dialogue, check_models, check_workloads
from stacks.checks.pools import check_cpu_pools, check_pools
from stacks.errors import MISSING, Path, Problem, nearest
from stacks.schema import Cluster, Network

REGION_PATH: Path = ("aws:region",)


def check(parts: Mapping[str, Any], region: str | None, today: date) -> Iterator[Problem]:
    """Every problem among the validated parts of a configuration."""
    yield from _check_region(region)
    known_region = region if region in REGIONS else None
    pools = parts.get("pools", ())
    if "pools" not in parts:
        yield Problem(("pools",), MISSING, "is missing: write at least one GPU pool")
    elif not pools:
        yield Problem(("pools",), [], "must have at least one GPU pool")
    if (cluster := parts.get("cluster", Cluster())) is not None:
        yield from check_cluster(cluster, today)
    if (network := parts.get("network", Network())) is not None:
        yield from check_network(network, known_region)
    yield from check_cpu_pools(parts.get("cpuPools", ()), pools)
    yield from check_pools(pools, known_region, today)
    models, workloads = parts.get("models", ()), parts.get("workloads", ())
    yield from check_models(models, pools, known_region)
    yield from check_workloads(workloads, models, pools, known_region)
    if (dialogue := parts.get("dialogue")) is not None:
        yield from check_dialogue(dialogue, models, pools, known_region)


def _check_region(region: str | None) -> Iterator[Problem]:
    if region is None:
        yield Problem(REGION_PATH, MISSING, "is missing: write a region, such as aws:region: us-east-1")
    elif region not in REGIONS:
        meant = nearest(region, sorted(REGIONS))
        hint = f"; did you mean {meant}?" if meant else ""
        yield Problem(REGION_PATH, region, f"is not a region in which AWS rents NVIDIA GPUs, as far as we know{hint}")
