"""GpuPool: everything about a pool's slots from one sharing profile."""

import tomllib
from dataclasses import fields
from datetime import date
from email import message_from_string
from typing import Any

import pulumi
import pytest
import yaml

from components.gpu.gpu_pool import GpuPool, GpuPoolArgs, gpu_node_pool_spec, overlay_spec
from components.karpenter.karpenter import Karpenter, KarpenterArgs
from components.karpenter.node_class import ClusterNodes, Volume
from gpu.catalog import INSTANCE_TYPES, types_in
from gpu.pool import Pool
from gpu.prices import of
from gpu.sharing import Mig, Mps, NoSharing, SharingError, SharingProfile, TimeSlicing
from gpu.sharing.plugin_config import config_name
from tests.unit.components.recording import Recording, record

NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
NODE_OVERLAY = "kubernetes:karpenter.sh/v1alpha1:NodeOverlay"
NODE_CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"

NODES = ClusterNodes(cluster_name="c", node_role_name="c-node")
G6 = types_in(["g6"])
P5 = types_in(["p5"])


def pool(profile: SharingProfile, **changes: Any) -> Recording[GpuPool]:
    """A recorded pool of g6 instances, or as `changes` say."""

    def program() -> GpuPool:
        own = {field.name for field in fields(Pool)}
        about = {
            "name": "shared",
            "types": G6,
            "max_gpus": 8,
            "prices": of("us-east-1"),
            **{k: v for k, v in changes.items() if k in own},
        }
        rest = {key: value for key, value in changes.items() if key not in own}
        return GpuPool("gpu", GpuPoolArgs(nodes=NODES, pool=Pool(profile=profile, **about), **rest))

    return record(program)


def spec(recording: Recording[GpuPool], type_: str) -> Any:
    """The spec of the recording's only object of a type."""
    return recording.one(type_).inputs["spec"]


def labels(recording: Recording[GpuPool]) -> dict[str, str]:
    """Labels that the pool gives its nodes."""
    return dict(spec(recording, NODE_POOL)["template"]["metadata"]["labels"])


def test_a_time_sliced_pool_has_an_overlay_for_each_gpu_count() -> None:
    recording = pool(TimeSlicing(4))
    capacities = {o.name: o.inputs["spec"]["capacity"] for o in recording.of_type(NODE_OVERLAY)}
    assert capacities == {
        "gpu-overlay-1": {"nvidia.com/gpu": "4"},
        "gpu-overlay-4": {"nvidia.com/gpu": "16"},
        "gpu-overlay-8": {"nvidia.com/gpu": "32"},
    }
    assert spec(recording, NODE_POOL)["limits"] == {"nvidia.com/gpu": "32"}


def test_renamed_slots_hide_the_physical_gpu() -> None:
    recording = pool(Mps(3, rename=True), types=types_in(names=["g6.xlarge"]))
    assert spec(recording, NODE_OVERLAY)["capacity"] == {"nvidia.com/gpu.shared": "3", "nvidia.com/gpu": "0"}
    assert spec(recording, NODE_POOL)["limits"] == {"nvidia.com/gpu.shared": "24", "nvidia.com/gpu": "8"}


def test_whole_gpus_need_no_overlay() -> None:
    recording = pool(NoSharing())
    assert recording.of_type(NODE_OVERLAY) == []
    assert spec(recording, NODE_POOL)["limits"] == {"nvidia.com/gpu": "8"}


def test_overlays_touch_their_pool_only_and_no_price() -> None:
    overlay = overlay_spec("shared", 4, {"nvidia.com/gpu": 16})
    assert overlay["requirements"] == [
        {"key": "karpenter.sh/nodepool", "operator": "In", "values": ["shared"]},
        {"key": "karpenter.k8s.aws/instance-gpu-count", "operator": "In", "values": ["4"]},
    ]
    assert not {"price", "priceAdjustment"} & set(overlay)


def test_nodes_are_spot_and_of_the_listed_types() -> None:
    requirements = {r["key"]: (r["operator"], r["values"]) for r in _requirements(pool(TimeSlicing(2)))}
    assert requirements == {
        "kubernetes.io/arch": ("In", ["amd64"]),
        "kubernetes.io/os": ("In", ["linux"]),
        "karpenter.sh/capacity-type": ("In", ["spot"]),
        "node.kubernetes.io/instance-type": ("In", [t.name for t in G6]),
    }


def _requirements(recording: Recording[GpuPool]) -> list[dict[str, Any]]:
    return list(spec(recording, NODE_POOL)["template"]["spec"]["requirements"])


def test_on_demand_carries_its_justification_and_date() -> None:
    changes = {"purchase": "on-demand", "justification": "GPU-1: because of this", "expires": date(2027, 1, 2)}
    recording = pool(Mps(2), **changes)
    annotations = recording.one(NODE_POOL).inputs["metadata"]["annotations"]
    assert annotations["gpu-slices/on-demand-justification"] == "GPU-1: because of this"
    assert annotations["gpu-slices/on-demand-expires"] == "2027-01-02"
    assert ("karpenter.sh/capacity-type", ["on-demand"]) in [(r["key"], r["values"]) for r in _requirements(recording)]


@pytest.mark.parametrize("missing", ["justification", "expires"])
def test_on_demand_without_its_reason_is_refused(missing: str) -> None:
    changes: dict[str, Any] = {"justification": "GPU-1: because of this", "expires": date(2027, 1, 2)}
    with pytest.raises(ValueError, match="pool shared: on-demand GPUs need a justification and a date"):
        pool(Mps(2), purchase="on-demand", **{**changes, missing: None})


def test_spot_pools_carry_no_justification() -> None:
    annotations = pool(Mps(2)).one(NODE_POOL).inputs["metadata"]["annotations"]
    assert set(annotations) == {"pulumi.com/waitFor"}


def test_labels_select_the_plugin_configuration() -> None:
    assert labels(pool(TimeSlicing(2))) == {
        "gpu-slices/pool": "shared",
        "gpu-slices/sharing": "time-slicing",
        "gpu-slices/tenants": "trusted",
        "nvidia.com/device-plugin.config": config_name("shared", TimeSlicing(2)),
        "nvidia.com/gpu.present": "true",
    }
    assert labels(pool(Mps(2)))["nvidia.com/mps.capable"] == "true"
    assert labels(pool(Mig("1g.10gb"), types=P5, tenants="untrusted"))["gpu-slices/tenants"] == "untrusted"


def test_bottlerocket_configures_itself_and_gets_no_plugin_pods() -> None:
    recording = pool(Mps(5), ami="bottlerocket")
    assert labels(recording) == {
        "gpu-slices/pool": "shared",
        "gpu-slices/sharing": "mps",
        "gpu-slices/tenants": "trusted",
        "nvidia.com/gpu.deploy.operands": "false",
    }
    settings = tomllib.loads(spec(recording, NODE_CLASS)["userData"])
    nvidia = settings["settings"]["kubelet-device-plugins"]["nvidia"]
    assert nvidia["device-sharing-strategy"] == "mps"
    assert nvidia["mps"] == {"replicas": 5, "rename-by-default": False}


def test_al2023_cuts_mig_instances_before_the_kubelet_starts() -> None:
    recording = pool(Mig("2g.20gb"), types=P5)
    parts: Any = message_from_string(spec(recording, NODE_CLASS)["userData"]).get_payload()
    (script,) = [part.get_payload() for part in parts]
    assert "ExecStart=/usr/local/sbin/gpu-slices-mig 2g.20gb 3\n" in script
    assert spec(recording, NODE_POOL)["limits"] == {"nvidia.com/mig-2g.20gb": "24", "nvidia.com/gpu": "8"}


def test_one_script_cannot_cut_gpus_into_different_numbers() -> None:
    types = [INSTANCE_TYPES["p5.4xlarge"], INSTANCE_TYPES["p4d.24xlarge"]]
    with pytest.raises(SharingError, match=r"do not all hold 7 instances of 1g\.10gb"):
        pool(Mig("1g.10gb"), types=types)


def test_al2023_pulls_images_in_parallel_where_it_is_asked_to() -> None:
    recording = pool(Mig("2g.20gb"), types=P5, fast_image_pull=True)
    parts: Any = message_from_string(spec(recording, NODE_CLASS)["userData"]).get_payload()
    assert [part.get_content_type() for part in parts] == ["text/x-shellscript", "application/node.eks.aws"]
    config = yaml.safe_load(parts[1].get_payload())
    assert (config["apiVersion"], config["kind"]) == ("node.eks.aws/v1alpha1", "NodeConfig")
    assert config["spec"] == {"featureGates": {"FastImagePull": True}}
    alone: Any = message_from_string(spec(pool(TimeSlicing(2), fast_image_pull=True), NODE_CLASS)["userData"])
    assert len(alone.get_payload()) == 1


def test_bottlerocket_pulls_images_in_parallel_where_it_is_asked_to() -> None:
    recording = pool(TimeSlicing(2), ami="bottlerocket", fast_image_pull=True)
    settings = tomllib.loads(spec(recording, NODE_CLASS)["userData"])["settings"]
    assert settings["container-runtime"] == {"snapshotter": "soci"}
    soci = settings["container-runtime-plugins"]["soci-snapshotter"]
    assert soci["pull-mode"] == "parallel-pull-unpack"
    assert settings["kubelet-device-plugins"]["nvidia"]["time-slicing"]["replicas"] == 2


def test_the_nodes_own_disks_and_snapshots_are_used_where_it_is_said() -> None:
    assert "instanceStorePolicy" not in spec(pool(TimeSlicing(2)), NODE_CLASS)
    assert spec(pool(TimeSlicing(2), instance_store=True), NODE_CLASS)["instanceStorePolicy"] == "RAID0"
    volume = Volume(size_gib=100, snapshot_id="snap-1", initialization_mib_per_s=300)
    recording = pool(TimeSlicing(2), ami="bottlerocket", volume=volume)
    system, data = [device["ebs"] for device in spec(recording, NODE_CLASS)["blockDeviceMappings"]]
    assert "snapshotID" not in system
    assert (data["snapshotID"], data["volumeInitializationRate"]) == ("snap-1", 300)


def test_nothing_but_mig_and_bottlerocket_needs_user_data() -> None:
    assert "userData" not in spec(pool(TimeSlicing(2)), NODE_CLASS)


def test_only_empty_nodes_are_consolidated_and_at_once() -> None:
    disruption = spec(pool(TimeSlicing(2)), NODE_POOL)["disruption"]
    assert disruption["consolidationPolicy"] == "WhenEmpty"
    assert disruption["budgets"] == [
        {"nodes": "100%", "reasons": ["Empty"]},
        {"nodes": "1", "reasons": ["Drifted"]},
    ]


def test_nodes_merge_one_at_a_time_where_the_pool_says_so() -> None:
    disruption = spec(pool(TimeSlicing(2), consolidation_policy="Balanced"), NODE_POOL)["disruption"]
    assert disruption["consolidationPolicy"] == "Balanced"
    assert {"nodes": "1", "reasons": ["Underutilized"]} in disruption["budgets"]


def test_a_static_pool_says_its_nodes_and_limits_nothing_else() -> None:
    """The API server refuses more, and weights (karpenter.sh_nodepools.yaml, `x-kubernetes-validations`)."""
    found = spec(pool(TimeSlicing(2), static=2, types=types_in(names=["g6.xlarge"]), max_gpus=3), NODE_POOL)
    assert (found["replicas"], found["limits"]) == (2, {"nodes": "3"})
    assert "weight" not in found
    assert "replicas" not in spec(pool(TimeSlicing(2)), NODE_POOL)


def test_one_unhealthy_node_at_a_time_is_replaced_where_karpenter_repairs() -> None:
    budgets = spec(pool(TimeSlicing(2), node_repair=True), NODE_POOL)["disruption"]["budgets"]
    assert {"nodes": "1", "reasons": ["Unhealthy"]} in budgets


def test_only_gpu_workloads_get_on_gpu_nodes() -> None:
    assert spec(pool(TimeSlicing(2)), NODE_POOL)["template"]["spec"]["taints"] == [
        {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
    ]


def test_a_gpu_that_cannot_be_shared_that_way_is_refused() -> None:
    with pytest.raises(SharingError, match="NVIDIA L4 has no MIG profile"):
        pool(Mig("1g.10gb"))


def test_what_the_nodes_need_outlives_them() -> None:
    def program() -> GpuPool:
        plugin = pulumi.CustomResource("test:index:Plugin", "plugin")
        karpenter = Karpenter(
            "karpenter",
            KarpenterArgs(cluster_name="c", account_id="123456789012", region="us-east-1", volume_key_arn="arn:key"),
        )
        arguments = GpuPoolArgs(
            nodes=karpenter.nodes,
            pool=Pool(name="shared", profile=TimeSlicing(2), types=G6, max_gpus=8, prices=of("us-east-1")),
        )
        assert gpu_node_pool_spec(arguments)["limits"] == {"nvidia.com/gpu": "16"}
        return GpuPool("gpu", arguments, pulumi.ResourceOptions(depends_on=[plugin, karpenter.ready]))

    recording = record(program)
    for longer in ("plugin", "karpenter-controller", "gpu-class", "gpu-overlay-1"):
        found = [r for r in recording.resources if r.name == longer and r.type != "gpu-slices:index:ControllerRole"]
        assert any(recording.outlives(each, recording.one(NODE_POOL)) for each in found), longer


def test_nodes_of_untrusted_tenants_hand_gpus_out_by_slots_alone() -> None:
    closed = "accept-nvidia-visible-devices-envvar-when-unprivileged=false"
    whole = spec(pool(NoSharing(), tenants="untrusted"), NODE_CLASS)["userData"]
    assert closed in whole
    cut = pool(Mig("1g.10gb"), types=types_in(names=["p5.4xlarge"]), tenants="untrusted", fast_image_pull=True)
    kinds = [part.get_content_type() for part in message_from_string(spec(cut, NODE_CLASS)["userData"]).get_payload()]  # type: ignore[union-attr]
    assert kinds == ["text/x-shellscript", "text/x-shellscript", "application/node.eks.aws"]
    assert "userData" not in spec(pool(NoSharing()), NODE_CLASS)


@pytest.mark.parametrize("profile", [NoSharing(), Mig("1g.10gb")])
def test_bottlerocket_nodes_of_untrusted_tenants_say_what_is_its_default(profile: SharingProfile) -> None:
    types = types_in(names=["p5.48xlarge"])
    arguments: Any = {"types": types, "ami": "bottlerocket"}
    settings = tomllib.loads(spec(pool(profile, tenants="untrusted", **arguments), NODE_CLASS)["userData"])["settings"]
    assert settings["nvidia-container-runtime"] == {
        "visible-devices-as-volume-mounts": True,
        "visible-devices-envvar-when-unprivileged": False,
    }
    plugin = settings["kubelet-device-plugins"]["nvidia"]
    assert plugin.pop("device-list-strategy") == "volume-mounts"
    trusted = tomllib.loads(spec(pool(profile, **arguments), NODE_CLASS)["userData"])["settings"]
    assert trusted == {"kubelet-device-plugins": {"nvidia": plugin}}
