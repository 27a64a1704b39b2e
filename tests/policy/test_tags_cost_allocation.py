from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules.tags_cost_allocation import RULE
from tests.policy.support import UNKNOWN, judged, recorded

GATEWAY = "aws:ec2/natGateway:NatGateway"
CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def messages(*resources: Recorded, **options: Any) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources, **options)]


def template(instance: Any, volume: Any) -> dict[str, Any]:
    kinds = (("instance", instance), ("volume", volume))
    return {"tagSpecifications": [{"resourceType": kind, "tags": tags} for kind, tags in kinds if tags is not None]}


@pytest.mark.parametrize("inputs", [{"tags": {"team": "ml"}}, {"tagsAll": {"team": "ml"}}, {"tags": UNKNOWN}], ids=str)
def test_any_tag_passes_also_an_unknown_one(inputs: dict[str, Any]) -> None:
    assert messages(recorded(GATEWAY, inputs)) == []


@pytest.mark.parametrize("inputs", [{}, {"tags": {}}, {"tags": {"Name": "gateway"}}], ids=str)
def test_nothing_but_a_name_fails(inputs: dict[str, Any]) -> None:
    (message,) = messages(recorded(GATEWAY, inputs))
    assert message == "tags lack any tag beside Name: add it."


def test_required_keys_are_named() -> None:
    gateway = recorded(GATEWAY, {"tags": {"team": UNKNOWN, "Name": "gateway"}})
    assert messages(gateway, required=["team"]) == []
    (message,) = messages(gateway, required=["team", "cost-center", "stack"])
    assert message == "tags lack cost-center, stack: add it."


@pytest.mark.parametrize(
    "default", [{"tags": {"team": "ml"}}, '{"tags": {"team": "ml"}}', UNKNOWN, "{", '{"tags": 1}'], ids=str
)
def test_default_tags_of_the_provider_count(default: Any) -> None:
    provider = recorded("pulumi:providers:aws", {"defaultTags": default}, "aws")
    good = default in ({"tags": {"team": "ml"}}, '{"tags": {"team": "ml"}}')
    assert (messages(provider, recorded(GATEWAY, {}), required=["team"]) == []) == good


def test_node_classes_have_tags_of_their_own_for_default_tags_do_not_reach_nodes() -> None:
    provider = recorded("pulumi:providers:aws", {"defaultTags": {"tags": {"team": "ml"}}}, "aws")
    (message,) = messages(provider, recorded(CLASS, {"spec": {}}))
    assert message.startswith("spec.tags lack")
    assert messages(recorded(CLASS, {"spec": {"tags": {"team": "ml"}}})) == []
    assert messages(recorded(CLASS, {"spec": {"tags": UNKNOWN}})) == []


def test_launch_templates_tag_instances_and_volumes() -> None:
    tags = {"team": "ml"}
    assert messages(recorded(TEMPLATE, template(tags, tags))) == []
    assert messages(recorded(TEMPLATE, {"tagSpecifications": UNKNOWN})) == []
    assert messages(recorded(TEMPLATE, template(UNKNOWN, tags))) == []
    (message,) = messages(recorded(TEMPLATE, template(tags, None)))
    assert message.startswith("tagSpecifications of volume lack")
    assert len(messages(recorded(TEMPLATE, {"tags": tags}))) == 2


@pytest.mark.parametrize(
    "type_",
    [
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:ebs/volume:Volume",
        "aws:ec2/eip:Eip",
        "aws:ec2/fleet:Fleet",
        "aws:ec2/instance:Instance",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "aws:ecr/repository:Repository",
        "aws:efs/fileSystem:FileSystem",
        "aws:eks/cluster:Cluster",
        "aws:eks/nodeGroup:NodeGroup",
        "aws:fsx/lustreFileSystem:LustreFileSystem",
        "aws:kms/key:Key",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:rds/cluster:Cluster",
        "aws:rds/instance:Instance",
        "aws:s3/bucket:Bucket",
        "aws:s3/bucketV2:BucketV2",
        "aws:sqs/queue:Queue",
    ],
)
def test_everything_on_the_bill_needs_tags(type_: str) -> None:
    assert len(messages(recorded(type_, {}))) == 1


def test_what_is_free_needs_no_tags() -> None:
    assert messages(recorded("aws:iam/role:Role", {}), recorded("aws:ec2/subnet:Subnet", {})) == []


def test_components_are_judged_by_what_is_inside_them() -> None:
    """In the engine a stack rule sees their outputs, which have no tags."""
    assert messages(recorded("eks:index:Cluster", {}), recorded("aws:eks/cluster:Cluster", {}, "inside")) == [
        "tags lack any tag beside Name: add it."
    ]
