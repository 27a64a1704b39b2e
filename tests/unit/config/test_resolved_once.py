"""A pool is resolved once for a stack, and each of its figures is worked out once: whoever needs one is handed it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from config import pools
from config.pool_schema import GpuPool
from gpu.catalog import types_in
from gpu.sharing import STRATEGIES
from plan.make import make_plan
from tests.plan.conftest import ROOT, STACKS


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often types are looked up, and slots asked of a profile."""
    found: Counter[str] = Counter()

    def counting(name: str, function: Any) -> Any:
        def called(*args: Any) -> Any:
            found[name] += 1
            return function(*args)

        return called

    pools._resolved.cache_clear()
    pools._types.cache_clear()
    monkeypatch.setattr(pools, "types_in", counting("types", types_in))
    for kind in STRATEGIES.values():
        monkeypatch.setattr(kind, "slots_per_gpu", counting("slots", kind.slots_per_gpu))
    return found


@pytest.mark.parametrize("stack", STACKS)
def test_a_whole_plan_resolves_each_pool_once(stack: str, counted: Counter[str]) -> None:
    plan = make_plan(ROOT, stack)
    assert plan.figures is not None
    resolved = plan.figures.config.gpu_pools.values()
    assert counted["types"] == len(resolved)
    # By type: for the pool, its overlays, its share of the host, both ends of its prices; and to check the file, which
    # is read twice.
    assert counted["slots"] <= 9 * sum(len(pool.types) for pool in resolved)


def test_nobody_changes_the_figures_that_all_are_handed() -> None:
    written = {"name": "a", "instanceFamilies": ["g6"], "maxGpus": 8, "sharing": {"strategy": "mps", "replicas": 4}}
    pool = pools.resolve(GpuPool.model_validate(written), "us-east-1")
    figures: Any
    for figures in (pool.slots, pool.overlay_capacities, *pool.overlay_capacities.values()):
        with pytest.raises(TypeError):
            figures["more"] = 1
