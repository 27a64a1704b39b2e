"""Pulumi's engine as the program sees it while it is recorded: it answers at once and writes everything down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import empty_pb2
from pulumi.runtime import mocks
from pulumi.runtime.proto import provider_pb2, resource_pb2

from plan.cloud import Cloud
from plan.wire import merged, plain, struct_of

STACK_TYPE = "pulumi:pulumi:Stack"


class EngineError(Exception):
    """What Pulumi's engine would refuse."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource as the engine would get it. Inputs are as `plan.wire.plain` gives them: camelCase keys."""

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    id: str
    """Placeholder, or what the provider would surely use. Empty for components."""
    parent: str
    """URN, the stack's for top-level resources."""
    custom: bool
    remote: bool
    provider: str
    """URN of the explicit provider, or empty."""
    providers: Mapping[str, str]
    dependencies: tuple[str, ...]
    """URNs from depends_on and from outputs used as inputs, sorted."""
    property_dependencies: Mapping[str, tuple[str, ...]]
    protect: bool
    deleted_with: str
    retain_on_delete: bool
    ignore_changes: tuple[str, ...]
    aliases: int
    custom_timeouts: Mapping[str, str]
    """`create`, `update`, `delete` as durations, as far as given."""


@dataclass
class Log:
    """What happened during one run."""

    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    messages: list[tuple[str, str]] = field(default_factory=list)


class Inline(ThreadPoolExecutor):
    """Runs at once, in the caller's thread: the SDK asks its monitor through an executor, and ours answers in
    microseconds. It also makes the order of registrations the same every time."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call `fn` now."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # the future carries it, as a thread's would
            future.set_exception(error)
        return future


class NoMocks(mocks.Mocks):
    """`set_mocks` wants one; our monitor answers itself."""

    def call(self, args: mocks.MockCallArgs) -> Any:
        """Never called."""
        raise NotImplementedError

    def new_resource(self, args: mocks.MockResourceArgs) -> Any:
        """Never called."""
        raise NotImplementedError


class Monitor(mocks.MockMonitor):
    """The engine's side of the conversation. Method names are those of Pulumi's gRPC service."""

    def __init__(self, cloud: Cloud, log: Log) -> None:
        super().__init__(NoMocks())
        self._cloud = cloud
        self._log = log
        self._stack_urn = ""
        self._urns: set[str] = set()

    def Invoke(self, request: Any) -> Any:
        """Answer a provider's function."""
        response = resource_pb2.ResourceInvokeResponse()
        getattr(response, "return").CopyFrom(struct_of(self._cloud.call(request.tok, plain(request.args))))
        return response

    def Call(self, request: Any) -> Any:
        """Answer a method of a resource: nothing is known about any."""
        self._cloud.unanswered.add(request.tok)
        return provider_pb2.CallResponse()

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        """Answer a lookup of an existing resource: it has the id that was asked for, the rest is unknown."""
        urn = self._urn(request)
        return resource_pb2.ReadResourceResponse(urn=urn, properties=request.properties)

    def RegisterResource(self, request: Any) -> Any:
        """Record a resource and answer with what it would have. Raises EngineError for a URN that is there already."""
        urn = self._urn(request)
        if urn in self._urns and request.type != STACK_TYPE:
            # The mocks that Pulumi brings would accept it, the engine does not.
            raise EngineError(f"Duplicate resource URN '{urn}'; try giving it a unique name")
        self._urns.add(urn)
        if request.type == STACK_TYPE:
            self._stack_urn = urn
            return resource_pb2.RegisterResourceResponse(urn=urn)
        inputs = plain(request.object)
        identity, state = "", dict[str, Any]()
        if request.custom or request.remote:
            identity, state = self._cloud.create(urn, request.type, request.name, inputs)
        self._log.resources.append(_resource(request, urn, identity, inputs))
        return resource_pb2.RegisterResourceResponse(
            urn=urn, id=identity if request.custom else "", object=merged(request.object, state)
        )

    def RegisterResourceOutputs(self, request: Any) -> Any:
        """Keep the stack's outputs."""
        if request.urn == self._stack_urn:
            self._log.outputs = plain(request.outputs)
        return empty_pb2.Empty()

    def _urn(self, request: Any) -> str:
        urn: str = self.make_urn(request.parent, request.type, request.name)
        return urn

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """As the engine does (pulumi 3.276, `sdk/go/common/resource/urn`): the types of all its parents stand before a
        resource's own, except the stack's. The mocks that Pulumi brings keep the nearest parent's alone."""
        urn = super().make_urn("", type_, name)
        if not parent or parent == self._stack_urn:
            return urn
        stack, project, _, rest = urn.split("::", 3)
        return "::".join((stack, project, f"{parent.split('::')[2]}${type_}", rest))


def _resource(request: Any, urn: str, identity: str, inputs: dict[str, Any]) -> Resource:
    by_property = {key: tuple(sorted(value.urns)) for key, value in request.propertyDependencies.items()}
    timeouts = request.customTimeouts
    return Resource(
        urn=urn,
        type=request.type,
        name=request.name,
        inputs=inputs,
        id=identity,
        parent=request.parent,
        custom=request.custom,
        remote=request.remote,
        provider=_urn_of(request.provider),
        providers={name: _urn_of(reference) for name, reference in request.providers.items()},
        dependencies=tuple(sorted({*request.dependencies, *(urn for urns in by_property.values() for urn in urns)})),
        property_dependencies=by_property,
        protect=request.protect,
        deleted_with=request.deletedWith,
        retain_on_delete=request.retainOnDelete,
        ignore_changes=tuple(request.ignoreChanges),
        aliases=len(request.aliases),
        custom_timeouts={k: v for k in ("create", "update", "delete") if (v := getattr(timeouts, k))},
    )


def _urn_of(provider_reference: str) -> str:
    """A provider reference is `<urn>::<id>`."""
    return provider_reference.rpartition("::")[0]
