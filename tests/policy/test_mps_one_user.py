from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules.mps_one_user import RULE
from tests.policy.platform import USER, container, deployment, platform
from tests.policy.support import UNKNOWN, judged


def said(*resources: Recorded) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources)]


def as_user(user: Any, name: str = "b") -> Recorded:
    return deployment(spec={"securityContext": {"runAsUser": user}}, name=name)


def test_one_user_passes() -> None:
    own = container(securityContext={"runAsUser": float(USER)})
    assert (
        said(*platform("mps"), deployment(), as_user(USER), deployment(own, spec={"securityContext": {}}, name="c"))
        == []
    )


def test_two_users_fail_on_both() -> None:
    verdicts = judged(RULE, *platform("mps"), deployment(name="a"), as_user(2000))
    assert [verdict.resource for verdict in verdicts] == ["a", "b"]
    assert "(1000: a; 2000: b)" in verdicts[0].message


def test_a_containers_own_user_counts() -> None:
    assert said(
        *platform("mps"), deployment(name="a"), deployment(container(securityContext={"runAsUser": 0}), name="b")
    )


@pytest.mark.parametrize("context", [{}, {"runAsNonRoot": True}])
def test_no_user_fails(context: dict[str, Any]) -> None:
    (message,) = said(*platform("mps"), deployment(spec={"securityContext": context}))
    assert "write runAsUser" in message


def test_unknown_users_fail() -> None:
    assert "must be a literal" in said(*platform("mps"), as_user(UNKNOWN))[0]
    assert "must be a literal" in said(*platform("mps"), deployment(spec={"securityContext": UNKNOWN}))[0]


def test_other_pools_and_pods_without_gpu_are_left_alone() -> None:
    assert said(*platform(), deployment(name="a"), as_user(2000)) == []
    assert said(*platform("mps"), deployment(container(None), spec={"securityContext": {}})) == []
    assert said(*platform("mps"), deployment(name="a"), deployment(pool="other", spec={"securityContext": {}})) == []


def test_a_container_that_runs_before_the_others_is_a_client_too() -> None:
    before = {"containers": [container(None)], "initContainers": [container(name="first")], "securityContext": {}}
    (message,) = said(*platform("mps"), deployment(spec=before))
    assert message.startswith("container first may share a GPU")
