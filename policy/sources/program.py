"""What is read of somebody's program: its resources, the place of each, and what could not be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pulumi_policy.deserialize import SPECIAL_SIG_KEY

from policy.analyzer import Recorded


class SourceError(ValueError):
    """What was given cannot be read; the text says what, where and what to give instead, in one line."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something stands. line: counted from 1. address: a URN of Pulumi, or an address of Terraform."""

    file: str
    line: int | None = None
    address: str | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.address}" if self.address else where


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """What no rule was shown. broken: it ought to be readable, and is not."""

    place: Place
    what: str
    broken: bool = False


@dataclass(kw_only=True)
class Program:
    """Resources as the pack judges them, each with its place. kinds: what files they are from, one for each file."""

    kinds: list[str] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    _found: dict[str, tuple[Recorded, Place]] = field(default_factory=dict)

    @property
    def resources(self) -> list[Recorded]:
        """All of them, in the order in which they were found."""
        return [resource for resource, _ in self._found.values()]

    def place(self, urn: str | None) -> Place | None:
        """Where a resource stands; None for a URN that is none of a resource."""
        found = self._found.get(urn or "")
        return found[1] if found else None

    def add(self, resource: Recorded, place: Place) -> None:
        """Take a resource in. It takes the place of one with its URN: the later step, or file, is what counts."""
        self._found[resource.urn] = (resource, place)

    def join(self, other: Program) -> None:
        """Take in all of another."""
        self._found |= other._found
        self.unseen += other.unseen
        self.kinds += other.kinds


def urn(project: str, type_: str, name: str) -> str:
    """A URN for what has none: the file stands for the project."""
    return f"urn:pulumi:judged::{project}::{type_}::{name}"


def unmarked(value: Any) -> Any:
    """A copy of data that is not Pulumi's, in which nothing passes for a mark of its wire form."""
    if isinstance(value, Mapping):
        return {str(key): unmarked(element) for key, element in value.items() if key != SPECIAL_SIG_KEY}
    return [unmarked(element) for element in value] if isinstance(value, list) else value


def mapping(value: Any, *path: str) -> Mapping[str, Any]:
    """The object at `path`; an empty one where there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def objects(value: Any) -> list[Mapping[str, Any]]:
    """The objects in a list; a lone object is a list of one, and what else stands there is left out."""
    listed = value if isinstance(value, list) else [value]
    return [element for element in listed if isinstance(element, Mapping)]


def texts(value: Any) -> list[str]:
    """The texts in a list."""
    return [element for element in value if isinstance(element, str)] if isinstance(value, list) else []
