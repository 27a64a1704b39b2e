from collections.abc import Callable
from typing import Any

import pytest

from policy import nodes
from policy.rules.node_encrypted_volumes import RULE
from tests.policy.support import UNKNOWN, violations
from tests.policy.test_node_imdsv2 import MANAGED_GROUPS, OWN_GROUPS

NODE_CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
STORAGE_CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
DEFAULT = "aws:ebs/encryptionByDefault:EncryptionByDefault"


def mapping(**ebs: Any) -> list[dict[str, Any]]:
    return [{"deviceName": "/dev/xvda", "ebs": {"volumeSize": 50, **ebs}}]


#: Types, and how they write a volume with these settings.
WRITTEN: dict[str, Callable[..., dict[str, Any]]] = {
    "aws:ebs/volume:Volume": lambda **ebs: {"size": 50, **ebs},
    "aws-native:ec2:Volume": lambda **ebs: {"size": 50, **ebs},
    nodes.LAUNCH_TEMPLATE: lambda **ebs: {"blockDeviceMappings": mapping(**ebs)},
    "aws-native:ec2:LaunchTemplate": lambda **ebs: {"launchTemplateData": {"blockDeviceMappings": mapping(**ebs)}},
    nodes.INSTANCE: lambda **ebs: {"rootBlockDevice": {"volumeSize": 50, **ebs}},
    nodes.SPOT_INSTANCE: lambda **ebs: {"rootBlockDevice": {"volumeSize": 50, **ebs}},
    nodes.LAUNCH_CONFIGURATION: lambda **ebs: {"rootBlockDevice": {"volumeSize": 50, **ebs}},
    nodes.SPOT_FLEET: lambda **ebs: {"launchSpecifications": [{"rootBlockDevices": [{"volumeSize": 50, **ebs}]}]},
    NODE_CLASS: lambda **ebs: {"spec": {"blockDeviceMappings": mapping(**ebs)}},
    f"{NODE_CLASS}Patch": lambda **ebs: {"spec": {"blockDeviceMappings": mapping(**ebs)}},
    STORAGE_CLASS: lambda **ebs: {"provisioner": "ebs.csi.aws.com", "parameters": {"type": "gp3", **ebs}},
}
EVERY_TYPE = pytest.mark.parametrize("type_", WRITTEN)


@EVERY_TYPE
@pytest.mark.parametrize("encrypted", [True, "true"])
def test_encrypted_passes(type_: str, encrypted: Any) -> None:
    assert violations(RULE, type_, WRITTEN[type_](encrypted=encrypted)) == []


@EVERY_TYPE
@pytest.mark.parametrize("ebs", [{}, {"encrypted": False}, {"encrypted": "false"}, {"encrypted": None}], ids=str)
def test_not_encrypted_fails_also_with_a_key(type_: str, ebs: dict[str, Any]) -> None:
    (message,) = violations(RULE, type_, WRITTEN[type_](**ebs, kmsKeyId=UNKNOWN))
    assert "encrypted is not true: write true" in message


@EVERY_TYPE
def test_unknown_fails(type_: str) -> None:
    (message,) = violations(RULE, type_, WRITTEN[type_](encrypted=UNKNOWN))
    assert "encrypted must be a literal" in message


@pytest.mark.parametrize("type_", [nodes.LAUNCH_TEMPLATE, nodes.LAUNCH_CONFIGURATION, nodes.INSTANCE])
def test_a_machine_whose_volume_nobody_names_fails(type_: str) -> None:
    (message,) = violations(RULE, type_, {"instanceType": "m7g.large"})
    assert "as the image has" in message


@pytest.mark.parametrize(
    ("type_", "name"), [(nodes.LAUNCH_TEMPLATE, "blockDeviceMappings"), (nodes.INSTANCE, "ebsBlockDevices")]
)
def test_unknown_list_of_volumes_fails(type_: str, name: str) -> None:
    assert violations(RULE, type_, {"rootBlockDevice": {"encrypted": True}, name: UNKNOWN})


def test_every_volume_counts() -> None:
    both = [*mapping(encrypted="true"), {"deviceName": "/dev/xvdb", "ebs": {"volumeSize": 100}}]
    (message,) = violations(RULE, nodes.LAUNCH_TEMPLATE, {"blockDeviceMappings": both})
    assert "blockDeviceMappings.1.ebs.encrypted" in message
    instance = {"rootBlockDevice": {"encrypted": True}, "ebsBlockDevices": [{"encrypted": True}, {"volumeSize": 1}]}
    (message,) = violations(RULE, nodes.INSTANCE, instance)
    assert "ebsBlockDevices.1.encrypted" in message


def test_disks_of_the_machine_and_devices_left_out_are_no_volumes() -> None:
    others = [{"virtualName": "ephemeral0"}, {"deviceName": "/dev/sdb", "noDevice": "true"}]
    inputs = {"blockDeviceMappings": [*mapping(encrypted="true"), *others]}
    assert violations(RULE, nodes.LAUNCH_TEMPLATE, inputs) == []


def test_an_instance_takes_volumes_from_its_template() -> None:
    assert violations(RULE, nodes.INSTANCE, {"launchTemplate": {"id": UNKNOWN}}) == []


@pytest.mark.parametrize(
    ("spec", "count"),
    [({}, 0), ({"amiFamily": "AL2023"}, 0), ({"amiFamily": "Custom"}, 1), ({"blockDeviceMappings": []}, 1)],
    ids=str,
)
def test_karpenter_encrypts_its_own_volumes_but_knows_none_of_custom_images(spec: dict[str, Any], count: int) -> None:
    assert len(violations(RULE, NODE_CLASS, {"spec": spec})) == count


@pytest.mark.parametrize("type_", MANAGED_GROUPS)
def test_node_groups_need_a_launch_template(type_: str) -> None:
    (message,) = violations(RULE, type_, {"diskSize": 100})
    assert "has no launchTemplate" in message
    assert violations(RULE, type_, {"launchTemplate": {"id": UNKNOWN}}) == []


@pytest.mark.parametrize("type_", OWN_GROUPS)
def test_groups_of_pulumi_eks_have_a_switch_that_works_and_one_that_does_not(type_: str) -> None:
    assert violations(RULE, type_, {"nodeRootVolumeEncrypted": True}) == []
    assert len(violations(RULE, type_, {"encryptRootBlockDevice": True})) == 1
    assert violations(RULE, type_, {"nodeRootVolumeEncrypted": UNKNOWN})


def test_default_group_of_a_cluster_has_its_own_options() -> None:
    assert violations(RULE, "eks:index:Cluster", {"nodeGroupOptions": {"nodeRootVolumeEncrypted": True}}) == []
    assert violations(RULE, "eks:index:Cluster", {"nodeGroupOptions": {"instanceType": "t3.large"}})
    assert violations(RULE, "eks:index:Cluster", {"nodeGroupOptions": UNKNOWN})
    assert violations(RULE, "eks:index:Cluster", {"skipDefaultNodeGroup": True}) == []


def test_encryption_by_default_must_not_be_turned_off() -> None:
    assert violations(RULE, DEFAULT, {}) == []
    assert violations(RULE, DEFAULT, {"enabled": True}) == []
    assert violations(RULE, DEFAULT, {"enabled": False})
    assert violations(RULE, DEFAULT, {"enabled": UNKNOWN})


def test_storage_classes_of_other_drivers_are_not_its_business() -> None:
    assert violations(RULE, STORAGE_CLASS, {"provisioner": "efs.csi.aws.com"}) == []


@pytest.mark.parametrize("provisioner", ["ebs.csi.aws.com", "ebs.csi.eks.amazonaws.com", "kubernetes.io/aws-ebs"])
def test_storage_classes_of_every_driver_for_ebs_count(provisioner: str) -> None:
    assert violations(RULE, STORAGE_CLASS, {"provisioner": provisioner, "parameters": {"type": "gp3"}})
