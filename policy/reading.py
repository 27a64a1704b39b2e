"""Safe reading of resource inputs.

Inputs arrive behind the policy SDK's proxies: `Mapping` and `Sequence`, not `dict` and `list`, and touching a value
that is not known in preview raises `UnknownValueError`. Other people's programs put any shape anywhere, so a helper
never raises on a wrong shape: what cannot be there is absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi_policy.proxy import UnknownValueError

_Key = str | int


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def get(value: Any, *path: _Key) -> Any:
    """The value at `path`, or None where there is none.

    Raises UnknownValueError if it, or anything on the way, is not known in preview; the framework makes that the
    violation "must be a literal". Use it for every value that decides.
    """
    for key in path:
        if isinstance(value, Mapping):
            if key not in value:  # `in` does not touch the value
                return None
            value = value[key]
        elif _is_list(value) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return None
    return value


def present(value: Any, *path: _Key) -> bool:
    """Whether something is set at `path`, known or not. For values that only must exist, such as a key's ARN."""
    try:
        return get(value, *path) is not None
    except UnknownValueError:
        return True


def known(value: Any, *path: _Key, default: Any = None) -> Any:
    """As `get`, with `default` where the value is absent or unknown. Only where an unknown value does no harm."""
    try:
        found = get(value, *path)
    except UnknownValueError:
        return default
    return default if found is None else found


def each(value: Any) -> Iterator[Any]:
    """The elements of a list; a lone object counts as a list of one, anything else as empty.

    Raises UnknownValueError at an unknown element.
    """
    if isinstance(value, Mapping):
        yield value
    elif _is_list(value):
        yield from value


def each_known(value: Any) -> Iterator[Any]:
    """As `each`, without the elements that are not known in preview."""
    if not _is_list(value):
        yield from each(value)
        return
    for index in range(len(value)):
        try:
            yield value[index]
        except UnknownValueError:
            continue


def strings(value: Any) -> tuple[str, ...]:
    """A list of scalars, or one scalar, as strings; numbers as Kubernetes and AWS write them (`4.0` is `4`)."""
    if isinstance(value, Mapping) or value is None:
        return ()
    elements = value if _is_list(value) else [value]
    return tuple(text(element) for element in elements if not isinstance(element, Mapping) and not _is_list(element))


def text(value: Any) -> str:
    """A scalar as a string; absent is empty, whole floats (the wire has no integers) lose their fraction."""
    if value is None or isinstance(value, Mapping) or _is_list(value):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def truthy(value: Any) -> bool:
    """Whether a boolean input is on; helm values and tags often carry it as a string."""
    return text(value).strip().lower() in {"true", "1", "yes", "on"}


def number(value: Any) -> float | None:
    """A number given as a number or as a string; None if it is neither."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(text(value))
    except ValueError:
        return None


@dataclass(frozen=True)
class Unknown:
    """A value that is not known in preview, inside a `plain` copy."""

    path: str


def plain(value: Any) -> Any:
    """A deep copy as dicts and lists, unknown values as `Unknown`. For rules that must look everywhere, such as into
    helm values; it touches all, so prefer `get` where the key is known."""
    if isinstance(value, Mapping):
        return {str(key): _plain_at(value, key) for key in value}
    if _is_list(value):
        return [_plain_at(value, index) for index in range(len(value))]
    return value


def _plain_at(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError as error:
        return Unknown(".".join(error.props))
