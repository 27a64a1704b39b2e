"""The commands of the twin: what they read from the command line, and how they say what happened."""

from __future__ import annotations

import gc
import json
import math
import sys
import time
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec

import click

from cli.calling import Terminated, directory_option, interruptible, plainly, stack_argument, stack_name, stack_option
from plan.errors import slices
from twin.errors import TwinError
from twin.machine.state import FOLDER, TwinState, twins

P = ParamSpec("P")

#: Models that `up` names at its end.
_NAMED = 12

_stack = stack_argument("local")


def _plainly(command: Callable[P, int]) -> Callable[P, None]:
    """As every command, and it may take long."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> int:
        gc.enable()  # the program turns it off, for commands that are done in a second
        return command(*args, **kwargs)

    return plainly(wrapper)


def twin_of(directory: Path, stack: str) -> TwinState:
    """The state of a stack's twin.

    Raises InputError where there is no project, for what is no name of a stack, and where there is neither such a stack
    nor something left of its twin.
    """
    from plan.project import find_project  # noqa: PLC0415  loads YAML

    project = find_project(directory.resolve())
    state = TwinState(project.directory / FOLDER, stack_name(stack))
    if not state.exists:
        project.refuse_unknown(stack)
    return state


@click.command(short_help="Start the twin: the stack on this machine, judged by the real Karpenter.")
@_stack
@directory_option
@click.option(
    "--export",
    type=click.Path(exists=True, path_type=Path),
    metavar="DIR",
    help="Of a stack on a cluster that is there: play that cluster's own pools and GPU pods too, before and after.",
)
@click.option("--timings", is_flag=True, help="Print when each step was done.")
@_plainly
def up(stack: str, directory: Path, export: Path | None, timings: bool) -> int:
    """Start the twin of STACK, or bring it up to date: the real Karpenter and scheduler, without a cloud.

    Records the stack's program, starts a control plane on free loopback ports, and applies the plan to it. The first
    time it builds the control plane from source, which takes some minutes. `.twin/kubeconfig` works with kubectl.
    """
    from rich.console import Console  # noqa: PLC0415

    from twin.machine.launch import supervised  # noqa: PLC0415
    from twin.machine.progress import Lines, built_for  # noqa: PLC0415
    from twin.machine.pulse import dead, told  # noqa: PLC0415
    from twin.planning import make_plan  # noqa: PLC0415  loads Pulumi
    from twin.up import Up  # noqa: PLC0415

    console = Console(highlight=False)
    state = twin_of(directory, stack)
    rehearsal = None
    if export is not None:
        from cli.rehearse import Rehearsal  # noqa: PLC0415  loads the policy pack

        rehearsal = Rehearsal(directory.resolve(), stack, export)
    with interruptible(lambda: f"`slices up {stack}` goes on where the build was"):
        programs = built_for(console, directory.resolve(), stack)
    began = time.monotonic()
    with (
        interruptible(lambda: _left(state)),
        told(state),
        state.lock(),
        console.status(f"Starting the twin of {stack}") as line,
    ):
        say = _escaped(line.update) if console.is_terminal else Lines(console)
        run = Up(state, programs, say)
        try:
            make = partial(make_plan, directory.resolve(), stack)
            plan = run.run(make) if rehearsal is None else rehearsal.run(state, run, make, say)
        except (TwinError, FileNotFoundError) as error:
            # A plan that cannot be made removes the twin too, and says why.
            if not state.exists and (run.timing.steps or isinstance(error, FileNotFoundError)):
                raise TwinError(
                    f"the twin of {stack} was stopped meanwhile: `slices up {stack}` starts it again"
                ) from error
            if isinstance(error, FileNotFoundError) or not state.exists:
                raise
            if not supervised(state):
                raise (TwinError(dead(state)) if run.timing.steps else error) from error
            rest = f"What stands so far is left to look at: `slices status {stack}`. `slices down {stack}` ends it."
            raise TwinError(f"{error}\n{rest}") from error
    console.print(
        f"The twin of [bold]{stack}[/] runs ({time.monotonic() - began:.1f} s): Karpenter and all pools are ready."
    )
    if rehearsal is not None:
        rehearsal.show(console)
    for chart in plan.left_out:
        console.print(f"Not played: chart {chart}", markup=False)
    if timings:
        for step, seconds in run.timing.steps.items():
            console.print(f"  {seconds:6.2f} s  {step}")
    models = ", ".join(model.name for model in plan.models[:_NAMED])
    if len(plan.models) > _NAMED:
        models += f" and {len(plan.models) - _NAMED} more"
    console.print(f"  kubectl --kubeconfig {FOLDER}/kubeconfig get nodepools", soft_wrap=True)
    if models:
        request = slices(f"request {plan.models[0].name} --stack {stack}")
        console.print(f"  {request}    (models: {models})", soft_wrap=True)
    console.print(f"  {slices(f'down {stack}')}", soft_wrap=True)
    return 0


def _escaped(update: Callable[[str], None]) -> Callable[[str], None]:
    """Names and reasons are texts, not rich's markup."""
    from rich.markup import escape  # noqa: PLC0415

    return lambda text: update(escape(text))


def _left(state: TwinState) -> str:
    """What an interrupted `slices up` leaves, and what to do about it; what nobody can go on with is removed."""
    from twin.machine.launch import stop, supervised  # noqa: PLC0415

    if supervised(state):
        stack = state.stack
        return f"what stands so far is left. `slices up {stack}` goes on, `slices down {stack}` ends it"
    if state.exists and not state.plan.exists():
        stop(state)
    return "nothing is left" if not state.exists else f"`slices up {state.stack}` goes on"


@click.command(short_help="Stop the twin and remove everything that it left.")
@_stack
@directory_option
@click.option("--all", "everything", is_flag=True, help="Stop every twin of the project.")
@_plainly
def down(stack: str, directory: Path, everything: bool) -> int:
    """Stop the twin of STACK and remove all that it left: processes, ports, files. Works after any crash."""
    from plan.project import find_project  # noqa: PLC0415  loads YAML
    from twin.machine.launch import stop  # noqa: PLC0415

    if not everything:
        chosen = [twin_of(directory, stack)]
    elif not (chosen := twins(find_project(directory.resolve()).directory / FOLDER)):
        click.echo("There is no twin.")
    for state in chosen:
        if not state.exists and not everything:
            click.echo(f"There is no twin of {state.stack}.")
            continue
        # Another command may be in the middle of something; what it has started is stopped all the same.
        with interruptible(partial(_after_down, state)):
            ended = stop(state)
        click.echo(f"The twin of {state.stack} is gone ({len(ended)} processes ended).")
    return 0


def _after_down(state: TwinState) -> str:
    return "nothing is left" if not state.exists else f"`slices down {state.stack}` removes what is left"


@click.command(short_help="The twin's processes, nodes and slots, and what it costs.")
@_stack
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@_plainly
def status(stack: str, directory: Path, as_json: bool) -> int:
    """Show the twin of STACK: its processes, its nodes with their slots, who waits, what it costs.

    Exit status: 0 if it runs, 1 if it does not.
    """
    from rich.console import Console  # noqa: PLC0415

    from twin.status import report, show  # noqa: PLC0415

    found = report(twin_of(directory, stack))
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        # Without a terminal there is no width to keep to: a line for each node.
        show(found, Console(highlight=False, width=None if sys.stdout.isatty() else 10_000))
    return 0 if found.running else 1


@click.command(short_help="The twin as it changes: in the terminal, as a web page, or as a picture.")
@_stack
@directory_option
@click.option("--web", is_flag=True, help="Serve a page instead, on this machine alone.")
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="N", help="Port of the page.  [default: one that is free]"
)
@click.option("--svg", metavar="FILE", default="", help="Write one picture to FILE instead; - is standard output.")
@_plainly
def watch(stack: str, directory: Path, web: bool, port: int | None, svg: str) -> int:
    """Watch the twin of STACK: nodes with their slots, who sits where, who waits and why, dollars, events.

    Until Ctrl-C. Without a terminal it prints a line for each change.
    """
    from twin.machine.pulse import told  # noqa: PLC0415
    from twin.watch.run import watch as follow  # noqa: PLC0415

    if (web and svg) or (port and not web):
        raise click.UsageError("--web and --svg exclude each other, and --port goes with --web")
    state = twin_of(directory, stack)
    with interruptible(), told(state):
        try:
            status = follow(state, web=web, port=port or 0, svg=svg)
        except KeyboardInterrupt as interrupt:
            if svg or isinstance(interrupt, Terminated):
                raise
            status = 0  # the end that is meant
    if svg not in ("", "-"):
        click.echo(f"Wrote {svg}", err=True)  # a target such as /dev/stdout gets the picture alone
    return status


def seconds(_: Any, __: Any, value: str) -> float:
    """A click callback: `90`, `90s`, `2m`; seconds."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (value[:-1], value[-1]) if value[-1:] in units else (value, "s")
    try:
        found = float(number) * units[unit]
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise click.BadParameter("write seconds, or a duration such as 90s or 2m")
    return found


@click.command(short_help="Ask a model of the twin for something: from zero to an answer.")
@click.argument("model")
@stack_option
@directory_option
@click.option("--hold", default="5s", callback=seconds, help="How long the request takes.  [default: 5s]")
@click.option("--until-gone", is_flag=True, help="Stay until the model is idle, and its node is gone.")
@_plainly
def request(model: str, stack: str, directory: Path, hold: float, until_gone: bool) -> int:
    """Ask a MODEL of the twin for something: it comes from zero, answers, and goes again when nobody asks."""
    from twin.machine.pulse import told  # noqa: PLC0415
    from twin.request import follow  # noqa: PLC0415

    state = twin_of(directory, stack)
    with interruptible(), told(state):
        return follow(state, model, hold, until_gone=until_gone)


@click.command(short_help="Play a scripted run on the twin and check how it ends.")
@click.argument("name", required=False)
@stack_option
@directory_option
@click.option("--pods", type=click.IntRange(min=1), help="Of pack and burst: how many pods of one slot each.")
@click.option("--keep", is_flag=True, help="Let the twin run afterwards, if the scenario started it.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@_plainly
def scenario(name: str | None, stack: str, directory: Path, pods: int | None, keep: bool, as_json: bool) -> int:
    """Play a scripted run on the twin and check how it must end; without NAME list them.

    Uses the running twin of the stack, or starts one and stops it again. Exit status: 0 if everything was as it must
    be, 4 if not.
    """
    from twin.machine.pulse import told  # noqa: PLC0415
    from twin.scenarios.run import listing, play  # noqa: PLC0415

    if name is None:
        click.echo(listing())
        return 0
    state = twin_of(directory, stack)
    with interruptible(lambda: _after_scenario(state)), told(state):
        return play(name, state, directory.resolve(), pods=pods, keep=keep, as_json=as_json)


def _after_scenario(state: TwinState) -> str:
    from twin.machine.launch import supervised, unfinished  # noqa: PLC0415

    if not supervised(state):
        return _after_down(state)
    return unfinished(state) or "the twin runs on, and what the scenario made is on its way out"
