"""Ways to get a GPU that is not Spot, and programs that get none: the tables of the on-demand rule's tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Case = tuple[str, Mapping[str, Any]]

POOL: Final = "kubernetes:karpenter.sh/v1:NodePool"
NODE_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP: Final = "aws:autoscaling/group:Group"
INSTANCE: Final = "aws:ec2/instance:Instance"
FLEET: Final = "aws:ec2/fleet:Fleet"
RELEASE: Final = "kubernetes:helm.sh/v3:Release"

AWS: Final = "karpenter.k8s.aws/instance-"
AUTO: Final = "eks.amazonaws.com/instance-"
CAPACITY: Final = "karpenter.sh/capacity-type"
TYPE: Final = "node.kubernetes.io/instance-type"

JUSTIFIED: Final = {
    "gpu-slices/on-demand-justification": "PLAT-123: the nightly evaluation cannot be interrupted",
    "gpu-slices/on-demand-expires": "2027-02-01",
}


def need(key: str, operator: str, *values: str) -> dict[str, Any]:
    """A requirement."""
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def pool(
    *requirements: dict[str, Any],
    group: str = "karpenter.k8s.aws",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Inputs of a NodePool."""
    kind = "NodeClass" if group == "eks.amazonaws.com" else "EC2NodeClass"
    spec = {"nodeClassRef": {"group": group, "kind": kind, "name": "gpu"}, "requirements": list(requirements)}
    template = {"metadata": {"labels": dict(labels)}, "spec": spec} if labels else {"spec": spec}
    metadata = {"name": "gpu", **({"annotations": dict(annotations)} if annotations else {})}
    manifest = {"apiVersion": "karpenter.sh/v1", "kind": "NodePool"}
    return {**manifest, "metadata": metadata, "spec": {"template": template}}


SPOT: Final = need(CAPACITY, "In", "spot")
ON_DEMAND: Final = need(CAPACITY, "In", "on-demand")
G5: Final = need(f"{AWS}family", "In", "g5")

POOL_YAML: Final = """
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: hidden}
spec:
  template:
    spec:
      nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: gpu}
      requirements:
        - {key: karpenter.k8s.aws/instance-category, operator: In, values: [g]}
        - {key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}
"""

MIXED: Final = {
    "launchTemplate": {
        "launchTemplateSpecification": {"launchTemplateId": "lt-1"},
        "overrides": [{"instanceType": "g6.xlarge"}, {"instanceType": "g5.xlarge"}],
    }
}

#: What a NodePool can be made to say, and still launch a GPU that is not Spot.
POOLS: Final[Mapping[str, Case]] = {
    "no capacity type": (POOL, pool(G5)),
    "capacity type on-demand": (POOL, pool(G5, ON_DEMAND)),
    "capacity type spot or on-demand": (POOL, pool(G5, need(CAPACITY, "In", "spot", "on-demand"))),
    "capacity type not spot": (POOL, pool(G5, need(CAPACITY, "NotIn", "spot"))),
    "capacity type not on-demand, so reserved": (POOL, pool(G5, need(CAPACITY, "NotIn", "on-demand"))),
    "capacity type not reserved": (POOL, pool(G5, need(CAPACITY, "NotIn", "reserved"))),
    "capacity type exists": (POOL, pool(G5, need(CAPACITY, "Exists"))),
    "capacity type reserved": (POOL, pool(G5, need(CAPACITY, "In", "reserved"))),
    "capacity type with an operator that does not exist": (POOL, pool(G5, need(CAPACITY, "Is", "spot"))),
    "spot under another key": (POOL, pool(G5, need("eks.amazonaws.com/capacityType", "In", "SPOT"))),
    "on-demand as a template label": (POOL, pool(G5, labels={CAPACITY: "on-demand"})),
    "GPU type as a template label": (POOL, pool(ON_DEMAND, labels={TYPE: "g5.xlarge"})),
    "GPU name as a template label": (POOL, pool(ON_DEMAND, labels={f"{AWS}gpu-name": "l4"})),
    "by instance type": (POOL, pool(need(TYPE, "In", "m5.large", "g6.2xlarge"))),
    "by an older name of the instance type": (POOL, pool(need("beta.kubernetes.io/instance-type", "In", "g5.xlarge"))),
    "by category": (POOL, pool(need(f"{AWS}category", "In", "c", "p"), ON_DEMAND)),
    "by category gr, which is not g": (POOL, pool(need(f"{AWS}category", "NotIn", "g", "p"), ON_DEMAND)),
    "by GPU name": (POOL, pool(need(f"{AWS}gpu-name", "In", "h100"), ON_DEMAND)),
    "by GPU count": (POOL, pool(need(f"{AWS}gpu-count", "Gt", "0"), ON_DEMAND)),
    "by GPU count at most": (POOL, pool(need(f"{AWS}gpu-count", "Lte", "1"), ON_DEMAND)),
    "by GPU manufacturer": (POOL, pool(need(f"{AWS}gpu-manufacturer", "Exists"), ON_DEMAND)),
    "by GPU memory": (POOL, pool(need(f"{AWS}gpu-memory", "Gte", "16384"), ON_DEMAND)),
    "not excluded at all": (POOL, pool(ON_DEMAND)),
    "no requirements": (POOL, pool()),
    "not excluded by arm64": (POOL, pool(need("kubernetes.io/arch", "In", "arm64"), ON_DEMAND)),
    "not excluded by four vCPUs": (POOL, pool(need(f"{AWS}cpu", "In", "4"), ON_DEMAND)),
    "not excluded by generation": (POOL, pool(need(f"{AWS}generation", "Gt", "5"), ON_DEMAND)),
    "not excluded by size": (POOL, pool(need(f"{AWS}size", "NotIn", "metal", "48xlarge"), ON_DEMAND)),
    "excluded by a label of one's own": (POOL, pool(need("team.example/gpu", "In", "none"), ON_DEMAND)),
    "excluded by Auto Mode's label, without Auto Mode": (POOL, pool(need(f"{AUTO}category", "In", "c"), ON_DEMAND)),
    "excluded by Karpenter's label, in Auto Mode": (
        POOL,
        pool(need(f"{AWS}category", "In", "c"), ON_DEMAND, group="eks.amazonaws.com"),
    ),
    "Auto Mode by family": (POOL, pool(need(f"{AUTO}family", "In", "g6e"), ON_DEMAND, group="eks.amazonaws.com")),
    "NVIDIA excluded, AMD not": (POOL, pool(need(f"{AWS}gpu-manufacturer", "NotIn", "nvidia"), ON_DEMAND)),
    "today's families excluded, tomorrow's not": (
        POOL,
        pool(need(f"{AWS}family", "NotIn", "g4dn", "g5", "g5g", "g6", "g6e", "gr6", "p4d", "p5", "p6-b200"), ON_DEMAND),
    ),
    "a family that does not exist yet": (POOL, pool(need(f"{AWS}family", "In", "g9x"), ON_DEMAND)),
    "a type that does not exist yet": (POOL, pool(need(TYPE, "In", "p9e-x900.large"), ON_DEMAND)),
    "a fraction of a GPU": (POOL, pool(need(f"{AWS}family", "In", "g6f"), ON_DEMAND)),
    "AMD's GPU": (POOL, pool(need(TYPE, "In", "g4ad.xlarge"), ON_DEMAND)),
    "an older API": ("kubernetes:karpenter.sh/v1beta1:NodePool", pool(G5)),
    "the first API": (
        "kubernetes:karpenter.sh/v1alpha5:Provisioner",
        {"spec": {"requirements": [need(TYPE, "In", "p3.2xlarge")], "labels": {"team": "a"}}},
    ),
    "a NodeClaim of one's own": (
        "kubernetes:karpenter.sh/v1:NodeClaim",
        {"spec": {"requirements": [need(TYPE, "In", "g5.xlarge"), ON_DEMAND]}},
    ),
    "a patch of another program's pool": ("kubernetes:karpenter.sh/v1:NodePoolPatch", pool(G5, ON_DEMAND)),
    "a group of pools under spec": (POOL, {"spec": {"template": {"spec": {}}}}),
}

#: Marks that look like a justification and are none.
UNJUSTIFIED: Final[Mapping[str, Mapping[str, Any]]] = {
    "no date": {"gpu-slices/on-demand-justification": JUSTIFIED["gpu-slices/on-demand-justification"]},
    "no reason": {"gpu-slices/on-demand-expires": "2027-02-01"},
    "too short": {**JUSTIFIED, "gpu-slices/on-demand-justification": "PLAT-1 please"},
    "padded": {**JUSTIFIED, "gpu-slices/on-demand-justification": "PLAT-1" + " " * 20 + "now"},
    "no ticket": {**JUSTIFIED, "gpu-slices/on-demand-justification": "we really need these GPUs now"},
    "expired": {**JUSTIFIED, "gpu-slices/on-demand-expires": "2026-11-20"},
    "too far ahead": {**JUSTIFIED, "gpu-slices/on-demand-expires": "2027-05-21"},
    "for ever": {**JUSTIFIED, "gpu-slices/on-demand-expires": "9999-12-31"},
    "not a date": {**JUSTIFIED, "gpu-slices/on-demand-expires": "next quarter"},
    "no such day": {**JUSTIFIED, "gpu-slices/on-demand-expires": "2027-02-30"},
    "week date": {**JUSTIFIED, "gpu-slices/on-demand-expires": "2027-W01-1"},
    "another prefix": {key.replace("gpu-slices", "gpu_slices"): value for key, value in JUSTIFIED.items()},
}

#: What AWS and pulumi-eks resources can be made to say.
CLOUD: Final[Mapping[str, Case]] = {
    "node group without a capacity type": (NODE_GROUP, {"instanceTypes": ["g5.xlarge"]}),
    "node group on demand": (NODE_GROUP, {"instanceTypes": ["g5.xlarge"], "capacityType": "ON_DEMAND"}),
    "node group of a capacity block": (
        NODE_GROUP,
        {"instanceTypes": ["p5.48xlarge"], "capacityType": "CAPACITY_BLOCK"},
    ),
    "node group with one GPU type among others": (NODE_GROUP, {"instanceTypes": ["m5.large", "g4dn.xlarge"]}),
    "node group told by its image alone": (NODE_GROUP, {"amiType": "AL2023_x86_64_NVIDIA"}),
    "node group of AWS Native": ("aws-native:eks:Nodegroup", {"instanceTypes": ["g6.xlarge"]}),
    "node group of pulumi-eks": ("eks:index:ManagedNodeGroup", {"instanceTypes": ["g6.xlarge"]}),
    "node group of pulumi-eks, gpu": ("eks:index:ManagedNodeGroup", {"gpu": True}),
    "own node group of pulumi-eks": ("eks:index:NodeGroupV2", {"instanceType": "g5.xlarge"}),
    "default node group of a cluster": ("eks:index:Cluster", {"instanceType": "p3.2xlarge"}),
    "node group options of a cluster": ("eks:index:Cluster", {"nodeGroupOptions": {"instanceType": "g5.xlarge"}}),
    "launch template": (TEMPLATE, {"instanceType": "g5.xlarge"}),
    "launch template of a capacity block": (
        TEMPLATE,
        {"instanceType": "p5.48xlarge", "instanceMarketOptions": {"marketType": "capacity-block"}},
    ),
    "launch template by attributes": (TEMPLATE, {"instanceRequirements": {"vcpuCount": {"min": 4}}}),
    "launch template by accelerator": (
        TEMPLATE,
        {"instanceRequirements": {"acceleratorTypes": ["gpu"], "acceleratorCount": {"min": 1}}},
    ),
    "launch template by pattern": (TEMPLATE, {"instanceRequirements": {"allowedInstanceTypes": ["m5.*", "g5*"]}}),
    "launch template that excludes some": (
        TEMPLATE,
        {"instanceRequirements": {"excludedInstanceTypes": ["p*", "g5.*"]}},
    ),
    "launch configuration": ("aws:ec2/launchConfiguration:LaunchConfiguration", {"instanceType": "g4dn.xlarge"}),
    "Auto Scaling group with the default mix": (GROUP, {"mixedInstancesPolicy": MIXED}),
    "Auto Scaling group with a base": (
        GROUP,
        {
            "mixedInstancesPolicy": {
                **MIXED,
                "instancesDistribution": {"onDemandBaseCapacity": 1, "onDemandPercentageAboveBaseCapacity": 0},
            }
        },
    ),
    "Auto Scaling group with one per cent": (
        GROUP,
        {"mixedInstancesPolicy": {**MIXED, "instancesDistribution": {"onDemandPercentageAboveBaseCapacity": 1}}},
    ),
    "single instance": (INSTANCE, {"instanceType": "g6.xlarge"}),
    "single instance of AWS Native": ("aws-native:ec2:Instance", {"instanceType": "g6.xlarge"}),
    "fleet": (
        FLEET,
        {
            "targetCapacitySpecification": {"defaultTargetCapacityType": "on-demand", "totalTargetCapacity": 1},
            "launchTemplateConfigs": [MIXED["launchTemplate"]],
        },
    ),
    "fleet with an on-demand part": (
        FLEET,
        {
            "targetCapacitySpecification": {"defaultTargetCapacityType": "spot", "onDemandTargetCapacity": 1},
            "launchTemplateConfigs": [MIXED["launchTemplate"]],
        },
    ),
    "spot fleet with an on-demand part": (
        "aws:ec2/spotFleetRequest:SpotFleetRequest",
        {"onDemandTargetCapacity": 2, "launchSpecifications": [{"instanceType": "g5.xlarge"}]},
    ),
    "capacity reservation": ("aws:ec2/capacityReservation:CapacityReservation", {"instanceType": "p4d.24xlarge"}),
    "capacity block": (
        "aws:ec2/capacityBlockReservation:CapacityBlockReservation",
        {"capacityBlockOfferingId": "cb-1", "instancePlatform": "Linux/UNIX"},
    ),
    "dedicated host": ("aws:ec2/dedicatedHost:DedicatedHost", {"instanceFamily": "g5"}),
    "AWS Batch": (
        "aws:batch/computeEnvironment:ComputeEnvironment",
        {"computeResources": {"type": "EC2", "instanceTypes": ["p3"]}},
    ),
}

#: GPU types where no resource type tells of them.
HIDDEN: Final[Mapping[str, Case]] = {
    "helm values, instance type": (RELEASE, {"values": {"nodes": [{"instanceType": "g5.xlarge"}]}}),
    "helm values, on demand beside it": (
        RELEASE,
        {"values": {"pools": {"gpu": {"instanceTypes": ["g5.xlarge"], "capacityType": "on-demand"}}}},
    ),
    "helm values, any key": (RELEASE, {"values": {"workers": {"flavour": "p4d.24xlarge"}}}),
    "helm values, as a key": (RELEASE, {"values": {"workers": {"g5.xlarge": 2}}}),
    "helm values, in one string": (RELEASE, {"values": {"extraArgs": ["--instance-types=m5.large,g6.xlarge"]}}),
    "helm values, requirements": (RELEASE, {"values": {"pools": [{"requirements": [G5, ON_DEMAND]}]}}),
    "helm values, requirements that exclude nothing": (
        RELEASE,
        {"values": {"pools": [{"requirements": [need("kubernetes.io/arch", "In", "amd64")]}]}},
    ),
    "helm values, a whole manifest": (RELEASE, {"values": {"extraObjects": [pool(G5, ON_DEMAND)]}}),
    "helm values, a manifest as text": (RELEASE, {"values": {"extraObjects": [POOL_YAML]}}),
    "helm values, unknown type": (RELEASE, {"values": {"instanceType": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}}),
    "helm chart, version 4": ("kubernetes:helm.sh/v4:Chart", {"values": {"instanceTypes": ["g5.xlarge"]}}),
    "value file that cannot be read": (
        RELEASE,
        {
            "valueYamlFiles": [
                {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "path": "no.yaml"}
            ]
        },
    ),
    "value file as text": (
        RELEASE,
        {
            "valueYamlFiles": [
                {
                    "4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17",
                    "text": "instanceType: g5.xlarge",
                }
            ]
        },
    ),
    "ConfigGroup as text": ("kubernetes:yaml/v2:ConfigGroup", {"yaml": POOL_YAML}),
    "ConfigGroup as objects": ("kubernetes:yaml/v2:ConfigGroup", {"objs": [pool(G5, ON_DEMAND)]}),
    "ConfigGroup as JSON": (
        "kubernetes:yaml:ConfigGroup",
        {"yaml": '{"kind": "List", "items": [{"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "spec": {}}]}'},
    ),
    "Argo CD application": (
        "kubernetes:argoproj.io/v1alpha1:Application",
        {"spec": {"source": {"helm": {"values": "nodes:\n  instanceType: g5.xlarge\n"}}}},
    ),
    "Flux release": (
        "kubernetes:helm.toolkit.fluxcd.io/v2:HelmRelease",
        {"spec": {"values": {"instanceType": "g5.xlarge"}}},
    ),
    "Cluster API machine pool": (
        "kubernetes:infrastructure.cluster.x-k8s.io/v1beta2:AWSManagedMachinePool",
        {"spec": {"instanceType": "g5.xlarge", "capacityType": "onDemand"}},
    ),
    "node group of ACK": (
        "kubernetes:eks.services.k8s.aws/v1alpha1:Nodegroup",
        {"spec": {"instanceTypes": ["g5.xlarge"]}},
    ),
    "CloudFormation in YAML": (
        "aws:cloudformation/stack:Stack",
        {"templateBody": "Resources:\n  A:\n    Properties: {InstanceType: g5.xlarge, ImageId: !Ref Image}\n"},
    ),
    "CloudFormation in JSON": (
        "aws:cloudformation/stack:Stack",
        {"templateBody": '{"Resources": {"A": {"Properties": {"InstanceType": "g5.xlarge"}}}}'},
    ),
    "a command": ("command:local:Command", {"create": "aws ec2 run-instances --instance-type g5.xlarge"}),
    "SageMaker endpoint": (
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        {"productionVariants": [{"instanceType": "ml.g5.xlarge", "initialInstanceCount": 1}]},
    ),
    "ECS managed instances": (
        "aws:ecs/capacityProvider:CapacityProvider",
        {
            "managedInstancesProvider": {
                "instanceLaunchTemplate": {"instanceRequirements": {"acceleratorTypes": ["gpu"]}},
            }
        },
    ),
}

BYPASSES: Final[Mapping[str, Case]] = {
    **{f"pool: {name}": case for name, case in POOLS.items()},
    **{f"marks: {name}": (POOL, pool(G5, ON_DEMAND, annotations=given)) for name, given in UNJUSTIFIED.items()},
    **{f"cloud: {name}": case for name, case in CLOUD.items()},
    **{f"hidden: {name}": case for name, case in HIDDEN.items()},
}

ALL_SPOT: Final = {"onDemandBaseCapacity": 0, "onDemandPercentageAboveBaseCapacity": 0}

#: Programs that buy GPUs as Spot, with a justification, or no GPUs.
LEGITIMATE: Final[Mapping[str, Case]] = {
    "spot pool by family": (POOL, pool(G5, SPOT)),
    "spot pool that admits everything": (POOL, pool(SPOT)),
    "spot pool by template label": (POOL, pool(G5, labels={CAPACITY: "spot"})),
    "spot pool by exclusion": (POOL, pool(G5, need(CAPACITY, "NotIn", "on-demand", "reserved"))),
    "justified pool": (POOL, pool(G5, ON_DEMAND, annotations=JUSTIFIED)),
    "CPU pool by category": (POOL, pool(need(f"{AWS}category", "In", "c", "m", "r"), ON_DEMAND)),
    "CPU pool by family": (POOL, pool(need(f"{AWS}family", "In", "m7g", "c7g"))),
    "CPU pool by type": (POOL, pool(need(TYPE, "In", "m7i.large", "c7i.xlarge"), ON_DEMAND)),
    "CPU pool without GPU count": (POOL, pool(need(f"{AWS}gpu-count", "DoesNotExist"), ON_DEMAND)),
    "CPU pool in Auto Mode": (
        POOL,
        pool(need(f"{AUTO}category", "In", "c", "m"), ON_DEMAND, group="eks.amazonaws.com"),
    ),
    "CPU pool that excludes every GPU category": (POOL, pool(need(f"{AWS}category", "NotIn", "g", "gr", "p"))),
    "Trainium pool": (POOL, pool(need(f"{AWS}family", "In", "trn1", "inf2"), ON_DEMAND)),
    "patch of a limit": ("kubernetes:karpenter.sh/v1:NodePoolPatch", {"spec": {"limits": {"nvidia.com/gpu": "8"}}}),
    "overlay": (
        "kubernetes:karpenter.sh/v1alpha1:NodeOverlay",
        {"spec": {"requirements": [need(f"{AWS}gpu-count", "In", "1")], "capacity": {"nvidia.com/gpu": "4"}}},
    ),
    "spot node group": (NODE_GROUP, {"instanceTypes": ["g5.xlarge", "g6.xlarge"], "capacityType": "SPOT"}),
    "CPU node group": (NODE_GROUP, {"instanceTypes": ["t4g.medium"]}),
    "CPU node group with defaults": (NODE_GROUP, {"scalingConfig": {"maxSize": 3}}),
    "justified node group": (NODE_GROUP, {"instanceTypes": ["g5.xlarge"], "tags": {"Name": "x", **JUSTIFIED}}),
    "spot launch template": (
        TEMPLATE,
        {"instanceType": "g5.xlarge", "instanceMarketOptions": {"marketType": "spot"}},
    ),
    "launch template by attributes without accelerators": (
        TEMPLATE,
        {"instanceRequirements": {"vcpuCount": {"min": 2}, "acceleratorCount": {"max": 0}}},
    ),
    "launch template of CPU families": (
        TEMPLATE,
        {"instanceRequirements": {"allowedInstanceTypes": ["m7g.*", "c7g.*"]}},
    ),
    "launch template that excludes GPU categories": (
        TEMPLATE,
        {"instanceRequirements": {"excludedInstanceTypes": ["g*", "p*", "trn*"]}},
    ),
    "spot Auto Scaling group": (GROUP, {"mixedInstancesPolicy": {**MIXED, "instancesDistribution": ALL_SPOT}}),
    "spot fleet": (
        FLEET,
        {
            "targetCapacitySpecification": {"defaultTargetCapacityType": "spot", "totalTargetCapacity": 2},
            "launchTemplateConfigs": [MIXED["launchTemplate"]],
        },
    ),
    "spot instance request": ("aws:ec2/spotInstanceRequest:SpotInstanceRequest", {"instanceType": "g5.xlarge"}),
    "spot launch template of AWS Native": (
        "aws-native:ec2:LaunchTemplate",
        {"launchTemplateData": {"instanceType": "g5.xlarge", "instanceMarketOptions": {"marketType": "spot"}}},
    ),
    "CPU instance": (INSTANCE, {"instanceType": "m7g.large"}),
    "pulumi-eks cluster without nodes": ("eks:index:Cluster", {"skipDefaultNodeGroup": True, "version": "1.35"}),
    "pulumi-eks spot node group": (
        "eks:index:ManagedNodeGroup",
        {"instanceTypes": ["g5.xlarge"], "capacityType": "SPOT", "gpu": True},
    ),
    "helm values that choose nodes": (
        RELEASE,
        {
            "chart": "dcgm-exporter",
            "values": {
                "nodeSelector": {TYPE: "g5.xlarge"},
                "affinity": {"nodeAffinity": {"matchExpressions": [need(TYPE, "In", "g5.xlarge")]}},
            },
        },
    ),
    "helm values with spot beside it": (
        RELEASE,
        {"values": {"pools": [{"instanceTypes": ["g5.xlarge"], "capacityType": "spot"}]}},
    ),
    "helm values of Karpenter": (
        RELEASE,
        {
            "chart": "karpenter",
            "values": {
                "settings": {"clusterName": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"},
                "controller": {"resources": {"requests": {"cpu": 1}}},
            },
        },
    ),
    "justified helm values": (RELEASE, {"values": {"nodes": {"annotations": JUSTIFIED, "instanceType": "g5.xlarge"}}}),
    "deployment that asks for a GPU": (
        "kubernetes:apps/v1:Deployment",
        {"spec": {"template": {"spec": {"nodeSelector": {TYPE: "g5.xlarge"}}}}},
    ),
    "policy that forbids GPUs": (
        "aws:iam/policy:Policy",
        {"policy": '{"Statement": [{"Effect": "Deny", "Condition": {"StringLike": {"ec2:InstanceType": ["g5.*"]}}}]}'},
    ),
    "budget of GPUs": (
        "aws:budgets/budget:Budget",
        {"costFilters": [{"name": "InstanceType", "values": ["g5.xlarge"]}]},
    ),
    "volume type gp3": (INSTANCE, {"instanceType": "c7g.large", "rootBlockDevice": {"volumeType": "gp3"}}),
    "manifests without pools": (
        "kubernetes:yaml/v2:ConfigGroup",
        {"yaml": "apiVersion: v1\nkind: ConfigMap\ndata: {note: 'g5.xlarge is fast'}\n"},
    ),
}
