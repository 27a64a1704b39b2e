"""What kwok makes of our stages: its own packages read them and say what they do to nodes and pods.

`kwok/goldens` holds an object (`*.input.yaml`) and what comes of it (`*.output.yaml`), as kwok's `kustomize/stage` does
for its own stages. `python -m tests.unit.twin.test_stages` writes the outputs again; read what has changed.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpu.contract import RUN_ANNOTATION, START_ANNOTATION, STOP_ANNOTATION
from tests.gotools import built
from twin.machine import build
from twin.play.stages import FOLDER, KWOK, no_early_gpus, stages_file

_ASKING = Path(__file__).parent / "kwok"
GOLDENS = _ASKING / "goldens"
INPUTS = sorted(GOLDENS.glob("*.input.yaml"))
STAGES = KWOK[1:]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def answers(objects: Sequence[Any]) -> list[Any]:
    """For each node or pod the stages that match it, when they come and what they change."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as written:
        written.write(stages_file())
        written.flush()
        command = [str(built(_ASKING, "kwok-stages")), written.name]
        done = subprocess.run(command, input=json.dumps(objects), capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def output_of(path: Path) -> Path:
    return path.with_name(path.name.replace(".input.", ".output."))


@pytest.mark.go
def test_kwok_does_to_nodes_and_pods_what_the_goldens_say() -> None:
    found = answers([read(path) for path in INPUTS])
    assert {path.name: answer for path, answer in zip(INPUTS, found, strict=True)} == {
        path.name: read(output_of(path)) for path in INPUTS
    }


def test_each_stage_has_a_golden_and_no_object_matches_two() -> None:
    found = [read(output_of(path)) for path in INPUTS]
    assert {match["stage"] for matches in found for match in matches} == set(STAGES)
    assert all(len(matches) <= 1 for matches in found), "kwok would choose one by chance"


def test_the_kwok_that_is_asked_is_the_one_that_the_twin_runs() -> None:
    asked, runs = (
        re.findall(r"sigs\.k8s\.io/kwok (\S+)", (folder / "go.mod").read_text(encoding="utf-8"))
        for folder in (_ASKING, Path(build.__file__).parent / "tools" / "kubernetes")
    )
    assert asked == runs


def test_every_file_is_given_to_kwok_or_to_the_api_server() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {*KWOK, "no-early-gpus"}
    kinds = [document["kind"] for document in yaml.safe_load_all(stages_file())]
    assert kinds == ["KwokConfiguration", *["Stage"] * len(STAGES)]
    assert [document["kind"] for document in no_early_gpus()] == [
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
    ]


@pytest.mark.parametrize("name", STAGES)
def test_a_file_is_named_after_its_stage(name: str) -> None:
    assert read(FOLDER / f"{name}.yaml")["metadata"]["name"] == name


@pytest.mark.parametrize(
    ("name", "annotation"),
    [
        ("pod-running", START_ANNOTATION),
        ("pod-succeeded", RUN_ANNOTATION),
        ("pod-ended", STOP_ANNOTATION),
        ("pod-gone", STOP_ANNOTATION),
    ],
)
def test_a_stage_reads_the_annotation_of_the_contract(name: str, annotation: str) -> None:
    delay = read(FOLDER / f"{name}.yaml")["spec"]["delay"]
    assert delay["durationFrom"]["jq"]["expression"] == f'.metadata.annotations["{annotation}"]'


def write_goldens() -> None:
    """Write what kwok says now."""
    found = answers([read(path) for path in INPUTS])
    for path, answer in zip(INPUTS, found, strict=True):
        output_of(path).write_text(yaml.safe_dump(answer, width=118), encoding="utf-8")


if __name__ == "__main__":
    write_goldens()
