"""What the commands do, once `cli.main` has read their options."""

from __future__ import annotations

from pathlib import Path

import click

from cli.as_json import plan_json
from cli.export_dir import check_targets
from cli.manifests import write_manifests
from cli.plan import make_plan, status_of
from cli.render import render
from cli.terraform import write_terraform


def plan_stack(
    directory: Path,
    stack: str,
    *,
    as_json: bool,
    manifests: Path | None,
    terraform: Path | None,
    policy_config: Path | None,
    show_all: bool,
) -> int:
    """Plan a stack, write what was asked for, print the plan; gives the exit status. Raises as `make_plan` does."""
    check_targets(*(target for target in (manifests, terraform) if target))
    plan = make_plan(directory.resolve(), stack, policy_config)
    if manifests:
        write_manifests(plan.recording, manifests)
    if terraform:
        write_terraform(plan.recording, terraform)
    if as_json:
        click.echo(plan_json(plan))
        return status_of(plan)
    render(plan, show_all=show_all)
    for what, where in (("objects of the cluster", manifests), ("Terraform JSON", terraform)):
        if where:
            click.echo(f"Wrote the {what} to {where}.")
    return status_of(plan)
