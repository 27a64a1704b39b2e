"""What the commands do, once `cli.main` has read their options."""

from __future__ import annotations

from pathlib import Path

import click

from cli.calling import interruptible
from cli.errors import POLICY_ERROR
from cli.render import render
from cli.render_explain import render_explanation
from config.errors import PROJECT
from plan.as_json import plan_json
from plan.errors import InputError
from plan.explain import explain as explain_figure
from plan.explain import explanation_json
from plan.export_dir import check_target
from plan.make import Plan, make_plan
from plan.manifests import write_manifests


def plan_stack(
    directory: Path,
    stack: str,
    *,
    as_json: bool,
    manifests: Path | None,
    policy_config: Path | None,
    explain: str | None,
    show_all: bool,
) -> int:
    """Plan a stack, write what was asked for, print the plan; gives the exit status. Raises as `make_plan` does."""
    if manifests:
        check_target(manifests)
    plan = make_plan(directory.resolve(), stack, policy_config)
    if explain is not None:
        return _explain(plan, explain, as_json=as_json)
    if manifests:
        with interruptible():
            write_manifests(plan.recording, manifests)
    if as_json:
        click.echo(plan_json(plan))
        return status_of(plan)
    render(plan, show_all=show_all)
    if manifests:
        click.echo(f"Wrote the objects of the cluster to {manifests}.")
    return status_of(plan)


def _explain(plan: Plan, name: str, *, as_json: bool) -> int:
    if plan.figures is None:
        raise InputError(f"only stacks of {PROJECT} have a bill; this project is {plan.recording.project}")
    found = explain_figure(plan.figures, name)
    if as_json:
        click.echo(explanation_json(found))
    else:
        render_explanation(found)
    return 0


def status_of(plan: Plan) -> int:
    """Exit status: 3 if a mandatory policy is violated, otherwise 0."""
    return POLICY_ERROR if any(verdict.mandatory for verdict in plan.verdicts) else 0
