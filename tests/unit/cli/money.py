"""Every amount that a plan prints, for people and for machines, and which of them nobody can ask why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from plan.as_json import plan_json
from plan.explain import TOKENS, Explanation, explanations
from plan.make import Plan


def amounts(document: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Every amount of money in a document, with where it stands."""
    if isinstance(document, dict):
        for key, value in document.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and "usd" in key.lower():
                yield f"{path}/{key}", value
            yield from amounts(value, f"{path}/{key}")
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from amounts(value, f"{path}/{index}")


def zones(document: Any) -> Iterator[tuple[str, float]]:
    """Spot prices by zone: least, mean, most."""
    for pool in document["pools"]:
        for zone, prices in pool["spotZones"].items():
            yield from ((f"{pool['name']}, {zone}", usd) for usd in prices)


def printed_amounts(text: str) -> Iterator[tuple[str, float, int]]:
    """Amounts and percentages in the part of a plan that speaks of money, with their digits; percentages have none."""
    money = text[text.index("Bill of a month") : text.index("In USD for")]
    for found in re.finditer(r"\d[\d,]*\.(\d\d|\d{4})\b", money):
        yield found[0], float(found[0].replace(",", "")), len(found[1])
    for found in re.finditer(r"(\d[\d,]*) %", money):
        yield found[0], float(found[1].replace(",", "")) / 100, 0


def unexplained(plan: Plan, text: str) -> list[str]:
    """What neither an explanation comes to nor the stack file says. text: what is printed of the plan."""
    assert plan.figures
    known = explanations(plan.figures)
    values = [why.value for each in known for _, why in each.cases if why.value is not None]
    parts = [abs(why.value) for each in known if not each.unit for _, why in each.cases if why.value is not None]
    values += _stated(known)
    # Tokens are printed in millions.
    values += [why.value / 1e6 for each in known if each.unit == TOKENS for _, why in each.cases if why.value]
    document = json.loads(plan_json(plan))
    told = {digits: {round(value, digits) for value in values} for digits in (2, 4, 6)}
    missing = [
        f"{path} = {usd}"
        for path, usd in (*amounts(document), *zones(document))
        # What the stack file says of use, nobody need ask why.
        if not path.startswith("/costs/usage/") and not any(usd in each for each in told.values())
    ]
    percent = {round(part * 100) / 100 for part in parts}
    return missing + [
        shown for shown, amount, digits in printed_amounts(text) if amount not in (told[digits] if digits else percent)
    ]


def _stated(known: list[Explanation]) -> Iterator[float]:
    """Amounts of the stack file: nobody need ask why, and they are inputs of what is reckoned with them."""
    inputs = (each for of in known for _, why in of.cases for each in why.inputs)
    return (each.value for each in inputs if each.value is not None and each.name == "budget.monthlyUsd")
