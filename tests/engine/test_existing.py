"""A stack on a cluster that is there, on the real engine: the cluster is looked up, and nothing of it is registered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from adopt.export import read_export
from adopt.inventory import inventory
from adopt.report import report
from cli.rehearse import Rehearsal
from tests.engine.engine import ROOT, Workspace
from tests.engine.somebody import EXISTING, at_rest, settled, somebodys
from twin.kube.client import Kube
from twin.machine.launch import connect, stop
from twin.machine.state import TwinState
from twin.planning import make_plan
from twin.up import Up
from versions import PAUSE_IMAGE


def test_a_preview_adds_pools_and_models_and_no_cluster(workspace: Callable[[str], Workspace]) -> None:
    made = workspace("dev")
    made.configure(EXISTING)
    done = made.preview(expect=0)
    assert done.mandatory == []
    types = {urn.split("::")[2].rpartition("$")[2] for urn in done.steps()}
    assert "kubernetes:karpenter.sh/v1:NodePool" in types
    assert not {kind for kind in types if kind.startswith(("eks:", "aws:eks/", "aws:ec2/", "aws:sqs/", "aws:kms/"))}
    assert set(done.steps().values()) == {"create"}, "nothing is imported, read into the state or changed"


SUBNETS = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]


def _types(steps: Mapping[str, str]) -> set[str]:
    return {urn.split("::")[2].rpartition("$")[2] for urn in steps}


@pytest.mark.parametrize(
    "own",
    [
        {"cluster": {"existing": "prod"}},
        {
            "cluster": {"existing": "prod", "authenticationMode": "CONFIG_MAP"},
            "karpenter": {"identity": "irsa"},
            "network": {"existing": {"subnetIds": SUBNETS, "securityGroupTags": {"role": "nodes"}}},
            "gpuSharing": {"existing": {"configMap": "plugin-configs", "namespace": "nvidia"}},
        },
    ],
    ids=["by tags", "by ids"],
)
def test_a_preview_adds_karpenter_to_a_cluster_that_is_there(
    own: dict[str, object], workspace: Callable[[str], Workspace]
) -> None:
    made = workspace("dev")
    made.configure({"network": None, **own})
    done = made.preview(expect=0)
    assert done.mandatory == []
    types = _types(done.steps())
    assert {"kubernetes:karpenter.sh/v1:NodePool", "aws:sqs/queue:Queue"} < types
    assert not {kind for kind in types if kind.startswith(("eks:", "aws:eks/cluster", "aws:ec2/", "aws:kms/"))}
    by_entry = "aws:eks/accessEntry:AccessEntry" in types
    assert by_entry == ("karpenter" not in own), "none where the cluster knows aws-auth alone"
    assert set(done.steps().values()) == {"create"}


def test_a_preview_puts_a_cluster_into_a_network_that_is_there(workspace: Callable[[str], Workspace]) -> None:
    made = workspace("dev")
    made.configure({"network": {"existing": {"subnetIds": SUBNETS}}})
    done = made.preview(expect=0)
    assert done.mandatory == []
    types = _types(done.steps())
    assert "eks:index:Cluster" in types
    assert {kind for kind in types if kind.startswith("aws:ec2/")} == {
        "aws:ec2/launchTemplate:LaunchTemplate",
        "aws:ec2/tag:Tag",
    }


def test_up_and_destroy_leave_what_was_there(
    workspace: Callable[[str], Workspace], ground: Callable[[Workspace], TwinState], programs: Path
) -> None:
    """A cluster with a Karpenter and a NodePool of somebody's: both are the same objects afterwards."""
    made, states = workspace("dev"), []

    def noted(on: Workspace) -> TwinState:
        states.append(ground(on))
        return states[0]

    kube = somebodys(noted, made, programs)
    before = at_rest(kube)
    assert {("NodePool", "", "theirs"), ("Deployment", "kube-system", "karpenter")} <= before.keys()

    # Names that somebody has are refused, and what has them is neither changed nor deleted.
    taken = kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "models", "labels": {"a": "b"}}})
    assert 'namespaces "models" already exists' in made.up(expect=1).text
    made.destroy(expect=0)
    assert (kube.get("v1", "Namespace", "models") or {})["metadata"]["labels"] == taken["metadata"]["labels"]
    kube.delete("v1", "Namespace", "models")
    assert settled(kube, before) == before

    made.up(expect=0)
    assert len(kube.list("karpenter.sh/v1", "NodePool")) == 4
    assert made.preview("--expect-no-changes").steps() == {}
    made.settle("maxGpus: 2", "maxGpus: 3", "Pulumi.dev.yaml")
    assert set(made.up(expect=0).steps().values()) == {"update"}

    # A second stack that has names in common, as the namespace of device plugins and a CPU pool's class.
    mine = at_rest(kube)
    second = workspace("local")
    second.configure({**EXISTING, "models": [], "dialogue": {}, "examples": False, "workloads": []})
    second.use_twin(states[0])
    # Which of the names in common is met first is a matter of moments.
    assert "already exists" in second.up(expect=1).text
    second.destroy(expect=0)
    assert settled(kube, mine) == mine

    made.destroy(expect=0)
    assert settled(kube, before) == before


def _there(kube: Kube) -> dict[tuple[str, str], str]:
    """Uids of NodePools and of Karpenter's own Deployment."""
    kinds = {"NodePool": "karpenter.sh/v1", "Deployment": "apps/v1"}
    found = [(kind, each["metadata"]) for kind, version in kinds.items() for each in kube.list(version, kind)]
    return {(kind, m["name"]): m["uid"] for kind, m in found if kind == "NodePool" or m["name"] == "karpenter"}


def test_a_cluster_built_by_hand_is_adopted_and_its_pods_run_on(
    workspace: Callable[[str], Workspace], programs: Path, tmp_path: Path
) -> None:
    """Adopt, up, slots, destroy: their pods, pools and classes are the same objects all the while."""
    export = ROOT / "docs" / "export"
    made = workspace("dev")
    values = report(inventory(read_export(export)), "dev", pod_mib=5000).written.values
    left = ("network", "models", "serving", "dialogue", "budget", "monitoring", "usage", "workloads", "gpuSharing")
    made.configure({**dict.fromkeys(left), **values, "aws:region": "us-east-1"})
    state = TwinState(tmp_path / ".twin", "dev")
    try:
        with state.lock():
            alone, _ = Rehearsal(made.folder, "dev", export).plans(make_plan(made.folder, "dev"))
            Up(state, programs, lambda _: None).run(lambda: alone)
        made.use_twin(state)
        kube = connect(state)
        before = _pods(kube, 3)
        there = _there(kube)
        made.up(expect=0)
        pools = {each["metadata"]["name"] for each in kube.list("karpenter.sh/v1", "NodePool")}
        assert pools == {"gpus", "shared"}
        kube.apply(_on_a_slot("shared"))
        nodes = {pod["spec"]["nodeName"] for pod in _running(kube, "default", 4)}
        assert len(nodes) == 1, "four pods share one GPU"
        assert _pods(kube, 3) == before
        kube.delete("apps/v1", "Deployment", "copies", "default")
        made.destroy(expect=0)
        assert _pods(kube, 3) == before
        assert _there(kube) == there
    finally:
        stop(state)


def _on_a_slot(pool: str) -> dict[str, Any]:
    """Four pods as their owner would write them for the stack's pool."""
    labels = {"app": "copies"}
    resources = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"nvidia.com/gpu": "1"}}
    spec = {
        "nodeSelector": {"gpu-slices/pool": pool},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "containers": [{"name": "work", "image": PAUSE_IMAGE, "resources": resources}],
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "copies", "namespace": "default"},
        "spec": {"replicas": 4, "selector": {"matchLabels": labels}, "template": template},
    }


def _running(kube: Kube, namespace: str, wanted: int) -> list[dict[str, Any]]:
    """Pods that run, as soon as there are so many."""
    deadline = time.monotonic() + 240
    found: list[dict[str, Any]] = []
    while len(found) < wanted and time.monotonic() < deadline:
        time.sleep(0.5)
        found = [pod for pod in kube.list("v1", "Pod", namespace) if pod["status"].get("phase") == "Running"]
    assert len(found) == wanted
    return found


def _pods(kube: Kube, wanted: int) -> dict[str, str]:
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in _running(kube, "models", wanted)}
