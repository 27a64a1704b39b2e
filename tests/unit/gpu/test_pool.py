"""Slots of whole GPUs, as pods of several hold them."""

import pytest

from gpu import prices
from gpu.catalog import INSTANCE_TYPES
from gpu.pool import Pool
from gpu.sharing import NoSharing, TimeSlicing


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
