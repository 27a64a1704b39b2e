"""Jobs on Spot hear of their end: no annotation that keeps Karpenter from evicting them."""

from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules.gpu_spot_jobs_can_end import RULE
from tests.policy.claims import device_class
from tests.policy.platform import DEPLOYMENT, TOLERATION, container, deployment, pool
from tests.policy.support import UNKNOWN, judged, recorded

JOB, CRON_JOB = "kubernetes:batch/v1:Job", "kubernetes:batch/v1:CronJob"
KEEP: dict[str, Any] = {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}


def said(*resources: Recorded) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources)]


def on_demand() -> Recorded:
    found = pool()
    found.inputs["spec"]["template"]["spec"]["requirements"][0]["values"] = ["on-demand"]
    return found


def job(metadata: dict[str, Any] | None = None, type_: str = JOB, **spec: Any) -> Recorded:
    return deployment(container(), type_=type_, metadata=KEEP if metadata is None else metadata, spec=spec)


def test_a_job_that_may_not_be_evicted_is_told() -> None:
    (message,) = said(pool(), job())
    assert "end without SIGTERM when the instance does" in message


def test_so_is_one_that_asks_for_a_class_of_the_programs_own() -> None:
    asking = job(containers=[container(resource="deviceclass.resource.kubernetes.io/team-gpu")])
    assert len(said(pool(), device_class(), asking)) == 1
    assert said(pool(), asking) == []


def test_so_is_one_that_runs_by_a_schedule() -> None:
    made = deployment(container(), metadata=KEEP)
    template = made.inputs["spec"]
    spec = {"schedule": "0 3 * * *", "jobTemplate": {"spec": template}}
    nightly = recorded(CRON_JOB, {"metadata": {"name": "nightly"}, "spec": spec}, "nightly")
    assert len(said(pool(), nightly)) == 1


def test_where_the_pools_are_elsewhere_the_job_says_that_it_is_for_spot() -> None:
    assert said(job()) == []
    assert len(said(job(nodeSelector={"karpenter.sh/capacity-type": "spot"}))) == 1


@pytest.mark.parametrize("metadata", [{}, {"annotations": {"karpenter.sh/do-not-disrupt": "false"}}])
def test_one_that_may_be_evicted_passes(metadata: dict[str, Any]) -> None:
    assert said(pool(), job(metadata)) == []


def test_on_demand_it_may_stay_and_what_never_ends_may_too() -> None:
    assert said(on_demand(), job()) == []
    assert said(pool(), job(type_=DEPLOYMENT)) == []


def test_of_a_pool_with_both_it_may_choose_what_is_not_spot() -> None:
    both = pool()
    both.inputs["spec"]["template"]["spec"]["requirements"][0]["values"] = ["spot", "on-demand"]
    assert len(said(both, job())) == 1
    assert said(both, job(nodeSelector={"karpenter.sh/capacity-type": "on-demand"})) == []


def test_without_a_gpu_it_is_not_about_it() -> None:
    assert said(pool(), deployment(container(None), type_=JOB, metadata=KEEP)) == []


def tolerating(*tolerations: Any) -> Recorded:
    return job({}, tolerations=[TOLERATION, *tolerations])


@pytest.mark.parametrize(
    "toleration",
    [
        {"operator": "Exists"},
        {"operator": "Exists", "effect": "NoSchedule"},
        {"key": "karpenter.sh/disrupted", "operator": "Exists"},
        {"key": "karpenter.sh/disrupted"},
    ],
)
def test_one_that_tolerates_the_taint_of_nodes_that_go_is_told(toleration: dict[str, str]) -> None:
    """Karpenter evicts no such pod."""
    (message,) = said(pool(), tolerating(toleration))
    assert message.startswith("its pods tolerate karpenter.sh/disrupted, so that Karpenter evicts them from no node")
    assert said(on_demand(), tolerating(toleration)) == []


@pytest.mark.parametrize(
    "toleration",
    [
        {"key": "team", "operator": "Exists"},
        {"operator": "Exists", "effect": "NoExecute"},
        {"key": "karpenter.sh/disrupted", "value": "a"},
        {"key": "team", "value": UNKNOWN},
    ],
)
def test_one_that_tolerates_another_passes(toleration: dict[str, Any]) -> None:
    assert said(pool(), tolerating(toleration)) == []


@pytest.mark.parametrize("toleration", [{"key": UNKNOWN, "operator": "Exists"}, {"operator": UNKNOWN}])
def test_a_toleration_that_is_not_known_is_told(toleration: dict[str, Any]) -> None:
    (message,) = said(pool(), tolerating(toleration))
    assert message.startswith("whether its pods tolerate karpenter.sh/disrupted is not known in preview")


@pytest.mark.parametrize(
    "metadata", [UNKNOWN, {"annotations": UNKNOWN}, {"annotations": {"karpenter.sh/do-not-disrupt": UNKNOWN}}]
)
def test_what_is_not_known_is_told(metadata: Any) -> None:
    (message,) = said(pool(), job(metadata))
    assert "not known" in message or "literal" in message


def leaving(time: Any) -> Recorded:
    """A pool on Spot whose nodes end after so long."""
    found = pool()
    found.inputs["spec"]["template"]["spec"]["terminationGracePeriod"] = time
    return found


@pytest.mark.parametrize(("time", "grace"), [("30s", None), ("89s", None), ("1m", 1), ("2m30s", 100), ("0s", 0)])
def test_a_job_whose_node_ends_before_it_can_be_evicted_is_told(time: str, grace: int | None) -> None:
    spec: dict[str, Any] = {} if grace is None else {"terminationGracePeriodSeconds": grace}
    (message,) = said(leaving(time), job({}, **spec))
    has = 30 if grace is None else grace
    assert f"its pods have {has} s to end" in message
    assert message.endswith(f"Write {has + 60}s or more there.")


@pytest.mark.parametrize(("time", "grace"), [("90s", None), ("1h", 100), ("2m40s", 100), (None, 3600)])
def test_one_with_its_time_passes(time: str | None, grace: int | None) -> None:
    given = leaving(time) if time else pool()
    spec: dict[str, Any] = {} if grace is None else {"terminationGracePeriodSeconds": grace}
    assert said(given, job({}, **spec)) == []
    assert said(leaving("1s"), job({}, type_=DEPLOYMENT)) == []


def test_time_that_is_not_known_is_told() -> None:
    (message,) = said(leaving(UNKNOWN), job({}))
    assert message.startswith("terminationGracePeriod of NodePool")
    (message,) = said(leaving("15m"), job({}, terminationGracePeriodSeconds=UNKNOWN))
    assert message.startswith("the grace of its pods is not known")
