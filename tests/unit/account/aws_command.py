"""Judges `aws` commands by botocore's models, which that command is made from."""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.session
import jmespath
from botocore import xform_name

from account.commands import Command

GLOBAL_OPTIONS = {"region", "query", "output"}
#: Options to which the command gives another name than the models do (aws-cli, awscli/customizations/argrename.py).
RENAMED = {("sns", "subscribe", "endpoint"): "notification-endpoint"}


@cache
def _model(service: str) -> Any:
    return botocore.session.Session().get_service_model(service)


def problems(command: Command) -> list[str]:
    """What AWS would not know of a command."""
    _, service, operation, *words = command
    model = _model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        return [f"{service} has no operation {operation}"]
    shape = model.operation_model(names[operation]).input_shape
    members = {_option(service, operation, name) for name in shape.members} if shape else set()
    required = {_option(service, operation, name) for name in shape.required_members} if shape else set()
    given = {word.removeprefix("--") for word in words if word.startswith("--")}
    found = [f"{service} {operation} knows no --{name}" for name in sorted(given - GLOBAL_OPTIONS - members)]
    found += [f"{service} {operation} needs --{name}" for name in sorted(required - given)]
    if "query" in given:
        query = words[words.index("--query") + 1]
        jmespath.compile(query)
        first = query.partition("[")[0].partition(".")[0]
        if first not in model.operation_model(names[operation]).output_shape.members:
            found.append(f"{service} {operation} answers no {first}")
    return found


def _option(service: str, operation: str, member: str) -> str:
    name: str = xform_name(member, "-")
    return RENAMED.get((service, operation, name), name)
