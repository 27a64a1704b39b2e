"""`slices init`: a few questions, each also an option, and a stack file that can be planned."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import click

from cli.calling import stack_name
from cli.errors import fitted, say
from cli.stack_files import write_stack
from config.errors import PROJECT, ConfigError, listed, nearest, one_of
from config.starter import MEANINGS, Choices, Starter, service_names, starter, starters, suggested, text
from gpu.catalog import REGIONS
from gpu.models import MODELS, find_model
from gpu.sharing import Strategy
from plan.errors import InputError, as_called, slices
from plan.project import Project, find_project

T = TypeVar("T")

NAME = "mine"
REGION = "us-east-1"
#: Two small ones of different makers: they fit every GPU together, and can talk to each other.
SUGGESTED = ("mistral:7b", "llama3.2:3b")
#: Of what is offered, which is indented by two.
_COLUMNS = 78
#: Choices of which nothing is in doubt but the name.
_ANY = Choices(region=REGION, models=SUGGESTED, families=("g6",), strategy="time-slicing")


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the options say; empty where they say nothing."""

    region: str | None
    models: tuple[str, ...]
    families: tuple[str, ...]
    sharing: str | None
    email: str | None
    monthly_usd: float | None


def init_stack(directory: Path, name: str | None, answers: Answers, *, yes: bool) -> int:
    """Write a stack file of what was chosen and is asked for; gives the exit status.

    Raises InputError where there is a file of that name, where the choices do not go together, and without a terminal
    for what no option says.
    """
    project = find_project(directory.resolve())
    if project.name != PROJECT:
        raise InputError(f"slices init writes stacks of {PROJECT}; this project is {project.name}")
    if answers.monthly_usd is not None and not answers.email:
        raise InputError("--monthly-usd goes with --email: who is to hear of it?")
    ask = _Questions(not yes and sys.stdin.isatty() and sys.stdout.isatty())
    if not yes and not ask.asked:
        _refuse_gaps(name, answers)
    name = ask(name, "Name of the stack", NAME, lambda said: _free(project, said))
    path = write_stack(project, name, text(starter(_choices(ask, answers), name)))
    click.echo(f"Wrote {path.name}. What it would build and cost, without an account:\n  {slices(f'plan {name}')}")
    return 0


def _refuse_gaps(name: str | None, answers: Answers) -> None:
    needed = {
        "STACK": name,
        "--region": answers.region,
        "--model": answers.models,
        "--gpu": answers.families,
        "--sharing": answers.sharing,
    }
    if missing := [option for option, value in needed.items() if not value]:
        raise InputError(f"nobody can be asked here: add {listed(missing, 'and')}, or --yes for what is suggested")


def _choices(ask: _Questions, answers: Answers) -> Choices:
    """What is wanted: each question offers what goes together with the answers before it."""
    regions = textwrap.fill(", ".join(sorted(REGIONS)), _COLUMNS, break_on_hyphens=False)
    region = ask(answers.region, "AWS region", REGION, _region, regions)
    models = ask(",".join(answers.models), "Models, with commas", ",".join(SUGGESTED), _models, _model_lines())
    found = _possible(region, models)
    wanted = [made for made in found if answers.sharing in (None, made.choices.strategy)] or found
    families = ask(
        ",".join(answers.families),
        "GPU families, with commas; more are easier to get as Spot",
        ",".join(_suggested(wanted).choices.families),
        lambda said: _families(region, models, said),
        "\n".join(_gpu_lines(found)),
    )
    ways = list(starters(region, models, families))
    strategy = ask(
        answers.sharing,
        "How the GPUs are shared",
        ways[0].choices.strategy,
        lambda said: _strategy(ways, said),
        "\n".join(_meaning(way.choices.strategy) for way in ways),
    )
    choices = Choices(region=region, models=models, families=families, strategy=strategy)
    question = "E-mail that hears of the month's cost; empty: no budget"
    choices = ask(answers.email, question, "", lambda said: _with_email(choices, said))
    if not choices.emails:
        return choices
    given = None if answers.monthly_usd is None else str(answers.monthly_usd)
    suggestion = f"{choices.monthly_usd:g}"
    return ask(given, "Budget of a month, USD", suggestion, lambda said: _with_budget(choices, said))


class _Questions:
    """Finds out what was chosen: from an option, by a question, or by what is suggested."""

    def __init__(self, asked: bool) -> None:
        self.asked = asked

    def __call__(
        self, given: str | None, question: str, suggestion: str, read: Callable[[str], T], options: str = ""
    ) -> T:
        """What `read` makes of the answer; it raises InputError for one that does not do."""
        if given:
            return read(given)
        if not self.asked:
            return read(suggestion)
        click.echo(f"\n{textwrap.indent(options, '  ')}" if options else "")
        while True:
            try:
                return read(click.prompt(question, default=suggestion, show_default=bool(suggestion)).strip())
            except InputError as error:
                say(f"error: {error}")


def _free(project: Project, name: str) -> str:
    path = project.stack_files / f"Pulumi.{stack_name(name)}.yaml"
    if path.exists() or path.is_symlink():
        raise InputError(f"{path.name} is there already, and is not overwritten: take another name, or edit the file")
    try:
        starter(_ANY, name)
    except ConfigError as error:
        rule = "lower-case letters, digits and hyphens, at most 40 in all"
        raise InputError(
            f"{name!r} does not do: its cluster is called {PROJECT}-{name}, and such names have {rule}"
        ) from error
    return name


def _region(said: str) -> str:
    if said not in REGIONS:
        raise InputError(f"{said!r} is no region in which GPUs are known: {one_of(said, sorted(REGIONS))}")
    return said


def _models(said: str) -> tuple[str, ...]:
    names = _entries(said, "a model")
    for name in names:
        if find_model(name) is None:
            meant = nearest(name, MODELS)
            raise InputError(
                f"{name!r} is no model whose size is known{f': did you mean {meant}?' if meant else ';'} "
                "docs/models.md lists them. Others can be added to the stack file, with weightsMib, kvKibPerToken and "
                "maxContext (docs/configuration.md)"
            )
    if len(set(service_names(names))) < len(names):
        raise InputError("a model is named twice")
    return names


def _entries(said: str, what: str) -> tuple[str, ...]:
    entries = tuple(entry.strip() for entry in said.split(",") if entry.strip())
    if not entries:
        raise InputError(f"name {what}, or several with commas")
    return entries


def _possible(region: str, models: tuple[str, ...]) -> Sequence[Starter]:
    found = list(starters(region, models))
    if not found:
        raise InputError(f"no GPU that is known in {region} holds {listed(models, 'and')}: try fewer or smaller models")
    return found


def _suggested(found: Sequence[Starter]) -> Starter:
    best = suggested(found)
    assert best is not None, "somebody has looked that there is one"
    return best


def _families(region: str, models: tuple[str, ...], said: str) -> tuple[str, ...]:
    families = _entries(said, "a family")
    if not list(starters(region, models, families)):
        choices = Choices(region=region, models=models, families=families, strategy="none")
        raise InputError(_why_not(choices))
    return families


def _strategy(ways: Sequence[Starter], said: str) -> Strategy:
    for way in ways:
        if way.choices.strategy == said:
            return way.choices.strategy
    for strategy in MEANINGS:
        if strategy == said:
            raise InputError(_why_not(replace(ways[0].choices, strategy=strategy)))
    raise InputError(f"{said!r} is no way to share GPUs: {one_of(said, list(MEANINGS))}")


def _with_email(choices: Choices, said: str) -> Choices:
    return _right(replace(choices, emails=tuple(part.strip() for part in said.split(",") if part.strip())))


def _with_budget(choices: Choices, said: str) -> Choices:
    try:
        with_budget = replace(choices, monthly_usd=float(said))
    except ValueError as error:
        raise InputError(f"{said!r} is no amount of USD") from error
    if why_not := _why_not(with_budget):
        raise InputError(f"a budget of {why_not}")
    return with_budget


def _right(choices: Choices) -> Choices:
    """The choices, where they go together. Raises InputError."""
    if why_not := _why_not(choices):
        raise InputError(why_not)
    return choices


def _why_not(choices: Choices) -> str:
    """What the configuration says of choices that do not go together; empty where they do."""
    try:
        starter(choices)
    except ConfigError as error:
        return "; ".join(f"{json.dumps(problem.value, default=str)} {problem.message}" for problem in error.problems)
    return ""


def _gpu_lines(found: Sequence[Starter]) -> Iterator[str]:
    """A family, its GPU and what it costs: those on which the models fit, smallest GPU first."""
    by_family: dict[str, list[Starter]] = {}
    for made in sorted(found, key=lambda made: made.pool.smallest.gpu.usable_mib):
        by_family.setdefault(made.choices.families[0], []).append(made)
    yield "family  GPU            GiB  a node  Spot USD/h  can be shared by"
    for family, ways in by_family.items():
        kind, price = ways[0].pool.smallest, ways[0].pool.price
        usd = f"{price.usd_per_hour('spot'):.2f}" if price else "?"
        names = [way.choices.strategy for way in ways]
        shared = ", ".join(name for name in names if name != "none") or "none"
        gib = kind.gpu.usable_mib / 1024
        product = kind.gpu.product.removeprefix("NVIDIA ")
        yield f"{family:<7} {product:<12} {gib:5.1f}  {kind.gpu_count:>6}  {usd:>10}  {shared}"
    if any(ways[0].pool.price for ways in by_family.values()):
        yield "Spot prices are estimates, for the cheapest node."
    else:
        ask = as_called("`slices prices refresh --region REGION`")
        yield fitted(f"No prices of this region are known; {ask} asks AWS for them.", _COLUMNS)


def _meaning(strategy: Strategy) -> str:
    name = f"{strategy:<13} "
    return textwrap.fill(MEANINGS[strategy], _COLUMNS, initial_indent=name, subsequent_indent=" " * len(name))


def _model_lines() -> str:
    """The models that are known, smallest first."""
    specs = sorted(MODELS.values(), key=lambda spec: spec.weights_mib)
    width = max(len(spec.name) for spec in specs)
    rows = (f"{spec.name:<{width}}  {spec.weights_mib / 1024:12.1f}" for spec in specs)
    return "\n".join([f"{'model':<{width}}  weights, GiB", *rows])
