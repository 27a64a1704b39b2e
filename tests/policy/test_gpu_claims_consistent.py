"""The rules on claims of memory, in any program's words; and the limits of pools whose pods claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules import gpu_ceiling, gpu_claims_consistent, gpu_claims_say_memory, pool_gpu_limit, sharing_consistency
from tests.policy.claims import (
    GOOD,
    LABELS,
    OWN,
    RELEASE,
    claimed,
    driver,
    karpenter,
)
from tests.policy.platform import GPU, config, node_class, overlay, plugin, pool, release, section
from tests.policy.support import UNKNOWN, judged, recorded


@pytest.mark.parametrize(
    "rule", [gpu_ceiling, gpu_claims_consistent, gpu_claims_say_memory, pool_gpu_limit, sharing_consistency]
)
def test_a_platform_of_claims_is_good(rule: Any) -> None:
    assert [verdict.message for verdict in judged(rule.RULE, *GOOD)] == []


def test_both_worlds_side_by_side_are_good() -> None:
    beside = (node_class(name="b"), pool(name="b"), overlay({GPU: "4"}, pool="b", name="b"))
    shared = release("b", b=config(timeSlicing=section()))
    for rule in (gpu_claims_consistent, sharing_consistency, pool_gpu_limit):
        assert [verdict.message for verdict in judged(rule.RULE, *GOOD, *beside, shared)] == []


# --- Limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({GPU: "4"}, "limits nvidia.com/gpu, and nodes whose memory is claimed are not counted by that"),
        ({"memory": "64Gi", "nodes": "1"}, "limits memory, nodes, and"),
        ({}, "can launch g5.xlarge without end; limit cpu"),
        ({"cpu": UNKNOWN}, "spec.limits.cpu must be a literal"),
        ({"cpu": "many"}, "no Kubernetes quantity"),
        ({"cpu": "-1"}, "buys nothing"),
    ],
)
def test_only_vcpus_limit_nodes_of_claims(limits: Mapping[str, Any], said: str) -> None:
    (verdict,) = judged(pool_gpu_limit.RULE, claimed(), pool(labels=LABELS, limits=dict(limits)))
    assert said in verdict.message


def test_vcpus_count_as_the_gpus_that_come_with_them() -> None:
    """80 vCPUs are 20 g5.xlarge, and 10 g5.2xlarge."""
    (verdict,) = judged(gpu_ceiling.RULE, claimed(), pool("g5.xlarge", "g5.2xlarge", limits={"cpu": "80"}))
    assert "can have 20 GPUs" in verdict.message
    assert judged(gpu_ceiling.RULE, claimed(), pool("g5.2xlarge", limits={"cpu": "80"})) == []
    assert judged(gpu_ceiling.RULE, claimed(), pool(limits={"cpu": UNKNOWN}))
    # The same pool by slots: nothing of it is told by vCPUs.
    assert judged(gpu_ceiling.RULE, node_class(), pool("g5.xlarge", limits={"cpu": "80", GPU: "4"})) == []


# --- What the nodes offer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stated", [None, "1", UNKNOWN])
def test_a_node_of_claims_must_offer_no_gpu_to_others(stated: Any) -> None:
    overlays = [] if stated is None else [overlay({GPU: stated})]
    (verdict,) = judged(sharing_consistency.RULE, claimed(), pool(**OWN), *overlays)
    assert 'must state "nvidia.com/gpu": "0"' in verdict.message


# --- Gates and owners -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        (karpenter(clusterName="c"), "Karpenter's gate for it is off"),
        (karpenter(awsFeatureGates={"draNVIDIAGPU": False}), "Karpenter's gate for it is off"),
        (karpenter(awsFeatureGates={"draNVIDIAGPU": UNKNOWN}), "must be a literal"),
        (driver(consumableShares="4"), "consumableShares is 4, and EC2NodeClasses say memory"),
        (driver(consumableShares=""), "consumableShares is not set"),
        (driver(featureGates={}), "featureGates.ConsumableShares of the driver is off"),
        (driver(consumableShares=UNKNOWN), "must be a literal"),
        (claimed(UNKNOWN), "must be a literal"),
    ],
)
def test_what_disagrees_about_claims_is_found(resource: Recorded, said: str) -> None:
    rest = [each for each in GOOD if each.name != resource.name]
    found = [verdict.message for verdict in judged(gpu_claims_consistent.RULE, *rest, resource)]
    assert [message for message in found if said in message], found


@pytest.mark.parametrize("settings", [{"enableDRA": True}, {"awsFeatureGates": {"draNVIDIAGPU": "true"}}])
def test_each_way_to_the_gate_counts(settings: dict[str, Any]) -> None:
    rest = [each for each in GOOD if each.name != "karpenter"]
    assert judged(gpu_claims_consistent.RULE, *rest, karpenter(**settings)) == []


def test_the_definitions_chart_has_no_gate() -> None:
    crds = recorded(RELEASE, {"chart": "oci://public.ecr.aws/karpenter/karpenter-crd"}, "crds")
    assert judged(gpu_claims_consistent.RULE, *GOOD, crds) == []


@pytest.mark.parametrize(
    "owner",
    [
        release("gpu", name="a", a=config()),
        release("gpu", name="a", selector={}, a=config()),
        release("gpu", name="a", selector={"nvidia.com/gpu.present": "true"}, a=config()),
        plugin(),
        recorded(RELEASE, {"chart": "nvidia-device-plugin"}, "plain"),
        recorded(
            "kubernetes:apps/v1:DaemonSet",
            {"spec": {"template": {"spec": {"containers": [{"image": "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"}]}}}},
            "manifest",
        ),
        recorded(RELEASE, {"chart": "gpu-operator", "values": {"driver": {"enabled": False}}}, "operator"),
    ],
)
def test_a_device_plugin_on_nodes_of_claims_is_a_second_owner(owner: Recorded) -> None:
    (verdict,) = judged(gpu_claims_consistent.RULE, *GOOD, owner)
    assert "its GPUs are claimed, and " in verdict.message


def required(*terms: list[tuple[Any, Any, Any]]) -> dict[str, Any]:
    """An affinity that is required: of the terms one, of a term's expressions all."""
    given = [
        {"matchExpressions": [{"key": key, "operator": operator, "values": values} for key, operator, values in term]}
        for term in terms
    ]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": given}}}


def chart(**values: Any) -> Recorded:
    return recorded(RELEASE, {"chart": "nvidia-device-plugin", "values": values}, "plain")


def daemon(**spec: Any) -> Recorded:
    pod = {"containers": [{"image": "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"}], **spec}
    return recorded("kubernetes:apps/v1:DaemonSet", {"spec": {"template": {"spec": pod}}}, "manifest")


#: The pool of `GOOD` is called gpu and declares `owner: dra`, and no label `sharing`.
KEPT_OFF = [
    required([("owner", "NotIn", ["dra"])]),
    required([("owner", "In", ["plugin", "nobody"])]),
    required([("owner", "DoesNotExist", None)]),
    required([("sharing", "Exists", None)]),
    required([("sharing", "In", ["slots"])]),
    required([("sharing", "Gt", ["1"])]),
    required([("karpenter.sh/nodepool", "NotIn", ["gpu"])]),
    required([("karpenter.sh/nodepool", "In", ["other"])]),
    required([("nvidia.com/gpu.present", "In", ["true"]), ("owner", "NotIn", ["dra"])]),
    required([("owner", "NotIn", ["dra"])], [("sharing", "Exists", None)]),
    required([]),  # a term that says nothing selects nothing
]
NOT_KEPT_OFF = [
    required([("owner", "In", ["dra"])]),
    required([("owner", "NotIn", ["plugin"])]),
    required([("owner", "Exists", None)]),
    required([("sharing", "NotIn", ["slots"])]),
    required([("sharing", "DoesNotExist", None)]),
    required([("nvidia.com/gpu.present", "In", ["true"])]),
    required([("feature.node.kubernetes.io/pci-10de.present", "In", ["true"])]),
    required([("karpenter.sh/nodepool", "In", ["gpu", "other"])]),
    required([("owner", "NotIn", ["dra"])], [("nvidia.com/gpu.present", "Exists", None)]),  # one term is enough
    required([("owner", UNKNOWN, ["dra"])]),
    required([("owner", "In", UNKNOWN)]),
    required([(UNKNOWN, "In", ["plugin"])]),
    required(),
    {"nodeAffinity": UNKNOWN},
    {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": UNKNOWN}},
    {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 100, "preference": {"matchExpressions": [{"key": "owner", "operator": "DoesNotExist"}]}}
            ]
        }
    },
    UNKNOWN,
]


@pytest.mark.parametrize("made", [chart, daemon])
@pytest.mark.parametrize("affinity", KEPT_OFF)
def test_an_affinity_keeps_a_device_plugin_off_nodes_of_claims(made: Any, affinity: Any) -> None:
    assert judged(gpu_claims_consistent.RULE, *GOOD, made(affinity=affinity)) == []


@pytest.mark.parametrize("made", [chart, daemon])
@pytest.mark.parametrize("affinity", NOT_KEPT_OFF)
def test_another_affinity_does_not(made: Any, affinity: Any) -> None:
    (verdict,) = judged(gpu_claims_consistent.RULE, *GOOD, made(affinity=affinity))
    assert "its GPUs are claimed, and device plugin" in verdict.message


def test_a_selector_and_an_affinity_must_both_let_it() -> None:
    here, away = {"owner": "dra"}, required([("owner", "Exists", None)])
    assert judged(gpu_claims_consistent.RULE, *GOOD, chart(nodeSelector=here, affinity=away))
    assert judged(gpu_claims_consistent.RULE, *GOOD, chart(nodeSelector={"owner": "plugin"}, affinity=away)) == []


def test_the_driver_s_affinity_counts_too() -> None:
    shared = release("gpu", gpu=config(timeSlicing=section()))
    away = driver(kubeletPlugin={"affinity": required([("gpu-slices/pool", "NotIn", ["gpu"])])})
    assert judged(gpu_claims_consistent.RULE, node_class(), pool(), shared, away) == []
    here = driver(kubeletPlugin={"affinity": required([("gpu-slices/pool", "In", ["gpu"])])})
    assert len(judged(gpu_claims_consistent.RULE, node_class(), pool(), shared, here)) == 1


@pytest.mark.parametrize("label", ["operands", "device-plugin"])
def test_the_operator_stays_away_by_a_label(label: str) -> None:
    operator = recorded(RELEASE, {"chart": "gpu-operator", "values": {"driver": {"enabled": False}}}, "operator")
    kept = pool(limits={"cpu": "16"}, labels={**LABELS, f"nvidia.com/gpu.deploy.{label}": "false"})
    assert judged(gpu_claims_consistent.RULE, *GOOD, operator)
    assert judged(gpu_claims_consistent.RULE, claimed(), kept, driver(), karpenter(), operator) == []


def test_bottlerocket_s_host_owns_its_gpus() -> None:
    bottlerocket = claimed(alias="bottlerocket@v1.68.1")
    (verdict,) = judged(gpu_claims_consistent.RULE, bottlerocket, pool(**OWN), driver(), karpenter())
    assert "Bottlerocket's device plugin offers them" in verdict.message


@pytest.mark.parametrize("selector", [{}, {"nodeSelector": {}}, {"nodeSelector": {"nvidia.com/gpu.present": "true"}}])
def test_the_driver_on_nodes_of_a_device_plugin_is_a_second_owner(selector: dict[str, Any]) -> None:
    shared = release("gpu", gpu=config(timeSlicing=section()))
    wide = driver(kubeletPlugin=selector)
    (verdict,) = judged(gpu_claims_consistent.RULE, node_class(), pool(), shared, wide)
    assert "NVIDIA's DRA driver runs on its nodes too" in verdict.message
    assert judged(gpu_claims_consistent.RULE, node_class(), pool(), shared, driver()) == []
    off = driver(kubeletPlugin=selector, resources={"gpus": {"enabled": False}})
    assert judged(gpu_claims_consistent.RULE, node_class(), pool(), shared, off) == []


@pytest.mark.parametrize("bend", [dict, list, str, lambda: None, lambda: UNKNOWN])
@pytest.mark.parametrize("key", ["metadata", "spec", "values", "chart"])
def test_no_shape_breaks_the_rules(bend: Callable[[], Any], key: str) -> None:
    for index, each in enumerate(GOOD):
        inputs = deepcopy(dict(each.inputs)) | {key: bend()}
        bent = [*GOOD[:index], recorded(each.type, inputs, each.name), *GOOD[index + 1 :]]
        for rule in (gpu_claims_consistent, gpu_claims_say_memory):
            judged(rule.RULE, *bent)
