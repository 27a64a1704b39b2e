"""How important work is: where it may run, what its pods are given for it, and what it costs at most.

Nothing of it is ours: priority classes and preemption are Kubernetes', `karpenter.sh/capacity-type` and
`karpenter.sh/do-not-disrupt` Karpenter's. Standard work gets none of it, so that what does not speak of importance is
what it was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, assert_never

from gpu.bill import node_reasons
from gpu.contract import CAPACITY_TYPE_LABEL, DO_NOT_DISRUPT_ANNOTATION, IMPORTANCE_LABEL
from gpu.pool import Pool, Purchase, ReservationType
from gpu.why import Why, given, most, times

Importance = Literal["critical", "standard", "batch"]

#: Pods without a class have 0, unless the cluster has another default, which critical work must be above; what keeps
#: slots warm at certain hours has -10 (`components.serving.warm_slots`), and must go before anything that works.
CRITICAL_PRIORITY: Final = 1_000_000
BATCH_PRIORITY: Final = -5


@dataclass(frozen=True, kw_only=True)
class Priority:
    """A PriorityClass. preempts: whether its pods take the place of others with a lower value."""

    name: str
    importance: Importance
    value: int
    preempts: bool
    description: str


@dataclass(frozen=True, kw_only=True)
class Placing:
    """What the pods of some work get of its importance. All is empty for standard work.

    priority_class: name of a PriorityClass that is there. node_selector: beside that of the pool.
    one_at_a_time: whether a PodDisruptionBudget lets go no second pod while one is away.
    """

    priority_class: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    one_at_a_time: bool = False


def priority(importance: Importance, owner: str) -> Priority | None:
    """The PriorityClass of some work; None where that is the cluster's default. owner: makes names of a stack's own.

    The word comes first: names that begin with `system-` are Kubernetes' own.
    """
    name = f"{importance}-{owner}"
    match importance:
        case "critical":
            words = "GPU work that must answer: takes the place of standard and batch work"
            return Priority(name=name, importance=importance, value=CRITICAL_PRIORITY, preempts=True, description=words)
        case "standard":
            return None
        case "batch":
            # It waits for a node of its own: what it would take the place of keeps a slot warm for somebody else.
            words = "GPU work that may be interrupted: gives way to all other, and takes nobody's place"
            return Priority(name=name, importance=importance, value=BATCH_PRIORITY, preempts=False, description=words)
        case _:
            assert_never(importance)


def priorities(found: Collection[Importance], owner: str) -> list[Priority]:
    """The classes that some work needs, the highest first."""
    each = [priority(importance, owner) for importance in dict.fromkeys(found)]
    return sorted((one for one in each if one), key=lambda one: -one.value)


def may_run_on(
    importance: Importance, bought: tuple[Purchase, ...], reservation_type: ReservationType = "default"
) -> tuple[Purchase, ...]:
    """Kinds of capacity on which such work may run, of those that a pool buys; nothing where it is no pool for it."""
    match importance:
        case "critical":
            # A capacity block ends at its hour, whatever runs on it.
            return () if "spot" in bought or reservation_type == "capacity-block" else bought
        case "standard":
            return bought
        case "batch":
            return tuple(each for each in bought if each == "spot")
        case _:
            assert_never(importance)


def placing(
    importance: Importance, bought: tuple[Purchase, ...], owner: str, reservation_type: ReservationType = "default"
) -> Placing:
    """What the pods of some work get. bought, reservation_type: what their pool buys, and of what is reserved which.

    Raises ValueError where that is nothing for it.
    """
    allowed, own = may_run_on(importance, bought, reservation_type), priority(importance, owner)
    if own is None:
        return Placing()
    if not allowed:
        what = "a capacity block" if reservation_type == "capacity-block" else ", else ".join(bought)
        raise ValueError(f"{importance} work cannot run on a pool that buys {what}")
    critical = importance == "critical"
    return Placing(
        priority_class=own.name,
        # Also where the pool has nothing else: whoever changes the pool does not change the pods.
        node_selector={CAPACITY_TYPE_LABEL: allowed[0]},
        labels={IMPORTANCE_LABEL: importance},
        annotations={DO_NOT_DISRUPT_ANNOTATION: "true"} if critical else {},
        one_at_a_time=critical,
    )


def why_at_most(importance: Importance, pool: Pool, pods: int) -> Why:
    """USD for an hour of some work at its most: each pod alone on a node, of the type that makes it dearest.

    Never more nodes than `maxGpus` allows. pods: as many as it may have at a time.
    """
    # Batch work never takes what the pool buys where there is no Spot capacity.
    bought = replace(pool, fallback=False) if importance == "batch" else pool
    if not pool.node_prices:
        return given(f"price of a node of {pool.name}", None, "USD/h")
    found = []
    for node in bought.node_prices:
        nodes = min(pods, pool.most_nodes(node.instance_type))
        found.append(times(given(f"{node.instance_type}, a node for each pod", nodes), node_reasons(bought, node).high))
    return most(*found)
