"""CPU pools and the node classes that all pools share."""

from __future__ import annotations

import functools
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s
import pytest

import versions
from components.karpenter.cpu_pool import CpuPool, CpuPoolArgs
from components.karpenter.karpenter import Karpenter, KarpenterArgs
from components.karpenter.node_class import ClusterNodes, NodeClassArgs, Volume, node_class_spec
from gpu.catalog import FAMILIES
from tests.unit.components.recording import Recording, record

NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
NODE_CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
KEY = "arn:aws:kms:us-east-1:123456789012:key/volumes"


def program(**changes: Any) -> CpuPool:
    cloud, cluster = aws.Provider("aws", region="us-east-1"), k8s.Provider("k8s", kubeconfig="{}")
    karpenter = Karpenter(
        "karpenter",
        KarpenterArgs(
            cluster_name="gpu-slices-test",
            account_id="123456789012",
            region="us-east-1",
            volume_key_arn=KEY,
            tags={"cost-center": "research"},
        ),
        pulumi.ResourceOptions(providers=[cloud, cluster]),
    )
    arguments: dict[str, Any] = {"nodes": karpenter.nodes, "pool": "x86", "arch": "amd64"}
    opts = pulumi.ResourceOptions(providers=[cluster], depends_on=[karpenter.ready])
    return CpuPool("cpu-x86", CpuPoolArgs(**(arguments | changes)), opts)


def test_nodes_have_the_taints_that_were_asked_for_and_no_empty_list() -> None:
    taint = {"key": "graviton", "value": "true", "effect": "NoSchedule"}
    spec = record(lambda: program(taints=[taint])).one(NODE_POOL).inputs["spec"]["template"]["spec"]
    assert spec["taints"] == [taint]
    assert "taints" not in recorded().one(NODE_POOL).inputs["spec"]["template"]["spec"]


@functools.cache
def recorded() -> Recording[CpuPool]:
    return record(program)


@pytest.fixture
def recording() -> Recording[CpuPool]:
    return recorded()


def node_class(**changes: Any) -> dict[str, Any]:
    nodes: dict[str, Any] = {
        "cluster_name": "gpu-slices-test",
        "node_role_name": "gpu-slices-test-karpenter-node",
        "volume_key_arn": KEY,
    }
    nodes |= {
        key: changes.pop(key) for key in ("subnet_tags", "security_group_tags", "volume_key_arn") if key in changes
    }
    arguments: dict[str, Any] = {"nodes": ClusterNodes(**nodes), "pool": "x86"}
    return node_class_spec(NodeClassArgs(**(arguments | changes)))


def requirements(recording: Recording[Any]) -> dict[str, tuple[str, list[str] | None]]:
    template = recording.one(NODE_POOL).inputs["spec"]["template"]["spec"]
    return {each["key"]: (each["operator"], each.get("values")) for each in template["requirements"]}


# --- NodePool ---------------------------------------------------------------------------------------------------------


def test_an_x86_pool_buys_small_current_instances_spot_first(recording: Recording[CpuPool]) -> None:
    assert requirements(recording) == {
        "kubernetes.io/arch": ("In", ["amd64"]),
        "kubernetes.io/os": ("In", ["linux"]),
        "karpenter.sh/capacity-type": ("In", ["spot", "on-demand"]),
        "karpenter.k8s.aws/instance-category": ("In", ["c", "m", "r"]),
        "karpenter.k8s.aws/instance-cpu": ("In", ["2", "4"]),
        "karpenter.k8s.aws/instance-generation": ("Gt", ["6"]),
        "karpenter.k8s.aws/instance-gpu-count": ("DoesNotExist", None),
    }


def test_a_graviton_pool_differs_by_its_architecture() -> None:
    x86, arm = record(program), record(lambda: program(arch="arm64"))
    changed = {key for key, value in requirements(arm).items() if value != requirements(x86)[key]}
    assert changed == {"kubernetes.io/arch"}
    assert requirements(arm)["kubernetes.io/arch"] == ("In", ["arm64"])


def test_no_gpu_family_is_of_the_pools_categories() -> None:
    """The pool says so outright as well; this is the second lock."""
    assert not {family[0] for family in FAMILIES} & {"c", "m", "r"}


def test_nodes_carry_the_labels_that_workloads_ask_for(recording: Recording[CpuPool]) -> None:
    template = recording.one(NODE_POOL).inputs["spec"]["template"]
    assert template["metadata"]["labels"] == {"intent": "apps", "gpu-slices/pool": "x86"}
    assert "taints" not in template["spec"]


def test_the_pool_is_limited_and_gives_nodes_back(recording: Recording[CpuPool]) -> None:
    spec = recording.one(NODE_POOL).inputs["spec"]
    assert spec["limits"] == {"cpu": "64", "memory": "256Gi"}
    assert spec["disruption"]["consolidationPolicy"] == "WhenEmptyOrUnderutilized"
    assert spec["disruption"]["consolidateAfter"] == "1m"
    assert spec["template"]["spec"]["expireAfter"] == "336h"


def test_the_pool_names_its_own_class(recording: Recording[CpuPool]) -> None:
    pool, class_ = recording.one(NODE_POOL), recording.one(NODE_CLASS)
    assert pool.inputs["metadata"]["name"] == class_.inputs["metadata"]["name"] == "x86"
    assert pool.inputs["spec"]["template"]["spec"]["nodeClassRef"] == {
        "group": "karpenter.k8s.aws",
        "kind": "EC2NodeClass",
        "name": "x86",
    }


# --- Order ------------------------------------------------------------------------------------------------------------


def test_the_pool_goes_before_its_class_and_both_before_the_controller(recording: Recording[CpuPool]) -> None:
    pool, class_ = recording.one(NODE_POOL), recording.one(NODE_CLASS)
    controller = recording.one("kubernetes:helm.sh/v3:Release", "karpenter-controller")
    assert {class_.urn, controller.urn} <= {*pool.dependencies}
    assert controller.urn in class_.dependencies


def test_destroy_waits_for_the_instances_and_never_skips_them(recording: Recording[CpuPool]) -> None:
    grace = recording.one(NODE_POOL).inputs["spec"]["template"]["spec"]["terminationGracePeriod"]
    for each in (recording.one(NODE_POOL), recording.one(NODE_CLASS)):
        assert minutes(each.custom_timeouts["delete"]) >= 2 * minutes(grace)
        assert each.deleted_with == ""
        assert each.retain_on_delete is False
        assert each.inputs["metadata"]["annotations"]["pulumi.com/waitFor"] == "condition=Ready"
        assert each.provider.endswith("::k8s")


def minutes(duration: str) -> int:
    assert duration.endswith("m")
    return int(duration[:-1])


# --- EC2NodeClass -----------------------------------------------------------------------------------------------------


def test_a_class_finds_the_clusters_network_by_its_tag(recording: Recording[CpuPool]) -> None:
    spec = recording.one(NODE_CLASS).inputs["spec"]
    terms = [{"tags": {"karpenter.sh/discovery": "gpu-slices-test"}}]
    assert spec["subnetSelectorTerms"] == spec["securityGroupSelectorTerms"] == terms
    assert spec["role"] == "gpu-slices-test-karpenter-node"
    assert spec["tags"] == {
        "cost-center": "research",
        "gpu-slices/cluster": "gpu-slices-test",
        "gpu-slices/pool": "x86",
    }


@pytest.mark.parametrize("ami", ["al2023", "bottlerocket"])
def test_nodes_are_closed_whatever_their_image(ami: str) -> None:
    spec = node_class(ami=ami)
    assert spec["metadataOptions"]["httpTokens"] == "required"
    assert spec["metadataOptions"]["httpPutResponseHopLimit"] == 1
    assert spec["associatePublicIPAddress"] is False
    for mapping in spec["blockDeviceMappings"]:
        assert mapping["ebs"]["encrypted"] is True
        assert mapping["ebs"]["kmsKeyID"] == KEY
        assert mapping["ebs"]["deleteOnTermination"] is True
    [term] = spec["amiSelectorTerms"]
    assert term["alias"] == versions.AMI_ALIASES[ami]
    assert term["alias"].startswith(f"{ami}@v")
    assert not term["alias"].endswith("latest")


def test_the_large_volume_is_where_the_image_keeps_its_data() -> None:
    volume = Volume(size_gib=200, iops=6000, throughput_mib_per_s=600)

    def sizes(ami: str) -> dict[str, str]:
        mappings = node_class(ami=ami, volume=volume)["blockDeviceMappings"]
        return {mapping["deviceName"]: mapping["ebs"]["volumeSize"] for mapping in mappings}

    assert sizes("al2023") == {"/dev/xvda": "200Gi"}
    assert sizes("bottlerocket") == {"/dev/xvda": "6Gi", "/dev/xvdb": "200Gi"}
    data = node_class(ami="bottlerocket", volume=volume)["blockDeviceMappings"][1]["ebs"]
    assert (data["iops"], data["throughput"]) == (6000, 600)


def test_what_is_not_asked_for_is_not_written() -> None:
    assert {"userData", "instanceStorePolicy", "kubelet"}.isdisjoint(node_class())
    full = node_class(user_data="[settings]", instance_store_policy="RAID0", max_pods=58)
    assert full["userData"] == "[settings]"
    assert full["instanceStorePolicy"] == "RAID0"
    assert full["kubelet"] == {"maxPods": 58}


def test_tags_cannot_hide_which_pool_and_cluster_pay() -> None:
    tags = node_class(tags={"gpu-slices/pool": "other", "team": "ml"})["tags"]
    assert tags == {"gpu-slices/pool": "x86", "gpu-slices/cluster": "gpu-slices-test", "team": "ml"}


def test_a_throughput_that_ebs_refuses_is_refused_here() -> None:
    Volume(iops=3000, throughput_mib_per_s=750)
    with pytest.raises(ValueError, match="800 MiB/s needs 3200 IOPS, 3000 give at most 750 MiB/s"):
        Volume(iops=3000, throughput_mib_per_s=800)


def test_nodes_of_a_cluster_of_ones_own_are_found_by_its_own_tags() -> None:
    spec = node_class(subnet_tags={"tier": "private"}, security_group_tags={"Name": "nodes"}, volume_key_arn=None)
    assert spec["subnetSelectorTerms"] == [{"tags": {"tier": "private"}}]
    assert spec["securityGroupSelectorTerms"] == [{"tags": {"Name": "nodes"}}]
    (device,) = spec["blockDeviceMappings"]
    assert device["ebs"]["encrypted"] is True
    assert "kmsKeyID" not in device["ebs"]
