"""Stacks as other people's programs write them, as data: in each some rules fire, and a small change silences them.

What they are is in `states_aws`, `states_gpu` and `states_pods`; here is what one is made of, and how it looks offline,
which is what `policy.analyzer.judge` takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pulumi
from pulumi_policy.deserialize import SPECIAL_ASSET_SIG, SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY

from policy.analyzer import UNKNOWN, Recorded

STACK: Final = "dev"
PROJECT: Final = "states"
ROOT_URN: Final = f"urn:pulumi:{STACK}::{PROJECT}::pulumi:pulumi:Stack::{PROJECT}-{STACK}"

Inputs = Mapping[str, Any]
"""Inputs in wire form, with references to ids of other resources (`id_of`)."""

_ID_OF: Final = "$idOf"
_ITSELF: Final = "$resource"
#: Of the SDK (`pulumi.runtime.rpc`); the policy SDK knows none.
_RESOURCE_SIGNATURE: Final = "5cf8f73096256a8f31e491e813e4eb8e"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A resource. parent, dependencies: names of others of the state; a reference to an id is a dependency as well."""

    type: str
    name: str
    inputs: Inputs = field(default_factory=dict)
    parent: str | None = None
    dependencies: tuple[str, ...] = ()
    component: bool = False


@dataclass(frozen=True, kw_only=True)
class State:
    """A stack. fires: the rules that have something to say, exactly. mended: inputs of the silent twin, by path.

    A path begins with the resource's name; None takes an input away. more: what the twin has besides. config: as for
    `--policy-pack-config`.
    """

    name: str
    fires: frozenset[str]
    resources: tuple[Planned, ...]
    mended: Mapping[tuple[str | int, ...], Any] = field(default_factory=dict)
    more: tuple[Planned, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def twin(self) -> State:
        """The same stack, mended: no rule has anything to say."""
        resources = tuple(replace(found, inputs=self._mended(found)) for found in self.resources)
        return replace(self, name=f"{self.name}-mended", fires=frozenset(), resources=(*resources, *self.more))

    def _mended(self, resource: Planned) -> Inputs:
        inputs = resource.inputs
        for (name, *path), value in self.mended.items():
            if name == resource.name:
                inputs = changed(inputs, path, value)
        return inputs


def changed(holder: Any, path: Sequence[str | int], value: Any) -> Any:
    """Plain data with another value at a path; None takes it away."""
    if not path:
        return value
    key, *rest = path
    if isinstance(holder, list):
        return [changed(item, rest, value) if index == key else item for index, item in enumerate(holder)]
    found = {**holder, key: changed(holder.get(key, {}), rest, value)}
    return {name: item for name, item in found.items() if item is not None}


def _referred(value: Mapping[str, Any]) -> str | None:
    """Name of the resource that a reference means; None for other values."""
    found: str | None = value.get(_ID_OF) or value.get(_ITSELF)
    return found


def id_of(name: str) -> Inputs:
    """The id of another resource of the state: unknown before it is made."""
    return {_ID_OF: name}


def itself(name: str) -> Inputs:
    """Another resource of the state, given as an input: the engine shows its id, of a component its URN."""
    return {_ITSELF: name}


def secret(value: Any) -> Inputs:
    """A secret input, in wire form."""
    return {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "value": value}


def text_asset(text: str) -> Inputs:
    """A file given as text, in wire form."""
    return {SPECIAL_SIG_KEY: SPECIAL_ASSET_SIG, "text": text}


def merged(states: Iterable[State], name: str) -> State:
    """All states as one stack; resources are called after their state."""
    listed = list(states)
    return State(
        name=name,
        fires=frozenset().union(*(state.fires for state in listed)),
        resources=tuple(_within(state.name, resource) for state in listed for resource in state.resources),
        config={rule: options for state in listed for rule, options in state.config.items()},
    )


def _within(state: str, resource: Planned) -> Planned:
    def rename(value: Any) -> Any:
        if isinstance(value, Mapping):
            if _referred(value):
                return {kind: f"{state}-{name}" for kind, name in value.items()}
            return {key: rename(item) for key, item in value.items()}
        return [rename(item) for item in value] if isinstance(value, list) else value

    return replace(
        resource,
        name=f"{state}-{resource.name}",
        inputs=rename(resource.inputs),
        parent=f"{state}-{resource.parent}" if resource.parent else None,
        dependencies=tuple(f"{state}-{name}" for name in resource.dependencies),
    )


def urns(state: State) -> dict[str, str]:
    """URN of each resource by name. A parent's types stand before its children's."""
    types: dict[str, str] = {}
    for resource in state.resources:
        types[resource.name] = f"{types[resource.parent]}${resource.type}" if resource.parent else resource.type
    return {name: f"urn:pulumi:{STACK}::{PROJECT}::{qualified}::{name}" for name, qualified in types.items()}


def recorded(state: State, ids: Mapping[str, str] | None = None) -> list[Recorded]:
    """The stack as it looks offline. ids: of resources by URN, once they are made; unknown before."""
    known = urns(state)
    components = {resource.name for resource in state.resources if resource.component}

    def resolved(value: Any) -> Any:
        if isinstance(value, Mapping):
            if (name := _referred(value)) is None:
                return {key: resolved(item) for key, item in value.items()}
            if name in components:
                return {SPECIAL_SIG_KEY: _RESOURCE_SIGNATURE, "urn": known[name]}
            return UNKNOWN if ids is None else ids[known[name]]
        return [resolved(item) for item in value] if isinstance(value, list) else value

    return [
        Recorded(
            type=resource.type,
            name=resource.name,
            urn=known[resource.name],
            inputs=resolved(resource.inputs),
            parent=known[resource.parent] if resource.parent else ROOT_URN,
            dependencies=tuple(known[name] for name in depends_on(state, resource)),
        )
        for resource in state.resources
    ]


def depends_on(state: State, resource: Planned) -> list[str]:
    """Names of the resources that it depends on, by order or by reference; of a component, those inside it."""
    named = dict.fromkeys((*resource.dependencies, *_references(resource.inputs)))
    return list(dict.fromkeys(found for name in named for found in _expanded(state, name)))


def _expanded(state: State, name: str) -> Iterator[str]:
    """As Pulumi's SDKs do it: a component stands for what is inside, down to resources of a provider."""
    if not next(resource.component for resource in state.resources if resource.name == name):
        yield name
        return
    for resource in state.resources:
        if resource.parent == name:
            yield from _expanded(state, resource.name)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if (name := _referred(value)) is not None:
            yield name
        else:
            for item in value.values():
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def as_outputs(value: Any, made: Mapping[str, pulumi.Resource]) -> Any:
    """Inputs as a program gives them to Pulumi's SDK. made: resources so far, by name."""
    if isinstance(value, Mapping):
        if _ITSELF in value:
            return made[value[_ITSELF]]
        if _ID_OF in value:
            target = made[value[_ID_OF]]
            assert isinstance(target, pulumi.CustomResource), "a component has no id"
            return target.id
        if value.get(SPECIAL_SIG_KEY) == SPECIAL_SECRET_SIG:
            return pulumi.Output.secret(as_outputs(value["value"], made))
        if value.get(SPECIAL_SIG_KEY) == SPECIAL_ASSET_SIG:
            return pulumi.StringAsset(value["text"])
        return {key: as_outputs(item, made) for key, item in value.items()}
    return [as_outputs(item, made) for item in value] if isinstance(value, list) else value


def as_program(state: State) -> str:
    """What `program/__main__.py` reads."""
    return json.dumps(
        [
            {
                "type": resource.type,
                "name": resource.name,
                "inputs": resource.inputs,
                "parent": resource.parent,
                "dependencies": list(resource.dependencies),
                "component": resource.component,
            }
            for resource in state.resources
        ]
    )
