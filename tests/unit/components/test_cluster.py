"""Cluster: closed by default, and open to those who are named."""

import dataclasses
import json

import pulumi
import pulumi_aws as aws
import pytest

from components.cluster.access import AccessGrant
from components.cluster.cluster import Cluster
from tests.unit.components.clusters import ACCOUNT, ARGS, AUDIT, DATA_KEY, EKS, ENTRY, OPS, POLICY, VOLUME_KEY, build
from tests.unit.components.recording import record


def test_the_endpoint_is_private_unless_an_allowlist_opens_it() -> None:
    private = build().one(EKS).inputs
    assert (private["endpointPrivateAccess"], private["endpointPublicAccess"]) == (True, False)
    assert "publicAccessCidrs" not in private
    assert build(public_access_cidrs=("10.0.0.0/8",)).one(EKS).inputs["publicAccessCidrs"] == ["10.0.0.0/8"]
    public = build(public_access_cidrs=("198.51.100.0/24", "203.0.113.7/32")).one(EKS).inputs
    assert (public["endpointPrivateAccess"], public["endpointPublicAccess"]) == (True, True)
    assert public["publicAccessCidrs"] == ["198.51.100.0/24", "203.0.113.7/32"]


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "::/0", "64.0.0.0/7"])
def test_an_allowlist_of_the_whole_internet_is_refused(cidr: str) -> None:
    with pytest.raises(ValueError, match="too wide for an allowlist"):
        dataclasses.replace(ARGS, public_access_cidrs=("198.51.100.0/24", cidr))


@pytest.mark.parametrize("cidr", ["198.51.100.0/33", "198.51.100.1/24", "office"])
def test_a_malformed_allowlist_is_refused(cidr: str) -> None:
    with pytest.raises(ValueError, match=cidr):
        dataclasses.replace(ARGS, public_access_cidrs=(cidr,))


def test_the_control_plane_is_encrypted_logged_supported_and_closed() -> None:
    inputs = build().one(EKS).inputs
    assert inputs["name"] == "gpu-slices-test"
    assert inputs["vpcId"] == "vpc-1"
    assert inputs["version"] == "1.36"
    assert inputs["authenticationMode"] == "API"
    assert inputs["encryptionConfigKeyArn"] == DATA_KEY
    assert {*inputs["enabledClusterLogTypes"]} == {"api", "audit", "authenticator", "controllerManager", "scheduler"}
    assert inputs["upgradePolicy"] == {"supportType": "STANDARD"}
    assert inputs["skipDefaultNodeGroup"] is True
    assert inputs["skipDefaultSecurityGroups"] is True
    assert inputs["createOidcProvider"] is False
    assert inputs["privateSubnetIds"] == ["subnet-1", "subnet-2"]
    assert not [key for key in inputs if key.lower().startswith(("publicsubnet", "nodepublic", "rolemapping"))]


def test_eks_leaves_every_add_on_to_us() -> None:
    inputs = build().one(EKS).inputs
    assert inputs["bootstrapSelfManagedAddons"] is False
    assert inputs["useDefaultVpcCni"] is True
    assert inputs["kubeProxyAddonOptions"]["enabled"] is False
    assert inputs["corednsAddonOptions"]["enabled"] is False
    assert "vpcCniOptions" not in inputs


def test_the_log_group_is_ours_before_eks_could_make_it() -> None:
    recording = build(log_retention_days=731)
    group = recording.one("aws:cloudwatch/logGroup:LogGroup")
    assert group.inputs["name"] == "/aws/eks/gpu-slices-test/cluster"
    assert group.inputs["kmsKeyId"] == DATA_KEY
    assert group.inputs["retentionInDays"] == 731
    assert recording.outlives(group, recording.one(EKS))
    assert build().one(group.type).inputs["retentionInDays"] == 365


def test_deletion_protection_is_as_wanted() -> None:
    assert build().one(EKS).inputs["deletionProtection"] is False
    assert build(deletion_protection=True).one(EKS).inputs["deletionProtection"] is True


def test_a_role_for_tokens_reaches_the_kubeconfig() -> None:
    assert "providerCredentialOpts" not in build().one(EKS).inputs
    assert build(kubeconfig_role_arn=OPS).one(EKS).inputs["providerCredentialOpts"] == {"roleArn": OPS}


def test_principals_get_what_they_are_granted_and_no_more() -> None:
    recording = build()
    assert {(entry.inputs["principalArn"], entry.inputs["type"]) for entry in recording.of_type(ENTRY)} == {
        (OPS, "STANDARD"),
        (AUDIT, "STANDARD"),
    }
    audit, ops = (
        recording.one(POLICY, f"cluster-access-{ACCOUNT}-{name}").inputs for name in ("user-audit", "role-team~ops")
    )
    assert ops["policyArn"] == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    assert ops["accessScope"] == {"type": "cluster"}
    assert audit["policyArn"] == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    assert audit["accessScope"] == {"type": "namespace", "namespaces": ["models", "examples"]}
    assert {each.inputs["clusterName"] for each in [*recording.of_type(ENTRY), *recording.of_type(POLICY)]} == {
        "gpu-slices-test"
    }


def test_a_policy_comes_after_its_entry_and_an_entry_after_the_cluster() -> None:
    recording = build()
    for entry in recording.of_type(ENTRY):
        assert recording.outlives(recording.one(EKS), entry)
        assert recording.outlives(entry, recording.one(POLICY, entry.name))


def test_a_principal_has_one_entry() -> None:
    twice = (*ARGS.access, AccessGrant(principal_arn=OPS, policy="view"))
    with pytest.raises(ValueError, match=f"access is granted more than once to {OPS}"):
        build(access=twice)


def test_nobody_need_be_named() -> None:
    recording = build(access=())
    assert recording.of_type(ENTRY) == recording.of_type(POLICY) == []


def test_karpenter_finds_the_clusters_security_group() -> None:
    recording = build()
    tag = recording.one("aws:ec2/tag:Tag")
    assert tag.inputs == {"resourceId": "sg-cluster", "key": "karpenter.sh/discovery", "value": "gpu-slices-test"}
    assert recording.outputs["cluster_security_group_id"] == "sg-cluster"


def test_outputs() -> None:
    recording = build()
    assert recording.result.name == "gpu-slices-test"
    assert json.loads(recording.outputs["kubeconfig"])["kind"] == "Config"
    assert recording.outputs["volume_key_arn"] == VOLUME_KEY


def test_logical_names_are_stable() -> None:
    names = {(each.type.rpartition(":")[2], each.name) for each in build().resources}
    policies = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonSSMManagedInstanceCore")
    assert names == {
        ("Cluster", "cluster"),
        ("LogGroup", "cluster-logs"),
        ("Tag", "cluster-discovery"),
        ("Access", "cluster-access"),
        *((kind, f"cluster-access-{ACCOUNT}-role-team~ops") for kind in ("AccessEntry", "AccessPolicyAssociation")),
        *((kind, f"cluster-access-{ACCOUNT}-user-audit") for kind in ("AccessEntry", "AccessPolicyAssociation")),
        ("NodeAddons", "cluster-node-addons"),
        *(("Addon", f"cluster-node-addons-{name}") for name in ("eks-pod-identity-agent", "vpc-cni", "kube-proxy")),
        ("PodRole", "cluster-node-addons-cni"),
        ("Role", "cluster-node-addons-cni"),
        ("RolePolicyAttachment", "cluster-node-addons-cni-AmazonEKS_CNI_Policy"),
        ("SystemNodes", "cluster-system"),
        ("Role", "cluster-system"),
        *(("RolePolicyAttachment", f"cluster-system-{policy}") for policy in policies),
        ("LaunchTemplate", "cluster-system"),
        ("NodeGroup", "cluster-system"),
        ("ClusterAddons", "cluster-addons"),
        *(("Addon", f"cluster-addons-{name}") for name in ("coredns", "metrics-server", "eks-node-monitoring-agent")),
    }


def test_everything_that_can_be_tagged_carries_the_tags() -> None:
    untaggable = {"Tag", "RolePolicyAttachment", "AccessPolicyAssociation"}
    resources = [
        each
        for each in build().resources
        if (each.custom or each.remote) and each.type.rpartition(":")[2] not in untaggable
    ]
    assert len(resources) > 10
    assert [each.name for each in resources if each.inputs.get("tags", {}).get("team") != "ml"] == []


def test_other_partitions_have_arns_of_their_own() -> None:
    recording = build(partition="aws-us-gov", access=(AccessGrant(principal_arn="ops", policy="view"),))
    written = [each for each in recording.resources if each.type.startswith(("aws:iam/", "aws:eks/accessPolicy"))]
    text = json.dumps([each.inputs for each in written])
    assert "arn:aws-us-gov:eks::aws:cluster-access-policy/" in text
    assert "arn:aws-us-gov:iam::aws:policy/AmazonEKS_CNI_Policy" in text
    assert "arn:aws:" not in text.replace("arn:aws:mock:", "")


def test_children_use_the_provider_of_the_component() -> None:
    def program() -> Cluster:
        provider = aws.Provider("elsewhere", region="us-east-1")
        return Cluster("cluster", ARGS, pulumi.ResourceOptions(providers=[provider]))

    recording = record(program)
    provider = recording.named("elsewhere").urn
    children = [each for each in recording.resources if each.custom and each.urn != provider]
    assert {each.provider for each in children} == {provider}
    assert recording.one(EKS).providers == {"aws": provider}


def test_roles_whose_names_are_alike_have_entries_of_their_own() -> None:
    names = ("role/a-b-Admin", "role/a/b-Admin", "role/a/b/Admin", "role/a_b-Admin", "user/a-b-Admin")
    grants = tuple(AccessGrant(principal_arn=f"arn:aws:iam::{ACCOUNT}:{name}", policy="view") for name in names)
    entries = [each.name for each in build(access=grants).of_type(ENTRY)]
    assert len(set(entries)) == len(names)
