"""Work that says what it needs goes to the cheapest pool whose slot has it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.placing import Placement, placements
from config.quantities import memory_mib, share_of_gpu
from config.schema import StackConfig
from gpu.pool import Pool
from tests.unit.config.support import CONTAINER, DEV, GONE, MPS, ON_DEMAND, changed, parsed

SMALL = {"name": "small", "instanceFamilies": ["g6", "g5"], "maxGpus": 2, "sharing": {**MPS, "replicas": 8}}
FIFTHS = {**SMALL, "name": "fifths", "sharing": {**MPS, "replicas": 5}}
WHOLE = {**SMALL, "name": "whole", "instanceTypes": ["g6.12xlarge"], "maxGpus": 4, "sharing": {"strategy": "none"}}
WHOLE.pop("instanceFamilies")
CUT = {
    "name": "cut",
    "instanceTypes": ["p5.4xlarge"],
    "maxGpus": 2,
    "capacityType": "on-demand",
    "onDemand": ON_DEMAND,
    "sharing": {"strategy": "mig", "profile": "1g.10gb"},
}
POOLS = [*DEV["pools"], SMALL, FIFTHS, WHOLE, CUT]
ALONE = {key: value for key, value in CONTAINER.items() if key != "slots"}


def stack(*workloads: dict[str, Any], **changes: Any) -> StackConfig:
    named = [{"name": f"w{i}", "containers": [ALONE], **each} for i, each in enumerate(workloads)]
    return parsed(changed({"pools": POOLS, "workloads": named, **changes}))


def placed(*workloads: dict[str, Any]) -> list[Placement]:
    return list(placements(stack(*workloads)))


@pytest.mark.parametrize(
    ("need", "pool", "slots"),
    [
        ({"gpuMemory": "2 GiB"}, "small", 1),
        ({"gpuMemoryMib": 2048}, "small", 1),
        ({"gpuMemory": "3Gi"}, "fifths", 1),
        ({"gpuMemory": "3Gi", "gpuShare": "30%"}, "shared", 1),
        ({"gpuShare": "12.5 %"}, "small", 1),
        ({"gpuShare": "20 %"}, "fifths", 1),
        ({"gpuShare": "50 %"}, "whole", 1),
        ({"gpuShare": "200 %"}, "whole", 2),
        ({"gpuShare": "12.5 %", "pool": "cut"}, "cut", 1),
        # MPS serves one user, and this is another.
        ({"gpuShare": "20 %", "securityContext": {"runAsUser": 1000}}, "shared", 1),
        # All 17 do not find a slot among the 16 smallest at the same time; as a Job they may wait.
        ({"gpuShare": "10 %", "replicas": 11, "kind": "Job"}, "small", 1),
        ({"gpuShare": "10 %", "replicas": 10}, "small", 1),
    ],
)
def test_a_need_becomes_a_pool_and_slots(need: dict[str, Any], pool: str, slots: int) -> None:
    (workload,) = stack(need).workloads
    assert (workload.pool, [each.slots for each in workload.containers]) == (pool, [slots])


def test_the_container_that_says_slots_gets_them() -> None:
    (workload,) = stack({"gpuShare": "200 %", "containers": [ALONE, {**ALONE, "name": "b", "slots": 2}]}).workloads
    assert [each.slots for each in workload.containers] == [0, 2]


# A stack is read in each; on a busy machine that takes longer than Hypothesis allows.
@settings(deadline=None)
@given(mib=st.integers(1, 30_000), percent=st.integers(1, 100))
def test_no_pool_that_would_do_is_cheaper(mib: int, percent: int) -> None:
    """By figures of the pools alone, which the choice is not made from."""
    pools = stack().gpu_pools.values()
    fit = [p for p in pools if p.slot_memory_mib >= mib and p.slot_share >= Fraction(percent, 100)]
    if fit:
        (found,) = placed({"gpuMemory": f"{mib} MiB", "gpuShare": f"{percent} %"})
        assert found.offer.usd_per_hour == min(pool.usd_per_slot_hour or 1e9 for pool in fit)
        assert {other.pool.name for other in found.others if not other.why_not} == {
            pool.name for pool in fit if pool.name != found.offer.pool.name
        }


def test_what_is_left_over_and_why_not_elsewhere() -> None:
    (found,) = placed({"gpuMemory": "3 GiB", "gpuShare": "12.5 %"})
    assert (found.need.memory_mib, found.unused_mib, found.unused_share) == (3072, 4467 - 3072, Fraction(3, 40))
    assert [(other.pool.name, bool(other.why_not)) for other in found.others] == [
        *(("small", True), ("shared", False), ("whole", False), ("cut", False))
    ]


def test_several_slots_of_a_container_have_the_memory_of_several_gpus() -> None:
    (workload,) = stack({"gpuMemory": "60 GiB", "containers": [{**ALONE, "slots": 3}]}).workloads
    assert (workload.pool, workload.containers[0].slots) == ("whole", 3)


THREE = {"strategy": "time-slicing", "replicas": 3}
CHEAP = {"name": "cheap", "instanceFamilies": ["g6"], "maxGpus": 1, "sharing": THREE}
ROOMY = {"name": "roomy", "instanceTypes": ["g5.xlarge"], "maxGpus": 4, "sharing": THREE}
TWO = {"gpuMemory": "3 GiB", "replicas": 2}
AWAKE = {"name": "awake", "model": "qwen3:0.6b", "minScale": 2}


def beside(*workloads: dict[str, Any], **model: Any) -> tuple[list[str], StackConfig]:
    """Pools of the workloads and of a model, if there is one, where the cheap pool has three slots."""
    models = [{**AWAKE, **model}] if model else []
    config = stack(*workloads, pools=[CHEAP, ROOMY], models=models, dialogue=GONE)
    return [*(each.pool for each in config.workloads), *(each.pool for each in config.models)], config


@pytest.mark.parametrize(
    ("workloads", "model", "pools"),
    [
        ((TWO, TWO), {}, ["cheap", "roomy"]),
        # Who names a pool has no choice, wherever it stands in the file.
        ((TWO, {**TWO, "pool": "cheap"}), {}, ["roomy", "cheap"]),
        ((TWO,), {"pool": "cheap"}, ["roomy", "cheap"]),
        ((TWO,), {"minScale": 2}, ["cheap", "roomy"]),
        ((TWO,), {"minScale": 1}, ["cheap", "cheap"]),
        # What ends or sleeps waits its turn, and holds nothing for ever.
        ((TWO, {"gpuMemory": "3 GiB", "kind": "Job"}, {"gpuMemory": "3 GiB"}), {}, ["cheap", "cheap", "cheap"]),
        ((TWO, {"gpuMemory": "3 GiB"}), {"minScale": 0}, ["cheap", "cheap", "cheap"]),
    ],
)
def test_what_is_placed_has_its_place(workloads: tuple[dict[str, Any], ...], model: Any, pools: list[str]) -> None:
    assert beside(*workloads, **model)[0] == pools


def test_of_others_is_said_who_has_no_place_beside_all_that_runs() -> None:
    first, second = placements(beside(TWO, TWO)[1])
    assert [(other.pool.name, other.why_not) for other in first.others] == [("roomy", "")]
    assert [(other.pool.name, other.why_not) for other in second.others] == [
        ("cheap", "it has 3 slots, of which others hold 2, and 2 are needed at a time")
    ]


ONE = {"maxGpus": 1, "sharing": {"strategy": "time-slicing", "replicas": 4}}
TIGHT = {"name": "tight", "instanceTypes": ["g6.xlarge"], **ONE}
LARGE = {"name": "large", "instanceTypes": ["g6.4xlarge"], **ONE}
FULL = {"gpuMemory": "3Gi", "replicas": 4, "containers": [{**ALONE, "cpu": "1"}]}
TRIO = {"gpuMemory": "3Gi", "replicas": 3}
SCALED = {
    "gpuMemory": "3Gi",
    "autoscaling": {"minReplicas": 1, "maxReplicas": 4, "metric": "queued", "averageValue": 10},
}
SERVER = {"name": "awake", "model": "llama3.2:3b", "minScale": 3}


@pytest.mark.parametrize(
    ("warm", "workloads", "model", "pools"),
    [
        # Of a g6.xlarge pods have 3.5 vCPUs.
        (0, (FULL,), {}, ["large"]),
        (0, ({**FULL, "kind": "Job"},), {}, ["tight"]),
        (0, ({**FULL, "replicas": 3}, {**FULL, "replicas": 1}), {}, ["tight", "large"]),
        (0, ({**FULL, "replicas": 1}, {**FULL, "replicas": 3, "pool": "tight"}), {}, ["large", "tight"]),
        (0, ({**FULL, "replicas": 3, "pool": "tight"},), {**SERVER, "minScale": 1}, ["tight", "large"]),
        # Slots that the pool keeps free are nobody's for ever.
        (1, (TRIO,), {}, ["tight"]),
        (2, (TRIO,), {}, ["large"]),
        (2, ({**TRIO, "kind": "Job"},), {}, ["tight"]),
        (2, (), SERVER, ["large"]),
        (
            2,
            ({**TRIO, "replicas": 1}, {**TRIO, "replicas": 1, "name": "a"}, {**TRIO, "replicas": 1, "name": "b"}),
            {},
            ["tight", "tight", "large"],
        ),
        (3, (SCALED,), {}, ["tight"]),
    ],
)
def test_a_pool_that_another_check_would_refuse_is_left_out(
    warm: int, workloads: tuple[dict[str, Any], ...], model: dict[str, Any], pools: list[str]
) -> None:
    tight = {**TIGHT, **({"warm": {"slots": warm}} if warm else {})}
    found = stack(*workloads, pools=[tight, LARGE], models=[model] if model else [], dialogue=GONE)
    assert [*(each.pool for each in found.workloads), *(each.pool for each in found.models)] == pools


def test_of_a_pool_without_room_is_said_which_key_is_too_much() -> None:
    (found,) = placements(stack(FULL, pools=[TIGHT, LARGE], models=[], dialogue=GONE))
    assert [other.why_not.partition(": each pod asks for")[0] for other in found.others] == [
        "replicas must be 3 or less"
    ]


def test_nothing_goes_by_itself_to_tenants_who_do_not_trust_each_other() -> None:
    pools = [{**WHOLE, "name": "theirs", "tenants": "untrusted"}, *POOLS]
    (found,) = stack({"gpuShare": "50 %"}, pools=pools).workloads
    assert found.pool == "whole"


def test_models_without_a_pool_go_where_all_of_their_server_fit() -> None:
    changes = dict.fromkeys((f"models[{i}].pool" for i in range(3)), GONE)
    changes |= dict.fromkeys((f"models[{i}].server" for i in (1, 2)), "both")
    config = stack(**changes)
    # Both need 10.2 GiB together; an MPS pool would limit each of them alone.
    assert [model.pool for model in config.models] == ["shared", "whole", "whole"]
    assert [(p.name, p.kind, p.offer.pool.name) for p in placements(config)] == [
        *(("mistral", "model", "shared"), ("both", "server", "whole"))
    ]


def test_who_names_a_pool_is_left_alone() -> None:
    config = stack({"pool": "whole", "containers": [CONTAINER]})
    assert list(placements(config)) == []
    assert config.workloads[0].pool == "whole"


def test_the_first_of_the_file_where_no_price_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pool, "usd_per_slot_hour", None)
    (found,) = placed({"gpuMemory": "1 GiB"})
    assert (found.offer.pool.name, found.offer.usd_per_hour) == ("shared", None)


@pytest.mark.parametrize(
    ("text", "mib"), [("3 GiB", 3072), ("3Gi", 3072), ("512MiB", 512), ("3 GB", 2862), ("0.5 Gi", 512), ("1M", 1)]
)
def test_memory_as_people_write_it(text: str, mib: int) -> None:
    assert memory_mib(text) == mib


@pytest.mark.parametrize(("text", "share"), [("20 %", 0.2), ("12.5%", 0.125), ("200 %", 2)])
def test_shares_as_people_write_them(text: str, share: float) -> None:
    assert float(share_of_gpu(text)) == share


def test_important_work_goes_where_its_capacity_is() -> None:
    certain = {**WHOLE, "name": "certain", "capacityType": "on-demand", "onDemand": ON_DEMAND}
    pools = [*POOLS, certain]
    (found,) = stack({"gpuShare": "50 %", "importance": "critical"}, pools=pools).workloads
    assert found.pool in {"certain", "cut"}
    (found,) = stack({"gpuShare": "50 %", "importance": "batch"}, pools=[certain, *POOLS]).workloads
    assert found.pool == "whole"
