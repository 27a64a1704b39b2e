"""The programs below `examples/` on the real engine: a first preview, judged by the pack, and a whole life in a cluster
of somebody's, whose own things stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from plan.make import make_plan
from tests.engine.engine import ROOT, Workspace
from tests.engine.somebody import at_rest, everything, settled, somebodys
from twin.kube.client import Kube
from twin.machine.state import TwinState

FOLDER = ROOT / "examples"
EXAMPLES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())

#: What somebody changes in a program that runs: a text of it, another in its place, and the resources that differ.
CHANGES: Mapping[str, tuple[str, str, set[str]]] = {
    "budget": ("monthly_usd=400", "monthly_usd=500", {"budget"}),
    "checkpointed_job": (
        "enable_key_rotation=True",
        'description="Of checkpoints", enable_key_rotation=True',
        {"checkpoints"},
    ),
    "cpu_pool": ("cpu_limit=32", "cpu_limit=48", {"graviton-pool"}),
    "dialogue": ('arch="amd64"', 'arch="arm64"', {"dialogue"}),
    "gpu_monitoring": (
        "node_selector={}",
        'node_selector={"role": "system"}',
        {"monitoring-amazon-cloudwatch-observability"},
    ),
    "gpu_pool": ("max_gpus=2", "max_gpus=3", {"shared-pool"}),
    "gpu_sharing": ("max_gpus=2", "max_gpus=3", {"mps-pool"}),
    "gpu_workload": ("replicas=1", "replicas=2", {"workloads-qwen"}),
    "knative_serving": (
        "node_selector={}",
        'node_selector={"role": "system"}',
        {"knative-operator", "knative-serving"},
    ),
    "ollama_model": ('name="mistral:7b"', 'name="llama2:7b"', {"mistral"}),
    "pull_through": ("cluster_name=settings", 'tags={"team": "ml"}, cluster_name=settings', {"pull-through"}),
    "warm_slots": ('end="18:00"', 'end="19:00"', {"warm-shared-hours"}),
}
#: Examples that need another, which is there while they live.
ON_KNATIVE = ("dialogue", "ollama_model")


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_preview_registers_what_the_plan_says(name: str, engine_programs: Path, tmp_path: Path) -> None:
    made = Workspace(tmp_path / name, engine_programs, "dev", program=FOLDER / name)
    done = made.preview(expect=0)
    assert done.mandatory == []
    planned = {each.urn for each in make_plan(FOLDER / name, "dev").recording.resources}
    created = {urn for urn in done.steps() if "::pulumi:pulumi:Stack::" not in urn}
    assert created
    assert created == {urn for urn in planned if "::pulumi:pulumi:Stack::" not in urn}


def test_each_comes_changes_and_goes_and_what_was_there_stays(
    workspace: Callable[[str], Workspace],
    ground: Callable[[Workspace], TwinState],
    programs: Path,
    engine_programs: Path,
    tmp_path: Path,
) -> None:
    """One cluster for all: nothing of an example is left for the next."""
    states: list[TwinState] = []

    def noted(made: Workspace) -> TwinState:
        states.append(ground(made))
        return states[0]

    kube = somebodys(noted, workspace("dev"), programs)
    before = at_rest(kube)

    def example(name: str) -> Workspace:
        made = Workspace(tmp_path / name, engine_programs, "dev", program=FOLDER / name)
        made.use_twin(states[0])
        _into(made, name, states[0])
        return made

    for name in EXAMPLES:
        if name not in (*ON_KNATIVE, "knative_serving"):
            with _living(name, example(name), kube):
                pass
            assert settled(kube, before) == before, f"after {name}"
    with _living("knative_serving", example("knative_serving"), kube):
        with_knative = at_rest(kube)
        for name in ON_KNATIVE:
            with _living(name, example(name), kube):
                pass
            assert settled(kube, with_knative) == with_knative, f"after {name}"
    assert settled(kube, before) == before


def _into(made: Workspace, name: str, state: TwinState) -> None:
    """The kubeconfig of the cluster, as a README says, in place of the context of an example."""
    file = made.folder / "Pulumi.dev.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    project = name.replace("_", "-")
    if content["config"].pop(f"{project}:context", None):
        content["config"][f"{project}:kubeconfig"] = str(state.kubeconfig)
        file.write_text(yaml.safe_dump(content), encoding="utf-8")


@contextmanager
def _living(name: str, made: Workspace, kube: Kube) -> Iterator[None]:
    """An example that is there, and was changed. The preview has judged it."""
    before = everything(kube)
    made.up(pack=False, expect=0)
    objects = {each["type"] for each in made.state() if each["type"].startswith("kubernetes:")}
    assert (everything(kube) != before) == bool(objects), f"{name} is in its state and in no cluster"
    text, other, changed = CHANGES[name]
    made.settle(text, other, "__main__.py")
    steps = made.up(pack=False, expect=0).steps()
    done = {urn.rpartition("::")[2]: step for urn, step in steps.items() if "::pulumi:pulumi:Stack::" not in urn}
    assert done == dict.fromkeys(changed, "update"), name
    yield
    made.destroy(expect=0)
    assert made.state() == []
