"""`components.sdk` tells the engine what the SDKs' own classes would: the same stacks, recorded with both."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pulumi_aws
import pulumi_eks
import pulumi_kubernetes
import pytest

from plan.monitor import Resource
from plan.project import find_project, load_stack
from plan.record import Recording, record
from tests.plan.conftest import ROOT, STACKS
from tests.plan.variants import POOL, VARIANTS, changed_dev

pytestmark = pytest.mark.parts

SDKS = {"aws": pulumi_aws, "eks": pulumi_eks, "k8s": pulumi_kubernetes}


@pytest.fixture
def use_sdks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Gives components the SDKs themselves."""

    def use() -> None:
        for name, module in list(sys.modules.items()):
            if name.startswith("components."):
                for alias, sdk in SDKS.items():
                    if hasattr(module, alias):
                        monkeypatch.setattr(module, alias, sdk)

    return use


def seen(recording: Recording) -> list[Resource]:
    """All that the engine is told, but for the SDKs' aliases: types of API versions older than this project."""
    return [replace(resource, aliases=0) for resource in recording.resources]


def stack(name: str) -> Recording:
    project = find_project(ROOT)
    return record(project, load_stack(project, name))


def variant(name: str) -> Recording:
    return changed_dev({"pools": [POOL], "dialogue": {}, **VARIANTS[name]})


@pytest.mark.parametrize(
    ("make", "name"), [*((stack, name) for name in STACKS), *((variant, name) for name in VARIANTS)]
)
def test_the_engine_is_told_the_same(make: Callable[[str], Recording], name: str, use_sdks: Callable[[], None]) -> None:
    ours = make(name)
    use_sdks()
    theirs = make(name)

    assert seen(ours) == seen(theirs)
    assert ours.outputs == theirs.outputs


def test_a_plan_does_not_load_the_argument_types_of_the_sdks() -> None:
    """They take half of its time."""
    code = (
        "import json, sys\nfrom pathlib import Path\nfrom plan.make import make_plan\n"
        "make_plan(Path.cwd(), 'dev')\n"
        "print(json.dumps([*sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    loaded = {name for name in json.loads(done.stdout) if name.endswith("._inputs")}
    assert loaded <= {"pulumi_aws._inputs", "pulumi_kubernetes._inputs"}
