"""Resources of Terraform as Pulumi's: its AWS provider is made from Terraform's.

`terraform.json` beside this module says what is called and shaped otherwise (`tools/terraform_shapes.py` writes it from
the SDKs). The same names and shapes have the providers that Pulumi bridges as they stand, and Crossplane's objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from policy.inventory.terraform_names import FREE_FORM, camel_case, plurals

_TABLE: Final = Path(__file__).with_name("terraform.json")
#: Pulumi's names of clouds that Terraform calls otherwise.
_CLOUDS: Final = {"azurerm": "azure", "google": "gcp", "awscc": "aws-native"}


@cache
def table() -> Mapping[str, Any]:
    """Type of Terraform to Pulumi's type and the shape of its inputs; names to shapes that several have."""
    found: dict[str, Any] = json.loads(_TABLE.read_text(encoding="utf-8"))
    # Kubernetes' kinds of version 1 have an older name as well, and the same arguments under it.
    older = {name.removesuffix("_v1"): found[name] for name in found if name.startswith("kubernetes_")}
    del older["kubernetes_ingress"]  # of another version
    return {**older, **found, "aws_alb": found["aws_lb"], "kubernetes_daemonset": found["kubernetes_daemon_set_v1"]}


def token_of(type_: str) -> tuple[str, Any]:
    """Pulumi's type, and the shape of its inputs; False where it is not known."""
    if type_ in table():
        token, shape = table()[type_]
        return token, shape
    provider, _, rest = type_.partition("_")
    name = camel_case(rest)
    pascal = name[:1].upper() + name[1:]
    module, _, inside = rest.partition("_")
    match provider:
        case "aws":
            short = camel_case(inside) or module
            return f"aws:{module}/{short}:{short[:1].upper()}{short[1:]}", False
        case "awscc":
            short = camel_case(inside)
            return f"aws-native:{module}:{short[:1].upper()}{short[1:]}", False
        case _:
            return f"{_CLOUDS.get(provider, provider)}:index:{pascal}", False


def inputs_of(values: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    """Arguments of a resource as inputs. `tags_all` has the provider's own tags too."""
    found = _converted(values, shape)
    every = found.pop("tagsAll", None)
    if isinstance(every, Mapping) and every:
        found["tags"] = every
    return found


def _converted(value: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    """An object's arguments by Pulumi's names; what is null or an empty list is not written."""
    found = {}
    for key, element in value.items():
        if element is None or element == []:
            continue
        name, inner = named(str(key), shape)
        found[name] = _value(name, element, inner)
    return found


def named(key: str, shape: Any) -> tuple[str, Any]:
    """Pulumi's name of an argument, and the shape of its value; False where that is not known, or a scalar."""
    name = camel_case(key)
    if not isinstance(shape, Mapping):
        return name, False
    known = next((candidate for candidate in (name, *plurals(name)) if candidate in shape), None)
    if known is None:  # `hostIPC` of `host_ipc`
        known = next((candidate for candidate in shape if candidate.lower() == name.lower()), name)
    inner = shape.get(known, False)
    return known, table()[inner] if isinstance(inner, str) else inner


def _value(name: str, value: Any, shape: Any) -> Any:
    """One argument. shape: see `tools/terraform_shapes.py`; False where nothing is known."""
    if shape is None or (shape is False and name in FREE_FORM):
        return {key: held for key, held in value.items() if held is not None} if isinstance(value, dict) else value
    if isinstance(shape, Mapping) and isinstance(value, list) and len(value) == 1:
        value = value[0]
    inner = shape[0] if isinstance(shape, list) and shape else shape if isinstance(shape, Mapping) else False
    if isinstance(value, Mapping):
        converted = _converted(value, inner)
        return [converted] if isinstance(shape, list) and shape else converted
    if isinstance(value, list):
        return [_converted(element, inner) if isinstance(element, Mapping) else element for element in value]
    return value
