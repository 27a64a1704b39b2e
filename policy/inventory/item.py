"""One object that a resource carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from policy.reading import Unknown


@dataclass(frozen=True)
class Item:
    """An object in the form that rules know. `props` are plain data, unknown values as `Unknown`.

    place: path inside the carrier, for people; empty for the carrier itself. name: its own, if it has one.
    needs: places of others of the same carrier that it names, as a group its launch template.
    looked_through: whether what it carries was found already.
    """

    type: str
    props: Mapping[str, Any]
    place: str = ""
    name: str = ""
    needs: tuple[str, ...] = ()
    looked_through: bool = False

    def at(self, *keys: object) -> str:
        """A place inside it."""
        return ".".join(str(key) for key in (self.place, *keys) if key != "")

    def alone(self) -> Item:
        """The same without what it carries."""
        return replace(self, looked_through=True)


@dataclass(frozen=True)
class Blind:
    """What cannot be seen: `place` is a path inside the carrier, `why` the end of a sentence that begins with it."""

    place: str
    why: str


def without_nothing(props: Mapping[str, Any]) -> dict[str, Any]:
    """Properties that say something: what is None is not written."""
    return {key: value for key, value in props.items() if value is not None}


def as_wire(value: Any) -> Any:
    """Plain data as the engine sends it: unknown values as the SDK's sentinel."""
    if isinstance(value, Unknown):
        return UNKNOWN_STRING_VALUE
    if isinstance(value, Mapping):
        return {str(key): as_wire(element) for key, element in value.items()}
    if isinstance(value, list):
        return [as_wire(element) for element in value]
    return value
