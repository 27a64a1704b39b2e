"""GPU types where no resource type tells of them: helm values, manifests inside text, commands, other providers.

Anything may hold them, so the search goes by what it finds: a Karpenter manifest, a list of node requirements, a key
that names instance types, an attribute-based selection. Where free text reaches something that can start instances
(a chart, a template, a command) the name of a GPU type alone is enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi
import yaml

from policy.instances import gpu_types_in_text
from policy.justification import EXPIRES, JUSTIFICATION, marks
from policy.ondemand.pools import SPOT, is_pool, of_pool
from policy.ondemand.purchase import Purchase, gpus_named, gpus_required
from policy.reading import Unknown, each, get, number, plain, strings, text, truthy


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # the one in C, where there is one
    """Safe YAML that keeps what stands behind a tag it does not know, such as CloudFormation's `!Ref`."""


def _untagged(loader: Any, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("!", _untagged)

#: Text that is worth parsing; the rest of a chart's values is prose and numbers.
_RELEVANT: Final = re.compile(r"karpenter|node_?-?pool|instance|capacity|\b[gp][a-z]{0,2}\d[a-z0-9-]*\.", re.IGNORECASE)

#: Keys below which nodes are chosen, not bought.
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
    }
)
_TYPE_KEYS: Final = ("instancetype", "instancetypes", "machinetype", "machinetypes")
_FAMILY_KEYS: Final = frozenset({"instancefamily", "instancefamilies", "instancecategory", "instancecategories"})
_CAPACITY_KEYS: Final = frozenset(
    {
        "capacitytype",
        "capacitytypes",
        "capacityoptiontype",
        "karpenter.sh/capacitytype",
        "markettype",
        "purchaseoption",
        "purchaseoptions",
        "fleettype",
    }
)
_SPOT_KEYS: Final = frozenset({"spotprice", "bidprice", "spotmarketoptions"})
_NODE_KEYS: Final = re.compile(
    r"karpenter|eks\.amazonaws\.com/|instance-type$|kubernetes\.io/(arch|os)$|topology\.kubernetes\.io/"
)


@dataclass(frozen=True)
class _Place:
    """Where the search is: the path, the mappings around it from outside in, and whether any text counts."""

    path: str
    around: tuple[Mapping[str, Any], ...]
    free_text: bool

    def at(self, key: object) -> _Place:
        return _Place(f"{self.path}.{key}" if self.path else str(key), self.around, self.free_text)

    def inside(self, mapping: Mapping[str, Any]) -> _Place:
        return _Place(self.path, (*self.around, mapping), self.free_text)


def search(props: Mapping[str, Any], also: tuple[str, ...], *, free_text: bool) -> Iterator[Purchase]:
    """Every purchase hidden in `props` (plain data). `free_text`: a GPU type's name in any string is one."""
    yield from _walk(props, also, _Place("", (), free_text))


def _walk(value: Any, also: tuple[str, ...], place: _Place) -> Iterator[Purchase]:
    if isinstance(value, Mapping):
        yield from _mapping(value, also, place.inside(value))
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from _walk(element, also, place.at(index))
    elif isinstance(value, str):
        yield from _text(value, also, place)
    elif isinstance(value, pulumi.Asset):
        yield from _asset(value, also, place)


def _mapping(value: Mapping[str, Any], also: tuple[str, ...], place: _Place) -> Iterator[Purchase]:
    if is_pool(value):
        for purchase in of_pool(value, also):
            yield _with_path(purchase, place)
        return
    if text(value.get("kind")) == "NodeOverlay":  # says what nodes offer, launches none
        return
    for key, element in value.items():
        plain_key = key.lower().replace("-", "").replace("_", "")
        if plain_key in _SELECTORS:
            continue
        here = place.at(key)
        if plain_key.endswith(_TYPE_KEYS) or plain_key in _FAMILY_KEYS:
            yield from _sighted(_named(element, here, also), here)
            yield from _nested(element, also, here)
        elif plain_key == "instancerequirements":
            yield from _sighted(gpus_required(element, here.path, also), here)
        elif plain_key == "requirements" and _are_node_requirements(element):
            yield from _requirements(value, element, also, here)
        else:
            if place.free_text:
                yield from _sighted(_mentioned(key, also, here), here)
            yield from _walk(element, also, here)


def _named(value: Any, place: _Place, also: tuple[str, ...]) -> str | None:
    # Outside free text an unknown type says nothing: most resources with such a key are not ours to judge.
    unknown = isinstance(value, Unknown) or any(isinstance(item, Unknown) for item in each(value))
    return None if unknown and not place.free_text else gpus_named(value, place.path, also)


def _nested(value: Any, also: tuple[str, ...], place: _Place) -> Iterator[Purchase]:
    for element in each(value):
        if isinstance(element, Mapping):
            yield from _walk(element, also, place)
    if isinstance(value, str) and ("," in value or " " in value or "\n" in value):
        yield from _sighted(_mentioned(value, also, place), place)


def _mentioned(value: str, also: tuple[str, ...], place: _Place) -> str | None:
    found = gpu_types_in_text(value, also)
    return f"{', '.join(dict.fromkeys(found))} ({place.path})" if found else None


def _text(value: str, also: tuple[str, ...], place: _Place) -> Iterator[Purchase]:
    if not _RELEVANT.search(value):
        return
    documents = _parsed(value) if "\n" in value or value.lstrip()[:1] in {"{", "["} else []
    if documents:
        for document in documents:
            yield from _walk(document, also, place)
    elif place.free_text:
        yield from _sighted(_mentioned(value, also, place), place)


def _parsed(value: str) -> list[Any]:
    """YAML or JSON documents in a text; none if it is neither (a shell script, a Go template)."""
    try:
        documents = list(yaml.load_all(value, Loader=_Loader))
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    return [plain(document) for document in documents if isinstance(document, Mapping | list)]


def _asset(asset: pulumi.Asset, also: tuple[str, ...], place: _Place) -> Iterator[Purchase]:
    """Value files of a chart. One that cannot be read cannot be cleared."""
    if isinstance(asset, pulumi.StringAsset):
        yield from _text(asset.text + "\n", also, place)
        return
    path = Path(asset.path) if isinstance(asset, pulumi.FileAsset) else None
    try:
        content = path.read_text(encoding="utf-8") if path else None
    except (OSError, UnicodeDecodeError):
        content = None
    if content is not None:
        yield from _text(content + "\n", also, place)
        return
    yield Purchase(
        what=f"whatever {place.path} names",
        why="this file cannot be read here, so its instance types are unknown",
        spot="give the values inline, or run the check where the file is",
        literal=False,
    )


def _are_node_requirements(value: Any) -> bool:
    keys = [text(item.get("key")) for item in each(value) if isinstance(item, Mapping) and "operator" in item]
    return any(_NODE_KEYS.search(key) for key in keys)


def _requirements(
    around: Mapping[str, Any], requirements: Any, also: tuple[str, ...], place: _Place
) -> Iterator[Purchase]:
    """A chart's own way to write a NodePool: judged as one with these requirements."""
    if _capacity(place) == "spot":
        return
    spec = {"requirements": requirements, "nodeClassRef": around.get("nodeClassRef"), "labels": around.get("labels")}
    for purchase in of_pool({"spec": spec}, also):
        yield _with_path(purchase, place, _marks(place))


def _with_path(purchase: Purchase, place: _Place, found: Mapping[str, Any] | Unknown | None = None) -> Purchase:
    return Purchase(
        what=f"{purchase.what} ({place.path or 'manifest'})",
        why=purchase.why,
        spot=purchase.spot,
        literal=purchase.literal,
        marks=purchase.marks if found is None else found,
    )


def _sighted(what: str | None, place: _Place) -> Iterator[Purchase]:
    capacity = _capacity(place)
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
        marks=_marks(place),
    )


def _capacity(place: _Place) -> str | None:
    """What the nearest mapping that says something says: "spot", "other", "unknown"; None if none does."""
    for mapping in reversed(place.around):
        said = _capacity_of(mapping)
        if said is not None:
            return said
    return None


def _capacity_of(mapping: Mapping[str, Any]) -> str | None:
    said: list[str] = []
    for key, value in mapping.items():
        plain_key = key.lower().replace("-", "").replace("_", "")
        if plain_key == "instancemarketoptions" and isinstance(value, Mapping):
            said.append(_capacity_of(value) or "other")
        elif plain_key == "instancesdistribution" and isinstance(value, Mapping):
            said.append("spot" if _no_on_demand(value) else "other")
        elif plain_key in _SPOT_KEYS and value is not None:
            said.append("unknown" if isinstance(value, Unknown) else "spot")
        elif plain_key == "spot" and not isinstance(value, Mapping):
            said.append("spot" if truthy(value) else "other")
        elif plain_key in _CAPACITY_KEYS:
            if isinstance(value, Unknown) or any(isinstance(item, Unknown) for item in each(value)):
                said.append("unknown")
            else:
                values = {item.lower() for item in strings(value)}
                said.append("spot" if values == {"spot"} else "other")
    return next((word for word in ("other", "unknown", "spot") if word in said), None)


def _no_on_demand(distribution: Mapping[str, Any]) -> bool:
    settings = {key.lower(): value for key, value in distribution.items()}
    percentage, base = get(settings, "ondemandpercentageabovebasecapacity"), get(settings, "ondemandbasecapacity")
    return number(percentage) == 0 and (base is None or number(base) == 0)


def _marks(place: _Place) -> Mapping[str, Any] | Unknown:
    """The nearest annotations, tags or plain keys that carry a justification."""
    unknown: Unknown | None = None
    for mapping in reversed(place.around):
        found = marks(mapping)
        if isinstance(found, Unknown):
            unknown = unknown or found
            continue
        for carrier in (mapping, found):
            if JUSTIFICATION in carrier or EXPIRES in carrier:
                return carrier
    return unknown or {}
