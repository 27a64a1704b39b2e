"""What the inputs of components have in common: where a plain value is needed, an output is refused with words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from typing import Any

import pulumi

#: Types of fields that may hold outputs, and of what is handed on to resources as it is.
_MAY_BE_UNKNOWN = ("Input", "Output", "Any", "Resource")


class Arguments:
    """Base of frozen dataclasses. Of a field whose type does not say so, an output cannot become a name, a number or a
    part of a text: Python would write the output's own description in its place.

    Who has a `__post_init__` calls this one. Raises TypeError.
    """

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]
            if not any(word in str(each.type) for word in _MAY_BE_UNKNOWN) and any(_outputs(getattr(self, each.name))):
                raise TypeError(
                    f"{type(self).__name__}.{each.name} must be a plain value, and is an output of a resource: write "
                    "the value itself, or read it from the stack's configuration"
                )


def check_minor(what: str, minor: str, known: Collection[str]) -> None:
    """Raise ValueError for a minor of Kubernetes that is not known. what: what is, of the others."""
    if minor not in known:
        raise ValueError(f"no {what} are known for Kubernetes {minor}: they are for {', '.join(known)}")


def _outputs(value: Any) -> Iterator[bool]:
    """Whether there is an output, for the value and for all in it."""
    if isinstance(value, Mapping):
        for each in value.items():
            yield from _outputs(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _outputs(each)
    else:
        yield isinstance(value, pulumi.Output)
