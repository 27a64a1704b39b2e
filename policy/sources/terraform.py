"""Terraform's JSON: a plan or a state (`terraform show -json`), a state file, configuration in JSON (`*.tf.json`).

Resources are handed on as Pulumi's: its AWS provider is made from Terraform's, and `terraform.json` beside this module
says what is called and shaped otherwise there. Formats: Terraform 1.11, `internal/command/jsonplan`, `jsonconfig` and
`jsonstate`, format_version 1.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final

from gpu.sharing.yaml_text import NoYamlError, placed_documents
from policy.analyzer import UNKNOWN, Recorded
from policy.inventory.terraform import inputs_of, token_of
from policy.reading import text
from policy.sources.helm_values import release_values
from policy.sources.kubernetes import object_of
from policy.sources.program import Place, Program, Unseen, mapping, objects, texts, unmarked, urn

#: Arguments of Terraform's own, which every resource may have.
_META: Final = frozenset(
    {"//", "connection", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioner"}
)
_MODULE: Final = re.compile(r'(?:^|\.)module\.([\w-]+)(?:\[(?:\d+|"(?:[^"\\]|\\.)*")\])?')
_REFERENCE: Final = re.compile(r"\$\{[^}]*?\b([a-z][a-z0-9]*_\w+\.[\w-]+)")


@dataclass(frozen=True, kw_only=True)
class _Written:
    """A resource as Terraform has it; `values` hold UNKNOWN where it knows none yet. name: with its index, if any."""

    type: str
    address: str
    module: str
    name: str
    values: Mapping[str, Any]
    refers: frozenset[str] = field(default_factory=frozenset)
    """What it refers to in its module, as `type.name`."""


def is_plan(document: Mapping[str, Any]) -> bool:
    """Whether it is what `terraform show -json PLAN` prints."""
    return isinstance(document.get("planned_values"), Mapping)


def is_state(document: Mapping[str, Any]) -> bool:
    """Whether it is what `terraform show -json` prints of a state, or the file of one."""
    shown = isinstance(document.get("values"), Mapping) and "format_version" in document
    return shown or ("terraform_version" in document and isinstance(document.get("resources"), list))


_BLOCKS: Final = frozenset({"data", "locals", "module", "output", "provider", "resource", "terraform", "variable"})


def is_configuration(document: Mapping[str, Any]) -> bool:
    """Whether it is configuration in JSON: nothing but blocks of Terraform's."""
    return bool(document) and set(document) <= _BLOCKS | {"//", "import", "moved", "removed", "check"}


def plan(document: Mapping[str, Any], file: str) -> Program:
    """What a plan leads to."""
    changes = {
        text(change.get("address")): mapping(change, "change") for change in objects(document.get("resource_changes"))
    }
    declared = dict(_declared(mapping(document, "configuration", "root_module"), ()))
    written = []
    for module, resource in _modules(mapping(document, "planned_values", "root_module")):
        expressions = declared.get((tuple(_MODULE.findall(module)), resource["type"], text(resource.get("name"))))
        change = mapping(changes.get(text(resource.get("address"))))
        values = _merged(mapping(resource, "values"), change.get("after_unknown"), expressions, top=True)
        written.append(_shown(resource, module, mapping(values), frozenset(_references(expressions))))
    program = _program(written, file, "Terraform plan")
    if document.get("errored") is True or document.get("complete") is False:
        program.unseen.append(Unseen(place=Place(file=file), what="the plan says that it is not complete", broken=True))
    return program


def state(document: Mapping[str, Any], file: str) -> Program:
    """What stands."""
    if isinstance(document.get("resources"), list):
        return _program(_instances(document), file, "Terraform state")
    written = [
        _shown(resource, module, mapping(resource, "values"), frozenset(texts(resource.get("depends_on"))))
        for module, resource in _modules(mapping(document, "values", "root_module"))
    ]
    return _program(written, file, "Terraform state")


def configuration(document: Mapping[str, Any], file: str) -> Program:
    """What configuration in JSON declares; an expression is a value that is not known."""
    written = []
    for type_, bodies in _blocks(document.get("resource")):
        for name, values in _blocks(bodies):
            for body in objects(values):
                known = {key: _literal(value) for key, value in body.items() if key not in _META}
                refers = frozenset(_REFERENCE.findall(json.dumps(body)))
                address = f"{type_}.{name}"
                written.append(_Written(type=type_, address=address, module="", name=name, values=known, refers=refers))
    program = _program(written, file, "Terraform configuration")
    for label, provider in _blocks(document.get("provider")):
        for body in objects(provider) if label == "aws" else ():
            tags = _literal(body.get("default_tags"))
            inputs = {"defaultTags": tags[0] if isinstance(tags, list) and tags else tags}
            place = Place(file=file, address=f"provider.aws{'.' + text(body['alias']) if 'alias' in body else ''}")
            _add(program, place, "pulumi:providers:aws", "aws", {} if tags is None else inputs)
    for name, _ in _blocks(document.get("module")):
        what = "a module: judge what `terraform show -json PLAN` prints"
        program.unseen.append(Unseen(place=Place(file=file, address=f"module.{name}"), what=what))
    return program


# --- Reading what Terraform writes ------------------------------------------------------------------------------------


def _modules(module: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every managed resource, with the address of its module."""
    address = module.get("address")
    for resource in objects(module.get("resources")):
        if resource.get("mode") == "managed" and isinstance(resource.get("type"), str):
            yield address if isinstance(address, str) else "", resource
    for child in objects(module.get("child_modules")):
        yield from _modules(child)


def _shown(resource: Mapping[str, Any], module: str, values: Mapping[str, Any], refers: frozenset[str]) -> _Written:
    address = text(resource.get("address"))
    return _Written(
        type=resource["type"],
        address=address,
        module=module,
        name=text(resource.get("name")),
        values=values,
        refers=refers,
    )


def _instances(document: Mapping[str, Any]) -> list[_Written]:
    """Resources of a state file."""
    written = []
    for resource in objects(document.get("resources")):
        type_, name, module = resource.get("type"), text(resource.get("name")), text(resource.get("module"))
        if resource.get("mode") != "managed" or not isinstance(type_, str):
            continue
        for instance in objects(resource.get("instances")):
            if "deposed" in instance:  # replaced, and waits for its end
                continue
            key = instance.get("index_key")
            index = "" if key is None else f"[{json.dumps(key)}]"
            address = f"{module + '.' if module else ''}{type_}.{name}{index}"
            refers = frozenset(texts(instance.get("dependencies")))
            values = mapping(instance, "attributes")
            written.append(
                _Written(type=type_, address=address, module=module, name=name, values=values, refers=refers)
            )
    return written


_Declaration = tuple[tuple[str, ...], str, str]
"""Names of the modules around it, type and name."""


def _declared(module: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[_Declaration, Mapping[str, Any]]]:
    """What the configuration says of each resource: its expressions."""
    for resource in objects(module.get("resources")):
        if resource.get("mode") == "managed":
            yield (path, text(resource.get("type")), text(resource.get("name"))), mapping(resource, "expressions")
    for name, call in mapping(module, "module_calls").items():
        yield from _declared(mapping(call, "module"), (*path, name))


def _references(expressions: Any) -> Iterator[str]:
    """`type.name` of what expressions refer to."""
    if isinstance(expressions, list):
        for element in expressions:
            yield from _references(element)
    elif isinstance(expressions, Mapping):
        for key, value in expressions.items():
            if key == "references":
                yield from (".".join(part.partition("[")[0] for part in name.split(".")[:2]) for name in texts(value))
            else:
                yield from _references(value)


def _merged(value: Any, unknown: Any, written: Any, *, top: bool = False) -> Any:
    """Planned values, and UNKNOWN for what is written down and not known yet.

    What the provider fills in is not known either. It is left out, as a program of Pulumi's would leave it out: of a
    block that the configuration does not show (a dynamic one) everything counts as written.
    """
    if unknown is True:
        return UNKNOWN
    if isinstance(value, list) or isinstance(unknown, list):
        parts = enumerate(zip_longest(_listed(value), _listed(unknown)))
        return [_merged(element, mark, _at(written, index)) for index, (element, mark) in parts]
    if isinstance(value, Mapping) or isinstance(unknown, Mapping):
        held, marks = mapping(value), mapping(unknown)
        return {
            key: _merged(held.get(key), marks.get(key), _at(written, key))
            for key in {**held, **marks}
            if marks.get(key) is not True or _is_written(written, key, anything=not top)
        }
    return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _at(written: Any, key: str | int) -> Any:
    """Expressions one step further in; None where the configuration does not tell."""
    if isinstance(written, Mapping):
        return None if {"references", "constant_value"} & set(written) else written.get(key)
    return written[key] if isinstance(written, list) and isinstance(key, int) and key < len(written) else None


def _is_written(written: Any, key: str, *, anything: bool) -> bool:
    shows = isinstance(written, Mapping) and not {"references", "constant_value"} & set(written)
    if not shows or not written:
        return anything or written is None
    return key in written


def _blocks(value: Any) -> Iterator[tuple[str, Any]]:
    """Labels and bodies; Terraform also takes a list of objects for an object."""
    for block in objects(value):
        yield from ((str(label), body) for label, body in block.items() if label != "//")


def _literal(value: Any) -> Any:
    """A value of configuration: UNKNOWN for a template, and the text itself where `$${` writes a plain `${`."""
    if isinstance(value, str):
        bare = value.replace("$${", "").replace("%%{", "")
        return UNKNOWN if "${" in bare or "%{" in bare else value.replace("$${", "${").replace("%%{", "%{")
    if isinstance(value, Mapping):
        return {str(key): _literal(element) for key, element in value.items() if key != "//"}
    return [_literal(element) for element in value] if isinstance(value, list) else value


# --- As Pulumi's ------------------------------------------------------------------------------------------------------


def _program(written: list[_Written], file: str, kind: str) -> Program:
    program = Program(kinds=[kind])
    by_name: dict[tuple[str, str], list[str]] = {}
    for resource in written:
        type_, _ = token_of(resource.type)
        of = by_name.setdefault((resource.module, f"{resource.type}.{resource.name}"), [])
        of.append(urn(file, type_, resource.address))
    unread: Counter[str] = Counter()
    for resource in written:
        place = Place(file=file, address=resource.address)
        if resource.type in ("kubernetes_manifest", "kubectl_manifest"):
            _manifests(program, resource, place)
        elif resource.type == "helm_release":
            _add(program, place, "kubernetes:helm.sh/v3:Release", resource.name, _release(resource.values))
        else:
            type_, shape = token_of(resource.type)
            inputs = inputs_of(resource.values, shape)
            # In modules of Terraform's registry everything is called `this`: only an address says which.
            name = resource.address
            if resource.type.startswith("kubernetes_"):
                unread[resource.type] += shape is False
                inputs |= _header(type_)
                name = resource.name
            depends = [found for each in sorted(resource.refers) for found in by_name.get((resource.module, each), ())]
            _add(program, place, type_, name, inputs, depends)
    for type_, count in (+unread).items():
        what = f"{type_}, {count} of them: a kind that is not read from Terraform"
        program.unseen.append(Unseen(place=Place(file=file), what=what))
    return program


def _add(
    program: Program, place: Place, type_: str, name: str, inputs: Mapping[str, Any], depends: Iterable[str] = ()
) -> None:
    own = urn(place.file, type_, place.address or "")
    resource = Recorded(type=type_, name=name, urn=own, inputs=unmarked(inputs), dependencies=tuple(depends))
    program.add(resource, place)


# --- What is inside a cluster -----------------------------------------------------------------------------------------


def _header(token: str) -> dict[str, str]:
    """Version and kind of an object, which Terraform has in the type: of `kubernetes:core/v1:Pod` `v1` and `Pod`."""
    _, version, kind = token.split(":")
    return {"apiVersion": version.removeprefix("core/"), "kind": kind}


def _manifests(program: Program, resource: _Written, place: Place) -> None:
    body = resource.values.get("yaml_body", resource.values.get("manifest"))
    if body == UNKNOWN or body is None:
        program.unseen.append(Unseen(place=place, what="its manifest is not known before the update"))
        return
    try:
        manifests = [found.value for found in placed_documents(body)] if isinstance(body, str) else objects(body)
    except NoYamlError as error:
        program.unseen.append(Unseen(place=place, what=f"its manifest is no YAML: {error}", broken=True))
        return
    for number, manifest in enumerate(manifests):
        where = f"{resource.address}#{number}" if number else resource.address
        found = object_of(manifest, place.file, where) if isinstance(manifest, Mapping) else None
        if found is None:
            program.unseen.append(Unseen(place=place, what="its manifest is no object of Kubernetes"))
        else:
            program.add(found, place)


def _release(values: Mapping[str, Any]) -> dict[str, Any]:
    """A `helm_release` as a release of Pulumi's."""
    names = ("chart", "name", "namespace", "version")
    inputs = {name: values[name] for name in names if values.get(name) is not None}
    repository = values.get("repository")
    if repository is not None:
        inputs["repositoryOpts"] = {"repo": repository}
    return {**inputs, "values": release_values(values)}
