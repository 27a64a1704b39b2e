"""What Pulumi's CLI prints and keeps: a preview in JSON, a stream of events, the state of a stack.

pulumi 3.272: `display/json.go` (PreviewDigest), `apitype/events.go`, `apitype/core.go` (ResourceV3), and
`stack/deployment.go` (SerializePropertyValue). A value that is not known is the text `policy.analyzer.UNKNOWN` in all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pulumi_policy.deserialize import SPECIAL_ASSET_SIG, SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY

from gpu.sharing.yaml_text import too_deep
from policy.analyzer import UNKNOWN, Recorded
from policy.sources.program import Place, Program, Unseen, mapping, objects, texts

# How a value is marked that JSON has no type for (pulumi, sdk/go/common/resource/sig/sig.go).
_RESOURCE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
#: A preview writes this for a secret, and an event log too.
_HIDDEN: Final = "[secret]"
#: Steps after which the resource is not there.
_GOING: Final = frozenset({"delete", "delete-replaced", "discard", "discard-replaced", "remove-pending-replace"})


def preview(document: Mapping[str, Any], file: str) -> Program:
    """What a preview leads to, from `pulumi preview --json`."""
    program = Program(kinds=["Pulumi preview"])
    steps = objects(document.get("steps"))
    _steps(program, ((step, step.get("newState")) for step in steps), file)
    listed = sum(step.get("op") == "same" for step in steps)
    same = mapping(document, "changeSummary").get("same")
    if isinstance(same, int | float) and same > listed:
        what = f"resources that do not change: {int(same) - listed}; `pulumi preview --json --show-sames` has them"
        program.unseen.append(Unseen(place=Place(file=file), what=what))
    return program


def events(lines: list[Any], file: str) -> Program:
    """What a preview or update leads to, from its stream of events (`--event-log`, or a streamed preview)."""
    program = Program(kinds=["Pulumi event log"])
    metadata = [mapping(line, "resourcePreEvent", "metadata") for line in lines]
    _steps(program, ((step, step.get("new")) for step in metadata if step), file)
    return program


def _steps(program: Program, steps: Iterator[tuple[Mapping[str, Any], Any]], file: str) -> None:
    missing = 0
    for step, state in steps:
        if str(step.get("op")) in _GOING:
            continue
        if not isinstance(state, Mapping):
            missing += 1
            continue
        _resource(program, {"urn": step.get("urn"), **state}, file)
    if missing:
        program.unseen.append(Unseen(place=Place(file=file), what=f"steps that tell no new state: {missing}"))


def state(document: Mapping[str, Any], file: str) -> Program:
    """What stands, from `pulumi stack export` or a checkpoint file of a backend of one's own."""
    deployment = mapping(document, "deployment") or mapping(document, "checkpoint", "latest")
    program = Program(kinds=["Pulumi state"])
    for resource in objects(deployment.get("resources")):
        if resource.get("delete") is not True:
            _resource(program, resource, file)
    return program


def _resource(program: Program, given: Mapping[str, Any], file: str) -> None:
    urn, type_ = given.get("urn"), given.get("type")
    if not isinstance(urn, str) or not isinstance(type_, str):
        program.unseen.append(Unseen(place=Place(file=file), what="a resource without URN or type", broken=True))
        return
    place = Place(file=file, address=urn)
    if given.get("external") is True:
        program.unseen.append(Unseen(place=place, what="is only read, and belongs to others"))
        return
    parent = given.get("parent")
    resource = Recorded(
        type=type_,
        name=urn.rpartition("::")[2],
        urn=urn,
        inputs=_object(given.get("inputs")),
        outputs=_object(given.get("outputs")),
        parent=parent if isinstance(parent, str) else None,
        dependencies=tuple(texts(given.get("dependencies"))),
    )
    program.add(resource, place)


def _object(value: Any) -> dict[str, Any]:
    held = value.items() if isinstance(value, Mapping) else ()
    return {str(key): _plain(element) for key, element in held if key != SPECIAL_SIG_KEY}


def _plain(value: Any) -> Any:
    """A value as the engine gives it to policies: no marks of secrets and references, what cannot be known unknown."""
    if isinstance(value, str):
        return UNKNOWN if value == _HIDDEN else value
    if isinstance(value, list):
        return [_plain(element) for element in value]
    if not isinstance(value, Mapping):
        return value
    if SPECIAL_SIG_KEY not in value:
        return _object(value)
    return _marked(value[SPECIAL_SIG_KEY], value)


def _marked(mark: Any, value: Mapping[str, Any]) -> Any:
    if mark == SPECIAL_SECRET_SIG:
        return _secret(value)
    if mark == SPECIAL_ASSET_SIG:
        return _asset(value)
    if mark == _OUTPUT and "value" in value:
        return _plain(value["value"])
    referred = (value.get("id") or value.get("urn")) if mark == _RESOURCE else None
    return referred if isinstance(referred, str) else UNKNOWN  # also an archive, into which no rule looks


def _secret(value: Mapping[str, Any]) -> Any:
    """`pulumi stack export --show-secrets` writes the value as JSON; without it there is only what is enciphered."""
    text = value.get("plaintext")
    if not isinstance(text, str):
        return _plain(value["value"]) if "value" in value else UNKNOWN
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return UNKNOWN
    deep = isinstance(found, dict | list) and too_deep(found)
    return UNKNOWN if deep else _plain(found)


def _asset(asset: Mapping[str, Any]) -> Any:
    """An asset whose content is here: its text, or a file that one can read to its end."""
    text, path = asset.get("text"), asset.get("path")
    if isinstance(text, str) and text:
        return {SPECIAL_SIG_KEY: SPECIAL_ASSET_SIG, "text": text}
    try:
        here = isinstance(path, str) and Path(path).is_file()
    except (OSError, ValueError):
        here = False
    return {SPECIAL_SIG_KEY: SPECIAL_ASSET_SIG, "path": path} if here else UNKNOWN
