"""Which instance types of a pool an overlay is for: Karpenter's own reading of its requirements.

karpenter pkg/controllers/nodeoverlay (getOverlaidOfferings), pkg/scheduling/requirements.go (Compatible).
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from policy.analyzer import Recorded
from policy.rules.one_slot_per_pod import RULE as ONE_SLOT
from policy.rules.pool_gpu_limit import RULE as LIMIT
from policy.rules.sharing_consistency import RULE
from tests.policy.platform import GPU, OVERLAY, POOL, RELEASE, config, deployment, node_class, plugin, pool, section
from tests.policy.platform import container as gpu_container
from tests.policy.support import judged, recorded

NODEPOOL = {"key": "karpenter.sh/nodepool", "operator": "In", "values": ["gpu"]}
AWS = "karpenter.k8s.aws/instance-"


def need(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def overlay(*requirements: dict[str, Any], slots: int = 4, name: str = "overlay", weight: int = 1) -> Recorded:
    spec = {"requirements": list(requirements), "capacity": {GPU: str(slots)}, "weight": weight}
    return recorded(OVERLAY, {"metadata": {"name": name}, "spec": spec}, name)


def said(*resources: Recorded, types: tuple[str, ...] = ("g5.xlarge",), labels: Any = None) -> list[str]:
    """What is said of a pool whose GPUs are shared by four."""
    shared = plugin(gpu=config(timeSlicing=section(4)))
    found = judged(RULE, pool(*types, labels=labels), node_class(), shared, *resources)
    return [verdict.message for verdict in found]


@pytest.mark.parametrize(
    "requirements",
    [
        [],
        [NODEPOOL],
        [need("node.kubernetes.io/instance-type", "In", "g5.xlarge", "p5.48xlarge")],
        [need("beta.kubernetes.io/instance-type", "In", "g5.xlarge")],
        [need(f"{AWS}family", "In", "g5")],
        [need(f"{AWS}family", "NotIn", "g6")],
        [need(f"{AWS}category", "Exists")],
        [need(f"{AWS}gpu-count", "Lt", "2"), need(f"{AWS}gpu-memory", "Gt", "16000")],
        [need(f"{AWS}cpu-manufacturer", "In", "amd")],
        [need("karpenter.sh/capacity-type", "In", "spot")],
        [need("topology.kubernetes.io/zone", "In", "us-east-1a")],
        [need("team", "NotIn", "b")],
        [need("team", "DoesNotExist")],
    ],
    ids=str,
)
def test_it_is_for_the_pools_type(requirements: list[dict[str, Any]]) -> None:
    assert said(overlay(*requirements)) == []


@pytest.mark.parametrize(
    "requirements",
    [
        [need("karpenter.sh/nodepool", "In", "other")],
        [need("karpenter.sh/nodepool", "NotIn", "gpu")],
        [need("karpenter.sh/nodepool", "DoesNotExist")],
        [need("node.kubernetes.io/instance-type", "In", "g5.2xlarge")],
        [NODEPOOL, need(f"{AWS}family", "In", "g6")],
        [NODEPOOL, need(f"{AWS}family", "NotIn", "g5")],
        [need(f"{AWS}gpu-count", "Gt", "1")],
        [need(f"{AWS}gpu-name", "DoesNotExist")],
        # Of a label that the pool's template lacks nothing is known: Karpenter denies it.
        [need("team", "In", "a")],
        [need("team", "Exists")],
    ],
    ids=str,
)
def test_it_is_not_and_the_pool_has_none(requirements: list[dict[str, Any]]) -> None:
    (message,) = said(overlay(*requirements))
    assert 'must state "nvidia.com/gpu": "4" (4 x 1)' in message


def test_labels_of_the_template_count_and_what_the_pool_requires_does_not() -> None:
    mine = overlay(need("team", "In", "a"))
    assert said(mine, labels={"team": "a"}) == []
    assert said(mine, labels={"team": "b"})
    required = recorded(
        POOL,
        {
            "metadata": {"name": "gpu"},
            "spec": {
                "limits": {GPU: "8"},
                "template": {
                    "metadata": {"labels": {"nvidia.com/device-plugin.config": "gpu"}},
                    "spec": {
                        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "gpu"},
                        "requirements": [
                            need("node.kubernetes.io/instance-type", "In", "g5.xlarge"),
                            need("team", "In", "a"),
                        ],
                    },
                },
            },
        },
    )
    shared = plugin(gpu=config(timeSlicing=section(4)))
    assert judged(RULE, required, node_class(), shared, mine)


def test_overlays_for_disjoint_types_do_not_collide_and_each_is_held_against_its_own() -> None:
    """Karpenter's documentation scopes by type; without a pool and without a GPU count."""
    one = overlay(need("node.kubernetes.io/instance-type", "In", "g5.xlarge"), name="one")
    four = overlay(need("node.kubernetes.io/instance-type", "In", "g5.12xlarge"), slots=16, name="four")
    types = ("g5.xlarge", "g5.12xlarge")
    assert said(one, four, types=types) == []
    (wrong,) = said(
        one, overlay(need("node.kubernetes.io/instance-type", "In", "g5.12xlarge"), slots=4, name="four"), types=types
    )
    assert "NodeOverlay four states 4" in wrong
    assert '"nvidia.com/gpu": "16"' in wrong
    same = overlay(need(f"{AWS}family", "In", "g5"), name="all")
    assert any("both state nvidia.com/gpu for 1 GPU(s) at the same weight" in message for message in said(one, same))


def test_types_without_an_overlay_are_named_where_others_have_one() -> None:
    (message,) = said(overlay(need(f"{AWS}family", "In", "g5")), types=("g5.xlarge", "g6.xlarge", "g6.2xlarge"))
    assert message.endswith("for each slot (g6.xlarge, g6.2xlarge)")


def test_the_heavier_overlay_wins() -> None:
    light, heavy = overlay(slots=2, name="light", weight=1), overlay(NODEPOOL, name="heavy", weight=5)
    assert said(light, heavy) == []


# --- What else public reports showed ---------------------------------------------------------------------------------


def test_a_configuration_in_a_config_map_that_the_operators_values_name() -> None:
    """NVIDIA's documentation of time-slicing with the GPU Operator: key `any`, which is the default."""
    text = yaml.safe_dump({"version": "v1", "sharing": {"timeSlicing": section(4)}})
    data = {"metadata": {"name": "time-slicing-config-all"}, "data": {"any": text}}
    config_map = recorded("kubernetes:core/v1:ConfigMap", data, "sharing")
    values = {"devicePlugin": {"config": {"name": "time-slicing-config-all", "default": "any"}}}
    operator = recorded(RELEASE, {"chart": "gpu-operator", "values": values}, "gpu-operator")
    unlabelled = pool(labels={"nvidia.com/device-plugin.config": ""})
    stack = [unlabelled, node_class(), config_map, operator]
    (missing,) = judged(RULE, *stack)
    assert "device-plugin configuration any makes 4 slots of a GPU" in missing.message
    assert judged(RULE, *stack, overlay(NODEPOOL)) == []
    (two,) = judged(ONE_SLOT, *stack, deployment(gpu_container("2")))
    assert "asks for 2 nvidia.com/gpu" in two.message


def test_a_cpu_pool_by_memory_that_no_gpu_type_has_is_none() -> None:
    small = recorded(
        POOL,
        {
            "metadata": {"name": "small"},
            "spec": {
                "template": {
                    "spec": {
                        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "d"},
                        "requirements": [
                            need(f"{AWS}cpu-manufacturer", "In", "intel"),
                            need(f"{AWS}memory", "Lt", "5000"),
                        ],
                    }
                }
            },
        },
    )
    assert judged(LIMIT, small) == []


@pytest.mark.parametrize(
    ("values", "resource", "right"),
    [
        ({"mig": {"strategy": "mixed"}}, "nvidia.com/mig-1g.10gb", True),
        ({"mig": {"strategy": "mixed"}}, GPU, False),
        ({}, GPU, True),  # single, where nothing is said
        ({}, "nvidia.com/mig-1g.10gb", False),
    ],
)
def test_gpus_that_the_operators_mig_manager_cuts(values: dict[str, Any], resource: str, right: bool) -> None:
    """Label `nvidia.com/mig.config` of the nodes; the overlay must state what the plugin then offers."""
    cut = pool("p5.48xlarge", labels={"nvidia.com/mig.config": "all-1g.10gb"}, limits={resource: "56", GPU: "56"})
    operator = recorded(RELEASE, {"chart": "gpu-operator", "values": values}, "gpu-operator")
    told = recorded(
        OVERLAY,
        {"metadata": {"name": "mig"}, "spec": {"requirements": [NODEPOOL], "capacity": {resource: "56"}}},
    )
    found = [verdict.message for verdict in judged(RULE, cut, node_class(), operator, told)]
    assert (found == []) is right
    assert right or any("(7 x 8)" in message for message in found)
    off = {"migManager": {"enabled": False}}
    assert judged(RULE, cut, node_class(), recorded(RELEASE, {"chart": "gpu-operator", "values": off})) == []
