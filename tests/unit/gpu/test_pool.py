"""Slots of whole GPUs, as pods of several hold them."""

from collections.abc import Callable
from typing import Any

import pytest

from gpu import prices
from gpu.catalog import INSTANCE_TYPES
from gpu.pool import Pool
from gpu.sharing import MemoryClaims, NoSharing, TimeSlicing


def whole(*types: str, region: str = "us-east-1") -> Pool:
    known = tuple(INSTANCE_TYPES[name] for name in types)
    return Pool(name="p", profile=NoSharing(), types=known, max_gpus=8, prices=prices.of(region))


@pytest.mark.parametrize("region", ["us-east-1", "ap-south-2"])
def test_what_a_pod_leaves_of_its_node_and_its_like_cannot_use_is_held_too(region: str) -> None:
    """Of 4 GPUs, 3 hold all and 2 hold two; where no price is known (ap-south-2) the smallest node counts."""
    pool = whole("g6.12xlarge", "g6.48xlarge", region=region)
    assert (pool.price is None) == (region == "ap-south-2")
    assert [pool.held_slots(slots) for slots in (1, 2, 3, 4)] == [1, 2, 4, 4]
    with pytest.raises(ValueError, match="a node of pool p has 4 slots, not 5"):
        pool.held_slots(5)


def test_of_eight_gpus_three_hold_four() -> None:
    assert [whole("g6.48xlarge").held_slots(slots) for slots in (3, 5)] == [4, 8]


def test_a_slot_of_a_shared_gpu_holds_itself() -> None:
    cut = Pool(
        name="p",
        profile=TimeSlicing(replicas=3),
        types=(INSTANCE_TYPES["g6.xlarge"],),
        max_gpus=1,
        prices=prices.of("us-east-1"),
    )
    assert cut.held_slots(1) == 1


def static(nodes: int, max_gpus: int, *types: str, **more: Any) -> Pool:
    known = tuple(INSTANCE_TYPES[name] for name in types or ("g6.xlarge", "g6.2xlarge"))
    given = {"profile": TimeSlicing(replicas=3), "prices": prices.of("us-east-1"), **more}
    return Pool(name="p", types=known, max_gpus=max_gpus, static=nodes, **given)


def test_a_static_pool_has_the_slots_of_its_nodes_and_room_for_one_that_is_replaced() -> None:
    pool = static(2, 3)
    assert (pool.max_slots, pool.room, pool.most_nodes("g6.xlarge")) == (6, 2, 2)
    assert pool.limits == {"nodes": 3}, "Karpenter lets such pools limit nothing else"
    assert static(2, 12, "g6.12xlarge").limits == {"nodes": 3}
    assert static(2, 3, purchase="reserved").room == 3, "all that is reserved is paid"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: static(0, 3), "static is 0: write a whole number of 1 or more"),
        (lambda: static(4, 3), "max_gpus is 3: static needs 4 or more"),
        (lambda: static(1, 8, "g6.xlarge", "g6.12xlarge"), r"types with as many GPUs each, not \[1, 4\]"),
        (lambda: static(1, 3, profile=MemoryClaims()), "static is for slots, and its pods claim memory"),
    ],
)
def test_a_static_pool_that_nobody_can_count_is_refused(wrong: Callable[[], Pool], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wrong()
