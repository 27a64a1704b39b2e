"""Everything that `slices plan` says about a stack, as data: the recording, and what the domain makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.errors import PROJECT
from config.load import parse
from config.schema import StackConfig
from plan.errors import InputError
from plan.figures import Figures, figures
from plan.project import Project, StackFile, find_project, load_stack
from plan.record import Recording, record
from policy.analyzer import PolicyConfigError, Recorded, Verdict, disabled_rules, judge, read_config


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A planned stack."""

    recording: Recording
    figures: Figures | None
    """Pools, models and costs; None for a project whose configuration is not ours."""
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    """What an offline plan cannot know, and what the program said."""
    disabled: int = 0
    """Rules of the policy pack that its configuration turns off."""


POLICY_CONFIG = Path("policy", "config.json")
"""Configuration of the policy pack, in the project's directory; the file of `pulumi preview --policy-pack-config`."""


def make_plan(directory: Path, stack: str, policy_config: Path | None = None) -> Plan:
    """Plan a stack of the project in `directory` or above it. policy_config: another file than `POLICY_CONFIG`.

    Raises InputError where the stack or a configuration is wrong, ProgramError where the program fails.
    """
    project = find_project(directory)
    config = load_stack(project, stack)
    try:
        recording = record(project, config)
    except InputError as error:
        # What is said of a placeholder may be true of the placeholder only.
        raise InputError("\n".join([str(error), *(f"note: {note}" for note in config.notes)])) from error
    if config.problems:
        # The Pulumi CLI says only the first of these; the program's own validation, which ran before, says more.
        raise InputError("\n".join(config.problems))
    settings = policy_config or project.directory / POLICY_CONFIG
    return Plan(
        recording=recording,
        figures=_figures(project, config, recording),
        verdicts=_verdicts(recording, settings),
        disabled=disabled_rules(read_config(settings)),
        notes=_notes(config, recording),
    )


def stack_config(config: StackFile, region: str = "") -> StackConfig:
    """The stack file, checked. region: where the file names none. Raises ConfigError."""
    return parse(config.values_of(PROJECT), stack=config.stack, region=region or config.values.get("aws:region"))


def _figures(project: Project, config: StackFile, recording: Recording) -> Figures | None:
    return figures(stack_config(config, recording.region)) if project.name == PROJECT else None


def _verdicts(recording: Recording, policy_config: Path) -> tuple[Verdict, ...]:
    resources = [
        Recorded(
            type=resource.type,
            name=resource.name,
            urn=resource.urn,
            inputs=recording.preview_inputs(resource),
            parent=resource.parent,
            dependencies=resource.dependencies,
        )
        for resource in recording.resources
    ]
    try:
        return tuple(judge(resources, read_config(policy_config)))
    except PolicyConfigError as error:
        raise InputError(str(error)) from error


def _notes(config: StackFile, recording: Recording) -> tuple[str, ...]:
    notes = list(config.notes)
    notes += [text if severity == "info" else f"{severity}: {text}" for severity, text in recording.messages]
    notes += [f"nothing is known offline about {function}: it answered nothing" for function in recording.unanswered]
    return tuple(notes)
