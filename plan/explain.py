"""Why a figure of the bill is what it is: its inputs, its arithmetic, where each price is from and of which day.

Nothing is reckoned here: figures carry their reasons (`gpu.why`), and sums are those of the bill.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from config.errors import nearest
from config.tokens import per_million
from gpu.bill import Line, Reasons, known_of, node_reasons, sum_of
from gpu.compare import MORE_WORDS, OWN_ALIKE, OWN_ON_DEMAND_ALWAYS, WORDS, WRITTEN, Comparison, Sides
from gpu.estimate import SlotPrice
from gpu.pool import Pool
from gpu.price_file import SpotRange
from gpu.prices import HOURS_PER_DAY, CapacityType
from gpu.why import Input, Why, figure, given
from plan.errors import InputError
from plan.figures import Figures

SCHEMA_VERSION = 1
MONTHLY, HOURLY, TOKENS = "USD per month", "USD per hour", "tokens a month"


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A figure by the name that the plan gives it. cases: `low`, `expected`, `high`, or one without a name."""

    name: str
    what: str
    unit: str
    cases: tuple[tuple[str, Why], ...]


def explain(figures: Figures, name: str) -> Explanation:
    """The explanation of a figure. Raises InputError for a name that the plan does not print, with those that it does.

    Capitals and blanks around commas make no difference.
    """
    known = {_plain(each.name): each for each in explanations(figures)}
    found = known.get(_plain(name))
    if found is None:
        parts = [each for each in known if _plain(name) and _plain(name) in each]
        meant = nearest(_plain(name), known) or next(iter(parts), None)
        hint = f"; did you mean `{known[meant].name}`?" if meant else ""
        names = "\n".join(f"  {each.name}" for each in known.values())
        raise InputError(f"the plan has no figure called {name!r}{hint}\nFigures of this plan:\n{names}")
    return found


def _plain(name: str) -> str:
    return " ".join(name.replace(",", " ").lower().split())


def explanations(figures: Figures) -> list[Explanation]:
    """Every figure of costs that the plan prints, in the order in which it does."""
    return [
        *_bill(figures),
        *_work(figures),
        *_pools(figures),
        *_claims(figures),
        *_placements(figures),
        *_own(figures),
        *_ways(figures),
        *_tokens(figures),
    ]


def explanation_json(found: Explanation) -> str:
    """An explanation for machines (docs/costs.md)."""
    cases = [
        {"case": case or None, "value": why.value, "formula": why.formula, "inputs": [asdict(i) for i in why.inputs]}
        for case, why in found.cases
    ]
    document = {"schemaVersion": SCHEMA_VERSION, "name": found.name, "what": found.what, "unit": found.unit}
    return json.dumps({**document, "cases": cases}, indent=2, ensure_ascii=False)


# --- The bill ---------------------------------------------------------------------------------------------------------


def _bill(figures: Figures) -> Iterator[Explanation]:
    bill, parts = figures.bill, PART_NAMES
    twice = Counter(line.name for line in bill.lines)
    for part in bill.parts:
        own = [line for line in bill.lines if line.part == part]
        for line in own:
            name = line.name if twice[line.name] == 1 else f"{line.name}, {parts[part]}"
            if line.reasons:
                yield Explanation(name=name, what=line.detail, unit=MONTHLY, cases=_cases(line.reasons))
        yield from _sums(parts[part], "the lines of this part", own)
    yield from _sums("total", "all lines of the bill", bill.lines)
    quiet = [line for line in bill.lines if line.part in ("floor", "always")]
    yield from _sums("idle", "what the stack costs when nobody uses it", quiet)
    words = "all GPUs of maxGpus, the dearest types, around the clock, and the rest of the bill at its highest"
    yield Explanation(name="ceiling", what=words, unit=MONTHLY, cases=(("", bill.why_ceiling),))
    budget, share = figures.config.budget, figures.budget_share
    known = sum_of(known_of(bill.lines))
    if budget and share is not None and known:
        inputs = (
            Input("total, expected", known.expected, "USD"),
            Input("budget.monthlyUsd", budget.monthly_usd, "USD"),
        )
        why = Why(share, f"{figure(known.expected)} / {figure(budget.monthly_usd)}", inputs)
        yield Explanation(name="budget", what="part of it that is expected to be spent", unit="", cases=(("", why),))


#: What the parts of the bill are called where it is printed.
PART_NAMES: Mapping[str, str] = {
    "floor": "floor",
    "always": "always runs",
    "on demand": "on demand",
    "traffic and logs": "traffic, logs",
}


def _cases(reasons: Reasons) -> tuple[tuple[str, Why], ...]:
    if reasons.low == reasons.expected == reasons.high:
        return (("", reasons.expected),)
    return (("low", reasons.low), ("expected", reasons.expected), ("high", reasons.high))


def _sums(name: str, what: str, lines: Sequence[Line]) -> Iterator[Explanation]:
    """A sum of the bill, and where a line's price is not known that of the others, which is what is printed."""
    yield _sum(name, what, lines)
    known = known_of(lines)
    if known and len(known) < len(lines):
        yield _sum(f"{name}, of what is known", f"{what} whose price is known", known)


def _sum(name: str, what: str, lines: Sequence[Line]) -> Explanation:
    """A sum of the bill, with the lines that it is made of."""
    usd = sum_of(lines)
    whole = (None, None, None) if usd is None else (usd.low, usd.expected, usd.high)
    each = [
        [
            Input(line.name, None if line.usd is None else amount, "USD")
            for line, amount in zip(lines, amounts, strict=True)
        ]
        for amounts in zip(*(_amounts(line) for line in lines), strict=True)
    ] or [[], [], []]
    whys = [
        Why(value, " + ".join(figure(part.value) for part in inputs) or "0", tuple(inputs), is_sum=True)
        for value, inputs in zip(whole, each, strict=True)
    ]
    return Explanation(name=name, what=what, unit=MONTHLY, cases=_cases(Reasons(*whys)))


def _amounts(line: Line) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if line.usd is None else (line.usd.low, line.usd.expected, line.usd.high)


def _work(figures: Figures) -> Iterator[Explanation]:
    for each in figures.work:
        words = "each pod alone on a node, the dearest on which it may run"
        yield Explanation(name=f"at most, {each.name}", what=words, unit=HOURLY, cases=(("", each.why_at_most),))


# --- Prices and savings -----------------------------------------------------------------------------------------------


def _pools(figures: Figures) -> Iterator[Explanation]:
    for pool in figures.pools:
        cheapest, dearest = pool.price, pool.dearest
        if cheapest is None or dearest is None:
            continue
        yield from _node(pool, cheapest, "")
        for zone, seen in pool.prices.spot_zones(cheapest.instance_type).items():
            yield _zone(pool, cheapest.instance_type, zone, seen)
        if dearest.instance_type != cheapest.instance_type:
            cases = _cases(node_reasons(pool, dearest))
            words = f"a node of {dearest.instance_type}, the dearest that the pool may buy"
            yield Explanation(name=f"dearest, {pool.name}", what=words, unit=HOURLY, cases=cases)
            yield from _node(pool, dearest, "dearest, ")


def _claims(figures: Figures) -> Iterator[Explanation]:
    """A GiB that is claimed, and what each pod claims, bought in both ways."""
    for claims in figures.claims:
        cases = tuple((words, claims.why_gib(capacity_type)) for words, capacity_type in _BOUGHT)
        what = "a GiB of a GPU for an hour, when all of it is claimed"
        yield Explanation(name=f"claimed GiB, {claims.pool.name}", what=what, unit=HOURLY, cases=cases)
        for holder in claims.holders:
            cases = tuple((words, claims.why_claim(holder, capacity_type)) for words, capacity_type in _BOUGHT)
            what = "what a pod claims of a GPU for an hour"
            yield Explanation(name=f"claim, {holder.name}", what=what, unit=HOURLY, cases=cases)


def _placements(figures: Figures) -> Iterator[Explanation]:
    """Of work that says what it needs: what it costs on each pool that would do, the chosen one first."""
    for each in figures.placements:
        would = [each.offer, *(other for other in each.others if not other.why_not)]
        cases = tuple((offer.pool.name, offer.why) for offer in would)
        what = "its slots or its claim on each pool that would do, when nothing of the node is left over"
        yield Explanation(name=f"place, {each.name}", what=what, unit=HOURLY, cases=cases)


def _node(pool: Pool, node: SlotPrice, which: str) -> Iterator[Explanation]:
    """A node and its slots, bought in both ways."""
    name = node.instance_type
    for words, capacity_type in _BOUGHT:
        why = pool.prices.why_node(name, capacity_type)
        yield Explanation(
            name=f"{which}{words}, {pool.name}", what=f"a node of {name}", unit=HOURLY, cases=(("", why),)
        )
    cases = tuple((words, pool.why_slot(capacity_type, node)) for words, capacity_type in _BOUGHT)
    what = f"a slot of {name}, when all of the node are taken"
    yield Explanation(name=f"{which}slot, {pool.name}", what=what, unit=HOURLY, cases=cases)


_BOUGHT: Final[tuple[tuple[str, CapacityType], ...]] = (("on-demand", "on-demand"), ("Spot", "spot"))


def _zone(pool: Pool, instance_type: str, zone: str, seen: SpotRange) -> Explanation:
    table = pool.prices.spot_seen
    source, day = (table.source, table.kept.get(instance_type, table.date)) if table else ("", None)
    asked = {"least": seen.least, "mean": seen.mean, "most": seen.most}
    words = f"{instance_type} on Spot in {zone}"
    cases = {case: given(f"{words}, {case}", usd, "USD/h", source, day) for case, usd in asked.items()}
    once = len(set(asked.values())) == 1
    shown = (("", given(words, seen.mean, "USD/h", source, day)),) if once else tuple(cases.items())
    return Explanation(name=f"Spot in {zone}, {pool.name}", what=f"a node of {instance_type}", unit=HOURLY, cases=shown)


def _own(figures: Figures) -> Iterator[Explanation]:
    for consumer in figures.consumers:
        # Nodes that always stand hold slots for others, and nothing is bought as a capacity block is.
        if consumer.slots and consumer.kind != "static nodes" and not consumer.pool.block:
            why, words = consumer.why_own(consumer.pool.capacity_type), "GPUs of its own, bought as its pool buys"
            yield Explanation(name=f"GPU of its own, {consumer.name}", what=words, unit=HOURLY, cases=(("", why),))
    for model in figures.models:
        if own := model.dedicated:
            prices = model.pool.prices
            name, what = model.config.name, f"{own.name}, the cheapest single GPU that holds the model"
            yield Explanation(
                name=f"GPU that holds {name}",
                what=what,
                unit=HOURLY,
                cases=tuple((words, prices.why_node(own.name, bought)) for words, bought in _BOUGHT),
            )


def _ways(figures: Figures) -> Iterator[Explanation]:
    comparison = figures.comparison
    if comparison is None:
        return
    for way, words in {**WORDS, **MORE_WORDS}.items():
        why = comparison.ways[way].why
        yield Explanation(name=words, what="GPU nodes alone", unit=MONTHLY, cases=(("", why),))
    for name, way, against in (
        ("saving by sharing", WRITTEN, OWN_ALIKE),
        ("saving by all together", WRITTEN, OWN_ON_DEMAND_ALWAYS),
        *((f"saving, {WORDS[way]}", way, OWN_ON_DEMAND_ALWAYS) for way in WORDS if way not in _TOGETHER),
    ):
        written, other = comparison.ways[way].usd_per_month, comparison.ways[against].usd_per_month
        inputs = (Input(WORDS[way], written, "USD"), Input(WORDS[against], other, "USD"))
        formula = f"1 - {figure(written)} / {figure(other)}" if other else "0"
        why = Why(comparison.saving(way, against), formula, inputs)
        yield Explanation(name=name, what="part of GPU nodes' costs", unit="", cases=(("", why),))
    yield from _break_evens(comparison)


#: Whose saving has a name of its own, or is none.
_TOGETHER: Final = (WRITTEN, OWN_ON_DEMAND_ALWAYS)


def _break_evens(comparison: Comparison) -> Iterator[Explanation]:
    """From how many slots and at which hours sharing pays: both sides of the comparison, there."""
    for name, both in comparison.why_pays_from.items():
        slots = comparison.pays_from[name]
        what = f"{slots} slots taken at once" if slots else "all slots taken at once, and still dearer"
        yield Explanation(name=f"pays from, {name}", what=what, unit=HOURLY, cases=_both(both))
    inner = [edge for each in comparison.dearer for edge in each if 0 < edge < HOURS_PER_DAY]
    for hours in dict.fromkeys(inner) or [float(HOURS_PER_DAY)]:
        if sides := comparison.sides(hours):
            what = f"what sleeps is awake {hours:.1f} h a day"
            name = "dearer" if len(inner) < 2 else f"dearer, {hours:.1f} h a day"
            yield Explanation(name=name, what=what, unit=MONTHLY, cases=_both(sides))


def _both(sides: Sides) -> tuple[tuple[str, Why], ...]:
    return (("shared", sides.shared), ("a GPU each", sides.own))


def _tokens(figures: Figures) -> Iterator[Explanation]:
    for each in figures.token_costs:
        for rate, tokens in each.rates:
            name = f"tokens of {each.name} {rate}"
            yield Explanation(name=name, what="tokens of a month", unit=TOKENS, cases=(("", tokens),))
        for share, usd in each.usd:
            for rate, tokens in each.rates:
                name = f"tokens of {each.name} {rate}, {share}"
                why = per_million(usd, tokens)
                yield Explanation(name=name, what="a million tokens", unit="USD per million tokens", cases=(("", why),))
            if even := each.break_even(usd):
                words = "tokens of a month for which the API costs as much"
                name = f"break-even of {each.name}, {share}"
                yield Explanation(name=name, what=words, unit=TOKENS, cases=(("", even),))
