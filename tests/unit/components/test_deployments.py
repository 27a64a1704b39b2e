"""Deployments: their slots, their autoscaler, and the ways in to them."""

from components.gpu.autoscaling import Autoscaling
from tests.unit.components.gpu_workloads import SERVER, recorded, workload


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


def test_pulumi_does_not_wait_for_a_spot_gpu() -> None:
    metadata = recorded(workload()).one("kubernetes:apps/v1:Deployment").inputs["metadata"]
    assert metadata["annotations"] == {"pulumi.com/skipAwait": "true"}


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
