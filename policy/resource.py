"""What a rule sees of a resource."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from policy.reading import plain

_T = TypeVar("_T")

#: What was made of inputs, by use and by their identity, with the inputs, so that an identity cannot be taken twice.
_COPIES: ContextVar[dict[tuple[str, int], tuple[Any, Any]] | None] = ContextVar("copies", default=None)


@contextmanager
def shared_copies() -> Iterator[None]:
    """Let rules share what is made of inputs: many of them read the same resources."""
    token = _COPIES.set({})
    try:
        yield
    finally:
        _COPIES.reset(token)


def shared(use: str, props: object, make: Callable[[], _T]) -> _T:
    """What `make` gives, made once for these inputs while copies are shared."""
    copies = _COPIES.get()
    if copies is None:
        return make()
    key = (use, id(props))
    if key not in copies:
        copies[key] = (props, make())
    found: _T = copies[key][1]
    return found


def is_plain(props: Mapping[str, Any]) -> None:
    """Say of inputs that their plain copy would be the same: dicts and lists, all of it known."""
    copies = _COPIES.get()
    if copies is not None:
        copies["plain", id(props)] = (props, props)


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What a rule sees of a resource. `props` are the inputs in wire form, camelCase, behind the SDK's proxies."""

    type: str
    name: str
    urn: str
    props: Mapping[str, Any]
    parent: str | None = None
    dependencies: tuple[str, ...] = ()
    """URNs of resources that it depends on. Only stack rules see those that were registered."""

    @property
    def plain(self) -> dict[str, Any]:
        """All inputs as dicts and lists, unknown values as `policy.reading.Unknown`. Rules share it: change nothing."""

        def copied() -> dict[str, Any]:
            found: dict[str, Any] = plain(self.props)
            return found

        return shared("plain", self.props, copied)
