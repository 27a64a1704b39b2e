from typing import Any

import pytest

from policy import security_groups as sg
from policy.rules.vpc_no_open_ssh import RULE
from tests.policy.support import UNKNOWN, violations


def rule(first: Any = 22, last: Any = 22, protocol: Any = "tcp", **sources: Any) -> dict[str, Any]:
    return {"protocol": protocol, "fromPort": first, "toPort": last, **(sources or {"cidrBlocks": ["0.0.0.0/0"]})}


#: Types, and how they write one ingress rule.
WRITTEN: dict[str, Any] = {
    sg.GROUP: lambda given: {"ingress": [rule(443, 443), given]},
    sg.RULE: lambda given: {"type": "ingress", "securityGroupId": UNKNOWN, **given},
    sg.INGRESS: lambda given: _one_range(given, "cidrIpv4", "cidrIpv6"),
    "aws-native:ec2:SecurityGroupIngress": lambda given: _one_range(given, "cidrIp", "cidrIpv6"),
    "aws-native:ec2:SecurityGroup": lambda given: {"securityGroupIngress": [_one_range(given, "cidrIp", "cidrIpv6")]},
}
EVERY_TYPE = pytest.mark.parametrize("type_", WRITTEN)


def _one_range(given: dict[str, Any], ipv4: str, ipv6: str) -> dict[str, Any]:
    names = {"cidrBlocks": ipv4, "ipv6CidrBlocks": ipv6, "protocol": "ipProtocol"}
    return {
        names.get(name, name): value[0] if name in names and isinstance(value, list) and value else value
        for name, value in given.items()
    }


@EVERY_TYPE
@pytest.mark.parametrize(
    "given",
    [
        rule(),
        rule(3389, 3389),
        rule(ipv6CidrBlocks=["::/0"]),
        rule(cidrBlocks=["0.0.0.0/1"]),
        rule(0, 65535),
        rule(20, 25),
        rule(protocol="6"),
        rule(3389, 3389, "udp"),
        rule(3389, 3389, "17"),
        rule(0, 0, "-1"),
        rule(None, None, "all"),
    ],
    ids=str,
)
def test_an_administration_port_for_everybody_fails(type_: str, given: dict[str, Any]) -> None:
    (message,) = violations(RULE, type_, WRITTEN[type_](given))
    assert "opens port" in message


@EVERY_TYPE
@pytest.mark.parametrize(
    "given",
    [
        rule(443, 443),
        rule(23, 3388),
        rule(cidrBlocks=["203.0.113.0/24"]),
        rule(cidrBlocks=["10.42.0.0/16"]),
        rule(8, 0, "icmp"),
        rule(sourceSecurityGroupId=UNKNOWN),
        rule(443, 443, cidrBlocks=UNKNOWN),
    ],
    ids=str,
)
def test_other_ports_and_named_ranges_pass(type_: str, given: dict[str, Any]) -> None:
    assert violations(RULE, type_, WRITTEN[type_](given)) == []


@EVERY_TYPE
@pytest.mark.parametrize("given", [rule(cidrBlocks=[UNKNOWN]), rule(UNKNOWN, 22), rule(protocol=UNKNOWN)], ids=str)
def test_unknown_fails(type_: str, given: dict[str, Any]) -> None:
    (message,) = violations(RULE, type_, WRITTEN[type_](given))
    assert "must be a literal" in message


def test_two_halves_in_one_rule_fail() -> None:
    assert violations(RULE, sg.GROUP, {"ingress": [rule(cidrBlocks=["0.0.0.0/1", "128.0.0.0/1"])]})


def test_egress_is_not_its_business() -> None:
    assert violations(RULE, sg.GROUP, {"egress": [rule(0, 0, "-1")]}) == []
    assert violations(RULE, sg.RULE, {"type": "egress", **rule(0, 0, "-1")}) == []


def test_ports_can_be_chosen() -> None:
    assert violations(RULE, sg.GROUP, {"ingress": [rule()]}, ports=[5432]) == []
    assert violations(RULE, sg.GROUP, {"ingress": [rule(5432, 5432)]}, ports=[5432])


PREFIX_LIST = "aws:ec2/managedPrefixList:ManagedPrefixList"
ENTRY = "aws:ec2/managedPrefixListEntry:ManagedPrefixListEntry"


def test_prefix_lists_that_hold_the_internet_fail() -> None:
    halves = {"entries": [{"cidr": "0.0.0.0/1"}, {"cidr": "128.0.0.0/1"}]}
    assert "holds 0.0.0.0/1, 128.0.0.0/1" in violations(RULE, PREFIX_LIST, halves)[0]
    assert violations(RULE, ENTRY, {"cidr": "::/0"})
    assert violations(RULE, "aws-native:ec2:PrefixList", {"entries": [{"cidr": "0.0.0.0/0"}]})
    assert violations(RULE, PREFIX_LIST, {"entries": [{"cidr": "10.0.0.0/8"}]}) == []
