"""Claims of GPU memory: each holds what it promises, and how many GPUs they take."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gpu.catalog import INSTANCE_TYPES, Gpu
from gpu.claims import (
    ClaimError,
    bought,
    bought_with_hosts,
    bound,
    claimed_mib,
    equal_slots,
    pools_by_size,
    promised_mib,
)
from gpu.host_share import HostShare

GPUS = {name: INSTANCE_TYPES[name].gpu for name in ("g4dn.xlarge", "g5.xlarge", "g6.xlarge", "g6e.xlarge")}
L4 = GPUS["g6.xlarge"]
SIZES = st.lists(st.integers(1, L4.memory.total_mib), max_size=60)


@given(
    st.sets(st.sampled_from(sorted(GPUS)), min_size=1),
    st.lists(st.integers(1, 15000), min_size=1, max_size=20),
)
def test_what_the_scheduler_lets_in_has_what_it_needs(names: set[str], needs: list[int]) -> None:
    pool = [GPUS[name] for name in names]
    for gpu in pool:
        left, let_in = gpu.memory.total_mib, 0
        for need in needs:
            if need > max(each.usable_mib for each in pool):
                continue
            claim = claimed_mib(need, pool)
            if claim <= left:
                left, let_in = left - claim, let_in + need
        assert let_in <= gpu.usable_mib


@given(st.sets(st.sampled_from(sorted(GPUS)), min_size=1), st.integers(1, 45000))
def test_a_claim_promises_what_was_needed_wherever_it_fits(names: set[str], need: int) -> None:
    pool = [GPUS[name] for name in names]
    assume(need <= max(gpu.usable_mib for gpu in pool))
    promised = promised_mib(claimed_mib(need, pool), pool)
    assert need <= promised <= max(gpu.usable_mib for gpu in pool)


@pytest.mark.parametrize("gpu", GPUS.values())
def test_all_that_applications_have_is_the_whole_gpu(gpu: Gpu) -> None:
    assert claimed_mib(gpu.usable_mib, [gpu]) == gpu.memory.total_mib
    with pytest.raises(ClaimError, match=f"{gpu.usable_mib + 1} MiB fit on none .* {gpu.usable_mib} MiB at most"):
        claimed_mib(gpu.usable_mib + 1, [gpu])


def test_a_claim_for_several_gpus_is_that_of_the_one_that_keeps_most() -> None:
    alone = {name: claimed_mib(5000, [gpu]) for name, gpu in GPUS.items()}
    assert claimed_mib(5000, GPUS.values()) == max(alone.values())
    assert claimed_mib(20000, [GPUS["g4dn.xlarge"], L4]) == claimed_mib(20000, [L4]), "no T4 could take it"


@pytest.mark.parametrize("wrong", [0, -1])
def test_nothing_is_no_claim(wrong: int) -> None:
    with pytest.raises(ClaimError, match=f"above 0 MiB, not {wrong}$"):
        claimed_mib(wrong, [L4])


@given(SIZES)
def test_karpenter_buys_between_the_bound_and_a_gpu_for_each(claims: list[int]) -> None:
    whole = L4.memory.total_mib
    nodes = bought(claims, whole)
    assert sorted(claim for node in nodes for claim in node) == sorted(claims)
    assert all(sum(node) <= whole for node in nodes)
    assert bound(claims, whole) <= len(nodes) <= len(claims)
    # A node is bought only where no other has room: two together are never half empty.
    assert sum(sum(node) * 2 <= whole for node in nodes) <= 1
    assert bound(claims, whole) <= pools_by_size(claims, whole)
    assert bound(claims, whole) <= equal_slots(claims, whole) <= len(claims)


def test_unequal_models_share_a_gpu() -> None:
    """5.5, 6.4 and 3.2 GiB on one L4; with a pool for each size they take three."""
    claims = [6554, 5632, 3277]
    assert bought(claims, 23034) == ((6554, 5632, 3277),)
    assert bound(claims, 23034) == equal_slots(claims, 23034) == 1
    assert pools_by_size(claims, 23034) == 3
    assert set(bought([*claims, 10240], 23034)) == {(10240,), (6554, 5632, 3277)}


def test_fewest_pods_first() -> None:
    """Not the first node with room: 60 would get both."""
    assert set(bought([60, 50, 10, 10], 100)) == {(60, 10), (50, 10)}


@pytest.mark.parametrize("claims", [[0], [101], [50, -1]])
def test_what_no_driver_takes_is_refused(claims: list[int]) -> None:
    for function in (bound, bought, equal_slots, pools_by_size):
        with pytest.raises(ClaimError, match="at least 1, at most the GPU's 100"):
            function(claims, 100)


ROOM = HostShare(3500, 12000)


def test_processors_fill_a_node_before_its_gpu() -> None:
    small = HostShare(100, 512)
    assert bought_with_hosts([(3000, HostShare(3000, 1024))] * 8, 23034, ROOM) == 8
    assert bought_with_hosts([(3000, small)] * 8, 23034, ROOM) == 2
    assert bought_with_hosts([(3000, HostShare(100, 6000))] * 8, 23034, ROOM) == 4, "two by their memory"
    assert bought_with_hosts([(3000, HostShare(3000, 1024)), *[(3000, small)] * 5], 23034, ROOM) == 1
    assert bought_with_hosts([(3000, HostShare(9000, 1024))] * 2, 23034, ROOM) == 2


@given(st.lists(st.integers(1, 23034), min_size=1, max_size=40))
def test_pods_that_ask_next_to_nothing_of_the_host_pack_by_their_claims(claims: list[int]) -> None:
    pods = [(claim, HostShare(0, 0)) for claim in claims]
    assert bought_with_hosts(pods, 23034, ROOM) == len(bought(sorted(claims, reverse=True), 23034))
