"""A value that is not known in preview silences no violation of the programs of others (`programs/bypass`).

Every scalar, list and map in turn becomes unknown, of which a fixed part is tried (all in `make test-sweep`). Then the
rules that spoke speak still, or something new is said. Where neither is so, the place is listed with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from policy.analyzer import judge
from tests.day import TODAY
from tests.policy import corpus
from tests.policy.test_unknown_is_never_safer import unknown_at
from tests.sweep import tried

Place = tuple[str | int, ...]
#: Gives places of a resource's inputs, and the inputs as they are changed there.
Changes = Callable[[corpus.Program, dict[str, Any]], Iterator[tuple[str, dict[str, Any]]]]

#: Rule, and type, as beginnings, to why nothing is said.
SILENT: Final[Mapping[tuple[str, str], str]] = {
    ("iam-", ""): "documents and policies that hold outputs are judged in the update, before anything is created",
    ("ollama-", ""): "nothing tells any more that it serves a model",
    ("gpu-on-demand", "aws"): "settings of a service as a whole, or code; few of them are about GPUs",
    ("gpu-on-demand", "kubernetes:sagemaker.services.k8s.aws/"): "the same of a controller's objects",
    ("eks-no-root-access", "aws"): "a role of the program's own, as a rule",
    ("gpu-on-demand", "kubernetes:batch/"): "a command with an output in it; few of them buy nodes",
    ("gpu-pool-has-limit", "kubernetes:karpenter.sh/"): "the pool has a limit, which is one on most GPUs",
    ("node-no-ssh", "kubernetes:eksctl.io/"): "most groups have no key",
    ("gpu-sharing-consistent", "kubernetes:karpenter.sh/"): "which configuration its nodes take is not told",
    ("gpu-launch-template", "aws:ec2/instance:"): "what it depends on tells which template it takes",
    ("gpu-refuses", "kubernetes:karpenter.k8s.aws/"): "user data that may be of anything",
    ("gpu-nodes-for-gpu-work", "kubernetes:"): "an affinity that may be of anything; tolerations are told",
    ("gpu-claim-for-one-pod", "kubernetes:karpenter.k8s.aws/"): "whether its nodes share memory is not told",
    ("gpu-refuses", "kubernetes:core/"): "a ConfigMap that may be of anything",
    ("gpu-sharing-config-valid", "kubernetes:core/"): "a ConfigMap that may be of anything",
}
#: Ends of places at which something else says what the value is: a name or a version of what stands around it.
NAMES: Final = ("name", "key", "path", "apiVersion", "TYPE", "gpu", "metadata", "nodeClassRef")
#: Keys that people or clouds made up, below which anything may stand.
OWN: Final = ("aws", "box", "host", "size", "karpenter-resources")


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    if place:
        yield place
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(inner, (*place, key))


def _changes(program: corpus.Program, inputs: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Places, and the inputs with an unknown value there."""
    for place in _places(inputs):
        path = ".".join(map(str, place))
        if tried(f"{program.name} {path}", 12):
            yield path, unknown_at(inputs, place)


def silenced(program: corpus.Program, changes: Changes) -> Iterator[tuple[str, str, str]]:
    """Types, places and rules that fall silent where the inputs of one resource are changed."""
    resources = list(program.resources)
    before = {(verdict.rule, verdict.message) for verdict in judge(resources, today=TODAY)}
    for index, resource in enumerate(resources):
        for path, inputs in changes(program, dict(resource.inputs)):
            said = judge([*resources[:index], replace(resource, inputs=inputs), *resources[index + 1 :]], today=TODAY)
            if {(verdict.rule, verdict.message) for verdict in said} <= before:
                rules = {verdict.rule for verdict in said}
                yield from ((resource.type, path, min(choice)) for choice in program.rules if not choice & rules)


def test_an_unknown_value_silences_no_violation() -> None:
    wrong = [
        f"{program.name}: {type_} {path}: {rule}"
        for program in corpus.bypasses()
        for type_, path, rule in silenced(program, _changes)
        if not listed(path, type_, rule)
    ]
    assert not wrong, "\n".join(["", *wrong])


def listed(path: str, type_: str, rule: str) -> bool:
    return path.rpartition(".")[2] in (*NAMES, *OWN) or any(
        rule.startswith(of) and type_.startswith(kind) for of, kind in SILENT
    )
