"""Renders Karpenter's own charts with the program's values, and reads what the controller would get from them."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

import yaml

from gpu.quantities import read_quantity
from twin.errors import TwinError
from twin.kube.client import Object

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: What charts ask the cluster for (`Capabilities.APIVersions`): without it Helm believes in a cluster of long ago.
_API_VERSIONS = ("policy/v1",)


def render(
    programs: Path, chart: str, release: str, namespace: str, values: Mapping[str, Any], kubernetes: str
) -> list[Object]:
    """The objects of a release, as `helm template` prints them. Raises TwinError with Helm's own message.

    kubernetes: version of the cluster, such as `1.36`.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        command = [str(programs / "helm"), "template", release, str(programs / "charts" / chart)]
        command += ["--namespace", namespace, "--values", file.name, "--kube-version", kubernetes]
        command += [f"--api-versions={version}" for version in _API_VERSIONS]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TwinError(f"chart {chart}: {done.stderr.strip()}")
    return [document for document in yaml.load_all(done.stdout, _Loader) if document]


def controller_environment(objects: list[Object]) -> dict[str, str]:
    """Environment of the controller's container. Raises TwinError where the chart has none."""
    for rendered in objects:
        if rendered["kind"] == "Deployment":
            container = rendered["spec"]["template"]["spec"]["containers"][0]
            return {
                entry["name"]: text
                for entry in container.get("env") or []
                if (text := _value(entry, container, rendered)) is not None
            }
    raise TwinError("Karpenter's chart rendered no Deployment")


def account(objects: list[Object]) -> str:
    """The service account that the controller runs as, as a user name."""
    for rendered in objects:
        if rendered["kind"] == "Deployment":
            name = rendered["spec"]["template"]["spec"].get("serviceAccountName", "default")
            return f"system:serviceaccount:{rendered['metadata'].get('namespace', 'default')}:{name}"
    raise TwinError("Karpenter's chart rendered no Deployment")


def _value(entry: Object, container: Object, deployment: Object) -> str | None:
    if "value" in entry:
        return str(entry["value"])
    source = entry.get("valueFrom") or {}
    if (source.get("fieldRef") or {}).get("fieldPath") == "metadata.namespace":
        return str(deployment["metadata"].get("namespace", "default"))
    reference = source.get("resourceFieldRef")
    if not reference:
        return None
    kind, _, resource = reference["resource"].partition(".")
    quantity = ((container.get("resources") or {}).get(kind) or {}).get(resource)
    if quantity is None:
        return None
    divisor = read_quantity(str(reference.get("divisor") or "0")) or 1
    return str(ceil(read_quantity(str(quantity)) / divisor))
