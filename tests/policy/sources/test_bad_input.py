"""What nobody should give is refused in a line, and never ends in a traceback."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from policy.analyzer import UNKNOWN, judge
from policy.sources import read as reading
from policy.sources.program import SourceError
from policy.sources.read import parse, read
from tests.day import TODAY
from tests.policy.sources import samples

pytestmark = pytest.mark.parts

ALIASES: Final = "a: &a [1, 1, 1, 1]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]\n" for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe\x00", "is not UTF-8 (line 1)"),
        (b"a: 1\nb: \xff", "is not UTF-8 (line 2)"),
        (b"just a text", "holds nothing that is read here"),
        (b"just: data", "holds nothing that is read here"),
        (b"[1, 2]", "holds nothing that is read here"),
        (b'{"a": NaN}', "holds nothing that is read here"),
        (b"{" * 5000, "no YAML (line 2)"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "is nested too deep"),
        (b"a: " + b"[" * 400 + b"]" * 400, "is nested too deep"),
        (b"a: " + b"[" * 90_000, "is nested too deep"),
        (b"a: 1\nb: [1", "is neither YAML nor JSON (line 3)"),
        (b'{"steps": [', "is neither YAML nor JSON"),
        (b"a: {{ .Values.x }}: b", "is a template, or no YAML (line 1)"),
        (ALIASES.encode(), "aliases make it too large"),
        (b"&a [*a]", "aliases make it too large"),
        (b"a: !!bool x", "is neither YAML nor JSON (line 1)"),
        (b"a: \x00", "is neither YAML nor JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_of_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "given").write_bytes(content)
    with pytest.raises(SourceError) as error:
        read([str(tmp_path / "given")])
    assert str(error.value).startswith(f"{tmp_path / 'given'}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_every_path_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "main.tf").write_text("x")
    with pytest.raises(SourceError) as error:
        read([str(tmp_path / name) for name in ("pipe", "loop", "main.tf", "gone")])
    said = str(error.value).splitlines()
    assert len(said) == 4
    for line, what in zip(said, ("regular file", "symbolic links", "terraform show", "No such"), strict=True):
        assert what in line, line


def test_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_MIB", 1)
    (tmp_path / "a.yaml").write_text("a: 1\n" * 300_000)
    with pytest.raises(SourceError, match="is larger than 1 MiB"):
        read([str(tmp_path / "a.yaml")])


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_FILES", 2)
    for name in "abc":
        (tmp_path / f"{name}.yaml").write_text("a: 1")
    with pytest.raises(SourceError, match="holds more than 2 files"):
        read([str(tmp_path)])


JUNK: Final[tuple[Any, ...]] = (
    *(None, True, -1, 10**25, 1e308, "", "x", UNKNOWN, [], {}, [[]], [{}], [None], {"": None}),
    {samples.SIGNATURE: samples.SECRET},
    {samples.SIGNATURE: {"a": 1}},
    {"references": 3},
    {"default": [{"a": [{"b": 1}]}]},
)
#: Each kind as a document, and how it is written.
DOCUMENTS: Final[dict[str, tuple[Callable[[], Any], Callable[[Any], str]]]] = {
    "preview": (samples.preview, json.dumps),
    "state": (samples.state, json.dumps),
    "plan": (samples.terraform_plan, json.dumps),
    "state of Terraform": (samples.terraform_state, json.dumps),
    "state file": (samples.terraform_state_file, json.dumps),
    "configuration": (samples.terraform_configuration, json.dumps),
    "objects": (lambda: list(samples.OBJECTS), yaml.safe_dump_all),
}


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container with each of its keys."""
    inside = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [place for key, part in inside for place in ((value, key), *_places(part))]


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_no_shape_breaks_the_readers(kind: str) -> None:
    make, written = DOCUMENTS[kind]
    draw = random.Random(kind)
    read_so_far = 0
    for _ in range(150):
        document = json.loads(json.dumps(make()))
        for _ in range(draw.randint(1, 3)):
            container, key = draw.choice(_places(document))
            container[key] = copy.deepcopy(draw.choice(JUNK))
        try:
            program = parse(written(document), "given")
        except SourceError:
            continue
        if program is not None:
            judge(program.resources, today=TODAY)
            read_so_far += bool(program.resources)
    assert read_so_far > 50
