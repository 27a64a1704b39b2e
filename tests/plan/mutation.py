"""Bending a recorded plan in one place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from policy.analyzer import Recorded
from policy.framework import matches

Stack = list[Recorded]
Inputs = dict[str, Any]
Mutation = Callable[[Stack], Stack]


@dataclass(frozen=True)
class Mutant:
    """A change to a stack's plan, and the rule that must notice it."""

    rule: str
    stack: str
    what: str
    mutation: Mutation


def change(type_: str, bend: Callable[[Inputs], object], name: str = "*") -> Mutation:
    """Bend the inputs of the resources of a type (patterns) and name; at least one must be there."""

    def mutation(stack: Stack) -> Stack:
        chosen = [found for found in stack if matches((type_,), found.type) and matches((name,), found.name)]
        assert chosen, f"no {type_} named {name}"
        return [_bent(found, bend) if any(found is one for one in chosen) else found for found in stack]

    return mutation


def _bent(found: Recorded, bend: Callable[[Inputs], object]) -> Recorded:
    inputs = copy.deepcopy(dict(found.inputs))
    bend(inputs)
    return replace(found, inputs=inputs)


def without(type_: str, name: str = "*") -> Mutation:
    """Drop resources."""
    return lambda stack: [f for f in stack if not (matches((type_,), f.type) and matches((name,), f.name))]


def plus(type_: str, inputs: Inputs) -> Mutation:
    """Add a resource."""
    return lambda stack: [
        *stack,
        Recorded(type=type_, name="added", urn=f"urn:pulumi:x::x::{type_}::added", inputs=inputs),
    ]


def at(inputs: Inputs, *path: str) -> Any:
    found: Any = inputs
    for key in path:
        found = found[key]
    return found
