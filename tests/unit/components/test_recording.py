"""The recorder sees what Pulumi's mocks hide, and refuses what the engine refuses."""

import pulumi
import pulumi_aws as aws
import pytest

from plan.monitor import EngineError
from tests.unit.components.recording import record


class Pair(pulumi.ComponentResource):
    """A VPC and a subnet in it."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:test:Pair", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(f"{name}-vpc", cidr_block="10.0.0.0/16", opts=child)
        timeouts = pulumi.CustomTimeouts(delete="30m")
        slow = pulumi.ResourceOptions(parent=self, custom_timeouts=timeouts, ignore_changes=["tags"], protect=True)
        self.subnet_id = aws.ec2.Subnet(f"{name}-subnet", vpc_id=vpc.id, opts=slow).id
        self.register_outputs({})


def test_options_that_mocks_do_not_see_are_recorded() -> None:
    recording = record(lambda: Pair("a"), watch=["subnet_id"])
    subnet = recording.one("aws:ec2/subnet:Subnet", "a-subnet")
    assert subnet.custom_timeouts == {"delete": "30m"}
    assert subnet.ignore_changes == ("tags",)
    assert subnet.protect
    assert subnet.parent == recording.named("a").urn
    assert subnet.dependencies == (recording.named("a-vpc").urn,)
    assert recording.outputs == {"subnet_id": "a-subnet-id"}


def test_order_follows_inputs_parents_and_providers() -> None:
    def program() -> None:
        provider = aws.Provider("aws", region="us-east-1")
        first = Pair("first", pulumi.ResourceOptions(providers=[provider]))
        Pair("second", pulumi.ResourceOptions(depends_on=[first]))
        Pair("unrelated")

    recording = record(program)
    first, second = recording.named("first-vpc"), recording.named("second-subnet")
    assert recording.outlives(first, second)
    assert not recording.outlives(second, first)
    assert recording.outlives(recording.named("aws"), first)
    assert not recording.outlives(first, recording.named("unrelated-subnet"))


def test_a_preview_knows_no_computed_output() -> None:
    recording = record(lambda: Pair("a"), watch=["subnet_id"], preview=True)
    assert recording.outputs == {"subnet_id": "<unknown>"}


def test_errors_inside_apply_are_not_lost() -> None:
    def program() -> None:
        pulumi.Output.from_input(0).apply(lambda zero: 1 // zero)

    with pytest.raises(ZeroDivisionError):
        record(program)


def test_a_name_used_twice_is_an_error() -> None:
    with pytest.raises(EngineError, match="Duplicate resource URN"):
        record(lambda: (aws.ec2.Vpc("a"), aws.ec2.Vpc("a")))
