"""A value that another tool fills in later silences no violation of the programs of others (`programs/bypass`).

Scalars of programs, scalars of the documents in their texts, and words of their commands in turn become a placeholder
of one tool or another. Then the rules that spoke speak still, or something new is said. Where neither is so, the place
is listed with its reason, here or for values that are not known in preview (`test_unknown_in_programs`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from zlib import crc32

import pytest
import yaml

from policy.analyzer import UNKNOWN
from policy.inventory.texts import parsed
from policy.placeholders import is_placeholder
from policy.reading import Unknown
from tests.policy import corpus
from tests.policy.test_unknown_in_programs import listed, silenced
from tests.sweep import tried

Place = tuple[str | int, ...]

#: As Helm, Argo Workflows, Terraform, Flux, Tekton, Harness and others write what they fill in.
FORMS: Final = (
    *("{{ .Values.gpu.type }}", "{{inputs.parameters.type}}", "{{ instance_type | default('m5.large') }}"),
    *("${var.instance_type}", "${INSTANCE_TYPE:=m5.large}", "${schema.spec.type}", "$(params.type)", "$(TYPE)"),
    *("<+pipeline.variables.type>", "%{ if gpu }g5%{ endif }", "#{Variables.Type}", "<< parameters.type >>"),
    *("((type))", "{{resolve:ssm:/gpu/type}}", "$INSTANCE_TYPE"),
)
#: Rule, and type, as beginnings, to why nothing is said.
SILENT: Final[Mapping[tuple[str, str], str]] = {
    ("gpu-on-demand", "kubernetes:argoproj.io/"): "a command that is filled in as a whole; few of them buy nodes",
}
#: Words of commands, of whatever type, without which they say something else.
VERBS: Final = ("create", "launch", "run-instances", "--gpus", "--instance-type", "--node-type")


def _scalars(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _scalars(inner, (*place, key))
    else:
        yield place, value


def _with(value: Any, place: Place, new: Any) -> Any:
    if not place:
        return new
    if isinstance(value, dict):
        return {key: _with(inner, place[1:], new) if key == place[0] else inner for key, inner in value.items()}
    return [_with(inner, place[1:], new) if index == place[0] else inner for index, inner in enumerate(value)]


def _form(about: str) -> str:
    return FORMS[crc32(about.encode()) % len(FORMS)]


def _changes(program: corpus.Program, inputs: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Places, and the inputs with a placeholder there."""
    for place, value in _scalars(inputs):
        path = ".".join(map(str, place))
        about = f"{program.name} {path}"
        if value != UNKNOWN and tried(about, 12):
            # Whole documents are filled in by templates, not by a shell.
            yield path, _with(inputs, place, FORMS[0] if "\n" in str(value) else _form(about))
        for inner, text in _in_text(value, about) if isinstance(value, str) else ():
            if tried(f"{about} {inner}", 3):
                yield f"{path}:{inner}", _with(inputs, place, text)


def _in_text(text: str, about: str) -> Iterator[tuple[str, str]]:
    """Places in a text, and the text with a placeholder there."""
    documents: Any = parsed(text) if "\n" in text or text.lstrip()[:1] in {"{", "["} else []
    if not documents and re.search(r"\b(aws|eksctl|kubectl|terraform|sky)\b", text):
        for found in re.finditer(r"(?<=[ =])[\w.:/-]+", text):
            yield found[0], f"{text[: found.start()]}{_form(about + found[0])}{text[found.end() :]}"
    for place, value in _scalars(documents):
        documents = _with(documents, place, FORMS[0]) if isinstance(value, Unknown) else documents
    for place, _ in _scalars(documents):
        inner = ".".join(map(str, place))
        yield inner, yaml.safe_dump_all(_with(documents, place, _form(about + inner)), width=10**6)


def _excused(path: str, type_: str, rule: str) -> bool:
    return (
        path.endswith(tuple(f":{verb}" for verb in VERBS))
        or listed(path.replace(":", "."), type_, rule)
        or any(rule.startswith(of) and type_.startswith(kind) for of, kind in SILENT)
    )


def test_a_placeholder_silences_no_violation() -> None:
    wrong = [
        f"{program.name}: {type_} {path}: {rule}"
        for program in corpus.bypasses()
        for type_, path, rule in silenced(program, _changes)
        if not _excused(path, type_, rule)
    ]
    assert not wrong, "\n".join(["", *wrong])


@pytest.mark.parametrize("form", FORMS)
def test_forms_are_placeholders(form: str) -> None:
    assert is_placeholder(form)
    assert is_placeholder(f"gpu-{form}") or form == "$INSTANCE_TYPE"


@pytest.mark.parametrize(
    "text", ["${FAMILY}.xlarge", "g{{ .generation }}.xlarge", "${COUNT}Gi", "0.0.0.0/${BITS}", "${ADDRESS}/32"]
)
def test_words_with_a_placeholder_are_not_known(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize(
    "text",
    [
        "g5.xlarge",
        "arn:aws:s3:::bucket/${aws:username}/*",
        "echo {{ message }} >> log",
        '{"a":"${b}"}',
        "a < b > c",
        "ollama/ollama:${TAG}",
        "{{ .Values.registry }}/ollama/ollama:0.9.0",
        "arn:${partition}:iam::aws:policy/AdministratorAccess",
        "g5.${SIZE}",
        "100%",
        "$5",
        "f(x)",
        "[1, 2]",
        "(?P<name>[a-z]+)",
        "s3://bucket/path",
    ],
)
def test_other_texts_are_none(text: str) -> None:
    assert not is_placeholder(text)
