"""Checks of the cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from ipaddress import IPv4Network, IPv6Network, ip_network

import versions
from config.checks.parts import Parts, attempt, twice
from config.checks.region import partition_problem
from config.errors import MISSING, Path, Problem, hint, listed, meant_first, nearest
from config.schema import Cluster, GpuSharing
from gpu import prices
from gpu.naming import MAX_NAME, NAME
from gpu.prices import HOURS_PER_MONTH, is_named_type, named_types, product
from gpu.standing import WIDEST_ALLOWED_PREFIX

#: Ranges from which no request of the internet comes (IANA special-purpose address registry). Those for documentation,
#: which samples hold, are in `config.placeholders`.
_RESERVED = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/3",
    )
]
_GRAVITON = re.compile(r"[cmrt]\d+g[a-z]*\.(?P<size>\w+)")
#: They have room for one to eight pods beside the DaemonSets, too few for Karpenter and the add-ons.
_TOO_SMALL = ("nano", "micro", "small", "medium")


def check_cluster(parts: Parts) -> Iterator[Problem]:
    """Name, EKS version, allowlist, access and system nodes."""
    cluster = parts.cluster
    if cluster is None:
        return
    yield from attempt(_name(cluster, parts.stack))
    yield from attempt(_version(cluster, parts.today, parts.region))
    if parts.gpu_sharing:
        yield from attempt(_scheduler(cluster, parts.gpu_sharing))
    yield from attempt(_allowlist(cluster))
    yield from attempt(_access(cluster))
    yield from attempt(_sizes(cluster))
    yield from attempt(_node_types(cluster))


def _name(cluster: Cluster, stack: str) -> Iterator[Problem]:
    default = f"gpu-slices-{stack}"
    if cluster.name is None and (len(default) > MAX_NAME or not re.fullmatch(NAME, default)):
        message = f"is missing: {default} would not do, since it must be a DNS label of at most {MAX_NAME} characters"
        yield Problem(("cluster", "name"), MISSING, message)


def _version(cluster: Cluster, today: date, region: str | None) -> Iterator[Problem]:
    path: Path = ("cluster", "version")
    supported = [v for v, ends in versions.EKS_STANDARD_SUPPORT_ENDS.items() if today <= ends]
    ends = versions.EKS_STANDARD_SUPPORT_ENDS.get(cluster.version)
    if ends and (today <= ends or cluster.existing):
        return
    known = ", ".join(versions.EKS_STANDARD_SUPPORT_ENDS)
    if not supported and ends:
        return  # `outdated` says it
    if not supported:
        message = f"is no version that this release knows ({known}), and none of them is in standard support any more: "
        message += "update gpu-slices"
    elif ends:
        message = f"left standard support on {ends}, and extended support costs six times as much{_dearer(region)}; "
        message += f"must be {listed(supported)}"
    else:
        meant = nearest(cluster.version, reversed(supported))
        allowed = meant_first(meant, f"must be {listed(supported)}", "It ")
        message = f"is not an EKS version that this release knows; {allowed}"
    yield Problem(path, cluster.version, message)


def _dearer(region: str | None) -> str:
    """What a control plane costs more in extended support; nothing where its price is not known."""
    usd = product(5, prices.of(region).services.eks_control_plane_per_hour, HOURS_PER_MONTH) if region else None
    return "" if usd is None else f" ({usd:,.2f} USD a month more)"


def outdated(cluster: Cluster, today: date) -> Iterator[Problem]:
    """A version that cannot be changed for a better one, since this release of the project knows none.

    Time alone must not end what needs no AWS: a plan and the twin work with it. EKS makes no cluster with it any more
    (`supportType: STANDARD`), and has upgraded those that there were.
    """
    last = max(versions.EKS_STANDARD_SUPPORT_ENDS.values())
    if cluster.existing:
        return
    if today > last and cluster.version in versions.EKS_STANDARD_SUPPORT_ENDS:
        message = (
            f"is out of standard support since {versions.EKS_STANDARD_SUPPORT_ENDS[cluster.version]}, as is every "
        )
        message += "version that this release knows: plans take it, pulumi up refuses it; update gpu-slices"
        yield Problem(("cluster", "version"), cluster.version, message)


def _scheduler(cluster: Cluster, sharing: GpuSharing) -> Iterator[Problem]:
    """A scheduler may be older than the API server by a minor, never newer: each minor has its own."""
    if sharing.scheduler is None or cluster.version in versions.KUBE_SCHEDULER_IMAGES:
        return
    path = ("gpuSharing", "scoringStrategy")
    message = f"needs cluster.version {listed(versions.KUBE_SCHEDULER_IMAGES)}: there is no second scheduler"
    yield Problem(path, sharing.scoring_strategy, f"{message} for {cluster.version} here")


def _allowlist(cluster: Cluster) -> Iterator[Problem]:
    path: Path = ("cluster", "publicAccessCidrs")
    yield from twice(path, cluster.public_access_cidrs)
    for index, cidr in enumerate(cluster.public_access_cidrs):
        message = _cidr_problem(cidr)
        if message:
            yield Problem((*path, index), cidr, message)


def _cidr_problem(cidr: str) -> str | None:
    try:
        network = ip_network(cidr, strict=False)
    except ValueError:
        return "must be an IPv4 range: addresses that are yours, with a prefix length, such as /32 for a single one"
    if network.prefixlen == 0:
        return "opens the API server to the whole internet: list your own ranges, or none for a private endpoint"
    if isinstance(network, IPv6Network):
        return "is an IPv6 range, and EKS takes none for an IPv4 cluster: write IPv4 ranges"
    return _ipv4_problem(cidr, network)


def _ipv4_problem(cidr: str, network: IPv4Network) -> str | None:
    if network.prefixlen < WIDEST_ALLOWED_PREFIX:
        return f"is too wide for an allowlist: write your own ranges, of /{WIDEST_ALLOWED_PREFIX} or smaller"
    for reserved in _RESERVED:
        if network.overlaps(reserved):
            what = "lies in" if network.subnet_of(reserved) else "holds"
            return (
                f"{what} {reserved}, which is reserved: no request from the internet comes from there, and inside the "
                "VPC the private endpoint is always on"
            )
    if str(network) != cidr:
        length = cidr.partition("/")[2]
        return f"{'has host bits set' if length.isdecimal() else 'has no prefix length'}: write {network}"
    return None


def _access(cluster: Cluster) -> Iterator[Problem]:
    for key, arns in (("admins", cluster.admins), ("viewers", cluster.viewers)):
        for index, arn in enumerate(arns):
            message = partition_problem(arn)
            if message:
                yield Problem(("cluster", key, index), arn, message)
    yield from twice(("cluster", "admins"), cluster.admins)
    yield from twice(("cluster", "viewers"), cluster.viewers)
    for index, arn in enumerate(cluster.viewers):
        if arn in cluster.admins:
            message = "is one of admins already, and EKS has one access entry for each principal: remove one of the two"
            yield Problem(("cluster", "viewers", index), arn, message)


def _sizes(cluster: Cluster) -> Iterator[Problem]:
    nodes = cluster.system_nodes
    if not nodes.min <= nodes.desired <= nodes.max:
        sizes = {"min": nodes.min, "desired": nodes.desired, "max": nodes.max}
        yield Problem(("cluster", "systemNodes"), sizes, "must have min <= desired <= max")


def _node_types(cluster: Cluster) -> Iterator[Problem]:
    path: Path = ("cluster", "systemNodes", "instanceTypes")
    names = cluster.system_nodes.instance_types
    yield from twice(path, names)
    for index, name in enumerate(names):
        message = _node_type_problem(name)
        if message:
            yield Problem((*path, index), name, message)


def _node_type_problem(name: str) -> str | None:
    found = _GRAVITON.fullmatch(name)
    if not found:
        return "must be a Graviton instance type, such as m7g.large: system nodes are arm64"
    if found["size"] in _TOO_SMALL:
        return "is too small for Karpenter and the add-ons: write large or larger"
    # Whether the region has a price of it or not: the tables of all regions together tell which types there are.
    if not is_named_type(name):
        known = sorted(t for t in named_types() if _GRAVITON.fullmatch(t))
        return f"is not a Graviton type up to 4xlarge that is known{hint(name, known)}"
    return None
