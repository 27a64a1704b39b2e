"""What this machine and the stack file must have: programs, rules that are kept, no placeholder left."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator

from account.preflight.requirement import Missing, Ok, Requirement
from config.errors import key_of
from config.placeholders import placeholders
from config.schema import StackConfig
from plan.errors import slices
from plan.make import Plan

MACHINE = "This machine"
STACK_FILE = "Stack file"

#: What each program is for. Pulumi's own plugins come by themselves.
_PROGRAMS = {"pulumi": "it runs the program", "aws": "the kubeconfig gets its tokens from it"}
_DOCKER = {"docker": "it builds the dialogue's image"}


def requirements(plan: Plan, config: StackConfig) -> list[Requirement]:
    """Placeholders, policies, and the programs on the path."""
    return [_placeholders(config), _policies(plan, config.stack), *_programs(plan)]


def _programs(plan: Plan) -> Iterator[Requirement]:
    builds = plan.recording.of_type("docker-build:index:Image")
    for program, purpose in {**_PROGRAMS, **(_DOCKER if builds else {})}.items():
        path = shutil.which(program)
        yield Requirement(
            topic=MACHINE,
            what=f"{program} is on the path: {purpose}",
            judge=Ok(path) if path else Missing("it is not: install it"),
        )


def _policies(plan: Plan, stack: str) -> Requirement:
    broken = sorted({verdict.rule for verdict in plan.verdicts if verdict.mandatory})
    look = tuple(shlex.split(slices(f"plan {shlex.quote(stack)}")))
    return Requirement(
        topic=STACK_FILE,
        what="no mandatory policy is violated",
        look=[look],
        judge=Missing(f"violated: {', '.join(broken)}", [look]) if broken else Ok(),
    )


def _placeholders(config: StackConfig) -> Requirement:
    left = [f"{key_of(found.path)} = {found.value}" for found in placeholders(config)]
    return Requirement(
        topic=STACK_FILE,
        what="no placeholder is left",
        judge=Missing(f"{', '.join(left)}: write your own") if left else Ok(),
    )
