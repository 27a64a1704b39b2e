"""A cluster that somebody built by hand: adopted from an export and by its kubeconfig, and rehearsed."""

from __future__ import annotations

import json
import os
import shutil
import time
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


def test_the_stack_goes_and_comes_again_and_theirs_stays(
    project: Path, state: TwinState, rehearsal: Rehearsal, programs: Path
) -> None:
    """What is no longer in the plan is deleted as `pulumi destroy` does it: ours alone."""
    kube = launch.connect(state)
    before, theirs = _uids(kube), _uids_of(kube)
    assert {"gpus", "shared"} == {name for kind, name in theirs if kind == "NodePool"}
    alone, _ = rehearsal.plans(make_plan(project, "theirs"))
    with state.lock():
        Up(state, programs, print).run(lambda: alone)
    left = {key: uid for key, uid in theirs.items() if key[1] in ("gpus", "theirs")}
    assert _uids_of(kube) == left
    assert _uids(kube) == before
    deadline = time.monotonic() + 180
    while _uids_of(kube, going=True) != left and time.monotonic() < deadline:
        time.sleep(0.5)  # Karpenter ends nodes first
    assert _uids_of(kube, going=True) == left
    with state.lock():
        Rehearsal(project, "theirs", EXPORT).run(
            state, Up(state, programs, print), partial(make_plan, project, "theirs"), print
        )
    assert _uids(kube) == before


def _uids_of(kube: Kube, *, going: bool = False) -> dict[tuple[str, str], str]:
    """Pools, classes and overlays. going: also those that are about to go."""
    kinds = {
        "NodePool": "karpenter.sh/v1",
        "EC2NodeClass": "karpenter.k8s.aws/v1",
        "NodeOverlay": "karpenter.sh/v1alpha1",
    }
    found = [(kind, each["metadata"]) for kind, version in kinds.items() for each in kube.list(version, kind)]
    return {(kind, each["name"]): each["uid"] for kind, each in found if going or "deletionTimestamp" not in each}
