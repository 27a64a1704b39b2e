"""Kubernetes objects, wherever a program writes them, and the pods of kinds that no rule knows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from policy.inventory import machines
from policy.inventory.item import Blind, Item
from policy.inventory.operators import OF_STEPS, kind_of, made, pods_of
from policy.inventory.texts import ROOTS, decoded, file_content, parsed, rendered
from policy.placeholders import GO, SHELL, filled, without_placeholders
from policy.reading import Unknown, each, get, text

Found = Iterator[Item | Blind]

#: Groups of kinds that matter here, for objects whose `apiVersion` is filled in elsewhere.
_GROUPS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("NodePool", "NodeClaim", "NodeOverlay"), "karpenter.sh/v1"),
    "EC2NodeClass": "karpenter.k8s.aws/v1",
    **dict.fromkeys(("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"), "apps/v1"),
    **dict.fromkeys(("Job", "CronJob"), "batch/v1"),
    **dict.fromkeys(("Pod", "Service", "Namespace", "ConfigMap"), "v1"),
}


def is_manifest(value: Any) -> bool:
    """Whether a value is an object of Kubernetes: it says its kind and version, and more."""
    if not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
        return False
    version = value.get("apiVersion")
    return isinstance(version, str | Unknown) and bool(version) and len(value) > 2


def of_manifest(manifest: Mapping[str, Any], place: str) -> Item:
    """An object as Pulumi would register it."""
    kind = text(manifest.get("kind"))
    given = without_placeholders(manifest.get("apiVersion"))
    version = _GROUPS.get(kind, "unknown") if isinstance(given, Unknown) else text(given)
    name = get(manifest, "metadata", "name")
    group = version if "/" in version else f"core/{version}"
    return Item(f"kubernetes:{group}:{kind}", manifest, place, name if isinstance(name, str) else "")


def objects(value: Any, place: str, *, texts: bool = True) -> Iterator[Item]:
    """Every object anywhere in a value, also in its texts unless these are prose; not what is inside an object."""
    if isinstance(value, str):
        for index, document in enumerate(_documents(value) if texts else ()):
            yield from objects(document, f"{place}.{index}" if index else place)
    elif is_manifest(value):
        yield of_manifest(value, place)
    elif isinstance(value, Mapping):
        for key, element in value.items():
            if isinstance(element, Mapping | list | str):
                yield from objects(element, f"{place}.{key}" if place else str(key), texts=texts)
    elif isinstance(value, list):
        for index, element in enumerate(value):
            if isinstance(element, Mapping | list | str):
                yield from objects(element, f"{place}.{index}" if place else str(index), texts=texts)


def _documents(value: str) -> list[Any]:
    """Documents of a text that looks as if it held objects."""
    return _parsed(value) if "apiVersion" in value and "kind" in value else []


@lru_cache(maxsize=256)
def _parsed(value: str) -> list[Any]:
    return rendered(value, lambda _: None) if "{{" in value else parsed(value + "\n")


def of_list(item: Item) -> Found:
    """`List`, and lists of one kind, whose items need not say theirs."""
    items = item.props.get("items")
    if isinstance(items, Unknown):
        yield Blind(item.at("items"), "is unknown in preview")
        return
    if items is None:
        yield from custom(item) if item.type.startswith("kubernetes:") else iter([item.alone()])
        return
    version, kind = item.type.removeprefix("kubernetes:").rsplit(":", 1)
    own = {"apiVersion": version.removeprefix("core/"), "kind": kind.removesuffix("List")} if kind != "List" else {}
    for index, element in enumerate(each(items)):
        place = item.at("items", index)
        manifest = {**own, **element} if isinstance(element, Mapping) else element
        if is_manifest(manifest):
            yield of_manifest(manifest, place)
        else:
            yield Blind(place, "is unknown in preview, or no object")


#: Inputs that are objects, or texts of them.
_TEXTS: Final = ("yaml", "objs", "yamlBody", "manifest", "manifests")


def texts(item: Item) -> Found:
    """ConfigGroups and ConfigFiles, and their likes of the kubectl provider."""
    yield item.alone()
    for name in _TEXTS:
        value = item.props.get(name)
        if isinstance(value, Unknown) or any(isinstance(part, Unknown) for part in each(value)):
            yield Blind(item.at(name), "is unknown in preview")
        yield from objects(value, item.at(name))
    for name in ("files", "file"):
        given = item.props.get(name)
        for path in [given] if isinstance(given, str) else each(given):
            for file in _files(path):
                yield from objects((file_content(file) or "") + "\n", str(file))


def _files(path: Any) -> Iterator[str]:
    """Files that a path or a pattern names. The engine shows what is in those that are elsewhere."""
    if not isinstance(path, str) or "://" in path or "\0" in path:
        return
    if "*" not in path:
        yield path
        return
    for root in ROOTS:
        try:
            yield from sorted(str(file) for file in root.glob(path))
        except (NotImplementedError, ValueError, OSError):
            continue


def kustomization(item: Item) -> Found:
    """A folder of Kustomize beside the program: its resources, and those of the folders that it names."""
    yield item.alone()
    directory = item.props.get("directory")
    if isinstance(directory, str) and "://" not in directory:
        yield from _kustomized(directory, set())


_KUSTOMIZATIONS: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")


def _kustomized(directory: str, seen: set[str]) -> Found:
    directory = os.path.normpath(directory)
    if "\0" in directory or directory in seen:
        return
    seen.add(directory)
    content = next((found for name in _KUSTOMIZATIONS if (found := file_content(Path(directory) / name))), None)
    if content is None:
        return
    for document in parsed(content):
        for name in ("resources", "bases", "components"):
            for entry in each(get(document, name)):
                path = str(Path(directory) / text(entry))
                found = file_content(path)
                if found is None:
                    yield from _kustomized(path, seen)
                else:
                    yield from objects(found, path)
        yield from _patches(document, directory)


def patched(item: Item) -> Found:
    """Flux' Kustomization, which changes objects that lie elsewhere."""
    yield item.alone()
    yield from _patches(item.props.get("spec"), item.at("spec"))


def _patches(value: Any, place: str) -> Found:
    for name in ("patches", "patchesStrategicMerge"):
        for index, patch in enumerate(each(get(value, name))):
            given = get(patch, "patch") if isinstance(patch, Mapping) and "patch" in patch else patch
            here = f"{place}.{name}.{index}"
            for found in objects(given, here):
                yield Item(f"{found.type}Patch", found.props, found.place, found.name)
            yield from operations(given, get(patch, "target"), here)


def operations(given: Any, target: Any, place: str) -> Found:
    """A JSON patch (RFC 6902) as what it says of its target; inside a list nobody knows what it changes."""
    kind = text(get(target, "kind"))
    version = "/".join(part for name in ("group", "version") if (part := text(get(target, name))))
    manifest: Any = {
        "kind": kind,
        "apiVersion": _GROUPS.get(kind, version),
        "metadata": {"name": text(get(target, "name"))},
    }
    documents = parsed(given + "\n") if isinstance(given, str) else []
    changes = [one for document in documents if isinstance(document, list) for one in document if get(one, "op")]
    for number, change in enumerate(changes):
        path = [part.replace("~1", "/").replace("~0", "~") for part in text(get(change, "path")).split("/")[1:]]
        inside = any(part.isdigit() or part == "-" for part in path)
        if inside and kind in _NODES:
            yield Blind(f"{place}.{'/'.join(path)}", "changes an element of a list that lies elsewhere")
        elif inside and get(change, "op") in {"remove", "test"}:
            continue
        elif path and path[0] not in {"kind", "apiVersion"}:
            value = get(change, "value")
            path = [f"-{number}" if part == "-" else part for part in path]  # each adds an element of its own
            manifest = _set_at(manifest, path, Unknown(".".join(path)) if value is None else value)
    if changes and kind and manifest["apiVersion"]:
        found = of_manifest(_with_lists(manifest), place)
        yield Item(f"{found.type}Patch", found.props, found.place, found.name)


def _with_lists(value: Any) -> Any:
    """Changes of elements as lists of what is known of them: rules about patches ask no more."""
    if not isinstance(value, Mapping):
        return value
    elements = [_with_lists(one) for one in value.values()]
    positions = bool(value) and all(key.removeprefix("-").isdigit() for key in value)
    return elements if positions else dict(zip(value, elements, strict=True))


#: Kinds of which a part of a list says how nodes are bought.
_NODES: Final = frozenset({"NodePool", "NodeClaim", "Provisioner", "AWSMachineTemplate", "NodeGroup", "Nodegroup"})


def _set_at(value: Any, path: list[str], element: Any) -> Any:
    if not path:
        return element
    around = value if isinstance(value, Mapping) else {}
    return {**around, path[0]: _set_at(around.get(path[0]), path[1:], element)}


def kro(item: Item) -> Found:
    """kro fills in `${...}` when somebody makes one."""
    for index, resource in enumerate(each(get(item.props, "spec", "resources"))):
        yield from objects(get(resource, "template"), item.at("spec.resources", index, "template"))


def composition(item: Item) -> Found:
    """What Crossplane makes: `base` with patches over it, or the template of a function."""
    spec = item.props.get("spec")
    places = [(spec, item.at("spec"))]
    for index, step in enumerate(each(get(spec, "pipeline"))):
        place = item.at("spec.pipeline", index, "input")
        given = get(step, "input")
        places.append((given, place))
        yield from _programs(given, place)
        template = get(given, "inline", "template")
        if isinstance(template, str):
            for document in rendered(template, lambda _: None):
                yield from objects(document, f"{place}.inline.template")
    for around, place in places:
        sets = {text(get(one, "name")): get(one, "patches") for one in each(get(around, "patchSets"))}
        for index, resource in enumerate(each(get(around, "resources"))):
            base = get(resource, "base")
            for patch in each(get(resource, "patches")):
                named = get(patch, "patchSetName")
                for one in [patch] if named is None else each(sets.get(text(named))):
                    base = _unknown_at(base, _FIELD.findall(text(get(one, "toFieldPath") or get(one, "fromFieldPath"))))
            yield from objects(base, f"{place}.resources.{index}.base")


#: A step of a field path: `a.b[0]`, and in brackets a key with dots.
_FIELD: Final = re.compile(r"[^.\[\]]+")
#: Where functions and providers keep programs in languages of their own: KCL, CUE, Python, HCL.
_PROGRAMS: Final = frozenset({"source", "script", "code", "module", "export"})


def _programs(value: Any, place: str) -> Found:
    """Programs in languages that nobody reads here."""
    for key, element in value.items() if isinstance(value, Mapping) else ():
        if key in _PROGRAMS and isinstance(element, Unknown | str) and ("\n" in text(element) or key == "module"):
            yield Blind(f"{place}.{key}", "is a program in a language that is not read here, or lies elsewhere")
        elif key not in {"resources", "inline"}:
            yield from _programs(element, f"{place}.{key}")


def workspace(item: Item) -> Found:
    """A run of Terraform or OpenTofu that Crossplane starts: its variables are known, its module is not."""
    yield item.alone()
    yield from _programs(item.props.get("spec"), item.at("spec"))


def _unknown_at(value: Any, path: list[str], done: str = "") -> Any:
    """A copy in which what stands at the path is not known."""
    if not path:
        return Unknown(done) if done else value
    here = f"{done}.{path[0]}".lstrip(".")
    if isinstance(value, list) and path[0].isdigit() and int(path[0]) < len(value):
        index = int(path[0])
        return [*value[:index], _unknown_at(value[index], path[1:], here), *value[index + 1 :]]
    if isinstance(value, Mapping):
        return {**value, path[0]: _unknown_at(value.get(path[0], {}), path[1:], here)}
    return Unknown(here)


_HEREDOC: Final = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?[^\n]*\n(.*?)\n\s*\1\s*(?:$|\n|\))", re.DOTALL)


#: More in one text are not looked for: each that never ends is searched to the end of the text.
_MOST_HERE: Final = 100


def _here_documents(value: str) -> list[tuple[str, str]]:
    return _HEREDOC.findall(value) if value.count("<<") <= _MOST_HERE else []


def commands(item: Item) -> Found:
    """Objects that a command hands to kubectl or eksctl as a here-document or on its standard input."""
    yield item.alone()
    written = " ".join(value for value in item.props.values() if isinstance(value, str))
    for name, value in item.props.items():
        for content in (value, *decoded(value)) if isinstance(value, str) else ():
            whole = list(objects(content, item.at(name)))
            yield from (_made_by(written, one) for one in whole)
            for _, document in _here_documents(content) if not whole else ():
                yield from (_made_by(written, one) for one in objects(filled_by_shell(document), item.at(name)))


def _made_by(command: str, found: Item) -> Item:
    """An object as a command uses it: of a ClusterConfig, eksctl may make the node groups alone."""
    if "eksctl.io/" in found.type and re.search(r"\beksctl\s+\w+\s+(node-?group|ng)s?\b", command):
        return replace(found, type=machines.GROUPS_ALONE)
    return found


def jobs(item: Item) -> Found:
    """Jobs, and what their commands hand to kubectl."""
    yield item.alone()
    yield from _handed(item.props.get("spec"), item.at("spec"))


def _handed(value: Any, place: str) -> Iterator[Item]:
    if isinstance(value, Mapping | list):
        for key, element in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _handed(element, f"{place}.{key}")
    elif isinstance(value, str) and ("kubectl" in value or "eksctl" in value):
        for document in (*(document for _, document in _here_documents(value)), *decoded(value)):
            yield from (_made_by(value, one) for one in objects(filled_by_shell(document), place))


def kyverno(item: Item) -> Found:
    """Kyverno's policies make objects by rules that generate."""
    yield item.alone()
    for index, rule in enumerate(each(get(item.props, "spec", "rules"))):
        made = get(rule, "generate")
        for one in (made, *each(get(made, "foreach"))):
            data = get(one, "data")
            if isinstance(data, Mapping) and get(one, "kind"):
                around = {"apiVersion": get(one, "apiVersion"), "kind": get(one, "kind")}
                named = {"metadata": {"name": get(one, "name"), **_map(get(data, "metadata"))}}
                manifest = filled({**around, **data, **named}, GO)
                if is_manifest(manifest):
                    yield of_manifest(manifest, item.at("spec.rules", index, "generate.data"))


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def without_objects(value: str) -> str:
    """A text without the here-documents that hold objects."""
    if not 0 < value.count("<<") <= _MOST_HERE:
        return value
    return _HEREDOC.sub(lambda found: "" if _documents(found[2]) else found[0], value)


def filled_by_shell(value: str) -> Any:
    """Documents in which the shell fills in variables, written in braces as other tools' are."""
    return [_in_braces(document) for document in _documents(value)]


def _in_braces(value: Any) -> Any:
    if isinstance(value, str):
        return SHELL.sub(r"${\1}", value)
    if isinstance(value, Mapping):
        return {key: _in_braces(element) for key, element in value.items()}
    return [_in_braces(element) for element in value] if isinstance(value, list) else value


def custom(item: Item) -> Found:
    """A kind that no rule knows: objects inside it, and pods, by the table of kinds that are known and by shape."""
    yield item.alone()
    found = list(pods_of(kind, item)) if (kind := kind_of(item.type)) else []
    yield from found
    known = tuple(one.place for one in found if isinstance(one, Item))
    unfilled = filled(item.props, GO) if "template" in item.props else item.props
    rest = {key: value for key, value in unfilled.items() if key not in {"apiVersion", "kind", "metadata"}}
    yield from objects(rest, item.place)
    yield from (pod for pod in _pods(rest, item, item.place) if not _inside(pod.place, known))


def referring(item: Item) -> Found:
    """A kind that rules know as it is, and that may take its pods from another object."""
    yield item.alone()
    if kind := kind_of(item.type):
        yield from pods_of(kind, item)


def _inside(place: str, known: tuple[str, ...]) -> bool:
    """Whether a place was read already: what operators patch over their pods is said apart."""
    return not place.endswith(".podSpecPatch") and any(f"{place}.".startswith(f"{one}.") for one in known)


def stored(item: Item) -> Found:
    """Cluster API's ClusterResourceSet, which applies what ConfigMaps and Secrets hold."""
    yield item.alone()
    yield Blind(item.at("spec.resources"), "lie in ConfigMaps and Secrets")


def anything(item: Item) -> Found:
    """A component of somebody's."""
    yield item.alone()
    yield from objects(item.props, item.place)


def _pods(value: Any, item: Item, place: str, shared: Mapping[str, Any] | None = None) -> Iterator[Item]:
    """Pod specifications: what has containers with images. The object's namespace is theirs.

    shared: what a workflow says of the pods of all its steps.
    """
    if isinstance(value, list):
        for index, element in enumerate(value):
            yield from _pods(element, item, f"{place}.{index}", shared)
        return
    if not isinstance(value, Mapping) or is_manifest(value):
        return
    if isinstance(value.get("templates"), list):
        shared = {**_of_pods(value), **_of_pods(value.get("templateDefaults"))}
    steps = shared is not None
    beside = {**(shared or {}), **_of_pods(value)}
    for key, element in value.items():
        inner = element.get("spec") if isinstance(element, Mapping) else None
        here = f"{place}.{key}".lstrip(".")
        if _is_pod(inner):
            yield _pod(element, item, here)
        elif key in _CONTAINERS and isinstance(element, Mapping) and _says_of_container(element):
            yield _pod({"spec": _with_sidecars({**beside, "containers": [{"name": key, **element}]})}, item, here)
        elif _is_pod(element):
            yield _pod({"spec": _with_sidecars({**beside, **element}) if steps else element}, item, here)
        elif key == "podSpecPatch" and isinstance(element, str):
            yield from (_changed_pod({"spec": one}, item, here) for one in parsed(element + "\n"))
        elif key == "steps" and item.type.startswith("kubernetes:tekton.dev/"):
            yield from _tasks_pod(value, item, here)
        else:
            yield from _pods(element, item, here, shared)


def _of_pods(value: Any) -> dict[str, Any]:
    return {name: value[name] for name in OF_STEPS if name in value} if isinstance(value, Mapping) else {}


def _with_sidecars(spec: dict[str, Any]) -> dict[str, Any]:
    """Containers that a step of a workflow runs beside its own are containers of its pod."""
    sidecars = [one for one in each(spec.pop("sidecars", None)) if isinstance(one, Mapping)]
    return {**spec, "containers": [*each(spec.get("containers")), *sidecars]} if sidecars else spec


def _tasks_pod(task: Mapping[str, Any], item: Item, place: str) -> Iterator[Item]:
    """The steps of a task of Tekton, which run in one pod; the run and Tekton's settings say more of it."""
    template = _map(task.get("stepTemplate"))
    found = [one for name in ("steps", "sidecars") for one in each(task.get(name)) if isinstance(one, Mapping)]
    containers = [{**template, **one} for one in found if "image" in one]
    if containers:
        volumes = {"volumes": task["volumes"]} if "volumes" in task else {}
        yield _changed_pod({"spec": {**volumes, "containers": containers}}, item, place)


def _changed_pod(template: Any, item: Item, place: str) -> Item:
    """A part of a pod: what is missing says nothing."""
    found = _pod(template, item, place)
    return found if found.type.endswith("Patch") else replace(found, type=f"{found.type}Patch")


#: A container of its own in steps of Argo Workflows, and in applications of Spark.
_CONTAINERS: Final = frozenset({"container", "script", "driver", "executor"})


def _says_of_container(value: Mapping[str, Any]) -> bool:
    return "template" not in value and ("image" in value or "securityContext" in value)


#: What tells a container that has no image here.
_OF_CONTAINER: Final = frozenset({"securityContext", "resources", "env", "envFrom", "volumeMounts"})


def _is_pod(spec: Any) -> bool:
    containers = get(spec, "containers") if isinstance(spec, Mapping) else None
    return isinstance(containers, list) and any(
        isinstance(one, Mapping) and ("image" in one or ("name" in one and not _OF_CONTAINER.isdisjoint(one)))
        for one in containers
    )


def _pod(template: Any, item: Item, place: str) -> Item:
    return made(template, item, place)
