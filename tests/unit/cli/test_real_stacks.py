"""The planner on this repository's own stacks."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import yaml

from cli.commands import status_of
from cli.render import render
from plan.as_json import plan_json
from plan.cloud import PLACEHOLDER
from plan.make import Plan, make_plan
from plan.manifests import manifest_files
from plan.project import find_project
from stacks.pulumi_config import PRIVATE_ENDPOINT
from tests.unit.cli.money import unexplained
from tools.terraform import terraform_document

ROOT = Path(__file__).parents[3]
STACKS = find_project(ROOT).stacks

pytestmark = pytest.mark.parametrize("stack", STACKS)


@cache
def planned(stack: str) -> Plan:
    return make_plan(ROOT, stack)


def test_it_passes_the_policies_and_says_nothing_odd(stack: str) -> None:
    plan = planned(stack)
    assert status_of(plan) == 0, plan.verdicts
    assert plan.recording.unanswered == ()
    # Examples are named, and what becomes of a stack without an allowlist; nothing else.
    said = [text for _, text in plan.recording.messages]
    assert [text for text in said if " is an example (" not in text and text != PRIVATE_ENDPOINT] == []
    assert (PRIVATE_ENDPOINT in said) == (stack in ("local", "memory"))
    assert len(plan.notes) == len(said) == {"dev": 2, "staging": 2, "prod": 3, "local": 1, "memory": 1}[stack]


def test_stack_outputs_tell_the_same_as_the_plan(stack: str) -> None:
    plan = planned(stack)
    assert plan.figures
    outputs = plan.recording.outputs
    bill = json.loads(plan_json(plan))["costs"]["bill"]
    whole = bill["usdPerMonth"]
    assert outputs["idleFloorUsdPerMonth"] == bill["idleUsdPerMonth"]
    assert outputs["ceilingUsdPerMonth"] == bill["ceilingUsdPerMonth"]
    assert [outputs[f"{case}UsdPerMonth"] for case in ("low", "expected", "high")] == list(whole.values())
    assert outputs["pools"] == [
        {key: value for key, value in pool.as_output().items() if value is not None} for pool in plan.figures.pools
    ]
    assert json.loads(outputs["kubeconfig"])["users"][0]["user"]["exec"]["command"] == "aws"


def test_every_figure_can_be_asked_why(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(stack)
    render(plan)
    assert unexplained(plan, capsys.readouterr().out) == []


def test_the_idle_floor_counts_what_is_registered(stack: str) -> None:
    plan = planned(stack)
    recording, figures = plan.recording, plan.figures
    assert figures
    detail = {item.name: item.detail for item in figures.bill.lines if item.part == "floor"}
    (nodes,) = recording.of_type("aws:eks/nodeGroup:NodeGroup")
    (template,) = recording.of_type("aws:ec2/launchTemplate:LaunchTemplate")
    (device,) = template.inputs["blockDeviceMappings"]
    count = nodes.inputs["scalingConfig"]["desiredSize"]
    endpoints = [
        endpoint
        for endpoint in recording.of_type("aws:ec2/vpcEndpoint:VpcEndpoint")
        if endpoint.inputs["vpcEndpointType"] == "Interface"
    ]
    assert detail["System nodes"] == f"{count} x {nodes.inputs['instanceTypes'][0]}, on-demand"
    assert detail["System volumes"] == f"{count} x {device['ebs']['volumeSize']} GiB gp3"
    assert detail["NAT gateway"].split()[0] == str(len(recording.of_type("aws:ec2/natGateway:NatGateway")))
    assert detail["KMS keys"] == str(len(recording.of_type("aws:kms/key:Key")))
    if endpoints:
        zones = len(endpoints[0].inputs["subnetIds"])
        assert detail["Interface endpoints"] == f"{len(endpoints)} in {zones} zones"
    else:
        assert "Interface endpoints" not in detail


def test_manifests_hold_every_object_after_what_it_needs(stack: str) -> None:
    recording = planned(stack).recording
    files = dict(manifest_files(recording))
    objects = [resource for resource in recording.resources if resource.type.startswith("kubernetes:")]
    assert len(files) == len(objects)
    assert sorted(files) == list(files)
    position = {resource.urn: number for number, resource in enumerate(objects)}
    for resource in objects:
        for dependency in resource.dependencies:
            assert position.get(dependency, -1) < position[resource.urn]
    for name, text in files.items():
        document = yaml.safe_load(text)
        assert name.endswith(".values.yaml") or {"apiVersion", "kind", "metadata"} <= document.keys()


def test_terraform_holds_every_aws_resource_and_no_placeholder(stack: str) -> None:
    recording = planned(stack).recording
    document = terraform_document(recording)
    in_aws = [r for r in recording.resources if r.type.startswith("aws:") or r.type == "eks:index:Cluster"]
    assert sum(map(len, document["resource"].values())) == len(in_aws)
    left = {found for found in PLACEHOLDER.findall(json.dumps(document)) if found in recording.placeholders}
    assert left == set()


def test_it_is_printed_in_80_columns(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    render(planned(stack))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    json.loads(plan_json(planned(stack)))


def test_two_runs_give_the_same_plan(stack: str) -> None:
    assert plan_json(make_plan(ROOT, stack)) == plan_json(planned(stack))
