"""GpuWorkloads: a namespace for restricted pods, another for those that run as root, and nobody gets in."""

from dataclasses import replace

from components.gpu.gpu_workload import Security
from tests.unit.components.gpu_workloads import MAIN, recorded, template, workload


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


def test_what_weakens_a_pod_is_there_only_where_it_was_asked_for() -> None:
    weak = Security(user=0, fs_group=3000, service_account="app", token=True, reason="GPU-142: writes below /opt")
    recording = recorded(workload(containers=[replace(MAIN, read_only_root=False)], security=weak))
    namespace = recording.one("kubernetes:core/v1:Namespace").inputs["metadata"]
    assert namespace["name"] == "workloads-baseline"
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
    found = template(recording)
    assert found["metadata"]["annotations"] == {"gpu-slices/security-reason": "GPU-142: writes below /opt"}
    assert found["spec"]["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "fsGroup": 3000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    # Images know root by name.
    assert found["spec"]["containers"][0]["env"] == [{"name": "HOME", "value": "/tmp"}]
    assert found["spec"]["automountServiceAccountToken"] is True
    assert found["spec"]["serviceAccountName"] == "app"
    assert found["spec"]["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": False,
        "capabilities": {"drop": ["ALL"]},
    }
    policy = recording.one("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    assert policy.inputs["metadata"]["namespace"] == "workloads-baseline"
