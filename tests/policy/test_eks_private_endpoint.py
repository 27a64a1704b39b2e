from typing import Any

import pytest

from policy.rules.eks_private_endpoint import RULE
from tests.policy.clusters import TYPES, cluster
from tests.policy.support import UNKNOWN, violations

pytestmark = pytest.mark.parametrize("type_", TYPES)


def test_private_beside_public_passes(type_: str) -> None:
    assert violations(RULE, type_, cluster(type_)) == []


@pytest.mark.parametrize("private", [None, False, "false"])
def test_no_private_endpoint_fails(type_: str, private: Any) -> None:
    (message,) = violations(RULE, type_, cluster(type_, endpointPrivateAccess=private))
    assert "endpointPrivateAccess is not true" in message


@pytest.mark.parametrize(("public", "count"), [(None, 1), (True, 1), (False, 0)])
def test_public_can_be_forbidden(type_: str, public: Any, count: int) -> None:
    found = violations(RULE, type_, cluster(type_, endpointPublicAccess=public), allowPublic=False)
    assert len(found) == count


@pytest.mark.parametrize("name", ["endpointPrivateAccess", "endpointPublicAccess"])
def test_unknown_fails(type_: str, name: str) -> None:
    (message,) = violations(RULE, type_, cluster(type_, **{name: UNKNOWN}))
    assert f"{name} must be a literal" in message
