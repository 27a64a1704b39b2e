"""What one rule looks at, the others of its kind look at too, in all forms of it; or here is why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from policy.framework import Rule
from policy.inventory.aws import FORMS
from policy.inventory.terraform import table
from policy.nodes import LAUNCH_TEMPLATE, SPOT_FLEET
from policy.ondemand.aws import HANDLERS, SPOT_ONLY
from policy.pack import RULES
from policy.pods import PATCH_TYPES, POD_TYPES
from policy.rules.gpu_ceiling import _COUNTERS

BY_NAME: Final = {rule.name: rule for rule in RULES}
AWS: Final = sorted({t for rule in RULES for t in rule.types if t.startswith("aws:") and "*" not in t} | set(HANDLERS))

_NATIVE: Final = "judged under AWS Native's own name"
_NO_SUCH: Final = "AWS' API makes it by a call, and CloudFormation has no resource of it"
_INSIDE: Final = "in AWS' API it is part of another resource, in whose form it is read"
#: Types of AWS without a form of AWS' own API.
WITHOUT_FORM: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "aws:codebuild/fleet:Fleet",
            "aws:codebuild/project:Project",
            "aws:ec2/flowLog:FlowLog",
            "aws:ec2/vpc:Vpc",
            "aws:elasticbeanstalk/configurationTemplate:ConfigurationTemplate",
            "aws:elasticbeanstalk/environment:Environment",
            "aws:workspaces/workspace:Workspace",
        ),
        _NATIVE,
    ),
    **dict.fromkeys(
        (
            "aws:ebs/encryptionByDefault:EncryptionByDefault",
            "aws:ec2/capacityBlockReservation:CapacityBlockReservation",
            "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
            "aws:ec2/instanceMetadataDefaults:InstanceMetadataDefaults",
            "aws:ec2/spotInstanceRequest:SpotInstanceRequest",
        ),
        _NO_SUCH,
    ),
    **dict.fromkeys(
        (
            "aws:ec2/managedPrefixListEntry:ManagedPrefixListEntry",
            "aws:ec2/securityGroupRule:SecurityGroupRule",
            "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
            "aws:iam/policyAttachment:PolicyAttachment",
            "aws:ssoadmin/managedPolicyAttachment:ManagedPolicyAttachment",
            "aws:ssoadmin/permissionSetInlinePolicy:PermissionSetInlinePolicy",
        ),
        _INSIDE,
    ),
    "aws:s3/bucketV2:BucketV2": "an older name of the bucket in Pulumi's provider alone",
}


def test_every_type_of_aws_has_the_form_of_aws_own_api_or_a_reason() -> None:
    missing = {type_ for type_ in AWS if type_.startswith("aws:")} - set(FORMS.values())
    assert missing - set(WITHOUT_FORM) == set()
    assert set(WITHOUT_FORM) - missing == set(), "these have a form by now"


def test_every_type_of_aws_has_the_form_of_terraform_and_so_of_crossplane() -> None:
    known = {entry[0] for name, entry in table().items() if name.startswith("aws_")}
    assert {type_ for type_ in AWS if type_.startswith("aws:")} - known <= {"aws:s3/bucketV2:BucketV2"}


_OF_PURCHASES: Final = "how much it may buy is not said in it"
#: What can buy GPUs and is not counted, or is counted and buys only Spot.
UNCOUNTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "aws-native:codebuild:Fleet",
            "aws-native:codebuild:Project",
            "aws:codebuild/fleet:Fleet",
            "aws:codebuild/project:Project",
            "aws-native:workspaces:Workspace",
            "aws:workspaces/workspace:Workspace",
        ),
        "a build or a desktop, by the minute, of a service that has limits of its own",
    ),
    **dict.fromkeys(
        (
            "aws-native:deadline:Fleet",
            "aws-native:elasticbeanstalk:ConfigurationTemplate",
            "aws-native:elasticbeanstalk:Environment",
            "aws:elasticbeanstalk/configurationTemplate:ConfigurationTemplate",
            "aws:elasticbeanstalk/environment:Environment",
        ),
        _OF_PURCHASES,
    ),
    "aws:ec2/capacityBlockReservation:CapacityBlockReservation": "an offer's id says nothing of its size",
    "aws:ec2/dedicatedHost:DedicatedHost": "instances on it are counted",
    "aws:ec2/launchConfiguration:LaunchConfiguration": "counted with what starts it",
}


def test_what_can_buy_gpus_is_counted_or_here_is_why_not() -> None:
    assert set(HANDLERS) - set(_COUNTERS) == set(UNCOUNTED)
    assert set(_COUNTERS) - set(HANDLERS) == {"aws:ec2/spotInstanceRequest:SpotInstanceRequest"}  # Spot by its nature
    assert set(SPOT_ONLY) <= set(HANDLERS)
    assert LAUNCH_TEMPLATE not in HANDLERS


#: Rules about machines, to what the others of them look at and they do not.
MACHINES: Final[Mapping[str, frozenset[str]]] = {
    # An EC2NodeClass has no key pair; volumes and storage classes start nothing.
    "node-no-ssh": frozenset(
        {"EC2NodeClass", "InstanceMetadataDefaults", "Volume", "EncryptionByDefault", "StorageClass"}
    ),
    # A specification of a Spot fleet has no metadata options (EC2 API, SpotFleetLaunchSpecification).
    "node-imdsv2": frozenset({"SpotFleetRequest", "Volume", "EncryptionByDefault", "StorageClass"}),
    "node-encrypted-volumes": frozenset({"InstanceMetadataDefaults"}),
}


@pytest.mark.parametrize("name", MACHINES)
def test_rules_about_machines_look_at_the_same(name: str) -> None:
    everything = {type_ for other in MACHINES for type_ in BY_NAME[other].types}
    missing = {type_.rpartition(":")[2].removesuffix("Patch") for type_ in everything - set(BY_NAME[name].types)}
    assert missing == MACHINES[name]
    assert SPOT_FLEET in BY_NAME["node-no-ssh"].types


_ABSENCE: Final = "it is about what is missing, and a patch leaves out what it does not change"
_TOGETHER: Final = "it compares several objects, and a patch of another than a pod is for itself none of them"
_BY_VALUES: Final = "nobody changes a release's values or a node class' user data by a patch of the SDK"
#: Rules that do not look at patches of all that they look at.
WITHOUT_PATCHES: Final[Mapping[str, str]] = {
    "gpu-batch-gives-way": _TOGETHER,
    "gpu-ceiling-per-stack": _TOGETHER,
    "gpu-claim-for-one-pod": _TOGETHER,
    "gpu-claims-consistent": _TOGETHER,
    "gpu-claims-say-memory": _TOGETHER,
    "gpu-critical-off-spot": _TOGETHER,
    "gpu-mig-for-untrusted-tenants": _TOGETHER,
    "gpu-mps-client-limits": _TOGETHER,
    "gpu-mps-no-own-shm": _TOGETHER,
    "gpu-mps-one-user": _TOGETHER,
    "gpu-nodes-for-gpu-work": _ABSENCE,
    "gpu-one-slot-per-pod": _TOGETHER,
    "gpu-pool-has-limit": _TOGETHER,
    "gpu-refuses-more-than-one-slot": _BY_VALUES,
    "gpu-sharing-config-valid": _BY_VALUES,
    "gpu-sharing-consistent": _TOGETHER,
    "gpu-spot-jobs-can-end": _TOGETHER,
    "k8s-public-tls": _TOGETHER,
    "k8s-resource-limits": _ABSENCE,
    "ollama-context-and-keep-alive": _ABSENCE,
    "ollama-fits-slot": _TOGETHER,
    "ollama-models-told": _ABSENCE,
    "ollama-not-public": _TOGETHER,
    "ollama-version-pinned": _BY_VALUES,
    "tags-cost-allocation": _ABSENCE,
}


def _without_patch(rule: Rule) -> set[str]:
    types = {type_ for type_ in rule.types if type_.startswith("kubernetes:") and not type_.endswith(("Patch", "*"))}
    return {type_ for type_ in types if f"{type_}Patch" not in rule.types}


def test_rules_look_at_patches_or_here_is_why_not() -> None:
    assert {rule.name for rule in RULES if _without_patch(rule)} == set(WITHOUT_PATCHES)


def test_rules_about_pods_look_at_all_pods() -> None:
    for rule in RULES:
        pods = {type_ for type_ in rule.types if type_ in POD_TYPES}
        assert pods in (set(), set(POD_TYPES), {"kubernetes:serving.knative.dev/*:Service"}), rule.name
        patches = {type_ for type_ in rule.types if type_ in PATCH_TYPES}
        assert patches in (set(), set(PATCH_TYPES)), rule.name
