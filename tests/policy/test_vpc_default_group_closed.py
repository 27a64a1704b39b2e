from typing import Any

import pytest

from policy.rules.vpc_default_group_closed import RULE
from tests.policy.support import UNKNOWN, violations

GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
ANY = [{"protocol": "-1", "fromPort": 0, "toPort": 0, "self": True}]


@pytest.mark.parametrize("rules", [{}, {"ingress": [], "egress": []}, {"ingress": None}], ids=str)
def test_no_rules_pass(rules: dict[str, Any]) -> None:
    assert violations(RULE, GROUP, {"vpcId": UNKNOWN, **rules}) == []


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_any_rule_fails(direction: str) -> None:
    (message,) = violations(RULE, GROUP, {"vpcId": UNKNOWN, direction: ANY})
    assert f"{direction} has rules" in message


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_unknown_fails(direction: str) -> None:
    assert violations(RULE, GROUP, {direction: UNKNOWN})
    assert violations(RULE, GROUP, {direction: [UNKNOWN]})
