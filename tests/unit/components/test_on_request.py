"""GpuWorkloads that Knative runs: what its service says, who reaches its pods, and which flags it needs."""

from dataclasses import replace
from typing import Any

import pytest

from components.gpu.gpu_workload import GpuWorkload, Security
from components.gpu.on_request import OnRequest
from components.gpu.workload_volumes import BucketSource, ClaimSource, EmptyDirSource
from components.gpu.workloads import GpuWorkloads, GpuWorkloadsArgs, knative_features
from gpu.importance import Placing
from tests.unit.components.gpu_workloads import MAIN, SIDECAR
from tests.unit.components.gpu_workloads import workload as a_workload
from tests.unit.components.recording import Recording, record

SERVICE = "kubernetes:serving.knative.dev/v1:Service"
SERVER = replace(MAIN, ports=[{"containerPort": 8000}])


def workload(**changes: Any) -> GpuWorkload:
    """A KnativeService of two containers, or as `changes` say."""
    arguments = {"kind": "KnativeService", "on_request": OnRequest(max_scale=3, parallel=8, idle="2m")}
    return a_workload(**{**arguments, "containers": [SERVER, SIDECAR], **changes})


def recorded(*each: GpuWorkload) -> Recording[GpuWorkloads]:
    return record(lambda: GpuWorkloads("workloads", GpuWorkloadsArgs(workloads=each)))


def template(each: GpuWorkload) -> dict[str, Any]:
    found: dict[str, Any] = recorded(each).one(SERVICE).inputs["spec"]["template"]
    return found


def test_it_scales_from_zero_as_it_was_told() -> None:
    found = template(workload(annotations={"team": "a"}))
    assert found["metadata"]["annotations"] == {
        "team": "a",
        "autoscaling.knative.dev/min-scale": "0",
        "autoscaling.knative.dev/max-scale": "3",
        "autoscaling.knative.dev/scale-to-zero-pod-retention-period": "2m",
    }
    assert found["spec"]["containerConcurrency"] == 8
    assert found["spec"]["responseStartTimeoutSeconds"] <= found["spec"]["timeoutSeconds"] == 1200


def test_its_pods_are_those_of_a_deployment() -> None:
    """What Knative adds, and the disk that nothing mounts, aside."""
    found = template(workload())["spec"]
    deployment = recorded(workload(kind="Deployment", on_request=None)).one("kubernetes:apps/v1:Deployment")
    same = deployment.inputs["spec"]["template"]["spec"]
    assert {key: found[key] for key in same} == same
    assert found.keys() - same.keys() == {"containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds"}


def test_no_route_leads_to_it_from_outside() -> None:
    metadata = recorded(workload(labels={"team": "a"})).one(SERVICE).inputs["metadata"]
    assert metadata["namespace"] == "workloads"
    assert metadata["labels"] == {
        "team": "a",
        "app.kubernetes.io/name": "transcribe",
        "networking.knative.dev/visibility": "cluster-local",
    }


def test_one_that_sleeps_is_waited_for_and_one_that_needs_a_gpu_is_not() -> None:
    asleep = recorded(workload()).one(SERVICE).inputs["metadata"]["annotations"]
    awake = recorded(workload(on_request=OnRequest(min_scale=1))).one(SERVICE).inputs["metadata"]["annotations"]
    assert asleep == {"pulumi.com/waitFor": "condition=Ready"}
    assert awake == {"pulumi.com/skipAwait": "true"}


def test_knative_alone_reaches_its_pods() -> None:
    recording = recorded(workload())
    policies = {
        each.name: each.inputs["spec"] for each in recording.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    }
    assert policies.keys() == {"workloads-no-ingress", "workloads-from-knative"}
    way_in = policies["workloads-from-knative"]
    (rule,) = way_in["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "knative-serving"}}}]
    assert way_in["podSelector"] == {"matchExpressions": [{"key": "serving.knative.dev/service", "operator": "Exists"}]}
    assert not recording.of_type("kubernetes:core/v1:Service"), "Knative makes it"
    other = recorded(a_workload())
    assert [each.name for each in other.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")] == [
        "workloads-no-ingress"
    ]


def test_volumes_are_as_knative_takes_them() -> None:
    """It refuses a volume that nothing mounts, and a mount that does not say of a read-only claim that it is."""
    mounts = [{"name": "weights", "mountPath": "/models"}, {"name": "tmp", "mountPath": "/tmp"}]
    volumes = {"weights": BucketSource(bucket_name="acme"), "tmp": EmptyDirSource()}
    found = template(workload(containers=[replace(SERVER, volume_mounts=mounts)], volumes=volumes))["spec"]
    assert [volume["name"] for volume in found["volumes"]] == ["weights", "tmp"]
    (container,) = found["containers"]
    assert container["volumeMounts"] == [{**mounts[0], "readOnly": True}, mounts[1]]


def test_it_asks_for_the_flags_of_its_fields_and_no_others() -> None:
    always = {"nodeselector", "tolerations", "securitycontext"}
    sealed, open_ = (ClaimSource(claim_name="made-by-hand", read_only=each) for each in (True, False))
    claims = {"persistent-volume-claim"}
    assert knative_features(workload()) == always
    assert knative_features(workload(volumes={"own": sealed})) == always | claims
    assert knative_features(workload(volumes={"own": open_})) == always | claims | {"persistent-volume-write"}
    assert knative_features(workload(scheduler="packing")) == always | {"schedulername"}
    assert knative_features(workload(placing=Placing(priority_class="critical-a"))) == always | {"priorityclassname"}
    assert knative_features(a_workload(scheduler="packing")) == set()


def test_critical_pods_go_one_at_a_time() -> None:
    critical = workload(on_request=OnRequest(min_scale=1), placing=Placing(one_at_a_time=True))
    budget = recorded(critical).one("kubernetes:policy/v1:PodDisruptionBudget").inputs
    labels = template(critical)["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"on_request": None}, "a KnativeService, and nothing else, has on_request"),
        ({"kind": "Job"}, "a KnativeService, and nothing else, has on_request"),
        ({"claim_mib": 3000}, "Knative's API takes no claims: a KnativeService has a slot"),
        ({"containers": [MAIN]}, "a KnativeService has one port, not 0"),
        ({"containers": [replace(SERVER, ports=[{"containerPort": 1}, {"containerPort": 2}])]}, "has one port, not 2"),
        ({"security": Security(token=True)}, "Knative's API lets no service ask for the token"),
    ],
)
def test_what_knative_does_not_take_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"workload transcribe: .*{said}"):
        workload(**changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_scale": 0}, "max_scale is 0, which is no limit to Knative"),
        ({"parallel": 0}, "parallel is 0, which is no limit to Knative"),
        ({"min_scale": 3}, "3 to 2 pods are no range"),
        ({"min_scale": -1}, "-1 to 2 pods are no range"),
    ],
)
def test_a_scale_without_end_or_sense_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"on_request: {said}"):
        OnRequest(**changes)
