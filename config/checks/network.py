"""Checks of the VPC: its address range and its zones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network

from config.checks.parts import Parts, attempt, twice
from config.errors import Path, Problem, listed, one_of
from config.pools import EKS_EXCLUDED_ZONES, region_zones
from config.schema import Network

_PRIVATE = [IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
#: What `components.network.subnets` divides among zones; AWS allows no VPC above /16.
_LARGEST, _SMALLEST = 16, 19
_ZONE_NAME = re.compile(r"[a-z]{2}(-[a-z]+)+-\d[a-z]")


def check_network(parts: Parts) -> Iterator[Problem]:
    """Address range and zones."""
    if parts.network is None:
        return
    yield from attempt(_cidr(parts.network))
    if parts.region is not None:
        yield from attempt(_zones(parts.network, parts.region))


def _cidr(network: Network) -> Iterator[Problem]:
    # Of a network that is there it says what is, not what is made.
    message = private_range_problem(network.cidr) if network.existing else _cidr_problem(network.cidr)
    if message:
        yield Problem(("network", "cidr"), network.cidr, message)


def _cidr_problem(cidr: str) -> str | None:
    try:
        network = IPv4Network(cidr, strict=False)
    except ValueError:
        return "must be an IPv4 range such as 10.42.0.0/16"
    if "/" not in cidr:
        return f"has no prefix length: write {cidr}/{_LARGEST}" if cidr.endswith(".0.0") else "has no prefix length"
    if not _LARGEST <= network.prefixlen <= _SMALLEST:
        return f"must be /{_LARGEST} to /{_SMALLEST}"
    if not any(network.subnet_of(private) for private in _PRIVATE):
        return f"must lie in {listed(_PRIVATE)}"
    if str(network) != cidr:
        return f"has host bits set: write {network}"
    return None


def private_range_problem(cidr: str) -> str | None:
    """What is wrong with a range of the organisation's own network, from which people come or models."""
    try:
        network = IPv4Network(cidr, strict=False)
    except ValueError:
        return "must be an IPv4 range such as 10.8.0.0/16"
    if not any(network.subnet_of(private) for private in _PRIVATE):
        return f"must lie in {listed(_PRIVATE)}, the private ranges"
    if str(network) != cidr:
        return f"{'has host bits set' if '/' in cidr else 'has no prefix length'}: write {network}"
    return None


def _zones(network: Network, region: str) -> Iterator[Problem]:
    path: Path = ("network", "zoneIds")
    known = region_zones(region)
    wrong = list(twice(path, network.zone_ids))
    for index, zone in enumerate(network.zone_ids):
        message = _zone_problem(zone, region, known)
        if message:
            wrong.append(Problem((*path, index), zone, message))
    yield from wrong
    if len(network.zone_ids) == 1 and not wrong:
        yield Problem(path, list(network.zone_ids), "must be two zones or more: EKS needs two")


def _zone_problem(zone: str, region: str, known: Sequence[str]) -> str | None:
    if zone in known:
        return None
    if zone in EKS_EXCLUDED_ZONES:
        return "is a zone in which EKS cannot place its control plane: leave it out"
    if _ZONE_NAME.fullmatch(zone):
        return f"is a zone's name, which means another zone in each account: write the ids of zones, {listed(known)}"
    return f"is no zone id of {region} with GPUs: {one_of(zone, known)}"
