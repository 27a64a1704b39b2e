"""The recorder runs a real program and sees what the engine would see."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from plan.errors import InputError, ProgramError
from plan.monitor import Resource
from plan.project import SECRET_PLACEHOLDER
from plan.record import Recording
from plan.wire import UNKNOWN, UNKNOWN_TEXT, Secret, shown
from tests.unit.cli.projects import PROGRAM, record_program


def named(recording: Recording, name: str) -> Resource:
    (found,) = [resource for resource in recording.resources if resource.name == name]
    return found


def test_resources_are_recorded_with_parents_and_urns(tmp_path: Path) -> None:
    recording = record_program(tmp_path)
    vpc = named(recording, "shop-net")
    assert vpc.urn == "urn:pulumi:dev::shop::shop:index:Shop$aws:ec2/vpc:Vpc::shop-net"
    assert vpc.parent == named(recording, "shop").urn
    assert vpc.inputs == {"cidrBlock": "10.0.0.0/16", "tags": {"teamName": "a"}}
    assert vpc.custom
    assert not named(recording, "shop").custom
    assert named(recording, "shop").parent == "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev"


def test_the_types_of_all_parents_stand_in_a_urn(tmp_path: Path) -> None:
    program = """
        import pulumi, pulumi_aws as aws
        outer = pulumi.ComponentResource("acme:index:Outer", "outer")
        inner = pulumi.ComponentResource("acme:index:Inner", "inner", opts=pulumi.ResourceOptions(parent=outer))
        aws.ec2.Vpc("net", opts=pulumi.ResourceOptions(parent=inner))
    """
    vpc = named(record_program(tmp_path, program), "net")
    assert vpc.urn == "urn:pulumi:dev::shop::acme:index:Outer$acme:index:Inner$aws:ec2/vpc:Vpc::net"


def test_options_that_order_and_protect_are_recorded(tmp_path: Path) -> None:
    recording = record_program(tmp_path)
    settings = named(recording, "shop-settings")
    subnets = [resource.urn for resource in recording.of_type("aws:ec2/subnet:Subnet")]
    role, space = named(recording, "shop-role").urn, recording.of_type("kubernetes:core/v1:Namespace")[0].urn
    assert settings.dependencies == tuple(sorted([*subnets, role, space]))
    assert settings.property_dependencies["data"] == (role,)
    assert settings.protect
    assert settings.custom_timeouts == {"delete": "20m"}
    assert settings.provider == named(recording, "cluster").urn
    assert named(recording, "shop-net").provider == named(recording, "cloud").urn


def test_dependencies_are_registered_first_and_always_in_the_same_order(tmp_path: Path) -> None:
    orders = []
    for attempt in range(3):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        recording = record_program(directory)
        order = [resource.urn for resource in recording.resources]
        for resource in recording.resources:
            before = order[: order.index(resource.urn)]
            assert set(resource.dependencies) <= set(before)
        orders.append(order)
    assert orders[0] == orders[1] == orders[2]


def test_stack_outputs_are_recorded(tmp_path: Path) -> None:
    assert record_program(tmp_path).outputs == {"vpc": "<Vpc/shop-net.id>", "account": "111122223333"}


def test_the_program_gets_its_configuration(tmp_path: Path) -> None:
    recording = record_program(tmp_path, stack="config: {greeting: 2027-01-31}")
    assert named(recording, "shop-settings").inputs["data"]["greeting"] == "2027-01-31 00:00:00 +0000 UTC"


def test_what_only_a_deployment_knows_has_a_readable_name(tmp_path: Path) -> None:
    recording = record_program(tmp_path)
    assert named(recording, "shop-net-3").inputs["vpcId"] == "<Vpc/shop-net.id>"
    role_arn = named(recording, "shop-settings").inputs["data"]["role"]
    assert role_arn == "arn:aws:iam::111122223333:role/<Role/shop-role.name>"
    assert recording.values[role_arn] == (named(recording, "shop-role").urn, "arn")


def test_a_judge_sees_unknown_values_as_in_a_preview(tmp_path: Path) -> None:
    recording = record_program(tmp_path)
    inputs = recording.preview_inputs(named(recording, "shop-settings"))
    assert inputs["data"] == {"role": UNKNOWN, "greeting": "hello"}
    # What the program itself wrote in brackets is known.
    given = record_program(tmp_path, stack="config: {greeting: <Vpc/other.id>}")
    assert given.preview_inputs(named(given, "shop-settings"))["data"]["greeting"] == "<Vpc/other.id>"


def test_outputs_that_nobody_knows_stay_unknown(tmp_path: Path) -> None:
    program = """
        import pulumi, pulumi_aws as aws, pulumi_kubernetes as k8s
        queue = aws.sqs.Queue("q")
        seen = []
        size = queue.max_message_size.apply(lambda n: seen.append(n) or str(n))
        k8s.core.v1.ConfigMap("c", metadata={"name": "c"}, data={"size": size})
        assert pulumi.runtime.is_dry_run()
        pulumi.export("seen", pulumi.Output.all(size).apply(lambda _: len(seen)))
    """
    recording = record_program(tmp_path, program)
    assert named(recording, "c").inputs["data"] == UNKNOWN or named(recording, "c").inputs["data"]["size"] == UNKNOWN
    assert recording.outputs["seen"] == UNKNOWN


def test_a_resource_given_as_an_input_is_its_id_and_a_component_its_urn(tmp_path: Path) -> None:
    """As the engine gives it to providers and policies; outputs repeat it, and the SDK must be able to read them."""
    program = """
        import pulumi, pulumi_aws as aws
        key = aws.kms.Key("key")
        team = pulumi.ComponentResource("acme:index:Team", "team")
        given = {"key": key, "in": [{"team": team}], "secret": pulumi.Output.secret(key)}
        pulumi.CustomResource("acme:index:Thing", "thing", given)
    """
    recording = record_program(tmp_path, program)
    thing, key, team = (named(recording, name) for name in ("thing", "key", "team"))
    assert thing.inputs == {"key": key.id, "in": [{"team": team.urn}], "secret": key.id}
    assert recording.preview_inputs(thing) == {"key": UNKNOWN, "in": [{"team": team.urn}], "secret": UNKNOWN}


def test_unknown_values_and_secrets_are_not_shown() -> None:
    assert shown({"a": UNKNOWN, "b": [Secret("pw"), {"c": Secret("7")}], "d": 1, "e": None}) == {
        "a": UNKNOWN_TEXT,
        "b": [SECRET_PLACEHOLDER, {"c": SECRET_PLACEHOLDER}],
        "d": 1,
        "e": None,
    }


def test_secrets_of_the_program_are_marked(tmp_path: Path) -> None:
    program = """
        import pulumi, pulumi_kubernetes as k8s
        password = pulumi.Output.secret("hunter2")
        k8s.core.v1.Secret("s", metadata={"name": "s"}, string_data={"password": password, "user": "me"})
        pulumi.export("password", pulumi.Output.secret({"deep": ["hunter2", 7, True]}))
    """
    recording = record_program(tmp_path, program)
    assert "hunter2" not in str(shown(named(recording, "s").inputs))
    assert shown(named(recording, "s").inputs)["metadata"]["name"] == "s"
    assert shown(recording.outputs["password"])["deep"][:2] == [SECRET_PLACEHOLDER, SECRET_PLACEHOLDER]


def test_a_refused_configuration_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^two problems$"):
        record_program(tmp_path, "import pulumi\nraise pulumi.RunError('two problems')")


def test_a_failing_program_shows_its_own_frames_only(tmp_path: Path) -> None:
    with pytest.raises(ProgramError) as raised:
        record_program(tmp_path, "def helper():\n    raise KeyError('gone')\n\nhelper()")
    text = str(raised.value)
    assert text.endswith("KeyError: 'gone'")
    assert text.count("__main__.py") == 2
    assert "runpy" not in text
    assert "asyncio" not in text


def test_a_failure_inside_apply_is_not_lost(tmp_path: Path) -> None:
    program = """
        import pulumi
        pulumi.Output.from_input(1).apply(lambda _: 1 / 0)
    """
    with pytest.raises(ProgramError, match="ZeroDivisionError"):
        record_program(tmp_path, program)


def test_the_same_urn_twice_is_refused_as_by_the_engine(tmp_path: Path) -> None:
    program = """
        import pulumi_aws as aws
        aws.sqs.Queue("q")
        aws.sqs.Queue("q")
    """
    with pytest.raises(ProgramError, match=r"Duplicate resource URN 'urn:pulumi:dev::shop::aws:sqs/queue:Queue::q'"):
        record_program(tmp_path, program)


def test_functions_of_the_cloud_are_answered(tmp_path: Path) -> None:
    program = """
        import pulumi, pulumi_aws as aws
        pulumi.export("zones", aws.get_availability_zones(state="available").zone_ids)
        pulumi.export("partition", aws.get_partition().partition)
        pulumi.export("region", aws.get_region().region)
        pulumi.export("policy", aws.iam.get_policy_document_output(statements=[{
            "sid": "one", "actions": ["sqs:b", "sqs:a"], "resources": ["*"],
            "principals": [{"type": "Service", "identifiers": ["ec2.amazonaws.com"]}],
            "conditions": [{"test": "StringEquals", "variable": "aws:x", "values": ["1"]}],
        }]).minified_json)
    """
    recording = record_program(tmp_path, program, stack="config: {aws:region: ap-southeast-2}")
    assert recording.outputs["zones"] == ["apse2-az1", "apse2-az2", "apse2-az3"]
    assert recording.outputs["partition"] == "aws"
    assert recording.outputs["region"] == "ap-southeast-2"
    assert recording.outputs["policy"] == (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Sid": "one", "Action": ["sqs:a", "sqs:b"], '
        '"Resource": "*", "Principal": {"Service": "ec2.amazonaws.com"}, '
        '"Condition": {"StringEquals": {"aws:x": "1"}}}]}'
    )
    assert recording.unanswered == ()


def test_functions_that_nobody_knows_are_named(tmp_path: Path) -> None:
    program = "import pulumi_aws as aws\naws.ec2.get_ami(most_recent=True)"
    assert record_program(tmp_path, program).unanswered == ("aws:ec2/getAmi:getAmi",)


def test_the_eks_component_gives_a_kubeconfig_that_is_not_known_yet(tmp_path: Path) -> None:
    program = """
        import json
        import pulumi, pulumi_eks as eks, pulumi_kubernetes as k8s
        cluster = eks.Cluster("c", name="c")
        k8s.Provider("k", kubeconfig=cluster.kubeconfig_json)
        pulumi.export("user", cluster.kubeconfig_json.apply(lambda text: json.loads(text)["users"][0]["name"]))
    """
    recording = record_program(tmp_path, program)
    assert named(recording, "c").remote
    assert recording.outputs["user"] == "aws"
    assert recording.preview_inputs(named(recording, "k"))["kubeconfig"] == UNKNOWN


def test_async_programs_run(tmp_path: Path) -> None:
    program = """
        import pulumi, pulumi_aws as aws
        async def main():
            return {"arn": aws.sqs.Queue("q").arn}
        pulumi.run(main)
    """
    arn = "arn:aws:sqs:us-east-1:111122223333:<Queue/q.name>"
    assert record_program(tmp_path, program).outputs == {"arn": arn}


def test_what_the_program_says_is_kept_and_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = "import pulumi\nprint('hello')\npulumi.log.warn('careful')\npulumi.log.debug('noise')"
    assert record_program(tmp_path, program).messages == (("warning", "careful"), ("info", "hello"))
    assert capsys.readouterr().out == ""


def test_nothing_of_a_run_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", "{}")
    before = (dict(os.environ), list(sys.path), Path.cwd(), threading.active_count())
    with pytest.raises(ProgramError):
        record_program(tmp_path, PROGRAM + "\nraise ValueError('late')")
    assert (dict(os.environ), list(sys.path), Path.cwd(), threading.active_count()) == before


def test_modules_beside_the_program_are_found(tmp_path: Path) -> None:
    (tmp_path / "shop_helper_module.py").write_text("NAME = 'from-helper'")
    program = "import pulumi_aws as aws\nfrom shop_helper_module import NAME\naws.sqs.Queue(NAME)"
    assert [resource.name for resource in record_program(tmp_path, program).resources] == ["from-helper"]
