"""The programs below `examples/`: each planned as its README says, and judged by the pack."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from plan.make import Plan, make_plan
from plan.monitor import Resource
from plan.project import find_project as project_of
from plan.project import load_stack
from tests.plan.test_destroy_order import NODE_POOL, RELEASE, Graph

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
INDEX = (FOLDER / "README.md").read_text(encoding="utf-8")
#: Components of which the index gives each an example; other components are parts of the stacks.
COMPONENTS = {
    *("Budget", "CheckpointAccess", "CheckpointBucket", "CpuPool", "Dialogue", "GpuMonitoring", "GpuPool"),
    *("GpuSharing", "GpuWorkloads", "KnativeServing", "ModelSpace", "OllamaModel", "PullThroughCache"),
    *("PullThroughPolicy", "WarmSlots"),
}


@cache
def planned(name: str) -> Plan:
    return make_plan(FOLDER / name, "dev")


def components(name: str) -> set[str]:
    """Names of the components that the program itself makes, without those that these consist of."""
    found = planned(name).recording.resources
    return {each.type.rpartition(":")[2] for each in found if not each.custom and "$" not in each.urn.split("::")[2]}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_planned_without_a_finding(name: str) -> None:
    plan = planned(name)
    assert plan.figures is None, "it is no stack of ours"
    assert [verdict.message for verdict in plan.verdicts] == []
    assert [each for each in plan.recording.resources if each.custom and not each.type.startswith("pulumi:")]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_index_says_which_components_an_example_makes(name: str) -> None:
    (row,) = [line for line in INDEX.splitlines() if f"({name}/README.md)" in line]
    assert components(name) - {"GpuSharing"} <= set(re.findall(r"`(\w+)`", row)) <= components(name)


def test_every_component_that_works_alone_has_an_example() -> None:
    assert {found for name in EXAMPLES for found in components(name)} == COMPONENTS


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_readme_names_every_key_and_the_command_of_its_plan(name: str) -> None:
    readme = (FOLDER / name / "README.md").read_text(encoding="utf-8")
    keys = load_stack(project_of(FOLDER / name), "dev").values
    assert {key for key in keys if f"| `{key}` |" not in readme} == set()
    assert f".venv/bin/slices plan dev -C examples/{name}\n" in readme
    linked = re.findall(r"\]\((\.\./[^)]+)\)", readme)
    assert [link for link in linked if not (FOLDER / name / link).is_file()] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_object_names_its_provider(name: str) -> None:
    """Without one it would land in whatever cluster the shell's kubeconfig names at that time."""
    objects = [
        each for each in planned(name).recording.resources if each.custom and not each.type.startswith("pulumi:")
    ]
    assert [each.name for each in objects if not each.provider] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_has_one_name_in_the_whole_cluster_is_made_and_never_taken_over(name: str) -> None:
    for each in planned(name).recording.resources:
        if each.type.startswith("kubernetes:") and each.type != RELEASE:
            wide = "namespace" not in each.inputs["metadata"]
            assert each.provider.rpartition("::")[2] == ("new" if wide else "cluster"), each.name


def test_what_a_program_gives_by_depends_on_outlives_everything_in_a_component() -> None:
    recording = planned("gpu_sharing").recording
    plugin, pools = recording.of_type(RELEASE), recording.of_type(NODE_POOL)
    assert len(plugin) == len(pools) == 1
    assert Graph(recording).missing(pools, plugin) == []
    models = planned("ollama_model").recording
    service = models.of_type("kubernetes:serving.knative.dev/v1:Service")
    before: list[Resource] = [each for each in models.resources if each.name in ("models-namespace", "models-script")]
    assert len(service) == 1
    assert len(before) == 2
    assert Graph(models).missing(service, before) == []
