"""Work that says what memory it needs, where a pool's pods claim memory: its claim beside other pools' slots."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.checks.sharing import MIN_SLOT_MIB
from config.placing import Placement, placements
from gpu.catalog import INSTANCE_TYPES
from gpu.prices import of
from tests.unit.config.support import CONTAINER, GONE, MPS, changed, parsed, problems_of

SLOTS = {"name": "slots", "instanceTypes": ["g6.xlarge"], "maxGpus": 2, "sharing": {**MPS, "replicas": 4}}
CLAIMED = {"name": "claimed", "instanceTypes": ["g6.xlarge"], "maxGpus": 2, "sharing": {"strategy": "memory"}}
#: The same GPU with four times the processors, and one with twice the memory.
SIZES = {**CLAIMED, "name": "sizes", "instanceTypes": ["g6.4xlarge", "g6e.xlarge"], "maxGpus": 8}
ALONE = {key: value for key, value in CONTAINER.items() if key != "slots"}
NODE_USD = of("us-east-1").node_usd_per_hour("g6.xlarge", "spot") or 0.0
L4 = INSTANCE_TYPES["g6.xlarge"].gpu


def stack(*workloads: dict[str, Any], pools: Any = (SLOTS, CLAIMED), **changes: Any) -> dict[str, Any]:
    named = [{"name": f"w{i}", "containers": [ALONE], **each} for i, each in enumerate(workloads)]
    return changed({"pools": list(pools), "workloads": named, "models": GONE, "dialogue": GONE, **changes})


def failed(raw: dict[str, Any]) -> str:
    return "\n".join(f"{'.'.join(map(str, each.path))} {each.message}" for each in problems_of(raw))


def placed(*workloads: dict[str, Any], **changes: Any) -> list[Placement]:
    return list(placements(parsed(stack(*workloads, **changes))))


# A stack is read in each.
@settings(deadline=None, max_examples=30)
@given(mib=st.integers(MIN_SLOT_MIB, L4.usable_mib))
def test_a_claim_is_chosen_where_its_part_of_the_node_is_smaller_than_a_slot(mib: int) -> None:
    (found,) = placed({"gpuMemory": f"{mib} MiB"})
    # By hand: a claim has its part of what the driver keeps, and pays its part of the GPU.
    claim = -(-mib * L4.memory.total_mib // L4.usable_mib)
    by_claim = NODE_USD * claim / L4.memory.total_mib
    usd = {offer.pool.name: offer.usd_per_hour for offer in (found.offer, *found.others)}
    assert usd == {"slots": pytest.approx(NODE_USD / 4), "claimed": pytest.approx(by_claim)}
    for offer in (found.offer, *found.others):
        assert offer.why.value == pytest.approx(offer.usd_per_hour), "what --explain tells is what was chosen by"
    on_slot = mib <= L4.usable_mib // 4 and by_claim > NODE_USD / 4
    assert (found.offer.pool.name, found.offer.slots) == ("slots" if on_slot else "claimed", 1)
    assert (found.offer.claim_mib, found.unused_mib == 0) == ((0, False) if on_slot else (claim, True))


def test_a_claim_is_priced_on_the_cheapest_node_that_holds_it() -> None:
    small, large = placed({"gpuMemory": "3 GiB"}, {"gpuMemory": "30 GiB"}, pools=[SLOTS, SIZES])
    prices = of("us-east-1")
    for found, node in ((small, "g6.4xlarge"), (large, "g6e.xlarge")):
        offer = next(each for each in (found.offer, *found.others) if each.pool.name == "sizes")
        part = offer.claim_mib / INSTANCE_TYPES[node].gpu.memory.total_mib
        assert offer.usd_per_hour == pytest.approx((prices.node_usd_per_hour(node, "spot") or 0.0) * part)
    assert large.offer.pool.name == "sizes"


def test_models_go_there_and_pay_for_what_they_claim() -> None:
    model = {"name": "tiny", "model": "qwen2.5:0.5b"}
    (found,) = placed(models=[model])
    assert (found.offer.pool.name, found.kind) == ("claimed", "model")
    # It claims more than it needs, so that its part of the node's processors and memory holds a server.
    assert (found.unused_mib or 0) > 0
    assert found.offer.usd_per_hour == pytest.approx(NODE_USD * found.offer.claim_mib / L4.memory.total_mib)


@pytest.mark.parametrize(
    ("work", "why_not"),
    [
        ({"gpuMemory": "3 GiB", "gpuShare": "20 %"}, "its pods claim memory, and no part of the time"),
        ({"gpuMemory": "3 GiB", "replicas": 15}, "it has maxGpus 2, and claims of 3,168 MiB for 15 pods need more"),
    ],
)
def test_what_claims_cannot_serve_goes_elsewhere(work: dict[str, Any], why_not: str) -> None:
    """Fourteen claims of 3 GiB fill two GPUs, and of fifteen slots there must be enough: the other pool has."""
    (found,) = placed(work, pools=[{**SLOTS, "maxGpus": 4}, CLAIMED])
    assert found.offer.pool.name == "slots"
    assert [each.why_not for each in found.others] == [why_not]


def test_as_many_pods_as_the_claims_of_its_gpus_hold() -> None:
    (found,) = placed({"gpuMemory": "3 GiB", "replicas": 14}, pools=[{**SLOTS, "maxGpus": 4}, CLAIMED])
    assert found.offer.pool.name == "claimed"


def test_claims_that_others_hold_are_taken() -> None:
    found = placed({"gpuMemory": "3 GiB", "replicas": 13}, {"gpuMemory": "3 GiB", "replicas": 2})
    assert [each.offer.pool.name for each in found] == ["claimed", "slots"]
    why_not = "it has maxGpus 2, and claims of 3,168 MiB for 2 pods beside what others claim need more"
    assert [other.why_not for other in found[1].others] == [why_not]


def test_limits_of_mps_are_not_for_claims() -> None:
    (found,) = placed(models=[{"name": "limited", "model": "llama3.2:1b", "mps": {"maxComputePercent": 20}}])
    assert found.offer.pool.name == "slots"


def test_what_would_do_is_said_with_its_price_a_claim() -> None:
    text = failed(stack({"gpuMemory": "3 GiB", "replicas": 15}, pools=[CLAIMED]))
    assert f"Pool claimed with maxGpus: 3 would do, at {NODE_USD * 3168 / 23034:.4f} USD an hour a claim" in text


def test_an_older_kubernetes_is_refused_whatever_is_placed() -> None:
    assert "cluster.version" in failed(stack({"gpuMemory": "3 GiB"}, **{"cluster.version": "1.35"}))
