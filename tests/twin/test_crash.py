"""Whatever is killed, whenever: nothing stays behind, `down` works, and `up` brings everything back."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from twin.kube.client import Kube
from twin.machine import launch
from twin.machine.launch import answers
from twin.machine.ports import is_free
from twin.machine.processes import SUPERVISOR, find
from twin.machine.state import TwinState, load_run
from twin.plan import TwinPlan, save_plan
from twin.planning import make_plan
from twin.scenarios.play import NAMESPACE, playing

ROOT = Path(__file__).parents[2]
PROCESSES = (
    "etcd",
    "kube-apiserver",
    "kube-scheduler",
    "kube-controller-manager",
    "kwok",
    "aws",
    "karpenter",
    "agent",
)
#: `slices up` without the recording, so that it can be killed in any part of it: state folder, programs, plan.
UP = """
import sys
from pathlib import Path
from twin.plan import load_plan
from twin.machine.state import TwinState
from twin.up import Up

state = TwinState(Path(sys.argv[1]), "local")
plan = load_plan(TwinState(Path(sys.argv[3]), "local"))
with state.lock():
    Up(state, Path(sys.argv[2]), lambda _: None).run(lambda: plan)
"""


def wait(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def works(state: TwinState) -> bool:
    """Whether every process of a twin runs, and those that can be asked say that they are ready."""
    run = load_run(state)
    processes = launch.status(state)["processes"]
    return (
        run is not None
        and all((processes.get(name) or {}).get("pid") for name in PROCESSES)
        and launch.kube_of(state, run).ready()
        and answers(f"http://127.0.0.1:{run.ports['karpenter-health']}/readyz")
        and answers(f"{run.aws}/")
    )


def assert_nothing_is_left(state: TwinState, ports: dict[str, int]) -> None:
    assert find(state) == {}
    assert [name for name, port in ports.items() if not is_free(port)] == []
    assert not state.folder.exists()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[TwinState]:
    """A twin of the test's own, not started."""
    state = TwinState(tmp_path / ".twin", "local")
    yield state
    launch.stop(state)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_killed_process_comes_back(name: str, twin: TwinState) -> None:
    before = launch.status(twin)["processes"][name]["pid"]
    launch.signal_process(twin, name)
    wait(lambda: launch.status(twin)["processes"][name]["pid"] not in (None, before))
    wait(lambda: works(twin))
    others = [found for found in find(twin).values() if not found.startswith("twin.")]
    assert len(others) == len(set(others)), "two of a kind"


def test_after_all_that_the_twin_still_buys_nodes(twin: TwinState) -> None:
    with playing(twin, lambda _: None) as play:
        pool = play.pool()
        play.deploy("after", pool.name, pool.resource, 1)
        play.wait(lambda: play.running("after") == 1, 150, "a running pod")


def test_up_brings_a_twin_back_whose_supervisor_was_killed(
    own: TwinState, plan: TwinPlan, bring_up: Callable[..., TwinPlan]
) -> None:
    bring_up(own, plan)
    run = load_run(own)
    assert run is not None
    mark = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mark", "namespace": "default"}}
    launch.kube_of(own, run).create(mark)
    supervisor = next(pid for pid, name in find(own).items() if name == SUPERVISOR)
    os.kill(supervisor, signal.SIGKILL)
    wait(lambda: not launch.supervised(own))
    bring_up(own, plan)
    assert load_run(own) == run, "the same addresses as before"
    assert launch.connect(own).get("v1", "ConfigMap", "mark", "default") is not None
    wait(lambda: works(own))
    launch.stop(own)
    assert_nothing_is_left(own, run.ports)


@pytest.mark.parametrize("seed", range(4))
def test_up_may_be_killed_at_any_moment(
    own: TwinState, programs: Path, plan: TwinPlan, tmp_path: Path, seed: int
) -> None:
    plans = TwinState(tmp_path / "plans", "local")
    plans.make()
    save_plan(plans, plan)
    chance = random.Random(seed)
    command = [sys.executable, "-c", UP, str(own.root), str(programs), str(plans.root)]
    up = subprocess.Popen(command, cwd=ROOT)
    try:
        time.sleep(0.4 + chance.random() * 8)
    finally:
        up.kill()
        up.wait()
    run = load_run(own)
    launch.stop(own)
    assert_nothing_is_left(own, run.ports if run else {})


def test_up_goes_on_where_a_killed_one_stopped(
    own: TwinState, programs: Path, plan: TwinPlan, tmp_path: Path, bring_up: Callable[..., TwinPlan]
) -> None:
    plans = TwinState(tmp_path / "plans", "local")
    plans.make()
    save_plan(plans, plan)
    command = [sys.executable, "-c", UP, str(own.root), str(programs), str(plans.root)]
    up = subprocess.Popen(command, cwd=ROOT)
    try:
        wait((own.specs / "karpenter.json").exists)
    finally:
        up.kill()
        up.wait()
    bring_up(own, plan)
    wait(lambda: works(own))


def test_two_twins_side_by_side(
    twin: TwinState, own: TwinState, plan: TwinPlan, bring_up: Callable[..., TwinPlan]
) -> None:
    """Also of the same stack, from two checkouts; ending one does not touch the other."""
    bring_up(own, plan)
    ours, theirs = load_run(own), load_run(twin)
    assert ours is not None
    assert theirs is not None
    assert not set(ours.ports.values()) & set(theirs.ports.values())
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "only-here"}}
    Kube(ours.server, ours.token, str(own.pki / "ca.crt")).create(namespace)
    assert launch.connect(twin).get("v1", "Namespace", "only-here") is None
    before = find(twin)
    launch.stop(own)
    assert find(twin) == before
    wait(lambda: works(twin))


def test_another_stack_runs_in_the_same_project(twin: TwinState, bring_up: Callable[..., TwinPlan]) -> None:
    prod = TwinState(twin.root, "prod")
    try:
        bring_up(prod, make_plan(ROOT, "prod"))
        pools = {p["metadata"]["name"] for p in launch.connect(prod).list("karpenter.sh/v1", "NodePool")}
        assert {"isolated", "always-on"} <= pools
        wait(lambda: works(twin))
    finally:
        launch.stop(prod)
    wait(lambda: works(twin))
    assert "twin-local" in (twin.root / "kubeconfig").read_text()


def test_no_workload_of_the_tests_is_left(twin: TwinState) -> None:
    kube = launch.connect(twin)
    wait(lambda: not kube.list("v1", "Pod", NAMESPACE))
