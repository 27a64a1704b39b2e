"""What Pulumi still knows of a stack: in which account it is, and what is for `pulumi destroy` to delete."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Region and account of an ARN; those of AWS' own policies have no account.
_ARN = re.compile(r"arn:aws[\w-]*:[\w-]+:(?P<region>[\w-]*):(?P<account>\d{12}):")
_SECONDS = 60
_EXPORT = "`pulumi stack export`"


@dataclass(frozen=True, kw_only=True)
class PulumiState:
    """What is in a stack's state.

    resources: how many there are in AWS and in the cluster. names: ids and ARNs of those in AWS.
    protected: names of resources with Pulumi's `protect`.
    """

    resources: int
    accounts: frozenset[str]
    regions: frozenset[str]
    names: frozenset[str]
    protected: tuple[str, ...]


@dataclass(frozen=True)
class Unread:
    """The state could not be read. reason: why, in one line."""

    reason: str


def read_state(directory: Path, stack: str) -> PulumiState | Unread:
    """The state, as `pulumi stack export` gives it: from whichever backend the caller is logged in to."""
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        return Unread("there is no pulumi command")
    command = [pulumi, "stack", "export", "--stack", stack, "--cwd", str(directory), "--non-interactive"]
    try:
        run = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Unread(f"pulumi did not answer within {_SECONDS} seconds")
    except OSError as error:
        return Unread(f"pulumi did not start: {error.strerror}")
    if run.returncode:
        said = [line.strip() for line in run.stderr.decode(errors="replace").splitlines() if line.strip()]
        return Unread(said[-1].removeprefix("error: ") if said else f"pulumi ended with status {run.returncode}")
    try:
        return parse_state(json.loads(run.stdout))
    except (ValueError, RecursionError):  # also bytes that are no text, and brackets without end
        return Unread(f"{_EXPORT} printed something else than JSON")


def parse_state(document: Any) -> PulumiState | Unread:
    """A state from its export (pulumi/pulumi sdk/go/common/apitype, UntypedDeployment and DeploymentV3)."""
    try:
        resources = _resources(document)
    except _OddError as error:
        return Unread(f"{_EXPORT} printed no state: {error}")
    ours = [each for each in resources if each.get("custom") and not each["type"].startswith("pulumi:")]
    in_aws = [each for each in ours if each["type"].startswith("aws:") and not each.get("external")]
    arns = [_ARN.match(arn) for each in in_aws for arn in _arns(each)]
    return PulumiState(
        resources=len(ours),
        accounts=frozenset(arn["account"] for arn in arns if arn),
        regions=frozenset(arn["region"] for arn in arns if arn and arn["region"]),
        names=frozenset(name for each in in_aws for name in (each.get("id"), *_arns(each)) if name),
        protected=tuple(each["urn"].rpartition("::")[2] for each in resources if each.get("protect")),
    )


class _OddError(Exception):
    """Something in an export is not as Pulumi writes it; the text says what."""


def _resources(document: Any) -> Sequence[Mapping[str, Any]]:
    """The resources of an export, each with what is read of it: none may be passed over as if it were not there."""
    deployment = _part(document, "the export", "deployment", dict) or {}
    resources = _part(deployment, "deployment", "resources", list) or []
    for index, resource in enumerate(resources):
        where = f"deployment.resources[{index}]"
        for key in ("type", "urn"):
            if _part(resource, where, key, str) is None:
                raise _OddError(f"{where}.{key} is missing")
        _part(resource, where, "id", str)
        _part(resource, where, "outputs", dict)
    return resources


_WORDS: Mapping[type, str] = {dict: "an object", list: "a list", str: "text"}


def _part(whole: Any, where: str, key: str, kind: type) -> Any:
    """What an object has under a key; None where it has nothing there."""
    if not isinstance(whole, dict):
        raise _OddError(f"{where} must be an object, not {_short(whole)}")
    value = whole.get(key)
    if value is not None and not isinstance(value, kind):
        raise _OddError(f"{where}.{key} must be {_WORDS[kind]}, not {_short(value)}")
    return value


def _short(value: Any) -> str:
    """What kind of JSON a value is, never the value: a state holds secrets."""
    kinds = ((bool, "true or false"), (int | float, "a number"), *_WORDS.items())
    return next((words for kind, words in kinds if isinstance(value, kind)), "null")


def _arns(resource: Mapping[str, Any]) -> Iterator[str]:
    # Of the thing itself: other outputs may name things elsewhere.
    arn = (resource.get("outputs") or {}).get("arn")
    if isinstance(arn, str):
        yield arn
