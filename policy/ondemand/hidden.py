"""GPU types where no resource type tells of them: helm values, manifests inside text, commands, other providers.

Anything may hold them, so the search goes by what it finds: a Karpenter manifest, a list of node requirements, a key
that names instance types, an attribute-based selection. Where free text reaches something that can start instances
(a chart, a template, a command) the name of a GPU type alone is enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import pulumi

from policy.instances import gpu_types_in_text, is_family, is_type
from policy.inventory.kubernetes import is_manifest, without_objects
from policy.inventory.texts import content_of, parsed
from policy.ondemand.place import Place, plain_key
from policy.ondemand.pools import SPOT, is_pool, of_pool
from policy.ondemand.programs import STARTS
from policy.ondemand.purchase import Purchase, gpus_named, gpus_required
from policy.placeholders import machine_filled_in
from policy.reading import Unknown, each, strings, text, whole

#: Text that is worth parsing; the rest of a chart's values is prose and numbers.
_RELEVANT: Final = re.compile(
    r"karpenter|(node|machine)[_-]?(pool|type)|instance|capacity|\b[gp][a-z]{0,2}\d[a-z0-9-]*\.|accelerators|\bsky\b",
    re.IGNORECASE,
)

#: Keys below which nodes are chosen or described, not bought.
_SELECTORS: Final = frozenset(
    {
        "nodeselector",
        "affinity",
        "nodeaffinity",
        "tolerations",
        "topologyspreadconstraints",
        "matchexpressions",
        "matchlabels",
        "excludedinstancetypes",
        "labels",
        "tagsall",
    }
)
#: Keys are also names that people choose, of groups of nodes say: `blackwell`, `capacity-block`, `price-tag` are none.
_EXCLUDED: Final = re.compile(
    r"exclu(?!sive)|blacklist|deny|denied|forbid|disallow|block(ed|list|instance)"
    # What selects metrics, events and resources by type, as AWS and charts name it, and what SageMaker's models run on.
    r"|labels(value|config)?$|^label$|^(additional|common|default|extra|resource)tags$"
    r"|^(ec2|selection|onpremises(instance)?)?tag(s|filters?|sets?|setlist)?$"
    r"|^(dimensions?|conditions?|filtercriteria|eventpattern)$"
    r"|^supported(realtimeinference|training|transform)instancetypes$"
)
#: Keys of words about a type; where they hold more than words, they are such names too.
_WORDS: Final = re.compile(
    r"label(value|config)?$|displayname$|(description|message|banner|motd|comment|notes?|readme|tooltip|subject)$"
    r"|^(title|expr|query|regex|replacement|summary|help)$"
)
#: Keys of inputs; labels and policy conditions (`node.kubernetes.io/instance-type`, `ec2:InstanceType`) are none.
_TYPE_KEY: Final = re.compile(
    r"(?!ec2:)[a-z0-9.:]*(instance|machine)types?(ondemand|spots?)?|instance(family|families|category|categories)"
)
#: Keys that say many things; the full name of an instance type below them is one.
_EXACT_KEY: Final = re.compile(
    r"[a-z0-9.:]*(type|flavou?r|size|machine|instance|shape|sku|hardware)s?|(node|drivernode)typeids?|whitelists?"
)
#: Variables of what runs, which name types for many ends; those that are called so are read (`_option`).
_VARIABLES: Final = frozenset({"env", "extraenv", "extraenvs", "extraenvvars", "envvars", "environment"})
#: Keys of families, which count where something beside them says on demand: `g5` says much.
_FAMILY_KEYS: Final = frozenset({"family", "families", "instanceclass", "instanceclasses", "class"})
#: GPUs as SkyPilot and its like ask for them: `A100:8`.
_ACCELERATORS: Final = re.compile(r"\b([ABHLTV]\d{1,3}[A-Z]?|GB?\d{3}|RTX\w*)(-\w+)?\b(:\d+)?")
_NODE_KEYS: Final = re.compile(
    r"karpenter|eks\.amazonaws\.com/|instance-type$|kubernetes\.io/(arch|os)$|topology\.kubernetes\.io/"
)
#: Manifests that tell of GPU types and start nothing.
_HARMLESS_KINDS: Final = frozenset({"NodeOverlay", "ConfigMap", "CustomResourceDefinition"})

Also = tuple[str, ...]


def search(props: Mapping[str, Any], also: Also, *, free_text: bool, strict: bool) -> Iterator[Purchase]:
    """Every purchase hidden in `props` (plain data); see `Place` for the two switches."""
    place = Place(free_text=free_text, strict=strict or free_text).inside(props)
    yield from _keys(props, also, place)


def _walk(value: Any, also: Also, place: Place) -> Iterator[Purchase]:
    if isinstance(value, Mapping):
        yield from _mapping(value, also, place.inside(value))
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from _walk(element, also, place.at(index))
    elif isinstance(value, str):
        yield from _text(value, also, place)
    elif isinstance(value, pulumi.Asset):
        yield from _asset(value, also, place)


def _mapping(value: Mapping[str, Any], also: Also, place: Place) -> Iterator[Purchase]:
    if is_manifest(value):
        return  # judged by itself (policy.inventory)
    if is_pool(value):
        for purchase in of_pool(value, also):
            yield _with_path(purchase, place)
        return
    if text(value.get("kind")) not in _HARMLESS_KINDS:
        yield from _keys(value, also, place)


def _keys(value: Mapping[str, Any], also: Also, place: Place) -> Iterator[Purchase]:
    for key, element in (*value.items(), *_option(value)):
        name, here = plain_key(key), place.at(key)
        if name in _VARIABLES:
            here = replace(here, free_text=False)
        if _buys_none(name, element):
            continue
        if _TYPE_KEY.fullmatch(name):
            yield from _sighted(_named(element, here, also), here)
            yield from _nested(element, also, here)
        elif _EXACT_KEY.fullmatch(name) and (listed := _all_types(element)):
            yield from _sighted(gpus_named(listed, here.path, also), here)
        elif name in _FAMILY_KEYS and here.capacity() == "other" and all(map(is_family, strings(element))):
            yield from _sighted(gpus_named(element, here.path, also), here)
        elif name == "accelerators" and _ACCELERATORS.search(str(element)):
            yield from _sighted(f"{element} ({here.path})", here)
        elif name == "gpu" and isinstance(element, Mapping) and element.get("manufacturers"):
            yield from _sighted(f"GPUs ({here.path})", here)
        elif name == "instancerequirements":
            yield from _sighted(gpus_required(element, here.path, also), here)
        elif name == "requirements" and _are_node_requirements(listed_requirements := _listed(element)):
            yield from _requirements(value, listed_requirements, also, here)
        else:
            if place.free_text:
                yield from _sighted(_mentioned(key, also, here), here)
            yield from _walk(element, also, here)


def _buys_none(key: str, element: Any) -> bool:
    """Whether nothing below a key is bought; of a plain key."""
    words = _WORDS.search(key) is not None and not isinstance(element, Mapping)
    return words or key in _SELECTORS or _EXCLUDED.search(key) is not None


def _all_types(given: Any) -> list[Any]:
    """A value, the elements of a list, or the keys of a map to numbers, if each is an instance type in full."""
    counts = isinstance(given, Mapping) and all(whole(number) is not None for number in given.values())
    listed = list(given) if isinstance(given, list) or counts else [given]
    return listed if all(isinstance(one, str) and is_type(one) for one in listed) else []


def _option(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """An option written as a name and a value, as Elastic Beanstalk's and Service Catalog's are."""
    plain = {plain_key(key): element for key, element in value.items()}
    family, size = plain.get("instanceclass"), plain.get("instancesize")
    if isinstance(family, str) and isinstance(size, str):  # as the CDK says it
        yield "instanceType", f"{family}.{size}".lower()
    for name in ("name", "Name", "key", "Key", "ParameterKey", "parameterKey", "path"):
        given = value.get(name)
        for content in ("value", "Value", "ParameterValue", "parameterValue"):
            option = given.rpartition("/")[2] if isinstance(given, str) else ""
            if content in value and _TYPE_KEY.fullmatch(plain_key(option)):
                yield option, value[content]


def _named(value: Any, place: Place, also: Also) -> str | None:
    unknown = isinstance(value, Unknown) or any(isinstance(item, Unknown) for item in each(value))
    return None if unknown and not place.strict else gpus_named(value, place.path, also)


def _nested(value: Any, also: Also, place: Place) -> Iterator[Purchase]:
    for element in each(value):
        if isinstance(element, Mapping):
            yield from _walk(element, also, place)
    if isinstance(value, str) and ("," in value or " " in value or "\n" in value):
        yield from _sighted(_mentioned(value, also, place), place)


def _mentioned(value: str, also: Also, place: Place) -> str | None:
    found = gpu_types_in_text(value, also)
    return f"{', '.join(dict.fromkeys(found))} ({place.path})" if found else None


def _text(value: str, also: Also, place: Place) -> Iterator[Purchase]:
    if not _RELEVANT.search(value):
        return
    value = without_objects(value)
    if _SPOT_TEXT.search(value):
        return
    documents = parsed(value) if "\n" in value or value.lstrip()[:1] in {"{", "["} else []
    if documents:
        for document in documents:
            yield from _walk(document, also, place)
    elif place.free_text:
        starts = STARTS.search(value) is not None
        value = "\n".join(part for part in _SEPARATOR.split(value) if not _buys_nothing(part, starts=starts))
        unknown = machine_filled_in(value)
        yield from _sighted(_mentioned(value, also, place), place)
        yield from _sighted(f"whatever {unknown} turns out to be ({place.path})" if unknown else None, place)
        yield from _sky(value, place)


#: Between one command and the next; a line that ends in a backslash goes on.
_SEPARATOR: Final = re.compile(r"(?<!\\)\n|;|&&|\|\|?")
_ASK: Final = (
    r"(\$\(|`)?\s*(?:[A-Za-z_]\w*=\S*\s+)*(?:sudo\s+)?"
    r"(?:aws\s+(?:--[\w-]+(?:[= ](?!-)[\w./:-]+)?\s+)*[\w-]+\s+(?:describe|get|list|wait|search|stop|terminate|reboot)-"
    r"|(?:kubectl|eksctl)\s+(?:get|describe|label|delete|drain|cordon)\b)"
)
#: A command that asks or stops, and a remark. aws has options before the name of a service.
_ASKS: Final = re.compile(rf"^\s*(?:#(?!!)|{_ASK})")
#: What asks for a variable, or calls an SDK: where the same program starts machines, it may start what it found.
_FINDS: Final = re.compile(
    rf"^\s*(?:[A-Za-z_]\w*=|if\s+|while\s+)[\"']?{_ASK}"
    r"|[.\s](?:describe|get|list|stop|terminate)_\w+\(|\bnew (?:Describe|Get|List|Stop|Terminate)\w+Command\("
)
_SPOT_FLAG: Final = re.compile(
    r"--capacity-type[= ]['\"]?spot\b|markettype['\"]?\s*[=:]\s*['\"]?spot\b|--(use-)?spot(-price[= ]\S+)?(?![\w-])",
    re.IGNORECASE,
)


#: Options of docker-machine by which all of a text is Spot.
_SPOT_TEXT: Final = re.compile(r"request-spot-instances?['\"]?\s*[=:]\s*['\"]?true", re.IGNORECASE)


def _buys_nothing(command: str, *, starts: bool) -> bool:
    """Whether a command only asks, or asks for Spot. starts: whether the whole program starts machines."""
    finds = not starts and _FINDS.search(command) is not None
    return finds or _ASKS.match(command) is not None or _SPOT_FLAG.search(command) is not None


_SKY: Final = re.compile(r"\bsky\s+(?:jobs\s+|serve\s+)?(?:launch|up)\b[^\n;|&]*?--gpus[= ](\S+)[^\n;|&]*")


def _sky(value: str, place: Place) -> Iterator[Purchase]:
    """SkyPilot's command, which names GPUs and no types; on demand unless told otherwise."""
    for found in _SKY.finditer(value):
        if not re.search(r"--use-spot(?![\w-])", found[0]) or "--no-use-spot" in found[0]:
            yield from _sighted(f"{found[1]} ({place.path})", place)


def _asset(asset: pulumi.Asset, also: Also, place: Place) -> Iterator[Purchase]:
    """Value files of a chart. One that cannot be read cannot be cleared."""
    content = content_of(asset)
    if content is not None:
        yield from _text(content + "\n", also, place)
        return
    yield Purchase(
        what=f"whatever {place.path} names",
        why="this file cannot be read here, so its instance types are unknown",
        spot="give the values inline, or run the check where the file is",
        literal=False,
    )


def _listed(requirements: Any) -> Any:
    """Requirements as Karpenter lists them; charts also write a map by key, of a selector or of its values."""
    if not isinstance(requirements, Mapping) or "key" in requirements:
        return requirements
    return [
        {"key": key, **given} if isinstance(given, Mapping) else {"key": key, "operator": "In", "values": given}
        for key, given in requirements.items()
    ]


def _are_node_requirements(value: Any) -> bool:
    keys = [text(item.get("key")) for item in each(value) if isinstance(item, Mapping) and "operator" in item]
    return any(_NODE_KEYS.search(key) for key in keys)


def _requirements(around: Mapping[str, Any], requirements: Any, also: Also, place: Place) -> Iterator[Purchase]:
    """A chart's own way to write a NodePool: judged as one with these requirements."""
    if place.capacity() == "spot":
        return
    spec = {"requirements": requirements, "nodeClassRef": around.get("nodeClassRef"), "labels": around.get("labels")}
    for purchase in of_pool({"spec": spec}, also):
        yield replace(_with_path(purchase, place), marks=place.marks())


def _with_path(purchase: Purchase, place: Place) -> Purchase:
    return replace(purchase, what=f"{purchase.what} ({place.path or 'manifest'})")


def _sighted(what: str | None, place: Place) -> Iterator[Purchase]:
    capacity = place.capacity()
    if what is None or capacity == "spot":
        return
    reasons = {
        "other": "the capacity type beside it is not Spot alone",
        "unknown": "the capacity type beside it is unknown in preview and must be a literal",
        None: "no capacity type stands beside it",
    }
    yield Purchase(
        what=what,
        why=reasons[capacity],
        spot=f"write `capacityType: spot` beside it, or {SPOT}",
        literal=capacity != "unknown",
        marks=place.marks(),
    )
