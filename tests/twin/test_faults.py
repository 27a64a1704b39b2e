"""A twin that goes away under those who use it: each command ends in seconds, with a line that says why and what to do.

The same at the places where they wait, one by one and without a twin: `tests/unit/twin/test_faults.py`.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.twin.test_crash import assert_nothing_is_left, wait
from twin.machine import launch
from twin.machine.processes import SUPERVISOR, find
from twin.machine.state import TwinState, load_run
from twin.plan import TwinPlan

ROOT = Path(__file__).parents[2]
#: Seconds in which a command must end; on a quiet machine it takes two.
_LONGEST = 20.0


@pytest.fixture
def own(tmp_path: Path, programs: Path) -> Iterator[TwinState]:
    """A twin of the test's own, not started, in a project whose program is ours."""
    del programs  # built
    (tmp_path / "Pulumi.yaml").write_text(f"{(ROOT / 'Pulumi.yaml').read_text()}\nmain: {ROOT}\n")
    shutil.copyfile(ROOT / "Pulumi.local.yaml", tmp_path / "Pulumi.local.yaml")
    state = TwinState(tmp_path / ".twin", "local")
    yield state
    launch.stop(state)


class Command:
    """A `slices` command that runs, and what it says."""

    def __init__(self, state: TwinState, *arguments: str, largest: int = 0) -> None:
        """largest: bytes that a file may have, of this process and those it starts; 0 for any number."""
        self.folder = state.root.parent
        self.out = self.folder / f"{arguments[0]}.out"

        def prepared() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever started us may ignore it
            if largest:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

        with self.out.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", *arguments, "-C", str(self.folder)],
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=prepared,  # noqa: PLW1509
            )

    @property
    def said(self) -> str:
        """What it has said so far; commands in it as for somebody in the project, without `-C` and its folder."""
        return self.out.read_text().replace(f" -C {self.folder}", "")

    def says(self, text: str) -> Command:
        """Wait until it has said that."""
        # A scenario begins with an empty cluster, and waits until what was there before is gone.
        wait(lambda: text in self.said or self.process.poll() is not None, 180)
        assert text in self.said
        return self

    def stop(self) -> None:
        """End it, if it runs."""
        self.process.kill()
        self.process.wait()

    def ends(self, status: int = 1) -> str:
        """Its last line, when it has ended in time with a status."""
        began = time.monotonic()
        try:
            assert self.process.wait(timeout=2 * _LONGEST) == status, self.said
        finally:
            self.stop()
        assert time.monotonic() - began < _LONGEST
        assert "Traceback" not in self.said
        assert "://" not in self.said
        return self.said.splitlines()[-1]


def remove(state: TwinState) -> None:
    launch.stop(state)


def kill_supervisor(state: TwinState) -> None:
    os.kill(next(pid for pid, name in find(state).items() if name == SUPERVISOR), signal.SIGKILL)


def end_server(state: TwinState) -> None:
    (state.specs / "kube-apiserver.json").unlink()
    launch.wake(state)


FAULTS: dict[Callable[[TwinState], None], tuple[str, str]] = {
    remove: ("was stopped meanwhile: `slices up local` starts it again", "The twin of local was stopped."),
    kill_supervisor: ("its supervisor does not run any more: `slices up local` recovers it", "The twin of local died"),
    end_server: ("of local does not answer: `slices status local` says more", "The API server does not answer"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_follows_a_twin_says_how_it_ended(
    fault: Callable[[TwinState], None], own: TwinState, plan: TwinPlan, bring_up: Callable[..., TwinPlan]
) -> None:
    ended, watched = FAULTS[fault]
    bring_up(own, plan)
    watch = Command(own, "watch")
    request = Command(own, "request", "mistral").says("waits for a slot")
    watch.says("mistral")
    fault(own)
    assert ended in request.ends()
    watch.says(watched)
    watch.stop()
    bring_up(own, plan)
    scenario = Command(own, "scenario", "pack").says("pods of one slot each")
    fault(own)
    assert ended in scenario.ends()


@pytest.mark.parametrize("fault", FAULTS)
def test_up_says_what_happened_meanwhile(fault: Callable[[TwinState], None], own: TwinState) -> None:
    up = Command(own, "up")
    wait((own.folder / "cloud.json").exists)
    fault(own)
    # One that begins anew in its own folder is no other twin's: what is removed may also be missed by name.
    up.ends()
    assert "`slices" in up.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_tells_what_is_left(
    number: signal.Signals, own: TwinState, plan: TwinPlan, bring_up: Callable[..., TwinPlan]
) -> None:
    status = 128 + number
    up = Command(own, "up")
    # Not by what it says: steps that follow each other at once are one line, and which one is a matter of moments.
    wait(own.plan.exists)
    up.process.send_signal(number)
    said = up.ends(status)
    assert said == "interrupted: what stands so far is left. `slices up local` goes on, `slices down local` ends it"
    bring_up(own, plan)
    request = Command(own, "request", "mistral").says("waits for a slot")
    request.process.send_signal(number)
    assert "nobody asks mistral any more, it goes when nobody has asked for" in request.ends(status)
    scenario = Command(own, "scenario", "pack").says("pods of one slot each")
    scenario.process.send_signal(number)
    assert scenario.ends(status) == "interrupted: the twin runs on, and what the scenario made is on its way out"
    kube = launch.connect(own)
    wait(lambda: not kube.list("v1", "Pod", "slices-scenario"), 120)
    watch = Command(own, "watch").says("since the start")
    watch.process.send_signal(number)
    watch.ends(0 if number == signal.SIGINT else status)
    run = load_run(own)
    assert run is not None
    launch.stop(own)
    scenario = Command(own, "scenario", "pack").says("starting a twin")
    wait(own.plan.exists)
    scenario.process.send_signal(number)
    assert scenario.ends(status) == "interrupted: nothing is left"
    assert_nothing_is_left(own, run.ports)


@pytest.mark.parametrize(
    ("largest", "words"),
    [
        (256, "run.json cannot be written, the disk is full"),
        (40_000, "plan.json cannot be written, the disk is full"),
        (2**20, "etcd of the twin does not stay up"),
    ],
)
def test_a_full_disk_is_named(largest: int, words: str, own: TwinState) -> None:
    up = Command(own, "up", largest=largest)
    wait(lambda: up.process.poll() is not None)
    up.ends()
    assert words in up.said
    # The limit is that of its own output, too: of the longer names here it cuts the second command.
    assert ("`slices up local`" if largest < 1000 else "`slices down local`") in up.said
