"""`slices check`: asks the AWS account what a stack needs of it, and says what is missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from account.commands import shell_text
from account.preflight import requirements
from account.preflight.access import CREDENTIALS
from account.preflight.requirement import Finding, Requirement, Sight, findings
from account.session import Account, Found, Unseen
from cli.errors import MISSING_ERROR, UNSEEN_ERROR
from cli.render_check import render
from config.errors import PROJECT
from plan.errors import InputError
from plan.make import Plan, make_plan

SCHEMA_VERSION = 1


def check_stack(directory: Path, stack: str, *, as_json: bool) -> int:
    """Check a stack's account and print the findings; gives the exit status. Raises as `make_plan` does."""
    plan = make_plan(directory.resolve(), stack)
    figures = plan.figures
    if figures is None:
        raise InputError(f"slices check knows what stacks of {PROJECT} need; this project is {plan.recording.project}")
    account = Account(plan.recording.region)
    needed = requirements(plan, figures)
    sight = Sight(plan, figures.config, account) if account.has_credentials() else None
    found = _ask(needed, sight)
    if as_json:
        click.echo(json.dumps(_document(plan, found, sight), indent=2, ensure_ascii=False))
    else:
        render(plan, found, asked=sight is not None)
    return status_of(found)


def status_of(found: Sequence[Finding]) -> int:
    """Exit status: what is missing weighs more than what could not be seen."""
    seen = {finding.status for finding in found}
    if "missing" in seen:
        return MISSING_ERROR
    return UNSEEN_ERROR if seen & {"unseen", "unasked"} else 0


def _ask(needed: Sequence[Requirement], sight: Sight | None) -> list[Finding]:
    """Every finding, in the order of the requirements."""
    if sight is not None and isinstance(sight.identity, Unseen):
        # AWS does not take the credentials: that is said once, not for every question.
        refused = sight.identity
        return [
            Finding(requirement=each.requirement, verdict=refused) if each.requirement.topic == CREDENTIALS else each
            for each in _ask(needed, None)
        ]
    found: dict[int, Finding] = {}
    columns = (TextColumn("asking AWS"), BarColumn(), MofNCompleteColumn())
    quiet = sight is None or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
        task = progress.add_task("", total=len(needed))
        for index, finding in findings(needed, sight):
            found[index] = finding
            progress.advance(task)
    return [found[index] for index in range(len(needed))]


def _document(plan: Plan, found: Sequence[Finding], sight: Sight | None) -> dict[str, Any]:
    identity = sight.identity.value if sight and isinstance(sight.identity, Found) else None
    return {
        "schemaVersion": SCHEMA_VERSION,
        "project": plan.recording.project,
        "stack": plan.recording.stack,
        "region": plan.recording.region,
        "caller": {"account": identity.account, "arn": identity.arn} if identity else None,
        "findings": [_finding(finding) for finding in found],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    requirement = finding.requirement
    return {
        "topic": requirement.topic,
        "what": requirement.what,
        "status": finding.status,
        "detail": finding.detail,
        "mend": [shell_text(command) for command in finding.mend],
        "look": [shell_text(command) for command in requirement.look],
    }
