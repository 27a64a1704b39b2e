"""A stack on a cluster that is there, on the real engine: the cluster is looked up, and nothing of it is registered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.engine.engine import Workspace
from tests.engine.somebody import EXISTING, everything, settled, somebodys
from twin.machine.state import TwinState


def test_a_preview_adds_pools_and_models_and_no_cluster(workspace: Callable[[str], Workspace]) -> None:
    made = workspace("dev")
    made.configure(EXISTING)
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
    kube = somebodys(ground, made, programs)
    before = everything(kube)
    assert {("NodePool", "", "theirs"), ("Deployment", "kube-system", "karpenter")} <= before.keys()

    made.up(expect=0)
    assert len(kube.list("karpenter.sh/v1", "NodePool")) == 4
    assert made.preview("--expect-no-changes").steps() == {}
    made.destroy(expect=0)
    assert settled(kube, before) == before
