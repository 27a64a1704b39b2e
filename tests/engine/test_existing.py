"""A stack on a cluster that is there, on the real engine: the cluster is looked up, and nothing of it is registered."""

from __future__ import annotations

from collections.abc import Callable

from tests.engine.engine import Workspace

KARPENTER = {"chartVersion": "1.14.1", "nodeRole": "nodes", "controllerRole": "buyer", "featureGates": ["nodeOverlay"]}


def test_a_preview_adds_pools_and_models_and_no_cluster(workspace: Callable[[str], Workspace]) -> None:
    made = workspace("dev")
    made.configure({"cluster": {"existing": "prod"}, "network": None, "karpenter": {"existing": KARPENTER}})
    done = made.preview(expect=0)
    assert done.mandatory == []
    types = {urn.split("::")[2].rpartition("$")[2] for urn in done.steps()}
    assert "kubernetes:karpenter.sh/v1:NodePool" in types
    assert not {kind for kind in types if kind.startswith(("eks:", "aws:eks/", "aws:ec2/", "aws:sqs/", "aws:kms/"))}
    assert set(done.steps().values()) == {"create"}, "nothing is imported, read into the state or changed"
