"""`slices cost diff`: what a change costs."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli.calling import Form, stack_name
from cli.console import write
from cli.errors import INPUT_ERROR, LIMIT_ERROR, say
from cli.render_cost import as_json, as_markdown, print_diffs, sum_of_changes, usd
from config.errors import PROJECT
from plan.cost.diff import StackDiff, stack_diff
from plan.cost.revision import Revision, Unplannable, changed_files, revisions
from plan.errors import InputError
from plan.project import load_stack

_COLUMNS = (TextColumn("planning both sides"), BarColumn(), MofNCompleteColumn())


def cost_diff(
    directory: Path, before: str, after: str | None, *, stacks: Sequence[str], form: Form, limit: float | None
) -> int:
    """Print what is between the bills of two revisions; gives the exit status. after: None for the working tree.

    Raises InputError where a revision, a stack, a stack file or a limit is none.
    """
    if limit is not None and not math.isfinite(limit):
        raise InputError(f"--limit {limit:g} is no limit: write an amount of USD")
    with revisions(directory.resolve(), before, after) as (first, second):
        if second.project.name != PROJECT:
            raise InputError(f"this project is {second.project.name}: bills are known of {PROJECT} alone")
        files = changed_files(first, second)
        chosen = _stacks(stacks, first, second)
        quiet = not sys.stderr.isatty()
        with Progress(*_COLUMNS, console=Console(stderr=True), transient=True, disable=quiet) as progress:
            # Two plans each, of seconds: of a larger stack more.
            diffs = [stack_diff(stack, first, second, files) for stack in progress.track(chosen)]
        names = first.name, second.name
    match form:
        case "json":
            click.echo(as_json(*names, diffs, limit))
        case "markdown":
            click.echo(as_markdown(*names, diffs))
        case "text":
            write(lambda console: print_diffs(console, *names, diffs))
    return _status(diffs, limit, second.name)


def _stacks(named: Sequence[str], first: Revision, second: Revision) -> list[str]:
    """Those that were named, else all of both revisions."""
    known = sorted({*first.stacks, *second.stacks})
    for stack in named:
        if stack_name(stack) not in known:
            load_stack(second.project, stack)  # says which stacks there are
    return list(dict.fromkeys(named)) or known


def _status(diffs: Sequence[StackDiff], limit: float | None, after: str) -> int:
    """2 where a stack cannot be planned after the change; 4 where it costs more than the limit, or nobody knows."""
    if unplannable := [diff.stack for diff in diffs if isinstance(diff.after, Unplannable)]:
        say(f"error: no plan of {', '.join(unplannable)} at {after}; the output says why")
        return INPUT_ERROR
    if limit is None:
        return 0
    change = sum_of_changes(diffs)
    if change is None:
        say(f"error: what the change costs is not known, so it may be above --limit {limit:,.2f}")
        return LIMIT_ERROR
    if round(change.expected, 2) > limit:
        say(f"error: {usd(change.expected)} USD a month, above --limit {limit:,.2f}")
        return LIMIT_ERROR
    return 0
