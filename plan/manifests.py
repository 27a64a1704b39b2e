"""Writes the objects inside the cluster as YAML, numbered in the order in which they must be applied."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from plan.cloud import automatic_name
from plan.errors import InputError
from plan.export_dir import write_directory
from plan.monitor import Resource
from plan.record import Recording
from plan.wire import shown

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
HELM = "kubernetes:helm.sh/"


class _ReadableDumper(_Dumper):  # type: ignore[misc]
    """Texts of several lines stay several lines; nothing is written as a reference to something above."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        del data
        return True


def _text(dumper: Any, text: str) -> Any:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_ReadableDumper.add_representer(str, _text)


def write_manifests(recording: Recording, target: Path) -> None:
    """Write every object of the cluster to `target`, and a values file for each Helm release.

    Raises InputError if `target` holds other files, or if a resource is rendered by its provider only.
    """
    write_directory(target, dict(manifest_files(recording)))


def manifest_files(recording: Recording) -> Iterator[tuple[str, str]]:
    """File names and contents, in the order of application: what an object depends on has a lower number.

    Raises InputError where only a provider knows which objects there are.
    """
    objects = [resource for resource in recording.resources if resource.type.startswith("kubernetes:")]
    width = max(3, len(str(len(objects))))
    for number, resource in enumerate(objects, 1):
        if not resource.custom:
            raise InputError(f"{resource.type} {resource.name}: only its provider knows the objects it consists of")
        prefix = f"{number:0{width}}"
        if resource.type.startswith(HELM):
            name = f"{prefix}-helm-{_file_name(_release_name(resource))}.values.yaml"
            yield name, _values(resource, name)
        else:
            body = kubernetes_object(resource)
            yield f"{prefix}-{_file_name(body['kind'])}-{_file_name(body['metadata']['name'])}.yaml", dump(body)


def kubernetes_object(resource: Resource) -> dict[str, Any]:
    """The object as Kubernetes would get it: named, secrets hidden, in the order in which people write it."""
    inputs = shown(resource.inputs)
    metadata = {"name": automatic_name(resource.type, resource.name), **(inputs.get("metadata") or {})}
    first = {"apiVersion": inputs.get("apiVersion"), "kind": inputs.get("kind"), "metadata": metadata}
    return {**first, **{key: value for key, value in inputs.items() if key not in first}}


def dump(value: Any) -> str:
    """Data as YAML."""
    text: str = yaml.dump(value, Dumper=_ReadableDumper, sort_keys=False, width=120, allow_unicode=True)
    return text


def _release_name(resource: Resource) -> str:
    return str(resource.inputs.get("name") or automatic_name(resource.type, resource.name))


def _values(resource: Resource, file_name: str) -> str:
    inputs = resource.inputs
    command = ["helm", "upgrade", "--install", _release_name(resource), str(inputs.get("chart", ""))]
    repository: Mapping[str, Any] = inputs.get("repositoryOpts") or {}
    for option, value in (
        ("--repo", repository.get("repo")),
        ("--version", inputs.get("version")),
        ("--namespace", inputs.get("namespace")),
    ):
        command += [option, str(value)] if value else []
    command += ["--create-namespace"] if inputs.get("createNamespace") else []
    command += ["--skip-crds"] if inputs.get("skipCrds") else []
    command += ["--values", file_name]
    return f"# {shlex.join(command)}\n{dump(shown(inputs.get('values') or {}))}"


def _file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
