"""Whether prices can be believed: good ones that are known are never replaced by bad ones that came."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Generic, TypeVar

from gpu.catalog import INSTANCE_TYPES
from gpu.price_file import SpotRange

T = TypeVar("T")

#: A price that is so many times another one, or so small a part of it, is a mistake and no price. Of the same thing
#: before: AWS' largest cuts were by half (P5 in June 2025, by 44 %). Of the same thing in another region: regions are
#: less than twice as dear as each other.
_TIMES_FORMER: Final = 3
_TIMES_ELSEWHERE: Final = 5
#: Of others of its kind: sizes of a family differ fivefold by the GPU, and Spot was never 1/20 of on-demand.
_TIMES: Final = 20
#: Spot is never above on-demand; a little more is forgiven to prices of different days.
_ABOVE_ON_DEMAND: Final = 1.2
#: An answer in which more than this part is missing or absurd is half an answer.
_MISSING: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Judged(Generic[T]):
    """What is believed, and what is told. kept: names whose former value stays. whole: False where nothing is taken."""

    taken: Mapping[str, T]
    kept: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    whole: bool = True


@dataclass(frozen=True, kw_only=True)
class Known:
    """Prices to compare with, USD per hour by type. former: the region's. elsewhere: other regions'.

    offered: what the catalogue says that the region has.
    """

    former: Mapping[str, float] = field(default_factory=dict)
    elsewhere: tuple[Mapping[str, float], ...] = ()
    offered: frozenset[str] = frozenset()


def judge_nodes(answered: Mapping[str, float], known: Known) -> Judged[float]:
    """On-demand prices. Expected are the types that had a price; in a new region those that the catalogue has there."""
    expected = known.former.keys() or known.offered
    missing = sorted(expected - answered.keys())
    if expected and len(missing) > _MISSING * len(expected):
        return _refused(f"half an answer: {len(missing)} of {len(expected)} types are missing, {_some(missing)}")
    sisters = _per_gpu(answered)
    absurd = {name: why for name, usd in answered.items() if (why := _absurd(usd, *_likes(name, known, sisters)))}
    if len(absurd) > _MISSING * len(answered) or not answered:
        return _refused(f"absurd prices: {_some([f'{name}: {why}' for name, why in absurd.items()]) or 'none came'}")
    taken = {name: usd for name, usd in answered.items() if name not in absurd}
    told = [f"{name}: {why}" for name, why in absurd.items()]
    told += [f"no price of {_some(missing)}"] if missing else []
    return Judged(taken=taken, kept=_keeps(known.former, taken), told=tuple(told))


def judge_unit(usd: float, former: float | None, elsewhere: Iterable[float | None]) -> str:
    """Why a unit price is absurd; empty where it is not."""
    return _absurd(usd, *_like((former,), _TIMES_FORMER), *_like(elsewhere, _TIMES_ELSEWHERE))


def judge_spot(
    answered: Mapping[str, Mapping[str, SpotRange]],
    on_demand: Mapping[str, float],
    former: Mapping[str, Mapping[str, SpotRange]],
) -> Judged[Mapping[str, SpotRange]]:
    """Spot prices by type and zone, against the on-demand prices, and against what was seen before."""
    missing = sorted(former.keys() - answered.keys())
    if former and len(missing) > _MISSING * len(former):
        return _refused(f"half an answer: {len(missing)} of {len(former)} types are missing, {_some(missing)}")
    taken: dict[str, Mapping[str, SpotRange]] = {}
    told, zones = [], sum(len(each) for each in answered.values())
    for name, seen in answered.items():
        problems = {zone: _absurd_spot(each, on_demand.get(name)) for zone, each in seen.items()}
        told += [f"{name} in {zone}: {why}" for zone, why in problems.items() if why]
        if good := {zone: each for zone, each in seen.items() if not problems[zone]}:
            taken[name] = good
    if not taken or len(told) > _MISSING * zones:
        return _refused(f"absurd prices: {_some(told) or 'none came'}")
    told += [f"no Spot price of {_some(missing)}"] if missing else []
    return Judged(taken=taken, kept=_keeps(former, taken), told=tuple(told))


def _absurd_spot(seen: SpotRange, on_demand: float | None) -> str:
    if on_demand is None:
        return "its on-demand price is not known"
    if unlike := [usd for usd in (seen.least, seen.mean, seen.most) if not _is_price(usd)]:
        return f"{unlike[0]:g} USD is no price"
    if seen.most > _ABOVE_ON_DEMAND * on_demand:
        return f"{seen.most:g} USD is above the on-demand price of {on_demand:g}"
    if seen.least < on_demand / _TIMES:
        return f"{seen.least:g} USD is less than 1/{_TIMES} of the on-demand price of {on_demand:g}"
    return ""


@dataclass(frozen=True, slots=True)
class _Like:
    """Another price. times: how much dearer or cheaper than that one a price may be."""

    usd: float
    times: float


def _like(prices: Iterable[float | None], times: float) -> list[_Like]:
    return [_Like(usd, times) for usd in prices if usd is not None]


def _absurd(usd: float, *likes: _Like) -> str:
    if not _is_price(usd):
        return f"{usd:g} USD is no price"
    for like in likes:
        if usd > like.usd * like.times:
            return f"{usd:g} USD is more than {like.times:g} x {like.usd:g}"
        if usd < like.usd / like.times:
            return f"{usd:g} USD is less than 1/{like.times:g} of {like.usd:g}"
    return ""


def _is_price(usd: float) -> bool:
    return math.isfinite(usd) and usd > 0


def _likes(name: str, known: Known, sisters: Mapping[str, float]) -> list[_Like]:
    """Prices that a type's must be like: its former one, that of other regions, and its family's by the GPU."""
    found = _like([known.former.get(name)], _TIMES_FORMER)
    found += _like((prices.get(name) for prices in known.elsewhere), _TIMES_ELSEWHERE)
    type_ = INSTANCE_TYPES.get(name)
    if type_ and type_.family in sisters:
        found += _like([sisters[type_.family] * type_.gpu_count], _TIMES)
    return found


def _per_gpu(answered: Mapping[str, float]) -> Mapping[str, float]:
    """The median by family, USD per hour and GPU, of families that answered with several types."""
    found: dict[str, list[float]] = {}
    for name, usd in answered.items():
        if (type_ := INSTANCE_TYPES.get(name)) and _is_price(usd):
            found.setdefault(type_.family, []).append(usd / type_.gpu_count)
    return {family: median(each) for family, each in found.items() if len(each) > 1}


def _keeps(former: Mapping[str, object], taken: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(sorted(former.keys() - taken.keys()))


def _refused(why: str) -> Judged[T]:
    return Judged(taken={}, told=(why,), whole=False)


def _some(names: Iterable[str]) -> str:
    """The first few, and how many more there are."""
    every = list(names)
    return ", ".join(every[:3]) + (f" and {len(every) - 3} more" if len(every) > 3 else "")
