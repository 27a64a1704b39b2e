"""The plan as Checkov reads it: Terraform's names and blocks, references, and the cluster's objects beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plan.export_dir import MARKER
from policy.inventory.terraform_names import terraform_key, terraform_type
from tests.unit.cli.projects import record_program
from tools.terraform import terraform_document, write_terraform

AWS = """
    import json, pulumi, pulumi_aws as aws, pulumi_eks as eks
    key = aws.kms.Key("data", enable_key_rotation=True)
    vpc = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16", tags={"costCenter": "a", "note": "${x}"})
    subnet = aws.ec2.Subnet("net", vpc_id=vpc.id, cidr_block="10.0.0.0/24")
    role = aws.iam.Role("1 role", name="r", assume_role_policy="{}")
    policy = key.arn.apply(lambda arn: json.dumps({"Resource": [arn, "arn:aws:s3:::${aws:username}"]}))
    aws.iam.RolePolicy("read", role=role.name, policy=policy)
    cluster = eks.Cluster("c", name="c", version="1.36", private_subnet_ids=[subnet.id], vpc_id=vpc.id,
                          endpoint_private_access=True, public_access_cidrs=["203.0.113.0/24"],
                          encryption_config_key_arn=key.arn, enabled_cluster_log_types=["api", "audit"],
                          upgrade_policy={"support_type": "STANDARD"}, authentication_mode=eks.AuthenticationMode.API)
    aws.ec2.Tag("found", resource_id=cluster.cluster_security_group_id, key="a", value="b")
    aws.eks.NodeGroup("nodes", node_role_arn=role.arn, subnet_ids=[subnet.id], cluster_name="c",
                      scaling_config={"min_size": 1, "max_size": 2, "desired_size": 1}, labels={"myLabel": "x"},
                      taints=[{"key": "k", "effect": "NO_SCHEDULE"}])

    class Part(pulumi.ComponentResource):
        def __init__(self, name):
            super().__init__("x:index:Part", name)
            aws.sqs.Queue("q", opts=pulumi.ResourceOptions(parent=self, protect=True))
    Part("a")
    aws.sqs.Queue("q")
"""


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """The resources, without the comments that say where they come from."""
    resources: dict[str, Any] = terraform_document(record_program(tmp_path, AWS))["resource"]
    for named in resources.values():
        for arguments in named.values():
            assert arguments.pop("//").startswith("urn:pulumi:dev::shop::")
    return resources


def test_references_become_interpolations(document: dict[str, Any]) -> None:
    assert document["aws_subnet"]["net"]["vpc_id"] == "${aws_vpc.net.id}"
    assert document["aws_eks_node_group"]["nodes"]["node_role_arn"] == "${aws_iam_role._1_role.arn}"
    tag = document["aws_ec2_tag"]["found"]
    assert tag["resource_id"] == "${aws_eks_cluster.c.vpc_config[0].cluster_security_group_id}"


def test_policies_stay_texts_with_references_inside(document: dict[str, Any]) -> None:
    policy = document["aws_iam_role_policy"]["read"]["policy"]
    # IAM's own variables must not be read as Terraform's.
    assert policy == '{"Resource": ["${aws_kms_key.data.arn}", "arn:aws:s3:::$${aws:username}"]}'


def test_names_of_users_keep_their_spelling(document: dict[str, Any]) -> None:
    assert document["aws_vpc"]["net"]["tags"] == {"costCenter": "a", "note": "$${x}"}
    assert document["aws_eks_node_group"]["nodes"]["labels"] == {"myLabel": "x"}


def test_blocks_have_terraforms_names(document: dict[str, Any]) -> None:
    nodes = document["aws_eks_node_group"]["nodes"]
    assert nodes["scaling_config"] == {"min_size": 1, "max_size": 2, "desired_size": 1}
    assert nodes["taint"] == [{"key": "k", "effect": "NO_SCHEDULE"}]


def test_the_eks_component_is_the_cluster_it_makes(document: dict[str, Any]) -> None:
    assert document["aws_eks_cluster"]["c"] == {
        "name": "c",
        "version": "1.36",
        "enabled_cluster_log_types": ["api", "audit"],
        "vpc_config": {
            "subnet_ids": ["${aws_subnet.net.id}"],
            "endpoint_private_access": True,
            "endpoint_public_access": True,
            "public_access_cidrs": ["203.0.113.0/24"],
        },
        "encryption_config": {"provider": {"key_arn": "${aws_kms_key.data.arn}"}, "resources": ["secrets"]},
        "access_config": {"authentication_mode": "API"},
        "upgrade_policy": {"support_type": "STANDARD"},
    }


def test_equal_names_of_one_type_stay_apart(document: dict[str, Any]) -> None:
    assert document["aws_sqs_queue"] == {"q": {}, "q_2": {"lifecycle": {"prevent_destroy": True}}}


@pytest.mark.parametrize(
    ("token", "type_"),
    [
        ("aws:autoscaling/group:Group", "aws_autoscaling_group"),
        ("aws:budgets/budget:Budget", "aws_budgets_budget"),
        ("aws:cloudwatch/eventRule:EventRule", "aws_cloudwatch_event_rule"),
        ("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "aws_default_security_group"),
        ("aws:ec2/launchTemplate:LaunchTemplate", "aws_launch_template"),
        ("aws:ec2/tag:Tag", "aws_ec2_tag"),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", "aws_vpc_endpoint"),
        ("aws:eks/podIdentityAssociation:PodIdentityAssociation", "aws_eks_pod_identity_association"),
        ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "aws_iam_role_policy_attachment"),
        ("aws:lb/loadBalancer:LoadBalancer", "aws_lb"),
        ("aws:sqs/queuePolicy:QueuePolicy", "aws_sqs_queue_policy"),
        ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "aws_vpc_security_group_ingress_rule"),
    ],
)
def test_types_have_terraforms_names(token: str, type_: str) -> None:
    assert terraform_type(token) == type_


@pytest.mark.parametrize(
    ("key", "argument"),
    [
        ("cidrIpv4", "cidr_ipv4"),
        ("httpPutResponseHopLimit", "http_put_response_hop_limit"),
        ("enableDnsHostnames", "enable_dns_hostnames"),
        ("notifications", "notification"),
        ("podIdentityAssociations", "pod_identity_association"),
    ],
)
def test_arguments_have_terraforms_names(key: str, argument: str) -> None:
    assert terraform_key(key) == argument


def test_terraform_and_objects_are_written_together(tmp_path: Path) -> None:
    program = """
        import pulumi_kubernetes as k8s
        k8s.core.v1.Namespace("space", metadata={"name": "models"}, opts=None)
        k8s.helm.v3.Release("pools", name="pools", chart="pools", version="1.2.3", namespace="models")
    """
    (tmp_path / "p").mkdir()
    target = tmp_path / "out"
    write_terraform(record_program(tmp_path / "p", program), target)
    names = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert names == [MARKER, "kubernetes/001-namespace-models.yaml", "main.tf.json"]
    assert json.loads((target / "main.tf.json").read_text()) == {
        "provider": {"aws": {"region": "us-east-1"}},
        "resource": {},
    }
