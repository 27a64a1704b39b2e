"""`slices prices refresh`: asks AWS for prices, and says what came, and what stays as it was."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from account.commands import shell_text
from account.prices.refresh import QUESTIONS, Refreshed, refresh, write
from account.session import Account, login
from cli.errors import INPUT_ERROR, UNSEEN_ERROR, say
from config.errors import listed, nearest
from gpu import prices
from gpu.price_file import PriceFileError
from plan.errors import InputError
from plan.project import find_project, load_stack


def refresh_prices(directory: Path, regions: Sequence[str], days: int) -> int:
    """Refresh the prices of regions, by default those of the project's stacks; gives the exit status."""
    status = 0
    for region in [_region(each) for each in regions] or _stacks_regions(directory):
        status = max(status, _refresh(region, days))
    return status


def _region(region: str) -> str:
    import boto3  # noqa: PLC0415  slow

    known = boto3.Session().get_available_regions("ec2", "aws") + boto3.Session().get_available_regions(
        "ec2", "aws-us-gov"
    )
    if region.startswith("cn-"):
        raise InputError(f"{region}: AWS lists prices there in yuan, and the plan reckons in USD")
    if region not in known:
        meant = nearest(region, known)
        raise InputError(f"{region!r} is no region of AWS{f'; did you mean {meant}?' if meant else ''}")
    return region


def _stacks_regions(directory: Path) -> list[str]:
    """Regions that the project's stack files name, each once."""
    project = find_project(directory.resolve())
    named = {load_stack(project, stack).values.get("aws:region", "") for stack in project.stacks}
    if not named - {""}:
        raise InputError("no stack file names a region (aws:region): name one with --region")
    return [_region(region) for region in sorted(named - {""})]


def _refresh(region: str, days: int) -> int:
    account = Account(region, patient=True)
    if not account.has_credentials():
        needed = login()
        commands = [f"  {shell_text(each)}" for each in needed.mend]
        raise InputError("\n".join([f"{needed.problem}. To sign in:", *commands]))
    columns = (TextColumn(f"asking AWS for the prices of {region}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=QUESTIONS)
        found = refresh(account, days, datetime.now(UTC), lambda: progress.advance(task))
    try:
        write(found)
    except PriceFileError as error:
        say(f"error: {error}")
        return INPUT_ERROR
    _print(found)
    return UNSEEN_ERROR if found.told else 0


def _print(found: Refreshed) -> None:
    took = listed([f"{number} {what}" for what, number in found.took.items() if number], "and")
    if found.file:
        click.echo(f"{found.region}: {took}, written to {prices.REFRESHED.name}/{found.region}.json")
    else:
        click.echo(f"{found.region}: nothing came that could be believed; all prices stay as they were")
    for line in found.told:
        click.echo(f"- stays as it was: {line}")
    if found.told and (prices.REFRESHED / f"{found.region}.json").is_file():
        click.echo(f"If a price that stays is the wrong one, remove {prices.REFRESHED.name}/{found.region}.json first.")
