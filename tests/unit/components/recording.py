"""Runs a piece of Pulumi program against the engine that the plan records with, and answers that tests choose.

`record` runs the program to its end and drains it, so absence can be asserted as well.

    recording = record(lambda: Network("net", NetworkArgs(...)))
    vpc = recording.one("aws:ec2/vpc:Vpc")
    assert vpc.inputs["enableDnsHostnames"] is True
    assert recording.outlives(vpc, recording.one("aws:eks/nodeGroup:NodeGroup"))
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pulumi
from pulumi.runtime import settings

from plan.cloud import Cloud
from plan.monitor import Log, Monitor, NoMocks, Resource

T = TypeVar("T")
Inputs = Mapping[str, Any]
Outputs = Mapping[str, Any] | Callable[[str, Inputs], Mapping[str, Any]]
"""What the cloud adds to the inputs of a type: a mapping, or a function of logical name and inputs."""

CLUSTER_OUTPUTS: Inputs = {
    "kubeconfigJson": '{"apiVersion": "v1", "kind": "Config"}',
    "clusterSecurityGroupId": "sg-cluster",
    "oidcProviderArn": "arn:aws:iam::123456789012:oidc-provider/mock",
}
COMPUTED: Mapping[str, Outputs] = {
    "eks:index:Cluster": CLUSTER_OUTPUTS,
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
    "aws:ecr/repository:Repository": {"repositoryUrl": "123456789012.dkr.ecr.us-east-1.amazonaws.com/mock"},
    "aws:eks/nodeGroup:NodeGroup": {"resources": [{"autoscalingGroups": [{"name": "eks-system"}]}]},
    "docker-build:index:Image": {"ref": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/mock@sha256:{'0' * 64}"},
}
INVOKES: Mapping[str, Inputs] = {
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": {"userName": "AWS", "password": "secret"},
    "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": "123456789012"},
    "aws:index/getPartition:getPartition": {"partition": "aws", "dnsSuffix": "amazonaws.com"},
    "aws:index/getRegion:getRegion": {"name": "us-east-1", "region": "us-east-1"},
}


#: One resource as the engine would have got it.
Registration = Resource


@dataclass
class Recording(Generic[T]):
    """Everything a program registered, in order, and what the program returned."""

    resources: list[Registration] = field(default_factory=list)
    invokes: list[tuple[str, Inputs]] = field(default_factory=list)
    _result: list[T] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    """Values of the outputs that were watched (see `record`), by name; an unknown is the text `<unknown>`."""

    @property
    def result(self) -> T:
        """What the program returned."""
        return self._result[0]

    def of_type(self, type_: str) -> list[Registration]:
        """All resources of a type token such as `aws:ec2/vpc:Vpc`, by name; empty if there are none.

        Independent resources register at the same time, so the order of `resources` differs from run to run.
        """
        return sorted((each for each in self.resources if each.type == type_), key=lambda each: each.name)

    def one(self, type_: str, name: str | None = None) -> Registration:
        """The only resource of a type, or the one with this logical name. Raises AssertionError if not exactly one."""
        found = [resource for resource in self.of_type(type_) if name is None or resource.name == name]
        assert len(found) == 1, f"{len(found)} of {type_} {name or ''}; names: {[r.name for r in self.of_type(type_)]}"
        return found[0]

    def named(self, name: str) -> Registration:
        """The only resource with this logical name. Raises AssertionError if not exactly one."""
        found = [resource for resource in self.resources if resource.name == name]
        assert len(found) == 1, f"{len(found)} named {name}; names: {sorted(r.name for r in self.resources)}"
        return found[0]

    def needs(self, resource: Registration) -> set[str]:
        """URNs that exist before `resource` is created and that are destroyed only after it.

        The engine orders by dependencies, provider and parent, each of them transitively.
        """
        by_urn = {registration.urn: registration for registration in self.resources}
        seen: set[str] = set()
        todo = [resource]
        while todo:
            current = todo.pop()
            for urn in {*current.dependencies, current.provider, current.parent} - seen:
                if urn in by_urn:
                    seen.add(urn)
                    todo.append(by_urn[urn])
        return seen

    def outlives(self, longer: Registration, shorter: Registration) -> bool:
        """Whether `longer` is created before `shorter` and destroyed after it."""
        return longer.urn in self.needs(shorter)


class _Answers(Cloud):
    """Values of a cloud of tests. In a preview it knows the inputs and nothing else: no id, no computed output."""

    def __init__(self, outputs: Mapping[str, Outputs], preview: bool) -> None:
        super().__init__(region="us-east-1")
        self.invokes: list[tuple[str, Inputs]] = []
        self._answers = {**COMPUTED, **outputs}
        self._preview = preview

    def create(self, urn: str, type_: str, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
        if self._preview:
            return "", {}
        extra = self._answers.get(type_, {})
        computed = extra(name, inputs) if callable(extra) else extra
        arn = {"arn": f"arn:aws:mock:us-east-1:123456789012:{name}", "name": name}
        return f"{name}-id", {**{key: text for key, text in arn.items() if key not in inputs}, **computed}

    def call(self, function: str, arguments: Inputs) -> dict[str, Any]:
        self.invokes.append((function, arguments))
        return dict(INVOKES.get(function, {}))


def record(
    program: Callable[[], T],
    *,
    outputs: Mapping[str, Outputs] | None = None,
    watch: Iterable[str] = (),
    preview: bool = False,
    stack: str = "test",
) -> Recording[T]:
    """Run `program` as a stack of the project `gpu-slices` and return what it registered.

    outputs: what the cloud computes, by type token. Without it a resource has its inputs, an id `<name>-id`, an `arn`
    and a `name`, and what `COMPUTED` says.
    watch: attributes of the program's result, outputs whose values are wanted in `Recording.outputs`.
    preview: run as `pulumi preview` of a stack that does not exist yet: every computed output is unknown.
    Errors of the program are raised here.
    """
    log, answers = Log(), _Answers(outputs or {}, preview)
    recording: Recording[T] = Recording(log.resources, answers.invokes)
    settings.set_root_resource(None)  # type: ignore[arg-type]  # set_mocks then makes a stack that this monitor knows
    pulumi.runtime.set_mocks(
        NoMocks(), project="gpu-slices", stack=stack, preview=preview, monitor=Monitor(answers, log)
    )

    @pulumi.runtime.test
    def run() -> Any:
        # The first failure is raised; what follows from it would only be printed on top.
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        recording._result.append(program())
        watched = {name: pulumi.Output.from_input(getattr(recording.result, name)) for name in watch}
        return pulumi.Output.from_input({name: _value_or_unknown(output) for name, output in watched.items()}).apply(
            recording.outputs.update
        )

    run()
    return recording


async def _value_or_unknown(output: pulumi.Output[Any]) -> Any:
    return await output.future() if await output.is_known() else "<unknown>"
