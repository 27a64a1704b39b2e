"""`cluster.floor: lean` on the whole program: what is built, what the policies say, and what it costs."""

from __future__ import annotations

import io
import json

import pytest
import yaml
from rich.console import Console

from cli.render_bill import print_bill
from config.floor import gives_up
from config.idle_floor import floor_items
from gpu.prices import HOURS_PER_MONTH
from plan.make import Plan, make_plan
from tests.plan.conftest import ROOT
from twin.planning import plan_of
from twin.play.platform import system_nodes
from twin.prices import played
from twin.view import view


@pytest.fixture(scope="module")
def lean(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The dev stack with this one word more."""
    folder = tmp_path_factory.mktemp("lean")
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    (folder / "Pulumi.yaml").write_text(json.dumps({**project, "main": str(ROOT)}), encoding="utf-8")
    stack = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8"))
    stack["config"]["gpu-slices:cluster"]["floor"] = "lean"
    (folder / "Pulumi.dev.yaml").write_text(json.dumps(stack), encoding="utf-8")
    return make_plan(folder, "dev", ROOT / "policy" / "config.json")


def test_no_rule_of_the_pack_refuses_it(lean: Plan) -> None:
    assert [verdict.message for verdict in lean.verdicts if verdict.mandatory] == []


def test_every_node_has_an_address_and_there_is_no_gateway(lean: Plan) -> None:
    recording = lean.recording
    assert not recording.of_type("aws:ec2/natGateway:NatGateway")
    assert not recording.of_type("aws:ec2/eip:Eip")
    classes = [each for each in recording.resources if each.type.endswith(":EC2NodeClass")]
    assert classes
    assert {each.inputs["spec"]["associatePublicIPAddress"] for each in classes} == {True}
    (group,) = recording.of_type("aws:eks/nodeGroup:NodeGroup")
    assert group.inputs["capacityType"] == "SPOT"
    assert group.inputs["scalingConfig"] == {"minSize": 1, "desiredSize": 1, "maxSize": 2}


def test_karpenter_fits_on_one_node(lean: Plan) -> None:
    """One pod, since no two may share a node, and half a vCPU, so that Knative fits beside it."""
    releases = [each.inputs for each in lean.recording.of_type("kubernetes:helm.sh/v3:Release")]
    (values,) = [each["values"] for each in releases if each.get("chart", "").endswith("/karpenter")]
    assert values["replicas"] == 1
    assert values["controller"]["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }


def test_the_plan_says_what_it_gives_up(lean: Plan) -> None:
    assert lean.figures
    console = Console(file=io.StringIO(), width=400)
    print_bill(console, lean.figures)
    assert isinstance(console.file, io.StringIO)
    for each in gives_up(lean.figures.config):
        assert f"The lean floor gives up: {each}" in console.file.getvalue()


def test_the_bill_has_an_item_for_all_that_stands_and_the_twin_the_same_price(lean: Plan) -> None:
    assert lean.figures
    items = {item.name: item.usd_per_month for item in floor_items(lean.figures.config)}
    assert [*items] == ["EKS control plane", "System nodes", "System volumes", "Public addresses", "KMS keys"]
    config = lean.figures.config
    seen = view(played(config.region), system_nodes(plan_of(lean.recording)), [], [], [])
    assert seen.usd_per_hour * HOURS_PER_MONTH == pytest.approx(items["System nodes"])
