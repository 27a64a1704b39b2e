"""What is proposed for a cluster's pods, what both ways cost, and the stack file, which loads as any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from adopt.export import read_export
from adopt.inventory import inventory
from adopt.report import Report, as_json, report
from config.errors import PROJECT
from config.load import parse
from gpu import prices
from gpu.catalog import INSTANCE_TYPES, REGIONS
from gpu.prices import HOURS_PER_MONTH
from tests.unit.adopt.cluster import (
    REGION,
    Object,
    by_hand,
    config_map,
    node,
    node_class,
    node_pool,
    plugin,
    pod,
    time_slicing,
    write,
)


def reported(folder: Path, *objects: Object, pod_mib: int | None = None, region: str = REGION) -> Report:
    there = inventory(read_export(write(folder, list(objects))), cluster="prod", region=region)
    return report(there, "mine", pod_mib=pod_mib)


def said(found: Report, status: str) -> str:
    return "\n".join(f"{each.about}: {each.text} [{each.line}]" for each in found.findings if each.status == status)


def node_usd(instance_type: str, bought: str) -> float:
    usd = prices.of(REGION).node_usd_per_hour(instance_type, "spot" if bought == "spot" else "on-demand")
    assert usd is not None
    return usd * HOURS_PER_MONTH


# --- Money and slots --------------------------------------------------------------------------------------------------


def test_three_whole_gpus_become_slots_and_both_sums_are_the_price_tables(tmp_path: Path) -> None:
    found = reported(tmp_path, *by_hand(), pod_mib=5000)
    proposal = found.proposal
    assert (proposal.families, proposal.replicas, proposal.pods) == (("g6",), 4, 3)
    assert proposal.replicas == INSTANCE_TYPES["g6.xlarge"].gpu.usable_mib // 5000
    today, alone, written = found.rows
    assert [row.nodes for row in found.rows] == [3, 1, 1]
    assert today.usd_per_month == pytest.approx(3 * node_usd("g6.xlarge", "on-demand"))
    assert alone.usd_per_month == pytest.approx(node_usd("g6.xlarge", "on-demand"))
    assert written.usd_per_month == pytest.approx(node_usd("g6.xlarge", "spot"))


def test_what_nobody_says_is_assumed_and_told(tmp_path: Path) -> None:
    found = reported(tmp_path, *by_hand())
    (need,) = {need for _, need in found.proposal.moves}
    assert need.mib == INSTANCE_TYPES["g6.xlarge"].gpu.usable_mib // 2
    assert found.proposal.replicas == 2
    assert "of 3 nobody knows" in said(found, "note")
    assert "--pod-mib" in said(found, "note")
    assert "nobody knows" not in said(reported(tmp_path, *by_hand(), pod_mib=5000), "note")


def test_a_pod_that_says_its_memory_goes_before_the_option(tmp_path: Path) -> None:
    objects = by_hand()
    for each in objects:
        if each["kind"] == "Pod":
            each["metadata"]["annotations"] = {"gpu-slices/model-memory-mib": "7000"}
    found = reported(tmp_path, *objects, pod_mib=100)
    assert found.proposal.replicas == INSTANCE_TYPES["g6.xlarge"].gpu.usable_mib // 7000


def test_processors_and_memory_of_a_pod_bound_the_slots_or_choose_larger_nodes(tmp_path: Path) -> None:
    """Four pods of 3 vCPUs do not fit a node of 4, whatever its GPU holds: Karpenter would buy another."""
    objects = by_hand()
    for each in objects:
        if each["kind"] == "Pod":
            each["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "3"
    found = reported(tmp_path, *objects, pod_mib=5000)
    assert found.proposal.replicas == 4
    assert found.proposal.families == ()
    assert min(INSTANCE_TYPES[name].vcpus for name in found.proposal.types) == 16
    assert found.written.values["pools"][0]["instanceTypes"] == list(found.proposal.types)


def test_who_cannot_move_stays_with_its_node_and_is_told_why(tmp_path: Path) -> None:
    large = pod("large", "big", gpus=4)
    beside = pod("beside", "big")
    nodes = [node("big", "g6.12xlarge"), node("idle")]
    found = reported(tmp_path, *by_hand(), large, beside, *nodes, pod_mib=5000)
    assert {(each.work.name, each.why) for each in found.proposal.stays} == {
        ("large", "several GPUs"),
        ("beside", "on a node that stays"),
    }
    assert [each.name for each in found.proposal.staying] == ["big", "idle"]
    today, alone, _ = found.rows
    assert (today.nodes, alone.nodes) == (5, 3)
    stays = node_usd("g6.12xlarge", "on-demand") + node_usd("g6.xlarge", "on-demand")
    assert alone.usd_per_month == pytest.approx(stays + node_usd("g6.xlarge", "on-demand"))


def test_pods_on_slots_already_stay(tmp_path: Path) -> None:
    shared = node("gpu-0")
    shared["status"]["allocatable"]["nvidia.com/gpu"] = "4"
    found = reported(tmp_path, shared, pod("llm", "gpu-0"))
    assert [each.why for each in found.proposal.stays] == ["a slot already"]
    waits = reported(tmp_path, node_pool(), plugin("c", "any"), config_map("c", any=time_slicing(4)), pod("llm"))
    assert [each.why for each in waits.proposal.stays] == ["a slot already"]
    assert "without a NodeOverlay: Karpenter buys a GPU for each slot" in said(waits, "missing")


def test_pods_that_need_more_than_half_of_a_gpu_share_none(tmp_path: Path) -> None:
    found = reported(tmp_path, *by_hand(), pod_mib=20_000)
    assert found.proposal.replicas == 0
    assert found.written.values["pools"][0]["sharing"] == {"strategy": "none"}
    assert "3: too large for a slot" in said(found, "note")
    assert [row.name for row in found.rows] == ["today"]


def test_a_region_without_prices_gives_no_sum(tmp_path: Path) -> None:
    region = next(name for name in sorted(REGIONS) if not prices.of(name).on_demand)
    found = reported(tmp_path, pod("llm"), region=region)
    assert found.rows == []
    assert found.fits or found.written.problems


def test_no_gpu_at_all_is_said_and_a_beginning_offered(tmp_path: Path) -> None:
    found = reported(tmp_path, node_class(), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}})
    assert "nothing in this cluster asks for a GPU now" in said(found, "note")
    assert found.rows == []
    assert found.proposal.pods == 0
    assert found.fits


# --- The stack file ---------------------------------------------------------------------------------------------------


def loaded(found: Report) -> dict[str, object]:
    document = yaml.safe_load(found.written.text)["config"]
    return {key.removeprefix(f"{PROJECT}:"): value for key, value in document.items() if key.startswith(PROJECT)}


def test_the_text_says_what_was_judged_and_loads(tmp_path: Path) -> None:
    found = reported(tmp_path, *by_hand(), pod_mib=5000)
    assert loaded(found) == found.written.values
    config = parse(found.written.values, stack="mine", region=REGION)
    existing = config.karpenter.existing
    assert existing is not None
    assert (existing.chart_version, existing.node_role, existing.feature_gates) == (
        "1.9.0",
        "TheirNodes",
        ("nodeOverlay",),
    )
    assert existing.subnet_tags == {"tier": "private"}
    assert existing.security_group_tags == {"role": "nodes"}
    assert (config.cluster_name, config.cluster.version) == ("prod", "1.35")
    assert config.cluster.system_node_labels == {"eks.amazonaws.com/nodegroup": "system"}
    (pool,) = config.gpu_pools.values()
    assert (pool.slots_per_gpu, pool.max_gpus) == (4, 1)
    assert "Nobody saw it" not in found.written.text


def test_with_a_plugin_that_would_come_too_the_nodes_bring_their_own(tmp_path: Path) -> None:
    assert reported(tmp_path, *by_hand()).written.values["pools"][0]["ami"] == "bottlerocket"
    apart = [each for each in by_hand() if each["kind"] != "DaemonSet"]
    apart.append(plugin(nodeSelector={"karpenter.sh/nodepool": "gpus"}))
    found = reported(tmp_path, *apart)
    assert "ami" not in found.written.values["pools"][0]
    assert "stays on nodes of its own" in said(found, "fits")


@pytest.mark.parametrize(("version", "gates"), [("1.9.0", "NodeOverlay=false"), ("1.6.3", "NodeOverlay=true")])
def test_without_the_gate_nothing_is_shared_and_the_line_is_told(tmp_path: Path, version: str, gates: str) -> None:
    found = reported(tmp_path, *by_hand(version=version, gates=gates), pod_mib=5000)
    assert found.fits
    assert found.written.values["pools"][0]["sharing"] == {"strategy": "none"}
    assert "# sharing: { strategy: time-slicing, replicas: 4 }" in found.written.text
    missing = said(found, "missing")
    assert "settings.featureGates.nodeOverlay=true" in missing
    assert ("knows no NodeOverlay" in missing) is (version == "1.6.3")


def test_without_a_karpenter_the_stacks_own_shares_and_groups_stay_until_somebody_scales_them(tmp_path: Path) -> None:
    nodes = [node(f"gpu-{number}") for number in range(2)]
    for each in nodes:
        del each["metadata"]["labels"]["karpenter.sh/nodepool"]
    pods = [pod(f"llm-{number}", f"gpu-{number}") for number in range(2)]
    found = reported(tmp_path, *nodes, *pods, pod_mib=5000)
    assert "karpenter" not in found.written.values
    assert found.written.values["pools"][0]["sharing"] == {"strategy": "time-slicing", "replicas": 4}
    assert "2 of no NodePool leave the sum when their group is scaled down" in said(found, "note")


def test_what_nobody_saw_stands_in_the_file_with_the_way_to_look(tmp_path: Path) -> None:
    found = reported(tmp_path, node_class(role=None, instanceProfile="their-profile"), node_pool())
    assert found.fits
    assert set(found.written.guessed) == {
        "cluster.version",
        "karpenter.existing.chartVersion",
        "karpenter.existing.nodeRole",
    }
    for look in ("kubectl version", "helm list -A", "kubectl get ec2nodeclasses -o yaml"):
        assert f"# Nobody saw it: `{look}` says it." in found.written.text
    assert "aws iam get-instance-profile --instance-profile-name their-profile" in said(found, "unseen")


def test_a_class_that_names_ids_has_them_in_the_file(tmp_path: Path) -> None:
    by_id = {"subnetSelectorTerms": [{"id": "subnet-0a1b2c3d"}, {"id": "subnet-4e5f6a7b"}]}
    found = reported(tmp_path, node_class(**by_id, securityGroupSelectorTerms=[{"id": "sg-0a1b2c3d"}]), node_pool())
    assert found.fits
    existing = found.written.values["karpenter"]["existing"]
    assert existing["subnetIds"] == ["subnet-0a1b2c3d", "subnet-4e5f6a7b"]
    assert existing["securityGroupIds"] == ["sg-0a1b2c3d"]
    assert loaded(found) == found.written.values
    assert "subnets: subnet-0a1b2c3d, subnet-4e5f6a7b" in said(found, "fits")


def test_a_version_that_nobody_knows_gives_no_file(tmp_path: Path) -> None:
    objects = by_hand()
    for each in objects:
        if each["kind"] == "Node" and "nodeInfo" in each["status"]:
            each["status"]["nodeInfo"]["kubeletVersion"] = "v1.28.9-eks-1"
    found = reported(tmp_path, *objects)
    assert not found.fits
    assert "gpu-slices:cluster.version" in said(found, "missing")


def test_a_name_that_is_taken_is_not_taken_again(tmp_path: Path) -> None:
    found = reported(tmp_path, *by_hand(), node_pool("shared"))
    assert found.written.values["pools"][0]["name"] == "shared-2"


def test_texts_of_others_stay_texts(tmp_path: Path) -> None:
    """Tags that YAML would read as something else, or that would end their line."""
    tags = {"a: b": "yes", "c": "1.10", "d": 'quo"te', "e": "x # y", "{": "}"}
    found = reported(
        tmp_path,
        *[e for e in by_hand() if e["kind"] != "EC2NodeClass"],
        node_class(subnetSelectorTerms=[{"tags": tags}]),
    )
    assert loaded(found) == found.written.values
    assert found.written.values["karpenter"]["existing"]["subnetTags"] == tags


def test_the_json_has_everything(tmp_path: Path) -> None:
    document = as_json(reported(tmp_path, *by_hand(), pod_mib=5000))
    assert document["cluster"] == "prod"
    assert document["karpenter"] == {"version": "1.9.0", "gates": ["nodeOverlay"]}
    assert [pool["name"] for pool in document["nodePools"]] == ["gpus"]
    assert document["plugins"][0]["version"] == "0.17.1"
    assert document["proposal"]["podMibFrom"] == ["--pod-mib"]
    assert [way["nodes"] for way in document["ways"]] == [3, 1, 1]
    assert {each["status"] for each in document["findings"]} <= {"fits", "missing", "note", "unseen"}
