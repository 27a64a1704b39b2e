"""CloudFormation templates and Cloud Control: resources as AWS' API names them.

Intrinsic functions are worked out as far as the template and its parameters tell; what they leave open is unknown
(AWS CloudFormation User Guide, Intrinsic function reference).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from gpu.sharing.yaml_text import untagged
from policy.inventory.aws import native_token
from policy.inventory.charts import RELEASE
from policy.inventory.item import Blind, Item, without_nothing
from policy.inventory.kubernetes import objects
from policy.inventory.texts import Loader, first, parsed
from policy.placeholders import filled, without_placeholders
from policy.reading import Unknown, each, get, present, text

Found = Iterator[Item | Blind]


class _Template(Loader):
    """YAML with the short forms of CloudFormation's functions, `!Ref X` for `{Ref: X}`."""


def _short(loader: Any, suffix: str, node: yaml.Node) -> Any:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    value = untagged(loader, node)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name: value}


_Template.add_multi_constructor("!", _short)

#: Keys of templates, parameters and sets of stacks, in the styles of AWS Classic, AWS Native and the API.
_BODIES: Final = ("templateBody", "TemplateBody")
_URLS: Final = ("templateUrl", "templateURL", "TemplateURL")


def stack(item: Item) -> Found:
    """A stack, or a set of stacks, with its template inline."""
    body = next((item.props[key] for key in _BODIES if item.props.get(key) is not None), None)
    url = next((key for key in _URLS if present(item.props, key)), None)
    if isinstance(body, Unknown):
        yield Blind(item.at("templateBody"), "is unknown in preview")
    elif body is None and url:
        yield Blind(item.at(url), "lies elsewhere")
        yield item.alone()  # its parameters may name what is bought
    template = first(body, _Template) if isinstance(body, str) else body
    if isinstance(template, Mapping) and isinstance(template.get("Resources"), Mapping):
        yield from _resources(template, _given(item.props.get("parameters")), item)
    elif isinstance(template, Mapping | list) or isinstance(body, str):
        yield item.alone()


def _given(parameters: Any) -> Mapping[str, Any] | Unknown:
    """Values of a template's parameters: a map, or a list of keys and values."""
    if isinstance(parameters, Mapping | Unknown):
        return parameters
    pairs = [one for one in each(parameters) if isinstance(one, Mapping)]
    return {
        text(one.get("parameterKey") or one.get("ParameterKey")): one.get("parameterValue", one.get("ParameterValue"))
        for one in pairs
    }


@dataclass
class _Scope:
    """What the functions of a template can know, and which resources were named."""

    parameters: Mapping[str, Any]
    mappings: Any
    resources: frozenset[str]
    named: set[str] = field(default_factory=set)


_NOTHING: Final = object()


def _resources(template: Mapping[str, Any], given: Mapping[str, Any] | Unknown, item: Item) -> Found:
    parameters = {}
    declared = template.get("Parameters")
    for name, parameter in declared.items() if isinstance(declared, Mapping) else ():
        value = Unknown(f"parameters.{name}") if isinstance(given, Unknown) else given.get(name)
        stored = text(get(parameter, "Type")).startswith("AWS::SSM::")
        default = get(parameter, "Default") if value is None else value
        parameters[name] = Unknown(f"parameters.{name}") if default is None or stored else default
    listed = dict(_flat(template["Resources"]))
    for name, resource in listed.items():
        scope = _Scope(parameters, template.get("Mappings"), frozenset(listed))
        place = item.at("Resources", name)
        if not isinstance(resource, Mapping) or isinstance(without_placeholders(resource.get("Type")), Unknown):
            yield Blind(place, "is unknown in preview")
            continue
        given_properties = _joined(resource.get("Properties") or {}, scope, f"Resources.{name}")
        properties = _worked_out(given_properties, scope, f"Resources.{name}")
        needs = tuple(item.at("Resources", other) for other in sorted(scope.named))
        tagged = _tagged(properties, item.props.get("tags")) if isinstance(properties, Mapping) else properties
        yield from of_type(text(resource.get("Type")), tagged, place, str(name), needs)


def _tagged(properties: Mapping[str, Any], inherited: Any) -> Mapping[str, Any]:
    """Properties with the tags of the stack, which CloudFormation gives to all that can have some."""
    if not inherited or not isinstance(inherited, Mapping | list):
        return properties
    listed = inherited if isinstance(inherited, list) else [{"key": k, "value": v} for k, v in inherited.items()]
    own = properties.get("Tags")
    if isinstance(own, Mapping):
        listed = [*listed, *({"key": key, "value": value} for key, value in own.items())]
    return (
        properties
        if isinstance(own, Unknown)
        else {**properties, "Tags": [*listed, *each(own if isinstance(own, list) else None)]}
    )


def _flat(resources: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Resources, with those of loops; what a loop fills in is unknown by its `${...}`."""
    for name, resource in resources.items():
        if name.startswith("Fn::ForEach") and isinstance(resource, list) and isinstance(resource[-1], Mapping):
            yield from _flat(resource[-1])
        else:
            yield name, resource


def of_type(type_: str, properties: Any, place: str, name: str, needs: tuple[str, ...] = ()) -> Found:
    """A resource of AWS' API, `AWS::EKS::Nodegroup` with its properties."""
    if isinstance(properties, Unknown):
        yield Blind(place, "is unknown in preview")
    elif type_ == "AWS::CloudFormation::Stack":
        yield Blind(place, "is a template that lies elsewhere")
        yield Item(native_token(type_), properties, place, name, needs, looked_through=True)
    elif type_ == "Custom::AWSCDK-EKS-Cluster":  # `Config` is what eks:CreateCluster takes
        yield from of_type("AWS::EKS::Cluster", properties.get("Config"), f"{place}.Config", name, needs)
    elif type_ == "AWSQS::Kubernetes::Resource" or type_.endswith("KubernetesResource"):
        yield from _objects(properties.get("Manifest"), f"{place}.Manifest")
    elif type_.endswith("HelmChart") or type_ == "AWSQS::Kubernetes::Helm":
        yield from _chart(properties, place, name)
    elif isinstance(properties, Mapping):
        yield Item(native_token(type_), properties, place, name, needs)


def _objects(manifest: Any, place: str) -> Found:
    """Objects that the CDK or a type of AWS' registry applies."""
    if isinstance(manifest, Unknown):
        yield Blind(place, "is unknown in preview")
    elif isinstance(manifest, str) and manifest.lstrip()[:1] in {"[", "{"}:
        yield from objects(filled(parsed(manifest), _GAP), place)
    else:
        yield from objects(manifest, place)


def _chart(properties: Mapping[str, Any], place: str, name: str) -> Found:
    values = properties.get("Values")
    if isinstance(values, Unknown):
        yield Blind(f"{place}.Values", "is unknown in preview")
        values = {}
    found = first(values) if isinstance(values, str) else values
    props = {"chart": properties.get("Chart"), "values": found or {}, "namespace": properties.get("Namespace")}
    yield Item(RELEASE, without_nothing(props), place, name)


#: What stands for a part that is not known in the text of a manifest.
_GAP: Final = re.compile("gpu-slices-not-known")


def _joined(properties: Any, scope: _Scope, path: str) -> Any:
    """Properties whose manifest, a text that the CDK joins of its parts, has gaps for those that are not known."""
    match get(properties, "Manifest"):
        case {"Fn::Join": [str() as between, list() as parts]}:
            known = (_worked_out(part, scope, f"{path}.Manifest") for part in parts)
            pieces = [_GAP.pattern if isinstance(part, Unknown) else text(part) for part in known]
            return {**properties, "Manifest": between.join(pieces)}
        case _:
            return properties


def _worked_out(value: Any, scope: _Scope, path: str) -> Any:
    """A value with its functions worked out, `Unknown` where they cannot be."""
    if isinstance(value, list):
        found = [_worked_out(element, scope, f"{path}.{index}") for index, element in enumerate(value)]
        return [element for element in found if element is not _NOTHING]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        name, argument = next(iter(value.items()))
        if name in {"Ref", "Condition"} or name.startswith("Fn::"):
            return _function(name, argument, scope, path)
    found_map = {key: _worked_out(element, scope, f"{path}.{key}") for key, element in value.items()}
    return {key: element for key, element in found_map.items() if element is not _NOTHING}


def _function(name: str, argument: Any, scope: _Scope, path: str) -> Any:
    argument = argument if name == "Ref" else _worked_out(argument, scope, path)
    found: Any = None
    match name, argument:
        case "Ref", "AWS::NoValue":
            found = _NOTHING
        case "Ref", str():
            found = _named(argument, scope)
        case "Fn::GetAtt", [str() as resource, *_]:
            found = _named(resource, scope)
        case "Fn::Sub", str():
            found = _substituted(argument, {}, scope)
        case "Fn::Sub", [str() as written, Mapping() as own]:
            found = _substituted(written, own, scope)
        case "Fn::Join", [str() as between, list() as parts] if not any(isinstance(p, Unknown) for p in parts):
            found = between.join(map(text, parts))
        case "Fn::FindInMap", [str() as table, str() as row, str() as column, *_]:
            found = get(scope.mappings, table, row, column)
        case "Fn::Split", [str() as between, str() as whole] if between:
            found = whole.split(between)
        case "Fn::Select", [index, list() as parts] if text(index).isdigit() and int(text(index)) < len(parts):
            found = parts[int(text(index))]
        case "Fn::ToJsonString", Mapping() | list() if not _open(argument):
            found = json.dumps(argument)
        case _:
            pass
    return Unknown(path) if found is None else found


def _open(value: Any) -> bool:
    """Whether anything in a value is not known."""
    if isinstance(value, Mapping):
        return any(map(_open, value.values()))
    return any(map(_open, value)) if isinstance(value, list) else isinstance(value, Unknown)


def _named(name: str, scope: _Scope) -> Any:
    if name in scope.resources:
        scope.named.add(name)
        return None
    return scope.parameters.get(name)


_VARIABLE: Final = re.compile(r"\$\{(!?)([^}]+)\}")


def _substituted(written: str, own: Mapping[str, Any], scope: _Scope) -> str | None:
    """A text with its variables; None where one is not known."""
    parts = {}
    for literal, name in _VARIABLE.findall(written):
        value = own.get(name, None) if name in own else _named(name.partition(".")[0], scope)
        if not literal and (value is None or isinstance(value, Unknown | Mapping | list)):
            return None
        parts[name] = text(value)
    return _VARIABLE.sub(lambda found: f"${{{found[2]}}}" if found[1] else parts[found[2]], written)


def cloud_control(item: Item) -> Found:
    """A resource by Cloud Control: its type, and its properties as text."""
    type_, state = item.props.get("typeName"), item.props.get("desiredState")
    if isinstance(type_, Unknown) or isinstance(state, Unknown):
        yield Blind(item.at("typeName" if isinstance(type_, Unknown) else "desiredState"), "is unknown in preview")
    properties = first(state) if isinstance(state, str) else state
    if isinstance(type_, str) and isinstance(properties, Mapping):
        yield from of_type(type_, properties, item.place, item.name)
    else:
        yield item.alone()


def extension(item: Item) -> Found:
    """AWS Native's way to types that it does not know."""
    type_, properties = item.props.get("type"), item.props.get("properties")
    if isinstance(type_, Unknown) or isinstance(properties, Unknown):
        yield Blind(item.at("type" if isinstance(type_, Unknown) else "properties"), "is unknown in preview")
    if isinstance(type_, str) and isinstance(properties, Mapping):
        yield from of_type(type_, properties, item.place, item.name)
    else:
        yield item.alone()
