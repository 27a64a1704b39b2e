from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from gpu.catalog import INSTANCE_TYPES
from gpu.contract import CONFIG_LABEL
from gpu.sharing import Mig, Mps, SharingProfile, TimeSlicing
from gpu.sharing.bottlerocket import bottlerocket_settings
from policy.analyzer import Recorded
from policy.rules.sharing_consistency import RULE
from tests.policy.platform import (
    GPU,
    RELEASE,
    SHARED,
    config,
    node_class,
    overlay,
    platform,
    plugin,
    pool,
    release,
    section,
)
from tests.policy.support import UNKNOWN, judged, recorded

BOTTLEROCKET = "bottlerocket@v1.68.1"
MIG = "nvidia.com/mig-1g.10gb"


def said(*resources: Recorded) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources)]


def bottlerocket(profile: SharingProfile, instance_type: str) -> Recorded:
    return node_class(BOTTLEROCKET, bottlerocket_settings(profile, [INSTANCE_TYPES[instance_type].gpu]))


LABELS_ONLY = {"config": {"map": {"x": "flags: {}"}}, "devicePlugin": {"enabled": False}, "gfd": {"enabled": True}}

AGREEING = {
    "time-slicing": platform(),
    "MPS": platform("mps", 3),
    "an overlay for each GPU count": [
        node_class(),
        pool("g5.xlarge", "g5.12xlarge"),
        overlay({GPU: "4"}),
        overlay({GPU: "16"}, count=4),
        plugin(gpu=config(timeSlicing=section(4))),
    ],
    "renamed slots": [
        node_class(),
        pool(limits={SHARED: "8", GPU: "2"}),
        overlay({SHARED: "4", GPU: "0"}),
        plugin(gpu=config(timeSlicing=section(4, renameByDefault=True))),
    ],
    "no sharing": [node_class(), pool(), plugin(gpu=config())],
    "no sharing, by default configuration": [
        node_class(),
        pool(labels={"nvidia.com/device-plugin.config": ""}),
        plugin(),
    ],
    "Bottlerocket, time-slicing": [
        bottlerocket(TimeSlicing(4), "g5.xlarge"),
        pool(),
        overlay({GPU: "4"}),
    ],
    "Bottlerocket, renamed MPS": [
        bottlerocket(Mps(3, rename=True), "g5.xlarge"),
        pool(limits={SHARED: "6"}),
        overlay({SHARED: "3"}),
    ],
    "Bottlerocket, MIG": [
        bottlerocket(Mig("1g.10gb"), "p5.4xlarge"),
        pool("p5.4xlarge"),
        overlay({GPU: "7"}),
    ],
    "MIG on AL2023": [
        node_class(user_data="#!/bin/bash\nnvidia-smi mig -cgi 1g.10gb,1g.10gb -C\n"),
        pool("p5.4xlarge", limits={MIG: "14"}),
        overlay({MIG: "7", GPU: "0"}),
        plugin(gpu={"version": "v1", "flags": {"migStrategy": "mixed"}}),
    ],
    "nothing in this stack tells": [pool()],
    "a release for each pool": [
        *(node_class(name=name) for name in ("gpu", "chat")),
        pool(),
        pool(name="chat"),
        overlay({GPU: "4"}),
        overlay({GPU: "3"}, pool="chat", name="other"),
        release("gpu", gpu=config(timeSlicing=section(4))),
        release("chat", chat=config(mps=section(3))),
    ],
    "a release with one configuration, which nodes take without a label": [
        node_class(),
        pool(labels={"nvidia.com/device-plugin.config": ""}),
        overlay({GPU: "4"}),
        release("gpu", anything=config(timeSlicing=section(4))),
    ],
    "a release that labels nodes beside the plugin's": [
        node_class(),
        pool(),
        overlay({GPU: "4"}),
        release("gpu", gpu=config(timeSlicing=section(4))),
        recorded(
            RELEASE, {"values": {"config": {"map": {"x": "flags: {}"}}, "devicePlugin": {"enabled": False}}}, "gfd"
        ),
    ],
}

DISAGREEING = {
    "the release of another pool": (
        [node_class(), pool(), overlay({GPU: "4"}), release("chat", gpu=config(timeSlicing=section(4)))],
        "names gpu, and there is no such device-plugin configuration (there are: none)",
    ),
    "two releases on the same nodes": (
        [
            node_class(),
            pool(),
            overlay({GPU: "4"}),
            release("gpu", gpu=config(timeSlicing=section(4))),
            release("all", selector={"nvidia.com/gpu.present": "true"}, gpu=config(timeSlicing=section(4))),
        ],
        "2 releases of the device plugin run on its nodes (configurations gpu; gpu) and take each other's socket",
    ),
    "more in the overlay than in the plugin": (
        [node_class(), pool(), overlay({GPU: "8"}), plugin(gpu=config(timeSlicing=section(4)))],
        "NodeOverlay overlay states 8, device-plugin configuration gpu says time-slicing: a NodeOverlay for 1 GPU(s) "
        'must state "nvidia.com/gpu": "4" (4 x 1)',
    ),
    "more in the plugin than in the overlay": (
        [node_class(), pool(), overlay({GPU: "4"}), plugin(gpu=config(mps=section(8)))],
        '"nvidia.com/gpu": "8" (8 x 1)',
    ),
    "overlay per node, not per GPU": (
        [node_class(), pool("g5.12xlarge"), overlay({GPU: "4"}, count=4), plugin(gpu=config(timeSlicing=section(4)))],
        '"nvidia.com/gpu": "16" (4 x 4)',
    ),
    "no overlay": (
        [node_class(), pool(), plugin(gpu=config(timeSlicing=section(4)))],
        "Karpenter would buy a GPU for each slot",
    ),
    "an overlay for another pool": (
        [node_class(), pool(), overlay({GPU: "4"}, pool="other"), plugin(gpu=config(timeSlicing=section(4)))],
        "Karpenter would buy a GPU for each slot",
    ),
    "one GPU count without an overlay": (
        [
            node_class(),
            pool("g5.xlarge", "g5.48xlarge"),
            overlay({GPU: "4"}),
            plugin(gpu=config(timeSlicing=section(4))),
        ],
        'NodeOverlay for 8 GPU(s) must state "nvidia.com/gpu": "32"',
    ),
    "slots that nobody makes": (
        [node_class(), pool(), overlay({GPU: "4"}), plugin(gpu=config())],
        'says none: a NodeOverlay for 1 GPU(s) must state "nvidia.com/gpu": "1"',
    ),
    "another name for the slots": (
        [node_class(), pool(), overlay({GPU: "4"}), plugin(gpu=config(timeSlicing=section(4, renameByDefault=True)))],
        'must state "nvidia.com/gpu.shared": "4"',
    ),
    "a limit on what is not offered": (
        [
            node_class(),
            pool(limits={GPU: "2"}),
            overlay({SHARED: "4"}),
            plugin(gpu=config(timeSlicing=section(4, renameByDefault=True))),
        ],
        "spec.limits must have that resource",
    ),
    "both strategies, of which MPS wins": (
        [
            node_class(),
            pool(),
            overlay({GPU: "4"}),
            plugin(gpu=config(timeSlicing=section(4), mps=section(3))),
        ],
        'says mps: a NodeOverlay for 1 GPU(s) must state "nvidia.com/gpu": "3"',
    ),
    "a configuration that does not exist": (
        [node_class(), pool(), overlay({GPU: "4"}), plugin(other=config(timeSlicing=section(4)))],
        "names gpu, and there is no such device-plugin configuration (there are: default, other)",
    ),
    "a label that says another strategy": (
        [node_class(), pool(labels={"gpu-slices/sharing": "mps"}), overlay({GPU: "4"}), platform()[3]],
        "label gpu-slices/sharing says mps, device-plugin configuration gpu says time-slicing",
    ),
    "Bottlerocket with other replicas": (
        [bottlerocket(TimeSlicing(2), "g5.xlarge"), pool(), overlay({GPU: "4"})],
        '"nvidia.com/gpu": "2" (2 x 1)',
    ),
    "Bottlerocket's own default name": (
        [
            node_class(
                BOTTLEROCKET,
                '[settings.kubelet-device-plugins.nvidia]\ndevice-sharing-strategy = "time-slicing"\n'
                "[settings.kubelet-device-plugins.nvidia.time-slicing]\nreplicas = 4\n",
            ),
            pool(),
            overlay({GPU: "4"}),
        ],
        'must state "nvidia.com/gpu.shared": "4"',
    ),
    "Bottlerocket ignores the chart": (
        [node_class(BOTTLEROCKET), pool(), overlay({GPU: "4"}), plugin(gpu=config(timeSlicing=section(4)))],
        "its user data, which sets nothing says none",
    ),
    "MIG with the instances of another profile": (
        [
            node_class(user_data="nvidia-smi mig -cgi 2g.20gb,2g.20gb,2g.20gb -C"),
            pool("p5.4xlarge", limits={MIG: "14"}),
            overlay({MIG: "7"}),
            plugin(gpu={"version": "v1", "flags": {"migStrategy": "mixed"}}),
        ],
        'must state "nvidia.com/mig-2g.20gb": "3"',
    ),
    "MIG with too many instances": (
        [
            node_class(user_data="nvidia-smi mig -cgi 1g.10gb -C"),
            pool("p5.48xlarge", limits={MIG: "56"}),
            overlay({MIG: "7"}, count=8),
            plugin(gpu={"version": "v1", "flags": {"migStrategy": "mixed"}}),
        ],
        '"nvidia.com/mig-1g.10gb": "56" (7 x 8)',
    ),
    "two overlays of one weight": (
        [*platform(), overlay({GPU: "4"}, name="second")],
        "both state nvidia.com/gpu for 1 GPU(s) at the same weight",
    ),
    "unknown replicas": (
        [node_class(), pool(), overlay({GPU: "4"}), plugin(gpu=UNKNOWN)],
        "values.config.map.gpu must be a literal",
    ),
    "unknown user data": (
        [node_class(BOTTLEROCKET, UNKNOWN), pool(), overlay({GPU: "4"})],
        "spec.userData of its EC2NodeClass must be a literal",
    ),
    "user data that tells of Bottlerocket by itself": (
        [
            node_class(UNKNOWN, bottlerocket_settings(TimeSlicing(2), [INSTANCE_TYPES["g5.xlarge"].gpu])),
            pool(),
            overlay({GPU: "4"}),
        ],
        '"nvidia.com/gpu": "2" (2 x 1)',
    ),
    "unknown capacity": (
        [node_class(), pool(), overlay({GPU: UNKNOWN}), plugin(gpu=config(timeSlicing=section(4)))],
        "capacity nvidia.com/gpu of NodeOverlay overlay must be a literal",
    ),
}


@pytest.mark.parametrize("resources", AGREEING.values(), ids=list(AGREEING))
def test_agreement_passes(resources: list[Recorded]) -> None:
    assert said(*resources) == []


@pytest.mark.parametrize(("resources", "message"), DISAGREEING.values(), ids=list(DISAGREEING))
def test_disagreement_fails(resources: list[Recorded], message: str) -> None:
    assert [found for found in said(*resources) if message in found]


def test_the_heavier_overlay_counts() -> None:
    assert said(*platform(), overlay({GPU: "8"}, weight=20, name="heavier"))
    assert said(*platform(), overlay({GPU: "8"}, weight=5, name="lighter")) == []


def test_a_static_pool_limits_nothing_but_its_nodes() -> None:
    """Whatever its slots are called: Karpenter's definition refuses other limits beside `replicas`."""
    renamed = overlay({SHARED: "4"}), plugin(gpu=config(timeSlicing=section(4, renameByDefault=True)))
    limited = pool(limits={"nodes": "3"})
    static = replace(limited, inputs={**limited.inputs, "spec": {**limited.inputs["spec"], "replicas": 2}})
    assert said(node_class(), static, *renamed) == []
    assert said(node_class(), limited, *renamed)


def test_pools_without_gpus_and_of_auto_mode_are_left_alone() -> None:
    assert said(pool("m7g.large"), overlay({GPU: "9"}), plugin(gpu=config(timeSlicing=section(4)))) == []


def test_sharing_in_auto_mode_is_said_to_do_nothing() -> None:
    whole = pool("g5.xlarge")
    spec = whole.inputs["spec"]
    reference = {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "default"}
    template = {"metadata": {"labels": {CONFIG_LABEL: "x4"}}, "spec": {**spec["template"]["spec"]}}
    template["spec"]["nodeClassRef"] = reference
    auto = replace(whole, inputs={**whole.inputs, "spec": {**spec, "template": template}})
    messages = said(auto, overlay({GPU: "4"}))
    assert [message.partition(" does nothing")[0] for message in messages] == [
        f"pool gpu: label {CONFIG_LABEL}",
        "pool gpu: NodeOverlay overlay",
    ]


def test_the_gpu_operators_values_are_read_too() -> None:
    base = platform()
    values = base[3].inputs["values"]["config"]
    operator = {"values": {"devicePlugin": {"config": {"data": values["map"], "default": "default"}}}}
    changed = Recorded(type=base[3].type, name="operator", urn="urn:operator", inputs=operator)
    assert said(*base[:3], changed) == []
    assert said(base[0], base[1], overlay({GPU: "5"}), changed)


def test_releases_that_an_affinity_keeps_apart_take_no_socket_of_each_other() -> None:
    def kept(name: str, operator: str) -> Recorded:
        here = {"key": "gpu-slices/pool", "operator": operator, "values": ["gpu"]}
        terms = {"nodeSelectorTerms": [{"matchExpressions": [here]}]}
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
        values = {"config": {"map": {"gpu": yaml.safe_dump(config(timeSlicing=section()))}}, "affinity": affinity}
        return recorded(RELEASE, {"chart": "nvidia-device-plugin", "values": values}, name)

    base = (node_class(), pool(), overlay({GPU: "4"}))
    assert judged(RULE, *base, kept("a", "In"), kept("b", "NotIn")) == []
    (verdict,) = judged(RULE, *base, kept("a", "In"), kept("b", "In"))
    assert "2 releases of the device plugin run on its nodes" in verdict.message
