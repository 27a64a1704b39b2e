"""A stack on a cluster that is there, on the real engine: the cluster is looked up, and nothing of it is registered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.engine.engine import Workspace
from twin.kube.client import Kube
from twin.machine.launch import connect
from twin.machine.pulse import Pulse
from twin.machine.state import TwinState, load_run
from twin.plan import CONTROLLER_CHART, CRD_CHART, load_plan
from twin.up import Releases

KARPENTER = {"chartVersion": "1.15.0", "nodeRole": "nodes", "controllerRole": "buyer", "featureGates": ["nodeOverlay"]}


def test_a_preview_adds_pools_and_models_and_no_cluster(workspace: Callable[[str], Workspace]) -> None:
    made = workspace("dev")
    made.configure({"cluster": {"existing": "prod"}, "network": None, "karpenter": {"existing": KARPENTER}})
    done = made.preview(expect=0)
    assert done.mandatory == []
    types = {urn.split("::")[2].rpartition("$")[2] for urn in done.steps()}
    assert "kubernetes:karpenter.sh/v1:NodePool" in types
    assert not {kind for kind in types if kind.startswith(("eks:", "aws:eks/", "aws:ec2/", "aws:sqs/", "aws:kms/"))}
    assert set(done.steps().values()) == {"create"}, "nothing is imported, read into the state or changed"


def test_up_and_destroy_leave_what_was_there(
    workspace: Callable[[str], Workspace], ground: Callable[[Workspace], TwinState], programs: Path
) -> None:
    """A cluster with a Karpenter and a NodePool of somebody's: both are the same objects afterwards."""
    made = workspace("dev")
    made.configure({"cluster": {"existing": "prod"}, "network": None, "karpenter": {"existing": KARPENTER}})
    state = ground(made)
    kube, plan, run = connect(state), load_plan(state), load_run(state)
    assert run is not None
    releases = Releases(state, programs, kube, run, plan, Pulse(state, run))
    for chart in (CRD_CHART, CONTROLLER_CHART):
        release = plan.release(chart)
        assert release is not None
        releases.install(release)
    theirs = dict(plan.manifests("NodePool")[0])
    kube.apply({**theirs, "metadata": {"name": "theirs"}})
    before = _there(kube)
    assert {name for _, name in before} == {"karpenter", "theirs"}

    made.up(expect=0)
    assert len(kube.list("karpenter.sh/v1", "NodePool")) == 4
    assert made.preview("--expect-no-changes").steps() == {}
    made.destroy(expect=0)
    assert _there(kube) == before


def _there(kube: Kube) -> dict[tuple[str, str], str]:
    """Uids of NodePools and of Karpenter's own Deployment."""
    kinds = {"NodePool": "karpenter.sh/v1", "Deployment": "apps/v1"}
    found = [(kind, each["metadata"]) for kind, version in kinds.items() for each in kube.list(version, kind)]
    return {(kind, m["name"]): m["uid"] for kind, m in found if kind == "NodePool" or m["name"] == "karpenter"}
