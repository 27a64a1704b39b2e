"""The line of the stack file on which each problem stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import MISSING, Problem
from config.errors import Path as KeyPath
from config.source import locate

STACK_FILE = """\
# A stack file.
config:
  aws:region: us-east-1
  gpu-slices:cluster:
    version: "1.36"
    systemNodes: { min: 1,
                   max: 3 }
  gpu-slices:pools:
    - name: shared
      sharing:
        strategy: mps
        replicas: 3
      gpusPerNode:
        - 1
        - 4
    - { name: whole, sharing: { strategy: none } }
    -
      name: late
  gpu-slices:tags:
    cost-center: research
    "aws:team": ml
  gpu-slices:models: []
"""


def place(path: KeyPath, tmp_path: Path, text: str = STACK_FILE) -> str | None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(text, encoding="utf-8")
    (located,) = locate(file, [Problem(path, MISSING, "is wrong")])
    return located.where


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param(("aws:region",), 3, id="a key of another namespace"),
        pytest.param(("cluster",), 4, id="a section"),
        pytest.param(("cluster", "version"), 5, id="a key"),
        pytest.param(("cluster", "systemNodes", "min"), 6, id="a key in a flow mapping"),
        pytest.param(("cluster", "systemNodes", "max"), 7, id="a key on the flow mapping's second line"),
        pytest.param(("pools",), 8, id="a list"),
        pytest.param(("pools", 0), 9, id="the first entry of a list"),
        pytest.param(("pools", 0, "sharing", "replicas"), 12, id="a key within an entry"),
        pytest.param(("pools", 0, "gpusPerNode", 1), 15, id="an entry of a list within an entry"),
        pytest.param(("pools", 1), 16, id="an entry in flow style"),
        pytest.param(("pools", 1, "sharing", "strategy"), 16, id="a key of an entry in flow style"),
        pytest.param(("pools", 2), 18, id="an entry that begins a line below its dash"),
        pytest.param(("tags", "aws:team"), 21, id="a key in quotes"),
        pytest.param(("cluster", "name"), 4, id="a key that is missing: its section"),
        pytest.param(("cluster", "systemNodes", "desired"), 6, id="a key that a flow mapping lacks: the mapping's"),
        pytest.param(("pools", 1, "maxGpus"), 16, id="a key that an entry lacks: the entry"),
        pytest.param(("pools", 0, "sharing", "profile", "name"), 10, id="what a missing section lacks: its parent"),
        pytest.param(("pools", 7), 8, id="an entry that is missing: the list"),
        pytest.param(("pools", "name"), 8, id="a key where there is a list: the list"),
        pytest.param(("models", 0, "name"), 22, id="an entry of an empty list: the list"),
        pytest.param(("budget", "emails"), 2, id="a top-level key that is missing: config"),
    ],
)
def test_a_problem_stands_on_the_line_of_its_key(path: KeyPath, line: int, tmp_path: Path) -> None:
    assert place(path, tmp_path) == f"Pulumi.dev.yaml:{line}"


def test_a_default_stands_on_no_line(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(STACK_FILE)
    found = locate(
        file, [Problem(("examples",), True, "is wrong"), Problem(("cluster", "version"), "1.36", "is wrong")]
    )
    assert {each.path[0]: each.where for each in found} == {
        "examples": "not in Pulumi.dev.yaml",
        "cluster": "Pulumi.dev.yaml:5",
    }


def test_other_forms_of_keys_are_found(tmp_path: Path) -> None:
    text = "config:\n  gpu-slices:config:tags: {}\n  cluster:\n    version: '1.36'\n"
    assert place(("tags",), tmp_path, text) == "Pulumi.dev.yaml:2"
    assert place(("cluster", "version"), tmp_path, text) == "Pulumi.dev.yaml:4"


def test_an_alias_leads_to_what_it_stands_for(tmp_path: Path) -> None:
    text = "x: &pool\n  name: shared\nconfig:\n  gpu-slices:pools: [*pool]\n"
    assert place(("pools", 0, "name"), tmp_path, text) == "Pulumi.dev.yaml:2"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="an empty file"),
        pytest.param("encryptionsalt: v1\n", id="no config"),
        pytest.param("- config\n", id="a list"),
        pytest.param("config: [1\n", id="no YAML"),
        pytest.param("config: {}\n---\nconfig: {}\n", id="two documents"),
        pytest.param("config: \x00\n", id="a character that YAML forbids"),
    ],
)
def test_a_file_that_holds_no_configuration_gives_no_line(text: str, tmp_path: Path) -> None:
    assert place(("pools",), tmp_path, text) is None


def test_a_file_that_is_no_text_gives_no_line(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_bytes(b"config: \xff\xfe\n")
    (located,) = locate(file, [Problem(("pools",), MISSING, "is missing")])
    assert located.where is None


def test_a_file_that_is_absent_gives_no_line(tmp_path: Path) -> None:
    (located,) = locate(tmp_path / "Pulumi.dev.yaml", [Problem(("pools",), MISSING, "is missing")])
    assert located == Problem(("pools",), MISSING, "is missing")


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    assert place(("cluster",), tmp_path, "\ufeff" + STACK_FILE) == "Pulumi.dev.yaml:4"


def test_problems_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(STACK_FILE, encoding="utf-8")
    paths: list[KeyPath] = [("tags",), ("pools", 1), ("cluster", "version"), ("pools", 0, "sharing"), ("aws:region",)]
    located = locate(file, [Problem(path, MISSING, "is wrong") for path in paths])
    assert [problem.path for problem in located] == [paths[4], paths[2], paths[3], paths[1], paths[0]]


def test_problems_on_one_line_keep_their_order(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(STACK_FILE, encoding="utf-8")
    problems = [Problem(("pools", 1, key), MISSING, "is missing") for key in ("maxGpus", "instanceFamilies", "ami")]
    assert [problem.path[-1] for problem in locate(file, problems)] == ["maxGpus", "instanceFamilies", "ami"]


def test_the_place_is_shown_behind_key_and_value() -> None:
    problem = Problem(("pools", 0, "maxGpus"), 0, "must be 1 or more", "Pulumi.dev.yaml:14")
    assert str(problem) == "gpu-slices:pools[0].maxGpus = 0  (Pulumi.dev.yaml:14)\n    must be 1 or more"
