"""Safe reading of resource inputs.

Inputs arrive behind the policy SDK's proxies: `Mapping` and `Sequence`, not `dict` and `list`, and touching a value
that is not known in preview raises `UnknownValueError`. Other people's programs put any shape anywhere, so a helper
never raises on a wrong shape: what cannot be there is absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError

from gpu.quantities import read_quantity

_Key = str | int
#: What Go's `int64`, and so Kubernetes, Karpenter and AWS' provider, can hold. A quantity above it is cut to it.
_LARGEST: Final = 2**63 - 1
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,2})?")
#: Sequences that are no lists. Most values are texts, and the check for them is the quickest.
_TEXTS = (str, bytes)


def _is_list(value: object) -> bool:
    return not isinstance(value, _TEXTS) and isinstance(value, Sequence)


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
    """Whether something is set at `path`, known or not. For values that only must exist, such as a key's ARN.

    False, an empty text and an empty map or list set nothing: providers and Kubernetes take them for absent.
    """
    try:
        found = get(value, *path)
    except UnknownValueError:
        return True
    if isinstance(found, Mapping) or _is_list(found):
        return len(found) > 0
    return found is not None and found is not False and found != ""


def declared(value: Any, *path: _Key) -> bool:
    """As `present`, where an empty map says something too, as in `emptyDir: {}`."""
    return present(value, *path) or known(value, *path) is not None


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
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, Mapping) or _is_list(value):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int) and abs(value) > _LARGEST:
        return hex(value)  # YAML and TOML have integers of any length; Python refuses to write the longest in decimals
    return str(value)


def truthy(value: Any) -> bool:
    """Whether a boolean input is on; helm values and tags often carry it as a string."""
    return text(value).strip().lower() in {"true", "1", "yes", "on"}


def number(value: Any) -> float | None:
    """A finite number, given as one or as a plain decimal; None for all else, such as `inf`, `nan`, `1_6`, `1e400`."""
    written = _figures(value)
    return float(written) if _NUMBER.fullmatch(written) else None


def whole(value: Any) -> int | None:
    """An integer as AWS' provider and Kubernetes' integer fields take it: `4`, `4.0` (the wire has no integers), `"4"`.

    None for all else, such as `inf`, `1e3`, `4.5`, and what Go's int64 does not hold.
    """
    written = _figures(value)
    found = int(written) if _WHOLE.fullmatch(written) else None
    return found if found is not None and abs(found) <= _LARGEST else None


def quantity(value: Any) -> float | None:
    """A Kubernetes quantity, such as `500m`, `4`, `1e3` or `16Gi`, in units; None for what the API server refuses.

    What is above 2^63 - 1 counts as that, as in Kubernetes.
    """
    try:
        figure = read_quantity(_figures(value))
    except ValueError:
        return None
    return float(max(min(figure, Decimal(_LARGEST)), Decimal(-_LARGEST)))


def _figures(value: Any) -> str:
    """What a reader of numbers reads; nothing for booleans, which Python takes for numbers."""
    return text(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""


@dataclass(frozen=True)
class Unknown:
    """A value that is not known in preview, inside a `plain` copy."""

    path: str


def literal(value: Any, *path: _Key) -> Any:
    """As `get`, for `plain` copies: raises UnknownValueError if the value, or anything on the way, is not known."""
    for key in (*path, None):
        if isinstance(value, Unknown):
            raise UnknownValueError(UNKNOWN_STRING_VALUE, value.path.split("."))
        value = value if key is None else get(value, key)
    return value


def literals(value: Any, *path: _Key) -> Iterator[Any]:
    """As `each` of the list at `path`, for `plain` copies: raises UnknownValueError at what is not known."""
    return (literal(element) for element in each(literal(value, *path)))


def plain(value: Any) -> Any:
    """A deep copy as dicts and lists, unknown values as `Unknown`. For rules that must look everywhere, such as into
    helm values; it touches all, so prefer `get` where the key is known."""
    if isinstance(value, str):
        return value
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
