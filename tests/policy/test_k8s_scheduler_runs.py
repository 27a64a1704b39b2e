"""Pods that name our scheduler are told where it is not there."""

from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules.k8s_scheduler_runs import RULE
from tests.policy.platform import container, deployment
from tests.policy.support import UNKNOWN, judged, recorded

KNATIVE = "kubernetes:serving.knative.dev/v1:Service"
PACKING = "gpu-slices-scheduler"


def said(*resources: Recorded) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources)]


def pods(scheduler: Any, type_: str = "kubernetes:apps/v1:Deployment") -> Recorded:
    return deployment(container(), type_=type_, spec={"schedulerName": scheduler})


def runs(name: str = PACKING) -> Recorded:
    inputs = {"metadata": {"name": name, "namespace": "gpu-scheduler"}, "spec": {"template": {"spec": {}}}}
    return recorded("kubernetes:apps/v1:Deployment", inputs, "scheduler")


@pytest.mark.parametrize("type_", ["kubernetes:apps/v1:Deployment", KNATIVE, "kubernetes:batch/v1:Job"])
def test_pods_of_a_scheduler_that_is_not_there_are_told(type_: str) -> None:
    (message,) = said(pods(PACKING, type_))
    assert message == f"its pods wait for scheduler {PACKING}, which nothing here runs."
    assert said(pods(PACKING, type_), runs("another")) != []
    assert said(pods(PACKING, type_), runs()) == []


@pytest.mark.parametrize("scheduler", [None, "default-scheduler", "volcano", "", 5, [], UNKNOWN])
def test_others_schedulers_are_others_business(scheduler: Any) -> None:
    assert said(pods(scheduler)) == []
