"""Checks of the cluster and its network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from ipaddress import IPv4Network

import versions
from gpu.prices import CPU_ON_DEMAND_USD_PER_HOUR
from stacks.errors import Path, Problem, nearest, one_of
from stacks.pools import EKS_EXCLUDED_ZONES, region_zones
from stacks.schema import Cluster, Network, SystemNodes

#: Ranges that EKS refuses in an allowlist of public addresses: nobody on the internet comes from them.
_PRIVATE = [IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8")]
#: Wider than this an allowlist does not name an organisation any more; two /1 are the whole internet.
_WIDEST_ALLOWED_PREFIX = 8
_VPC_PREFIXES = range(16, 23)
_GRAVITON = re.compile(r"^[cmrt]\d+g[a-z]*\.")


def check_cluster(cluster: Cluster, today: date) -> Iterator[Problem]:
    """EKS version, allowlist and system nodes."""
    yield from _check_version(cluster.version, today)
    for index, cidr in enumerate(cluster.public_access_cidrs):
        message = _cidr_problem(cidr)
        if message:
            yield Problem(("cluster", "publicAccessCidrs", index), cidr, message)
    yield from _check_system_nodes(cluster.system_nodes)


def _check_version(version: str, today: date) -> Iterator[Problem]:
    path: Path = ("cluster", "version")
    supported = [v for v, ends in versions.EKS_STANDARD_SUPPORT_ENDS.items() if today <= ends]
    ends = versions.EKS_STANDARD_SUPPORT_ENDS.get(version)
    if ends is None:
        yield Problem(path, version, "is not an EKS version that this release knows; " + one_of(version, supported))
    elif today > ends:
        message = f"left standard support on {ends}, and extended support costs six times as much"
        yield Problem(path, version, f"{message}; " + one_of(version, supported).partition("; did")[0])


def _cidr_problem(cidr: str) -> str | None:
    try:
        network = IPv4Network(cidr)
    except ValueError as error:
        if "host bits" in str(error):
            return f"has host bits set: write {IPv4Network(cidr, strict=False)}"
        return "must be an IPv4 range such as 203.0.113.0/24"
    if network.prefixlen == 0:
        return "opens the API server to the whole internet: list your own ranges, or none for a private endpoint"
    if any(network.overlaps(private) and network.prefixlen >= private.prefixlen for private in _PRIVATE):
        return "is private: EKS refuses it; the private endpoint is always on"
    if network.prefixlen < _WIDEST_ALLOWED_PREFIX:
        return f"is too wide to be an allowlist: write ranges of /{_WIDEST_ALLOWED_PREFIX} or smaller"
    return None


def _check_system_nodes(nodes: SystemNodes) -> Iterator[Problem]:
    path: Path = ("cluster", "systemNodes")
    if not nodes.min <= nodes.desired <= nodes.max:
        sizes = {"min": nodes.min, "desired": nodes.desired, "max": nodes.max}
        yield Problem(path, sizes, "must have min <= desired <= max")
    for index, name in enumerate(nodes.instance_types):
        if not _GRAVITON.match(name):
            message = "must be a Graviton type, such as m7g.large: system nodes are arm64"
            yield Problem((*path, "instanceTypes", index), name, message)
        elif name not in CPU_ON_DEMAND_USD_PER_HOUR:
            meant = nearest(name, [t for t in CPU_ON_DEMAND_USD_PER_HOUR if _GRAVITON.match(t)])
            hint = f"; did you mean {meant}?" if meant else ""
            yield Problem(
                (*path, "instanceTypes", index), name, f"is not a type with up to 16 vCPUs that we know{hint}"
            )


def check_network(network: Network, region: str | None) -> Iterator[Problem]:
    """Address range and zones."""
    yield from _check_vpc_cidr(network.cidr)
    if region is None or not network.zone_ids:
        return
    known = region_zones(region)
    for index, zone in enumerate(network.zone_ids):
        path: Path = ("network", "zoneIds", index)
        if zone in EKS_EXCLUDED_ZONES:
            yield Problem(path, zone, "is a zone in which EKS cannot place its control plane; leave it out")
        elif zone not in known:
            yield Problem(path, zone, f"is not a zone id of {region} with GPUs; {one_of(zone, known)}")
        elif zone in network.zone_ids[:index]:
            yield Problem(path, zone, "is listed twice")
    if len(set(network.zone_ids)) < 2:
        yield Problem(("network", "zoneIds"), list(network.zone_ids), "must be two zones or more: EKS needs two")


def _check_vpc_cidr(cidr: str) -> Iterator[Problem]:
    path: Path = ("network", "cidr")
    try:
        network = IPv4Network(cidr)
    except ValueError as error:
        hint = f": write {IPv4Network(cidr, strict=False)}" if "host bits" in str(error) else " such as 10.42.0.0/16"
        yield Problem(path, cidr, f"must be an IPv4 range{hint}")
        return
    if network.prefixlen not in _VPC_PREFIXES:
        yield Problem(path, cidr, f"must be /{_VPC_PREFIXES.start} to /{_VPC_PREFIXES.stop - 1}")
    elif not any(network.subnet_of(private) for private in _PRIVATE[:3]):
        yield Problem(path, cidr, "must lie in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
