"""What is found of a stack, and what is not: every kind is planted for it, for a look-alike, and without tags."""

import shlex
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from itertools import cycle
from typing import Any

import pytest

from account.session import Found, Identity, iam_action
from account.teardown.kinds import Leftover
from account.teardown.marks import Marks
from account.teardown.records import RECORDS
from account.teardown.survey import Place, Survey
from account.teardown.table import KINDS
from tests.unit.account.aws_command import problems
from tests.unit.account.planted import (
    Planted,
    door_of,
    pairs,
    plant_record,
    play_billing,
    play_cluster,
    program_tags,
)
from tests.unit.account.world import (
    ACCOUNT,
    REGION,
    ApiError,
    NoConnectionError,
    Parameters,
    World,
    fail,
    moto,
    world,
)

DEV = Marks(stack="dev", cluster="gpu-slices-dev", region=REGION, door=door_of("gpu-slices-dev"))
#: Kinds that are looked at, but of which a stack leaves nothing that could be planted beside the others.
NOT_PLANTED = {"EKS clusters", "things of others in its VPC"}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world(monkeypatch) as made:
        yield made


def place(account: World, marks: Marks = DEV) -> Place:
    match account.identity():
        case Found(caller):
            return Place(account=account, caller=caller, marks=marks)
    raise AssertionError("moto knows everybody")


def keys(things: list[Leftover]) -> set[tuple[str, str]]:
    return {(thing.kind, thing.id) for thing in things}


def survey(account: World, marks: Marks = DEV) -> Survey:
    return place(account, marks).survey()


def test_everything_of_the_stack_is_found_and_nothing_else(account: World) -> None:
    ours = Planted("dev", "gpu-slices-dev")
    others = [
        Planted("dev-thomas", "gpu-slices-dev-thomas"),
        # A stack of the same name in another project, with a cluster of its own.
        Planted("dev", "ml-dev"),
        Planted("untagged", "gpu-slices-dev", tagged=False, named=False),
    ]
    play_billing(account, ours, *others)
    found = survey(account)
    assert found.unseen == {}
    assert keys(found.left) == set(ours.all())
    assert {thing.id for thing in found.scheduled} == {ours.pending_key}
    assert {thing.why for thing in found.others} <= {f"in {ours.vpc}"}
    assert {kind for kind, _ in ours.all()} == {kind.name for kind in KINDS} - NOT_PLANTED
    commands = [tuple(shlex.split(step.command(REGION))) for thing in found.left for step in thing.steps]
    assert [problem for command in commands for problem in problems(command)] == []
    # S3 deletes a bucket that is empty; nobody wants to read a command with all its keys.
    (bucket,) = [thing for thing in found.left if thing.kind == "S3 buckets"]
    assert bucket.command(REGION) == f"aws s3 rb s3://{bucket.id} --force --region {REGION}"
    assert bucket.state == "holds 2 objects"


def test_an_empty_account_is_proven_empty(account: World) -> None:
    found = survey(account)
    assert found.found == ()
    assert found.unseen == {}
    assert found.cluster_is_gone


def test_a_key_that_pulumi_deleted_is_named_with_its_date(account: World) -> None:
    key = Planted("dev", "gpu-slices-dev").pending_key
    found = Place(account=account, caller=Identity(account=ACCOUNT, arn="arn:aws:iam::1:user/a"), marks=DEV).survey(
        [kind for kind in KINDS if kind.name == "KMS keys"]
    )
    pending = {thing.id: thing for thing in found.scheduled}[key]
    days = {date.today() + timedelta(days=each) for each in (29, 30, 31)}
    assert pending.state in {f"deleted on {day}" for day in days}
    assert pending.usd_per_month is None
    assert pending.steps == ()


def test_what_has_ended_is_not_left_and_what_is_ending_is(account: World) -> None:
    ours = Planted("dev", "gpu-slices-dev")
    play_billing(account, ours)
    (instance,) = ours.ids["EC2 instances"]
    (nat,) = ours.ids["NAT gateways"]
    moto("ec2").terminate_instances(InstanceIds=[instance])
    moto("ec2").delete_nat_gateway(NatGatewayId=nat)
    assert {("EC2 instances", instance), ("NAT gateways", nat)}.isdisjoint(keys(survey(account).left))

    tags = pairs(program_tags("dev", "gpu-slices-dev"))
    shown = {"NatGatewayId": nat, "State": "deleting", "Tags": tags}
    account.planted["ec2:DescribeNatGateways"] = lambda _: {"NatGateways": [shown]}
    (ending,) = [thing for thing in survey(account).left if thing.kind == "NAT gateways"]
    assert ending.fate == "ending"


FAULTS: list[tuple[Exception, str]] = [
    (ApiError("AccessDenied"), "denied"),
    (ApiError("UnauthorizedOperation"), "denied"),
    (ApiError("Throttling"), "throttled"),
    (ApiError("RequestLimitExceeded"), "throttled"),
    (ApiError("InternalError"), "refused"),
    (NoConnectionError(), "unreachable"),
]


def test_every_call_that_fails_is_told_and_never_taken_for_nothing_there(account: World) -> None:
    ours = Planted("dev", "gpu-slices-dev")
    play_billing(account, ours)
    play_cluster(account, "gpu-slices-dev")
    faults = cycle(FAULTS)
    there = place(account)
    for kind in KINDS:
        for call in kind.reads:
            error, cause = next(faults)
            operation = f"{call.service}:{''.join(word.capitalize() for word in call.operation.split('_'))}"
            before = account.planted.get(operation)
            account.planted[operation] = fail(error)
            found = there.survey([kind])
            (said,) = {unseen.cause for unseen in found.unseen[kind.name]}
            assert said == cause, operation
            assert all(
                iam_action(account.client(call.service), call.operation) in str(each)
                for each in found.unseen[kind.name]
            )
            del account.planted[operation]
            if before:
                account.planted[operation] = before


def test_one_key_that_may_not_be_looked_at_hides_no_other(account: World) -> None:
    ours = Planted("dev", "gpu-slices-dev")
    foreign = moto("kms").create_key(Description="of another team")["KeyMetadata"]["KeyId"]
    tags = {"Tags": [{"TagKey": "gpu-slices/stack", "TagValue": "dev"}]}

    def listed(parameters: Parameters) -> Mapping[str, Any]:
        if parameters["KeyId"] == foreign:
            raise ApiError("AccessDeniedException")
        return tags

    account.planted["kms:ListResourceTags"] = listed
    found = place(account).survey([kind for kind in KINDS if kind.name == "KMS keys"])
    assert {thing.id for thing in found.left} == ours.ids["KMS keys"]
    (unseen,) = found.unseen["KMS keys"]
    assert "kms:ListResourceTags" in str(unseen)


def test_hundreds_of_things_are_found_on_many_pages(account: World) -> None:
    ours, other = program_tags("dev", "gpu-slices-dev"), program_tags("dev2", "gpu-slices-dev2")
    volumes: list[dict[str, Any]] = [
        {"VolumeId": f"vol-{number:04}", "Size": 8, "State": "available", "VolumeType": "gp3", "Tags": pairs(tags)}
        for number, tags in enumerate([ours, other] * 700)
    ]

    def pages(parameters: Parameters) -> Mapping[str, Any]:
        (asked,) = parameters["Filters"]
        key, (value,) = asked["Name"].removeprefix("tag:"), asked["Values"]
        some = [each for each in volumes if {"Key": key, "Value": value} in each["Tags"]]
        start = int(parameters.get("NextToken", 0))
        rest = {"NextToken": str(start + 100)} if start + 100 < len(some) else {}
        return {"Volumes": some[start : start + 100], **rest}

    account.planted["ec2:DescribeVolumes"] = pages
    found = place(account).survey([kind for kind in KINDS if kind.name == "EBS volumes"])
    assert {thing.id for thing in found.left} == {f"vol-{number:04}" for number in range(0, 1400, 2)}
    assert sum(thing.usd_per_month or 0 for thing in found.left) == pytest.approx(700 * 8 * 0.08)


def test_a_page_that_is_throttled_makes_the_whole_kind_unseen(account: World) -> None:
    def pages(parameters: Parameters) -> Mapping[str, Any]:
        if "NextToken" in parameters:
            raise ApiError("RequestLimitExceeded")
        return {"Volumes": [], "NextToken": "1"}

    account.planted["ec2:DescribeVolumes"] = pages
    found = place(account).survey([kind for kind in KINDS if kind.name == "EBS volumes"])
    assert [unseen.cause for unseen in found.unseen["EBS volumes"]] == ["throttled"]


def test_a_standing_cluster_is_found_with_its_parts_and_none_of_it_is_for_us_to_delete(account: World) -> None:
    play_cluster(account, "gpu-slices-dev", deletionProtection=True)
    found = survey(account)
    assert found.cluster is not None
    assert not found.cluster_is_gone
    assert found.cluster.state == "ACTIVE, protected from deletion"
    assert {thing.id for thing in found.left} == {
        "gpu-slices-dev",
        "node group cluster-system-1",
        "add-on coredns",
        "add-on vpc-cni",
        f"access entry arn:aws:iam::{ACCOUNT}:role/gpu-slices-dev-karpenter-node",
        "pod identity karpenter",
    }
    assert all(thing.steps == () for thing in found.left)


def test_what_others_keep_in_the_vpc_is_named_apart(account: World) -> None:
    ec2 = moto("ec2")
    tags = pairs(program_tags("dev", "gpu-slices-dev"))
    vpc = ec2.create_vpc(CidrBlock="10.42.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": tags}])["Vpc"][
        "VpcId"
    ]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.42.0.0/20")["Subnet"]["SubnetId"]
    database = ec2.create_network_interface(SubnetId=subnet, Description="RDSNetworkInterface")
    ec2.create_network_interface(
        SubnetId=ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"][0][
            "SubnetId"
        ]
    )
    found = survey(account)
    assert keys(found.left) == {("VPCs", vpc)}
    assert {thing.id for thing in found.others} == {subnet, database["NetworkInterface"]["NetworkInterfaceId"]}
    assert all(thing.steps == () for thing in found.others)


@pytest.mark.parametrize(
    ("leads_to", "type_", "found"),
    [
        ("door-1a2b3c4-0123456789abcdef.elb.us-east-1.amazonaws.com", "A", True),
        ("Door-1a2b3c4-0123456789abcdef.elb.us-east-1.amazonaws.com", "A", True),
        # Of another region, of something else, of another type: not what the program writes.
        ("door-1a2b3c4-0123456789abcdef.elb.eu-west-1.amazonaws.com", "A", False),
        ("d111111abcdef8.cloudfront.net", "A", False),
        ("door-1a2b3c4-0123456789abcdef.elb.us-east-1.amazonaws.com", "AAAA", False),
    ],
)
def test_the_doors_record_is_found_though_its_balancer_is_gone(
    leads_to: str, type_: str, found: bool, account: World
) -> None:
    plant_record(door_of("gpu-slices-dev"), leads_to, type_)
    plant_record(door_of("gpu-slices-dev-thomas"), leads_to, type_)
    seen = place(account).survey([RECORDS])
    assert [thing.name for thing in seen.left] == [door_of("gpu-slices-dev").host] * found
    assert seen.unseen == {}


def test_a_record_that_leads_to_another_stacks_balancer_is_not_ours(account: World) -> None:
    """Stack `dev` has ended, and somebody gave its name to another one."""
    other = Planted("dev-thomas", "gpu-slices-dev-thomas")
    balancer = moto("elbv2").describe_load_balancers(Names=list(other.ids["load balancers"]))["LoadBalancers"][0]
    plant_record(door_of("gpu-slices-dev"), balancer["DNSName"])
    assert place(account).survey([RECORDS]).found == ()


def test_without_a_zone_in_the_file_no_record_is_looked_for(account: World) -> None:
    marks = Marks(stack="dev", cluster="gpu-slices-dev", region=REGION)
    assert place(account, marks).survey([RECORDS]).found == ()
    assert not [operation for operation, _ in account.asked if operation.startswith("route53:")]


def test_only_named_calls_are_made(account: World) -> None:
    planted = Planted("dev", "gpu-slices-dev")
    play_billing(account, planted)
    survey(account)
    named = {
        f"{call.service}:{account.client(call.service).meta.method_to_api_mapping[call.operation]}"
        for kind in KINDS
        for call in kind.reads
    }
    asked = {operation for operation, _ in account.asked} - {"sts:GetCallerIdentity"}
    assert asked <= named
    # The parts of a cluster are asked for only while it stands.
    assert {operation for operation in named - asked if not operation.startswith("eks:List")} == set()
