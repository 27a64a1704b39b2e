"""NodePools that get a GPU that is not Spot, and marks that justify nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.policy.case_parts import AUTO, AWS, CAPACITY, G5, JUSTIFIED, ON_DEMAND, POOL, TYPE, Case, need, pool

#: What a NodePool can be made to say, and still launch a GPU that is not Spot.
POOLS: Final[Mapping[str, Case]] = {
    "no capacity type": (POOL, pool(G5)),
    "capacity type on-demand": (POOL, pool(G5, ON_DEMAND)),
    "capacity type spot or on-demand": (POOL, pool(G5, need(CAPACITY, "In", "spot", "on-demand"))),
    "capacity type not spot": (POOL, pool(G5, need(CAPACITY, "NotIn", "spot"))),
    "capacity type not on-demand, so reserved": (POOL, pool(G5, need(CAPACITY, "NotIn", "on-demand"))),
    "capacity type not reserved": (POOL, pool(G5, need(CAPACITY, "NotIn", "reserved"))),
    "capacity type exists": (POOL, pool(G5, need(CAPACITY, "Exists"))),
    "capacity type reserved": (POOL, pool(G5, need(CAPACITY, "In", "reserved"))),
    "capacity type with an operator that does not exist": (POOL, pool(G5, need(CAPACITY, "Is", "spot"))),
    "spot under another key": (POOL, pool(G5, need("eks.amazonaws.com/capacityType", "In", "SPOT"))),
    "on-demand as a template label": (POOL, pool(G5, labels={CAPACITY: "on-demand"})),
    "GPU type as a template label": (POOL, pool(ON_DEMAND, labels={TYPE: "g5.xlarge"})),
    "GPU name as a template label": (POOL, pool(ON_DEMAND, labels={f"{AWS}gpu-name": "l4"})),
    "by instance type": (POOL, pool(need(TYPE, "In", "m5.large", "g6.2xlarge"))),
    "by an older name of the instance type": (POOL, pool(need("beta.kubernetes.io/instance-type", "In", "g5.xlarge"))),
    "by category": (POOL, pool(need(f"{AWS}category", "In", "c", "p"), ON_DEMAND)),
    "by category gr, which is not g": (POOL, pool(need(f"{AWS}category", "NotIn", "g", "p"), ON_DEMAND)),
    "by GPU name": (POOL, pool(need(f"{AWS}gpu-name", "In", "h100"), ON_DEMAND)),
    "by GPU count": (POOL, pool(need(f"{AWS}gpu-count", "Gt", "0"), ON_DEMAND)),
    "by GPU count at most": (POOL, pool(need(f"{AWS}gpu-count", "Lte", "1"), ON_DEMAND)),
    "by GPU manufacturer": (POOL, pool(need(f"{AWS}gpu-manufacturer", "Exists"), ON_DEMAND)),
    "by GPU memory": (POOL, pool(need(f"{AWS}gpu-memory", "Gte", "16384"), ON_DEMAND)),
    "not excluded at all": (POOL, pool(ON_DEMAND)),
    "no requirements": (POOL, pool()),
    "not excluded by arm64": (POOL, pool(need("kubernetes.io/arch", "In", "arm64"), ON_DEMAND)),
    "not excluded by four vCPUs": (POOL, pool(need(f"{AWS}cpu", "In", "4"), ON_DEMAND)),
    "not excluded by generation": (POOL, pool(need(f"{AWS}generation", "Gt", "5"), ON_DEMAND)),
    "not excluded by size": (POOL, pool(need(f"{AWS}size", "NotIn", "metal", "48xlarge"), ON_DEMAND)),
    "excluded by a label of one's own": (POOL, pool(need("team.example/gpu", "In", "none"), ON_DEMAND)),
    "excluded by Auto Mode's label, without Auto Mode": (POOL, pool(need(f"{AUTO}category", "In", "c"), ON_DEMAND)),
    "excluded by Karpenter's label, in Auto Mode": (
        POOL,
        pool(need(f"{AWS}category", "In", "c"), ON_DEMAND, group="eks.amazonaws.com"),
    ),
    "Auto Mode by family": (POOL, pool(need(f"{AUTO}family", "In", "g6e"), ON_DEMAND, group="eks.amazonaws.com")),
    "NVIDIA excluded, AMD not": (POOL, pool(need(f"{AWS}gpu-manufacturer", "NotIn", "nvidia"), ON_DEMAND)),
    "today's families excluded, tomorrow's not": (
        POOL,
        pool(need(f"{AWS}family", "NotIn", "g4dn", "g5", "g5g", "g6", "g6e", "gr6", "p4d", "p5", "p6-b200"), ON_DEMAND),
    ),
    "a family that does not exist yet": (POOL, pool(need(f"{AWS}family", "In", "g9x"), ON_DEMAND)),
    "a type that does not exist yet": (POOL, pool(need(TYPE, "In", "p9e-x900.large"), ON_DEMAND)),
    "a fraction of a GPU": (POOL, pool(need(f"{AWS}family", "In", "g6f"), ON_DEMAND)),
    "AMD's GPU": (POOL, pool(need(TYPE, "In", "g4ad.xlarge"), ON_DEMAND)),
    "an older API": ("kubernetes:karpenter.sh/v1beta1:NodePool", pool(G5)),
    "the first API": (
        "kubernetes:karpenter.sh/v1alpha5:Provisioner",
        {"spec": {"requirements": [need(TYPE, "In", "p3.2xlarge")], "labels": {"team": "a"}}},
    ),
    "a NodeClaim of one's own": (
        "kubernetes:karpenter.sh/v1:NodeClaim",
        {"spec": {"requirements": [need(TYPE, "In", "g5.xlarge"), ON_DEMAND]}},
    ),
    "a patch of another program's pool": ("kubernetes:karpenter.sh/v1:NodePoolPatch", pool(G5, ON_DEMAND)),
    "a group of pools under spec": (POOL, {"spec": {"template": {"spec": {}}}}),
}

#: Marks that look like a justification and are none.
UNJUSTIFIED: Final[Mapping[str, Mapping[str, Any]]] = {
    "no date": {"gpu-slices/on-demand-justification": JUSTIFIED["gpu-slices/on-demand-justification"]},
    "no reason": {"gpu-slices/on-demand-expires": "2027-02-01"},
    "too short": {**JUSTIFIED, "gpu-slices/on-demand-justification": "PLAT-1 please"},
    "padded": {**JUSTIFIED, "gpu-slices/on-demand-justification": "PLAT-1" + " " * 20 + "now"},
    "one letter": {**JUSTIFIED, "gpu-slices/on-demand-justification": "PL-1 " + "x" * 30},
    "no ticket": {**JUSTIFIED, "gpu-slices/on-demand-justification": "we really need these GPUs now"},
    "expired": {**JUSTIFIED, "gpu-slices/on-demand-expires": "2026-11-20"},
    "too far ahead": {**JUSTIFIED, "gpu-slices/on-demand-expires": "2027-05-21"},
    "for ever": {**JUSTIFIED, "gpu-slices/on-demand-expires": "9999-12-31"},
    "not a date": {**JUSTIFIED, "gpu-slices/on-demand-expires": "next quarter"},
    "no such day": {**JUSTIFIED, "gpu-slices/on-demand-expires": "2027-02-30"},
    "week date": {**JUSTIFIED, "gpu-slices/on-demand-expires": "2027-W01-1"},
    "another prefix": {key.replace("gpu-slices", "gpu_slices"): value for key, value in JUSTIFIED.items()},
}
