"""What a pod needs of a GPU, and the slots that give it."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu import fraction
from gpu.catalog import INSTANCE_TYPES
from gpu.fraction import Need, percent, recut, shortfall, slots_for
from gpu.pool import Pool
from gpu.prices import of
from gpu.sharing import Mig, Mps, NoSharing, SharingProfile, TimeSlicing

PRICES = of("us-east-1")
FIFTH = Fraction(1, 5)
#: Slots of a GPU that are equal parts of it.
EQUAL = [NoSharing(), *(kind(replicas) for kind in (TimeSlicing, Mps) for replicas in (2, 3, 4, 5, 8, 48))]


def pool(profile: SharingProfile, *types: str) -> Pool:
    """A pool that buys these types."""
    kinds = tuple(INSTANCE_TYPES[name] for name in types or ("g6.xlarge",))
    return Pool(name="it", profile=profile, types=kinds, max_gpus=8, prices=PRICES)


@pytest.mark.parametrize("profile", EQUAL, ids=lambda profile: profile.words)
@given(share=st.integers(1, 10_000))
def test_of_equal_slots_as_many_as_people_reckon(profile: SharingProfile, share: int) -> None:
    part = Fraction(share, 10_000)
    assert slots_for(part, pool(profile)) == ceil(pool(profile).slots_per_gpu * part)


@pytest.mark.parametrize(
    ("profile", "share"),
    [
        ("1g.10gb", Fraction(1, 8)),  # a seventh of the processors, an eighth of the memory
        ("1g.20gb", Fraction(1, 7)),
        ("2g.20gb", Fraction(1, 4)),
        ("3g.40gb", Fraction(3, 7)),
        ("4g.40gb", Fraction(1, 2)),
        ("7g.80gb", Fraction(1)),
    ],
)
def test_an_instance_is_the_lesser_of_its_processors_and_its_memory(profile: str, share: Fraction) -> None:
    assert pool(Mig(profile), "p5.4xlarge").slot_share == share


@pytest.mark.parametrize("profile", EQUAL[1:], ids=lambda profile: profile.words)
def test_more_than_one_slot_of_a_shared_gpu_is_never_enough(profile: SharingProfile) -> None:
    own = pool(profile)
    assert shortfall(Need(share=own.slot_share), own) is None
    assert "2 slots are no larger slot" in str(shortfall(Need(share=own.slot_share + Fraction(1, 10_000)), own))


def test_whole_gpus_add_up_on_nodes_that_have_them() -> None:
    four = pool(NoSharing(), "g6.12xlarge")
    assert slots_for(Fraction(21, 10), four) == 3
    assert shortfall(Need(share=Fraction(4)), four) is None
    assert shortfall(Need(share=Fraction(41, 10)), four) == "it may buy nodes with 4 GPUs, and 5 are needed"
    assert shortfall(Need(4 * four.slot_memory_mib, Fraction(4)), four) is None
    assert shortfall(Need(four.slot_memory_mib + 1), four) is not None


@pytest.mark.parametrize(
    ("before", "need", "after"),
    [
        (TimeSlicing(8), Need(share=FIFTH), TimeSlicing(5)),
        (Mps(8, rename=True), Need(share=FIFTH), Mps(5, rename=True)),
        (TimeSlicing(4), Need(memory_mib=9000), TimeSlicing(2)),
        (TimeSlicing(4), Need(memory_mib=12_000), NoSharing()),
        (TimeSlicing(4), Need(memory_mib=30_000), None),
        (NoSharing(), Need(memory_mib=30_000), None),
    ],
)
def test_the_smallest_slot_that_does(before: SharingProfile, need: Need, after: SharingProfile | None) -> None:
    made = recut(need, pool(before))
    assert (made.profile if made else None) == after


@pytest.mark.parametrize(
    ("need", "profile"),
    [(Need(share=FIFTH), "2g.20gb"), (Need(memory_mib=15_000), "1g.20gb"), (Need(share=Fraction(1)), "7g.80gb")],
)
def test_the_smallest_mig_profile(need: Need, profile: str) -> None:
    made = recut(need, pool(Mig("1g.10gb"), "p5.4xlarge"))
    assert made is not None
    assert made.profile == Mig(profile)


@pytest.mark.parametrize(
    ("profile", "types", "words"),
    [
        (NoSharing(), (), "a whole GPU"),
        (TimeSlicing(4), (), "25 % of the time when all 4 compute"),
        (Mps(3), (), "33 % of the threads at most"),
        (Mig("1g.10gb"), ("p5.4xlarge",), "1 compute and 1 of 8 memory slices, 9,984 MiB"),
    ],
)
def test_what_a_slot_gives_in_words(profile: SharingProfile, types: tuple[str, ...], words: str) -> None:
    assert words in fraction.given(pool(profile, *types))


@pytest.mark.parametrize(("share", "words"), [(FIFTH, "20 %"), (Fraction(1, 8), "12.5 %"), (Fraction(1, 3), "33.33 %")])
def test_percent(share: Fraction, words: str) -> None:
    assert percent(share) == words
