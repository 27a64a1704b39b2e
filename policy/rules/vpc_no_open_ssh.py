"""No security group lets the internet in to SSH or RDP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policy.address_ranges import too_wide
from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import each, get, text
from policy.security_groups import INGRESS_TYPES, ingress

#: Ranges under a name, by which any group may admit them.
_PREFIX_LIST: Final = "aws:ec2/managedPrefixList:ManagedPrefixList"
_ENTRY: Final = "aws:ec2/managedPrefixListEntry:ManagedPrefixListEntry"


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield rules that open an administration port to more than an organisation, and lists that hold the internet."""
    if resource.type in {_PREFIX_LIST, _ENTRY}:
        entries = each(get(resource.props, "entries")) if resource.type == _PREFIX_LIST else [resource.props]
        listed = [text(get(entry, "cidr")) for entry in entries]
        for found in too_wide(listed, widest_ipv4=settings["widestIpv4"], widest_ipv6=settings["widestIpv6"]):
            yield f"the prefix list holds {found}: whatever group names it is open to all."
    for rule in ingress(resource) if resource.type in INGRESS_TYPES else ():
        ports = [port for port in settings["ports"] if rule.opens(port)]
        if not ports:
            continue
        for found in too_wide(rule.cidrs(), widest_ipv4=settings["widestIpv4"], widest_ipv6=settings["widestIpv6"]):
            opened = ", ".join(f"{port:g}" for port in ports)
            yield f"{rule.where} opens port {opened} to {found}: name the ranges that need it, or none."


RULE = ResourceRule(
    name="vpc-no-open-ssh",
    title="SSH and RDP are closed to the internet",
    description="A security group must not open port 22 or 3389 to the internet, also not by a range of ports.",
    why="These ports are tried all day long from everywhere. Nodes are reached by Session Manager without any port.",
    fix="Remove the ingress rule, or write the ranges that need it as literals.",
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    types=(*INGRESS_TYPES, _PREFIX_LIST, _ENTRY),
    scanners=Scanners(checkov=("CKV_AWS_24", "CKV_AWS_25", "CKV_AWS_277"), trivy=("AWS-0107",)),
    options={
        "ports": Option(
            type="array", default=[22, 3389], description="Ports to keep closed.", schema={"items": {"type": "integer"}}
        ),
        "widestIpv4": Option(
            type="integer",
            default=8,
            description="Prefix length of the largest IPv4 range, and of all of a rule together, that may pass.",
            schema={"minimum": 1, "maximum": 32},
        ),
        "widestIpv6": Option(
            type="integer", default=32, description="The same for IPv6.", schema={"minimum": 1, "maximum": 128}
        ),
    },
    check=check,
)
