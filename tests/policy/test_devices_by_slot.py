from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules.devices_by_slot import RULE
from tests.policy.platform import KNATIVE, container, deployment
from tests.policy.support import UNKNOWN, judged

VISIBLE = "NVIDIA_VISIBLE_DEVICES"


def said(*resources: Recorded, **options: Any) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources, **options)]


def variable(value: Any) -> dict[str, Any]:
    return {"env": [{"name": VISIBLE, "value": value}]}


@pytest.mark.parametrize("quantity", [None, "1"])
@pytest.mark.parametrize("value", ["all", "0", "0,1", "GPU-8dc6b2c3", "MIG-4d3b", "nvidia.com/gpu=all"])
def test_a_container_that_gives_itself_gpus_fails(value: str, quantity: str | None) -> None:
    (message,) = said(deployment(container(quantity, **variable(value))))
    assert message.startswith(f"container main: {VISIBLE} is {value}, which gives it GPUs")


@pytest.mark.parametrize("value", ["void", "none", ""])
def test_a_container_that_wants_none_passes(value: str) -> None:
    assert said(deployment(container(None, **variable(value)), container())) == []


def test_a_value_that_nobody_can_see_fails() -> None:
    reference = {"name": VISIBLE, "valueFrom": {"configMapKeyRef": {"name": "gpus", "key": "which"}}}
    for env in (variable(UNKNOWN), {"env": [reference]}):
        assert said(deployment(container(None, **env))) == [f"container main: {VISIBLE} must be a literal."]


def test_init_containers_and_knative_services_count() -> None:
    hidden = {"initContainers": [container(None, name="init", **variable("all"))]}
    assert len(said(deployment(spec=hidden))) == 1
    assert len(said(deployment(container(**variable("all")), type_=KNATIVE))) == 1


@pytest.mark.parametrize("path", ["/var/run/nvidia-container-devices/all", "/var/run/nvidia-container-devices/"])
def test_a_mount_that_asks_the_runtime_fails(path: str) -> None:
    mounts: dict[str, Any] = {"volumeMounts": [{"name": "null", "mountPath": path}]}
    assert said(deployment(container(None, **mounts))) == [
        f"container main: a mount at {path} asks the container runtime for GPUs. Ask for a slot instead."
    ]


def test_a_cdi_annotation_fails() -> None:
    (message,) = said(deployment(metadata={"annotations": {"cdi.k8s.io/mine": "nvidia.com/gpu=all"}}))
    assert message.startswith("annotation cdi.k8s.io/mine gives the pod devices past the scheduler")


def test_other_variables_mounts_and_annotations_pass() -> None:
    more: dict[str, Any] = {
        "env": [{"name": "HOME", "value": "/tmp"}],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    assert said(deployment(container(**more), metadata={"annotations": {"gpu-slices/model": "mistral:7b"}})) == []


def test_the_gpu_system_is_exempt_and_others_can_be() -> None:
    exporter = container(None, **variable("all"))
    assert said(deployment(exporter, owner={"namespace": "gpu-system"})) == []
    assert said(deployment(exporter, owner={"namespace": "dcgm"}))
    assert said(deployment(exporter, owner={"namespace": "dcgm"}), exemptNamespaces=["dcgm"]) == []
