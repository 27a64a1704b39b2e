import pytest

from policy.rules.eks_control_plane_logs import RULE
from tests.policy.clusters import COMPONENT, LOG_TYPES, TYPES, cluster
from tests.policy.support import UNKNOWN, violations

pytestmark = pytest.mark.parametrize("type_", TYPES)


def test_all_five_pass_in_any_order(type_: str) -> None:
    assert violations(RULE, type_, cluster(type_, enabledClusterLogTypes=LOG_TYPES[::-1])) == []


@pytest.mark.parametrize("left_out", LOG_TYPES)
def test_each_missing_type_fails(type_: str, left_out: str) -> None:
    given = [name for name in LOG_TYPES if name != left_out]
    (message,) = violations(RULE, type_, cluster(type_, enabledClusterLogTypes=given))
    assert f"lacks {left_out}:" in message


@pytest.mark.parametrize("given", [None, []])
def test_no_logs_fail(type_: str, given: list[str] | None) -> None:
    (message,) = violations(RULE, type_, cluster(type_, enabledClusterLogTypes=given))
    assert "api, audit, authenticator, controllerManager, scheduler" in message


def test_types_can_be_chosen(type_: str) -> None:
    inputs = cluster(type_, enabledClusterLogTypes=["audit"])
    assert violations(RULE, type_, inputs, logTypes=["audit"]) == []


def test_unknown_fails(type_: str) -> None:
    (message,) = violations(RULE, type_, cluster(type_, enabledClusterLogTypes=UNKNOWN))
    assert "must be a literal" in message
    if type_ == COMPONENT:
        assert violations(RULE, type_, cluster(type_, enabledClusterLogTypes=[*LOG_TYPES[1:], UNKNOWN]))
