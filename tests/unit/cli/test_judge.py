"""`slices judge`: what it prints, for people and machines, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from tests.policy.sources import samples

SOUND = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sound"}}


def slices(*arguments: object, given: str | None = None) -> Result:
    return CliRunner().invoke(main, ["judge", *map(str, arguments)], input=given, catch_exceptions=False)


@pytest.fixture
def preview(tmp_path: Path) -> Path:
    path = tmp_path / "preview.json"
    path.write_text(json.dumps(samples.preview()))
    return path


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    path = tmp_path / "k8s" / "objects.yaml"
    path.parent.mkdir()
    path.write_text(samples.manifests())
    return path


def test_a_finding_has_its_rule_place_message_and_remedy(objects: Path) -> None:
    result = slices(objects)
    assert result.exit_code == 3
    lines = result.stdout.splitlines()
    assert lines[0] == "2 resources in 1 Kubernetes file"
    text = " ".join(result.stdout.split())
    assert f"mandatory gpu-on-demand-needs-justification: {objects}:1, NodePool gpu can buy g5.xlarge on demand" in text
    assert "fix: Buy Spot" in text
    assert all(len(line) <= 80 or line.lstrip().startswith(str(objects)) for line in lines)
    assert "rules judged: " in lines[-1]


def test_a_remedy_is_said_once_for_a_rule(preview: Path) -> None:
    text = slices(preview).stdout
    assert text.count("mandatory gpu-on-demand-needs-justification:") == 2
    assert text.count("fix: Buy Spot") == 1


def test_a_urn_is_the_place_in_what_pulumi_writes(preview: Path, objects: Path) -> None:
    alone = " ".join(slices(preview).stdout.split())
    assert "kms-rotation: urn:pulumi:dev::shop::aws:kms/key:Key::it enableKeyRotation" in alone
    together = " ".join(slices(preview, objects).stdout.split())
    assert f"kms-rotation: {preview}: urn:pulumi:dev::shop::aws:kms/key:Key::it enableKeyRotation" in together
    assert "in 1 Pulumi preview, 1 Kubernetes file" in together


def test_what_is_piped_in_is_judged() -> None:
    result = slices("-", given=samples.manifests())
    assert result.exit_code == 3
    assert "standard input:1, NodePool gpu" in " ".join(result.stdout.split())


def test_json_has_the_place_of_each_finding(preview: Path, objects: Path) -> None:
    result = slices("--json", preview, objects.parent)
    assert result.exit_code == 3
    document: dict[str, Any] = json.loads(result.stdout)
    assert list(document) == ["schemaVersion", "resources", "read", "verdicts", "unseen"]
    assert document["resources"] == len(samples.pulumi_resources()) + 2
    assert document["read"] == {"Pulumi preview": 1, "Kubernetes file": 1}
    keys = "rule title level severity urn type resource message fix file line address"
    assert {" ".join(verdict) for verdict in document["verdicts"]} == {keys}
    places = {(found["file"], found["line"], found["address"]) for found in document["verdicts"]}
    assert (str(objects), 1, None) in places
    assert (str(preview), None, "urn:pulumi:dev::shop::aws:kms/key:Key::it") in places


def test_a_configuration_of_the_pack_counts(objects: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"all": "advisory"}')
    result = slices("--config", config, objects)
    assert result.exit_code == 0
    assert "mandatory gpu" not in result.stdout
    config.write_text('{"all": "disabled"}')
    assert slices("--config", config, objects).stdout.splitlines()[-1].startswith("0 rules judged (")
    config.write_text('{"no-such-rule": "disabled"}')
    wrong = slices("--config", config, objects)
    assert wrong.exit_code == 2
    assert wrong.stderr == "error: policy configuration: no-such-rule: no such rule\n"


def test_what_cannot_be_read_is_an_error_and_nothing_is_judged(objects: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [")
    result = slices(objects, tmp_path / "broken.yaml", tmp_path / "gone")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert [line.partition(": ")[0] for line in result.stderr.removeprefix("error: ").splitlines()] == [
        str(tmp_path / "broken.yaml"),
        str(tmp_path / "gone"),
    ]


def test_a_broken_file_in_a_folder_is_5_where_nothing_else_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "sound.json").write_text(json.dumps(SOUND))
    assert slices(tmp_path).exit_code == 0
    (tmp_path / "broken.yaml").write_text("a: [")
    result = slices(tmp_path)
    assert result.exit_code == 5
    assert "Not seen" in result.stdout
    assert f"- is neither YAML nor JSON (line 2): did not find expected node content\n  {tmp_path}/broken.yaml\n" in (
        result.stdout
    )
    (tmp_path / "objects.yaml").write_text(samples.manifests())
    assert slices(tmp_path).exit_code == 3


def test_nothing_to_judge_is_no_praise() -> None:
    result = slices("-", given='{"steps": [], "changeSummary": {"same": 4}}')
    assert result.exit_code == 5
    assert "Nothing was judged." in result.stdout
    assert "--show-sames" in result.stdout


def test_names_of_others_do_not_move_the_cursor() -> None:
    evil = json.dumps({**samples.NODE_POOL, "metadata": {"name": "a\x1b[2Jb"}})
    assert "\x1b" not in slices("-", given=evil).stdout
    assert "NodePool a?[2Jb" in slices("-", given=evil).stdout
