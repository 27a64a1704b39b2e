"""Writes policy/inventory/terraform.json: what Terraform's resources are in Pulumi, for the types that rules know.

    python -m tools.terraform_shapes

Pulumi's SDKs say which inputs are lists, objects or maps. A value of Terraform's plan does not: a block that may
stand once is a list there, and a block that may repeat has a singular name. `tests/plan/test_terraform_schema.py` holds
the table against Terraform's own schema.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pulumi_aws
from pulumi import _types as pulumi_types
from pulumi_kubernetes.core.v1 import PodSpecArgs

from policy.framework import matches
from policy.inventory.terraform_names import camel_case, snake_case, terraform_type
from policy.ondemand.aws import HANDLERS
from policy.pack import RULES

TARGET = Path(__file__).resolve().parents[1] / "policy" / "inventory" / "terraform.json"
#: Kinds of Kubernetes that Terraform has resources of, by the module of the SDK.
KUBERNETES: Mapping[str, tuple[str, ...]] = {
    "apps.v1": ("DaemonSet", "Deployment", "StatefulSet"),
    "batch.v1": ("CronJob", "Job"),
    "core.v1": ("ConfigMap", "Namespace", "Pod", "ReplicationController", "Service"),
    "networking.v1": ("Ingress",),
    "scheduling.v1": ("PriorityClass",),
}
POD = "PodSpec"
"""The specification of a pod has an entry of its own, to which the others refer by its name."""

#: Types of older providers, which Terraform calls as it calls the current one.
OLDER = frozenset({"aws:s3/bucketV2:BucketV2"})


def document() -> str:
    """The table, a type a line."""
    shapes: dict[str, Any] = {terraform_type(token): [token, shape] for token, shape in _shapes()}
    shapes |= {f"kubernetes_{name}_v1": [token, shape] for name, token, shape in _objects()}
    shapes[POD] = _shape(PodSpecArgs)
    lines = (f'  "{type_}": {json.dumps(entry, separators=(",", ":"))}' for type_, entry in sorted(shapes.items()))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _objects() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Kinds of Kubernetes as Terraform calls them, with Pulumi's token."""
    for module, kinds in KUBERNETES.items():
        group = module.removesuffix(".v1")
        version = f"{group}.k8s.io/v1" if group in {"networking", "scheduling"} else f"{group}/v1"
        for kind in kinds:
            arguments = getattr(importlib.import_module(f"pulumi_kubernetes.{module}"), f"{kind}InitArgs")
            yield snake_case(kind), f"kubernetes:{version}:{kind}", _shape(arguments)


def _shapes() -> Iterator[tuple[str, dict[str, Any]]]:
    known = tuple({pattern for rule in RULES for pattern in rule.types if pattern != "*"} | set(HANDLERS))
    for token in _registered():
        if matches(known, token) and token not in OLDER:
            arguments = arguments_of(token)
            yield token, _shape(arguments) if arguments else {}


@cache
def _registered() -> Mapping[str, tuple[str, str]]:
    """Every type of the SDK, with its module and class."""
    text = Path(pulumi_aws.__file__).read_text(encoding="utf-8")
    modules = re.findall(r'"fqn": "([\w.]+)",\s*"classes": \{\s*"(aws:[^"]+)": "(\w+)"', text)
    return {token: (module, class_name) for module, token, class_name in modules}


def arguments_of(token: str) -> type | None:
    """The class of a type's arguments; None for a type without any."""
    module, class_name = _registered()[token]
    inside = importlib.import_module(module)
    # Where an object inside another resource has the name, the resource's arguments are `InitArgs`.
    found: type | None = getattr(inside, f"{class_name}InitArgs", None) or getattr(inside, f"{class_name}Args", None)
    return found


def _shape(arguments: type) -> dict[str, Any]:
    """Inputs that are not scalars: an object for an object, a list for a list (with what its objects are), null for a
    map, whose keys are the user's own. A scalar is there, as false, if its name cannot be told from Terraform's."""
    types = pulumi_types.input_type_types(arguments)
    found = {name: _compound(type_) for name, type_ in types.items()}
    odd = {name for name in found if camel_case(snake_case(name)) != name}
    return {name: shape for name, shape in sorted(found.items()) if shape is not False or name in odd}


def _compound(type_: Any) -> Any:
    """The shape of a value; False for a scalar."""
    if type_ is PodSpecArgs:
        return POD
    if pulumi_types.is_input_type(type_) if isinstance(type_, type) else False:
        return _shape(type_)
    origin, inside = typing.get_origin(type_), typing.get_args(type_)
    if origin is typing.Union:
        if str in inside:  # or a text: a policy may be written as an object or as JSON, and Terraform's is JSON
            return False
        return next((shape for part in inside if (shape := _compound(part)) is not False), False)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return None
    if isinstance(origin, type) and issubclass(origin, typing.Sequence):
        element = _compound(inside[0])
        return [element] if element is not False else []
    return False


def main() -> int:
    """Write the table."""
    TARGET.write_text(document(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
