"""What to say about `sharing`: one strategy a pool, in every way in which people write two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from config.errors import MISSING, Path, Problem, listed, nearest, one_of
from config.pool_schema import STRATEGIES
from config.section import Section
from config.wording import EXAMPLES, SHARING_KEYS, STRATEGY_KEYS, VALUE_SYNONYMS
from gpu.sharing import Strategy

_REFUSED = "NVIDIA's device plugin refuses MPS on MIG devices"
_SECTION = "must be a section with keys of its own"


def strategy_problem(value: Any, path: Path) -> tuple[Problem, type[Section] | None]:
    """The problem with a `sharing` whose strategy is missing or unknown, and the strategy that is probably meant."""
    if not isinstance(value, Mapping):
        return Problem(path, value, _no_section(value)), None
    named = [key for key in value if key in STRATEGY_KEYS]
    if len(named) > 1:
        return Problem(path, value, _several([STRATEGY_KEYS[key] for key in named])), None
    if named and "strategy" not in value:
        example = EXAMPLES[STRATEGY_KEYS[named[0]]]
        return Problem((*path, named[0]), value[named[0]], f"is not a key here; write sharing: {example}"), None
    strategy = value.get("strategy", MISSING)
    place = (*path, "strategy")
    if strategy is MISSING:
        return Problem(place, MISSING, f"is missing: write {listed(STRATEGIES)}"), None
    several = _strategies_in(strategy)
    if len(several) > 1:
        return Problem(place, strategy, _several(several)), None
    meant = VALUE_SYNONYMS.get(strategy) if isinstance(strategy, str) else None
    meant = meant if meant in STRATEGIES else nearest(strategy, STRATEGIES)
    empty = "is empty; " if strategy is None else ""
    return Problem(place, strategy, empty + one_of(meant or strategy, STRATEGIES)), STRATEGIES.get(meant or "")


def _no_section(value: Any) -> str:
    if value is None:
        return f"is empty; write sharing: {EXAMPLES['time-slicing']}"
    several = _strategies_in(value)
    if len(several) > 1:
        return _several(several)
    if len(several) == 1:
        return f"{_SECTION}: write sharing: {EXAMPLES[several[0]]}"
    return f"{_SECTION}: write sharing: {EXAMPLES['time-slicing']}"


def _strategies_in(value: Any) -> list[Strategy]:
    """Strategies that a text or a list names, each once."""
    if isinstance(value, str):
        for separator in ",+&/|;":
            value = value.replace(separator, " ")
        words: list[Any] = value.split()
    elif isinstance(value, list):
        words = [entry.get("strategy") if isinstance(entry, Mapping) else entry for entry in value]
    else:
        words = []
    found = [STRATEGY_KEYS[word] for word in words if isinstance(word, str) and word in STRATEGY_KEYS]
    return list(dict.fromkeys(found))


def _several(strategies: Sequence[str]) -> str:
    reason = f", and {_REFUSED}" if {"mps", "mig"} <= set(strategies) else ""
    return f"names {len(strategies)} strategies; a pool has one{reason}: keep one, or make two pools"


def misplaced(key: str, section: str, allowed: Sequence[str]) -> tuple[str, str | None] | None:
    """What to say about a key that belongs into `sharing`, or into another strategy's, and the key that is meant."""
    if key not in SHARING_KEYS and key not in STRATEGY_KEYS:
        return None
    if "strategy" in allowed:
        return _other_strategy(key, section), None
    strategy = STRATEGY_KEYS.get(key) or STRATEGY_KEYS.get(SHARING_KEYS[key].partition(" ")[0], "time-slicing")
    if section == "GpuPool":
        return f"belongs under sharing: write sharing: {EXAMPLES[strategy]}", "sharing"
    if section == "GpuSharing":
        return "belongs to a pool: write it under sharing in an entry of pools", None
    return None


def _other_strategy(key: str, section: str) -> str:
    """About a key in the section of a strategy that does not have it."""
    own = {model.__name__: strategy for strategy, model in STRATEGIES.items()}[section]
    other = STRATEGY_KEYS.get(key)
    if other == own:
        return f"is not a key here; write sharing: {EXAMPLES[own]}"
    if other:
        return _several([own, other])
    owner = SHARING_KEYS[key]
    if {own, owner} == {"mps", "mig"}:
        return f"belongs to strategy {owner}; a pool has one strategy, and {_REFUSED}: remove it, or make two pools"
    return f"belongs to strategy {owner}; a pool has one strategy: remove it, or make two pools"
