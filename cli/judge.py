"""`slices judge`: what the policies say of programs that others wrote, from what their tools print."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from cli.console import hanging, heading, kind, printable, write
from cli.errors import POLICY_ERROR, UNSEEN_ERROR
from cli.render_verdicts import print_verdicts
from config.errors import counted
from plan.errors import InputError
from plan.verdict_json import verdict_json
from policy.analyzer import PolicyConfigError, Verdict, disabled_rules, judge, read_config
from policy.sources.program import Place, Program, SourceError, Unseen
from policy.sources.read import read

SCHEMA_VERSION = 1
#: Files with the same to say of them that are named each; of more the rest is counted.
_NAMED = 5


def judge_files(paths: Sequence[str], *, config: Path | None, as_json: bool) -> int:
    """Judge what the paths hold and print it; gives the exit status. Raises InputError where one cannot be read."""
    try:
        program = read(paths)
        settings = read_config(config) if config else {}
        verdicts = judge(program.resources, settings)
    except (SourceError, PolicyConfigError) as error:
        raise InputError(str(error)) from error
    if as_json:
        click.echo(json.dumps(_document(program, verdicts), indent=2, ensure_ascii=False))
    else:
        write(lambda console: _print(console, program, verdicts, disabled_rules(settings)))
    return status_of(program, verdicts)


def status_of(program: Program, verdicts: Sequence[Verdict]) -> int:
    """Exit status: a mandatory violation weighs more than what could not be read."""
    if any(verdict.mandatory for verdict in verdicts):
        return POLICY_ERROR
    unread = any(unseen.broken for unseen in program.unseen)
    return UNSEEN_ERROR if unread or not program.resources else 0


def _print(console: Console, program: Program, verdicts: Sequence[Verdict], disabled: int) -> None:
    resources = program.resources
    files = [counted(number, name) for name, number in Counter(program.kinds).items()]
    heading(console, f"{counted(len(resources), 'resource')} in {', '.join(files) or 'what could be read'}")
    several = len({str(place.file) for resource in resources if (place := program.place(resource.urn))}) > 1

    def where(verdict: Verdict) -> str:
        place = program.place(verdict.urn)
        if place is None:
            return "all of it together"
        if place.address:
            return str(place) if several else place.address
        return f"{place}, {kind(verdict.type)} {verdict.resource}".strip()

    if resources:
        print_verdicts(console, verdicts, where, disabled)
    else:
        console.print("Nothing was judged.")
    if program.unseen:
        heading(console, "Not seen")
        _print_unseen(console, program.unseen)


def _print_unseen(console: Console, unseen: Sequence[Unseen]) -> None:
    """What is broken first; of many places with the same to say the first few are named."""
    places: dict[tuple[bool, str], list[str]] = {}
    for each in unseen:
        places.setdefault((not each.broken, each.what), []).append(str(each.place))
    for (_, what), named in sorted(places.items(), key=lambda item: item[0]):
        hanging(console, "- ", printable(what))
        more = [f"and {len(named) - _NAMED} more"] if len(named) > _NAMED else []
        for place in (*named[:_NAMED], *more):
            console.print(Text(printable(f"  {place}")), soft_wrap=True)


def _document(program: Program, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {
        "schemaVersion": SCHEMA_VERSION,
        "resources": len(program.resources),
        "read": dict(Counter(program.kinds)),
        "verdicts": [{**verdict_json(verdict), **_place(program.place(verdict.urn))} for verdict in verdicts],
        "unseen": [{**_place(unseen.place), "what": unseen.what, "broken": unseen.broken} for unseen in program.unseen],
    }


def _place(place: Place | None) -> dict[str, Any]:
    """Where it stands: a file with a line, or with an address, or neither where everything together is at fault."""
    return {
        "file": place.file if place else None,
        "line": place.line if place else None,
        "address": place.address if place else None,
    }
