"""Programs and scripts that start machines: of functions, builds, tasks, pods, and of a machine's first boot."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from policy.instances import gpu_types_in_text
from policy.justification import marks
from policy.ondemand.purchase import Purchase
from policy.placeholders import machine_filled_in
from policy.reading import get, strings

Props = Mapping[str, Any]
Also = tuple[str, ...]

STARTS: Final = re.compile(
    r"run[-_]?instances|create[-_]?fleet|request[-_]?spot|create[-_]?node-?group|eksctl\s+(create|scale)|start[-_]?instances"
    r"|create[-_]?(auto[-_]?scaling[-_]?group|compute[-_]?environment|capacity[-_]?reservation|endpoint[-_]?config"
    r"|training[-_]?job|notebook[-_]?instance)|run[-_]?job[-_]?flow|\bemr\s+create-cluster",
    re.IGNORECASE,
)
"""Calls that start machines, in scripts and programs of any language."""

#: Where a resource holds a script or a program.
_CODE: Final = (("userData",), ("userDataBase64",), ("code", "zipFile"), ("code", "ZipFile"), ("content",))


def started_by_code(props: Props, also: Also) -> Iterator[Purchase]:
    """GPU types that a machine's first script, or a function's code, names where it starts others."""
    for path in _CODE:
        written = get(props, *path)
        code = _decoded(written) if isinstance(written, str) else ""
        yield from _started(code, ".".join(path), props, also)
    yield from _started_below(_RUNS_IN_AWS, props, also)


#: Where builds, tasks and jobs of AWS say what runs in them: texts, lists of words, or JSON that holds them.
_RUNS_IN_AWS: Final = frozenset(
    {
        *("buildspec", "buildSpec", "command", "commands", "data", "entryPoint", "containerDefinitions"),
        *("containerProperties", "nodeProperties", "ecsProperties", "eksProperties"),
    }
)
#: Where a pod, or a step of a pipeline, says what runs in it.
_RUNS: Final = frozenset({"command", "args", "script", "source"})


def started_in_pods(props: Props, also: Also) -> Iterator[Purchase]:
    """The same of what runs in a cluster."""
    yield from _started_below(_RUNS, props, also)


def _started_below(keys: Collection[str], props: Props, also: Also) -> Iterator[Purchase]:
    parts: list[tuple[str, Any]] = [("", props)]
    while parts:
        place, value = parts.pop()
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        for key, element in pairs:
            here = f"{place}.{key}".lstrip(".")
            words = isinstance(element, str) or (isinstance(element, list) and not any(map(_is_part, element)))
            if key in keys and words:
                yield from _started(" ".join(strings(element)), here, props, also)
            elif isinstance(element, Mapping | list):
                parts.append((here, element))


def _is_part(value: Any) -> bool:
    return isinstance(value, Mapping | list)


#: Between the words of a command in JSON.
_NEXT_WORD: Final = re.compile(r'"\s*,\s*"')


def _started(code: str, path: str, props: Props, also: Also) -> Iterator[Purchase]:
    code = _NEXT_WORD.sub(" ", code)
    found = list(dict.fromkeys(gpu_types_in_text(code, also))) if STARTS.search(code) else []
    unknown = machine_filled_in(code) if not found and STARTS.search(code) else None
    found = [f"whatever {unknown} turns out to be"] if unknown else found
    if found and not re.search(r"spot", code, re.IGNORECASE):
        yield Purchase(
            what=f"{', '.join(found)} ({path})",
            why="code that starts machines names it, and no Spot",
            spot="ask for Spot there, or leave buying to Karpenter",
            marks=marks(props),
        )


def _decoded(written: str) -> str:
    """A script as it is, or out of base64, as launch templates take it."""
    try:
        return base64.b64decode(written, validate=True).decode()
    except ValueError:
        return written
