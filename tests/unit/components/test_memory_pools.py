"""Pools whose pods claim memory: one owner of each GPU, claims for models and workloads, gates only where asked for."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pulumi
import pytest

import versions
from components.gpu.gpu_pool import GpuPool, GpuPoolArgs
from components.gpu.gpu_sharing import GpuSharing, GpuSharingArgs, device_plugin_values, dra_driver_values
from components.gpu.gpu_workload import GpuWorkload, Security, WorkloadContainer
from components.gpu.workloads import GpuWorkloads, GpuWorkloadsArgs
from components.karpenter.karpenter import KarpenterArgs, chart_values
from components.karpenter.node_class import ClusterNodes
from components.serving.model_claims import ModelClaims, policy_spec
from components.serving.model_space import ModelSpace, ModelSpaceArgs
from components.serving.ollama_model import OllamaModel, OllamaModelArgs, ServedModel
from gpu.catalog import types_in
from gpu.contract import CLAIM_LABEL, CONSUMABLE_ANNOTATION, SHARING_LABEL
from gpu.host_share import HostShare
from gpu.pool import Pool, Taint
from gpu.prices import of
from gpu.sharing import MemoryClaims, NoSharing
from tests.unit.components.recording import Recording, record

TEMPLATE = "kubernetes:resource.k8s.io/v1:ResourceClaimTemplate"
POLICY = "kubernetes:admissionregistration.k8s.io/v1:MutatingAdmissionPolicy"
BINDING = "kubernetes:admissionregistration.k8s.io/v1:MutatingAdmissionPolicyBinding"
TEAM = Taint("team", "ml", "NoSchedule")


def pool(**changes: Any) -> Recording[GpuPool]:
    types = types_in(names=["g5.xlarge", "g6.2xlarge"])
    about = Pool(name="claimed", profile=MemoryClaims(), types=types, max_gpus=3, prices=of("us-east-1"))
    nodes = ClusterNodes(cluster_name="c", node_role_name="c-node")
    return record(lambda: GpuPool("gpu", GpuPoolArgs(nodes=nodes, pool=about, **changes)))


def sharing(installer: Any = "device-plugin") -> Recording[GpuSharing]:
    args = GpuSharingArgs(
        profiles={"whole": NoSharing()}, claims=["claimed"], taints={"claimed": [TEAM]}, installer=installer
    )
    return record(lambda: GpuSharing("sharing", args))


def test_karpenter_is_told_that_memory_is_shared_and_that_no_gpu_is_offered() -> None:
    recording = pool()
    node_class = recording.one("kubernetes:karpenter.k8s.aws/v1:EC2NodeClass")
    assert node_class.inputs["metadata"]["annotations"][CONSUMABLE_ANNOTATION] == "memory"
    overlay = recording.one("kubernetes:karpenter.sh/v1alpha1:NodeOverlay").inputs["spec"]
    assert overlay["capacity"] == {"nvidia.com/gpu": "0"}
    spec = recording.one("kubernetes:karpenter.sh/v1:NodePool").inputs["spec"]
    # A g5.xlarge has 4 vCPUs, so three of them are the limit, or one g6.2xlarge and one of these.
    assert spec["limits"] == {"cpu": "12"}


def test_no_gpu_has_two_owners() -> None:
    """The driver selects what the device plugin's releases cannot: a node has one pool, and one strategy."""
    labels = pool().one("kubernetes:karpenter.sh/v1:NodePool").inputs["spec"]["template"]["metadata"]["labels"]
    driver = dra_driver_values(GpuSharingArgs(profiles={}, claims=["claimed"]))["kubeletPlugin"]["nodeSelector"]
    assert driver.items() <= labels.items()
    assert driver == {SHARING_LABEL: "memory"}
    assert "nvidia.com/device-plugin.config" not in labels
    # The operator's plugin stays away from nodes with this label.
    assert labels["nvidia.com/gpu.deploy.operands"] == "false"
    args = GpuSharingArgs(profiles={"whole": NoSharing()}, claims=["claimed"])
    assert not device_plugin_values("whole", args)["nodeSelector"].items() <= labels.items()


@pytest.mark.parametrize("installer", ["device-plugin", "gpu-operator"])
def test_the_driver_has_a_release_of_its_own(installer: str) -> None:
    recording = sharing(installer)
    charts = {each.inputs["chart"]: each.inputs for each in recording.of_type("kubernetes:helm.sh/v3:Release")}
    driver = charts[versions.NVIDIA_DRA_DRIVER_CHART.chart]
    assert len(charts) == 2
    assert driver["version"] == "0.5.0"
    assert "repositoryOpts" not in driver, "an OCI chart has its whole address in its name"
    values = driver["values"]
    assert values["gpuResourcesEnabledOverride"] is True
    assert values["resources"] == {"computeDomains": {"enabled": False}}
    assert (values["featureGates"], values["consumableShares"]) == ({"ConsumableShares": True}, "memory")
    assert {"key": "team", "operator": "Equal", "value": "ml", "effect": "NoSchedule"} in (
        values["kubeletPlugin"]["tolerations"]
    )
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in (
        values["kubeletPlugin"]["tolerations"]
    )
    assert set(recording.result.plugins) == {"whole", "claimed"}


def test_karpenter_s_gate_is_on_only_where_it_is_asked_for() -> None:
    given: dict[str, Any] = {
        "cluster_name": "c",
        "account_id": "123456789012",
        "region": "us-east-1",
        "volume_key_arn": None,
    }
    assert "awsFeatureGates" not in chart_values(KarpenterArgs(**given), "q")["settings"]
    settings = chart_values(KarpenterArgs(**given, dra_nvidia_gpu=True), "q")["settings"]
    assert settings["awsFeatureGates"] == {"draNVIDIAGPU": True}


def test_a_namespace_has_a_template_for_each_size() -> None:
    recording = record(lambda: ModelSpace("models", ModelSpaceArgs(claims=[5542, 3149, 5542])))
    templates = recording.of_type(TEMPLATE)
    assert [each.name for each in templates] == ["models-claim-3149mi", "models-claim-5542mi"]
    larger = templates[1].inputs
    assert larger["metadata"] == {"name": "gpu-5542mi", "namespace": "models"}
    (request,) = larger["spec"]["spec"]["devices"]["requests"]
    assert request["exactly"]["deviceClassName"] == "gpu.nvidia.com"
    assert request["exactly"]["count"] == 1
    assert request["exactly"]["capacity"] == {"requests": {"memory": "5542Mi"}}
    assert {each.urn for each in templates} <= {resource.urn for resource in recording.resources}
    assert all(recording.outlives(recording.named("models-namespace"), each) for each in templates)
    ready = [resource for resource in recording.result.ready if isinstance(resource, pulumi.CustomResource)]
    assert len(ready) == len(recording.result.ready)


def model(**changes: Any) -> Any:
    args: dict[str, Any] = {
        "service": "mistral",
        "models": [ServedModel(name="mistral:7b")],
        "pool": "claimed",
        "resource_name": "gpu.nvidia.com",
        "share": HostShare(1166, 4403),
        "weights_mib": 4197,
        **changes,
    }
    recording = record(lambda: OllamaModel("model-mistral", OllamaModelArgs(**args)))
    return recording.one("kubernetes:serving.knative.dev/v1:Service").inputs["spec"]["template"]


def test_a_model_says_its_claim_by_a_label_and_asks_for_no_slot() -> None:
    template = model(claim_mib=5542)
    assert template["metadata"]["labels"][CLAIM_LABEL] == "5542"
    (container,) = template["spec"]["containers"]
    assert set(container["resources"]["limits"]) == {"memory"}
    assert template["spec"]["nodeSelector"] == {"gpu-slices/pool": "claimed"}
    assert CLAIM_LABEL not in model()["metadata"]["labels"]


def test_the_policy_writes_what_the_label_says_into_every_container_but_knative_s() -> None:
    recording = record(lambda: ModelClaims("model-claims"))
    policy, binding = recording.one(POLICY), recording.one(BINDING)
    assert binding.inputs["spec"] == {"policyName": policy.inputs["metadata"]["name"]}
    spec = policy_spec()
    assert spec["failurePolicy"] == "Fail"
    assert spec["matchConstraints"]["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "models"}}
    (mutation,) = spec["mutations"]
    expression = mutation["applyConfiguration"]["expression"]
    assert f'"gpu-" + object.metadata.labels["{CLAIM_LABEL}"] + "mi"' in expression
    assert 'filter(c, c.name != "queue-proxy")' in expression
    for bracket in ("()", "[]", "{}"):
        assert expression.count(bracket[0]) == expression.count(bracket[1])
    assert not re.search(r"\s{2}", expression)


def workload(**changes: Any) -> GpuWorkload:
    args: dict[str, Any] = {
        "name": "train",
        "kind": "Job",
        "replicas": 2,
        "resource_name": "gpu.nvidia.com",
        "claim_mib": 5155,
        "node_selector": {"gpu-slices/pool": "claimed"},
        "tolerations": [],
        "containers": [
            WorkloadContainer(name="main", image="app:1", slots=1, cpu="2", memory="4Gi"),
            WorkloadContainer(name="log", image="log:1", cpu="100m", memory="64Mi"),
        ],
        **changes,
    }
    assert set(args) <= {field.name for field in fields(GpuWorkload)}
    return GpuWorkload(**args)


def test_a_workload_claims_in_the_container_that_uses_the_gpu() -> None:
    rooted = workload(name="rooted", claim_mib=2000, security=Security(user=0, reason="GPU-142: writes below /opt"))
    args = GpuWorkloadsArgs(workloads=[workload(), workload(name="again"), rooted])
    recording = record(lambda: GpuWorkloads("workloads", args))
    found = {
        (each.inputs["metadata"]["namespace"], each.inputs["metadata"]["name"]) for each in recording.of_type(TEMPLATE)
    }
    assert found == {("workloads", "gpu-5155mi"), ("workloads-baseline", "gpu-2000mi")}
    job = recording.named("workloads-train")
    pod = job.inputs["spec"]["template"]["spec"]
    assert pod["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": "gpu-5155mi"}]
    main, log = pod["containers"]
    assert main["resources"]["claims"] == [{"name": "gpu"}]
    assert main["resources"]["limits"] == {"cpu": "2", "memory": "4Gi"}
    assert "claims" not in log["resources"]
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in log["env"]
    assert all(recording.outlives(each, job) for each in recording.of_type(TEMPLATE) if "baseline" not in each.name)
