"""The current stack's configuration, as Pulumi hands it to the program."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path as FilePath
from typing import Any, Final

import pulumi

from config import schema
from config.checks.cluster import outdated
from config.checks.region import is_unread
from config.errors import MISSING, PROJECT, ConfigError, Problem, is_ours_misspelt
from config.load import KEYS, parse
from config.placeholders import placeholders
from config.source import locate

PRIVATE_ENDPOINT: Final = (
    "without cluster.publicAccessCidrs the API server is reached from inside the VPC only: a pulumi up that runs "
    "elsewhere builds the cluster, and then fails at the first object in it"
)


def load_pulumi_config(today: date | None = None) -> schema.StackConfig:
    """The current stack's configuration, as Pulumi hands it to the program. Raises ConfigError."""
    config = pulumi.Config(PROJECT)
    # pulumi.Config can only be asked for known keys. The engine also gives all of them in this variable; without it
    # misspelt keys would pass in silence.
    given = json.loads(os.environ.get("PULUMI_CONFIG", "{}"))
    unknown = [key.removeprefix(f"{PROJECT}:") for key in given if key.startswith(f"{PROJECT}:")]
    texts = {key: config.get(key) for key in dict.fromkeys((*KEYS, *unknown))}
    texts |= {key: given[key] for key in given if is_ours_misspelt(key) or is_unread(key)}
    raw = {key: _value(text) for key, text in texts.items() if text is not None}
    try:
        today = today or date.today()
        stack = parse(raw, stack=pulumi.get_stack(), region=pulumi.Config("aws").get("region"), today=today)
    except ConfigError as errors:
        raise ConfigError(errors.stack, _located(errors.problems)) from None
    _only_planned(stack, today)
    if not (stack.cluster.existing or stack.cluster.public_access_cidrs):
        pulumi.log.info(PRIVATE_ENDPOINT)
    return stack


def _only_planned(config: schema.StackConfig, today: date) -> None:
    """Lets pass what a plan can do with, where nothing is built: the engine says which run this is.

    Raises ConfigError in an update, before anything is registered; warns in a preview.
    """
    found = _located([*placeholders(config), *outdated(config.cluster, today)])
    if found and not pulumi.runtime.is_dry_run():
        raise ConfigError(config.stack, found)
    for problem in found:
        pulumi.log.warn(str(problem))


def _located(problems: Iterable[Problem]) -> Sequence[Problem]:
    """The problems with file and line, without what the stack keeps secret."""
    return list(locate(_stack_file(), map(_without_secret, problems)))


def _stack_file() -> FilePath:
    """Beside Pulumi.yaml, which need not be where the program is (`main`)."""
    name = f"Pulumi.{pulumi.get_stack()}.yaml"
    beside = FilePath(pulumi.get_root_directory() or "", name)
    return beside if beside.exists() else FilePath.cwd() / name


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return text  # a plain string, which the schema then judges


def _without_secret(problem: Problem) -> Problem:
    """The problem, without its value where the stack keeps that secret. A key is secret as a whole."""
    names = {str(problem.path[0]), f"{PROJECT}:{problem.path[0]}"}
    secret = not names.isdisjoint(json.loads(os.environ.get("PULUMI_CONFIG_SECRET_KEYS", "[]")))
    return replace(problem, value="[secret]") if secret and problem.value is not MISSING else problem
