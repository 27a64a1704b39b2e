"""Programs that buy GPUs as Spot, with a justification, or no GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from policy.analyzer import UNKNOWN
from tests.policy.case_parts import (
    ALL_SPOT,
    AUTO,
    AWS,
    CAPACITY,
    FLEET,
    G5,
    GROUP,
    INSTANCE,
    JUSTIFIED,
    MIXED,
    NODE_GROUP,
    ON_DEMAND,
    POOL,
    RELEASE,
    SPOT,
    TEMPLATE,
    TYPE,
    Case,
    need,
    pool,
)

_BY_TYPE: Final = {"StringEquals": {"ec2:InstanceType": ["g5.xlarge"], "sagemaker:InstanceTypes": ["ml.g5.xlarge"]}}
_DENY: Final = {"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": _BY_TYPE}]}
_ALLOWED: Final = {"inputParameters": '{"instanceType": "t3.small,g5.xlarge"}'}
_MEASURED: Final = {"customizedMetricSpecification": {"dimensions": [{"name": "InstanceType", "value": "g5.xlarge"}]}}
_FILTER: Final = {"filterCriteria": {"filters": [{"pattern": '{"instanceType": ["g5.xlarge"]}'}]}}
_LABEL: Final = "k8s.io/cluster-autoscaler/node-template/label/node.kubernetes.io/instance-type"
#: What names types by which it judges, watches or selects, and starts nothing; Terraform's names among them.
JUDGES: Final[Mapping[str, dict[str, Any]]] = {
    "aws:cfg/rule:Rule": _ALLOWED,
    "aws:config/configRule:ConfigRule": _ALLOWED,
    "aws:config/organizationManagedRule:OrganizationManagedRule": _ALLOWED,
    "aws-native:configuration:ConfigRule": {"inputParameters": {"instanceType": "g5.xlarge"}},
    "kubernetes:config.services.k8s.aws/v1alpha1:ConfigRule": {"spec": _ALLOWED},
    "kubernetes:configservice.aws.upbound.io/v1beta1:Rule": {"spec": {"forProvider": _ALLOWED}},
    "aws-native:organizations:Policy": {"content": _DENY},
    "aws:ec2/vpcEndpointPolicy:VpcEndpointPolicy": {"policy": _DENY},
    "aws:kms/key:Key": {"policy": _DENY, "enableKeyRotation": True},
    "aws:ssoadmin/permissionSetInlinePolicy:PermissionSetInlinePolicy": {"inlinePolicy": _DENY},
    "aws:controltower/control:Control": {"parameters": [{"key": "InstanceTypes", "value": '["g5.xlarge"]'}]},
    "aws:securityhub/automationRule:AutomationRule": {
        "criteria": {"resourceDetailsOthers": [{"key": "instanceType", "value": "g5.xlarge"}]}
    },
    "aws:appconfig/hostedConfigurationVersion:HostedConfigurationVersion": {"content": '{"instanceType": "g5.xlarge"}'},
    "aws:servicediscovery/instance:Instance": {"attributes": {"instanceType": "g5.xlarge"}},
    "aws:appautoscaling/policy:Policy": {"targetTrackingScalingPolicyConfiguration": _MEASURED},
    "aws:autoscaling/policy:Policy": {"targetTrackingConfiguration": _MEASURED},
    "aws:autoscaling/groupTag:GroupTag": {"tag": [{"key": _LABEL, "value": "g5.xlarge"}]},
    "aws:lambda/eventSourceMapping:EventSourceMapping": _FILTER,
    "aws:pipes/pipe:Pipe": {"sourceParameters": _FILTER},
    "aws-native:events:Rule": {"eventPattern": {"detail": {"instance-type": ["g5.xlarge"]}}},
    "aws:backup/selection:Selection": {
        "conditions": [{"stringEquals": [{"key": "aws:ResourceTag/instance-type", "value": "g5.xlarge"}]}],
        "selectionTags": [{"key": "instance-type", "value": "g5.xlarge", "type": "STRINGEQUALS"}],
    },
    "aws:codedeploy/deploymentGroup:DeploymentGroup": {
        "ec2TagSets": [{"ec2TagFilters": [{"key": "instance-type", "value": "g5.xlarge"}]}],
        "onPremisesInstanceTagFilters": [{"key": "instance-type", "value": "g5.xlarge"}],
    },
    "aws-native:sagemaker:ModelPackage": {
        "inferenceSpecification": {
            "supportedRealtimeInferenceInstanceTypes": ["ml.g5.xlarge"],
            "supportedTransformInstanceTypes": ["ml.g5.xlarge"],
        }
    },
}

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
    "CPU pool by an older name of the type": (
        POOL,
        pool(need("beta.kubernetes.io/instance-type", "In", "m7i.large"), ON_DEMAND),
    ),
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
                "settings": {"clusterName": UNKNOWN},
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
    "service control policy that forbids GPUs": (
        "aws:organizations/policy:Policy",
        {"content": '{"Statement": [{"Effect": "Deny", "Condition": {"ForAnyValue": {"ec2:InstanceType": ["g*"]}}}]}'},
    ),
    "admission policy that names GPUs": (
        "kubernetes:kyverno.io/v1:ClusterPolicy",
        {"spec": {"rules": [{"validate": {"deny": {"instanceType": "g5.xlarge"}}}]}},
    ),
    "flavour of a queue": (
        "kubernetes:kueue.x-k8s.io/v1beta1:ResourceFlavor",
        {"spec": {"nodeLabels": {TYPE: "g5.xlarge"}}},
    ),
    "machine of another cloud": ("alicloud:ecs/instance:Instance", {"instanceType": "ecs.g6.large"}),
    "spot Auto Scaling group of AWS Native": (
        "aws-native:autoscaling:AutoScalingGroup",
        {"mixedInstancesPolicy": {**MIXED, "instancesDistribution": ALL_SPOT}},
    ),
    "types that a chart leaves out, and words about them": (
        RELEASE,
        {
            "values": {
                "instanceTypeBlacklist": ["g5.xlarge"],
                "blockedInstanceTypes": ["g5.xlarge"],
                "exclude": {"instanceTypes": ["g5.xlarge"]},
                "deniedInstanceTypes": ["g5.xlarge"],
                "description": "not for g5.xlarge",
                "nodeLabels": {"instance-type": "g5.xlarge"},
                "extraTags": {"instance-type": "g5.xlarge"},
            }
        },
    ),
    "search domain with an unknown type": (
        "aws:opensearch/domain:Domain",
        {"clusterConfig": {"instanceType": UNKNOWN}},
    ),
    "component with Spot further out": (
        "acme:index:Nodes",
        {"capacityType": "SPOT", "gpu": {"instanceType": "g5.xlarge"}},
    ),
    "EMR fleet of Spot": (
        "aws:emr/instanceFleet:InstanceFleet",
        {"targetSpotCapacity": 2, "targetOnDemandCapacity": 0, "instanceTypeConfigs": [{"instanceType": "g5.xlarge"}]},
    ),
    **{f"{kind} that judges by type": (kind, inputs) for kind, inputs in JUDGES.items()},
    "tag that names a type": ("aws:ec2/vpc:Vpc", {"tags": {"instance-type": "g5.xlarge"}}),
    "alert about a type": (
        "kubernetes:monitoring.coreos.com/v1:PrometheusRule",
        {"spec": {"groups": [{"rules": [{"alert": "Hot", "labels": {"instance_type": "g5.xlarge"}}]}]}},
    ),
    "machine type of no GPU": ("rhcs:index/machinePool:MachinePool", {"machineType": "m5.xlarge"}),
    "volume type gp3": (INSTANCE, {"instanceType": "c7g.large", "rootBlockDevice": {"volumeType": "gp3"}}),
    "manifests without pools": (
        "kubernetes:yaml/v2:ConfigGroup",
        {"yaml": "apiVersion: v1\nkind: ConfigMap\ndata: {note: 'g5.xlarge is fast'}\n"},
    ),
}
