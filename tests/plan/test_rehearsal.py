"""What the twin is given for a rehearsal of a stack whose Karpenter is its own, in a cluster of node groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from cli.rehearse import Rehearsal
from gpu.contract import CONFIG_LABEL, GPU_COUNT_LABEL, POOL_LABEL
from tests.commands import checkout
from tests.unit.adopt.cluster import node_groups, write
from twin.plan import CONTROLLER_CHART, CRD_CHART, OPERATOR_CHART
from twin.planning import make_plan
from twin.play.device_plugin import offer

pytestmark = pytest.mark.parts

NOBODY = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_PROFILE": ""}


def test_the_stack_that_is_written_is_planned_with_what_is_there(tmp_path: Path) -> None:
    for name in ("project", "export"):
        (tmp_path / name).mkdir()
    project, export = checkout(tmp_path / "project"), write(tmp_path / "export", node_groups())
    words = ["adopt", "theirs", "--from", str(export), "-C", str(project), "--cluster", "prod"]
    done = CliRunner().invoke(main, words, env=NOBODY)
    assert done.exit_code == 5, done.output  # nobody asked the account
    before, after = Rehearsal(project, "theirs", export).plans(make_plan(project, "theirs"))
    assert before.fingerprint == after.fingerprint
    assert [thing.chart for thing in after.planned if thing.chart in (CRD_CHART, CONTROLLER_CHART)] == [
        CRD_CHART,
        CONTROLLER_CHART,
    ]
    charts = [thing.chart for thing in before.planned if thing.chart]
    assert charts == [OPERATOR_CHART], "their cluster has no Karpenter"
    urns = {thing.urn for thing in after.planned}
    assert all(set(thing.after) <= urns for thing in after.planned), "what waits for something waits for ever else"
    assert len(before.nodes) == 3
    assert {each["spec"]["replicas"] for each in before.manifests("Deployment")} == {1}
    (node_class,) = after.manifests("EC2NodeClass")
    assert node_class["spec"]["role"] == "prod-karpenter-node"
    (entries,) = after.manifests("ConfigMap")
    assert {name.partition(".")[0] for name in entries["data"]} == {"whole", "shared"}
    assert [each["metadata"]["name"] for each in after.manifests("Namespace")].count("gpu-operator") == 1
    entry = next(name for name in entries["data"] if name.startswith("shared"))
    labels = {GPU_COUNT_LABEL: "1", POOL_LABEL: "shared", CONFIG_LABEL: entry}
    (pool,) = after.gpu_pools
    assert offer(labels, None, after.plugins).resources == {pool.resource: pool.slots[1]}
