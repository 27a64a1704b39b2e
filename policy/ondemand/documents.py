"""Data inside text: YAML, JSON, CloudFormation, and the value files of charts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pulumi
import yaml

from gpu.files import read_text
from gpu.sharing.yaml_text import documents, untagged
from policy.reading import plain


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # the one in C, where there is one
    """Safe YAML that keeps what stands behind a tag it does not know, such as CloudFormation's `!Ref`."""


_Loader.add_multi_constructor("!", lambda loader, _suffix, node: untagged(loader, node))

#: Where relative paths begin: the CLI runs a pack in the program's folder, or in the pack's own.
_ROOTS: Final = (Path(), Path(__file__).resolve().parents[2])


def parsed(value: str) -> list[Any]:
    """YAML or JSON documents in a text; none if it is neither (a shell script, a Go template)."""
    try:
        found = documents(value, _Loader)
        return [plain(document) for document in found if isinstance(document, Mapping | list)]
    except (ValueError, RecursionError):  # the last for an alias inside what it names
        return []


def content_of(asset: pulumi.Asset) -> str | None:
    """Text of an asset; None if it cannot be read here: a file that is elsewhere, or an address."""
    if isinstance(asset, pulumi.StringAsset):
        return asset.text
    return file_content(asset.path) if isinstance(asset, pulumi.FileAsset) else None


#: What a template engine fills in, and lines of nothing else.
_ACTION: Final = re.compile(r"^\s*\{\{.*?\}\}\s*$|\{\{.*?\}\}", re.MULTILINE)


def chart_files(path: str) -> Iterator[tuple[str, str]]:
    """YAML of a chart that lies here, as path and text, as far as it says something before it is rendered."""
    for root in _ROOTS:
        chart = root / path
        if file_content(chart / "Chart.yaml") is not None:
            for file in sorted(chart.rglob("*.y*ml")):
                content = file_content(file)
                if content:
                    yield f"{path}/{file.relative_to(chart)}", _ACTION.sub("", content)
            return


def file_content(path: Any) -> str | None:
    """Text of a local file; None if there is none that can be read: a pipe or a device would never end."""
    for root in _ROOTS:
        try:
            return read_text(root / str(path))
        except (OSError, ValueError):
            continue
    return None
