"""A public Kubernetes API admits named address ranges only."""

from __future__ import annotations

from collections.abc import Iterator

from policy.address_ranges import parse, too_wide
from policy.control_plane import CIDRS, CLUSTER_TYPES, PUBLIC, key, read
from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import strings, text, truthy


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield what lets the internet in."""
    public = read(resource, PUBLIC)
    if text(public) and not truthy(public):
        return
    cidrs = strings(read(resource, CIDRS))
    name = key(resource, CIDRS)
    if not cidrs:
        yield f"{name} is missing or empty, which EKS takes as 0.0.0.0/0: name the ranges of those who need the API."
    for cidr in cidrs:
        if parse(cidr) is None:
            yield f"{name} has {cidr!r}, which is no address range: it needs a prefix length, such as /32 for one."
    for found in too_wide(cidrs, widest_ipv4=settings["widestIpv4"], widest_ipv6=settings["widestIpv6"]):
        yield f"{name} admits {found}, far more than an organisation: name the ranges of those who need the API."


RULE = ResourceRule(
    name="eks-endpoint-allowlist",
    title="The public Kubernetes API has an allowlist",
    description=(
        "A public EKS endpoint must have an allowlist, and the list must not admit the internet, in one range or in "
        "several."
    ),
    why=(
        "An empty list means everybody, which is also what EKS takes for a missing one. The endpoint asks for "
        "credentials, but a leaked token or a flaw in the API server then needs nothing more than the address."
    ),
    fix=(
        "Write the ranges of your offices, VPN and build machines as literals in `publicAccessCidrs`, or turn the "
        "public endpoint off. Nodes need no entry: they use the private endpoint."
    ),
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    types=CLUSTER_TYPES,
    scanners=Scanners(checkov=("CKV_AWS_38",), trivy=("AWS-0041",), cis=("5.4.1",)),
    options={
        "widestIpv4": Option(
            type="integer",
            default=8,
            description="Prefix length of the largest IPv4 range, and of all together, that may pass.",
            schema={"minimum": 1, "maximum": 32},
        ),
        "widestIpv6": Option(
            type="integer",
            default=32,
            description="The same for IPv6; a provider's whole allocation is a /32.",
            schema={"minimum": 1, "maximum": 128},
        ),
    },
    check=check,
)
