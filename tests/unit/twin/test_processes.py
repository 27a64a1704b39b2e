"""Whatever dies, whenever it dies: no process, port or lock stays behind. Played with `sleep` in every part."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.patience import PATIENCE, until
from twin import controller
from twin.errors import TwinError
from twin.machine import launch, ports, processes, supervisor
from twin.machine.processes import Spec, alive, find, write_spec
from twin.machine.state import TwinState, load_run, twins

pytestmark = pytest.mark.parts

SLEEP = shutil.which("sleep") or "/bin/sleep"


def sleeper(name: str, seconds: int = 1000) -> Spec:
    return Spec(name=name, program=SLEEP, arguments=[str(seconds)])


def running(state: TwinState, *names: str) -> bool:
    return set(names) <= set(find(state).values())


def pid_of(state: TwinState, name: str) -> int:
    return next((pid for pid, found in find(state).items() if found == name), 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "a place with spaces" / ".twin"


@pytest.fixture
def state(root: Path) -> Iterator[TwinState]:
    root.parent.mkdir()
    state = TwinState(root, "one")
    state.make()
    yield state
    launch.stop(state)


def start(state: TwinState, *names: str) -> None:
    for name in names:
        write_spec(state, sleeper(name))
    launch.start(state)
    until(lambda: running(state, *names))


def test_the_supervisor_runs_what_is_written_down_and_ends_what_is_not(state: TwinState) -> None:
    start(state, "etcd", "kwok")
    (state.specs / "kwok.json").unlink()
    launch.wake(state)
    until(lambda: "kwok" not in find(state).values())
    assert running(state, "etcd")


def test_a_process_that_dies_is_started_again_and_that_is_said(state: TwinState) -> None:
    start(state, "etcd")
    before = pid_of(state, "etcd")
    os.kill(before, signal.SIGKILL)
    until(lambda: pid_of(state, "etcd") not in (0, before))
    until(lambda: launch.status(state)["processes"]["etcd"]["restarts"] == 1)
    assert launch.status(state)["processes"]["etcd"]["lastExit"] == -signal.SIGKILL


def test_a_changed_process_is_restarted_an_unchanged_one_is_not(state: TwinState) -> None:
    start(state, "etcd", "kwok")
    etcd, kwok = pid_of(state, "etcd"), pid_of(state, "kwok")
    write_spec(state, sleeper("etcd", 2000))
    write_spec(state, sleeper("kwok"))
    launch.start(state)
    until(lambda: pid_of(state, "etcd") not in (0, etcd))
    assert pid_of(state, "kwok") == kwok


def test_a_process_that_cannot_stay_is_not_started_over_and_over(state: TwinState) -> None:
    write_spec(state, Spec(name="etcd", program=SLEEP, arguments=["nonsense"]))
    launch.start(state)
    until(lambda: launch.status(state)["processes"].get("etcd", {}).get("restarts", 0) >= 2)
    assert "invalid" in launch.tail(state, "etcd")


def test_each_start_of_a_process_that_cannot_stay_waits_twice_as_long(
    state: TwinState, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: now[0]))
    write_spec(state, Spec(name="etcd", program=SLEEP, arguments=["nonsense"]))
    begun: list[float] = []

    def wait(seconds: float) -> None:
        (child,) = watching._children.values()
        if child.process:
            begun.append(now[0])
            child.process.wait(PATIENCE)
        now[0] += seconds
        watching.stopping = now[0] > 60

    watching = supervisor.Supervisor(state)
    watching.run(wait)
    pauses = [later - before for before, later in pairwise(begun)]
    assert all(
        wanted <= pause <= wanted + 0.5
        for wanted, pause in zip((0.4, 0.8, 1.6, 3.2, 6.4, 10, 10), pauses, strict=False)
    )
    assert len(pauses) in (8, 9)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_children_die_with_a_killed_supervisor(state: TwinState) -> None:
    start(state, "etcd", "kwok")
    os.kill(pid_of(state, processes.SUPERVISOR), signal.SIGKILL)
    until(lambda: not find(state))
    assert not launch.supervised(state)


def test_a_new_supervisor_takes_over_after_a_crash(state: TwinState) -> None:
    start(state, "etcd")
    os.kill(pid_of(state, processes.SUPERVISOR), signal.SIGKILL)
    until(lambda: not launch.supervised(state))
    launch.start(state)
    until(lambda: running(state, "etcd"))
    assert list(find(state).values()).count("etcd") == 1


def test_there_is_one_supervisor_at_most(state: TwinState) -> None:
    start(state, "etcd")
    second = subprocess.run(
        [sys.executable, "-m", processes.SUPERVISOR, str(state.folder)], cwd=launch.ROOT, check=False, timeout=PATIENCE
    )
    assert second.returncode == 0
    assert list(find(state).values()).count("etcd") == 1


def test_two_that_ask_at_once_do_not_take_each_other_for_the_supervisor(state: TwinState) -> None:
    with state.supervisor_lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not launch.supervised(state)


def test_a_question_for_the_supervisor_does_not_keep_it_from_starting(
    state: TwinState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`supervised` holds the lock while it looks, and `start` asks again and again."""
    attempts = [BlockingIOError(), BlockingIOError(), None]

    def flock(*_: object) -> None:
        if error := attempts.pop(0):
            raise error

    monkeypatch.setattr("twin.machine.supervisor.fcntl.flock", flock)
    with state.supervisor_lock.open("w") as lock:
        assert supervisor._alone(lock)


def test_processes_are_found_without_any_file(state: TwinState) -> None:
    """As after a crash that took the twin's notes with it, where children outlive their supervisor."""
    stray = subprocess.Popen([str(state.bin / "etcd"), "1000"], executable=SLEEP)
    until(lambda: stray.pid in find(state))
    assert launch.leftovers(state) == {stray.pid: "etcd"}
    assert launch.stop(state) == ["etcd"]
    assert stray.wait(PATIENCE) == -signal.SIGKILL


def test_stop_leaves_nothing_and_may_be_called_again(state: TwinState, root: Path) -> None:
    launch.prepare(state)
    start(state, "etcd", "kwok")
    pids = list(find(state))
    ended = launch.stop(state)
    assert processes.SUPERVISOR in ended
    assert not any(map(alive, pids))
    assert not root.exists()
    assert launch.stop(state) == []


def test_a_deleted_folder_ends_the_twin(state: TwinState) -> None:
    start(state, "etcd")
    pids = list(find(state))
    shutil.rmtree(state.folder)
    until(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize("seed", range(5))
def test_kills_at_any_moment_leave_nothing_after_stop(state: TwinState, seed: int) -> None:
    chance = random.Random(seed)
    names = ["etcd", "kube-apiserver", "karpenter", "kwok"]
    for name in names:
        write_spec(state, sleeper(name))
    launch.start(state)
    for _ in range(6):
        time.sleep(chance.random() * 0.15)
        victims = find(state)
        if victims:
            with contextlib.suppress(ProcessLookupError):  # it has ended with its supervisor
                os.kill(chance.choice(sorted(victims)), signal.SIGKILL)
        if chance.random() < 0.3:
            launch.start(state)
    seen = list(find(state))
    launch.stop(state)
    assert not find(state)
    assert not any(map(alive, seen))
    assert not state.folder.exists()


def test_two_twins_do_not_touch_each_other(state: TwinState, root: Path) -> None:
    # One name is the beginning of the other.
    other = TwinState(root, "one-more")
    other.make()
    try:
        launch.prepare(state)
        launch.prepare(other)
        start(state, "etcd")
        start(other, "etcd")
        theirs = find(other)
        assert len(theirs) == 2
        launch.stop(state)
        assert find(other) == theirs
        assert [twin.stack for twin in twins(root)] == ["one-more"]
        assert "twin-one-more" in (root / "kubeconfig").read_text()
    finally:
        launch.stop(other)
    assert not root.exists()


def test_a_twin_keeps_its_ports_and_keys(state: TwinState) -> None:
    first = launch.prepare(state)
    again = launch.prepare(state)
    assert again == first
    assert load_run(state) == first
    assert len(set(first.ports.values())) == len(first.ports)


def test_a_stopped_twin_gets_new_ports_where_others_have_taken_its_own(state: TwinState) -> None:
    first = launch.prepare(state)
    with socket.socket() as other:
        other.bind(("127.0.0.1", first.ports["apiserver"]))
        other.listen()
        again = launch.prepare(state)
    assert again.ports["apiserver"] != first.ports["apiserver"]
    assert again.token == first.token


def test_the_lock_keeps_others_out_and_dies_with_its_holder(state: TwinState) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom twin.machine.state import TwinState\n"
        "with TwinState(Path(sys.argv[1]), 'one').lock():\n    print('held', flush=True)\n    time.sleep(1000)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(state.root)], cwd=launch.ROOT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(TwinError, match="busy"), state.lock():
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with state.lock():
        pass


def test_keys_are_for_the_owner_only(state: TwinState) -> None:
    launch.prepare(state)
    assert state.folder.stat().st_mode & 0o077 == 0
    for path in (state.kubeconfig, state.run, *state.pki.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_port_of_karpenter_s_that_somebody_took_is_named(state: TwinState) -> None:
    """Else who has it would answer in Karpenter's place."""
    run = launch.prepare(state)
    controller._refuse_taken_ports(state, run)
    port = run.ports["karpenter-health"]
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(TwinError, match=f"port {port}, on which Karpenter is to listen, was taken"):
            controller._refuse_taken_ports(state, run)


def test_no_twin_gets_a_port_among_those_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which some listen later than others, and Karpenter's not at all while it starts anew."""
    taken = {20001}
    monkeypatch.setattr(ports, "_LAST", 20007)
    monkeypatch.setattr(ports, "is_free", lambda port: port not in taken)
    names = ("etcd", "apiserver", "aws", "karpenter")
    assert ports.free_ports(names) == dict(zip(names, range(20004, 20008), strict=True))
    taken.add(20007)
    with pytest.raises(OSError, match="no free loopback ports"):
        ports.free_ports(names)
