"""AWS and pulumi-eks resources that get a GPU that is not Spot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.policy.case_parts import FLEET, GROUP, INSTANCE, MIXED, NODE_GROUP, TEMPLATE, Case

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
    "node group of category gr": (NODE_GROUP, {"instanceTypes": ["gr6.4xlarge"]}),
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
    "launch template that excludes today's types": (
        TEMPLATE,
        {
            "instanceRequirements": {
                "excludedInstanceTypes": ["g4*", "g5*", "g6*", "g7*", "gr6*", "p3*", "p4*", "p5*", "p6*"]
            }
        },
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
