"""Pools whose limit is in vCPUs name the types that it lets Karpenter buy, and no others."""

from __future__ import annotations

import pytest

from gpu.pool import Pool
from tests.unit.config.support import GONE, changed, parsed

MEMORY = {"strategy": "memory"}


def pool(max_gpus: int, sharing: dict[str, str]) -> Pool:
    about = {"name": "claimed", "instanceFamilies": ["g6"], "maxGpus": max_gpus, "sharing": sharing}
    work = {"dialogue": GONE, "models": [], "workloads": [], "examples": False}
    return parsed(changed({**work, "pools": [about]})).gpu_pools["claimed"]


@pytest.mark.parametrize(("max_gpus", "largest"), [(1, 4), (3, 8), (4, 16), (8, 32), (15, 32), (16, 64)])
def test_of_a_family_the_sizes_within_the_limit_are_bought(max_gpus: int, largest: int) -> None:
    found = pool(max_gpus, MEMORY)
    assert max(each.vcpus for each in found.types) == largest
    assert found.limits == {"cpu": 4 * max_gpus}, "what is left out does not change the limit"
    assert all(found.most_nodes(each.name) > 0 for each in found.types)


def test_slots_are_limited_in_gpus_and_every_size_is_bought() -> None:
    assert max(each.vcpus for each in pool(1, {"strategy": "none"}).types) == 64
