"""What this machine and the stack file must have: programs, rules that are kept, no placeholder left."""

from __future__ import annotations

import ipaddress
import re
import shutil
from collections.abc import Iterator
from typing import Any

from account.preflight.requirement import Missing, Ok, Requirement
from cli.plan import Plan
from stacks.schema import StackConfig

MACHINE = "This machine"
STACK_FILE = "Stack file"

#: What each program is for. Pulumi's own plugins come by themselves.
_PROGRAMS = {"pulumi": "it runs the program", "aws": "the kubeconfig gets its tokens from it"}
_DOCKER = {"docker": "it builds the dialogue's image"}

#: Ranges of documents (RFC 5737) and domains of documents (RFC 2606): nobody's, so nobody meant them.
_EXAMPLE_NETWORKS = [ipaddress.IPv4Network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
_EXAMPLE_DOMAIN = re.compile(r"(^|[@.])example(\.(com|net|org))?$", re.IGNORECASE)
#: Accounts of AWS' own documents.
_EXAMPLE_ACCOUNT = re.compile(r"(?<!\d)(111122223333|123456789012|444455556666|777788889999|012345678901)(?!\d)")


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
    look = ("slices", "plan", stack)
    return Requirement(
        topic=STACK_FILE,
        what="no mandatory policy is violated",
        look=[look],
        judge=Missing(f"violated: {', '.join(broken)}", [look]) if broken else Ok(),
    )


def _placeholders(config: StackConfig) -> Requirement:
    left = list(placeholders(config))
    return Requirement(
        topic=STACK_FILE,
        what="no placeholder is left",
        judge=Missing(f"{', '.join(left)}: write your own") if left else Ok(),
    )


def placeholders(config: StackConfig) -> Iterator[str]:
    """Key and value of everything in the stack file that stands for something else."""
    for key, value in _texts("gpu-slices", config.model_dump(by_alias=True, exclude={"stack", "region"})):
        if is_placeholder(value):
            yield f"{key} = {value}"


def is_placeholder(text: str) -> bool:
    """Whether a text is, or holds, an address range, a domain or an account that documents use as an example."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        host = text.partition("://")[2].partition("/")[0] or text
        return bool(_EXAMPLE_DOMAIN.search(host) or _EXAMPLE_ACCOUNT.search(text))
    return isinstance(network, ipaddress.IPv4Network) and any(network.subnet_of(each) for each in _EXAMPLE_NETWORKS)


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(f"{key}:{name}" if key == "gpu-slices" else f"{key}.{name}", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(f"{key}[{index}]", item)
    elif isinstance(value, str):
        yield key, value
