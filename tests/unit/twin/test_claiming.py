"""The bound that the runs of many pods are held to, by arithmetic: 30 draws of each number."""

from __future__ import annotations

import pytest

from gpu.claims import bought, bound, equal_slots, pools_by_size
from twin.scenarios.claiming import MOST_OVER_BOUND, allowed_gpus, draw

L4_MIB = 23034
SEEDS = range(30)


@pytest.mark.parametrize("pods", [12, 20, 30, 60, 100, 150, 200])
def test_claims_take_hardly_more_gpus_than_their_sum(pods: int) -> None:
    draws = [sorted(draw(pods, seed), reverse=True) for seed in SEEDS]
    least = [bound(sizes, L4_MIB) for sizes in draws]
    taken = [len(bought(sizes, L4_MIB)) for sizes in draws]
    assert all(gpus <= allowed_gpus(fewest) for gpus, fewest in zip(taken, least, strict=True))
    assert sum(taken) <= MOST_OVER_BOUND * sum(least)
    if pods >= 30:  # of few GPUs one more is a larger part
        assert all(gpus <= MOST_OVER_BOUND * fewest for gpus, fewest in zip(taken, least, strict=True))
    assert sum(taken) < sum(equal_slots(sizes, L4_MIB) for sizes in draws)
    assert sum(taken) < sum(pools_by_size(sizes, L4_MIB) for sizes in draws)


def test_draws_are_the_same_for_everybody() -> None:
    assert draw(3, 1) == draw(3, 1) != draw(3, 2)
    assert [allowed_gpus(fewest) for fewest in (1, 3, 18, 56)] == [2, 4, 20, 64]
