"""A cluster that somebody built by hand: adopted from an export and by its kubeconfig, and rehearsed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from cli.rehearse import Rehearsal
from gpu import prices
from tests.commands import checkout
from twin.kube.client import Kube
from twin.machine import launch
from twin.machine.state import TwinState
from twin.planning import make_plan
from twin.up import Up

ROOT = Path(__file__).parents[2]
EXPORT = ROOT / "docs" / "export"
NOBODY = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_PROFILE": ""}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = checkout(tmp_path_factory.mktemp("project"))
    done = CliRunner().invoke(main, ["adopt", "theirs", "--from", str(EXPORT), "-C", str(made)], env=NOBODY)
    assert done.exit_code == 0, done.output
    return made


@pytest.fixture(scope="module")
def state(project: Path) -> Iterator[TwinState]:
    found = TwinState(project / ".twin", "theirs")
    yield found
    launch.stop(found)


def _uids(kube: Kube) -> dict[str, str]:
    pods = kube.list("v1", "Pod", "models")
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods if pod["status"]["phase"] == "Running"}


@pytest.fixture(scope="module")
def rehearsal(project: Path, state: TwinState, programs: Path) -> Rehearsal:
    """Played once; the twin stands as the rehearsal left it."""
    made = Rehearsal(project, "theirs", EXPORT)
    with state.lock():
        made.run(state, Up(state, programs, print), partial(make_plan, project, "theirs"), print)
    return made


def test_nodes_slots_and_dollars_before_and_after(rehearsal: Rehearsal) -> None:
    outcome = rehearsal.outcome
    node = partial(prices.of("us-east-1").node_usd_per_hour, "g6.xlarge")
    assert outcome.before.gpus == {"g6.xlarge on-demand": 3}
    assert (outcome.before.slots, outcome.before.pods) == (3, 3)
    assert outcome.before.usd_per_hour == pytest.approx(3 * (node("on-demand") or 0))
    assert outcome.shared.gpus == {"g6.xlarge spot": 2}
    assert (outcome.shared.slots, outcome.shared.pods, outcome.waiting) == (4, 3, 0)
    assert outcome.after.usd_per_hour == pytest.approx(2 * (node("spot") or 0))
    assert (outcome.ran, outcome.untouched) == (3, 3)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl, which speaks to clusters, is not here")
def test_the_running_cluster_is_adopted_by_its_kubeconfig(
    project: Path, state: TwinState, rehearsal: Rehearsal
) -> None:
    kube = launch.connect(state)
    before = _uids(kube)
    assert len(before) == rehearsal.outcome.ran
    words = ["adopt", "live", "-C", str(project), "--kubeconfig", str(state.kubeconfig), "--json"]
    done = CliRunner().invoke(main, [*words, "--cluster", "prod", "--region", "us-east-1"], env=NOBODY)
    document = json.loads(done.output)
    assert document["file"] == "Pulumi.live.yaml"
    assert document["karpenter"]["gates"] == ["nodeOverlay"]
    assert {pool["name"]: pool["replicas"] for pool in document["nodePools"]} == {"gpus": None, "shared": 2}
    kinds = sorted(node["instanceType"] + " " + node["capacityType"] for node in document["gpuNodes"])
    assert kinds == ["g6.xlarge on-demand"] * 3 + ["g6.xlarge spot"] * 2
    assert document["proposal"]["pool"]["name"] == "shared-2", "a name that is taken"
    assert {each["why"] for each in document["proposal"]["stay"]} == {"a slot already"}
    assert _uids(kube) == before


def test_the_stack_comes_and_goes_and_theirs_stays(project: Path, state: TwinState, rehearsal: Rehearsal) -> None:
    """A second rehearsal on the same twin buys nothing and touches nobody."""
    kube = launch.connect(state)
    before = _uids(kube)
    nodes = {node["metadata"]["uid"] for node in kube.list("v1", "Node")}
    again = Rehearsal(project, "theirs", EXPORT)
    with state.lock():
        again.run(state, Up(state, state.bin, print), partial(make_plan, project, "theirs"), print)
    assert _uids(kube) == before
    assert again.outcome.untouched == rehearsal.outcome.ran
    assert {node["metadata"]["uid"] for node in kube.list("v1", "Node")} >= nodes - {""}
