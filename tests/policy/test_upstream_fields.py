"""Fields as other projects define them: each is read under the name, and with the default, that is there.

Read at aws-controllers-k8s (`apis/v1alpha1`), provider-upjet-aws (`package/crds`), cluster-api-provider-aws
(`exp/api/v1beta2`, `controlplane/eks/api/v1beta2`), eksctl (`pkg/cfn/builder`), helm-controller of k3s, provider-helm.
"""

from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import judge
from policy.inventory import Blind, Item, unfold
from policy.inventory.terraform_names import terraform_type
from policy.ollama import servers
from policy.registered import Resource
from tests.day import TODAY
from tests.policy.corpus import type_of
from tests.policy.support import recorded

ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
ROOT = "arn:aws:iam::123456789012:root"
EVERYTHING = '{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
SSH = {"fromPort": 22, "toPort": 22, "ipProtocol": "tcp", "ipRanges": [{"cidrIP": "0.0.0.0/0"}]}
INTERNET = [{"cidr": "0.0.0.0/0"}]


def manifest(api_version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "one"}, "spec": spec}


def ack(service: str, kind: str, **spec: Any) -> dict[str, Any]:
    return manifest(f"{service}.services.k8s.aws/v1alpha1", kind, spec)


def upbound(group: str, kind: str, **values: Any) -> dict[str, Any]:
    return manifest(f"{group}.aws.upbound.io/v1beta1", kind, {"forProvider": values})


def capa(kind: str, **spec: Any) -> dict[str, Any]:
    group = "controlplane" if "ControlPlane" in kind else "infrastructure"
    return manifest(f"{group}.cluster.x-k8s.io/v1beta2", kind, spec)


def eksctl(**props: Any) -> dict[str, Any]:
    return {"apiVersion": "eksctl.io/v1alpha5", "kind": "ClusterConfig", "metadata": {"name": "ml"}, **props}


def group(**props: Any) -> dict[str, Any]:
    sound = {"volumeEncrypted": True, "disablePodIMDS": True, "spot": True, "instanceTypes": ["g5.xlarge"]}
    return eksctl(managedNodeGroups=[{"name": "gpu", "maxSize": 1, **sound, **props}])


def said(program: dict[str, Any]) -> set[str]:
    verdicts = judge([recorded(type_of(program), program, "one")], {}, today=TODAY)
    return {verdict.rule for verdict in verdicts}


def items(program: dict[str, Any], type_: str) -> list[Item]:
    found = unfold(type_of(program), program)
    return [item for item in found if isinstance(item, Item) and item.type == type_]


@pytest.mark.parametrize(
    ("program", "rule"),
    [
        (ack("iam", "Role", policies=[ADMINISTRATOR]), "iam-no-administrators"),
        (ack("iam", "Role", inlinePolicies={"all": EVERYTHING}), "iam-no-wildcards"),
        (ack("iam", "User", policies=[ADMINISTRATOR]), "iam-no-administrators"),
        (ack("iam", "User", inlinePolicies={"all": EVERYTHING}), "iam-no-wildcards"),
        (ack("iam", "Group", policies=[ADMINISTRATOR]), "iam-no-administrators"),
        (ack("iam", "Policy", policyDocument=EVERYTHING), "iam-no-wildcards"),
        (ack("ec2", "SecurityGroup", ingressRules=[SSH]), "vpc-no-open-ssh"),
        (ack("ec2", "ManagedPrefixList", entries=INTERNET), "vpc-no-open-ssh"),
        (ack("eks", "AccessEntry", principalARN=ROOT), "eks-no-root-access"),
        (ack("cloudwatchlogs", "LogGroup", retentionDays=7), "logs-retention"),
        (upbound("ec2", "ManagedPrefixList", entry=INTERNET), "vpc-no-open-ssh"),
        (upbound("elbv2", "LB", internal=True), "tags-cost-allocation"),
        (upbound("rds", "Instance", instanceClass="db.t4g.micro"), "tags-cost-allocation"),
        (capa("AWSManagedControlPlane", accessEntries=[{"principalARN": ROOT}]), "eks-no-root-access"),
        (eksctl(accessConfig={"accessEntries": [{"principalARN": ROOT}]}), "eks-no-root-access"),
        (group(disablePodIMDS=False), "node-imdsv2"),
        (group(disablePodIMDS=False, disableIMDSv1=False), "node-imdsv2"),
        (group(volumeEncrypted=None), "node-encrypted-volumes"),
        (group(additionalVolumes=[{"volumeName": "/dev/xvdb"}]), "node-encrypted-volumes"),
        (group(ssh={"allow": True}), "node-no-ssh"),
        (
            group(spot=False, instanceTypes=None, instanceSelector={"vCPUs": 4, "memory": "16"}),
            "gpu-on-demand-needs-justification",
        ),
    ],
)
def test_what_is_wrong_is_found(program: dict[str, Any], rule: str) -> None:
    assert rule in said(program)


@pytest.mark.parametrize(
    ("program", "rule"),
    [
        (ack("sqs", "Queue", kmsMasterKeyRef={"from": {"name": "key"}}), "sqs-encryption"),
        (ack("sqs", "Queue", sqsManagedSSEEnabled="true"), "sqs-encryption"),
        (ack("cloudwatchlogs", "LogGroup", retentionDays=400), "logs-retention"),
        (ack("cloudwatchlogs", "LogGroup", kmsKeyRef={"from": {"name": "key"}}), "logs-encryption"),
        (
            ack("eks", "Cluster", encryptionConfig=[{"provider": {"keyRef": {"from": {"name": "key"}}}}]),
            "eks-secrets-encrypted",
        ),
        (upbound("cloudwatchlogs", "Group", kmsKeyIdRef={"name": "key"}), "logs-encryption"),
        (upbound("cloudwatchlogs", "Group", kmsKeyIdSelector={"matchLabels": {"a": "b"}}), "logs-encryption"),
        (eksctl(privateCluster={"enabled": True}, vpc={"cidr": "10.0.0.0/16"}), "eks-endpoint-allowlist"),
        (eksctl(privateCluster={"enabled": True}, vpc={"cidr": "10.0.0.0/16"}), "eks-private-endpoint"),
        *((group(), rule) for rule in ("node-imdsv2", "node-encrypted-volumes", "node-no-ssh")),
        (
            group(spot=False, instanceTypes=None, instanceSelector={"vCPUs": 4, "gpus": 0}),
            "gpu-on-demand-needs-justification",
        ),
    ],
)
def test_what_is_right_passes(program: dict[str, Any], rule: str) -> None:
    assert rule not in said(program)


def test_a_pool_of_cluster_api_has_one_machine_unless_it_says_more() -> None:
    program = capa("AWSMachinePool", awsLaunchTemplate={"instanceType": "g5.xlarge"})
    (found,) = items(program, "aws:autoscaling/group:Group")
    assert found.props["maxSize"] == 1


@pytest.mark.parametrize(
    ("said_of_it", "market"),
    [
        ({}, None),
        ({"marketType": "Spot"}, "spot"),
        ({"spotMarketOptions": {}}, "spot"),
        ({"marketType": "OnDemand", "spotMarketOptions": {}}, "ondemand"),
        ({"marketType": "CapacityBlock"}, "capacity-block"),
    ],
)
def test_a_market_that_cluster_api_is_told_goes_before_spot_options(
    said_of_it: dict[str, Any], market: str | None
) -> None:
    program = capa("AWSMachineTemplate", template={"spec": {"instanceType": "g5.xlarge", **said_of_it}})
    (found,) = items(program, "aws:ec2/launchTemplate:LaunchTemplate")
    assert found.props.get("instanceMarketOptions") == (market and {"marketType": market})


@pytest.mark.parametrize(
    ("access", "groups"),
    [
        ({"sshKeyName": "k"}, ["the cluster's"]),
        ({"sshKeyName": "k", "sourceSecurityGroups": ["sg-1"]}, ["sg-1", "the cluster's"]),
        ({"public": True}, []),
    ],
)
def test_cluster_api_opens_port_22_to_the_cluster_unless_it_is_public(
    access: dict[str, Any], groups: list[str]
) -> None:
    (found,) = items(capa("AWSManagedMachinePool", remoteAccess=access), "aws:eks/nodeGroup:NodeGroup")
    assert found.props["remoteAccess"]["sourceSecurityGroupIds"] == groups


def test_a_chart_of_k3s_may_have_its_values_as_an_object() -> None:
    spec = {"chart": "ollama", "valuesContent": "a: 1\nb: 2\n", "values": {"b": 3}, "set": {"c": 4}}
    (found,) = items(manifest("helm.cattle.io/v1", "HelmChart", spec), "kubernetes:helm.sh/v3:Release")
    assert found.props["values"] == {"a": 1, "b": 3, "c": 4}


def test_argo_cd_reads_values_as_text_only_where_there_is_no_object() -> None:
    spec = {"source": {"chart": "ollama", "helm": {"values": "a: 1\n", "valuesObject": {"b": 2}}}}
    (found,) = items(manifest("argoproj.io/v1alpha1", "Application", spec), "kubernetes:helm.sh/v3:Release")
    assert found.props["values"] == {"b": 2}


@pytest.mark.parametrize(
    ("program", "place"),
    [
        (manifest("helm.cattle.io/v1", "HelmChart", {"valuesSecrets": [{"name": "s"}]}), "spec.valuesSecrets"),
        (
            manifest("helm.crossplane.io/v1beta1", "Release", {"forProvider": {"valuesFrom": [{"secretKeyRef": {}}]}}),
            "spec.forProvider.valuesFrom",
        ),
        (
            manifest("helm.toolkit.fluxcd.io/v2", "HelmRelease", {"chart": {"spec": {"valuesFiles": ["prod.yaml"]}}}),
            "spec.chart.spec.valuesFiles",
        ),
        (
            manifest(
                "argoproj.io/v1alpha1",
                "Application",
                {"source": {"chart": "ollama", "helm": {"fileParameters": [{"name": "a", "path": "b"}]}}},
            ),
            "spec.source.helm.fileParameters",
        ),
    ],
)
def test_values_that_lie_elsewhere_are_told(program: dict[str, Any], place: str) -> None:
    assert place in {found.place for found in unfold(type_of(program), program) if isinstance(found, Blind)}


@pytest.mark.parametrize(
    ("gpu", "limits", "asked"),
    [
        ({}, {}, {"nvidia.com/gpu": 1}),
        ({"number": 0}, {}, {"nvidia.com/gpu": 1}),
        ({"number": 1}, {"nvidia.com/gpu": 2}, {"nvidia.com/gpu": 2}),
        ({"mig": {"enabled": True, "devices": {"1g.10gb": 1}}}, {}, {"nvidia.com/mig-1g.10gb": 1}),
        ({"draEnabled": True}, {}, {}),
        ({"type": "amd"}, {}, {}),
    ],
)
def test_ollama_s_chart_asks_for_gpus_as_its_template_does(
    gpu: dict[str, Any], limits: dict[str, Any], asked: dict[str, Any]
) -> None:
    """otwld/ollama-helm 1.77, `templates/deployment.yaml`: Sprig's `merge` keeps what is there."""
    values = {"ollama": {"gpu": {"enabled": True, **gpu}}, "resources": {"limits": limits}}
    props = {"chart": "ollama", "values": values}
    (server,) = servers(Resource(type="kubernetes:helm.sh/v3:Release", name="one", urn="one", props=props))
    assert server.pod.spec["containers"][0]["resources"]["limits"] == asked


@pytest.mark.parametrize(
    ("token", "name"),
    [
        ("aws:ec2/managedPrefixList:ManagedPrefixList", "aws_ec2_managed_prefix_list"),
        ("aws:ec2/managedPrefixListEntry:ManagedPrefixListEntry", "aws_ec2_managed_prefix_list_entry"),
        ("aws:ec2/instanceMetadataDefaults:InstanceMetadataDefaults", "aws_ec2_instance_metadata_defaults"),
        ("aws:elasticbeanstalk/environment:Environment", "aws_elastic_beanstalk_environment"),
    ],
)
def test_terraform_s_names_with_another_module(token: str, name: str) -> None:
    assert terraform_type(token) == name
