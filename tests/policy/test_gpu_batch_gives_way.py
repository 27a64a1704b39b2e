"""Batch pods may be disrupted."""

from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules.gpu_batch_gives_way import RULE
from tests.policy.claims import device_class
from tests.policy.platform import container, deployment, pool
from tests.policy.support import UNKNOWN, judged
from tests.policy.test_gpu_critical_off_spot import LABEL, claim, priority

JOB = "kubernetes:batch/v1:Job"
KEEP = "karpenter.sh/do-not-disrupt"


def said(*resources: Recorded) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources)]


#: A pod of which nothing is known but its GPU.
NOBODY_KNOWS: Any = UNKNOWN


def batch(value: Any = "true", type_: str = JOB, label: Any = "batch", **more: Any) -> Recorded:
    annotations = {} if value is None else {"annotations": {KEEP: value}}
    return deployment(type_=type_, metadata={"labels": {LABEL: label}, **annotations}, **more)


@pytest.mark.parametrize("value", ["true", "10m", True])
def test_a_batch_job_that_must_not_be_disrupted_is_told(value: Any) -> None:
    (message,) = said(pool(), batch(value))
    assert f"has {KEEP}" in message


def test_whatever_its_kind_and_its_pool() -> None:
    assert len(said(batch(type_="kubernetes:apps/v1:Deployment"))) == 1


def test_pods_that_claim_gpus_are_judged_too() -> None:
    using = {**container(), "resources": {"claims": [{"name": "gpu"}]}}
    spec = {"containers": [using], "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "six-gib"}]}
    assert len(said(claim(), batch(spec=spec))) == 1
    assert said(claim("dra.net"), batch(spec=spec)) == []


def test_a_class_below_all_others_makes_batch_work_too() -> None:
    kept = deployment(metadata={"annotations": {KEEP: "true"}}, spec={"priorityClassName": "vip"})
    assert len(said(priority(value=-5), kept)) == 1
    assert said(priority(value=5), kept) == []
    assert len(said(priority(value=5, labels={LABEL: "batch"}), kept)) == 1


@pytest.mark.parametrize("value", [None, "false", ""])
def test_what_may_be_disrupted_passes(value: Any) -> None:
    assert said(batch(value)) == []


def test_a_claim_of_a_class_of_the_programs_own_is_a_gpu() -> None:
    pod = {"containers": [container(None)], "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "six-gib"}]}
    assert len(said(device_class(), claim("team-gpu"), batch(spec=pod))) == 1
    assert said(claim("team-gpu"), batch(spec=pod)) == []


def test_what_is_not_batch_or_has_no_gpu_passes() -> None:
    assert said(batch(label="critical")) == []
    assert said(deployment(container(None), metadata={"labels": {LABEL: "batch"}, "annotations": {KEEP: "true"}})) == []


@pytest.mark.parametrize(
    "pod", [batch(UNKNOWN), batch(label=UNKNOWN), deployment(metadata=NOBODY_KNOWS), batch(UNKNOWN, label=UNKNOWN)]
)
def test_what_is_not_known_is_told(pod: Recorded) -> None:
    (message,) = said(pod)
    assert "literal" in message
