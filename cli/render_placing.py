"""Prints where work goes that says what it needs of a GPU, why there, and what is left over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.padding import Padding

from cli.console import hanging
from cli.tables import section, table
from config.errors import counted
from config.placing import Offer, Placement
from gpu.fraction import given, percent
from plan.figures import Figures


def print_placing(console: Console, figures: Figures) -> None:
    """A row for each need, and why no other pool; nothing where everything names its pool and slots."""
    groups = _alike(figures.placements)
    if not groups:
        return
    found = table("who, and what a pod needs", "goes to, and gets", "left\nover", "USD/h", texts=2)
    for group in groups:
        first = group[0]
        offer = first.offer
        gets = f"{offer.pool.name}, {_got(offer)}\n{given(offer.pool)}"
        found.add_row(f"{_names(group)}\n{first.need.words}", gets, _left_over(first), _usd(offer))
    section(console, "Where work goes that says what it needs", found)
    console.print(Padding("", (0, 0)))
    for group in groups:
        hanging(console, "- ", f"{_names(group)}: {_why(group[0])}")


def _alike(placements: Sequence[Placement]) -> list[list[Placement]]:
    """Those that need the same, have the same choice and came to the same pool, together."""
    groups: dict[tuple[object, ...], list[Placement]] = {}
    for each in placements:
        others = tuple((other.pool.name, other.why_not) for other in each.others)
        key = (each.kind, each.need, each.chosen, each.offer.pool.name, each.offer.slots, others)
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def _names(group: Sequence[Placement]) -> str:
    first = group[0].name
    return first if len(group) == 1 else f"{first} … {group[-1].name} (×{len(group)})"


def _got(offer: Offer) -> str:
    return f"a claim of {offer.claim_mib:,} MiB" if offer.claim_mib else counted(offer.slots, "slot")


def _left_over(placement: Placement) -> str:
    share = placement.unused_share
    parts = [percent(share)] if share is not None else []
    parts += [f"{placement.unused_mib / 1024:.1f} GiB"] if placement.unused_mib is not None else []
    return "\n".join(parts)


def _usd(offer: Offer) -> str:
    usd = offer.usd_per_hour
    return "-" if usd is None else f"{usd:.4f}"


def _why(placement: Placement) -> str:
    if not placement.chosen:
        return f"the stack file names pool {placement.offer.pool.name}."
    reasons = "; ".join(_reasons(placement))
    known = placement.offer.usd_per_hour is not None
    one = "slot or claim" if any(each.claim_mib for each in (placement.offer, *placement.others)) else "slot"
    first = f"the cheapest {one} that does" if known else f"the first {one} that does, for no price is known"
    return f"{first}. {reasons[0].upper()}{reasons[1:]}." if reasons else f"{first}: there is no other pool."


def _reasons(placement: Placement) -> Iterator[str]:
    """Why not the other pools: first those that would do, then the rest."""
    would = [other for other in placement.others if not other.why_not]
    if would:
        yield "would do: " + ", ".join(f"{other.pool.name} at {_usd(other)}" for other in would)
    for other in placement.others:
        if other.why_not:
            yield f"not {other.pool.name}: {other.why_not}"
