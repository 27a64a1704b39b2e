"""A cluster of managed node groups with a GPU Operator, without Karpenter: adopted, planned, rehearsed, and left again.

Of the operator its objects stand there, the policy and the ConfigMap of its plugin; it does not run, nor set labels.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from cli.main import main
from cli.rehearse import Rehearsal
from gpu import prices
from tests.commands import checkout
from tests.unit.adopt.cluster import daemon_set, group_node, node_groups, pod, write
from twin.destroy import destroy, instances
from twin.kube.client import Kube
from twin.machine import launch
from twin.machine.state import TwinState
from twin.plan import CONTROLLER_CHART, TwinPlan
from twin.planning import make_plan
from twin.up import Up

NOBODY = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_PROFILE": ""}
#: Who keeps four GPUs, and so its node.
TRAINING = (group_node("big", "g6.12xlarge"), pod("train", "big", gpus=4))
#: All DaemonSets were shown, and none is Pod Identity's agent.
NO_AGENT = daemon_set("kube-proxy")


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("export"), node_groups(*TRAINING, NO_AGENT))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, export: Path) -> Path:
    """With the stack file that `slices adopt` writes."""
    made = checkout(tmp_path_factory.mktemp("project"))
    words = ["adopt", "theirs", "--from", str(export), "--cluster", "prod", "-C", str(made)]
    done = CliRunner().invoke(main, words, env=NOBODY)
    assert done.exit_code == 5, "nobody asked the account\n" + done.output
    assert "identity: irsa" in (made / "Pulumi.theirs.yaml").read_text()
    return made


@pytest.fixture(scope="module")
def state(project: Path) -> Iterator[TwinState]:
    found = TwinState(project / ".twin", "theirs")
    yield found
    launch.stop(found)


@pytest.fixture(scope="module")
def played() -> list[Rehearsal]:
    """The rehearsal that the twin stands as left by; none where a test has taken that away."""
    return []


@pytest.fixture
def rehearsal(played: list[Rehearsal], project: Path, export: Path, state: TwinState, programs: Path) -> Rehearsal:
    """Played once, and again where a test before took away what it left: their order is not ours to choose."""
    if not played:
        launch.stop(state)
        made = Rehearsal(project, "theirs", export)
        with state.lock():
            made.run(state, Up(state, programs, print), partial(make_plan, project, "theirs"), print)
        played.append(made)
    return played[0]


def _uids(kube: Kube) -> dict[str, str]:
    """Their nodes and pods, the operator's policy, and its plugin's ConfigMap."""
    found = [pod for pod in kube.list("v1", "Pod", "models") if pod["status"]["phase"] == "Running"]
    found += [node for node in kube.list("v1", "Node") if node["metadata"]["name"].startswith("theirs-")]
    found += [each for each in [kube.get("v1", "ConfigMap", "plugin-configs", "gpu-operator")] if each]
    found += kube.list("nvidia.com/v1", "ClusterPolicy")
    return {each["metadata"]["name"]: each["metadata"]["uid"] for each in found}


def _nodes(kube: Kube) -> set[str]:
    """All but the system nodes that the twin brings."""
    names = {str(each["metadata"]["name"]) for each in kube.list("v1", "Node")}
    return {name for name in names if not name.startswith("system-")}


def _configurations(kube: Kube) -> set[str]:
    found = kube.get("v1", "ConfigMap", "plugin-configs", "gpu-operator")
    return set((found or {}).get("data") or {})


def test_the_plan_has_a_karpenter_and_what_it_needs(project: Path) -> None:
    done = CliRunner().invoke(main, ["plan", "theirs", "-C", str(project), "--json"], env=NOBODY)
    assert done.exit_code == 0, done.output
    document = json.loads(done.output)
    assert not [each for each in document["verdicts"] if each["level"] == "mandatory"]
    assert make_plan(project, "theirs").release(CONTROLLER_CHART)


def test_pods_of_groups_run_on_and_their_copies_share(rehearsal: Rehearsal) -> None:
    outcome = rehearsal.outcome
    node = prices.of("us-east-1").node_usd_per_hour
    group = 3 * (node("g6.xlarge", "on-demand") or 0) + (node("g6.12xlarge", "on-demand") or 0)
    assert outcome.before.gpus == {"g6.12xlarge on-demand": 1, "g6.xlarge on-demand": 3}
    assert (outcome.before.slots, outcome.before.pods) == (7, 4)
    assert outcome.before.usd_per_hour == pytest.approx(group)
    assert outcome.shared.gpus == {"g6.xlarge spot": 2}
    assert (outcome.shared.slots, outcome.shared.pods, outcome.waiting) == (4, 3, 0)
    assert outcome.after.gpus == {"g6.12xlarge on-demand": 1, "g6.xlarge spot": 2}
    assert (outcome.ran, outcome.untouched) == (4, 4)
    shown = io.StringIO()
    rehearsal.show(Console(file=shown, width=120))
    for words in (
        "1 x g6.12xlarge on-demand, 3 x g6.xlarge on-demand",
        "4 of 4 pods that ran before run on, untouched.",
    ):
        assert words in shown.getvalue()


def test_our_karpenter_leaves_their_nodes_alone(state: TwinState, rehearsal: Rehearsal) -> None:
    kube = launch.connect(state)
    assert rehearsal.outcome.ran == 4
    (entry,) = _configurations(kube) - {"whole"}
    assert entry.startswith("shared."), "one entry more in the ConfigMap of the operator's plugin"
    claims = kube.list("karpenter.sh/v1", "NodeClaim")
    for labels in (each["metadata"]["labels"] for each in claims):
        assert labels["nvidia.com/device-plugin.config"] == entry
        assert labels["nvidia.com/gpu.deploy.driver"] == "false", "the image has it"
    assert {each["metadata"]["labels"]["karpenter.sh/nodepool"] for each in claims} == {"shared"}
    theirs = [each for each in kube.list("v1", "Node") if each["metadata"]["name"].startswith("theirs-")]
    assert len(theirs) == 4
    assert not [each for each in theirs if "karpenter.sh/nodepool" in each["metadata"]["labels"]]
    assert not [each for each in theirs if each["spec"].get("unschedulable")]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl, which speaks to clusters, is not here")
def test_the_running_cluster_shows_its_operator(project: Path, state: TwinState, rehearsal: Rehearsal) -> None:
    assert rehearsal.outcome.ran == 4
    words = ["adopt", "live", "-C", str(project), "--kubeconfig", str(state.kubeconfig), "--json"]
    done = CliRunner().invoke(main, [*words, "--cluster", "prod", "--region", "us-east-1"], env=NOBODY)
    document = json.loads(done.output)
    assert {each["kind"] for each in document["plugins"]} >= {"GPU Operator"}
    assert {node["nodePool"] for node in document["gpuNodes"]} == {None, "shared"}


def test_the_stack_goes_and_theirs_stays(
    project: Path,
    state: TwinState,
    rehearsal: Rehearsal,
    played: list[Rehearsal],
    bring_up: Callable[..., TwinPlan],
) -> None:
    """In the order of `pulumi destroy`: pools, whose nodes Karpenter ends, then Karpenter itself."""
    played.clear()
    kube = launch.connect(state)
    before = _uids(kube)
    assert len(before) == 4 + 4 + 2
    alone, both = rehearsal.plans(make_plan(project, "theirs"))
    theirs = {thing.urn for thing in alone.planned}
    ours = replace(both, planned=tuple(thing for thing in both.planned if thing.urn not in theirs))
    with state.lock():
        destroy(state, ours, kube, print)
    assert not instances(kube)
    definitions = kube.list("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    assert [each["metadata"]["name"] for each in definitions] == ["clusterpolicies.nvidia.com"]
    bring_up(state, alone)  # and the entry in their ConfigMap
    assert _configurations(kube) == {"whole"}
    assert _uids(kube) == before
    assert _nodes(kube) == {*(f"theirs-gpu-{number}" for number in range(3)), "theirs-big"}
    bring_up(state, replace(alone, nodes=(), planned=()))
    assert not _nodes(kube), "a later `slices up` without the export takes them out"
