"""The template of pods: one GPU container, restricted, and what was asked for by the names of Kubernetes."""

from dataclasses import replace

from components.gpu.workload_volumes import EmptyDirSource
from tests.unit.components.gpu_workloads import MAIN, SERVER, recorded, template, workload


def test_a_container_without_the_slot_sees_no_gpu_whatever_its_image_says() -> None:
    deployment = recorded(workload()).one("kubernetes:apps/v1:Deployment")
    main, sidecar = deployment.inputs["spec"]["template"]["spec"]["containers"]
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in sidecar["env"]
    # The device plugin's value would lose against one of the pod's own.
    assert "NVIDIA_VISIBLE_DEVICES" not in {each["name"] for each in main["env"]}


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


def test_several_whole_gpus_are_one_request() -> None:
    deployment = recorded(workload(containers=[replace(MAIN, slots=4)], resource_name="nvidia.com/gpu"))
    (main,) = template(deployment)["spec"]["containers"]
    assert main["resources"]["limits"]["nvidia.com/gpu"] == "4"


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
