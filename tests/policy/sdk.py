"""The policy SDK's own analyzer, driven in the order and with the data of the engine.

Each resource with its inputs first, then the whole stack with outputs (pulumi 3.276, `deploy/step_generator.go`,
`analyzeAll` and `AnalyzeResources`; `deploy/analyze_snapshot.go` for `pulumi policy analyze`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from google.protobuf import struct_pb2
from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel
from pulumi_policy.policy import _PolicyAnalyzerServicer

from policy.analyzer import Recorded
from policy.engine import Inputs
from policy.framework import Rule, to_policy


class Said(NamedTuple):
    """A violation as the engine gets it. `urn` is empty where a stack policy names no resource."""

    rule: str
    urn: str
    level: str
    message: str


class Analyzer:
    """One policy pack in its process. `config` is what `--policy-pack-config` gives: options and levels by rule."""

    def __init__(self, rules: Sequence[Rule], config: Mapping[str, Any] | None = None) -> None:
        inputs = Inputs()
        policies = [to_policy(rule, inputs) for rule in rules]
        servicer: Any = _PolicyAnalyzerServicer("test", "0.0.1", policies, EnforcementLevel.ADVISORY)
        setups = {rule.name: _setup(rule, config or {}) for rule in rules}
        servicer.Configure(proto.ConfigureAnalyzerRequest(policyConfig=setups), None)
        self._servicer = servicer

    def register(self, *resources: Recorded) -> list[Said]:
        """What the pack says of resources when they are registered."""
        found = []
        for resource in resources:
            request = proto.AnalyzeRequest(
                type=resource.type,
                properties=_struct(resource.inputs),
                urn=resource.urn,
                name=resource.name,
                options=proto.AnalyzerResourceOptions(parent=resource.parent or ""),
            )
            found += _said(self._servicer.Analyze(request, None), resource.urn)
        return found

    def finish(self, resources: Iterable[Recorded]) -> list[Said]:
        """What the pack says of the whole stack, from the resources' outputs."""
        listed = list(resources)
        known = {resource.urn for resource in listed}
        request = proto.AnalyzeStackRequest(
            resources=[
                proto.AnalyzerResource(
                    type=resource.type,
                    properties=_struct(resource.outputs),
                    urn=resource.urn,
                    name=resource.name,
                    options=proto.AnalyzerResourceOptions(parent=resource.parent or ""),
                    parent=resource.parent or "",
                    dependencies=[urn for urn in resource.dependencies if urn in known],
                )
                for resource in listed
            ]
        )
        return _said(self._servicer.AnalyzeStack(request, None), "")


def _said(answer: Any, urn: str) -> list[Said]:
    return [
        Said(
            said.policyName,
            urn or said.urn,
            proto.EnforcementLevel.Name(said.enforcementLevel).lower(),
            said.message.partition("\n")[2],
        )
        for said in answer.diagnostics
    ]


def _setup(rule: Rule, config: Mapping[str, Any]) -> Any:
    """A rule's configuration as the engine makes it: a level from `all` or the rule's own, options with defaults."""
    given = config.get(rule.name, config.get("all", {}))
    given = {"enforcementLevel": given} if isinstance(given, str) else dict(given)
    level = given.pop("enforcementLevel", rule.level.value)
    return proto.PolicyConfig(
        enforcementLevel=getattr(proto, level.upper()), properties=_struct({**rule.settings({}), **given})
    )


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    found = struct_pb2.Struct()
    found.update(values)
    return found
