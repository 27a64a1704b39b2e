from typing import Any

import pytest

from policy.rules.eks_endpoint_allowlist import RULE
from tests.policy.clusters import AWS, COMPONENT, NATIVE, TYPES, cluster
from tests.policy.support import UNKNOWN, violations

EVERY_TYPE = pytest.mark.parametrize("type_", TYPES)
OPEN: dict[str, Any] = {
    "missing, which EKS takes as open": None,
    "empty": [],
    "all of IPv4": ["0.0.0.0/0"],
    "all of IPv6": ["::/0"],
    "hidden among others": ["203.0.113.0/24", "0.0.0.0/0"],
    "host bits set": ["1.2.3.4/0"],
    "two halves": ["0.0.0.0/1", "128.0.0.0/1"],
    "half": ["128.0.0.0/1"],
    "a half and two quarters": ["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/2"],
    "many small parts": [f"{first}.0.0.0/8" for first in range(1, 224)],
    "parts just wide enough to add up": ["10.0.0.0/8", "11.0.0.0/32"],
    "IPv6 in halves": ["::/1", "8000::/1"],
    "no range at all": ["everybody"],
    "blanks around": [" 0.0.0.0/0 "],
    "a lone text": "0.0.0.0/0",
}
CLOSED: dict[str, Any] = {
    "an office": ["203.0.113.0/24"],
    "a host": ["203.0.113.7/32", "203.0.113.7"],
    "a provider": ["203.0.0.0/8"],
    "IPv6": ["2001:db8::/32"],
    "the same twice": ["203.0.0.0/8", "203.0.113.0/24", "203.0.0.0/8"],
}


@EVERY_TYPE
@pytest.mark.parametrize("cidrs", OPEN.values(), ids=OPEN)
def test_open_endpoint_fails(type_: str, cidrs: Any) -> None:
    assert len(violations(RULE, type_, cluster(type_, publicAccessCidrs=cidrs))) == 1
    assert len(violations(RULE, type_, cluster(type_, publicAccessCidrs=cidrs, endpointPublicAccess=None))) == 1


@EVERY_TYPE
@pytest.mark.parametrize("cidrs", CLOSED.values(), ids=CLOSED)
def test_named_ranges_pass(type_: str, cidrs: Any) -> None:
    assert violations(RULE, type_, cluster(type_, publicAccessCidrs=cidrs)) == []


@EVERY_TYPE
def test_no_public_endpoint_needs_no_list(type_: str) -> None:
    assert violations(RULE, type_, cluster(type_, endpointPublicAccess=False, publicAccessCidrs=None)) == []
    assert violations(RULE, type_, cluster(type_, endpointPublicAccess=False, publicAccessCidrs=UNKNOWN)) == []


def test_a_cluster_with_no_inputs_is_open() -> None:
    for type_ in (AWS, NATIVE):
        assert violations(RULE, type_, {})


@EVERY_TYPE
@pytest.mark.parametrize(
    "changes",
    [
        {"endpointPublicAccess": UNKNOWN},
        {"publicAccessCidrs": UNKNOWN},
        {"publicAccessCidrs": ["203.0.113.0/24", UNKNOWN]},
    ],
    ids=["endpoint", "list", "one entry"],
)
def test_unknown_fails(type_: str, changes: dict[str, Any]) -> None:
    (message,) = violations(RULE, type_, cluster(type_, **changes))
    assert "must be a literal" in message


def test_width_can_be_set() -> None:
    inputs = cluster(COMPONENT, publicAccessCidrs=["203.0.0.0/16", "2001:db8::/40"])
    assert violations(RULE, COMPONENT, inputs) == []
    assert len(violations(RULE, COMPONENT, inputs, widestIpv4=24, widestIpv6=48)) == 2
