"""Knative's own sources, as far as tests compare with them: definitions, config maps, what the operator installs."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

import versions
from tests.gotools import knative_dir, knative_operator_dir
from tests.plan.test_crds import strict

SERVICE = f"kubernetes:{versions.KNATIVE_SERVING_API}:Service"
SERVING = f"kubernetes:{versions.KNATIVE_OPERATOR_API}:KnativeServing"
NAMESPACE = "knative-serving"

_FLAG = re.compile(r"behind a feature flag - ([\w.-]+)")
_KEY = re.compile(r"^#? ?([a-z][\w.-]*):", re.MULTILINE)


@functools.cache
def service_schema() -> dict[str, Any]:
    """JSON schema of a Knative service, unknown fields forbidden wherever the API server would drop them."""
    definition = yaml.safe_load((knative_dir() / "config/core/300-resources/service.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    return dict(strict(version["schema"]["openAPIV3Schema"]))


@functools.cache
def serving_schema() -> dict[str, Any]:
    """The same of a KnativeServing."""
    path = knative_operator_dir() / "config/charts/knative-operator/templates/crds/knativeservings.yaml"
    definition = yaml.safe_load(re.sub(r"'\{\{.*?\}\}'", "x", path.read_text()))
    (schema,) = [v["schema"] for v in definition["spec"]["versions"] if v["name"] == "v1beta1"]
    return dict(strict(schema["openAPIV3Schema"]))


def problems(schema: Mapping[str, Any], resource: Mapping[str, Any]) -> list[str]:
    """What is wrong with an object."""
    validator = jsonschema.Draft202012Validator(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(resource)]


def service_problems(service: Mapping[str, Any]) -> list[str]:
    """What is wrong with a Knative service, its init containers included: the definition leaves these open, Knative's
    webhook holds them to the fields of containers (pkg/apis/serving/fieldmask.go)."""
    found = problems(service_schema(), service)
    container = at(service_schema(), "spec", "template", "spec", "containers")["items"]
    for init in service["spec"]["template"]["spec"].get("initContainers", ()):
        found += problems(container, init)
        found += [f"init container has {key}" for key in init if key.endswith("Probe")]
    return found


def at(schema: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """The schema of a property."""
    for name in path:
        schema = schema["properties"][name]
    return dict(schema)


def flags_of(service: Mapping[str, Any]) -> set[str]:
    """Feature flags that the fields of a service need: those that the definition names, and one that only the
    webhook knows (pkg/apis/serving/k8s_validation.go, validatePersistentVolumeClaims)."""
    found = set(_flags(service_schema(), service))
    for volume in service["spec"]["template"]["spec"].get("volumes", ()):
        if not volume.get("persistentVolumeClaim", {}).get("readOnly", "persistentVolumeClaim" not in volume):
            found.add("kubernetes.podspec-persistent-volume-write")
    return found


def _flags(schema: Mapping[str, Any], value: Any) -> Iterator[str]:
    found = _FLAG.search(str(schema.get("description", "")))
    if found:
        yield found[1]
    if isinstance(value, Mapping):
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key)
            if isinstance(inner, Mapping):
                yield from _flags(inner, item)
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for item in value:
            yield from _flags(schema["items"], item)


@functools.cache
def config_maps() -> Mapping[str, Mapping[str, str | None]]:
    """Keys of Knative's config maps with their defaults, None where it is commented out; names without `config-`."""
    found: dict[str, dict[str, str | None]] = {}
    for path in sorted((knative_dir() / "config/core/configmaps").glob("*.yaml")):
        _read(path.read_text(), found)
    # Networking's and Kourier's are other modules; the operator carries what it installs of them.
    for path in manifests():
        _read(path.read_text(), found)
    return found


def _read(text: str, found: dict[str, dict[str, str | None]]) -> None:
    for document in yaml.safe_load_all(text):
        if document and document["kind"] == "ConfigMap" and "_example" in document.get("data", {}):
            example = document["data"]["_example"]
            keys = found.setdefault(document["metadata"]["name"].removeprefix("config-"), {})
            defaults = yaml.safe_load(example) or {}
            for key in _KEY.findall(example):
                keys.setdefault(key, str(defaults[key]) if key in defaults else None)


def manifests() -> list[Path]:
    """What the operator installs of the pinned version with Kourier."""
    root = knative_operator_dir() / "cmd/operator/kodata"
    version = versions.KNATIVE_SERVING_VERSION
    minor = version.rpartition(".")[0]
    files = [
        *sorted((root / "knative-serving" / version).glob("*.yaml")),
        root / "ingress" / minor / "kourier/kourier.yaml",
    ]
    assert len(files) == 5, files
    return files


@functools.cache
def installed() -> list[dict[str, Any]]:
    """Every object of these manifests."""
    return [each for path in manifests() for each in yaml.safe_load_all(path.read_text()) if each]


def installed_of(*kinds: str) -> dict[str, dict[str, Any]]:
    """Objects of some kinds by name; of jobs, whose names are made up, by the beginning of the name."""
    return {
        each["metadata"].get("name") or each["metadata"]["generateName"]: each
        for each in installed()
        if each["kind"] in kinds
    }
