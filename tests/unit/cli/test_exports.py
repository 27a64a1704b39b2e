"""Manifests, Terraform JSON, and the directories they are written to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.errors import InputError
from cli.export_dir import MARKER, write_directory
from cli.manifests import manifest_files, write_manifests
from cli.terraform import terraform_document, write_terraform
from cli.terraform_names import terraform_key, terraform_type
from tests.unit.cli.projects import record_program

CLUSTER = """
    import pulumi, pulumi_kubernetes as k8s
    provider = k8s.Provider("cluster", kubeconfig="{}")
    def late(*needs):
        return pulumi.ResourceOptions(provider=provider, depends_on=list(needs))
    # Written backwards: the order in the files must come from what depends on what.
    space = k8s.core.v1.Namespace("space", metadata={"name": "models"}, opts=late())
    crds = k8s.helm.v3.Release("crds", name="pools-crd", chart="oci://example.com/pools-crd", version="1.2.3",
                               namespace="kube-system", opts=late(space))
    release = k8s.helm.v3.Release("pools", name="pools", chart="pools", version="1.2.3", namespace="models",
                                  create_namespace=True, skip_crds=True, values={"replicas": 2, "text": "a\\nb"},
                                  repository_opts={"repo": "https://charts.example.com"}, opts=late(crds))
    pool = k8s.apiextensions.CustomResource("pool", api_version="karpenter.sh/v1", kind="NodePool",
                                            metadata={"name": "gpu"}, spec={"limits": {"cpu": 4}}, opts=late(release))
    k8s.core.v1.Secret("login", metadata={"namespace": "models"}, opts=late(pool),
                       string_data={"password": pulumi.Output.secret("hunter2"), "script": "one\\ntwo"})
"""

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


# --- Manifests --------------------------------------------------------------------------------------------------------


def test_objects_are_numbered_in_the_order_of_application(tmp_path: Path) -> None:
    files = dict(manifest_files(record_program(tmp_path, CLUSTER)))
    assert [name.rpartition("-login")[0] or name for name in files] == [
        "001-namespace-models.yaml",
        "002-helm-pools-crd.values.yaml",
        "003-helm-pools.values.yaml",
        "004-nodepool-gpu.yaml",
        "005-secret",
    ]


def test_objects_are_whole_and_readable(tmp_path: Path) -> None:
    files = dict(manifest_files(record_program(tmp_path, CLUSTER)))
    pool = files["004-nodepool-gpu.yaml"]
    assert yaml.safe_load(pool) == {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": "gpu"},
        "spec": {"limits": {"cpu": 4}},
    }
    assert [line.split(":")[0] for line in pool.splitlines() if not line.startswith(" ")] == [
        "apiVersion",
        "kind",
        "metadata",
        "spec",
    ]


def test_objects_without_a_name_get_the_one_that_pulumi_would_make_up(tmp_path: Path) -> None:
    files = dict(manifest_files(record_program(tmp_path, CLUSTER)))
    (text,) = [text for name, text in files.items() if "secret" in name]
    assert yaml.safe_load(text)["metadata"]["name"].startswith("login-")
    assert len(yaml.safe_load(text)["metadata"]["name"]) == len("login-") + 8


def test_secrets_are_not_written(tmp_path: Path) -> None:
    files = dict(manifest_files(record_program(tmp_path, CLUSTER)))
    assert "hunter2" not in "".join(files.values())
    (text,) = [text for name, text in files.items() if "secret" in name]
    # A secret in a map makes the whole map secret: Pulumi joins its values to one output.
    assert yaml.safe_load(text)["stringData"] == {"password": "<secret>", "script": "<secret>"}


def test_a_release_is_its_values_and_the_command_that_installs_it(tmp_path: Path) -> None:
    values = dict(manifest_files(record_program(tmp_path, CLUSTER)))["003-helm-pools.values.yaml"]
    assert values.splitlines()[0] == (
        "# helm upgrade --install pools pools --repo https://charts.example.com --version 1.2.3 --namespace models "
        "--create-namespace --skip-crds --values 003-helm-pools.values.yaml"
    )
    assert yaml.safe_load(values) == {"replicas": 2, "text": "a\nb"}
    assert "text: |" in values


def test_objects_that_only_a_provider_knows_are_refused(tmp_path: Path) -> None:
    program = """
        import pulumi_kubernetes as k8s
        k8s.yaml.v2.ConfigGroup("group", yaml="kind: Secret")
    """
    with pytest.raises(InputError, match="ConfigGroup group: only its provider knows"):
        list(manifest_files(record_program(tmp_path, program)))


# --- Terraform --------------------------------------------------------------------------------------------------------


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
    target = tmp_path / "out"
    (tmp_path / "p").mkdir()
    write_terraform(record_program(tmp_path / "p", CLUSTER), target)
    names = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert names[:3] == [MARKER, "kubernetes/001-namespace-models.yaml", "kubernetes/004-nodepool-gpu.yaml"]
    assert json.loads((target / "main.tf.json").read_text()) == {
        "provider": {"aws": {"region": "us-east-1"}},
        "resource": {},
    }


# --- Directories ------------------------------------------------------------------------------------------------------


def content(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in directory.rglob("*")
        if path.is_file() and path.name != MARKER
    }


@pytest.mark.parametrize("before", ["missing", "empty", "missing parent"])
def test_a_directory_is_filled(tmp_path: Path, before: str) -> None:
    target = tmp_path / "a" / "out" if before == "missing parent" else tmp_path / "out"
    if before == "empty":
        target.mkdir()
    write_directory(target, {"x.yaml": "1", "sub/y.yaml": "2"})
    assert content(target) == {"x.yaml": "1", "sub/y.yaml": "2"}


def test_an_earlier_export_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write_directory(target, {"old.yaml": "1", "sub/y.yaml": "2"})
    write_directory(target, {"new.yaml": "3"})
    assert content(target) == {"new.yaml": "3"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("with_marker", [False, True])
def test_files_of_others_are_left_alone(tmp_path: Path, with_marker: bool) -> None:
    target = tmp_path / "out"
    if with_marker:
        write_directory(target, {"ours.yaml": "1"})
    target.mkdir(exist_ok=True)
    (target / "theirs.txt").write_text("keep")
    before = content(target)
    with pytest.raises(InputError, match=r"such as theirs\.txt"):
        write_directory(target, {"new.yaml": "2"})
    assert content(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("keep")
    with pytest.raises(InputError, match="is a file"):
        write_directory(tmp_path / "out", {})
    with pytest.raises(InputError, match="cannot write"):
        write_directory(tmp_path / "out" / "below", {})


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write_directory(target, {"old.yaml": "1"})
    with pytest.raises(InputError, match="cannot write"):
        write_directory(target, {"new.yaml": "2", "new.yaml/below": "a file cannot hold a file"})
    assert content(target) == {"old.yaml": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_to_a_directory_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    write_directory(tmp_path / "out", {"x.yaml": "1"})
    assert (tmp_path / "out").is_symlink()
    assert content(tmp_path / "real") == {"x.yaml": "1"}


def test_manifests_refuse_before_they_write(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.md").write_text("mine")
    with pytest.raises(InputError):
        write_manifests(record_program(tmp_path / "p", CLUSTER), tmp_path / "out")
    assert content(tmp_path / "out") == {"notes.md": "mine"}
