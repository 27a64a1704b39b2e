"""Who goes to GPU nodes asks for a GPU."""

from __future__ import annotations

from typing import Any

import pytest

from gpu.contract import CLAIM_LABEL, DEVICE_CLASS, DEVICE_CLASS_PREFIX
from policy.analyzer import Recorded
from policy.rules import devices_by_slot
from policy.rules.gpu_nodes_for_gpu_work import RULE
from tests.policy.platform import GPU, pool
from tests.policy.support import UNKNOWN, judged, recorded
from tests.policy.test_operators import CARRIERS

TOLERATES: dict[str, Any] = {"tolerations": [{"key": GPU, "operator": "Exists"}]}
SCALING = "aws:autoscaling/group:Group"
CONTAINER = {"name": "main", "image": "a"}


def pods(type_: str = "kubernetes:apps/v1:Deployment", namespace: Any = "ml", **spec: Any) -> Recorded:
    whole = {"containers": [CONTAINER], **spec}
    return recorded(type_, {"metadata": {"name": "it", "namespace": namespace}, "spec": {"template": {"spec": whole}}})


def said(*resources: Recorded, **options: Any) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources, **options)]


def required(*expressions: tuple[str, Any, list[str]]) -> dict[str, Any]:
    given = [{"key": key, "operator": operator, "values": values} for key, operator, values in expressions]
    terms = {"nodeSelectorTerms": [{"matchExpressions": given}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


GOING = [
    TOLERATES,
    {"tolerations": [{"operator": "Exists"}]},
    {"tolerations": UNKNOWN},
    {**TOLERATES, "nodeSelector": {"karpenter.sh/nodepool": "gpu"}},
    {**TOLERATES, **required(("karpenter.sh/nodepool", "In", ["gpu", "other"]))},
    {**TOLERATES, **required(("karpenter.sh/nodepool", "NotIn", ["other"]))},
]


@pytest.mark.parametrize("spec", GOING)
@pytest.mark.parametrize("type_", ["kubernetes:apps/v1:Deployment", "kubernetes:serving.knative.dev/v1:Service"])
def test_a_pod_that_goes_to_a_gpu_pool_without_a_slot_is_told(type_: str, spec: dict[str, Any]) -> None:
    (message,) = said(pool(), pods(type_, **spec))
    assert "asks for no GPU and may land on GPU pool gpu" in message


AWAY = [
    {},
    {"tolerations": [{"key": "other", "operator": "Exists"}]},
    {**TOLERATES, "nodeSelector": {"karpenter.sh/nodepool": "cpu"}},
    {**TOLERATES, **required(("karpenter.sh/nodepool", "NotIn", ["gpu"]))},
    {**TOLERATES, "nodeSelector": {"disk": "fast"}},
    {**TOLERATES, "containers": [{**CONTAINER, "resources": {"limits": {GPU: "1"}}}]},
    {**TOLERATES, "initContainers": [{**CONTAINER, "resources": {"limits": {GPU: "1"}}}]},
    {**TOLERATES, "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "six-gib"}]},
    {
        **TOLERATES,
        "containers": [{**CONTAINER, "resources": {"limits": {f"{DEVICE_CLASS_PREFIX}{DEVICE_CLASS}": "1"}}}],
    },
]


@pytest.mark.parametrize("spec", AWAY)
def test_a_pod_elsewhere_or_with_a_gpu_passes(spec: dict[str, Any]) -> None:
    assert said(pool(), pods(**spec)) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"nodeSelector": {"nvidia.com/gpu.present": "true"}},
        {"nodeSelector": {"nvidia.com/gpu.product": UNKNOWN}},
        {"nodeSelector": {"node.kubernetes.io/instance-type": "g5.xlarge"}},
        required(("karpenter.k8s.aws/instance-gpu-count", "Gt", ["0"])),
        required(("eks.amazonaws.com/instance-gpu-name", "Exists", [])),
        required(("karpenter.k8s.aws/instance-gpu-count", UNKNOWN, ["0"])),
        TOLERATES,
    ],
)
def test_a_program_without_pools_is_judged_by_what_its_pods_ask(spec: dict[str, Any]) -> None:
    assert len(said(pods(**spec))) == 1


@pytest.mark.parametrize(
    "spec",
    [
        {"nodeSelector": {"nvidia.com/gpu.present": "false"}},
        {"nodeSelector": {"node.kubernetes.io/instance-type": "m7i.large"}},
        required(("karpenter.k8s.aws/instance-gpu-count", "DoesNotExist", [])),
        required(("nvidia.com/gpu.present", "NotIn", ["true"])),
        {"tolerations": [{"operator": "Exists"}]},
    ],
)
def test_a_program_without_pools_whose_pods_stay_away_passes(spec: dict[str, Any]) -> None:
    assert said(pods(**spec)) == []


def test_what_is_not_known_may_be_no_gpu() -> None:
    (message,) = said(pool(), pods(**TOLERATES, containers=[{**CONTAINER, "resources": UNKNOWN}]))
    assert "must be a literal" in message
    assert said(pool(), pods(containers=[{**CONTAINER, "resources": UNKNOWN}])) == []


def test_the_nodes_own_are_left_alone() -> None:
    assert said(pool(), pods("kubernetes:apps/v1:DaemonSet", **TOLERATES)) == []
    assert said(pool(), pods(namespace="gpu-system", **TOLERATES)) == []
    assert len(said(pool(), pods(namespace="gpu-system", **TOLERATES), exemptNamespaces=[])) == 1


def test_a_label_that_stands_for_a_claim_is_one() -> None:
    spec = {"containers": [CONTAINER], **TOLERATES}
    labelled = {"metadata": {"labels": {CLAIM_LABEL: "6144"}}, "spec": spec}
    made = {"metadata": {"name": "it", "namespace": "models"}, "spec": {"template": labelled}}
    assert said(pool(), recorded("kubernetes:serving.knative.dev/v1:Service", made)) == []


def test_a_resource_by_which_a_device_class_is_asked_for_is_a_gpu() -> None:
    """Its name and the one that it says itself, as Kubernetes claims a device for either (DRAExtendedResource)."""
    selectors = [{"cel": {"expression": "device.driver == 'gpu.nvidia.com'"}}]
    made = {"metadata": {"name": "cards"}, "spec": {"extendedResourceName": "acme.com/card", "selectors": selectors}}
    device_class = recorded("kubernetes:resource.k8s.io/v1:DeviceClass", made)
    for name in (f"{DEVICE_CLASS_PREFIX}cards", "acme.com/card"):
        asks = pods(**TOLERATES, containers=[{**CONTAINER, "resources": {"limits": {name: "1"}}}])
        assert said(pool(), device_class, asks) == []
        assert len(said(pool(), asks)) == 1


def test_a_pool_without_a_taint_is_open_to_all_and_chosen_by_some() -> None:
    bare = pool(taints=[])
    assert said(bare, pods()) == []
    assert len(said(bare, pods(nodeSelector={"karpenter.sh/nodepool": "gpu"}))) == 1


def test_taints_of_self_managed_nodes_may_stand_in_their_user_data() -> None:
    def own(*tags: dict[str, str]) -> Recorded:
        policy = {"launchTemplate": {"overrides": [{"instanceType": "g6.xlarge"}]}}
        of_nodes = {"key": "kubernetes.io/cluster/one", "value": "owned"}
        return recorded(SCALING, {"mixedInstancesPolicy": policy, "tags": [of_nodes, *tags]}, "own")

    (message,) = said(own(), pods(**TOLERATES))
    assert "tolerates the taint of GPU nodes" in message
    assert said(own(), pods()) == []
    told = {"key": "k8s.io/cluster-autoscaler/node-template/taint/nvidia.com/gpu", "value": "true:NoSchedule"}
    assert "may land on GPU pool own" in said(own(told), pods(**TOLERATES))[0]
    assert said(own(), pool(), pods(**TOLERATES, nodeSelector={"karpenter.sh/nodepool": "cpu"})) == []
    group = {"instanceTypes": ["g6.xlarge"]}
    assert said(recorded("aws:eks/nodeGroup:NodeGroup", group), pods(**TOLERATES)) == []


@pytest.mark.parametrize("name", CARRIERS)
def test_every_operator_s_pods_are_judged_alike(name: str) -> None:
    """Where a pod is told whole: where it lies, that it asks for nothing, and that it takes all GPUs all the same."""
    carrier = CARRIERS[name]
    every = {**CONTAINER, "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}
    (message,) = [verdict.message for verdict in judged(devices_by_slot.RULE, carrier.around(every))]
    assert "NVIDIA_VISIBLE_DEVICES is all" in message
    if carrier.whole and not carrier.lent:
        assert len(said(pool(), carrier.around(CONTAINER, **TOLERATES))) == 1
        assert said(pool(), carrier.around(CONTAINER)) == []
