"""What a resource would buy, and the evidence for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from policy.instances import candidates, is_gpu
from policy.reading import Unknown, each, get, strings, text, whole


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """GPUs that a resource can buy other than as Spot.

    `what` names them, `why` says what makes them on-demand, `spot` how to write it as Spot. `literal` is False where
    the capacity type is not known in preview: then no justification helps. `marks` are the annotations or tags that
    may justify it. `prepaid` where it is neither Spot nor on-demand: reserved, and paid whether it runs or not.
    """

    what: str
    why: str
    spot: str
    literal: bool = True
    prepaid: bool = False
    marks: Mapping[str, Any] | Unknown = field(default_factory=dict)


def gpus_named(value: Any, path: str, also: tuple[str, ...]) -> str | None:
    """How a type, a list of types or a pattern names GPUs; None if it names none. Unknown types count as GPUs."""
    if isinstance(value, Unknown) or any(isinstance(item, Unknown) for item in each(value)):
        return f"whatever {path} turns out to be"
    found = [name for name in strings(value) if is_gpu(name, also)]
    return f"{', '.join(found)} ({path})" if found else None


def gpus_required(value: Any, path: str, also: tuple[str, ...]) -> str | None:
    """How EC2's attribute-based selection (`instanceRequirements`) admits GPU types; None if it excludes them.

    EC2 does not limit accelerators where `acceleratorCount` is absent (EC2 API, InstanceRequirementsRequest).
    """
    if value is None:
        return None
    if isinstance(value, Unknown):
        return f"whatever {path} turns out to be"
    if whole(get(value, "acceleratorCount", "max")) == 0:
        return None
    types, makers = get(value, "acceleratorTypes"), get(value, "acceleratorManufacturers")
    if _listed(types) and "gpu" not in strings(types):
        return None
    if _listed(makers) and not {"nvidia", "amd"} & set(strings(makers)):
        return None
    allowed, excluded = get(value, "allowedInstanceTypes"), get(value, "excludedInstanceTypes")
    if _listed(allowed) and not any(is_gpu(name, also) for name in strings(allowed)):
        return None
    if _listed(excluded) and _excludes_all(strings(excluded)):
        return None
    return f"GPU types, which {path} does not exclude (set acceleratorCount.max to 0)"


def _listed(value: Any) -> bool:
    """Whether a list is there and all of it is known: only then does it restrict."""
    known = not any(isinstance(item, Unknown) for item in each(value))
    return bool(strings(value)) and known and not isinstance(value, Unknown)


def _excludes_all(patterns: tuple[str, ...]) -> bool:
    names = [candidate.name for candidate in candidates() if "." in candidate.name]
    future = ["g0.any", "gr0.any", "p0.any"]
    return all(any(fnmatchcase(name, pattern) for pattern in patterns) for name in (*names, *future))


def state(value: Any, path: str, absent: str) -> str:
    """How a setting stands, for a message: its value, or what its absence means."""
    if isinstance(value, Unknown):
        return f"{path} is unknown in preview and must be a literal"
    return f"{path} is {text(value)}" if text(value) else f"{path} is absent, which means {absent}"


def of_gpus(*evidence: str | None) -> Iterator[str]:
    """The evidence that was found."""
    return (item for item in evidence if item)
