"""Base of all sections of a stack file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


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

    @field_validator("*", mode="after")
    @classmethod
    def _not_empty(cls, value: Any) -> Any:
        """Nothing behind a key is a mistake also where the key may be left out: nobody knows which of the two is meant.

        Defaults do not come here.
        """
        if value is None:
            raise PydanticCustomError("empty", "write a value, or remove the key")
        return value

    if not TYPE_CHECKING:  # it would make every misspelt attribute look right

        def __getattr__(self, item: str) -> Any:
            """Called for what is missing: in sections that `config.partial` made, values that are wrong."""
            if item in type(self).model_fields:
                raise BrokenValueError(item)
            return super().__getattr__(item)
