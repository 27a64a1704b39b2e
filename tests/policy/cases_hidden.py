"""GPU types where no resource type tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from policy.analyzer import UNKNOWN
from tests.policy.case_parts import G5, ON_DEMAND, POOL_YAML, RELEASE, Case, need, pool

#: Names that people give groups of nodes, which are keys of maps; parts of each mean something elsewhere.
NAMES: Final = (
    *("blackwell", "price-tag", "air-conditions", "cost-dimension", "exclusive", "capacity-block", "white-label"),
    *("summary", "notes"),
)
_TESTED: Final = {
    "transformJobDefinition": {"transformResources": {"instanceType": "ml.g5.xlarge", "instanceCount": 2}}
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
    "helm values, unknown type": (RELEASE, {"values": {"instanceType": UNKNOWN}}),
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
    **{
        f"{type_} that is tested by batch transforms": (
            type_,
            {"validationSpecification": {"validationProfiles": [{"profileName": "one", **_TESTED}]}},
        )
        for type_ in (
            "aws-native:sagemaker:ModelPackage",
            "kubernetes:sagemaker.services.k8s.aws/v1alpha1:ModelPackage",
        )
    },
    **{
        f"helm values, group {name}": (RELEASE, {"values": {"nodeGroups": {name: {"instanceType": "p5.48xlarge"}}}})
        for name in NAMES
    },
    "a component of somebody else's, requirements": ("acme:index:AutoscaledNodes", {"requirements": [G5]}),
    "a component of somebody else's, instance types": ("acme:index:Nodes", {"instanceTypes": ["g5.xlarge"]}),
    "an empty Spot price": ("acme:index:Nodes", {"instanceTypes": ["g5.xlarge"], "spotPrice": ""}),
    "Spot, and more than Spot": (
        "acme:index:Nodes",
        {"instanceType": "g5.xlarge", "capacityTypes": ["spot", "on-demand"]},
    ),
    "Spot further out, on-demand beside it": (
        "acme:index:Nodes",
        {"capacityType": "spot", "gpu": {"instanceType": "g5.xlarge", "capacityType": "on-demand"}},
    ),
    "a Spot price, and on-demand": (
        "acme:index:Nodes",
        {"instanceType": "g5.xlarge", "capacityType": "on-demand", "spotPrice": "1.00"},
    ),
    "Cloud Control": (
        "aws-native:cloudcontrol:Resource",
        {"desiredState": '{"LaunchTemplateData": {"InstanceType": "g5.xlarge"}}'},
    ),
    "Lambda that starts instances": (
        "aws:lambda/function:Function",
        {"environment": {"variables": {"INSTANCE_TYPE": "g5.xlarge"}}},
    ),
    "unknown type of AWS Native": (
        "aws-native:autoscaling:AutoScalingGroup",
        {"mixedInstancesPolicy": {"launchTemplate": {"overrides": [{"instanceType": UNKNOWN}]}}},
    ),
    "CodeBuild fleet of instances": (
        "aws:codebuild/fleet:Fleet",
        {"computeConfiguration": {"instanceType": "g6.xlarge"}},
    ),
    "EMR fleet": (
        "aws:emr/instanceFleet:InstanceFleet",
        {"targetSpotCapacity": 2, "targetOnDemandCapacity": 1, "instanceTypeConfigs": [{"instanceType": "g5.xlarge"}]},
    ),
    "Elastic Beanstalk": (
        "aws:elasticbeanstalk/environment:Environment",
        {"settings": [{"namespace": "aws:ec2:instances", "name": "InstanceTypes", "value": "t3.micro, g5.xlarge"}]},
    ),
    "Service Catalog": (
        "aws:servicecatalog/provisionedProduct:ProvisionedProduct",
        {"provisioningParameters": [{"key": "InstanceType", "value": "g5.xlarge"}]},
    ),
    "machine pool of ROSA": ("rhcs:index/machinePool:MachinePool", {"machineType": "g5.xlarge", "replicas": 2}),
    "ECS managed instances": (
        "aws:ecs/capacityProvider:CapacityProvider",
        {
            "managedInstancesProvider": {
                "instanceLaunchTemplate": {"instanceRequirements": {"acceleratorTypes": ["gpu"]}},
            }
        },
    ),
}
