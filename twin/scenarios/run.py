"""Finds a scenario by name, plays it, and says how it went."""

from __future__ import annotations

import difflib
import inspect
import json
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from twin.errors import TwinError
from twin.machine.launch import stop, supervised
from twin.machine.state import TwinState
from twin.scenarios import claims, failures, importance, jobs, lifecycle, packing, serving
from twin.scenarios.play import Failed, playing

#: Columns of a duration in the list.
_TAKES = 9
#: The stack with a pool whose pods claim GPU memory.
_MEMORY = "memory"
#: Exit status when a check failed.
FAILED = 4


@dataclass(frozen=True)
class Scenario:
    """A scripted run. `script` takes a Play; `seconds`: how long it took on a twin of its stack that ran already
    (two busy cores, November 2026); `spoils`: the plan is gone afterwards and must be applied again; `stack`: the one
    that has what it needs.
    """

    script: Callable[..., None]
    seconds: float
    spoils: bool = False
    stack: str = "local"

    @property
    def takes_pods(self) -> bool:
        """Whether the number of pods may be chosen."""
        return "pods" in inspect.signature(self.script).parameters

    @property
    def summary(self) -> str:
        """What it is about, in a line."""
        return (self.script.__doc__ or "").partition("\n")[0]


SCENARIOS: Mapping[str, Scenario] = {
    "from-zero": Scenario(serving.from_zero, 129),
    "pack": Scenario(packing.pack, 89),
    "no-overlay": Scenario(packing.no_overlay, 60),
    "burst": Scenario(packing.burst, 110),
    "scoring": Scenario(packing.scoring, 110),
    "critical-stays": Scenario(importance.critical_stays, 60),
    "batch-first": Scenario(importance.batch_first, 60),
    "spot-interruption": Scenario(failures.spot_interruption, 96),
    "interrupted-job": Scenario(jobs.interrupted_job, 450),
    "no-capacity": Scenario(failures.no_capacity, 83),
    "fallback": Scenario(failures.fallback, 90),
    "plugin-late": Scenario(failures.plugin_late, 72),
    "plugin-never": Scenario(failures.plugin_never, 100),
    "plugin-unknown": Scenario(failures.plugin_unknown, 128),
    "controller-restart": Scenario(failures.controller_restart, 89),
    "consolidation": Scenario(lifecycle.consolidation, 137),
    "drain-and-destroy": Scenario(lifecycle.drain_and_destroy, 105, spoils=True),
    "claims": Scenario(claims.claims, 137, stack=_MEMORY),
    "claims-lost": Scenario(claims.claims_lost, 96, stack=_MEMORY),
    "claims-limit": Scenario(claims.claims_limit, 85, stack=_MEMORY),
    "both-worlds": Scenario(claims.both_worlds, 69, stack=_MEMORY),
    "driver-late": Scenario(claims.driver_late, 71, stack=_MEMORY),
    "driver-never": Scenario(claims.driver_never, 90, stack=_MEMORY),
    "driver-wrong": Scenario(claims.driver_wrong, 94, stack=_MEMORY),
    "mixed": Scenario(claims.mixed, 129, stack=_MEMORY),
}


def listing() -> str:
    """The scenarios with how long they take, in 80 columns."""
    width = max(map(len, SCENARIOS)) + 2
    rest = " " * (width + _TAKES)
    lines = [
        textwrap.fill(
            f"{scenario.summary}{'' if scenario.stack == 'local' else f' (--stack {scenario.stack})'}",
            80,
            initial_indent=f"{name:{width}}{_duration(scenario.seconds):{_TAKES}}",
            subsequent_indent=rest,
        )
        for name, scenario in SCENARIOS.items()
    ]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    """In half minutes: machines differ by more."""
    return f"{max(1, round(seconds / 30)) / 2:g} min"


@dataclass(frozen=True)
class Outcome:
    """How a scenario went."""

    name: str
    passed: bool
    checks: tuple[tuple[str, bool, str], ...]
    figures: Mapping[str, object]
    seconds: float
    problem: str = ""
    """Why it could not be played to its end."""


def find_scenario(name: str, pods: int | None) -> Scenario:
    """A scenario by name. Raises TwinError for an unknown one, and for pods where their number is not to be chosen."""
    scenario = SCENARIOS.get(name)
    if scenario is None:
        near = difflib.get_close_matches(name, SCENARIOS, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise TwinError(f"there is no scenario {name!r}{meant}\nThese there are:\n{listing()}")
    if pods is not None and not scenario.takes_pods:
        able = ", ".join(name for name, scenario in SCENARIOS.items() if scenario.takes_pods)
        raise TwinError(f"scenario {name} does not take --pods; these do: {able}")
    return scenario


def run_scenario(name: str, state: TwinState, tell: Callable[[str], None], pods: int | None = None) -> Outcome:
    """Play a scenario on a twin that is up. Raises TwinError as `find_scenario` does."""
    scenario = find_scenario(name, pods)
    began, problem = time.monotonic(), ""
    with playing(state, tell) as play:
        try:
            scenario.script(play, **({} if pods is None else {"pods": pods}))
        except Failed as failed:
            problem = str(failed)
            tell(f"FAILED {problem}")
    return Outcome(
        name=name,
        passed=not problem and bool(play.checks) and all(check.passed for check in play.checks),
        checks=tuple((check.text, check.passed, check.detail) for check in play.checks),
        figures=play.figures,
        seconds=round(time.monotonic() - began, 1),
        problem=problem,
    )


def play(name: str, state: TwinState, directory: Path, *, pods: int | None, keep: bool, as_json: bool) -> int:
    """`slices scenario`: on the running twin, or on one that is started for it. Returns the exit status."""
    scenario = find_scenario(name, pods)
    began = time.monotonic()

    def tell(text: str) -> None:
        if not as_json:
            click.echo(f"{time.monotonic() - began:6.1f} s  {text}")

    # Nobody else changes the twin meanwhile; and what another command is starting is not ours to stop.
    with state.lock():
        ours = not supervised(state)
        try:
            if ours:
                tell(f"starting a twin of {state.stack}")
                bring_up(state, directory)
            outcome = run_scenario(name, state, tell, pods)
        finally:
            _put_in_order(state, directory, scenario, tell, stopped=ours and not (keep and supervised(state)))
    if as_json:
        click.echo(json.dumps(outcome.__dict__, indent=2))
    else:
        _summary(outcome)
    return 0 if outcome.passed else FAILED


def _put_in_order(
    state: TwinState, directory: Path, scenario: Scenario, tell: Callable[[str], None], *, stopped: bool
) -> None:
    """After a scenario, also one that was broken off. stopped: whether the twin goes."""
    if stopped:
        stop(state)
    elif scenario.spoils and supervised(state):
        state.finished.unlink(missing_ok=True)
        if isinstance(sys.exception(), KeyboardInterrupt):
            return  # whoever interrupts does not wait for that; that the twin is not whole is told
        tell("bringing the plan back")
        bring_up(state, directory)


def bring_up(state: TwinState, directory: Path) -> None:
    """Start a twin without much ado, or bring it up to date. The caller holds its lock."""
    from rich.console import Console  # noqa: PLC0415

    from twin.machine.progress import built_for  # noqa: PLC0415
    from twin.planning import make_plan  # noqa: PLC0415
    from twin.up import Up  # noqa: PLC0415

    programs = built_for(Console(stderr=True), directory, state.stack)
    Up(state, programs, lambda _: None).run(lambda: make_plan(directory, state.stack))


def _summary(outcome: Outcome) -> None:
    for name, figure in outcome.figures.items():
        click.echo(f"          {name}: {figure}")
    good = sum(passed for _, passed, _ in outcome.checks)
    verdict = "passed" if outcome.passed else "FAILED"
    click.echo(f"{outcome.name} {verdict}: {good} of {len(outcome.checks)} checks, {outcome.seconds} s")
