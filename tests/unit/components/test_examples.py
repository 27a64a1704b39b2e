"""Example workloads: they cost nothing until somebody starts them, and satisfy the restricted Pod Security Standard."""

from __future__ import annotations

import functools
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

from components.gpu.examples import ExampleWorkloads, ExampleWorkloadsArgs, GpuExample
from tests.unit.components.recording import Recording, Registration, record

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
CRON_JOB = "kubernetes:batch/v1:CronJob"
SLOT = "nvidia.com/gpu.shared"
GPU = GpuExample(
    resource_name=SLOT,
    node_selector={"gpu-slices/pool": "shared"},
    tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
)


def program(**changes: Any) -> ExampleWorkloads:
    provider = k8s.Provider("k8s", kubeconfig="{}")
    arguments: dict[str, Any] = {"gpu": GPU}
    return ExampleWorkloads(
        "examples", ExampleWorkloadsArgs(**(arguments | changes)), pulumi.ResourceOptions(providers=[provider])
    )


@functools.cache
def recorded() -> Recording[ExampleWorkloads]:
    return record(program)


@pytest.fixture
def recording() -> Recording[ExampleWorkloads]:
    return recorded()


def pod_of(workload: Registration) -> dict[str, Any]:
    spec = workload.inputs["spec"]
    if workload.type == CRON_JOB:
        spec = spec["jobTemplate"]["spec"]
    pod: dict[str, Any] = spec["template"]["spec"]
    return pod


def workloads(recording: Recording[Any]) -> list[Registration]:
    return recording.of_type(DEPLOYMENT) + recording.of_type(CRON_JOB)


def test_nothing_runs_until_somebody_starts_it(recording: Recording[ExampleWorkloads]) -> None:
    for deployment in recording.of_type(DEPLOYMENT):
        assert deployment.inputs["spec"]["replicas"] == 0
        assert deployment.ignore_changes == ("spec.replicas",), "pulumi up would undo kubectl scale"
    assert recording.one(CRON_JOB).inputs["spec"]["suspend"] is True


def test_one_deployment_for_each_architecture_on_the_cpu_pools(recording: Recording[ExampleWorkloads]) -> None:
    selectors = {
        each.inputs["metadata"]["name"]: pod_of(each)["nodeSelector"] for each in recording.of_type(DEPLOYMENT)
    }
    assert selectors == {
        "scale-amd64": {"kubernetes.io/arch": "amd64", "intent": "apps"},
        "scale-arm64": {"kubernetes.io/arch": "arm64", "intent": "apps"},
    }
    for each in recording.of_type(DEPLOYMENT):
        labels = each.inputs["spec"]["selector"]["matchLabels"]
        assert each.inputs["spec"]["template"]["metadata"]["labels"] == labels
    names = [tuple(each.inputs["spec"]["selector"]["matchLabels"].values()) for each in recording.of_type(DEPLOYMENT)]
    assert len(set(names)) == 2, "each would count the other's pods as its own"


def test_the_cuda_job_takes_exactly_one_slot_in_one_container(recording: Recording[ExampleWorkloads]) -> None:
    pod = pod_of(recording.one(CRON_JOB))
    [container] = pod["containers"]
    gpus = {name: quantity for name, quantity in container["resources"]["limits"].items() if "nvidia" in name}
    assert gpus == {SLOT: "1"}
    assert pod["nodeSelector"] == {"gpu-slices/pool": "shared"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["restartPolicy"] == "Never"
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert "/dev/shm" not in mounts, "MPS clients find their server there"


def test_pods_satisfy_the_restricted_standard(recording: Recording[ExampleWorkloads]) -> None:
    assert len(workloads(recording)) == 3
    for workload in workloads(recording):
        pod = pod_of(workload)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(pod)
        assert all(set(volume) == {"name", "emptyDir"} for volume in pod.get("volumes", []))
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"] == container["resources"]["limits"]
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert not container["image"].endswith(":latest")
            assert ":" in container["image"].rsplit("/", 1)[1]


def test_the_namespace_admits_restricted_pods_only_and_closes_the_network(
    recording: Recording[ExampleWorkloads],
) -> None:
    namespace = recording.one("kubernetes:core/v1:Namespace")
    assert namespace.inputs["metadata"]["labels"] == {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/audit": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
    }
    policy = recording.one("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    assert policy.inputs["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for workload in workloads(recording):
        assert workload.inputs["metadata"]["namespace"] == "examples"
        assert recording.outlives(namespace, workload)
        assert recording.outlives(policy, workload), "a pod could start before its network is closed"


def test_without_a_gpu_pool_there_is_no_gpu_example() -> None:
    recording = record(lambda: program(gpu=None, architectures=["arm64"]))
    assert recording.of_type(CRON_JOB) == []
    assert [each.name for each in recording.of_type(DEPLOYMENT)] == ["examples-arm64"]
