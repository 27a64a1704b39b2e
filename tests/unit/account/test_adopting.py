"""What `slices adopt` asks of the account, played by moto: the cluster, its add-ons, a profile's role, tags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from account.adopting import cluster_of, role_of
from account.session import Absent, Found, Unseen
from adopt.export import read_export
from cli.main import main
from tests.unit.account.world import REGION, ApiError, World, fail, moto, world
from tests.unit.adopt.cluster import by_hand, node_class, write

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


def test_what_the_account_refuses_to_show_is_told(run: Any, account: World) -> None:
    account.planted["eks:DescribeCluster"] = fail(ApiError("AccessDeniedException"))
    done = run(*by_hand())
    assert "denied, needs eks:DescribeCluster" in findings(done, "unseen")
    assert done.exit_code == 5


def test_a_cluster_of_another_account_is_no_cluster(run: Any, account: World) -> None:
    account.planted["eks:DescribeCluster"] = fail(ApiError("ResourceNotFoundException"))
    assert "are these credentials of its account?" in findings(run(*by_hand()), "missing")
