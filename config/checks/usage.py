"""Checks of what is said about use: of what there is, and in the words that fit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from pydantic.alias_generators import to_camel

from config.checks.parts import Parts, attempt
from config.errors import Path, Problem, listed, nearest
from config.schema import UsageOf
from config.section import BrokenValueError
from config.services import service_name
from gpu.standing import CUDA_EXAMPLE

#: What a name stands for, and which keys say something about it.
_TOKENS = ("requests_per_minute", "tokens_per_request", "tokens_per_second", "api_usd_per_million_tokens")
_KEYS: Mapping[str, tuple[str, ...]] = {
    "a model": ("hours_per_day", *_TOKENS),
    "a model of a server": ("hours_per_day",),
    "a Job": ("runs_per_month", "hours_per_run"),
    "a CronJob": ("hours_per_run",),
    "a Deployment": (),
    "a KnativeService": ("hours_per_day",),
    "a KnativeService that never sleeps": (),
    "a model that never sleeps": _TOKENS,
    "a model of a server that never sleeps": (),
}


def check_usage(parts: Parts) -> Iterator[Problem]:
    """Every entry of `usage.each`."""
    usage = parts.usage
    if usage is None:
        return
    with suppress(BrokenValueError):
        known = _known(parts)
        seen: set[str] = set()
        for index, entry in enumerate(usage.each):
            if entry is not None:
                yield from attempt(_entry(entry, ("usage", "each", index), known, seen))


def _known(parts: Parts) -> dict[str, str]:
    """What may be named, with its kind. Raises BrokenValueError where that is not known."""
    found = {CUDA_EXAMPLE: "a Job"} if parts.examples else {}
    if parts.models is None or parts.workloads is None:
        raise BrokenValueError("models")
    for model in parts.models:
        if model is None:
            raise BrokenValueError("models")
        sleeps = " that never sleeps" if model.min_scale else ""
        found[model.name] = f"a model{' of a server' if model.server else ''}{sleeps}"
        found[service_name(model)] = f"a model{sleeps}"
    for workload in parts.workloads:
        if workload is None:
            raise BrokenValueError("workloads")
        awake = " that never sleeps" if workload.kind == "KnativeService" and workload.min_scale else ""
        found[workload.name] = f"a {workload.kind}{awake}"
    return found


def _entry(entry: UsageOf, path: Path, known: Mapping[str, str], seen: set[str]) -> Iterator[Problem]:
    kind = known.get(entry.name)
    if entry.name in seen:
        yield Problem((*path, "name"), entry.name, "is listed twice")
    seen.add(entry.name)
    if kind is None:
        meant = nearest(entry.name, known)
        there_are = f"there are {listed(known, 'and')}" if known else "there are none"
        hint = f"; did you mean {meant}?" if meant else f": {there_are}"
        yield Problem((*path, "name"), entry.name, f"is no model, server or Job of this stack{hint}")
        return
    for field in _KEYS["a Job"] + _KEYS["a model"]:
        value = getattr(entry, field)
        if value is not None and field not in _KEYS[kind]:
            other = _instead(field, kind, entry)
            yield Problem((*path, to_camel(field)), value, f"says nothing about {entry.name}, which is {kind}: {other}")
    yield from _tokens(entry, path)


def _instead(field: str, kind: str, entry: UsageOf) -> str:
    """What to write in place of a key; of what stands there already, nothing."""
    if field in _TOKENS:
        return "write it of a model that has its slots for itself, or of the server"
    if field == "runs_per_month" and kind == "a CronJob":
        return "its schedule says how often it runs; remove it"
    fitting = [each for each in _KEYS[kind] if each not in _TOKENS]
    if not fitting:
        return "its pods are there all the time; remove it"
    lacking = [to_camel(each) for each in fitting if getattr(entry, each) is None]
    return f"write {listed(lacking, 'and')}" if lacking else "remove it"


def _tokens(entry: UsageOf, path: Path) -> Iterator[Problem]:
    """Requests and their tokens belong together, and an API's price wants a rate."""
    requests, tokens = entry.requests_per_minute, entry.tokens_per_request
    if (requests is None) != (tokens is None):
        has, lacks = ("requestsPerMinute", "tokensPerRequest")[:: 1 if tokens is None else -1]
        yield Problem((*path, has), requests or tokens, f"says nothing alone: write {lacks} too")
    price, most = entry.api_usd_per_million_tokens, entry.tokens_per_second
    if price is not None and tokens is None and requests is None and most is None:
        said = "has nothing to be compared with: write tokensPerSecond, or requestsPerMinute and tokensPerRequest"
        yield Problem((*path, "apiUsdPerMillionTokens"), price, said)
