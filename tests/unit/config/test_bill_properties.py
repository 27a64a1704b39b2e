"""What holds of the bill of any stack: orders, sums, and what more of something costs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from config import pools
from config.errors import ConfigError
from gpu import prices
from gpu.bill import Spread
from gpu.prices import RegionPrices
from plan.cost.diff import compared
from plan.cost.revision import Bill
from plan.explain import explanations
from plan.figures import Figures, figures
from tests.unit.config.support import DEV, ON_DEMAND, WORKLOAD, parsed

FAMILIES = [(["g6", "g5"], [1]), (["g4dn"], [1, 4]), (["g6", "g5", "g4dn"], [1, 4]), (["g5"], [1, 4, 8])]
SHARING = [{"strategy": "none"}, {"strategy": "mps", "replicas": 2}]
SHARING += [{"strategy": "time-slicing", "replicas": slots} for slots in (2, 3, 4)]
H100 = {"sharing": {"strategy": "mig", "profile": "1g.10gb"}, "instanceTypes": ["p5.4xlarge", "p5.48xlarge"]}
BAKED = {"source": "baked", "image": f"111122223333.dkr.ecr.us-east-1.amazonaws.com/w@sha256:{'a' * 64}"}


@st.composite
def pool_sections(draw: st.DrawFn) -> dict[str, Any]:
    families, counts = draw(st.sampled_from(FAMILIES))
    sharing = draw(st.sampled_from(SHARING))
    made: dict[str, Any] = {"instanceFamilies": families, "gpusPerNode": counts, "sharing": sharing}
    made = draw(st.sampled_from([made, made, made, copy.deepcopy(H100)]))
    made |= {"name": "shared", "maxGpus": draw(st.integers(8, 17))}
    if draw(st.booleans()):
        made |= {"capacityType": "on-demand", "onDemand": ON_DEMAND}
    if draw(st.booleans()):
        made |= {"warm": {"slots": draw(st.integers(1, 4))}}
    return made


@st.composite
def raw_stacks(draw: st.DrawFn) -> dict[str, Any]:
    raw: dict[str, Any] = {"cluster": dict(DEV["cluster"]), "tags": DEV["tags"], "pools": [draw(pool_sections())]}
    models = [{"name": f"m{i}", "model": "llama3.2:3b", "pool": "shared"} for i in range(draw(st.integers(0, 4)))]
    for model in models:
        model.update(draw(st.sampled_from([{}, {}, {"minScale": 1}, {"weights": BAKED}])))
    jobs = [draw(st.sampled_from(["Job", "Deployment"])) for _ in range(draw(st.integers(0, 3)))]
    counts = st.integers(0, 9)
    workloads: list[Any] = [
        WORKLOAD | {"name": f"w{i}", "kind": kind, "replicas": draw(counts)} for i, kind in enumerate(jobs)
    ]
    # More than the part of a slot; each type has room for one.
    hosts = st.sampled_from([{}, {}, {"cpu": "1500m"}, {"cpu": "3"}, {"memory": "9Gi"}])
    workloads = [work | {"containers": [work["containers"][0] | draw(hosts)]} for work in workloads]
    raw |= {"models": models} if models else {}
    raw |= {"workloads": workloads} if workloads else {}
    raw["usage"] = {
        "hoursPerDay": draw(st.sampled_from([0, 0.5, 8, 24])),
        "startsPerDay": draw(st.sampled_from([0, 1, 1000])),
        "runsPerMonth": draw(st.sampled_from([0, 3, 100_000])),
        "hoursPerRun": draw(st.sampled_from([0.1, 2, 720])),
    }
    raw["network"] = {"nat": draw(st.sampled_from(["single", "per-zone", "none"]))}
    if draw(st.booleans()):
        raw["cluster"]["floor"] = "lean"
    return raw


def figures_of(raw: dict[str, Any]) -> Figures | None:
    """None for what the configuration refuses."""
    try:
        return figures(parsed(raw))
    except ConfigError:
        return None


def known(raw: dict[str, Any]) -> Figures:
    found = figures_of(raw)
    assume(found is not None)
    assert found is not None
    return found


def cases(usd: Spread | None) -> tuple[float, float, float]:
    assert usd is not None
    return usd.low, usd.expected, usd.high


@settings(max_examples=60)
@given(raw_stacks())
def test_low_is_below_expected_below_high_below_the_ceiling(raw: dict[str, Any]) -> None:
    bill = known(raw).bill
    for line in bill.lines:
        low, expected, high = cases(line.usd)
        assert 0 <= low <= expected + 1e-6 <= high + 2e-6, line
    assert bill.ceiling is not None
    assert cases(bill.of())[2] <= bill.ceiling + 1e-6
    for index, total in enumerate(cases(bill.of())):
        assert total == pytest.approx(sum(cases(line.usd)[index] for line in bill.lines))


@settings(max_examples=60)
@given(raw_stacks())
def test_every_formula_comes_to_its_figure_to_the_cent(raw: dict[str, Any]) -> None:
    for each in explanations(known(raw)):
        for case, why in each.cases:
            reckoned = float(eval(why.formula.replace(" x ", " * "), {"__builtins__": {}}))  # digits and signs
            assert reckoned == pytest.approx(why.value, rel=1e-9, abs=0.005), (each.name, case)


def more_of(what: str, raw: dict[str, Any]) -> dict[str, Any]:
    """The stack with more of something."""
    more = copy.deepcopy(raw)
    match what:
        case "warm":
            (pool,) = more["pools"]
            pool["warm"] = {"slots": pool.get("warm", {"slots": 0})["slots"] + 1}
        case "replicas":
            for each in more.get("workloads", ()):
                each["replicas"] += 1
        case _:
            more["usage"][what] = {"hoursPerDay": 24, "startsPerDay": 1000, "runsPerMonth": 100_000}[what]
    return more


@pytest.mark.parametrize("what", ["hoursPerDay", "startsPerDay", "runsPerMonth", "warm", "replicas"])
@settings(max_examples=25)
@given(raw_stacks())
def test_more_of_anything_costs_no_less(what: str, raw: dict[str, Any]) -> None:
    """Of GPU nodes, by every case; of traffic, where it is about starts: who always runs spares others a start."""
    before, after = known(raw).bill, known(more_of(what, raw)).bill
    parts: tuple[Any, ...] = ("traffic and logs",) if what == "startsPerDay" else ("always", "on demand")
    for less, usd in zip(cases(before.of(*parts)), cases(after.of(*parts)), strict=True):
        assert usd >= less - 1e-6
    first, second = (
        Bill(lines=tuple(replace(line, reasons=None, pool=None) for line in bill.lines), total=bill.of())
        for bill in (before, after)
    )
    assert compared(first, first) == []
    there, back = (
        {row.name + row.part: row.change for row in compared(*each)} for each in ((first, second), (second, first))
    )
    assert {name: cases(usd) for name, usd in there.items()} == {
        name: tuple(-each for each in cases(usd)) for name, usd in back.items()
    }


@pytest.fixture
def twice_as_dear(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All prices of us-east-1 doubled."""
    once = prices.of

    @cache
    def twice(region: str) -> RegionPrices:
        here = once(region)
        units = {each.field: getattr(here.services, each.field) for each in prices.UNIT_PRICES}
        services = replace(here.services, **{name: 2 * usd for name, usd in units.items() if usd is not None})
        return replace(here, on_demand={name: 2 * usd for name, usd in here.on_demand.items()}, services=services)

    monkeypatch.setattr(prices, "of", twice)
    pools._resolved.cache_clear()
    yield
    pools._resolved.cache_clear()


FIXED: dict[str, Any] = {
    **{key: DEV[key] for key in ("cluster", "models", "tags")},
    "pools": [DEV["pools"][0] | {"warm": {"slots": 2}, "maxGpus": 5}],
    "workloads": [WORKLOAD | {"kind": "Job", "replicas": 4}, WORKLOAD | {"name": "web", "replicas": 5}],
}
ONCE = figures(parsed(FIXED))


@pytest.mark.usefixtures("twice_as_dear")
def test_twice_the_prices_are_twice_the_sums() -> None:
    dearer = figures(parsed(FIXED))
    for line, other in zip(ONCE.bill.lines, dearer.bill.lines, strict=True):
        assert cases(other.usd) == pytest.approx([2 * usd for usd in cases(line.usd)]), line
    assert ONCE.bill.ceiling is not None
    assert dearer.bill.ceiling == pytest.approx(2 * ONCE.bill.ceiling)
    assert ONCE.comparison is not None
    assert dearer.comparison is not None
    for way, cost in ONCE.comparison.ways.items():
        assert dearer.comparison.ways[way].usd_per_month == pytest.approx(2 * cost.usd_per_month)
    assert dearer.comparison.pays_from == ONCE.comparison.pays_from
