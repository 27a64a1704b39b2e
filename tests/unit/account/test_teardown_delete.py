"""What a deletion deletes: exactly what was found, in an order that AWS takes, again after it was broken off."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from account import session
from account.teardown import delete
from account.teardown.delete import ROUND_SECONDS, Deletion
from account.teardown.marks import Marks
from account.teardown.survey import Survey
from account.teardown.table import KINDS
from tests.unit.account.planted import Planted, door_of, pairs, play_billing, play_cluster, program_tags
from tests.unit.account.test_teardown_survey import DEV, NOT_PLANTED, account, keys, place, survey
from tests.unit.account.world import ApiError, Parameters, World, fail, moto

__all__ = ["account"]  # a fixture

THOMAS = Marks(
    stack="dev-thomas",
    cluster="gpu-slices-dev-thomas",
    region=DEV.region,
    door=door_of("gpu-slices-dev-thomas"),
)
NOT_YOURS = "You do not have permission to access the specified resource."
ATTACHED = "Network interface 'eni-0' is currently in use."
#: What most tests need: others would only take time.
FEW = ("EKS clusters", "VPC endpoints", "EBS volumes", "EBS snapshots", "SQS queues", "KMS keys")


def look(world: World) -> Survey:
    return place(world).survey([kind for kind in KINDS if kind.name in FEW])


def deletion(world: World, **options: Any) -> tuple[Deletion, list[str], list[float]]:
    told: list[str] = []
    slept: list[float] = []
    made = Deletion(place(world), options.pop("keep", frozenset()), tell=told.append, sleep=slept.append, **options)
    return made, told, slept


def test_everything_found_is_deleted_and_nothing_else(account: World) -> None:
    ours, other = Planted("dev", "gpu-slices-dev"), Planted("dev-thomas", "gpu-slices-dev-thomas")
    play_billing(account, ours, other)
    first = survey(account)
    run, told, _ = deletion(account)
    run.run(first)
    after = survey(account)
    assert keys(after.left) == set()
    assert {thing.id for thing in after.scheduled} == {ours.pending_key, *ours.ids["KMS keys"]}
    assert after.unseen == {}
    assert run.failed == {}
    theirs = survey(account, THOMAS)
    assert keys(theirs.left) == set(other.all())
    assert len(told) == len(list(ours.all()))
    assert {line.partition(":")[0] for line in told} == {kind.name for kind in KINDS} - NOT_PLANTED


def test_an_interrupted_deletion_is_taken_up_by_the_next(account: World) -> None:
    ours = Planted("dev", "gpu-slices-dev")
    play_billing(account, ours)
    first = survey(account)
    told: list[str] = []

    def interrupt(line: str) -> None:
        told.append(line)
        if len(told) == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Deletion(place(account), frozenset(), tell=interrupt, sleep=lambda _: None).run(first)
    rest = survey(account)
    assert 0 < len(rest.left) < len(first.left)
    run, _, _ = deletion(account)
    run.run(rest)
    assert survey(account).left == []


def test_nothing_is_deleted_while_the_cluster_stands_or_nobody_knows(account: World) -> None:
    volume = plant_volume()
    run, _, _ = deletion(account)
    play_cluster(account, "gpu-slices-dev")
    with pytest.raises(ValueError, match="stands"):
        run.run(look(account))
    account.planted["eks:DescribeCluster"] = fail(ApiError("AccessDeniedException"))
    with pytest.raises(ValueError, match="stands"):
        run.run(look(account))
    assert moto("ec2").describe_volumes(VolumeIds=[volume])["Volumes"]


def test_what_pulumis_state_knows_is_left_to_pulumi(account: World) -> None:
    mine, pulumis = plant_volume(), plant_volume()
    run, _, _ = deletion(account, keep=frozenset({pulumis}))
    run.run(look(account))
    assert [volume["VolumeId"] for volume in moto("ec2").describe_volumes()["Volumes"]] == [pulumis]
    assert mine != pulumis


def test_what_is_held_is_tried_again_until_it_goes(account: World) -> None:
    volume = plant_volume()
    answers: Iterator[Exception | None] = iter([ApiError("VolumeInUse"), ApiError("RequestLimitExceeded"), None])

    def once_more(_: Parameters) -> Mapping[str, Any]:
        error = next(answers)
        if error:
            raise error
        del account.planted["ec2:DeleteVolume"]
        moto("ec2").delete_volume(VolumeId=volume)
        return {}

    account.planted["ec2:DeleteVolume"] = once_more
    run, told, slept = deletion(account)
    run.run(look(account))
    assert slept == [ROUND_SECONDS, ROUND_SECONDS]
    assert told == [f"EBS volumes: {volume} deleted"]
    assert run.failed == {}


@pytest.mark.parametrize(
    ("kind", "call", "error", "held"),
    [
        ("Auto Scaling groups", "autoscaling:DeleteAutoScalingGroup", ApiError("ScalingActivityInProgress"), True),
        ("Auto Scaling groups", "autoscaling:DeleteAutoScalingGroup", ApiError("ResourceContention"), True),
        ("elastic addresses", "ec2:ReleaseAddress", ApiError("AuthFailure", NOT_YOURS), True),
        ("elastic addresses", "ec2:ReleaseAddress", ApiError("AuthFailure", "credentials not validated"), False),
        ("network interfaces", "ec2:DeleteNetworkInterface", ApiError("InvalidParameterValue", ATTACHED), True),
        ("network interfaces", "ec2:DeleteNetworkInterface", ApiError("InvalidParameterValue", "no such id"), False),
        ("security groups", "ec2:DeleteSecurityGroup", ApiError("InvalidGroup.InUse"), True),
        ("EventBridge rules", "events:DeleteRule", ApiError("ConcurrentModificationException"), True),
        ("log groups", "logs:DeleteLogGroup", ApiError("OperationAbortedException"), True),
        ("load balancers", "elbv2:DeleteLoadBalancer", ApiError("OperationNotPermitted"), False),
    ],
    ids=lambda value: value.args[0] if isinstance(value, ApiError) else None,
)
def test_only_what_time_mends_is_tried_again(
    kind: str, call: str, error: ApiError, held: bool, account: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delete, "PATIENCE_SECONDS", ROUND_SECONDS)
    Planted("dev", "gpu-slices-dev")
    account.planted[call] = fail(error)
    monkeypatch.setattr(delete, "KINDS", tuple(each for each in KINDS if each.name == kind))
    run, told, slept = deletion(account)
    run.run(place(account).survey([each for each in KINDS if each.name in (kind, "EKS clusters")]))
    assert bool(slept) is held
    assert run.failed
    assert told == []


def test_a_gateway_that_is_detached_already_is_deleted(account: World) -> None:
    ours = Planted("dev", "gpu-slices-dev")
    gateways = [each for each in KINDS if each.name in ("internet gateways", "EKS clusters")]
    first = place(account).survey(gateways)
    (gateway,) = ours.ids["internet gateways"]
    moto("ec2").detach_internet_gateway(InternetGatewayId=gateway, VpcId=ours.vpc)
    account.planted["ec2:DetachInternetGateway"] = fail(ApiError("Gateway.NotAttached"))
    run, told, _ = deletion(account)
    run.run(first)
    assert told == [f"internet gateways: {gateway} deleted"]


#: Errors of the models that waiting does not mend: what is asked is wrong or not allowed, or the thing is gone.
FINAL = re.compile(
    r"NotFound|NoSuch|DoesNotExist|AccessDenied|Invalid(Parameter|Input|Address|Security|Arn|ChangeBatch)|Validation"
    r"|LimitExceeded$|Unmodifiable|ManagedRule|NotPermitted|Unsupported|^KmsException$"
    r"|^Unknown(Monitor|Subscription)Exception$|^AuthorizationError$|^TagPolicy$"
)


def test_every_error_that_aws_models_name_is_judged(account: World) -> None:
    said = set()
    for call in {call for kind in KINDS for call in kind.deletes}:
        client = account.client(call.service)
        model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[call.operation])
        for shape in model.error_shapes:
            code = shape.metadata.get("error", {}).get("code") or shape.name
            throttled = session._unseen(code, Exception(), "").cause == "throttled"
            if not FINAL.search(code) and not throttled and not delete._is_held(code, ""):
                said.add(f"{call.service}:{call.operation}: {code}")
    assert said == set()


def test_what_never_goes_ends_the_rounds_and_is_said(account: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delete, "PATIENCE_SECONDS", 5 * ROUND_SECONDS)
    volume = plant_volume()
    account.planted["ec2:DeleteVolume"] = fail(ApiError("VolumeInUse"))
    run, told, slept = deletion(account)
    run.run(look(account))
    assert slept == [ROUND_SECONDS] * 5
    assert told == []
    assert {thing.id: "VolumeInUse" in words for thing, words in run.failed.items()} == {volume: True}


def test_what_is_refused_is_said_at_once_and_holds_no_other_up(account: World) -> None:
    volume, queue = plant_volume(), plant_queue()
    account.planted["ec2:DeleteVolume"] = fail(ApiError("UnauthorizedOperation"))
    run, told, slept = deletion(account)
    run.run(look(account))
    assert slept == []
    assert told == [f"SQS queues: {queue} deleted"]
    assert [thing.id for thing in run.failed] == [volume]


def test_keys_stay_while_anything_that_they_may_encrypt_is_left_or_unseen(account: World) -> None:
    key = plant_key()
    volume = plant_volume()
    account.planted["ec2:DeleteVolume"] = fail(ApiError("UnauthorizedOperation"))
    run, _, _ = deletion(account)
    run.run(look(account))
    assert key_state(key) == "Enabled"
    assert {thing.id for thing in run.failed} == {volume, key}

    del account.planted["ec2:DeleteVolume"]
    account.planted["ec2:DescribeSnapshots"] = fail(ApiError("UnauthorizedOperation"))
    run, _, _ = deletion(account)
    run.run(look(account))
    assert key_state(key) == "Enabled"

    del account.planted["ec2:DescribeSnapshots"]
    run, told, _ = deletion(account)
    run.run(look(account))
    assert key_state(key) == "PendingDeletion"
    assert told == [f"KMS keys: {key} is scheduled for deletion"]


def test_an_answer_that_reports_a_failure_is_none(account: World) -> None:
    endpoint = {"VpcEndpointId": "vpce-1", "State": "available", "Tags": pairs(program_tags("dev", "gpu-slices-dev"))}
    account.planted["ec2:DescribeVpcEndpoints"] = lambda _: {"VpcEndpoints": [endpoint]}
    said = {"ResourceId": "vpce-1", "Error": {"Code": "UnauthorizedOperation", "Message": "no"}}
    account.planted["ec2:DeleteVpcEndpoints"] = lambda _: {"Unsuccessful": [said]}
    run, told, _ = deletion(account)
    run.run(look(account))
    assert told == []
    assert list(run.failed.values()) == ["UnauthorizedOperation no"]


def test_what_is_gone_meanwhile_counts_as_deleted(account: World) -> None:
    volume = plant_volume()
    first: Survey = look(account)
    moto("ec2").delete_volume(VolumeId=volume)
    run, _, _ = deletion(account)
    run.run(first)
    assert run.failed == {}


def plant_volume() -> str:
    tags = pairs(program_tags("dev", "gpu-slices-dev"))
    made = moto("ec2").create_volume(
        AvailabilityZone="us-east-1a",
        Size=8,
        VolumeType="gp3",
        TagSpecifications=[{"ResourceType": "volume", "Tags": tags}],
    )
    return str(made["VolumeId"])


def plant_queue() -> str:
    tags = program_tags("dev", "gpu-slices-dev")
    return str(moto("sqs").create_queue(QueueName="gpu-slices-dev-interruption", tags=tags)["QueueUrl"])


def plant_key() -> str:
    tags = [{"TagKey": key, "TagValue": value} for key, value in program_tags("dev", "gpu-slices-dev").items()]
    return str(moto("kms").create_key(Tags=tags)["KeyMetadata"]["KeyId"])


def key_state(key: str) -> str:
    return str(moto("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"])
