from __future__ import annotations

import pytest

from policy.analyzer import Recorded
from policy.rules.one_slot_per_pod import RULE
from tests.policy.platform import (
    GPU,
    KNATIVE,
    SHARED,
    config,
    container,
    deployment,
    node_class,
    platform,
    plugin,
    pool,
)
from tests.policy.support import UNKNOWN, judged, recorded


def said(*resources: Recorded) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources)]


UNSHARED = [node_class(), pool(), plugin(gpu=config())]


@pytest.mark.parametrize("strategy", ["timeSlicing", "mps"])
def test_one_slot_passes(strategy: str) -> None:
    sidecar = container(None, name="log")
    assert said(*platform(strategy), deployment(container("1"), sidecar), deployment(container(1.0), name="b")) == []


@pytest.mark.parametrize("quantity", ["2", 4.0, "1500m", UNKNOWN])
def test_anything_but_one_fails(quantity: object) -> None:
    (message,) = said(*platform(), deployment(container(quantity)))
    assert message.startswith("container main")


def test_two_gpu_containers_fail() -> None:
    (message,) = said(*platform(), deployment(container(name="a"), container(name="b")))
    assert "containers a, b each take a slot" in message


def test_a_native_sidecar_counts_and_an_init_container_does_not() -> None:
    sidecar = {**container(name="side"), "restartPolicy": "Always"}
    assert said(*platform(), deployment(spec={"initContainers": [sidecar]}))
    assert said(*platform(), deployment(spec={"initContainers": [container(name="init")]})) == []


def test_whole_gpus_may_be_many() -> None:
    assert said(*UNSHARED, deployment(container("4"), container("2", name="b"))) == []
    assert said(deployment(container("4"))) == []


@pytest.mark.parametrize("resource", [SHARED, "nvidia.com/mig-1g.10gb"])
def test_other_names_are_slots_whatever_the_pools(resource: str) -> None:
    assert said(deployment(container("2", resource)))
    assert said(deployment(container("1", resource))) == []


def test_a_container_that_runs_before_the_others_holds_its_slots_all_the_time() -> None:
    first = {**container("2", SHARED), "name": "first"}
    (verdict,) = judged(RULE, *platform(), deployment(container("1", SHARED), spec={"initContainers": [first]}))
    assert "container first asks for 2" in verdict.message
    once = {**container("1", SHARED), "name": "first"}
    assert judged(RULE, *platform(), deployment(container("1", SHARED), spec={"initContainers": [once]})) == []


def test_pods_that_cannot_land_there_are_left_alone() -> None:
    pods = [
        deployment(container("2"), pool="other"),
        deployment(container("2"), spec={"tolerations": []}),
        deployment(container("2"), spec={"tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoExecute"}]}),
        deployment(container("2"), spec={"tolerations": [{"key": GPU, "value": "false"}]}),
        deployment(container("2"), spec={"nodeSelector": {"node.kubernetes.io/instance-type": "p4d.24xlarge"}}),
    ]
    assert [found for pod in pods for found in said(*platform(), pod)] == []


def test_pods_that_say_nothing_or_unknown_things_may_land_anywhere() -> None:
    assert said(*platform(), deployment(container("2"), spec={"nodeSelector": {}}))
    assert said(*platform(), deployment(container("2"), spec={"nodeSelector": {"gpu-slices/pool": UNKNOWN}}))
    assert said(*platform(), deployment(container("2"), spec={"tolerations": UNKNOWN}))


@pytest.mark.parametrize("toleration", [{"operator": "Exists"}, {"key": GPU, "operator": "Equal", "value": "true"}])
def test_any_fitting_toleration_lets_a_pod_in(toleration: dict[str, str]) -> None:
    assert said(*platform(), deployment(container("2"), spec={"tolerations": [toleration]}))


def test_every_kind_of_pod_is_looked_at() -> None:
    spec = deployment(container("2")).inputs["spec"]
    cron = recorded("kubernetes:batch/v1:CronJob", {"spec": {"jobTemplate": {"spec": spec}}}, "cron")
    pod = recorded("kubernetes:core/v1:Pod", {"spec": spec["template"]["spec"]}, "pod")
    knative = deployment(container("2"), type_=KNATIVE, name="knative")
    assert len(said(*platform(), cron, pod, knative, recorded("kubernetes:batch/v1:Job", {"spec": spec}, "job"))) == 4


def test_requests_without_limits_count() -> None:
    plain = {"name": "main", "resources": {"requests": {GPU: "2"}}}
    assert said(*platform(), deployment(plain))
