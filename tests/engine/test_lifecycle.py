"""`pulumi up`, a change, and `pulumi destroy` of every stack, against a real API server, scheduler and Karpenter."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from gpu.contract import NODE_POOL_LABEL
from tests.engine.engine import Workspace
from tests.engine.journal import Entry
from twin.destroy import instances, left_in_aws
from twin.kube.client import Kube
from twin.machine.launch import connect
from twin.machine.state import TwinState, load_run
from twin.plan import TwinPlan, load_plan

STACKS = ("dev", "staging", "prod", "local")
_NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
_NODE_CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
_OVERLAY = "kubernetes:karpenter.sh/v1alpha1:NodeOverlay"
_RELEASE = "kubernetes:helm.sh/v3:Release"
#: Seconds in which the twin's Karpenter has bought a node and its pods run; on two busy cores it needs a fifth.
_PATIENCE = 300.0


@pytest.mark.parametrize("stack", STACKS)
def test_from_nothing_to_nothing(
    stack: str, workspace: Callable[[str], Workspace], ground: Callable[[Workspace], TwinState]
) -> None:
    made = workspace(stack)
    state = ground(made)
    kube, plan = connect(state), load_plan(state)

    made.up(expect=0)
    assert made.preview("--expect-no-changes").steps() == {}

    _change_one_pool(made)
    _busy(kube, plan)
    _destroyed(made, kube, state, plan)


def _change_one_pool(made: Workspace) -> None:
    """A changed pool shows its own change and no other."""
    pools = made.config("pools")
    name = pools[0]["name"]
    made.configure({"pools": [{**pools[0], "consolidateAfter": "17m"}, *pools[1:]]})
    steps = made.preview(expect=0).steps()
    changed = {
        urn.rpartition("::")[2]: operation for urn, operation in steps.items() if "::pulumi:pulumi:Stack::" not in urn
    }
    assert changed == {f"gpu-{name}-pool": "update"}
    made.up(expect=0)
    assert made.preview("--expect-no-changes").steps() == {}


def _busy(kube: Kube, plan: TwinPlan) -> None:
    """Pods on every GPU pool, one more than fits on a node, and one that still waits for its node."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "somebody"}}
    kube.apply(namespace)
    for pool in plan.gpu_pools:
        kube.apply(_deployment(pool.name, pool.resource, pool.slots_per_node() + 1))
    wait_for_nodes(kube, {pool.name: 2 for pool in plan.gpu_pools})


def wait_for_nodes(kube: Kube, wanted: Mapping[str, int]) -> None:
    """Until Karpenter has bought so many of each GPU pool, and none of another."""
    deadline = time.monotonic() + _PATIENCE
    while (found := _nodes_by_pool(kube)) != wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    assert found == wanted


def _nodes_by_pool(kube: Kube) -> dict[str, int]:
    found: dict[str, int] = {}
    for node in kube.list("v1", "Node"):
        pool = (node["metadata"].get("labels") or {}).get(NODE_POOL_LABEL)
        if pool:
            found[pool] = found.get(pool, 0) + 1
    return found


def _deployment(pool: str, resource: str, replicas: int) -> dict[str, Any]:
    labels = {"app": pool}
    container = {"name": "work", "image": "registry.k8s.io/pause:3.10", "resources": {"limits": {resource: "1"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": pool, "namespace": "somebody"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeSelector": {NODE_POOL_LABEL: pool},
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                    "containers": [container],
                },
            },
        },
    }


def _destroyed(made: Workspace, kube: Kube, state: TwinState, plan: TwinPlan) -> None:
    """Nodes run while it begins; none is left, in the order that docs/operations.md claims."""
    assert instances(kube)
    before = len(made.journal())
    made.destroy(expect=0)
    assert made.state() == []
    assert instances(kube) == []
    run = load_run(state)
    assert run is not None
    assert left_in_aws(run, plan) == []
    assert _nodes_by_pool(kube) == {}
    deleted = [entry for entry in made.journal()[before:] if entry.operation == "delete"]
    _in_order(deleted)


def _in_order(deleted: Iterable[Entry]) -> None:
    entries = list(deleted)

    def of(*types: str, name: str = "") -> list[Entry]:
        found = [e for e in entries if e.type in types and name in e.name]
        assert found, f"nothing of {types} {name} was deleted"
        return found

    pools = of(_NODE_POOL)
    controller = of(_RELEASE, name="karpenter-controller")
    definitions = of(_RELEASE, name="karpenter-crd")
    stages: Mapping[str, list[Entry]] = {
        "workloads": of(
            "kubernetes:apps/v1:Deployment", "kubernetes:batch/v1:CronJob", "kubernetes:serving.knative.dev/v1:Service"
        ),
        "NodePools": pools,
        "NodeOverlays and EC2NodeClasses": of(_OVERLAY, _NODE_CLASS),
        "Karpenter": controller,
        "its definitions": definitions,
        "system nodes": of("aws:eks/nodeGroup:NodeGroup"),
        "cluster": of("aws:eks/cluster:Cluster"),
        "subnets": of("aws:ec2/subnet:Subnet"),
        "network": of("aws:ec2/vpc:Vpc"),
    }
    for first, then in itertools.pairwise(stages):
        last = max(entry.ended for entry in stages[first])
        begun = min(entry.began for entry in stages[then])
        assert last <= begun, f"{then} began to go before the last of {first} was gone"
