from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules.devices_by_slot import RULE
from tests.policy.platform import KNATIVE, container, deployment
from tests.policy.support import UNKNOWN, judged, recorded

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


def test_annotations_of_pods_pass() -> None:
    """containerd reads `cdi.k8s.io/` from a container's annotations, which no pod can write."""
    assert said(deployment(metadata={"annotations": {"cdi.k8s.io/mine": "nvidia.com/gpu=all"}})) == []


@pytest.mark.parametrize(
    "path",
    [
        "/var/run//nvidia-container-devices/all",
        "/var/./run/nvidia-container-devices/0",
        "/tmp/../var/run/nvidia-container-devices/0",
        "var/run/nvidia-container-devices/0",
        "//var/run/nvidia-container-devices/0",
    ],
)
def test_a_path_is_what_the_runtime_makes_of_it(path: str) -> None:
    assert len(said(deployment(container(None, volumeMounts=[{"name": "null", "mountPath": path}])))) == 1


ALL = container(None, **variable("all"))
POD_SPEC = {"containers": [ALL]}
IN_TEMPLATE = {"template": {"spec": POD_SPEC}}


@pytest.mark.parametrize(
    ("type_", "spec"),
    [
        ("kubernetes:core/v1:PodPatch", POD_SPEC),
        ("kubernetes:apps/v1:DeploymentPatch", IN_TEMPLATE),
        ("kubernetes:batch/v1:CronJobPatch", {"jobTemplate": {"spec": IN_TEMPLATE}}),
        ("kubernetes:extensions/v1beta1:Deployment", IN_TEMPLATE),
        ("kubernetes:extensions/v1beta1:DaemonSet", IN_TEMPLATE),
        ("kubernetes:apps/v1beta2:StatefulSet", IN_TEMPLATE),
        ("kubernetes:jobset.x-k8s.io/v1alpha2:JobSet", {"replicatedJobs": [{}, {"template": {"spec": IN_TEMPLATE}}]}),
        ("kubernetes:serving.knative.dev/v1:Revision", POD_SPEC),
        (
            "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet",
            {"leaderWorkerTemplate": {"leaderTemplate": {"spec": POD_SPEC}}},
        ),
        (
            "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSetPatch",
            {"leaderWorkerTemplate": {"workerTemplate": {"spec": POD_SPEC}}},
        ),
    ],
)
def test_every_kind_of_pods_is_read(type_: str, spec: dict[str, Any]) -> None:
    resource = recorded(type_, {"metadata": {"name": "it", "namespace": "models"}, "spec": spec})
    (message,) = said(resource)
    assert message.startswith(f"container main: {VISIBLE} is all")


@pytest.mark.parametrize("prefix", [None, "", "NVIDIA_", UNKNOWN])
def test_variables_that_nobody_sees_fail(prefix: Any) -> None:
    source = {"configMapRef": {"name": "settings"}, **({} if prefix is None else {"prefix": prefix})}
    (message,) = said(deployment(container(None, envFrom=[source])))
    assert message.startswith(f"container main: envFrom may set {VISIBLE}")


def test_variables_that_cannot_be_that_one_pass() -> None:
    source = {"secretRef": {"name": "settings"}}
    assert said(deployment(container(envFrom=[{**source, "prefix": "APP_"}]))) == []
    assert said(deployment(container(None, envFrom=[source], **variable("void")))) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"env": UNKNOWN},
        {"env": [UNKNOWN]},
        {"env": [{"name": UNKNOWN, "value": "all"}]},
        {"envFrom": UNKNOWN},
        {"volumeMounts": UNKNOWN},
        {"volumeMounts": [{"name": "v", "mountPath": UNKNOWN}]},
    ],
)
def test_what_cannot_be_seen_fails(changes: dict[str, Any]) -> None:
    (message,) = said(deployment(container(None, **changes)))
    assert "must be a literal" in message


@pytest.mark.parametrize("spec", [UNKNOWN, {"containers": UNKNOWN}, {"containers": [UNKNOWN]}])
def test_pods_that_cannot_be_seen_fail(spec: Any) -> None:
    inputs = {"metadata": {"namespace": "models"}, "spec": {"template": {"spec": spec}}}
    assert "must be a literal" in said(recorded(deployment().type, inputs))[0]


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
