"""What `slices adopt` asks of the account, played by moto: the cluster, its add-ons, a profile's role, tags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from account.adopting import cluster_of, role_of
from account.session import Absent, Found, Unseen
from adopt.export import read_export
from cli.main import main
from tests.unit.account.world import REGION, ApiError, World, fail, moto, world
from tests.unit.adopt.cluster import by_hand, node, node_class, pod, write

pytestmark = pytest.mark.parts

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Theirs: a cluster with an access entry for its nodes, tagged subnets and groups, the Pod Identity agent."""
    with world(monkeypatch) as made:
        vpc = moto("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        for index, zone in enumerate(("us-east-1a", "us-east-1b")):
            tags = [{"ResourceType": "subnet", "Tags": [{"Key": "tier", "Value": "private"}]}]
            moto("ec2").create_subnet(
                VpcId=vpc, CidrBlock=f"10.0.{index}.0/24", AvailabilityZone=zone, TagSpecifications=tags
            )
        group = moto("ec2").create_security_group(GroupName="nodes", Description="nodes", VpcId=vpc)["GroupId"]
        moto("ec2").create_tags(Resources=[group], Tags=[{"Key": "role", "Value": "nodes"}])
        role = moto("iam").create_role(RoleName="TheirNodes", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        moto("iam").create_instance_profile(InstanceProfileName="their-profile")
        moto("iam").add_role_to_instance_profile(InstanceProfileName="their-profile", RoleName="TheirNodes")
        cluster = {
            "name": "prod",
            "status": "ACTIVE",
            "version": "1.36",
            "accessConfig": {"authenticationMode": "API"},
            "resourcesVpcConfig": {"vpcId": vpc},
        }
        made.planted["eks:DescribeCluster"] = lambda _: {"cluster": cluster}
        made.planted["eks:ListAccessEntries"] = lambda _: {"accessEntries": [role]}
        made.planted["eks:ListAddons"] = lambda _: {"addons": ["eks-pod-identity-agent"]}
        yield made


def test_the_cluster_and_the_role_of_a_profile(account: World) -> None:
    assert isinstance(found := cluster_of(account, "prod"), Found)
    assert found.value["version"] == "1.36"
    assert role_of(account, "their-profile") == Found("TheirNodes")
    assert role_of(account, "no-such-profile") == Absent()
    account.planted["eks:DescribeCluster"] = fail(ApiError("ResourceNotFoundException"))
    assert cluster_of(account, "prod") == Absent()
    account.planted["eks:DescribeCluster"] = fail(ApiError("AccessDeniedException"))
    assert isinstance(cluster_of(account, "prod"), Unseen)


@pytest.fixture
def run(account: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`slices adopt` with the cluster's objects played from an export and the account by moto."""
    root = Path(__file__).parents[3]
    (tmp_path / "Pulumi.yaml").write_bytes((root / "Pulumi.yaml").read_bytes())
    folder = tmp_path / "export"
    folder.mkdir()

    def adopt(*objects: dict[str, Any]) -> Result:
        write(folder, list(objects))
        monkeypatch.setattr("cli.adopt.read_cluster", lambda _: read_export(folder))
        monkeypatch.setattr("cli.adopt.Account", lambda region: account if region == REGION else None)
        return CliRunner().invoke(main, ["adopt", "mine", "--overwrite", "-C", str(tmp_path), "--json"])

    return adopt


def findings(done: Result, status: str) -> str:
    return "\n".join(
        f"{each['about']}: {each['text']} [{each['line']}]"
        for each in json.loads(done.output)["findings"]
        if each["status"] == status
    )


def test_the_account_knows_the_version_and_what_fits(run: Any, account: World) -> None:
    done = run(*by_hand())
    assert done.exit_code == 0, done.output
    document = json.loads(done.output)
    assert document["kubernetes"] == "1.36", "EKS' word counts before a kubelet's"
    fits = findings(done, "fits")
    for words in (
        "the cluster prod is active, with Kubernetes 1.36",
        "the nodes' role TheirNodes is there, and the cluster lets it in: by an access entry",
        "subnets of the cluster's VPC carry tier=private",
        "security groups of the cluster's VPC carry role=nodes",
        "pods of the cluster get rights by EKS Pod Identity: by its add-on",
    ):
        assert words in fits
    operations = {name.partition(":")[2] for name, _ in account.asked}
    assert all(name.startswith(("Describe", "Get", "List")) for name in operations), operations


def test_a_class_that_names_a_profile_gets_its_role(run: Any) -> None:
    objects = [each for each in by_hand() if each["kind"] != "EC2NodeClass"]
    done = run(*objects, node_class(role=None, instanceProfile="their-profile"))
    assert done.exit_code == 0, done.output
    assert "TheirNodes" in findings(done, "fits")
    objects.append(node_class(role=None, instanceProfile="nobodys"))
    assert "IAM has no instance profile nobodys" in findings(run(*objects), "missing")


def test_what_is_missing_in_the_account_is_told_with_its_command(run: Any, account: World) -> None:
    account.planted["eks:ListAccessEntries"] = lambda _: {"accessEntries": []}
    account.planted["eks:ListAddons"] = lambda _: {"addons": []}
    done = run(*by_hand())
    assert "aws eks create-access-entry" in findings(done, "missing")
    assert "eks-pod-identity-agent is not there" in findings(done, "note")


# --- A Karpenter of the stack's own -----------------------------------------------------------------------------------


def groups() -> list[dict[str, Any]]:
    """A GPU node of a node group, with its pod."""
    found = node("gpu-0")
    del found["metadata"]["labels"]["karpenter.sh/nodepool"]
    found["metadata"]["labels"]["alpha.eksctl.io/cluster-name"] = "prod"
    return [found, pod("llm", "gpu-0")]


def place(account: World, **changes: Any) -> dict[str, Any]:
    """Their VPC as EKS describes it: a public subnet, two private ones, and the group that EKS made."""
    ec2 = moto("ec2")
    cluster = account.planted["eks:DescribeCluster"]({})["cluster"]
    vpc = cluster["resourcesVpcConfig"]["vpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    private = sorted(each["SubnetId"] for each in ec2.describe_subnets(Filters=filters)["Subnets"])
    public = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.9.0/24", AvailabilityZone="us-east-1a")["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.associate_route_table(RouteTableId=table, SubnetId=public)
    filters[0:] = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["nodes"]}]
    (group,) = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    where = {"vpcId": vpc, "subnetIds": [public, *private], "clusterSecurityGroupId": group["GroupId"]}
    account.planted["eks:DescribeCluster"] = lambda _: {"cluster": {**cluster, "resourcesVpcConfig": where, **changes}}
    return {"private": private, "public": public, "group": group["GroupId"]}


def test_the_account_says_how_nodes_get_in_and_where_they_go(run: Any, account: World, tmp_path: Path) -> None:
    there = place(account)
    done = run(*groups())
    assert done.exit_code == 0, done.output
    written = yaml.safe_load((tmp_path / "Pulumi.mine.yaml").read_text())["config"]
    assert written["gpu-slices:cluster"]["authenticationMode"] == "API"
    network = {"subnetIds": there["private"], "securityGroupIds": [there["group"]]}
    assert written["gpu-slices:network"] == {"existing": network}
    fits = findings(done, "fits")
    assert "the cluster has the add-on eks-pod-identity-agent" in fits
    assert f"subnets {', '.join(there['private'])} are there" in fits
    for same in ("pods of the cluster get rights", "rights of Karpenter"):
        assert same not in fits, "the same in other words"


def test_what_carries_karpenters_tag_is_left_to_it(run: Any, account: World, tmp_path: Path) -> None:
    there = place(account)
    tag = [{"Key": "karpenter.sh/discovery", "Value": "prod"}]
    moto("ec2").create_tags(Resources=[*there["private"], there["group"]], Tags=tag)
    done = run(*groups())
    assert done.exit_code == 0, done.output
    text = (tmp_path / "Pulumi.mine.yaml").read_text()
    assert "network" not in text
    assert "subnets of the cluster's VPC carry karpenter.sh/discovery=prod" in findings(done, "fits")


ISSUER = "oidc.eks.us-east-1.amazonaws.com/id/ABC"


@pytest.mark.parametrize("known", [True, False])
def test_without_the_agent_it_depends_on_what_iam_knows(run: Any, account: World, tmp_path: Path, known: bool) -> None:
    place(account, identity={"oidc": {"issuer": f"https://{ISSUER}"}})
    account.planted["eks:ListAddons"] = lambda _: {"addons": ["vpc-cni"]}
    if known:
        moto("iam").create_open_id_connect_provider(Url=f"https://{ISSUER}", ThumbprintList=["0" * 40])
    done = run(*groups())
    written = yaml.safe_load((tmp_path / "Pulumi.mine.yaml").read_text())["config"]
    if known:
        assert done.exit_code == 0, done.output
        assert written["gpu-slices:karpenter"] == {"identity": "irsa"}
        assert "no Pod Identity agent runs" in findings(done, "fits")
        assert f"by which Karpenter gets its role: {ISSUER}" in findings(done, "fits")
    else:
        assert "gpu-slices:karpenter" not in written
        assert "aws eks create-addon" in findings(done, "missing")


def test_auto_mode_is_known_from_the_account_alone(run: Any, account: World, tmp_path: Path) -> None:
    place(account, computeConfig={"enabled": True, "nodePools": []})
    done = run(*groups())
    assert done.exit_code == 4
    assert "EKS Auto Mode" in findings(done, "missing")
    assert not list(tmp_path.glob("Pulumi.*.yaml"))


def test_a_place_that_nobody_may_see_is_told(run: Any, account: World, tmp_path: Path) -> None:
    place(account)
    account.planted["ec2:DescribeRouteTables"] = fail(ApiError("UnauthorizedOperation"))
    done = run(*groups())
    assert done.exit_code == 5
    assert "ec2:DescribeRouteTables" in findings(done, "unseen")
    assert "  # gpu-slices:network:" in (tmp_path / "Pulumi.mine.yaml").read_text()


def test_what_the_account_refuses_to_show_is_told(run: Any, account: World) -> None:
    account.planted["eks:DescribeCluster"] = fail(ApiError("AccessDeniedException"))
    done = run(*by_hand())
    assert "denied, needs eks:DescribeCluster" in findings(done, "unseen")
    assert done.exit_code == 5


def test_a_cluster_of_another_account_is_no_cluster(run: Any, account: World) -> None:
    account.planted["eks:DescribeCluster"] = fail(ApiError("ResourceNotFoundException"))
    assert "are these credentials of its account?" in findings(run(*by_hand()), "missing")
