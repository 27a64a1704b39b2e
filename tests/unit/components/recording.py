"""Runs a piece of Pulumi program against mocks that record everything the engine would have been told.

Pulumi's `Mocks` see type, name and inputs only. What decides the order of creation and destruction (parent,
dependencies, provider, timeouts, ...) is in the request that the monitor gets, so it is recorded there.
`record` runs the program to its end and drains it, so absence can be asserted as well.

    recording = record(lambda: Network("net", NetworkArgs(...)))
    vpc = recording.one("aws:ec2/vpc:Vpc")
    assert vpc.inputs["enableDnsHostnames"] is True
    assert recording.outlives(vpc, recording.one("aws:eks/nodeGroup:NodeGroup"))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pulumi
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime import rpc

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


@dataclass(frozen=True)
class Registration:
    """One resource as the engine would have got it. Property names are in wire form (camelCase, numbers are floats)."""

    urn: str
    type: str
    name: str
    inputs: Inputs = field(hash=False)
    parent: str
    custom: bool
    remote: bool
    dependencies: frozenset[str]
    """URNs named by depends_on, and those of every resource whose outputs are used as inputs."""
    provider: str
    """URN of an explicit provider, or the empty string."""
    providers: frozenset[str]
    """URNs of the providers that a remote component hands to its children."""
    delete_timeout: str
    create_timeout: str
    protect: bool
    deleted_with: str
    retain_on_delete: bool
    ignore_changes: tuple[str, ...]
    replace_on_changes: tuple[str, ...]
    aliases: int


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


class _Mocks(pulumi_mocks.Mocks):
    def __init__(self, recording: Recording[Any], outputs: Mapping[str, Outputs], preview: bool) -> None:
        self._recording = recording
        self._outputs = {**COMPUTED, **outputs}
        self._preview = preview

    def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if self._preview:
            # A real preview knows the inputs and nothing else: no id, no computed output.
            return "", dict(args.inputs)
        extra = self._outputs.get(args.typ, {})
        computed = extra(args.name, args.inputs) if callable(extra) else extra
        arn = {"arn": f"arn:aws:mock:us-east-1:123456789012:{args.name}", "name": args.name}
        return f"{args.name}-id", {**arn, **args.inputs, **computed}

    def call(self, args: pulumi_mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        self._recording.invokes.append((args.token, args.args))
        return dict(INVOKES.get(args.token, {})), []


class _Monitor(pulumi_mocks.MockMonitor):
    def __init__(self, mocks: _Mocks, recording: Recording[Any]) -> None:
        super().__init__(mocks)
        self._recording = recording

    def RegisterResource(self, request: Any) -> Any:
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            self._recording.resources.append(_registration(request, response.urn))
        return response


def _registration(request: Any, urn: str) -> Registration:
    by_property = (urn for dependencies in request.propertyDependencies.values() for urn in dependencies.urns)
    return Registration(
        urn=urn,
        type=request.type,
        name=request.name,
        inputs=rpc.deserialize_properties(request.object),
        parent=request.parent,
        custom=request.custom,
        remote=request.remote,
        dependencies=frozenset({*request.dependencies, *by_property}),
        provider=request.provider.rpartition("::")[0],
        providers=frozenset(reference.rpartition("::")[0] for reference in request.providers.values()),
        delete_timeout=request.customTimeouts.delete,
        create_timeout=request.customTimeouts.create,
        protect=request.protect,
        deleted_with=request.deletedWith,
        retain_on_delete=request.retainOnDelete,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        aliases=len(request.aliases),
    )


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
    recording: Recording[T] = Recording()
    mocks = _Mocks(recording, outputs or {}, preview)
    pulumi.runtime.set_mocks(
        mocks, project="gpu-slices", stack=stack, preview=preview, monitor=_Monitor(mocks, recording)
    )

    @pulumi.runtime.test
    def run() -> Any:
        recording._result.append(program())
        watched = {name: pulumi.Output.from_input(getattr(recording.result, name)) for name in watch}
        return pulumi.Output.from_input({name: _value_or_unknown(output) for name, output in watched.items()}).apply(
            recording.outputs.update
        )

    run()
    # Mocks accept the same name twice, the engine does not.
    urns = Counter(resource.urn for resource in recording.resources)
    duplicates = [urn for urn, count in urns.items() if count > 1]
    assert not duplicates, f"registered twice: {duplicates}"
    return recording


async def _value_or_unknown(output: pulumi.Output[Any]) -> Any:
    return await output.future() if await output.is_known() else "<unknown>"
