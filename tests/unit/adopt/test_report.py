"""What is proposed for a cluster's pods, what both ways cost, and the stack file, which loads as any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adopt.export import read_export
from adopt.inventory import inventory
from adopt.report import Report, as_json, report
from adopt.rights import Rights
from cli.render_adopt import _there
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
    daemon_set,
    gpu_operator,
    karpenter,
    node,
    node_class,
    node_pool,
    plugin,
    pod,
    standing_node,
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


@pytest.mark.parametrize("mib", [4000, 2000, 1000, 520, 300, 1])
def test_three_small_pods_buy_no_larger_node_for_slots_that_nobody_takes(tmp_path: Path, mib: int) -> None:
    """What a slot of a full node costs says nothing where the pods do not fill it."""
    found = reported(tmp_path, *by_hand(), pod_mib=mib)
    assert found.fits, found.written.problems
    assert found.proposal.families == ("g6",)
    assert found.rows[-1].usd_per_month == pytest.approx(node_usd("g6.xlarge", "spot"))


def of_any_size(*families: str) -> Object:
    """A pool of theirs with nodes of any number of GPUs."""
    found = node_pool(families=families)
    wanted = found["spec"]["template"]["spec"]["requirements"]
    wanted[:] = [each for each in wanted if not each["key"].endswith("gpu-count")]
    return found


def test_no_node_of_many_gpus_is_bought_for_a_few_pods(tmp_path: Path) -> None:
    """A GPU of a p3dn.24xlarge is cheaper than a g5's, and there are eight of them."""
    found = reported(tmp_path, pod("llm"), of_any_size("g5", "p3dn"), pod_mib=5000)
    assert (found.proposal.families, found.proposal.max_gpus) == (("g5",), 1)


def test_slots_hold_what_moves_and_not_what_stays_beside_others(tmp_path: Path) -> None:
    held = {"gpu-slices/model-memory-mib": "10000"}
    beside = [node("big", "g6.12xlarge"), pod("large", "big", gpus=2), pod("b", "big", metadata={"annotations": held})]
    assert reported(tmp_path, *by_hand(), *beside, pod_mib=5000).proposal.replicas == 4


# A report is written for each; on a busy machine that takes longer than Hypothesis allows.
@settings(deadline=None, max_examples=25)
@given(
    pods=st.integers(1, 40),
    cpu=st.integers(1, 3000),
    memory=st.integers(1, 8000),
    mib=st.tuples(st.integers(1, 7400), st.integers(1, 7400)),
    families=st.sets(st.sampled_from(["g4dn", "g5", "g6", "g6e", "gr6", "p3dn", "p5"]), min_size=1),
)
def test_with_less_need_the_sum_never_rises(
    tmp_path_factory: pytest.TempPathFactory,
    pods: int,
    cpu: int,
    memory: int,
    mib: tuple[int, int],
    families: set[str],
) -> None:
    waiting = [pod(f"llm-{number}", owner="llm") for number in range(pods)]
    for each in waiting:
        each["spec"]["containers"][0]["resources"]["requests"] = {"cpu": f"{cpu}m", "memory": f"{memory}Mi"}
    objects = [*waiting, of_any_size(*sorted(families))]
    found = [reported(tmp_path_factory.mktemp("export"), *objects, pod_mib=each) for each in sorted(mib)]
    less, more = (each.rows[-1].usd_per_month for each in found)
    assert less is not None
    assert more is not None
    assert less <= more + 0.005
    for one in found:
        assert one.fits, one.written.problems


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
    found = reported(tmp_path, karpenter(), shared, pod("llm", "gpu-0"))
    assert [each.why for each in found.proposal.stays] == ["a slot already"]
    assert "# No pod was seen that fits: a beginning. 2 slots per GPU" in found.written.text
    waits = reported(tmp_path, node_pool(), plugin("c", "any"), config_map("c", any=time_slicing(4)), pod("llm"))
    assert [each.why for each in waits.proposal.stays] == ["a slot already"]
    assert "without a NodeOverlay: Karpenter buys a GPU for each slot" in said(waits, "missing")


def test_pools_that_merge_or_always_stand_are_taken_as_they_are(tmp_path: Path) -> None:
    merging, standing = node_pool(), node_pool("standing")
    merging["spec"]["disruption"] = {"consolidationPolicy": "Balanced", "consolidateAfter": "1m"}
    standing["spec"] |= {"replicas": 2, "limits": {"nodes": "3"}}
    gates = "NodeOverlay=true,StaticCapacity=true"
    plain = reported(tmp_path, *by_hand(gates=gates))
    rest = [each for each in by_hand(gates=gates) if each["kind"] != "NodePool"]
    found = reported(tmp_path, *rest, merging, standing)
    told = {each for each in found.findings if each not in plain.findings}
    assert [each.text for each in told] == [
        "is static: 2 of its nodes stay, whoever leaves them, until its replicas are fewer"
    ]


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


def test_without_prices_the_nodes_are_those_that_are_cheapest_elsewhere(tmp_path: Path) -> None:
    """By vCPUs of a node alone 14 small ones went before three large ones that hold the same 40 pods."""
    small = {"requests": {"cpu": "900m", "memory": "3000Mi"}, "limits": {"nvidia.com/gpu": "1"}}
    pods = [pod(f"a{index}", owner="w") for index in range(40)]
    for each in pods:
        each["spec"]["containers"][0]["resources"] = small
    unpriced = next(name for name in sorted(REGIONS) if not prices.of(name).on_demand)
    found, priced = (
        reported(tmp_path, node_pool(), *pods, pod_mib=1000, region=region).proposal for region in (unpriced, REGION)
    )
    assert found.types, "else nothing is compared"
    assert (found.types, found.replicas, found.max_gpus) == (priced.types, priced.replicas, priced.max_gpus)


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


def test_a_dra_driver_that_is_there_must_go_before_claims_of_memory(tmp_path: Path) -> None:
    device_class = {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "gpu.nvidia.com"}}
    found = said(reported(tmp_path, *by_hand(), device_class), "note")
    assert "remove the driver, with this class, before you write such a pool" in found


@pytest.mark.parametrize(("version", "gates"), [("1.9.0", "NodeOverlay=false"), ("1.6.3", "NodeOverlay=true")])
def test_without_the_gate_nothing_is_shared_and_the_line_is_told(tmp_path: Path, version: str, gates: str) -> None:
    found = reported(tmp_path, *by_hand(version=version, gates=gates), pod_mib=5000)
    assert found.fits
    assert found.written.values["pools"][0]["sharing"] == {"strategy": "none"}
    assert "# sharing: { strategy: time-slicing, replicas: 4 }" in found.written.text
    missing = said(found, "missing")
    assert "settings.featureGates.nodeOverlay=true" in missing
    assert "the sums suppose it, the file shares nothing before it is on" in missing
    assert ("knows no NodeOverlay" in missing) is (version == "1.6.3")
    # Nobody showed definitions, and one of before overlays brought none.
    assert ("kubectl apply -f https://" in missing) is (version == "1.6.3")
    # A chart of before overlays knows nothing of the value.
    assert (
        f"--namespace kube-system --reuse-values --version {'VERSION' if version == '1.6.3' else version} " in missing
    )


def test_the_gates_line_is_for_the_release_that_is_there(tmp_path: Path) -> None:
    objects = by_hand(gates="NodeOverlay=false")
    controller = next(each for each in objects if each["kind"] == "Deployment")
    controller["metadata"]["namespace"] = "karpenter"
    assert "helm upgrade karpenter oci://public.ecr.aws/karpenter/karpenter --namespace karpenter " in said(
        reported(tmp_path, *objects, pod_mib=5000), "missing"
    )
    notes = {"meta.helm.sh/release-name": "prod-karpenter", "meta.helm.sh/release-namespace": "infra"}
    controller["metadata"]["annotations"] = notes
    again = tmp_path / "again"
    again.mkdir()
    assert "helm upgrade prod-karpenter oci://public.ecr.aws/karpenter/karpenter --namespace infra " in said(
        reported(again, *objects, pod_mib=5000), "missing"
    )


def test_overlays_without_a_definition_are_told_with_its_line(tmp_path: Path) -> None:
    """As where Karpenter's chart was raised from before 1.7, whatever the gate says."""
    pools, overlays = definition("nodepools.karpenter.sh"), definition("nodeoverlays.karpenter.sh")
    found = reported(tmp_path, *by_hand(), pools, pod_mib=5000)
    assert found.fits
    assert found.written.values["pools"][0]["sharing"] == {"strategy": "none"}
    line = "kubectl apply -f https://raw.githubusercontent.com/aws/karpenter-provider-aws/v1.9.0/pkg/apis/crds/"
    assert f"{line}karpenter.sh_nodeoverlays.yaml" in said(found, "missing")
    assert "gate NodeOverlay" in said(found, "fits")
    whole = tmp_path / "whole"
    whole.mkdir()
    found = reported(whole, *by_hand(), pools, overlays, pod_mib=5000)
    assert found.written.values["pools"][0]["sharing"]["strategy"] == "time-slicing"
    assert "NodeOverlay" not in said(found, "missing")


def test_without_a_karpenter_the_stacks_own_shares_and_groups_stay_until_somebody_scales_them(tmp_path: Path) -> None:
    nodes = [node(f"gpu-{number}") for number in range(2)]
    for each in nodes:
        del each["metadata"]["labels"]["karpenter.sh/nodepool"]
    pods = [pod(f"llm-{number}", f"gpu-{number}") for number in range(2)]
    found = reported(tmp_path, *nodes, *pods, pod_mib=5000)
    assert "karpenter" not in found.written.values
    assert found.written.values["pools"][0]["sharing"] == {"strategy": "time-slicing", "replicas": 4}
    assert "2 of no NodePool leave the sum when their group is scaled down" in said(found, "note")


# --- No Karpenter, or one whose definitions are there -----------------------------------------------------------------


def groups(number: int = 2) -> list[Object]:
    """GPU nodes of node groups, each with a pod."""
    nodes = [node(f"gpu-{index}") for index in range(number)]
    for each in nodes:
        del each["metadata"]["labels"]["karpenter.sh/nodepool"]
    return [*nodes, *(pod(f"llm-{index}", f"gpu-{index}") for index in range(number))]


def definition(name: str) -> Object:
    spec = {"group": name.partition(".")[2]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": spec,
    }


def test_what_the_account_would_say_stands_as_comments(tmp_path: Path) -> None:
    found = reported(tmp_path, *groups())
    assert found.fits
    assert loaded(found) == found.written.values
    assert "network" not in found.written.values
    assert set(found.written.guessed) == {"cluster.authenticationMode", "network.existing", "karpenter.identity"}
    look = "aws eks describe-cluster --region us-east-1 --name prod --query cluster."
    for words in (f"# {look}accessConfig.authenticationMode", f"# {look}resourcesVpcConfig", "# gpu-slices:network:"):
        assert words in found.written.text
    assert "kubectl get crd nodepools.karpenter.sh" in said(found, "note")
    assert f"{look}accessConfig.authenticationMode" in said(found, "unseen")
    # What is commented out loads, once it is no comment.
    text = found.written.text.replace("    # authenticationMode", "    authenticationMode")
    text = text.replace("  # gpu-slices:karpenter:", "  gpu-slices:karpenter:")
    text = text.replace("  # gpu-slices:network:", "  gpu-slices:network:").replace("  #   existing:", "    existing:")
    text = text.replace("subnet-ID, subnet-ID", "subnet-0a1b2c3d, subnet-4e5f6a7b").replace("sg-ID", "sg-0a1b2c3d")
    config = parse(
        {k.removeprefix(f"{PROJECT}:"): v for k, v in yaml.safe_load(text)["config"].items() if k.startswith(PROJECT)},
        stack="mine",
        region=REGION,
    )
    assert config.network.existing is not None
    assert config.network.existing.security_group_ids == ("sg-0a1b2c3d",)
    assert config.karpenter.identity == "irsa"


def test_what_the_account_says_stands_in_the_file(tmp_path: Path) -> None:
    there = inventory(read_export(write(tmp_path, groups())), cluster="prod", region=REGION)
    subnets, group = ["subnet-0a1b2c3d", "subnet-4e5f6a7b"], ["sg-0a1b2c3d"]
    place = {"subnetIds": subnets, "securityGroupIds": group}
    there = replace(there, rights=Rights(agent=True))
    found = report(replace(there, authentication_mode="API", network=place), "mine")
    assert found.fits
    assert loaded(found) == found.written.values
    config = parse(loaded(found), stack="mine", region=REGION)
    assert config.cluster.authentication_mode == "API"
    assert config.karpenter.existing is None
    assert config.network.existing is not None
    assert config.network.existing.subnet_ids == tuple(subnets)
    assert "#  gpu-slices:network" not in found.written.text
    assert not said(found, "unseen")
    by_tags = report(replace(there, authentication_mode="CONFIG_MAP", network={}), "mine")
    assert by_tags.fits
    assert "network" not in by_tags.written.text
    assert by_tags.written.values["cluster"]["authenticationMode"] == "CONFIG_MAP"


def by_web_identity() -> Object:
    """A pod without a GPU, to which EKS' webhook has given a role."""
    found = pod("exporter", "system-1")
    found["spec"]["containers"][0] = {"name": "x", "env": [{"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/token"}]}
    return found


@pytest.mark.parametrize(
    ("more", "identity", "status", "words"),
    [
        ([daemon_set("kube-proxy")], "irsa", "unseen", "aws iam list-open-id-connect-providers"),
        ([daemon_set("kube-proxy"), by_web_identity()], "irsa", "fits", "OIDC provider, karpenter.identity: irsa"),
        ([daemon_set("kube-proxy"), daemon_set("eks-pod-identity-agent")], "pod-identity", "fits", "runs"),
        ([daemon_set("agent", "eks-pod-identity-agent")], "pod-identity", "fits", "runs"),
        ([daemon_set("fluent-bit", "karpenter")], "pod-identity", "unseen", "aws eks list-addons"),
    ],
    ids=["none", "none-but-roles", "agent", "by-chart", "not-all-shown"],
)
def test_without_a_pod_identity_agent_karpenter_takes_the_oidc_provider(
    tmp_path: Path, more: list[Object], identity: str, status: str, words: str
) -> None:
    found = reported(tmp_path, *groups(), *more)
    assert loaded(found) == found.written.values
    config = parse(loaded(found), stack="mine", region=REGION)
    assert config.karpenter.identity == identity
    (line,) = [text for text in said(found, status).splitlines() if text.startswith("rights of Karpenter")]
    assert words in line
    assert found.fits


def test_where_iam_has_no_provider_either_the_agent_is_asked_for(tmp_path: Path) -> None:
    there = inventory(read_export(write(tmp_path, groups())), cluster="prod", region=REGION)
    found = report(replace(there, rights=Rights(agent=False, provider=False)), "mine")
    assert "karpenter" not in found.written.values


def test_a_karpenter_that_is_there_has_its_rights(tmp_path: Path) -> None:
    found = reported(tmp_path, *by_hand(daemon_set("kube-proxy")))
    assert "identity" not in found.written.text
    assert not [each for each in found.findings if each.about == "rights of Karpenter"]


def auto_pool() -> Object:
    """A pool of EKS Auto Mode that buys no GPUs, as EKS itself makes one."""
    found = node_pool("general-purpose", ("m7i",))
    spec = found["spec"]["template"]["spec"]
    spec["nodeClassRef"] = {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "default"}
    return found


def auto_node() -> Object:
    found = standing_node("i-0")
    found["metadata"]["labels"] |= {"eks.amazonaws.com/compute-type": "auto", "karpenter.sh/nodepool": "system"}
    return found


@pytest.mark.parametrize("sign", [auto_pool(), auto_node(), definition("nodeclasses.eks.amazonaws.com")])
def test_auto_mode_is_refused_by_whatever_shows_it(tmp_path: Path, sign: Object) -> None:
    found = reported(tmp_path, *groups(), sign)
    assert not found.fits
    assert "EKS Auto Mode: buys this cluster's nodes" in said(found, "missing")
    assert as_json(found)["autoMode"]


def test_a_karpenter_of_somebodys_in_auto_mode_is_taken(tmp_path: Path) -> None:
    found = reported(tmp_path, *by_hand(), auto_pool())
    assert found.there.auto_mode
    assert found.fits


def test_definitions_without_a_controller_are_refused(tmp_path: Path) -> None:
    found = reported(
        tmp_path, *groups(), definition("nodepools.karpenter.sh"), definition("crontabs.stable.example.com")
    )
    assert not found.fits
    assert "its definitions are there (nodepools.karpenter.sh)" in said(found, "missing")
    objects = read_export(write(tmp_path, groups()))
    objects.groups |= {"karpenter.sh", "karpenter.k8s.aws"}  # as a server lists them
    served = report(inventory(objects, cluster="prod", region=REGION), "mine")
    assert not served.fits
    assert "its definitions are there (karpenter.sh, karpenter.k8s.aws)" in said(served, "missing")


def test_pools_of_before_v1_alone_are_refused_and_beside_newer_ones_told(tmp_path: Path) -> None:
    beta = {**node_pool("old"), "apiVersion": "karpenter.sh/v1beta1"}
    found = reported(tmp_path, *groups(), beta)
    assert not found.fits
    assert "pools are karpenter.sh/v1beta1 alone, of before 1.0" in said(found, "missing")
    found = reported(tmp_path, *groups(), node_pool(), beta, node_class())
    assert found.fits
    assert "pools are karpenter.sh/v1beta1, of before 1.0: shared GPUs need Karpenter 1.7" in said(found, "missing")
    found = reported(tmp_path, *by_hand(), beta)
    assert found.fits
    left = "pools are karpenter.sh/v1beta1, of before 1.0, which 1.9.0 does not serve: write them as v1"
    assert left in said(found, "note")
    assert "Karpenter: 1.9.0" in said(found, "fits")
    assert not reported(tmp_path, *by_hand(version="0.37.0"), beta).fits


def test_nodes_of_a_karpenter_tell_of_it(tmp_path: Path) -> None:
    found = reported(tmp_path, node("gpu-0"), pod("llm", "gpu-0"))
    assert "chartVersion" in found.written.values["karpenter"]["existing"]
    assert "nothing tells its version" in said(found, "unseen")


# --- A plugin that is there -------------------------------------------------------------------------------------------

CONFIGS = config_map("plugin-configs", whole="version: v1\nflags: {migStrategy: none}\n")
TOLERATES = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    ("objects", "installer"),
    [
        ([plugin("plugin-configs", "whole", tolerations=TOLERATES), CONFIGS], "device-plugin"),
        # Nobody has to have read the ConfigMap where nodes without a label have their default.
        ([plugin("plugin-configs", "whole")], "device-plugin"),
        ([gpu_operator(), CONFIGS], "gpu-operator"),
        ([gpu_operator(daemonsets={"tolerations": TOLERATES}), CONFIGS], "gpu-operator"),
    ],
)
def test_a_plugin_that_reads_the_label_gets_the_pools_entry(
    tmp_path: Path, objects: list[Object], installer: str
) -> None:
    rest = [each for each in by_hand() if each["kind"] != "DaemonSet"]
    found = reported(tmp_path, *rest, *objects)
    assert found.fits, said(found, "missing")
    where = {"configMap": "plugin-configs", "namespace": "kube-system"}
    assert found.written.values["gpuSharing"] == {"installer": installer, "existing": where}
    assert loaded(found) == found.written.values
    assert "ami" not in found.written.values["pools"][0]
    assert "adds an entry to its ConfigMap kube-system/plugin-configs" in said(found, "fits")
    assert ("keep its driver, toolkit and MIG manager away" in said(found, "fits")) is (installer == "gpu-operator")


@pytest.mark.parametrize(
    ("objects", "why"),
    [
        ([plugin()], "it has no ConfigMap with configurations"),
        ([plugin("plugin-configs", "whole", reads=False), CONFIGS], "does not read the nodes' label"),
        ([plugin("plugin-configs"), CONFIGS], "it has no config.default"),
        ([plugin("plugin-configs", "whole", tolerations=[]), CONFIGS], "do not tolerate the taint nvidia.com/gpu=true"),
        ([gpu_operator()], "in which namespace its ConfigMap plugin-configs is"),
        ([gpu_operator(devicePlugin={}), CONFIGS], "devicePlugin.config.name"),
        ([gpu_operator(devicePlugin={"enabled": False}), CONFIGS], "its device plugin is off"),
        ([gpu_operator(daemonsets={"tolerations": [{"key": "other"}]}), CONFIGS], "do not tolerate the taint"),
        ([gpu_operator(), {**plugin("c", "d"), "metadata": {"name": "n", "namespace": "x"}}, CONFIGS], "are several"),
    ],
)
def test_where_a_plugin_cannot_take_it_nodes_bring_their_own_and_the_report_says_why(
    tmp_path: Path, objects: list[Object], why: str
) -> None:
    rest = [each for each in by_hand() if each["kind"] != "DaemonSet"]
    found = reported(tmp_path, *rest, *objects)
    assert found.written.values["pools"][0]["ami"] == "bottlerocket"
    assert "gpuSharing" not in found.written.values
    assert why in said(found, "note")


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
    told = said(found, "missing")
    assert "Kubernetes: 1.28 is not an EKS version that this release knows; must be " in told
    assert "Raise the cluster first, one minor version after the other" in told
    assert "gpu-slices:" not in " ".join(each.about for each in found.findings)  # no file has that key
    assert "Kubernetes" not in said(found, "fits")


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


def test_nodes_of_a_capacity_block_are_told_apart_from_reservations(tmp_path: Path) -> None:
    kind = "karpenter.k8s.aws/capacity-reservation-type"
    block, held = node("held-1", bought="reserved"), node("held-2", bought="reserved")
    block["metadata"]["labels"][kind] = "capacity-block"
    held["metadata"]["labels"][kind] = "default"
    pool = node_pool()
    requirements = pool["spec"]["template"]["spec"]["requirements"]
    next(each for each in requirements if each["key"] == "karpenter.sh/capacity-type")["values"] = ["reserved"]
    notes = said(reported(tmp_path, pool, node_class(), held), "note")
    assert "reserved capacity: is counted at its on-demand price, which AWS bills until the reservation ends" in notes
    assert "capacity blocks" not in notes
    requirements.append({"key": kind, "operator": "In", "values": ["capacity-block"]})
    found = reported(tmp_path, pool, node_class(), block)
    assert "capacity blocks: are counted at the on-demand price" in said(found, "note")
    assert "reserved capacity" not in said(found, "note")
    (row,) = [text for about, text in _there(found.there) if about == "NodePool gpus"]
    assert row.startswith("g6; capacity block; ")


def test_nodes_of_a_reservation_are_not_called_on_demand(tmp_path: Path) -> None:
    block = node("held-2", bought="reserved")
    block["metadata"]["labels"]["karpenter.k8s.aws/capacity-reservation-type"] = "capacity-block"
    found = reported(tmp_path, *by_hand(node("held-1", bought="reserved"), block))
    rows = dict(_there(found.there))
    assert rows["GPU nodes"] == "1 x g6.xlarge capacity block, 3 x g6.xlarge on-demand, 1 x g6.xlarge reserved"
    assert [each["capacityType"] for each in as_json(found)["gpuNodes"]][-2:] == ["reserved", "reserved"]


@pytest.mark.parametrize(
    ("named", "row"),
    [
        (["reserved", "on-demand"], "on-demand, reserved"),
        (["on-demand", "spot"], "spot, on-demand"),
        (None, "spot, on-demand"),
    ],
)
def test_reserved_capacity_is_told_of_pools_that_name_it(tmp_path: Path, named: list[str] | None, row: str) -> None:
    pool = node_pool()
    spec = pool["spec"]["template"]["spec"]
    spec["requirements"] = [each for each in spec["requirements"] if each["key"] != "karpenter.sh/capacity-type"]
    if named:
        spec["requirements"].append({"key": "karpenter.sh/capacity-type", "operator": "In", "values": named})
    assert dict(_there(reported(tmp_path, pool).there))["NodePool gpus"].startswith(f"g6; {row}; ")


# --- What others write ------------------------------------------------------------------------------------------------


def test_a_class_that_pools_name_and_nobody_showed_is_not_said_to_be_none(tmp_path: Path) -> None:
    assert dict(_there(reported(tmp_path, node_pool()).there))["EC2NodeClasses"] == "none seen; pools name theirs"


def test_what_nobody_looked_for_is_not_said_to_be_none(tmp_path: Path) -> None:
    rows = dict(_there(reported(tmp_path, node_pool("web", ("m7i",))).there))
    about = {"device plugin", "EC2NodeClasses", "NodeOverlays", "GPU nodes", "policy engines", "Knative"}
    assert {name for name, text in rows.items() if text == "none seen"} == about
    assert rows["GPU NodePools"] == "none"
    hook = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    others = [{**hook, "metadata": {"name": "vpc-resource-validating-webhook"}}, standing_node("n"), karpenter()]
    looked = dict(_there(reported(tmp_path, node_pool("web", ("m7i",)), *others).there))
    assert {looked[name] for name in ("policy engines", "Knative", "GPU nodes")} == {"none"}


def test_what_could_not_be_read_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "pools.yaml").write_text("apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: [\n")
    unseen = [each for each in reported(tmp_path, *by_hand()).findings if each.status == "unseen"]
    assert [each.about for each in unseen] == ["pools.yaml"]
    assert unseen[0].text.startswith("not YAML: ")


def test_pools_that_could_not_be_read_are_not_said_to_be_none(tmp_path: Path) -> None:
    objects = [each for each in by_hand() if each["kind"] != "NodePool"]
    assert dict(_there(reported(tmp_path, *objects, node_pool("web", ("m7i",))).there))["GPU NodePools"] == "none"
    (tmp_path / "pools.yaml").write_text("apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: [\n")
    assert dict(_there(reported(tmp_path, *objects).there))["GPU NodePools"] == "none seen"


def test_what_a_template_leaves_to_be_filled_in_is_not_taken_for_seen(tmp_path: Path) -> None:
    terms = [{"tags": {"tier": "private", "Name": "${name}"}}]
    others = [each for each in by_hand() if each["kind"] != "EC2NodeClass"]
    found = reported(tmp_path, *others, node_class(role="${role}", subnetSelectorTerms=terms))
    unseen = said(found, "unseen")
    assert "role of nodes: EC2NodeClass theirs has it filled in elsewhere: write it" in unseen
    assert "found by karpenter.sh/discovery=prod, unless the file names them" in unseen
    assert "subnetTags" not in found.written.values["karpenter"]["existing"]  # by the half of them it would find more


def test_tags_with_a_wildcard_stand_in_the_file_as_karpenter_takes_them(tmp_path: Path) -> None:
    others = [each for each in by_hand() if each["kind"] != "EC2NodeClass"]
    for number, tags in enumerate(({"Name": "nodes-*"}, {"kubernetes.io/cluster/prod": "*"})):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = reported(folder, *others, node_class(subnetSelectorTerms=[{"tags": tags}]))
        assert found.fits
        assert loaded(found)["karpenter"]["existing"]["subnetTags"] == tags  # type: ignore[index]
    (tmp_path / "none").mkdir()
    found = reported(tmp_path / "none", *others, node_class(subnetSelectorTerms=[{"tags": {"Name": ""}}]))
    assert "subnets: EC2NodeClass theirs has neither ids nor tags of them" in said(found, "missing")


def test_what_a_class_has_of_its_own_is_said_not_to_be_taken_over(tmp_path: Path) -> None:
    own = {"userData": "[settings]", "instanceStorePolicy": "RAID0", "amiSelectorTerms": [{"name": "ours-*"}]}
    others = [each for each in by_hand() if each["kind"] != "EC2NodeClass"]
    notes = said(reported(tmp_path, *others, node_class(**own)), "note")
    assert "EC2NodeClass theirs: userData, instanceStorePolicy and amiSelectorTerms: not taken over" in notes
    plain = tmp_path / "plain"
    plain.mkdir()
    assert "not taken over" not in said(reported(plain, *by_hand()), "note")


def test_sums_without_the_nodes_of_a_static_pool_say_what_they_suppose(tmp_path: Path) -> None:
    pool = node_pool()
    pool["spec"] |= {"replicas": 3, "limits": {"nodes": "3"}}
    found = reported(tmp_path, *[each for each in by_hand() if each["kind"] != "NodePool"], pool, pod_mib=5000)
    assert found.rows[-1].nodes == 1
    assert "stay, whoever leaves them, until its replicas are fewer, as the sums suppose" in said(found, "note")


def test_without_a_file_nothing_is_said_of_one(tmp_path: Path) -> None:
    beta = {**node_pool(), "apiVersion": "karpenter.sh/v1beta1"}
    for number, objects in enumerate(
        ([*by_hand(version="0.36.2", gates=""), beta], [auto_pool(), plugin(), *groups()])
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = reported(folder, *objects)
        assert not found.fits
        texts = " ".join(f"{each.text} {each.line}" for each in found.findings)
        assert "the file" not in texts
        assert "helm upgrade" not in texts  # it would skip 1.0, without which pools of v1beta1 are lost
    assert "by way of 1.0" in said(reported(tmp_path / "0", *by_hand(version="0.36.2"), beta), "missing")


def test_a_pool_of_auto_mode_has_whole_gpus(tmp_path: Path) -> None:
    pool = auto_pool()
    pool["spec"]["template"]["spec"]["requirements"] = [
        {"key": "eks.amazonaws.com/instance-family", "operator": "In", "values": ["g6"]}
    ]
    assert dict(_there(reported(tmp_path, pool).there))["NodePool general-purpose"].endswith("; whole GPUs")
