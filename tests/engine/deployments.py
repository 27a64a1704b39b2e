"""A stack's state in a file, as `pulumi stack export` writes it (sdk `apitype.UntypedDeployment`, version 3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY

from tests.engine.states import PROJECT, ROOT_URN, STACK, Planned, State, depends_on, recorded, urns

#: What a provider might have given, at the same length as EC2 does.
_ID: Final = "0a1b2c3d4e5f67890"


def ids(state: State) -> dict[str, str]:
    """Ids of a state that exists, by URN."""
    return {urn: f"{name}-{_ID}" for name, urn in urns(state).items()}


def as_deployment(state: State, *, cluster_answers: bool) -> str:
    """The exported state. cluster_answers: whether objects in a cluster have outputs, or none as in a first preview."""
    known, made = urns(state), ids(state)
    judged = {resource.urn: resource for resource in recorded(state, made)}
    packages = dict.fromkeys(_package(resource) for resource in state.resources if not resource.component)
    resources = [_entry(ROOT_URN, "pulumi:pulumi:Stack")]
    for package in packages:
        if package != "pulumi":
            urn = _provider(package)
            resources.append(_entry(urn, urn.split("::")[2], id=_ID, custom=True))
    for resource in state.resources:
        urn = known[resource.name]
        inputs = _stored(judged[urn].inputs)
        entry = _entry(
            urn,
            resource.type,
            inputs=inputs,
            parent=judged[urn].parent,
            dependencies=[known[name] for name in depends_on(state, resource)],
        )
        if not resource.component:
            empty = _package(resource) == "kubernetes" and not cluster_answers
            outputs = {} if empty else {**inputs, **_answer(resource)}
            entry |= {"custom": True, "id": made[urn], "outputs": outputs}
            if _package(resource) != "pulumi":
                entry["provider"] = f"{_provider(_package(resource))}::{_ID}"
        resources.append(entry)
    manifest = {"time": "2026-01-01T00:00:00Z", "magic": "", "version": "v3.276.0"}
    return json.dumps({"version": 3, "deployment": {"manifest": manifest, "resources": resources}})


def _entry(urn: str, type_: str, **more: Any) -> dict[str, Any]:
    return {"urn": urn, "type": type_, "custom": False, "inputs": {}, "outputs": {}, **more}


def _package(resource: Planned) -> str:
    return resource.type.partition(":")[0]


def _provider(package: str) -> str:
    return f"urn:pulumi:{STACK}::{PROJECT}::pulumi:providers:{package}::default"


def _answer(resource: Planned) -> dict[str, Any]:
    """What a provider adds to the inputs."""
    if _package(resource) != "kubernetes" or "metadata" not in resource.inputs:
        return {"arn": f"arn:aws:example:us-east-1:111122223333:{resource.name}"}
    metadata = resource.inputs["metadata"] | {"uid": _ID, "resourceVersion": "1", "managedFields": []}
    return {"metadata": metadata, "status": {"observedGeneration": 1}, "__initialApiVersion": "v1"}


def _stored(value: Any) -> Any:
    """Inputs as a state holds them: a secret's value as text of JSON, here not encrypted."""
    if isinstance(value, Mapping):
        if value.get(SPECIAL_SIG_KEY) == SPECIAL_SECRET_SIG:
            return {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "plaintext": json.dumps(value["value"])}
        return {key: _stored(item) for key, item in value.items()}
    return [_stored(item) for item in value] if isinstance(value, list) else value
