"""What the report says of things that people have: each word is right for what was shown, and says what follows."""

from __future__ import annotations

from typing import Any

import pytest

from adopt.inventory import inventory
from adopt.objects import Objects
from adopt.report import Report, report
from components.gpu.gpu_pool import node_labels
from config.load import parse
from gpu.contract import OVERLAY_WEIGHT
from policy.placeholders import without_placeholders
from tests.unit.adopt.cluster import (
    REGION,
    Object,
    by_hand,
    config_map,
    gpu_operator,
    karpenter,
    node,
    node_class,
    node_pool,
    plugin,
    pod,
)
from tests.unit.adopt.test_report import said


def reported(*objects: Object, **words: Any) -> Report:
    seen = Objects()
    for each in objects:
        seen.counts[each["kind"]] += 1
        seen.add(without_placeholders(each))
    return report(inventory(seen, cluster="prod", region=REGION), "mine", **words)


def without(kind: str, **karpenters: str) -> list[Object]:
    return [each for each in by_hand(**karpenters) if each["kind"] != kind]


def everything(found: Report) -> str:
    return "\n".join(f"{each.about}: {each.text} {each.line}" for each in found.findings)


# --- Types outside the catalogue --------------------------------------------------------------------------------------


def by_types(name: str, *types: str) -> Object:
    found = node_pool(name)
    requirement = {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": list(types)}
    found["spec"]["template"]["spec"]["requirements"] = [requirement]
    return found


def test_types_that_nobody_here_knows_are_named_and_the_proposal_is_without_them() -> None:
    found = reported(by_types("gpus", "p3.2xlarge", "g5.xlarge", "g4ad.xlarge"), node_class())
    told = "may buy p3.2xlarge and g4ad.xlarge (not in the catalogue: docs/catalog.md): the pool that is proposed is"
    assert f"NodePool gpus: {told} without them" in said(found, "note")
    assert found.written.values["pools"][0]["instanceFamilies"] == ["g5"]


def test_a_pool_of_which_nothing_is_left_is_not_adopted() -> None:
    found = reported(by_types("old", "p3.2xlarge", "g3.4xlarge"), node_pool("new", ("g5",)), node_class())
    told = "may buy p3.2xlarge and g3.4xlarge (not in the catalogue: docs/catalog.md) alone: it is not adopted, and"
    assert f"NodePool old: {told} the pool that is proposed is of g5" in said(found, "note")
    assert "NodePool new" not in said(found, "note")


@pytest.mark.parametrize(
    ("families", "why"),
    [
        (("p3", "g3"), "p3 and g3 (not in the catalogue: docs/catalog.md)"),
        (("g6f", "g6"), "g6f (not in the catalogue: docs/catalog.md)"),
        (("g7", "g6"), "g7 (not supported: its GPU needs NVIDIA driver 595, and the EKS AMIs ship 580)"),
        (("g5g", "g6"), "g5g (arm64, and others are not)"),
    ],
)
def test_families_that_no_pool_of_a_stack_may_buy_are_named_with_the_reason(
    families: tuple[str, ...], why: str
) -> None:
    pool = node_pool(families=families)
    pool["spec"]["template"]["spec"]["requirements"].pop(1)
    assert f"may buy {why}" in said(reported(pool, node_class()), "note")


def test_families_that_the_region_does_not_have_are_named() -> None:
    seen = Objects()
    for each in (node_pool(families=("p5en", "g4dn")), node_class()):
        seen.add(each)
    seen.found[0]["spec"]["template"]["spec"]["requirements"].pop(1)
    found = report(inventory(seen, cluster="prod", region="eu-west-3"), "mine")
    assert "may buy p5en (not offered in eu-west-3)" in said(found, "note")


def test_pools_whose_types_are_known_or_not_named_are_passed_over() -> None:
    wide = node_pool("wide")
    category = {"key": "karpenter.k8s.aws/instance-category", "operator": "In", "values": ["g", "p"]}
    wide["spec"]["template"]["spec"]["requirements"] = [category]
    wide["spec"]["template"]["metadata"]["labels"]["intent"] = "gpu4"  # no family, though it looks like one
    assert "may buy" not in everything(reported(wide, node_pool(), node_class()))


def test_requirements_that_nothing_known_meets_are_told() -> None:
    pool = node_pool()
    requirement = {"key": "karpenter.k8s.aws/instance-gpu-manufacturer", "operator": "In", "values": ["amd"]}
    pool["spec"]["template"]["spec"]["requirements"] = [requirement]
    told = "may buy no type with GPUs that is in the catalogue (docs/catalog.md): it is not adopted"
    assert f"NodePool gpus: {told}" in said(reported(pool, node_class()), "note")


def test_gpus_that_nobody_here_knows_are_named() -> None:
    pool = node_pool()
    requirement = {"key": "karpenter.k8s.aws/instance-gpu-name", "operator": "In", "values": ["t4", "m60"]}
    pool["spec"]["template"]["spec"]["requirements"] = [requirement]
    assert "may buy m60 (not in the catalogue: docs/catalog.md): the" in said(reported(pool, node_class()), "note")


def test_nodes_of_types_that_nobody_here_knows_are_said_to_be_in_no_sum() -> None:
    strange = node("old-1")
    strange["metadata"]["labels"]["node.kubernetes.io/instance-type"] = "p3.2xlarge"
    plain, found = reported(*by_hand()), reported(*by_hand(strange, pod("train", "old-1")))
    notes = said(found, "note")
    assert "not in the catalogue: p3.2xlarge. Neither they nor their pods are in a sum" in notes
    assert "pods that stay: 1: on a node of a type that is not in the catalogue" in notes
    assert found.rows == plain.rows


# --- A GPU Operator whose plugin is off -------------------------------------------------------------------------------

OFF = {"enabled": False}


@pytest.mark.parametrize(
    ("more", "brings"),
    [
        ({}, "driver, toolkit and MIG manager"),
        ({"driver": OFF, "migManager": OFF}, "toolkit"),
        ({"driver": {"enabled": None}, "toolkit": OFF, "migManager": OFF}, "driver"),
    ],
)
def test_an_operator_without_its_plugin_quarrels_with_nobody_but_brings_what_nodes_have(
    more: dict[str, Any], brings: str
) -> None:
    found = reported(*without("DaemonSet"), gpu_operator(devicePlugin=OFF, **more))
    told = said(found, "note")
    assert "GPU Operator cluster-policy: its device plugin is off: it gives out no GPUs" in told
    assert f"it would bring them its {brings}: the file says ami: bottlerocket" in told
    assert "quarrel" not in everything(found)
    assert found.written.values["pools"][0]["ami"] == "bottlerocket"
    assert "The GPU Operator would come to these nodes too" in found.written.text


def test_an_operator_that_brings_nothing_leaves_the_nodes_as_they_are() -> None:
    quiet = gpu_operator(devicePlugin=OFF, driver=OFF, toolkit=OFF, migManager=OFF)
    found = reported(*without("DaemonSet"), quiet)
    assert "its device plugin is off: it gives out no GPUs" in said(found, "fits")
    assert "ami" not in found.written.values["pools"][0]
    configs = config_map("configs", whole="version: v1\nflags: {migStrategy: none}\n")
    joined = reported(*without("DaemonSet"), quiet, plugin("configs", "whole"), configs)
    assert joined.written.values["gpuSharing"]["installer"] == "device-plugin"
    assert "ami" not in joined.written.values["pools"][0]


def test_a_plugin_beside_an_operator_that_brings_its_own_is_not_joined() -> None:
    configs = config_map("configs", whole="version: v1\nflags: {migStrategy: none}\n")
    off = gpu_operator(devicePlugin=OFF, migManager=OFF)
    found = reported(*without("DaemonSet"), off, plugin("configs", "whole"), configs)
    assert "gpuSharing" not in found.written.values
    assert found.written.values["pools"][0]["ami"] == "bottlerocket"
    assert "cluster-policy would bring its driver and toolkit to the nodes" in said(found, "note")


def made_by_an_operator(found: Object, name: str = "nvidia-device-plugin-daemonset") -> Object:
    owner = {"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "name": "cluster-policy"}
    return {**found, "metadata": {"name": name, "namespace": "gpu-operator", "ownerReferences": [owner]}}


def test_an_operator_of_which_its_daemon_sets_alone_were_shown_is_one() -> None:
    configs = config_map("configs", "gpu-operator", whole="version: v1\nflags: {migStrategy: none}\n")
    made = made_by_an_operator(plugin("configs", "whole"))
    found = reported(*without("DaemonSet"), made, configs)
    shown = reported(*without("DaemonSet"), made, configs, gpu_operator("configs"))
    assert [(each.kind, each.name) for each in found.there.plugins] == [("GPU Operator", "cluster-policy")]
    assert found.written.text == shown.written.text
    assert found.written.values["gpuSharing"]["installer"] == "gpu-operator"
    told = said(found, "unseen")
    assert "its ClusterPolicy was not shown: that it brings driver, toolkit and MIG manager is supposed" in told
    assert "kubectl get clusterpolicies.nvidia.com -o yaml" in told
    assert not said(shown, "unseen")


def test_an_operator_whose_plugin_is_not_among_its_daemon_sets_brings_the_rest() -> None:
    toolkit = made_by_an_operator(plugin(), "nvidia-container-toolkit-daemonset")
    container = {"name": "c", "image": "nvcr.io/nvidia/k8s/container-toolkit:v1.17.8"}
    toolkit["spec"] = {"template": {"spec": {"containers": [container]}}}
    found = reported(*without("DaemonSet"), toolkit)
    assert "its ClusterPolicy was not shown" in said(found, "unseen")
    assert found.written.values["pools"][0]["ami"] == "bottlerocket"


@pytest.mark.parametrize(
    "value",
    ["p3.2xlarge", "p3.{{ .Values.size }}", "p3.${var.size}", "p3.$(params.size)"],
    ids=["plain", "go", "tf", "k"],
)
def test_a_template_names_what_the_catalogue_does_not_know(value: str) -> None:
    pool = by_types("gpus", value, "g6.{{ .Values.size }}")
    zone = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["{{ .Values.zone }}"]}
    pool["spec"]["template"]["spec"]["requirements"].append(zone)
    notes = said(reported(pool, node_class()), "note")
    assert "NodePool gpus: is a template: of what it may buy, parts are filled in elsewhere" in notes
    assert f"NodePool gpus: may buy {value} (not in the catalogue: docs/catalog.md): the pool" in notes


@pytest.mark.parametrize("size", ["{{ .Values.size }}", "${size}", "${var.size}"])
def test_a_pool_whose_sizes_alone_are_filled_in_is_a_template(size: str) -> None:
    notes = said(reported(by_types("gpus", f"g6.{size}"), node_class()), "note")
    assert "NodePool gpus: is a template: of what it may buy, parts are filled in elsewhere" in notes
    assert "not in the catalogue" not in notes


# --- Before Karpenter 1.0 ---------------------------------------------------------------------------------------------

PROVISIONER: Object = {
    "apiVersion": "karpenter.sh/v1alpha5",
    "kind": "Provisioner",
    "metadata": {"name": "gpus"},
    "spec": {
        "requirements": [{"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["g4dn.xlarge"]}],
        "providerRef": {"name": "default"},
    },
}
TEMPLATE: Object = {
    "apiVersion": "karpenter.k8s.aws/v1alpha1",
    "kind": "AWSNodeTemplate",
    "metadata": {"name": "default"},
    "spec": {"subnetSelector": {"karpenter.sh/discovery": "prod"}},
}
BETA: Object = {**node_pool(), "apiVersion": "karpenter.sh/v1beta1"}
OLD_NODE = node("gpu-0", "g6.xlarge")
OLD_NODE["metadata"]["labels"]["karpenter.sh/provisioner-name"] = OLD_NODE["metadata"]["labels"].pop(
    "karpenter.sh/nodepool"
)
ANEW = "by way of 0.32, with NodePools and EC2NodeClasses in the place of your Provisioners and AWSNodeTemplates"


@pytest.mark.parametrize(
    ("objects", "what", "way"),
    [
        ([PROVISIONER, TEMPLATE], "pools are karpenter.sh/v1alpha5 alone", ANEW),
        ([PROVISIONER, TEMPLATE, karpenter("0.31.0", "")], "is 0.31.0", ANEW),
        ([TEMPLATE], "node classes are karpenter.k8s.aws/v1alpha1 alone", ANEW),
        ([OLD_NODE], "pools are karpenter.sh/v1alpha5 alone", ANEW),
        ([karpenter("v0.27.3", "")], "is 0.27.3", ANEW),
        ([BETA], "pools are karpenter.sh/v1beta1 alone", "by way of 1.0, which turns v1beta1 into v1"),
        ([BETA, karpenter("0.37.0", "")], "is 0.37.0", "by way of 1.0, which turns v1beta1 into v1"),
    ],
    ids=["alpha", "alpha-controller", "template", "node", "controller", "beta", "beta-controller"],
)
def test_before_1_0_the_report_says_what_to_raise_and_nothing_of_a_file(
    objects: list[Object], what: str, way: str
) -> None:
    found = reported(*objects, pod("llm", "gpu-0"))
    assert not found.fits
    (karpenters,) = [each for each in found.findings if each.about == "Karpenter"]
    assert karpenters.status == "missing"
    assert karpenters.text.startswith(f"{what}, of before 1.0, and pools of a stack are karpenter.sh/v1: raise Karp")
    assert way in karpenters.text
    told = everything(found)
    for useless in ("gpu-slices:", "the file", "write role", "systemNodeLabels", "featureGates", "NodeOverlay"):
        assert useless not in told


def test_a_provisioner_that_names_no_machines_buys_no_gpus() -> None:
    assert reported({**PROVISIONER, "spec": {"requirements": []}}, TEMPLATE).there.pools == []


def test_a_node_of_a_provisioner_is_of_no_node_group() -> None:
    found = reported(PROVISIONER, OLD_NODE, pod("llm", "gpu-0"))
    assert [each.pool for each in found.there.nodes] == ["gpus"]
    assert "of no NodePool" not in everything(found)
    assert any(each.title == "Provisioner gpus" for each in found.there.pools)


# --- Static pools -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replicas", "gates", "words"),
    [
        (0, "StaticCapacity=true", "is static with 0 replicas: it has no nodes, and pods that wait get none from it"),
        (2, "StaticCapacity=true", "is static: 2 of its nodes stay, whoever leaves them, until its replicas are fewer"),
        (2, "NodeOverlay=true", "with its gate StaticCapacity alone, which was not seen to be on"),
        ("${nodes}", "StaticCapacity=true", "is static: how many nodes it has is filled in elsewhere"),
    ],
)
def test_static_pools_are_told_whatever_their_replicas(replicas: Any, gates: str, words: str) -> None:
    pool = node_pool("standing")
    pool["spec"] |= {"replicas": replicas, "limits": {"nodes": "3"}}
    found = reported(*by_hand(gates=gates), pool)
    assert [each.text.endswith(words) for each in found.findings if each.about == "NodePool standing"] == [True]


def test_a_static_pool_that_shares_buys_nothing_for_a_slot() -> None:
    configs = config_map(
        "configs", many="version: v1\nsharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 4}]}}\n"
    )
    pool = node_pool(config="many")
    rest = [karpenter(), node_class(), plugin("configs", "many"), configs]
    assert "Karpenter buys a GPU for each slot" in said(reported(*rest, pool), "missing")
    pool["spec"]["replicas"] = 1
    assert "buys a GPU for each slot" not in said(reported(*rest, pool), "missing")


# --- Selector terms ---------------------------------------------------------------------------------------------------

SUBNETS = [{"id": "subnet-0a1b2c3d", "zone": "us-east-1a"}, {"id": "subnet-4e5f6a7b", "zone": "us-east-1b"}]
TERMS = [{"tags": {"tier": "private"}}, {"id": "subnet-4e5f6a7b"}, {"tags": {"tier": "gpu", "Name": "*"}}]


def test_of_several_terms_the_report_says_which_is_taken_and_which_are_left() -> None:
    groups = [{"name": "theirs"}, {"tags": {"role": "nodes"}}]
    found = reported(*without("EC2NodeClass"), node_class(subnetSelectorTerms=TERMS, securityGroupSelectorTerms=groups))
    assert "subnets: tier=private" in said(found, "fits")
    notes = said(found, "note")
    assert "subnets: EC2NodeClass theirs has 3 terms, and what any of them finds counts" in notes
    assert "left out is what (id subnet-4e5f6a7b) and (tier=gpu, Name=*) finds" in notes
    assert "left out is what (name theirs) finds" in notes
    assert "kubectl get ec2nodeclass theirs -o 'jsonpath={.status.securityGroups[*].id}'" in notes
    existing = found.written.values["karpenter"]["existing"]
    assert (existing["subnetTags"], existing["securityGroupTags"]) == ({"tier": "private"}, {"role": "nodes"})


def test_of_tags_and_several_ids_the_ids_are_taken() -> None:
    terms = [TERMS[0], {"id": "subnet-0a1b2c3d"}, TERMS[1]]
    found = reported(*without("EC2NodeClass"), node_class(subnetSelectorTerms=terms))
    assert found.written.values["karpenter"]["existing"]["subnetIds"] == ["subnet-0a1b2c3d", "subnet-4e5f6a7b"]
    assert "left out is what (tier=private) finds" in said(found, "note")


@pytest.mark.parametrize("terms", [TERMS, [TERMS[0], TERMS[0]]], ids=["others", "twice"])
def test_what_karpenter_has_found_by_terms_that_a_file_cannot_say_stands_there_by_ids(terms: list[Object]) -> None:
    klass = node_class(subnetSelectorTerms=terms, securityGroupSelectorTerms=[{"name": "theirs"}])
    klass["status"] = {"subnets": SUBNETS, "securityGroups": [{"id": "sg-0a1b2c3d", "name": "theirs"}]}
    found = reported(*without("EC2NodeClass"), klass)
    existing = found.written.values["karpenter"]["existing"]
    assert existing["subnetIds"] == ["subnet-0a1b2c3d", "subnet-4e5f6a7b"]
    assert existing["securityGroupIds"] == ["sg-0a1b2c3d"]
    assert "subnetTags" not in existing
    parse(found.written.values, stack="mine", region=REGION)
    assert "those that Karpenter has found for EC2NodeClass theirs" in said(found, "fits")
    assert "left out is" not in everything(found)


def test_one_term_of_tags_is_taken_as_it_is_whatever_karpenter_has_found() -> None:
    klass = node_class()
    klass["status"] = {"subnets": SUBNETS}
    existing = reported(*without("EC2NodeClass"), klass).written.values["karpenter"]["existing"]
    assert existing["subnetTags"] == {"tier": "private"}
    assert "subnetIds" not in existing


# --- Overlays of theirs -----------------------------------------------------------------------------------------------


def overlay(name: str, weight: int | None = OVERLAY_WEIGHT, **spec: Any) -> Object:
    found = {"requirements": [], "capacity": {"nvidia.com/gpu": "8"}, **spec}
    return {
        "apiVersion": "karpenter.sh/v1alpha1",
        "kind": "NodeOverlay",
        "metadata": {"name": name},
        "spec": {**found, **({} if weight is None else {"weight": weight})},
    }


def one_of(key: str, *values: str, operator: str = "In") -> dict[str, Any]:
    return {"requirements": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("theirs", "lost"),
    [
        (overlay("all"), "here yours, for your own pools too"),
        (overlay("zebra"), "here shared-1gpu of the stack, whose pool would then buy a GPU for each slot"),
        (overlay("all", **one_of("karpenter.k8s.aws/instance-family", "g6")), "here yours"),
        (overlay("all", **one_of("karpenter.sh/capacity-type", "spot")), "here yours"),
        (overlay("all", **one_of("karpenter.sh/nodepool", "gpus", operator="NotIn")), "here yours"),
    ],
)
def test_an_overlay_of_theirs_at_our_weight_is_told_with_who_is_dropped(theirs: Object, lost: str) -> None:
    told = said(reported(*by_hand(), theirs), "missing")
    name = theirs["metadata"]["name"]
    assert f"NodeOverlay {name}: has weight 10,000, as those of a stack have, and sets nvidia.com/gpu" in told
    assert lost in told
    assert "karpenter.sh/nodepool NotIn [shared] among its requirements" in told
    assert f"""kubectl patch nodeoverlay {name} --type merge --patch '{{"spec": {{"weight": 9999}}}}'""" in told


def test_an_overlay_may_select_by_any_label_of_the_new_pool() -> None:
    config = parse(reported(*by_hand()).written.values, stack="mine", region=REGION)
    labels = node_labels(config.gpu_pools["shared"], config.pools[0].tenants)
    assert len(labels) > 3
    for key in labels:
        told = said(reported(*by_hand(), overlay("all", **one_of(key, operator="Exists"))), "missing")
        assert "NodeOverlay all: has weight 10,000" in told, key


@pytest.mark.parametrize(
    "theirs",
    [
        overlay("all", OVERLAY_WEIGHT - 1),
        overlay("all", None),
        overlay("all", capacity={"smarter-devices/fuse": "1"}),
        overlay("all", **one_of("karpenter.sh/nodepool", "gpus")),
        overlay("all", **one_of("karpenter.sh/nodepool", "shared", operator="NotIn")),
        overlay("all", **one_of("karpenter.k8s.aws/instance-family", "p5")),
        overlay("all", **one_of("team", "ml")),
    ],
)
def test_overlays_that_do_not_meet_ours_are_passed_over(theirs: Object) -> None:
    assert "NodeOverlay all" not in everything(reported(*by_hand(), theirs))


@pytest.mark.parametrize("field", ["price", "priceAdjustment"])
@pytest.mark.parametrize("pod_mib", [5_000, 20_000])
def test_overlays_that_change_prices_of_the_new_pool_are_told(field: str, pod_mib: int) -> None:
    theirs = overlay("cheap", 10, capacity=None, **{field: "0.1"}, **one_of("karpenter.sh/capacity-type", "on-demand"))
    notes = said(reported(*by_hand(), theirs, pod_mib=pod_mib), "note")
    assert "NodeOverlay cheap: changes prices of the new pool's types too" in notes
    assert "karpenter.sh/nodepool NotIn [shared] among its requirements" in notes
    own = overlay("cheap", 10, capacity=None, **{field: "0.1"}, **one_of("karpenter.sh/nodepool", "gpus"))
    assert "changes prices" not in everything(reported(*by_hand(), own))


def test_where_nothing_is_shared_no_overlay_meets() -> None:
    assert "has weight" not in everything(reported(*by_hand(), overlay("all"), pod_mib=20_000))
