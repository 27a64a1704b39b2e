"""GpuWorkloads: one GPU container, restricted pods, the ways in, and volumes."""

from dataclasses import replace
from typing import Any

import pytest

from components.gpu.autoscaling import Autoscaling
from components.gpu.gpu_workload import CronSchedule, GpuWorkload, Security, WorkloadContainer
from components.gpu.workload_volumes import BucketSource, ClaimSource, EmptyDirSource, FileSystemSource
from components.gpu.workloads import GpuWorkloads, GpuWorkloadsArgs
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


def test_how_many_there_are_is_the_autoscalers() -> None:
    scaling = Autoscaling(min_replicas=3, max_replicas=4, metric="in_flight", average_value=8)
    recording = recorded(workload(autoscaling=scaling))
    deployment = recording.one("kubernetes:apps/v1:Deployment")
    scaler = recording.one("kubernetes:autoscaling/v2:HorizontalPodAutoscaler").inputs
    assert deployment.inputs["spec"]["replicas"] == 3, "from the first moment on"
    assert scaler["metadata"]["name"] == deployment.inputs["metadata"]["name"]
    assert scaler["metadata"]["namespace"] == "workloads"
    spec = scaler["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "transcribe"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 4)
    (metric,) = spec["metrics"]
    assert metric == {
        "type": "Pods",
        "pods": {"metric": {"name": "in_flight"}, "target": {"type": "AverageValue", "averageValue": "8"}},
    }
    assert spec["behavior"] == {"scaleDown": {"stabilizationWindowSeconds": 300}}


def test_what_ends_is_not_scaled_and_a_range_is_one() -> None:
    scaling = Autoscaling(min_replicas=1, max_replicas=2, metric="in_flight", average_value=8)
    with pytest.raises(ValueError, match="transcribe: only a Deployment has autoscaling"):
        workload(kind="Job", autoscaling=scaling)
    with pytest.raises(ValueError, match="5 to 4 replicas are no range"):
        replace(scaling, min_replicas=5, max_replicas=4)


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


SERVER = replace(
    MAIN,
    image_pull_policy="Always",
    env=[{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}],
    env_from=[{"secretRef": {"name": "all"}}],
    ports=[{"name": "http", "containerPort": 8000}, {"name": "figures", "containerPort": 9000}],
    probes={"readinessProbe": {"httpGet": {"path": "/health", "port": 8000}}},
    volume_mounts=[{"name": "shm", "mountPath": "/dev/shm"}],
)


def template(recording: Recording[GpuWorkloads]) -> Any:
    return recording.one("kubernetes:apps/v1:Deployment").inputs["spec"]["template"]


def test_a_server_has_what_kubernetes_calls_by_the_same_names() -> None:
    pod = template(recorded(workload(containers=[SERVER], volumes={"shm": EmptyDirSource(in_memory=True)})))["spec"]
    (main,) = pod["containers"]
    assert main["imagePullPolicy"] == "Always"
    assert main["env"] == [{"name": "HOME", "value": "/tmp"}, {"name": "USER", "value": "workload"}, *SERVER.env]
    assert main["envFrom"] == [{"secretRef": {"name": "all"}}]
    assert main["readinessProbe"] == {"httpGet": {"path": "/health", "port": 8000}}
    assert main["ports"][0] == {"name": "http", "containerPort": 8000, "protocol": "TCP"}
    assert {"name": "shm", "mountPath": "/dev/shm"} in main["volumeMounts"]
    assert pod["volumes"] == [{"name": "scratch", "emptyDir": {}}, {"name": "shm", "emptyDir": {"medium": "Memory"}}]


def test_ones_own_home_and_temporary_folder_replace_ours() -> None:
    own = replace(
        MAIN,
        env=[{"name": "HOME", "value": "/home/app"}, {"name": "USER", "value": "app"}],
        volume_mounts=[{"name": "data", "mountPath": "/tmp/"}],
    )
    pod = template(recorded(workload(containers=[own], volumes={"data": EmptyDirSource(size_limit="1Gi")})))["spec"]
    assert pod["containers"][0]["env"] == own.env
    assert pod["containers"][0]["volumeMounts"] == own.volume_mounts
    assert pod["volumes"][1] == {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}


def test_a_service_of_its_name_is_reached_from_named_namespaces_alone() -> None:
    recording = recorded(workload(containers=[SERVER], client_namespaces=["my-team", "other"]))
    service = recording.one("kubernetes:core/v1:Service").inputs
    assert (service["metadata"]["name"], service["metadata"]["namespace"]) == ("transcribe", "workloads")
    assert service["spec"]["type"] == "ClusterIP"
    assert service["spec"]["selector"] == {"app.kubernetes.io/name": "transcribe"}
    assert [(port["name"], port["port"]) for port in service["spec"]["ports"]] == [("http", 8000), ("figures", 9000)]
    (way_in,) = [
        policy.inputs["spec"]
        for policy in recording.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
        if policy.inputs["spec"]["podSelector"]
    ]
    assert way_in["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "transcribe"}}
    (rule,) = way_in["ingress"]
    assert [peer["namespaceSelector"]["matchLabels"] for peer in rule["from"]] == [
        {"kubernetes.io/metadata.name": "my-team"},
        {"kubernetes.io/metadata.name": "other"},
    ]
    assert [port["port"] for port in rule["ports"]] == [8000, 9000]


def test_ports_open_nothing_by_themselves() -> None:
    recording = recorded(workload(containers=[SERVER]))
    policy = recording.one("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    assert policy.inputs["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_a_cron_job_makes_jobs_like_those_that_run_once() -> None:
    times = CronSchedule(schedule="30 3 * * 1-5", time_zone="Europe/Berlin")
    spec = recorded(workload(kind="CronJob", schedule=times)).one("kubernetes:batch/v1:CronJob").inputs["spec"]
    job = recorded(workload(kind="Job")).one("kubernetes:batch/v1:Job").inputs["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == (
        "30 3 * * 1-5",
        "Europe/Berlin",
        "Forbid",
    )
    assert spec["jobTemplate"]["spec"] == job


@pytest.mark.parametrize(("kind", "schedule"), [("CronJob", None), ("Job", CronSchedule(schedule="@daily"))])
def test_cron_jobs_and_nothing_else_have_schedules(kind: Any, schedule: CronSchedule | None) -> None:
    with pytest.raises(ValueError, match="a CronJob, and nothing else, has a schedule"):
        workload(kind=kind, schedule=schedule)


def test_several_whole_gpus_are_one_request() -> None:
    deployment = recorded(workload(containers=[replace(MAIN, slots=4)], resource_name="nvidia.com/gpu"))
    (main,) = template(deployment)["spec"]["containers"]
    assert main["resources"]["limits"]["nvidia.com/gpu"] == "4"


def test_buckets_and_file_systems_are_bound_to_claims_that_the_pods_wait_for() -> None:
    volumes = {
        "weights": BucketSource(bucket_name="acme-models"),
        "out": BucketSource(bucket_name="acme-out", read_only=False),
        "home": FileSystemSource(file_system_id="fs-0123456789abcdef0"),
        "team": FileSystemSource(file_system_id="fs-0123456789abcdef0", access_point_id="fsap-0123456789abcdef0"),
        "own": ClaimSource(claim_name="made-by-hand", read_only=True),
    }
    recording = recorded(workload(volumes=volumes, security=Security(group=2000)))
    made = {each.name.rpartition(".")[2]: each for each in recording.of_type("kubernetes:core/v1:PersistentVolume")}
    claims = {
        each.name.rpartition(".")[2]: each for each in recording.of_type("kubernetes:core/v1:PersistentVolumeClaim")
    }
    assert made.keys() == claims.keys() == {"weights", "out", "home", "team"}
    weights, out, home, team = (made[name].inputs["spec"] for name in ("weights", "out", "home", "team"))
    assert weights["csi"] == {
        "driver": "s3.csi.aws.com",
        "volumeHandle": made["weights"].inputs["metadata"]["name"],
        "volumeAttributes": {"bucketName": "acme-models"},
    }
    assert weights["mountOptions"] == ["allow-other", "uid=10001", "gid=2000", "read-only"]
    assert (weights["accessModes"], out["accessModes"]) == (["ReadOnlyMany"], ["ReadWriteMany"])
    assert "read-only" not in out["mountOptions"]
    assert home["csi"] == {"driver": "efs.csi.aws.com", "volumeHandle": "fs-0123456789abcdef0"}
    assert "mountOptions" not in home
    assert team["csi"]["volumeHandle"] == "fs-0123456789abcdef0::fsap-0123456789abcdef0"
    deployment = recording.one("kubernetes:apps/v1:Deployment")
    for name, claim in claims.items():
        metadata, volume = claim.inputs["metadata"], made[name]
        assert volume.inputs["spec"]["claimRef"] == {"namespace": "workloads", "name": metadata["name"]}
        assert claim.inputs["spec"]["volumeName"] == volume.inputs["metadata"]["name"]
        assert recording.outlives(volume, claim)
        assert recording.outlives(claim, deployment)
    named = {name: claim.inputs["metadata"]["name"] for name, claim in claims.items()}
    assert template(recording)["spec"]["volumes"][1:] == [
        {"name": "weights", "persistentVolumeClaim": {"claimName": named["weights"], "readOnly": True}},
        *({"name": name, "persistentVolumeClaim": {"claimName": named[name]}} for name in ("out", "home", "team")),
        {"name": "own", "persistentVolumeClaim": {"claimName": "made-by-hand", "readOnly": True}},
    ]


BUCKET = BucketSource(bucket_name="acme-models")


@pytest.mark.parametrize(
    ("source", "security"),
    [
        (replace(BUCKET, bucket_name="other"), Security()),
        (replace(BUCKET, read_only=False), Security()),
        # Files belong to the pods' user by an option of the mount.
        (BUCKET, Security(user=1000)),
        (FileSystemSource(file_system_id="fs-01234567"), Security()),
    ],
)
def test_another_volume_has_other_names(source: BucketSource | FileSystemSource, security: Security) -> None:
    """Kubernetes changes neither volumes nor claims, and the old ones stay until the pods that have them are gone."""
    kinds = [f"kubernetes:core/v1:{kind}" for kind in ("PersistentVolume", "PersistentVolumeClaim")]
    before, same = (recorded(workload(volumes={"v": BUCKET})) for _ in range(2))
    after = recorded(workload(volumes={"v": source}, security=security))
    for kind in kinds:
        assert before.one(kind).inputs == same.one(kind).inputs
        assert before.one(kind).name == after.one(kind).name
        assert before.one(kind).inputs["metadata"]["name"] != after.one(kind).inputs["metadata"]["name"]


def test_marks_priority_and_registries() -> None:
    each = workload(
        labels={"team": "speech", "app.kubernetes.io/name": "taken"},
        annotations={"example.com/owner": "ann"},
        priority_class="batch",
        pull_secrets=["registry"],
    )
    deployment = recorded(each).one("kubernetes:apps/v1:Deployment").inputs
    for metadata in (deployment["metadata"], deployment["spec"]["template"]["metadata"]):
        assert metadata["labels"] == {"team": "speech", "app.kubernetes.io/name": "transcribe"}
        assert metadata["annotations"]["example.com/owner"] == "ann"
    pod = deployment["spec"]["template"]["spec"]
    assert pod["priorityClassName"] == "batch"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert deployment["spec"]["selector"] == {"matchLabels": {"app.kubernetes.io/name": "transcribe"}}


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
