"""Base of all sections of a stack file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class BrokenValueError(Exception):
    """Raised on reading a value that could not be validated: it is reported already."""


class Section(BaseModel):
    """Base of all sections: immutable, camelCase keys, unknown keys refused, no silent conversion of types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
    )

    if not TYPE_CHECKING:  # it would make every misspelt attribute look right

        def __getattr__(self, item: str) -> Any:
            """Called for what is missing: in sections that `config.partial` made, values that are wrong."""
            if item in type(self).model_fields:
                raise BrokenValueError(item)
            return super().__getattr__(item)
