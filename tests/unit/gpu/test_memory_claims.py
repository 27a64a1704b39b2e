"""Pools whose pods claim memory: limits that Karpenter counts, shares of the node, money."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu.bill import Consumer, asked_reasons, standing_reasons, why_ceiling
from gpu.catalog import INSTANCE_TYPES, InstanceType
from gpu.claims import ClaimError, known_to_karpenter
from gpu.compare import compare
from gpu.host_share import SERVER_AT_LEAST, node_room
from gpu.pool import Pool
from gpu.prices import HOURS_PER_MONTH, CapacityType, of
from gpu.sharing import MemoryClaims, SharingError, TimeSlicing, overlay_capacities
from gpu.sharing.bottlerocket import bottlerocket_settings
from gpu.sharing.plugin_config import device_plugin_config

ROOT = Path(__file__).parents[3]
KNOWN = tuple(t for t in INSTANCE_TYPES.values() if t.gpu_count == 1 and known_to_karpenter(t.gpu))
L4, L40S, T4 = (INSTANCE_TYPES[name] for name in ("g6.xlarge", "g6e.xlarge", "g4dn.xlarge"))
BY_NAME = {t.name: t for t in KNOWN}
names = st.lists(st.sampled_from(sorted(BY_NAME)), min_size=1, max_size=6, unique=True)
some_types = names.map(lambda found: [BY_NAME[name] for name in found])


def pool(*types: InstanceType, **changes: Any) -> Pool:
    about = {"name": "p", "profile": MemoryClaims(), "max_gpus": 4, "prices": of("us-east-1"), **changes}
    return Pool(types=types, **about)


def model(claim: int, hours: float = 100.0, pods: int = 1, of_pool: Pool | None = None) -> Consumer:
    found = of_pool or pool(L4)
    part: Literal["always", "on demand"] = "always" if hours == HOURS_PER_MONTH else "on demand"
    name = f"m{claim}"
    return Consumer(
        name=name, kind="model", pool=found, slots=pods, hours=hours, part=part, needs=(claim,), claim_mib=claim
    )


@given(some_types, st.integers(1, 40), st.data())
def test_max_gpus_means_what_it_says(types: list[InstanceType], most: int, data: st.DataObject) -> None:
    """Karpenter launches nothing with which the pool's vCPUs would be above the limit (v1.15.0, ExceededBy)."""
    found = pool(*types, max_gpus=most)
    assert found.limits.keys() == {"cpu"}
    vcpus = gpus = 0
    for bought in data.draw(st.lists(st.sampled_from(types), max_size=60)):
        if vcpus + bought.vcpus <= found.limits["cpu"]:
            vcpus, gpus = vcpus + bought.vcpus, gpus + bought.gpu_count
    assert gpus <= most
    fewest = min(types, key=lambda t: t.vcpus)
    assert found.most_nodes(fewest.name) == most, "and as many can be had, of the type with the fewest vCPUs"


@given(some_types, st.lists(st.integers(1, 14000), min_size=1, max_size=12))
def test_claims_that_fill_a_gpu_fit_its_node(types: list[InstanceType], claims: list[int]) -> None:
    found = pool(*types)
    for kind in types:
        held: list[int] = []
        for claim in claims:
            if sum(held) + claim <= kind.gpu.memory.total_mib:
                held.append(claim)
        shares = [found.claim_share(claim) for claim in held]
        assert sum(share.cpu_millis for share in shares) <= node_room(kind).cpu_millis
        assert sum(share.memory_mib for share in shares) <= node_room(kind).memory_mib


def test_a_quarter_of_the_gpu_has_a_quarter_of_the_node() -> None:
    quarter, room = pool(L4).claim_share(L4.gpu.memory.total_mib // 4), node_room(L4)
    assert quarter.cpu_millis == pytest.approx(room.cpu_millis / 4, abs=1)
    assert quarter.memory_mib == pytest.approx(room.memory_mib / 4, abs=2)


#: What stack memory's models need; claims are need x 23034 / 22342, rounded up: an L4 as NVML shows it, and without
#: what its driver keeps.
BY_HAND = {"mistral": (5631, 5806), "phi3": (4557, 4699), "llama3-2": (3278, 3380)}


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("bought", ["spot", "on-demand"])
def test_a_claim_costs_its_part_of_the_node(name: str, bought: CapacityType) -> None:
    need, claim = BY_HAND[name]
    found, node = pool(L4), of("us-east-1").node_usd_per_hour("g6.xlarge", bought) or 0.0
    assert found.claim_mib(need, SERVER_AT_LEAST) == claim
    why = found.why_claim(claim, bought)
    assert why.value == pytest.approx(node / 23034 * claim)
    assert [each.name for each in why.inputs[:1]] == ["claimed by a pod"]
    gib = found.why_gib(bought, found.cheapest(bought)).value or 0.0
    assert gib == pytest.approx(node / (23034 / 1024))
    assert why.value == pytest.approx(gib * claim / 1024)


def test_claims_that_fill_a_gpu_cost_its_node() -> None:
    found, node = pool(L4), of("us-east-1").node_usd_per_hour("g6.xlarge", "spot")
    parts = [found.why_claim(claim, "spot").value or 0.0 for claim in (11460, 6447, 3105, 2022)]
    assert sum(parts) == pytest.approx(node)


def test_a_claim_is_priced_on_the_cheapest_node_that_holds_it() -> None:
    found = pool(T4, L4, L40S, prices=of("us-east-1"))
    whole = {t.name: of("us-east-1").node_usd_per_hour(t.name, "spot") or 0.0 for t in (T4, L4, L40S)}
    assert whole["g4dn.xlarge"] < whole["g6.xlarge"] < whole["g6e.xlarge"]
    for claim, name in ((10_000, "g4dn.xlarge"), (20_000, "g6.xlarge"), (40_000, "g6e.xlarge")):
        part = claim / INSTANCE_TYPES[name].gpu.memory.total_mib
        assert found.why_claim(claim, "spot").value == pytest.approx(whole[name] * part)
    assert found.why_claim(50_000, "spot").value is None, "no GPU of the pool holds it"


def test_the_document_reckons_so() -> None:
    """The row of docs/sharing.md, "What a pod needs"."""
    text = (ROOT / "docs" / "sharing.md").read_text(encoding="utf-8")
    found, node = pool(L4), of("us-east-1").node_usd_per_hour("g6.xlarge", "spot") or 0.0
    claim, slot = found.claim_mib(3072), pool(L4, profile=TimeSlicing(4))
    left = (slot.slot_memory_mib - 3072) / 1024
    assert f"3 GiB on a g6.xlarge, the node at {node:.4f} USD |" in text
    assert f"| {slot.usd_per_slot_hour:.4f} in four slots, of which it leaves {left:.1f} GiB unused |" in text
    assert f"| {found.why_claim(claim, 'spot').value:.4f} for {claim:,} MiB of 23,034 |" in text


@given(some_types, st.integers(1, 14000))
def test_a_claim_grows_until_its_share_holds_a_server(types: list[InstanceType], need: int) -> None:
    found = pool(*types)
    claim = found.claim_mib(need, SERVER_AT_LEAST)
    assert claim >= found.claim_mib(need) >= need
    share = found.claim_share(claim)
    # Two divisions that round down may take a MiB or a millicore.
    assert share.memory_mib >= SERVER_AT_LEAST.memory_mib - 1
    assert share.cpu_millis >= SERVER_AT_LEAST.cpu_millis - 1


def test_what_fits_on_the_largest_gpu_alone_is_bought_for_it() -> None:
    both = pool(T4, L4)
    assert both.slot_memory_mib == L4.gpu.usable_mib
    claim = both.claim_mib(20000)
    assert claim == pool(L4).claim_mib(20000)
    assert both.cheapest("spot", claim) == pool(L4).cheapest("spot")
    with pytest.raises(ClaimError, match="fit on none of the pool's GPUs"):
        both.claim_mib(23000)
    assert both.gpus_for([claim, 5000]) == 2
    assert both.gpus_for([5000, 5000, 5000]) == both.gpus_for([5000]) == 1, "a T4 holds three"
    assert both.gpus_for([]) == 0


def test_the_limit_in_processors_decides_what_is_bought_of_mixed_sizes() -> None:
    """A g6e.4xlarge has 16 vCPUs of the 20 that come with five g4dn.xlarge."""
    mixed = pool(T4, INSTANCE_TYPES["g6e.4xlarge"], max_gpus=5)
    assert mixed.room == 20
    assert mixed.gpus_for([30000, 30000]) == 2 <= mixed.max_gpus
    assert mixed.room_for([30000, 30000]) == 32 > mixed.room
    assert mixed.room_for([30000, 15000, 1000]) == 16, "the second has room beside the first"
    assert mixed.room_for([40000, 15000]) == 20, "one of each"
    assert mixed.room_for([15000] * 3) == 12, "three T4, though one larger one holds all for 16"
    assert mixed.room_for([5000] * 8) == 12
    assert mixed.room_for([]) == 0


@given(some_types, st.lists(st.integers(512, 12000), max_size=30))
def test_claims_of_one_size_of_gpu_take_as_much_of_the_limit_as_gpus(
    types: list[InstanceType], claims: list[int]
) -> None:
    alone = pool(types[0])
    assert alone.room_for(claims) == alone.gpus_for(claims) * types[0].vcpus
    assert alone.room == alone.max_gpus * types[0].vcpus
    assert pool(*types).room_for(claims) <= alone.room_for(claims), "another type never takes more"


def test_nodes_offer_no_gpu_to_pods_without_a_claim() -> None:
    assert overlay_capacities(MemoryClaims(), "al2023", [L4, L40S]) == {1: {"nvidia.com/gpu": 0}}


def test_no_device_plugin_is_told_of_it() -> None:
    with pytest.raises(SharingError, match="not to a device plugin"):
        device_plugin_config(MemoryClaims())
    with pytest.raises(SharingError, match="not for Bottlerocket"):
        bottlerocket_settings(MemoryClaims(), [L4.gpu])


def test_which_gpus_karpenter_knows() -> None:
    assert {t.gpu.product for t in KNOWN} == {
        "NVIDIA T4",
        "NVIDIA T4G",
        "NVIDIA A10G",
        "NVIDIA L4",
        "NVIDIA L40S",
        "NVIDIA H100",
    }


def test_three_unequal_models_pay_for_one_node() -> None:
    """5.5, 6.4 and 3.2 GiB on an L4, which three equal slots could not hold."""
    three = [model(5632), model(6554), model(3277)]
    node = pool(L4).prices.why_node("g6.xlarge", "spot").value
    usd = asked_reasons(pool(L4), [], three).usd
    assert usd
    assert node
    assert usd.expected == pytest.approx(100 * node)
    more = asked_reasons(pool(L4), [], [*three, model(10240)]).usd
    assert more
    assert more.expected == pytest.approx(200 * node)
    assert more.low <= more.expected <= more.high


def test_what_fits_beside_what_always_runs_costs_nothing_more() -> None:
    standing, asked = [model(12000, HOURS_PER_MONTH)], [model(5000)]
    found = standing_reasons(pool(L4), standing, asked).usd, asked_reasons(pool(L4), standing, asked).usd
    assert found[0]
    assert found[1]
    assert found[0].expected > 0
    assert found[1].expected == 0


def test_a_claim_that_the_cheapest_gpu_cannot_hold_pays_for_another() -> None:
    both = pool(T4, L4)
    small = asked_reasons(both, [], [model(9000, of_pool=both)]).usd
    large = asked_reasons(both, [], [model(20000, of_pool=both)]).usd
    assert small
    assert large
    assert small.expected == pytest.approx(100 * (both.prices.why_node("g4dn.xlarge", "spot").value or 0))
    assert large.expected == pytest.approx(100 * (both.prices.why_node("g6.xlarge", "spot").value or 0))


def test_the_ceiling_is_what_the_vcpus_allow() -> None:
    """A g6.16xlarge has 64 vCPUs, 16 times those of a g6.xlarge: a limit for four of these allows none."""
    large = INSTANCE_TYPES["g6.16xlarge"]
    alone, both = why_ceiling(pool(L4)).value, why_ceiling(pool(L4, large)).value
    assert alone == both
    by_slots = why_ceiling(pool(L4, large, profile=TimeSlicing(3))).value
    assert (by_slots or 0) > (both or 0) > 0


def test_the_comparison_knows_what_claims_save() -> None:
    one = pool(L4)
    found = compare([model(claim, of_pool=one) for claim in (5632, 6554, 3277)])
    assert found
    assert found.pays_from == {}
    shared = {way: cost.nodes for way, cost in found.ways.items()}
    assert {nodes for way, nodes in shared.items() if way.shared} == {1}
    assert {nodes for way, nodes in shared.items() if not way.shared} == {3}
