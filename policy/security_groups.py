"""Ingress rules of security groups, whichever of the many resources declares them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from policy.framework import Resource
from policy.inventory import machines
from policy.reading import each, get, strings, text, whole

GROUP: Final = machines.SECURITY_GROUP
RULE: Final = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS: Final = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
INGRESS_TYPES: Final = (GROUP, RULE, INGRESS)

_RANGES: Final = ("cidrBlocks", "ipv6CidrBlocks", "cidrIpv4", "cidrIpv6", "cidrIp")
_PORTLESS: Final = frozenset({"-1", "all"})
_WITH_PORTS: Final = frozenset({"tcp", "6", "udp", "17"})


@dataclass(frozen=True)
class Ingress:
    """One rule. What it says is read when it is asked for, so that only a value that decides must be known."""

    where: str
    data: Any

    def opens(self, port: int) -> bool:
        """Whether it lets traffic to that port through."""
        protocol = text(get(self.data, "protocol")) or text(get(self.data, "ipProtocol"))
        if protocol.lower() in _PORTLESS:
            return True
        if protocol.lower() not in _WITH_PORTS:
            return False
        given, end = get(self.data, "fromPort"), get(self.data, "toPort")
        first, last = whole(given), whole(given if end is None else end)
        if given is None:
            return False
        return (first is None or first <= port) and (last is None or port <= last)  # what is no port keeps nobody out

    def cidrs(self) -> tuple[str, ...]:
        """The address ranges it admits; security groups and prefix lists are none."""
        return tuple(cidr for name in _RANGES for cidr in strings(get(self.data, name)))


def ingress(resource: Resource) -> Iterator[Ingress]:
    """Every ingress rule that the resource declares."""
    if resource.type == GROUP:
        for index, data in enumerate(each(get(resource.props, "ingress"))):
            yield Ingress(f"ingress.{index}", data)
    elif resource.type != RULE or text(get(resource.props, "type")) == "ingress":
        yield Ingress("it", resource.props)
