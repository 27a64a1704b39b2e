"""Nodes that stay, on which controllers of a stack run: the label by which these find them, and which let them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from adopt.objects import Object, Objects, at, labels_of, listed, name_of, pool_label, words
from gpu.catalog import INSTANCE_TYPES
from gpu.contract import (
    CONTROLLER_LABEL,
    EKS_NODE_GROUP_LABEL,
    INSTANCE_TYPE_LABEL,
    NVIDIA_PREFIX,
    OS_LABEL,
    SYSTEM_NODE_TAINT,
)

#: Pods of a stack's own Karpenter, no two of which run on one node (its chart's podAntiAffinity).
CONTROLLERS: Final = 2
_KEYS: Final = (CONTROLLER_LABEL, EKS_NODE_GROUP_LABEL, "alpha.eksctl.io/nodegroup-name")
#: What a stack's controllers look for unless its file says otherwise.
DEFAULT_LABEL: Final[Mapping[str, str]] = {CONTROLLER_LABEL: "true"}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """labels: one that these nodes have in common; empty where there is none.

    takers: names of nodes with it, of all without one, on which no taint keeps a stack's controllers away.
    taints: those that keep them away from others, as kubectl writes them.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    takers: Sequence[str] = ()
    taints: Sequence[str] = ()


def standing_of(objects: Objects) -> Standing:
    """Nodes that stay: those without GPUs that no Karpenter buys."""
    stays = [node for node in objects.of("Node") if _stays(node)]
    takers = [node for node in stays if not _taints(node)]
    marked = [node for node in takers if DEFAULT_LABEL.items() <= labels_of(node).items()]
    common = _common([labels_of(node) for node in takers or stays])
    if len(marked) >= CONTROLLERS or (marked and not common):
        takers, common = marked, dict(DEFAULT_LABEL)
    return Standing(
        labels=common,
        takers=sorted(map(name_of, takers)),
        taints=sorted({taint for node in stays for taint in _taints(node)}),
    )


def _stays(node: Object) -> bool:
    labels, status = labels_of(node), at(node, "status")
    # By what it offers too: the catalogue does not have every type.
    offers = {*words(status.get("capacity")), *words(status.get("allocatable"))}
    with_gpus = labels.get(INSTANCE_TYPE_LABEL, "") in INSTANCE_TYPES or any(
        name.startswith(NVIDIA_PREFIX) for name in offers
    )
    return not with_gpus and not pool_label(labels) and labels.get(OS_LABEL, "linux") == "linux"


def _taints(node: Object) -> list[str]:
    """Taints that the controllers do not tolerate."""
    return [
        _written(each)
        for each in listed(at(node, "spec").get("taints"))
        if each.get("effect") in ("NoSchedule", "NoExecute") and each.get("key") != SYSTEM_NODE_TAINT
    ]


def _written(taint: Mapping[str, Any]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"


def _common(nodes: Sequence[Mapping[str, str]]) -> dict[str, str]:
    for key in _KEYS:
        values = {labels.get(key, "") for labels in nodes}
        if "" not in values and len(values) == 1:
            return {key: values.pop()}
    return {}
