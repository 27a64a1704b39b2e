"""System nodes and add-ons: what Karpenter and the cluster's own services run on."""

import json

import pytest

import versions
from components.cluster.ebs_driver import ADDON as ADDON_OF_VOLUMES
from components.cluster.system_nodes import SystemNodeCapacity
from components.monitoring.gpu_monitoring import ADDON as ADDON_OF_MONITORING
from tests.unit.components.clusters import (
    ACCOUNT,
    ADDON,
    EKS,
    NODE_GROUP,
    TEMPLATE,
    VOLUME_KEY,
    addon,
    build,
    configuration,
)


def test_system_nodes_are_a_few_graviton_nodes_kept_for_karpenter_and_add_ons() -> None:
    group = build().one(NODE_GROUP)
    assert group.inputs["amiType"] == "AL2023_ARM_64_STANDARD"
    assert group.inputs["instanceTypes"] == ["m7g.large"]
    assert group.inputs["capacityType"] == "ON_DEMAND"
    assert group.inputs["scalingConfig"] == {"minSize": 1, "desiredSize": 2, "maxSize": 3}
    assert group.inputs["labels"] == {"karpenter.sh/controller": "true"}
    assert group.inputs["taints"] == [{"key": "CriticalAddonsOnly", "value": "true", "effect": "NO_SCHEDULE"}]
    assert group.inputs["subnetIds"] == ["subnet-1", "subnet-2"]
    assert group.inputs["version"] == "1.36"
    assert group.inputs["nodeRepairConfig"] == {"enabled": True}
    assert group.inputs["updateConfig"] == {"maxUnavailable": 1}
    assert group.ignore_changes == ("scalingConfig.desiredSize",)
    # A fixed name would make every replacement fail: the old group still has it.
    assert not {"nodeGroupName", "remoteAccess", "diskSize"} & {*group.inputs}


def test_system_nodes_on_spot() -> None:
    group = build(system_nodes=SystemNodeCapacity(capacity_type="spot")).one(NODE_GROUP)
    assert group.inputs["capacityType"] == "SPOT"


def test_system_nodes_can_be_other_ones() -> None:
    capacity = SystemNodeCapacity(instance_types=("m8g.large", "c8g.large"), min=2, desired=3, max=6, volume_gib=80)
    recording = build(system_nodes=capacity)
    group = recording.one(NODE_GROUP).inputs
    assert group["instanceTypes"] == ["m8g.large", "c8g.large"]
    assert group["scalingConfig"] == {"minSize": 2, "desiredSize": 3, "maxSize": 6}
    assert recording.one(TEMPLATE).inputs["blockDeviceMappings"][0]["ebs"]["volumeSize"] == 80


@pytest.mark.parametrize("sizes", [(0, 1, 2), (2, 1, 3), (1, 4, 3)])
def test_system_nodes_without_a_node_or_out_of_bounds_are_refused(sizes: tuple[int, int, int]) -> None:
    low, desired, high = sizes
    with pytest.raises(ValueError, match="1 <= min"):
        SystemNodeCapacity(min=low, desired=desired, max=high)


def test_system_nodes_keep_their_credentials_and_disks_to_themselves() -> None:
    template = build().one(TEMPLATE).inputs
    assert template["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }
    (device,) = template["blockDeviceMappings"]
    assert device["deviceName"] == "/dev/xvda"
    assert device["ebs"] == {
        "volumeType": "gp3",
        "volumeSize": 50,
        "encrypted": "true",
        "kmsKeyId": VOLUME_KEY,
        "deleteOnTermination": "true",
    }
    assert not {"keyName", "userData", "networkInterfaces", "imageId", "instanceType"} & {*template}


def test_system_nodes_use_the_newest_launch_template_and_tag_what_they_start() -> None:
    recording = build()
    template = recording.one(TEMPLATE)
    assert recording.one(NODE_GROUP).inputs["launchTemplate"] == {"id": f"{template.name}-id", "version": "1"}
    assert {each["resourceType"] for each in template.inputs["tagSpecifications"]} == {
        "instance",
        "volume",
        "network-interface",
    }
    assert {each["tags"]["team"] for each in template.inputs["tagSpecifications"]} == {"ml"}


def test_the_node_role_may_join_pull_and_be_reached_by_session_manager_only() -> None:
    recording = build()
    attached = [
        each
        for each in recording.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if each.inputs["role"] == "cluster-system"
    ]
    assert {each.inputs["policyArn"] for each in attached} == {
        "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy",
        "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
        "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    }
    assert [each.name for each in attached if not recording.outlives(each, recording.one(NODE_GROUP))] == []
    assert recording.outputs["node_role_arn"] == f"arn:aws:mock:us-east-1:{ACCOUNT}:cluster-system"


def test_add_ons_that_nodes_wait_for_come_first_the_others_when_there_are_nodes() -> None:
    recording = build()
    nodes = recording.one(NODE_GROUP)
    first = {each.inputs["addonName"] for each in recording.of_type(ADDON) if recording.outlives(each, nodes)}
    then = {each.inputs["addonName"] for each in recording.of_type(ADDON) if recording.outlives(nodes, each)}
    assert first == {"eks-pod-identity-agent", "vpc-cni", "kube-proxy"}
    assert then == {"coredns", "metrics-server", "eks-node-monitoring-agent"}
    assert len(recording.of_type(ADDON)) == 6
    assert all(recording.outlives(recording.one(EKS), each) for each in recording.of_type(ADDON))


def test_the_cni_enforces_network_policies_under_a_role_of_its_own() -> None:
    recording = build()
    cni = addon(recording, "vpc-cni")
    role = recording.one("aws:iam/role:Role", "cluster-node-addons-cni")
    (attachment,) = [
        each
        for each in recording.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if each.inputs["role"] == role.name
    ]
    assert configuration(recording, "vpc-cni") == {"enableNetworkPolicy": "true"}
    assert cni.inputs["podIdentityAssociations"] == [
        {"serviceAccount": "aws-node", "roleArn": f"arn:aws:mock:us-east-1:{ACCOUNT}:{role.name}"}
    ]
    assert attachment.inputs["policyArn"] == "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"
    assert recording.outlives(attachment, cni)
    assert recording.outlives(addon(recording, "eks-pod-identity-agent"), cni)
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert trust["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": ACCOUNT,
        "aws:RequestTag/eks-cluster-name": "gpu-slices-test",
        "aws:RequestTag/kubernetes-namespace": "kube-system",
        "aws:RequestTag/kubernetes-service-account": "aws-node",
    }


def test_add_ons_tolerate_the_taints_of_the_nodes_they_belong_on() -> None:
    recording = build()
    (taint,) = recording.one(NODE_GROUP).inputs["taints"]
    for name in ("coredns", "metrics-server"):
        assert configuration(recording, name)["tolerations"] == [{"key": taint["key"], "operator": "Exists"}]
    assert configuration(recording, "coredns")["nodeSelector"] == recording.one(NODE_GROUP).inputs["labels"]
    # A pool's own taints too: without its DCGM the agent calls all GPUs of a node unfit.
    tolerated = configuration(recording, "eks-node-monitoring-agent")["dcgmAgent"]["tolerations"]
    assert tolerated == [{"operator": "Exists"}]


@pytest.mark.parametrize("minor", versions.EKS_ADDON_VERSIONS)
def test_add_ons_and_system_nodes_have_the_versions_of_their_kubernetes(minor: str) -> None:
    recording = build(kubernetes_version=minor)
    made = {each.inputs["addonName"]: each.inputs["addonVersion"] for each in recording.of_type(ADDON)}
    # The driver for volumes and the agent that monitors are components of their own.
    table = versions.EKS_ADDON_VERSIONS[minor]
    assert made.items() <= table.items()
    assert table.keys() - made.keys() == {ADDON_OF_VOLUMES, ADDON_OF_MONITORING}
    assert made["kube-proxy"].startswith(f"v{minor}.")
    group = recording.one(NODE_GROUP).inputs
    assert group["version"] == minor
    assert group["releaseVersion"] == versions.SYSTEM_NODE_RELEASES[minor]
    # Karpenter's nodes have the image of the same day.
    patch, _, day = group["releaseVersion"].partition("-")
    assert patch.startswith(f"{minor}.")
    assert versions.AMI_ALIASES["al2023"] == f"al2023@v{day}"


def test_what_is_written_here_wins_over_edits_by_hand() -> None:
    recording = build()
    for key in ("resolveConflictsOnCreate", "resolveConflictsOnUpdate"):
        assert {each.inputs[key] for each in recording.of_type(ADDON)} == {"OVERWRITE"}
    assert recording.invokes == []  # nothing asks for the newest version of the day
