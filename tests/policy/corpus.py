"""Small programs as files: what people write and may write (`programs/legitimate`), and ways past the pack
(`programs/bypass`).

A file has YAML documents: a Kubernetes object is one that the program registers, `pulumi: {type, name, inputs, needs}`
is a resource of another type, with the names of those before it whose outputs it takes, and `!unknown` a value that is
not known in preview. The comment before them says what it is
and whose idea; `# rules: a, b|c` names the rules that must fire at least (`|`: one of them), `# advisory: a` those that
a legitimate program may hear from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from policy.analyzer import UNKNOWN, Recorded
from tests.policy.support import recorded

FOLDER: Final = Path(__file__).parent / "programs"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe YAML with unknown values."""


_Loader.add_constructor("!unknown", lambda _loader, _node: UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program. rules: sets of rules, of each of which one must fire. advisory: rules that may say something."""

    name: str
    resources: tuple[Recorded, ...]
    rules: tuple[frozenset[str], ...] = ()
    advisory: frozenset[str] = frozenset()


@cache
def legitimate() -> tuple[Program, ...]:
    """Programs about which the pack must have nothing to say."""
    return _programs("legitimate")


@cache
def bypasses() -> tuple[Program, ...]:
    """Programs about which the pack must have something to say."""
    return _programs("bypass")


@cache
def whole(kind: str) -> tuple[Program, ...]:
    """Programs (`bypass`, `legitimate`) judged as they are alone: an unknown value hides their point."""
    return _programs(f"whole-{kind}")


def _programs(folder: str) -> tuple[Program, ...]:
    return tuple(_program(file) for file in sorted((FOLDER / folder).glob("*.yaml")))


def _program(file: Path) -> Program:
    content = file.read_text(encoding="utf-8")
    head = dict(_settings(content))
    return Program(
        name=file.stem,
        resources=tuple(registered(*yaml.load_all(content, Loader=_Loader))),
        rules=tuple(frozenset(choice.split("|")) for choice in head.get("rules", ())),
        advisory=frozenset(head.get("advisory", ())),
    )


def _settings(content: str) -> Iterator[tuple[str, list[str]]]:
    for line in content.splitlines():
        if not line.startswith("# "):
            return
        word, colon, given = line.removeprefix("# ").partition(": ")
        if colon and word in {"rules", "advisory"}:
            yield word, [name.strip() for name in given.split(",")]


def registered(*documents: Any) -> Iterator[Recorded]:
    """The resources that documents are."""
    urns: dict[str, str] = {}
    for index, document in enumerate(documents):
        about = document.get("pulumi")
        type_ = about["type"] if about else type_of(document)
        inputs = about["inputs"] if about else document
        name = about["name"] if about else document.get("metadata", {}).get("name", document["kind"].lower())
        needs = tuple(urns[other] for other in about.get("needs", ())) if about else ()
        resource = recorded(type_, inputs, f"{name}-{index}", dependencies=needs)
        urns[name] = resource.urn
        yield resource


def type_of(manifest: Mapping[str, Any]) -> str:
    """Pulumi's type of a Kubernetes object."""
    api_version = manifest["apiVersion"]
    return f"kubernetes:{api_version if '/' in api_version else f'core/{api_version}'}:{manifest['kind']}"
