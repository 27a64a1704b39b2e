"""Puts values in the place of a plan's placeholders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: A text that stands for one output (`plan.cloud.PLACEHOLDER`).
PLACEHOLDER = re.compile(r"<[\w.-]+/[^<>\n]+\.\w+>")


def resolve(value: Any, values: Mapping[str, str]) -> Any:
    """A copy in which known placeholders are replaced, also inside texts such as ARNs."""
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda found: values.get(found[0], found[0]), value) if "<" in value else value
    if isinstance(value, Mapping):
        return {key: resolve(item, values) for key, item in value.items()}
    return [resolve(item, values) for item in value] if isinstance(value, list | tuple) else value


def unresolved(value: Any) -> list[str]:
    """Placeholders that are still in a value."""
    if isinstance(value, str):
        return PLACEHOLDER.findall(value) if "<" in value else []
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [found for item in items for found in unresolved(item)]
