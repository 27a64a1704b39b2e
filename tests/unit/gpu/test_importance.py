"""Where work of each importance may run, what its pods get, and what it costs at most."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from config.pool_schema import GpuPool
from config.pools import resolve
from gpu.importance import Importance, may_run_on, placing, priorities, priority, why_at_most
from gpu.pool import Pool, Purchase, capacity_types

BOUGHT: dict[str, tuple[Purchase, ...]] = {
    "Spot": capacity_types("spot", fallback=False),
    "Spot, else on-demand": capacity_types("spot", fallback=True),
    "on-demand": capacity_types("on-demand", fallback=False),
    "reserved": capacity_types("reserved", fallback=False),
}
ALL: list[tuple[Importance, tuple[Purchase, ...]]] = [*product(get_args(Importance), BOUGHT.values())]


@pytest.mark.parametrize(("importance", "bought"), ALL)
def test_critical_work_never_meets_spot_and_batch_nothing_else(
    importance: Importance, bought: tuple[Purchase, ...]
) -> None:
    allowed = may_run_on(importance, bought)
    assert set(allowed) <= set(bought)
    if importance == "critical":
        assert "spot" not in allowed
        # Where a pool has both, Karpenter takes Spot first: a selector alone would make critical work wait for nothing.
        assert bool(allowed) == ("spot" not in bought)
    elif importance == "batch":
        assert set(allowed) == {"spot"} & set(bought)
    else:
        assert allowed == bought


@pytest.mark.parametrize(("importance", "bought"), ALL)
def test_pods_are_held_to_what_they_may_run_on(importance: Importance, bought: tuple[Purchase, ...]) -> None:
    allowed = may_run_on(importance, bought)
    if importance == "standard":
        found = placing(importance, bought, "acme")
        assert (found.priority_class, found.node_selector, found.labels, found.annotations) == (None, {}, {}, {})
        assert not found.one_at_a_time
    elif allowed:
        found = placing(importance, bought, "acme")
        assert found.node_selector == {"karpenter.sh/capacity-type": allowed[0]}
        assert found.labels == {"gpu-slices/importance": importance}
        assert found.one_at_a_time == ("karpenter.sh/do-not-disrupt" in found.annotations) == (importance == "critical")
    else:
        with pytest.raises(ValueError, match=f"{importance} work cannot run on a pool that buys"):
            placing(importance, bought, "acme")


def test_the_order_is_critical_everybody_batch_and_what_only_keeps_a_slot() -> None:
    critical, batch = priorities(("batch", "standard", "critical", "batch"), "acme")
    assert (critical.name, batch.name) == ("critical-acme", "batch-acme")
    assert critical.value > 0 > batch.value > -10
    assert critical.preempts
    # Otherwise it would take the slots that a pool keeps warm for models.
    assert not batch.preempts


def test_two_stacks_have_classes_of_their_own_and_none_has_kubernetes_names() -> None:
    names = {each.name for owner in ("acme", "system-acme") for each in priorities(("critical", "batch"), owner)}
    assert len(names) == 4
    assert not any(name.startswith("system-") for name in names)
    assert priority("standard", "acme") is None


def pool(**more: object) -> Pool:
    given = {
        "name": "p",
        "instanceFamilies": ["g6"],
        "gpusPerNode": [1],
        "maxGpus": 2,
        "sharing": {"strategy": "time-slicing", "replicas": 3},
        **more,
    }
    return resolve(GpuPool.model_validate(given), "us-east-1")


def test_at_most_is_the_dearest_node_for_each_pod_as_far_as_the_pool_goes() -> None:
    firm = pool(capacityType="on-demand")
    dearest = max(firm.prices.node_usd_per_hour(t.name, "on-demand") or 0 for t in firm.types)
    assert why_at_most("critical", firm, 1).value == pytest.approx(dearest)
    assert why_at_most("critical", firm, 2).value == pytest.approx(2 * dearest)
    assert why_at_most("critical", firm, 7).value == pytest.approx(2 * dearest)


def test_batch_work_never_costs_what_the_fallback_does() -> None:
    both, spot = pool(fallback="on-demand"), pool()
    assert why_at_most("batch", both, 1).value == why_at_most("batch", spot, 1).value
    standard, batch = (why_at_most(each, both, 1).value for each in ("standard", "batch"))
    assert standard is not None
    assert batch is not None
    assert standard > batch


@pytest.mark.parametrize("importance", get_args(Importance))
def test_only_standard_work_is_on_a_capacity_block(importance: Importance) -> None:
    assert bool(may_run_on(importance, ("reserved",), "capacity-block")) == (importance == "standard")
    if importance != "standard":
        with pytest.raises(ValueError, match=f"{importance} work cannot run on a pool that buys a capacity block"):
            placing(importance, ("reserved",), "acme", "capacity-block")
