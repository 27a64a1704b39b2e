"""`slices adopt`: the report for people and as JSON, the file that it writes, and what it says where it cannot."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from config.load import parse
from plan.project import find_project, load_stack
from tests.unit.adopt.cluster import by_hand, config_map, node_pool, pod, write

Run = Callable[..., Result]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of ours, without stacks."""
    root = Path(__file__).parents[3]
    (tmp_path / "Pulumi.yaml").write_bytes((root / "Pulumi.yaml").read_bytes())
    (tmp_path / "export").mkdir()
    return tmp_path


@pytest.fixture
def run(project: Path) -> Run:
    def adopt(*words: str) -> Result:
        # Nobody's credentials, and no machine that would give some.
        nobody = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_PROFILE": ""}
        return CliRunner().invoke(main, ["adopt", "-C", str(project), *words], env=nobody)

    return adopt


def test_it_writes_a_stack_file_that_loads_and_says_what_sharing_changes(project: Path, run: Run) -> None:
    write(project / "export", by_hand())
    done = run("mine", "--from", str(project / "export"), "--pod-mib", "5000")
    assert done.exit_code == 0, done.output
    read = load_stack(find_project(project), "mine")
    config = parse(read.values_of("gpu-slices"), stack="mine", region=read.values["aws:region"])
    assert config.cluster.existing == "prod"
    for words in (
        "Cluster prod, region us-east-1",
        "device plugin    nvidia-device-plugin 0.17.1",
        "NodePool gpus    g6; on-demand; whole GPUs",
        "GPU nodes        3 x g6.xlarge on-demand",
        "models/llm  runs on g6.xlarge  1 nvidia.com/gpu     3",
        "4 slots per GPU",
        "against the first",
        "Wrote Pulumi.mine.yaml",
    ):
        assert words in done.output
    assert "-67%" in done.output


def test_without_a_name_it_only_reports(project: Path, run: Run) -> None:
    write(project / "export", by_hand())
    done = run("--from", str(project / "export"))
    assert done.exit_code == 0, done.output
    assert "Nothing is written without a name" in done.output
    assert list(project.glob("Pulumi.*.yaml")) == []


def test_a_file_that_is_there_is_replaced_only_when_that_is_said(project: Path, run: Run) -> None:
    write(project / "export", by_hand())
    theirs = project / "Pulumi.mine.yaml"
    theirs.write_text("config: {}\n")
    refused = run("mine", "--from", str(project / "export"))
    assert refused.exit_code == 2
    assert "is there already, and is not overwritten" in refused.output
    assert theirs.read_text() == "config: {}\n"
    assert run("mine", "--from", str(project / "export"), "--overwrite").exit_code == 0
    assert "existing: prod" in theirs.read_text()
    assert sorted(path.name for path in project.iterdir()) == ["Pulumi.mine.yaml", "Pulumi.yaml", "export"]


def test_the_json_is_one_document(project: Path, run: Run) -> None:
    write(project / "export", by_hand())
    done = run("mine", "--from", str(project / "export"), "--json")
    document = json.loads(done.output)
    assert document["file"] == "Pulumi.mine.yaml"
    assert document["ways"][0]["name"] == "today"


def test_what_could_not_be_read_is_told_and_counts(project: Path, run: Run) -> None:
    write(project / "export", by_hand())
    os.mkfifo(project / "export" / "pipe.yaml")
    done = run("mine", "--from", str(project / "export"))
    assert done.exit_code == 5
    assert "pipe.yaml: it is a named pipe" in " ".join(done.output.split())


def test_where_no_file_would_be_right_none_is_written(project: Path, run: Run) -> None:
    objects = by_hand()
    for each in objects:
        each.get("status", {}).pop("nodeInfo", None)
    (project / "export" / "version.json").write_text(json.dumps({"serverVersion": {"gitVersion": "v1.27.1"}}))
    write(project / "export", objects)
    done = run("mine", "--from", str(project / "export"))
    assert done.exit_code == 4
    assert "No stack file is written" in done.output
    assert "Kubernetes: 1.27 is not an EKS version that this release knows" in " ".join(done.output.split())
    assert list(project.glob("Pulumi.*.yaml")) == []


@pytest.mark.parametrize(
    ("objects", "words", "said"),
    [
        ([pod("llm")], [], "add --region REGION"),
        ([pod("llm")], ["--region", "us-east-1"], "add --cluster NAME"),
        ([pod("llm")], ["--region", "eu-west-9", "--cluster", "x"], "'eu-west-9' is no region in which GPUs are known"),
        ([config_map("mine")], ["--kubeconfig", __file__], "give one of them"),
        ([], [], "holds nothing that `kubectl get -o yaml` writes"),
    ],
)
def test_what_is_wrong_is_said_in_words(
    project: Path, run: Run, objects: list[dict[str, object]], words: list[str], said: str
) -> None:
    if objects:
        write(project / "export", objects)
    done = run("mine", "--from", str(project / "export"), *words)
    assert done.exit_code == 2
    assert done.output.startswith("error: ")
    assert said in done.output


def test_names_of_others_move_no_cursor(project: Path, run: Run) -> None:
    write(project / "export", [*by_hand(), node_pool("\x1b[2Jgone")])
    done = run("--from", str(project / "export"))
    assert "\x1b" not in done.output
    assert "NodePool ?[2Jgone" in done.output


def test_an_export_needs_a_stack_on_a_cluster_that_is_there(project: Path) -> None:
    write(project / "export", by_hand())
    own = "config: {aws:region: us-east-1, gpu-slices:pools: [{name: a, instanceFamilies: [g6], maxGpus: 1, "
    own += "sharing: {strategy: none}}]}\n"
    (project / "Pulumi.own.yaml").write_text(own.replace("{aws:region", "{ aws:region"))
    words = ["up", "own", "-C", str(project), "--export", str(project / "export")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "has no cluster.existing, with which --export goes" in done.output


def test_an_export_of_another_ground_is_refused(project: Path) -> None:
    """A Karpenter beside somebody's, or in Auto Mode, whose definitions are there already."""
    own = "config:\n  aws:region: us-east-1\n  gpu-slices:cluster: { existing: prod }\n  gpu-slices:pools:\n"
    own += "    - { name: a, instanceFamilies: [g6], maxGpus: 1, sharing: { strategy: none } }\n"
    (project / "Pulumi.own.yaml").write_text(own)
    auto = {"apiVersion": "eks.amazonaws.com/v1", "kind": "NodeClass", "metadata": {"name": "default"}}
    for objects, said in (
        (by_hand(), "the export has a Karpenter, and stack own would install its own"),
        ([auto, pod("llm")], "EKS Auto Mode"),
    ):
        write(project / "export", objects)
        words = ["up", "own", "-C", str(project), "--export", str(project / "export")]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 2
        assert said in done.output


def test_auto_mode_gets_no_file(project: Path, run: Run) -> None:
    auto = {"apiVersion": "eks.amazonaws.com/v1", "kind": "NodeClass", "metadata": {"name": "default"}}
    write(project / "export", [auto, pod("llm")])
    done = run("mine", "--from", str(project / "export"), "--cluster", "prod", "--region", "us-east-1")
    assert done.exit_code == 4
    assert "Let the stack make a cluster of its own beside this one" in " ".join(done.output.split())
    assert list(project.glob("Pulumi.*.yaml")) == []
