"""GpuWorkloads: one slot, one GPU container, restricted pods."""

from typing import Any

import pytest

from components.gpu.workloads import GpuWorkload, GpuWorkloads, GpuWorkloadsArgs, WorkloadContainer
from tests.unit.components.recording import Recording, record

MAIN = WorkloadContainer(name="main", image="app:1", slots=1, cpu="2", memory="4Gi", args=["--serve"])
SIDECAR = WorkloadContainer(name="sidecar", image="log:1", cpu="100m", memory="64Mi")


def workload(**changes: Any) -> GpuWorkload:
    """A Deployment of two containers, or as `changes` say."""
    arguments: dict[str, Any] = {
        "name": "transcribe",
        "kind": "Deployment",
        "replicas": 2,
        "resource_name": "nvidia.com/gpu.shared",
        "node_selector": {"gpu-slices/pool": "shared"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "containers": [MAIN, SIDECAR],
    }
    return GpuWorkload(**{**arguments, **changes})


def recorded(each: GpuWorkload) -> Recording[GpuWorkloads]:
    """The component with one workload."""
    return record(lambda: GpuWorkloads("workloads", GpuWorkloadsArgs(workloads=[each])))


def test_a_deployment_takes_one_slot_in_one_container() -> None:
    deployment = recorded(workload()).one("kubernetes:apps/v1:Deployment")
    spec = deployment.inputs["spec"]
    main, sidecar = spec["template"]["spec"]["containers"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "Recreate"}
    assert main["resources"]["limits"] == {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu.shared": "1"}
    assert main["resources"]["requests"] == main["resources"]["limits"]
    assert "nvidia.com/gpu.shared" not in sidecar["resources"]["limits"]
    assert main["args"] == ["--serve"]
    assert "command" not in main
    assert spec["template"]["spec"]["nodeSelector"] == {"gpu-slices/pool": "shared"}


def test_a_job_is_not_blamed_for_spot_interruptions() -> None:
    spec = recorded(workload(kind="Job")).one("kubernetes:batch/v1:Job").inputs["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["podReplacementPolicy"] == "Failed"
    assert (spec["completions"], spec["parallelism"]) == (2, 2)


@pytest.mark.parametrize(("containers", "count"), [([SIDECAR], 0), ([MAIN, MAIN], 2)])
def test_exactly_one_container_uses_the_gpu(containers: list[WorkloadContainer], count: int) -> None:
    with pytest.raises(ValueError, match=f"transcribe: exactly one container must use the GPU, not {count}"):
        workload(containers=containers)


def test_pods_are_restricted_and_nobody_reaches_them() -> None:
    recording = recorded(workload())
    namespace = recording.one("kubernetes:core/v1:Namespace")
    pod = recording.one("kubernetes:apps/v1:Deployment").inputs["spec"]["template"]["spec"]
    assert namespace.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    policy = recording.one("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    assert policy.inputs["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_pulumi_does_not_wait_for_a_spot_gpu() -> None:
    metadata = recorded(workload()).one("kubernetes:apps/v1:Deployment").inputs["metadata"]
    assert metadata["annotations"] == {"pulumi.com/skipAwait": "true"}


def test_a_container_without_the_slot_sees_no_gpu_whatever_its_image_says() -> None:
    deployment = recorded(workload()).one("kubernetes:apps/v1:Deployment")
    main, sidecar = deployment.inputs["spec"]["template"]["spec"]["containers"]
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in sidecar["env"]
    # The device plugin's value would lose against one of the pod's own.
    assert "NVIDIA_VISIBLE_DEVICES" not in {each["name"] for each in main["env"]}
