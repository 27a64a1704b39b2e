"""Critical pods with GPUs are not on Spot, whoever says that they are critical."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpu.contract import CLAIM_LABEL
from policy.analyzer import Recorded
from policy.rules.gpu_critical_off_spot import RULE
from tests.policy.claims import device_class
from tests.policy.platform import KNATIVE, container, deployment, pool
from tests.policy.support import UNKNOWN, judged, recorded

PRIORITY = "kubernetes:scheduling.k8s.io/v1:PriorityClass"
LABEL = "gpu-slices/importance"
CRITICAL: dict[str, Any] = {"labels": {LABEL: "critical"}}
CAPACITY = "karpenter.sh/capacity-type"


def said(*resources: Recorded) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources)]


def buying(*capacity_types: Any, name: str = "gpu") -> Recorded:
    found = pool(name=name)
    found.inputs["spec"]["template"]["spec"]["requirements"][0]["values"] = list(capacity_types)
    return found


def priority(name: Any = "vip", value: Any = 1000, labels: Any = None, **more: Any) -> Recorded:
    metadata = {"name": name, **({"labels": labels} if labels is not None else {})}
    return recorded(PRIORITY, {"metadata": metadata, "value": value, **more}, "class")


def critical(**spec: Any) -> Recorded:
    return deployment(metadata=CRITICAL, spec=spec)


def affinity(*terms: tuple[str, str, Any]) -> dict[str, Any]:
    """Required node affinity, a term for each of (key, operator, values)."""
    each = [{"matchExpressions": [{"key": key, "operator": how, "values": values}]} for key, how, values in terms]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": each}}
    return {"affinity": {"nodeAffinity": required}}


def test_a_critical_model_on_a_spot_pool_is_told_with_the_pool() -> None:
    (message,) = said(pool(), deployment(type_=KNATIVE, metadata=CRITICAL))
    assert "is critical, and may land on Spot of pool gpu" in message


def test_a_model_that_claims_by_a_label_is_told_too() -> None:
    without = {"containers": [{"name": "main", "image": "a"}]}
    labels = {**CRITICAL["labels"], CLAIM_LABEL: "6144"}
    assert len(said(pool(), deployment(type_=KNATIVE, metadata={"labels": labels}, spec=without))) == 1
    assert said(pool(), deployment(type_=KNATIVE, metadata=CRITICAL, spec=without)) == []


@pytest.mark.parametrize("capacity_types", [("on-demand",), ("reserved",), ("on-demand", "reserved")])
def test_off_spot_it_passes(capacity_types: tuple[str, ...]) -> None:
    assert said(buying(*capacity_types), critical()) == []


def test_of_a_pool_with_both_it_must_choose() -> None:
    both = buying("spot", "on-demand")
    assert len(said(both, critical())) == 1
    chosen = {"gpu-slices/pool": "gpu", CAPACITY: "on-demand"}
    assert said(both, critical(nodeSelector=chosen)) == []
    assert said(both, critical(**affinity((CAPACITY, "In", ["on-demand", "reserved"])))) == []
    assert said(both, critical(**affinity((CAPACITY, "NotIn", ["spot"])))) == []


@pytest.mark.parametrize(
    "spec",
    [
        affinity((CAPACITY, "In", ["on-demand", "spot"])),
        affinity((CAPACITY, "In", ["on-demand"]), ("kubernetes.io/arch", "In", ["amd64"])),
        affinity((CAPACITY, "Exists", None)),
        affinity((CAPACITY, "NotIn", UNKNOWN)),
        {"nodeSelector": {"gpu-slices/pool": "gpu", CAPACITY: UNKNOWN}},
        {"affinity": UNKNOWN},
        {
            "affinity": {
                "nodeAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 100,
                            "preference": {
                                "matchExpressions": [{"key": CAPACITY, "operator": "In", "values": ["on-demand"]}]
                            },
                        }
                    ]
                }
            }
        },
    ],
)
def test_what_does_not_keep_it_off_spot_is_told(spec: dict[str, Any]) -> None:
    assert len(said(buying("spot", "on-demand"), critical(**spec))) == 1


def test_pools_that_take_what_there_is_are_spot_as_well() -> None:
    whatever = pool()
    whatever.inputs["spec"]["template"]["spec"]["requirements"].pop(0)
    assert len(said(whatever, critical())) == 1
    assert len(said(buying(UNKNOWN), critical())) == 1


@pytest.mark.parametrize(
    ("of_class", "name"),
    [
        (priority(labels={LABEL: "critical"}), "vip"),
        (priority("vip", labels={LABEL: "critical"}, globalDefault=True), None),
        (priority("other"), "system-cluster-critical"),
        (priority("other"), "system-node-critical"),
    ],
)
def test_a_priority_class_says_it_too(of_class: Recorded, name: str | None) -> None:
    spec = {"priorityClassName": name} if name else {}
    assert len(said(pool(), of_class, deployment(spec=spec))) == 1


@pytest.mark.parametrize(
    "metadata", [{"annotations": {LABEL: "critical"}}, {"labels": {LABEL: "Critical "}}, {"labels": {LABEL: "batch"}}]
)
def test_label_annotation_and_owner_say_it(metadata: dict[str, Any]) -> None:
    owner = {"labels": {LABEL: "critical"}} if "batch" in str(metadata) else None
    assert len(said(pool(), deployment(metadata=metadata, owner=owner))) == 1


def test_what_is_not_critical_has_no_gpu_or_cannot_meet_spot_is_none_of_its_business() -> None:
    assert said(pool(), priority(), deployment(spec={"priorityClassName": "vip"})) == []
    assert said(pool(), deployment(metadata={"labels": {LABEL: "standard"}})) == []
    assert said(pool(), deployment(container(None), metadata=CRITICAL)) == []
    assert said(pool(), deployment(metadata=CRITICAL, pool="elsewhere")) == []
    assert said(pool("m7i.large"), critical()) == []


def test_where_the_pools_are_elsewhere_the_pod_says_that_it_is_for_spot() -> None:
    assert said(critical()) == []
    assert "which it asks for" in said(critical(nodeSelector={CAPACITY: "spot"}))[0]


@pytest.mark.parametrize(
    ("of_class", "metadata", "spec"),
    [
        (priority("other"), {"labels": {LABEL: UNKNOWN}}, {}),
        (priority("other"), UNKNOWN, {}),
        (priority("other"), {}, {"priorityClassName": UNKNOWN}),
        (priority(labels={LABEL: UNKNOWN}), {}, {"priorityClassName": "vip"}),
        (priority(UNKNOWN, labels={LABEL: "critical"}), {}, {"priorityClassName": "vip"}),
        (priority(labels={LABEL: "critical"}, globalDefault=UNKNOWN), {}, {}),
    ],
)
def test_what_is_not_known_is_told(of_class: Recorded, metadata: Any, spec: dict[str, Any]) -> None:
    (message,) = said(pool(), of_class, deployment(metadata=metadata, spec=spec))
    assert "literal" in message
    assert said(buying("on-demand"), of_class, deployment(metadata=metadata, spec=spec)) == []


def group(capacity_type: Any = "SPOT", types: Any = ("g5.xlarge",), **more: Any) -> Recorded:
    inputs = {"nodeGroupName": "gpus", "capacityType": capacity_type, "instanceTypes": list(types), **more}
    return recorded("aws:eks/nodeGroup:NodeGroup", inputs, "gpus")


EKS = "eks.amazonaws.com/capacityType"
TAINT = {"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}


def on_group(**spec: Any) -> Recorded:
    return critical(**{"nodeSelector": {}, **spec})


def test_a_managed_node_group_on_spot_is_such_a_pool() -> None:
    (message,) = said(group(taints=[TAINT]), on_group())
    assert "may land on Spot of pool gpus" in message
    assert len(said(group(UNKNOWN), on_group())) == 1
    assert len(said(group(), on_group(nodeSelector={EKS: "SPOT"}))) == 1
    assert "which it asks for" in said(on_group(nodeSelector={EKS: "SPOT"}))[0]


TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def template(instance_type: Any = "g6.xlarge", **more: Any) -> Recorded:
    return recorded(TEMPLATE, {"name": "nodes", "instanceType": instance_type, **more}, "nodes")


@pytest.mark.parametrize(
    "of_group",
    [
        replace(group(types=[]), dependencies=(template().urn,)),
        group(types=[], launchTemplate={"name": "nodes"}),
        group(types=[], launchTemplate={"id": "lt-1"}),
    ],
)
def test_the_type_of_a_managed_node_group_may_stand_in_its_launch_template(of_group: Recorded) -> None:
    (message,) = said(template(id="lt-1"), of_group, on_group())
    assert "may land on Spot of pool gpus" in message
    assert len(said(template(UNKNOWN, id="lt-1"), of_group, on_group())) == 1
    assert said(template("m7i.large", id="lt-1"), of_group, on_group()) == []
    on_demand = replace(of_group, inputs={**of_group.inputs, "capacityType": "ON_DEMAND"})
    assert said(template(id="lt-1"), on_demand, on_group()) == []


def test_the_launch_template_of_others_and_types_of_its_own_decide() -> None:
    assert said(template(), group(types=[], launchTemplate={"name": "others"}), on_group()) == []
    assert said(template(), group(types=["m7i.large"], launchTemplate={"name": "nodes"}), on_group()) == []


@pytest.mark.parametrize(
    "of_group",
    [
        group("ON_DEMAND"),
        group(types=["m7i.large"]),
        group(types=[]),
        group(taints=[{**TAINT, "key": "others"}]),
    ],
)
def test_one_that_is_not_on_spot_has_no_gpu_or_is_for_others_is_none(of_group: Recorded) -> None:
    assert said(of_group, on_group()) == []


@pytest.mark.parametrize(
    "spec",
    [{"nodeSelector": {EKS: "ON_DEMAND"}}, affinity((EKS, "In", ["ON_DEMAND"])), affinity((EKS, "NotIn", ["SPOT"]))],
)
def test_pods_that_choose_by_eks_own_label_are_off_spot(spec: dict[str, Any]) -> None:
    assert said(group(), on_group(**spec)) == []


SCALING = "aws:autoscaling/group:Group"
OF_NODES = {"key": "kubernetes.io/cluster/one", "value": "owned"}
TOLD = "k8s.io/cluster-autoscaler/node-template"


def scaling(share: Any = 0, *overrides: Any, tags: Any = (OF_NODES,), **more: Any) -> Recorded:
    """An Auto Scaling group of nodes, of which a share in per cent is on demand."""
    given = list(overrides or [{"instanceType": "g6.xlarge"}])
    distribution = {} if share is None else {"onDemandPercentageAboveBaseCapacity": share}
    policy = {"instancesDistribution": distribution, "launchTemplate": {"overrides": given}}
    return recorded(SCALING, {"mixedInstancesPolicy": policy, "tags": list(tags), **more}, "own")


ANY_GPU = {"instanceRequirements": {"acceleratorCount": {"min": 1}}}


@pytest.mark.parametrize(
    "of_group", [scaling(), scaling(50), scaling(UNKNOWN), scaling(0, ANY_GPU), scaling(0, {"instanceType": UNKNOWN})]
)
def test_an_auto_scaling_group_of_nodes_on_spot_is_such_a_pool(of_group: Recorded) -> None:
    (message,) = said(of_group, on_group())
    assert "may land on Spot of pool own" in message
    assert said(of_group, on_group(nodeSelector={CAPACITY: "on-demand"})) == []
    assert len(said(of_group, on_group(**affinity((CAPACITY, "NotIn", ["spot"]))))) == 1


@pytest.mark.parametrize(
    "of_group",
    [
        scaling(100),
        scaling(None),
        scaling(0, {"instanceType": "m7i.large"}),
        scaling(0, {"instanceRequirements": {"acceleratorCount": {"max": 0}}}),
        scaling(tags=[]),
        scaling(tags=[OF_NODES, {"key": f"{TOLD}/taint/others", "value": "true:NoSchedule"}]),
    ],
)
def test_one_on_demand_without_gpus_for_others_or_of_no_cluster_is_none(of_group: Recorded) -> None:
    assert said(of_group, on_group()) == []


@pytest.mark.parametrize(
    ("base", "size", "told"),
    [(2, 2, 0), ("3", 2.0, 0), (1, 2, 1), (2, None, 1), (2, UNKNOWN, 1), (UNKNOWN, 2, 1), (None, 2, 1)],
)
def test_a_group_that_its_base_on_demand_fills_has_no_spot(base: Any, size: Any, told: int) -> None:
    found = scaling(maxSize=size)
    found.inputs["mixedInstancesPolicy"]["instancesDistribution"]["onDemandBaseCapacity"] = base
    assert len(said(found, on_group())) == told


EKS_GROUP = "eks.amazonaws.com/nodegroup"
KARPENTERS = [{"karpenter.sh/nodepool": "own"}, {"karpenter.k8s.aws/instance-family": "g5"}]


@pytest.mark.parametrize("selector", KARPENTERS)
def test_nodes_of_groups_have_none_of_karpenters_labels(selector: dict[str, str]) -> None:
    assert said(scaling(), on_group(nodeSelector=selector)) == []
    assert said(group(), on_group(nodeSelector=selector)) == []
    ((key, value),) = selector.items()
    assert len(said(scaling(), on_group(**affinity((key, "NotIn", [value]))))) == 1
    assert len(said(group(labels=selector), on_group(nodeSelector=selector))) == 1


def test_nodes_of_eks_have_their_groups_name_and_those_of_others_have_none() -> None:
    steady, own = {EKS_GROUP: "steady"}, {EKS_GROUP: "gpus"}
    assert said(scaling(), on_group(nodeSelector=steady)) == []
    told = [OF_NODES, {"key": f"{TOLD}/label/{EKS_GROUP}", "value": "steady"}]
    assert len(said(scaling(tags=told), on_group(nodeSelector=steady))) == 1
    assert said(group(), on_group(nodeSelector=steady)) == []
    assert len(said(group(), on_group(nodeSelector=own))) == 1
    assert len(said(group(nodeGroupName=UNKNOWN), on_group(nodeSelector=steady))) == 1
    assert len(said(group(nodeGroupName=None), on_group(nodeSelector=steady))) == 1


def test_nodes_have_the_labels_that_the_autoscaler_is_told() -> None:
    labelled = scaling(tags=[OF_NODES, {"key": f"{TOLD}/label/team", "value": "ml"}])
    assert len(said(labelled, on_group(nodeSelector={"team": "ml"}))) == 1
    assert said(labelled, on_group(nodeSelector={"team": "web"})) == []


@pytest.mark.parametrize(
    ("type_", "spot"),
    [
        (TEMPLATE, {"instanceMarketOptions": {"marketType": "spot"}}),
        (TEMPLATE, {"instanceMarketOptions": UNKNOWN}),
        ("aws:ec2/launchConfiguration:LaunchConfiguration", {"spotPrice": "0.5"}),
    ],
)
def test_such_a_group_may_buy_as_what_it_launches(type_: str, spot: dict[str, Any]) -> None:
    launched = recorded(type_, {"instanceType": "g6.xlarge", **spot}, "nodes")
    using = recorded(SCALING, {"tags": [OF_NODES]}, "own", dependencies=(launched.urn,))
    assert len(said(launched, using, on_group())) == 1
    bought = recorded(type_, {"instanceType": "g6.xlarge"}, "nodes")
    assert said(bought, using, on_group()) == []


SPREAD = {"instancesDistribution": {"instanceTypes": ["g6.xlarge"], "onDemandPercentageAboveBaseCapacity": 0}}


@pytest.mark.parametrize(
    ("kind", "given"), [("nodeGroups", SPREAD), ("managedNodeGroups", {"instanceTypes": ["g6.xlarge"], "spot": True})]
)
def test_groups_of_eksctl_are_such_pools_with_their_labels_and_taints(kind: str, given: dict[str, Any]) -> None:
    def cluster(**more: Any) -> Recorded:
        config = {"apiVersion": "eksctl.io/v1alpha5", "kind": "ClusterConfig", "metadata": {"name": "one"}}
        groups = {kind: [{"name": "own", **given, **more}]}
        return recorded("kubernetes:eksctl.io/v1alpha5:ClusterConfig", {**config, **groups}, "one")

    assert "may land on Spot of pool own" in said(cluster(), on_group())[0]
    assert len(said(cluster(labels={"team": "ml"}), on_group(nodeSelector={"team": "ml"}))) == 1
    assert said(cluster(), on_group(nodeSelector={EKS_GROUP: "steady"})) == []
    others = {"key": "others", "value": "true", "effect": "NoSchedule"}
    assert said(cluster(taints=[others]), on_group()) == []
    assert said(cluster(taints={"others": "true:NoSchedule"}), on_group()) == []


def test_a_machine_pool_of_cluster_api_is_such_a_pool() -> None:
    machines = {"awsLaunchTemplate": {"instanceType": "g6.xlarge", "spotMarketOptions": {}}, "maxSize": 2}
    made = {"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": "AWSMachinePool"}
    given = {**made, "metadata": {"name": "own"}, "spec": machines}
    found = recorded("kubernetes:infrastructure.cluster.x-k8s.io/v1beta2:AWSMachinePool", given, "own")
    assert "may land on Spot of pool own" in said(found, on_group())[0]


NODE_POOL = "karpenter.sh/nodepool"


@pytest.mark.parametrize(
    "spec",
    [
        {"nodeSelector": {NODE_POOL: "firm"}},
        {"nodeSelector": {}, **affinity((NODE_POOL, "In", ["firm"]))},
        {"nodeSelector": {}, **affinity((NODE_POOL, "NotIn", ["gpu"]))},
        {"nodeSelector": {}, **affinity(("gpu-slices/pool", "In", ["firm"]))},
        {"nodeSelector": {}, **affinity(("gpu-slices/pool", "DoesNotExist", None))},
    ],
)
def test_beside_a_spot_pool_a_pod_may_choose_another_by_its_name(spec: dict[str, Any]) -> None:
    assert said(buying("spot"), buying("on-demand", name="firm"), critical(**spec)) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"nodeSelector": {NODE_POOL: "gpu"}},
        {"nodeSelector": {NODE_POOL: UNKNOWN}},
        {"nodeSelector": {}, **affinity((NODE_POOL, "In", ["firm", "gpu"]))},
        {"nodeSelector": {}, **affinity((NODE_POOL, "In", ["firm"]), (NODE_POOL, "In", ["gpu"]))},
        {"nodeSelector": {}, **affinity((NODE_POOL, "In", UNKNOWN))},
        {"nodeSelector": {}, **affinity((NODE_POOL, "Exists", None))},
    ],
)
def test_a_name_that_may_be_the_spot_pools_is_told(spec: dict[str, Any]) -> None:
    (message,) = said(buying("spot"), buying("on-demand", name="firm"), critical(**spec))
    assert "of pool gpu:" in message


def test_what_is_not_in_a_list_is_met_by_nodes_without_the_label() -> None:
    on_karpenter = {"nodeSelector": {}, **affinity((EKS, "NotIn", ["SPOT"]))}
    assert len(said(buying("spot"), critical(**on_karpenter))) == 1
    assert len(said(group(taints=[TAINT]), on_group(**affinity((CAPACITY, "NotIn", ["spot"]))))) == 1


def claim(device_class: str = "gpu.nvidia.com", name: Any = "six-gib") -> Recorded:
    asked = {"name": "gpu", "exactly": {"deviceClassName": device_class}}
    return recorded(
        "kubernetes:resource.k8s.io/v1:ResourceClaimTemplate",
        {"metadata": {"name": name}, "spec": {"spec": {"devices": {"requests": [asked]}}}},
        "claim",
    )


def claiming(name: Any = "six-gib") -> Recorded:
    using = {**container(), "resources": {"claims": [{"name": "gpu"}]}}
    return critical(containers=[using], resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": name}])


def test_pods_that_claim_gpus_are_judged_too() -> None:
    assert len(said(pool(), claim(), claiming())) == 1
    assert said(buying("on-demand"), claim(), claiming()) == []
    assert said(pool(), claim("dra.net"), claiming()) == []
    assert said(pool(), claim(UNKNOWN), claiming()) == []
    assert said(pool(), claim(name=UNKNOWN), claiming("another")) == []


def test_a_claim_of_a_class_of_the_programs_own_is_one() -> None:
    assert len(said(pool(), device_class(), claim("team-gpu"), claiming())) == 1
    assert said(pool(), claim("team-gpu"), claiming()) == []


@pytest.mark.parametrize(
    "resource", ["deviceclass.resource.kubernetes.io/gpu.nvidia.com", "deviceclass.resource.kubernetes.io/team-gpu"]
)
def test_a_resource_of_a_class_is_a_gpu(resource: str) -> None:
    asking = critical(containers=[container(resource=resource)])
    assert len(said(pool(), device_class(), asking)) == 1
    assert said(pool(), device_class(), critical(containers=[container(0, resource=resource)])) == []


def test_a_name_that_a_class_gives_its_resource_is_a_gpu() -> None:
    asking = critical(containers=[container(resource="acme.com/card")])
    assert len(said(pool(), device_class(extendedResourceName="acme.com/card"), asking)) == 1
    patch = recorded(
        "kubernetes:resource.k8s.io/v1:DeviceClassPatch",
        {"metadata": {"name": "team-gpu"}, "spec": {"extendedResourceName": "acme.com/card"}},
    )
    assert len(said(pool(), device_class(), patch, asking)) == 1
    assert said(pool(), device_class(), asking) == []


def test_a_gpu_of_a_container_that_runs_before_the_others_is_the_pods() -> None:
    asking = critical(containers=[container(None)], initContainers=[container(name="first")])
    assert len(said(pool(), asking)) == 1


def test_on_a_capacity_block_it_is_told_with_the_pool() -> None:
    block = buying("reserved")
    block.inputs["spec"]["template"]["spec"]["requirements"].append(
        {"key": "karpenter.k8s.aws/capacity-reservation-type", "operator": "In", "values": ["capacity-block"]}
    )
    (message,) = said(block, critical())
    assert "is critical, and may land on a capacity block of pool gpu: all its nodes end at its hour" in message
    assert said(block, deployment()) == []
    stays = buying("reserved")
    stays.inputs["spec"]["template"]["spec"]["requirements"].append(
        {"key": "karpenter.k8s.aws/capacity-reservation-type", "operator": "In", "values": ["default"]}
    )
    assert said(stays, critical()) == []
    (message,) = said(group("CAPACITY_BLOCK"), on_group())
    assert "of pool gpus" in message
