"""What the twin plays of somebody's cluster: their objects on the stack's ground, and the stack beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adopt.export import read_export
from adopt.inventory import inventory
from adopt.played import played
from adopt.proposal import propose
from config.schema import ExistingKarpenter
from gpu.contract import CONFIG_LABEL, GPU_COUNT_LABEL, POOL_LABEL
from gpu.rehearsal import Played
from tests.unit.adopt.cluster import (
    Object,
    by_hand,
    config_map,
    gpu_operator,
    group_node,
    node,
    node_class,
    node_pool,
    plugin,
    pod,
    time_slicing,
    write,
)
from twin.plan import CONTROLLER_CHART, CRD_CHART, OPERATOR_CHART, CloudResource, Planned, PlannedPool, TwinPlan
from twin.play.device_plugin import installed_plugins, offer
from twin.theirs import _on_slots, with_theirs

EXISTING = ExistingKarpenter.model_validate(
    {"chartVersion": "1.9.0", "nodeRole": "TheirNodes", "subnetTags": {"tier": "private"}}
)
OWN = Planned(
    urn="own", name="NodePool shared", after=("crd",), manifest={"kind": "NodePool", "metadata": {"name": "s"}}
)
PLAN = TwinPlan(
    stack="mine",
    region="us-east-1",
    cluster="prod",
    kubernetes="1.36",
    cloud=(CloudResource(urn="vpc", type="aws:ec2/vpc:Vpc", name="vpc", inputs={}),),
    outputs={},
    planned=(
        Planned(urn="crd", name="Release karpenter-crd", after=(), chart=CRD_CHART),
        Planned(urn="controller", name="Release karpenter", after=("crd",), chart=CONTROLLER_CHART),
        OWN,
    ),
    plugins=(),
    models=(),
)


def read(folder: Path, *objects: Object) -> Played:
    found = read_export(write(folder, list(objects)))
    there = inventory(found, cluster="prod", region="us-east-1")
    return played(found, there, propose(there))


def test_theirs_comes_before_the_stack_and_aws_is_the_same(tmp_path: Path) -> None:
    before, after = with_theirs(PLAN, read(tmp_path, *by_hand()), EXISTING)
    assert before.fingerprint == after.fingerprint == PLAN.fingerprint, "or AWS would forget their instances"
    names = [thing.name for thing in before.planned]
    assert names[:3] == ["Release karpenter-crd", "Release karpenter", "Namespace models"]
    assert {"EC2NodeClass theirs", "NodePool gpus"} < set(names)
    assert OWN not in before.planned
    assert [thing.name for thing in after.planned] == [*names, "NodePool shared"]
    namespace, *rest = before.planned[2:]
    assert set(namespace.after) == {"crd", "controller"}
    assert all(set(thing.after) == {"crd", "controller", namespace.urn} for thing in rest)


def test_a_node_class_gets_the_twins_images_role_and_network(tmp_path: Path) -> None:
    own = node_class(
        amiSelectorTerms=[{"id": "ami-0"}],
        subnetSelectorTerms=[{"id": "subnet-0"}],
        blockDeviceMappings=[{"deviceName": "/dev/xvda", "ebs": {"kmsKeyID": "key"}}],
        userData="#!/bin/sh\n",
    )
    objects = [each for each in by_hand() if each["kind"] != "EC2NodeClass"]
    before, _ = with_theirs(PLAN, read(tmp_path, *objects, own), EXISTING)
    (found,) = before.manifests("EC2NodeClass")
    assert found["spec"] == {
        "userData": "#!/bin/sh\n",
        "role": "TheirNodes",
        "amiSelectorTerms": [{"alias": "al2023@latest"}],
        "subnetSelectorTerms": [{"tags": {"tier": "private"}}],
        "securityGroupSelectorTerms": [{"tags": {"karpenter.sh/discovery": "prod"}}],
    }


def test_pods_are_played_by_what_decides_where_they_run(tmp_path: Path) -> None:
    secret = pod("llm-1", "gpu-0", owner="llm", serviceAccountName="robot", volumes=[{"name": "v", "secret": {}}])
    (work,) = read(tmp_path, node("gpu-0"), node_pool(), secret).work
    assert set(work.spec) == {"nodeSelector", "tolerations", "containers"}
    assert work.spec["containers"] == [
        {
            "name": "work-0",
            "resources": {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"nvidia.com/gpu": "1"}},
        }
    ]
    assert work.moves


def test_what_cannot_be_played_is_told(tmp_path: Path) -> None:
    template = node_pool("template", ("${family}",))
    beta = {**node_pool("beta"), "apiVersion": "karpenter.sh/v1beta1"}
    elsewhere = pod("elsewhere", "gpu-1", nodeSelector={"team": "other"})
    found = read(tmp_path, *by_hand(), template, beta, elsewhere)
    assert [each["metadata"]["name"] for each in found.manifests if each["kind"] == "NodePool"] == ["gpus"]
    assert found.left_out == (
        "NodePool template: is a template",
        "NodePool beta: is karpenter.sh/v1beta1, and the twin's Karpenter serves karpenter.sh/v1",
        "pods of models/elsewhere: no node and no NodePool that is played takes them",
    )


def without_karpenter() -> list[Object]:
    """A cluster of node groups: a GPU pod that fits a slot, one that does not, and one that waits."""
    waits = pod("batch", nodeSelector={"team": "none"})
    return [
        group_node("gpu-0"),
        group_node("big", "g6.12xlarge"),
        pod("llm", "gpu-0"),
        pod("train", "big", gpus=4),
        waits,
    ]


def test_nodes_of_groups_stand_with_what_they_offer_and_their_pods_run(tmp_path: Path) -> None:
    found = read(tmp_path, *without_karpenter())
    assert [(work.name, work.moves, work.runs) for work in found.work] == [
        ("llm", True, True),
        ("train", False, True),
        ("batch", True, False),
    ]
    assert found.left_out == (
        "pods of models/batch: no node and no NodePool that is played takes them, so a copy of each on a slot is all "
        "that is",
    )
    assert [(node.manifest["metadata"]["name"], node.stays) for node in found.nodes] == [
        ("theirs-gpu-0", False),
        ("theirs-big", True),
    ]
    before, after = with_theirs(PLAN, found, None)
    assert [thing.name for thing in before.planned] == ["Namespace models", "Deployment llm-0", "Deployment train-1"]
    assert not before.release(CONTROLLER_CHART), "the stack's own Karpenter comes with the stack"
    assert after.release(CONTROLLER_CHART)
    assert before.nodes == after.nodes == tuple(node.manifest for node in found.nodes)
    assert before.fingerprint == after.fingerprint


def test_a_node_of_a_group_keeps_what_decides_who_runs_there(tmp_path: Path) -> None:
    taints = [
        {"key": "nvidia.com/gpu", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"},
    ]
    spot = group_node("ip-10-0-0-1.ec2.internal", taints=taints)
    spot["metadata"]["labels"]["eks.amazonaws.com/capacityType"] = "SPOT"
    spot["status"]["allocatable"] = {"cpu": "3920m", "memory": "14Gi", "nvidia.com/gpu": "2", "hugepages-2Mi": "0"}
    found = read(tmp_path, spot, pod("llm", "ip-10-0-0-1.ec2.internal"))
    (played_node,) = found.nodes
    made = played_node.manifest
    assert made["metadata"]["name"] == "theirs-ip-10-0-0-1.ec2.internal"
    labels = made["metadata"]["labels"]
    assert labels["team"] == "ml"
    (work,) = found.work
    assert work.spec["nodeSelector"] == {"team": "ml", "kubernetes.io/hostname": labels["kubernetes.io/hostname"]}
    assert labels["eks.amazonaws.com/capacityType"] == "SPOT"
    assert made["spec"]["taints"] == taints[:1]
    assert made["status"]["allocatable"] == {
        "cpu": "3920m",
        "memory": "14Gi",
        "pods": "110",
        "ephemeral-storage": "20Gi",
        "nvidia.com/gpu": "2",
    }


def test_of_a_node_that_says_nothing_the_catalogue_tells(tmp_path: Path) -> None:
    silent, template = group_node("gpu-0"), group_node("gpu-1")
    silent["status"] = {}
    template["metadata"]["labels"]["team"] = "${team}"
    found = read(tmp_path, silent, template, pod("llm", "gpu-0"))
    (only,) = found.nodes
    assert only.manifest["status"]["allocatable"] == {
        "cpu": "3500m",
        "memory": "13209Mi",
        "pods": "110",
        "ephemeral-storage": "20Gi",
        "nvidia.com/gpu": "1",
    }
    assert found.left_out == ("Node gpu-1: is a template",)


def test_entries_that_the_stack_adds_are_in_their_config_map_and_their_plugin(tmp_path: Path) -> None:
    """One plugin, not two; and `destroy` takes our entries, not their ConfigMap or its namespace."""
    objects = [plugin("configs", "whole"), config_map("configs", whole=time_slicing(2))]
    entry = {"data": {"shared": time_slicing(4)}, "metadata": {"name": "configs", "namespace": "kube-system"}}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "models"}}
    patch = Planned(
        urn="patch", name="ConfigMap configs", after=(), manifest={"apiVersion": "v1", "kind": "ConfigMap", **entry}
    )
    ours = replace(OWN, after=("crd", "patch"))
    (given,) = installed_plugins([{"config": {"name": "configs"}}], [patch.manifest])
    plan = replace(
        PLAN,
        planned=(*PLAN.planned[:2], Planned(urn="space", name="n", after=(), manifest=space), patch, ours),
        plugins=(given,),
    )
    found = read(tmp_path, *[e for e in by_hand() if e["kind"] != "DaemonSet"], *objects)
    before, after = with_theirs(plan, found, EXISTING)
    (alone,), (both,) = before.manifests("ConfigMap"), after.manifests("ConfigMap")
    assert set(alone["data"]) == {"whole"}
    assert set(both["data"]) == {"whole", "shared"}
    assert {thing.urn for thing in before.planned} < {thing.urn for thing in after.planned}
    urns = {thing.urn for thing in after.planned}
    assert not {"patch", "space"} & urns
    assert all(set(thing.after) <= urns for thing in after.planned)
    on_ours = offer({**GPU_NODE, POOL_LABEL: "shared", CONFIG_LABEL: "shared"}, None, after.plugins)
    assert on_ours.resources == {"nvidia.com/gpu": 4}
    assert offer(GPU_NODE, None, after.plugins).resources == {"nvidia.com/gpu": 2}


def test_a_gpu_operator_is_its_policy_and_what_its_plugin_is_told(tmp_path: Path) -> None:
    """Its definition comes before its policy; kyverno's kind of the same name is none of it."""
    kyverno = {"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "no-latest"}, "spec": {}}
    configs = config_map("plugin-configs", whole=time_slicing(2), four=time_slicing(4))
    rest = [each for each in by_hand() if each["kind"] != "DaemonSet"]
    found = read(tmp_path, *rest, gpu_operator(driver={"enabled": False}), kyverno, configs)
    assert found.left_out == ()
    before, _ = with_theirs(PLAN, found, EXISTING)
    (policy,) = before.manifests("ClusterPolicy")
    assert policy["spec"]["driver"] == {"enabled": False}
    release = next(thing for thing in before.planned if thing.chart == OPERATOR_CHART)
    assert all(release.urn in thing.after for thing in before.planned if thing.manifest == policy)
    assert offer(GPU_NODE, None, before.plugins).resources == {"nvidia.com/gpu": 2}
    assert offer({**GPU_NODE, CONFIG_LABEL: "four"}, None, before.plugins).resources == {"nvidia.com/gpu": 4}


GPU_NODE = {GPU_COUNT_LABEL: "1", "team": "ml"}


@pytest.mark.parametrize(
    ("objects", "labels", "offered"),
    [
        ([plugin()], {}, {"nvidia.com/gpu": 1}),
        ([], {}, {"nvidia.com/gpu": 1}),
        ([plugin("c", "four"), config_map("c", four=time_slicing(4))], {}, {"nvidia.com/gpu": 4}),
        (
            [plugin("c", "four"), config_map("c", four=time_slicing(4), two=time_slicing(2))],
            {CONFIG_LABEL: "two"},
            {"nvidia.com/gpu": 2},
        ),
    ],
)
def test_their_plugin_offers_what_it_is_told(
    tmp_path: Path, objects: list[Object], labels: dict[str, str], offered: dict[str, int]
) -> None:
    rest = [each for each in by_hand() if each["kind"] != "DaemonSet"]
    before, _ = with_theirs(PLAN, read(tmp_path, *rest, *objects), EXISTING)
    assert offer({**GPU_NODE, **labels}, None, before.plugins).resources == offered


def test_a_plugin_that_is_supposed_or_leaves_our_nodes_out_does_not_come_there(tmp_path: Path) -> None:
    rest = [each for each in by_hand() if each["kind"] != "DaemonSet"]
    apart = plugin(
        affinity={
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": POOL_LABEL, "operator": "DoesNotExist"}]}]
                }
            }
        }
    )
    for objects, comes in (([], False), ([apart], False), ([plugin()], True)):
        before, _ = with_theirs(PLAN, read(tmp_path, *rest, *objects), EXISTING)
        assert bool(offer({**GPU_NODE, POOL_LABEL: "shared"}, None, before.plugins).resources) is comes


def test_a_copy_asks_for_one_slot_and_the_rest_as_it_was() -> None:
    pool = PlannedPool(name="shared", resource="nvidia.com/gpu.shared", slots={1: 4}, capacity_type="spot")
    asked: Any = {"requests": {"cpu": "1", "nvidia.com/gpu": "1"}, "limits": {"memory": "2Gi", "nvidia.com/gpu": "1"}}
    spec = {"nodeSelector": {"team": "ml"}, "containers": [{"name": "a", "resources": asked}, {"name": "b"}]}
    assert _on_slots(spec, pool) == {
        "nodeSelector": {POOL_LABEL: "shared"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "containers": [
            {
                "name": "a",
                "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi", "nvidia.com/gpu.shared": "1"}},
            },
            {"name": "b", "resources": {}},
        ],
    }
