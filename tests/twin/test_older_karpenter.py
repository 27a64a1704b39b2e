"""A cluster whose Karpenter is an older one, as a running controller: adopted, planned, rehearsed, and left again.

Of older versions the module proxies serve few: of 1.9 the provider 1.9.3 and the core 1.9.0, of 1.6 no provider at all.
Not a part of continuous integration: Karpenter 1.9 shares no library with the pinned one, and takes seven minutes of
processor time to build, once. Definitions and charts of older versions are judged there (tests/plan).

    OLDER_KARPENTER=1.9 .venv/bin/python -m pytest -m twin -n 0 tests/twin/test_older_karpenter.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from cli.main import main
from cli.rehearse import Rehearsal
from tests.commands import checkout
from tests.twin.older import with_older_karpenter
from tests.unit.adopt.cluster import by_hand, write
from twin.kube.apply import NotReadyError
from twin.kube.client import Kube
from twin.machine import launch
from twin.machine.state import TwinState
from twin.plan import CONTROLLER_CHART, CRD_CHART, Planned, TwinPlan
from twin.planning import make_plan
from twin.up import Up

MINOR = os.environ.get("OLDER_KARPENTER", "")
pytestmark = pytest.mark.skipif(not MINOR, reason="OLDER_KARPENTER names no version to build")
NOBODY = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_PROFILE": ""}


class Theirs:
    """A project with the stack file that `slices adopt` writes for a cluster, and its twin."""

    def __init__(self, folder: Path, older: tuple[Path, str], *, gate: bool) -> None:
        self.programs, self.version = older
        self._gate = gate
        for name in ("project", "export"):
            (folder / name).mkdir()
        gates = f"NodeRepair=false,NodeOverlay={'true' if gate else 'false'}"
        self.export = write(folder / "export", by_hand(version=self.version, gates=gates))
        self.project = checkout(folder / "project")
        words = ["adopt", "theirs", "--from", str(self.export), "-C", str(self.project)]
        self.adopted = CliRunner().invoke(main, words, env=NOBODY)
        assert self.adopted.exit_code == 0, self.adopted.output
        self.file = self.project / "Pulumi.theirs.yaml"
        self.state = TwinState(self.project / ".twin", "theirs")

    def plan(self) -> TwinPlan:
        """The stack's, in a cluster with that Karpenter."""
        plan = make_plan(self.project, "theirs")
        return replace(plan, planned=tuple(self._older(thing) for thing in plan.planned))

    def _older(self, thing: Planned) -> Planned:
        if thing.chart not in (CRD_CHART, CONTROLLER_CHART):
            return thing
        values: dict[str, Any] = dict(thing.values)
        if thing.chart == CONTROLLER_CHART:
            gates = {**values["settings"]["featureGates"], "nodeOverlay": self._gate}
            values["settings"] = {**values["settings"], "featureGates": gates}
        return replace(thing, version=self.version, values=values)

    def up(self, **settings: float) -> Up:
        return Up(self.state, self.programs, print, **settings)


@pytest.fixture(scope="module")
def older(programs: Path) -> tuple[Path, str]:
    return with_older_karpenter(programs, MINOR)


@pytest.fixture
def theirs(request: pytest.FixtureRequest, tmp_path: Path, older: tuple[Path, str]) -> Iterator[Theirs]:
    made = Theirs(tmp_path, older, gate=request.param)
    try:
        yield made
    finally:
        launch.stop(made.state)


def _uids(kube: Kube) -> dict[str, str]:
    pods = kube.list("v1", "Pod", "models")
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods if pod["status"]["phase"] == "Running"}


def _left(kube: Kube) -> set[str]:
    kinds = {"NodePool": "karpenter.sh/v1", "EC2NodeClass": "karpenter.k8s.aws/v1"}
    return {
        f"{kind} {each['metadata']['name']}" for kind, version in kinds.items() for each in kube.list(version, kind)
    }


@pytest.mark.parametrize("theirs", [True], indirect=True, ids=["gate"])
def test_slots_are_shared_pods_run_on_and_only_ours_goes(theirs: Theirs) -> None:
    rehearsal = Rehearsal(theirs.project, "theirs", theirs.export)
    with theirs.state.lock():
        rehearsal.run(theirs.state, theirs.up(), theirs.plan, print)
    outcome = rehearsal.outcome
    assert outcome.before.gpus == {"g6.xlarge on-demand": 3}
    assert outcome.shared.gpus == {"g6.xlarge spot": 2}
    assert (outcome.shared.slots, outcome.shared.pods, outcome.waiting) == (4, 3, 0)
    assert (outcome.ran, outcome.untouched) == (3, 3)
    kube = launch.connect(theirs.state)
    before = _uids(kube)
    alone, _ = rehearsal.plans(theirs.plan())
    with theirs.state.lock():
        theirs.up().run(lambda: alone)
    theirs_alone = {"NodePool gpus", "EC2NodeClass theirs"}
    for _ in range(360):
        if _left(kube) == theirs_alone:
            break
        time.sleep(0.5)
    assert _left(kube) == theirs_alone
    assert _uids(kube) == before


@pytest.mark.parametrize("theirs", [False], indirect=True, ids=["no gate"])
def test_without_the_gate_nothing_is_shared_and_who_insists_is_stopped(theirs: Theirs) -> None:
    """The file that is written comes up; one that says the gate is on waits for overlays that nobody reads."""
    assert "is off: without it Karpenter buys a GPU for each slot" in " ".join(theirs.adopted.output.split())
    written = yaml.safe_load(theirs.file.read_text())
    assert written["config"]["gpu-slices:pools"][0]["sharing"] == {"strategy": "none"}
    with theirs.state.lock():
        theirs.up().run(theirs.plan)
        kube = launch.connect(theirs.state)
        assert "NodePool shared" in _left(kube)
        written["config"]["gpu-slices:karpenter"]["existing"]["featureGates"] = ["nodeOverlay"]
        written["config"]["gpu-slices:pools"][0]["sharing"] = {"strategy": "time-slicing", "replicas": 2}
        theirs.file.write_text(yaml.safe_dump(written))
        with pytest.raises(NotReadyError, match="NodeOverlay shared-1gpu is not Ready"):
            theirs.up(ready_seconds=20.0).run(theirs.plan)
