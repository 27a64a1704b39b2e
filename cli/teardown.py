"""`slices teardown`: what to do to end a stack, proof that nothing of it is left, and the deletion of what is."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from account.commands import pulumi, shell_text
from account.session import Absent, Account, Found, Identity, Unseen
from account.teardown import permit
from account.teardown.delete import Deletion
from account.teardown.guide import advise
from account.teardown.kinds import Leftover
from account.teardown.pulumi_state import PulumiState, Unread, read_state
from account.teardown.survey import Place, Survey
from account.teardown.table import KINDS
from account.teardown.target import Target, read_target
from cli.calling import interruptible
from cli.errors import MISSING_ERROR, UNSEEN_ERROR
from cli.render_teardown import Report, render
from plan.errors import InputError, slices


def teardown_stack(directory: Path, stack: str, *, account_id: str | None, delete: bool, yes: str | None) -> int:
    """Verify that nothing of a stack is left, and delete what is if that is asked for; gives the exit status.

    Raises InputError for a protected stack, a foreign account, and a deletion that is not allowed or not confirmed.
    """
    if yes is not None and not delete:
        raise InputError("--yes goes with --delete: without it nothing is deleted")
    target = read_target(directory.resolve(), stack)
    state = read_state(target.directory, stack)
    permit.refuse_protected(target, state)
    named = ("--account", account_id) if account_id else ()
    again = slices(shell_text(("teardown", stack, *named)))
    match _caller(account := Account(target.marks.region)):
        case Unseen() as unseen:
            render(Report(target, state, None, None), advise(target, state, None, again), unseen)
            return UNSEEN_ERROR
        case Identity() as caller:
            permit.refuse_foreign(target, state, caller, account_id)
    place = Place(account=account, caller=caller, marks=target.marks)
    survey = _look(place)
    permit.refuse_protected_cluster(target, survey)
    failed: dict[Leftover, str] = {}
    if delete:
        failed, survey = _delete(place, target, state, survey, yes)
    render(Report(target, state, caller, survey, failed), advise(target, state, survey, again))
    return status_of(survey)


def status_of(survey: Survey) -> int:
    """Exit status: what is left weighs more than what could not be seen."""
    if survey.left:
        return MISSING_ERROR
    return UNSEEN_ERROR if survey.unseen else 0


def _caller(account: Account) -> Identity | Unseen:
    match account.identity():
        case Found(caller):
            return caller
        case Unseen() as unseen:
            return unseen
        case Absent():
            raise AssertionError("STS always knows a caller")


def _delete(
    place: Place, target: Target, state: PulumiState | Unread, survey: Survey, yes: str | None
) -> tuple[dict[Leftover, str], Survey]:
    """What could not be deleted, with AWS' words, and what is there afterwards."""
    _refuse_standing_cluster(target, survey)
    known = state.names if isinstance(state, PulumiState) else frozenset()
    todo = [thing for thing in survey.left if known.isdisjoint(thing.names)]
    if not todo:
        return {}, survey
    _confirm(target, place, todo, yes)
    deletion = Deletion(place, known, tell=click.echo)
    with interruptible(lambda: "what is deleted stays deleted; the same command takes up the rest"):
        deletion.run(survey)
    click.echo("")
    return deletion.failed, _look(place)


def _refuse_standing_cluster(target: Target, survey: Survey) -> None:
    if survey.cluster is not None:
        raise InputError(
            f"EKS cluster {target.marks.cluster} still stands ({survey.cluster.state}): nothing was deleted\n"
            f"Ending it is Pulumi's work, which drains nodes first: {pulumi('destroy', target.stack)}"
        )
    if not survey.cluster_is_gone:
        said = "; ".join(str(unseen) for unseen in survey.unseen["EKS clusters"])
        raise InputError(f"nobody knows whether the EKS cluster still stands: nothing was deleted\n{said}")


def _confirm(target: Target, place: Place, todo: list[Leftover], yes: str | None) -> None:
    data = {kind.name for kind in KINDS if kind.data}
    lost = [thing for thing in todo if thing.kind in data]
    if yes is None:
        counts = ", ".join(f"{count} {kind}" for kind, count in Counter(thing.kind for thing in todo).items())
        click.echo(f"To be deleted in account {place.caller.account}, {target.marks.region}: {counts}")
        for thing in lost:
            click.echo(f"  data is lost with {thing.kind}: {thing.id} {thing.state}")
        if not sys.stdin.isatty():
            raise InputError("there is nobody to ask: confirm with --yes and the stack's name")
        yes = click.prompt("Type the stack's name to delete them", default="", show_default=False)
    if yes != target.stack:
        raise InputError(f"{yes!r} is not the stack's name: nothing was deleted")


def _look(place: Place) -> Survey:
    with _progress() as tell:
        return place.survey(tell=tell)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    columns = (TextColumn("asking AWS"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    quiet = not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
        task = progress.add_task("", total=len(KINDS))
        yield lambda kind: progress.update(task, advance=1, description=kind)
