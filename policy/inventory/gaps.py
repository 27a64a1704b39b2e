"""Values that are not known, where a carrier could hold an object, a pod or a machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from policy.inventory.item import Blind, Item
from policy.inventory.texts import parsed
from policy.placeholders import PLACEHOLDER, without_placeholders
from policy.reading import Unknown

#: Keys below which tools put objects, pods, values of charts, machines and what runs; any style of writing them.
_HOLDS: Final = re.compile(
    r".*(spec|template|container|manifest|object|rawitem|helm|chart|requirement|patch|script|command)(s|es)?"
    r"|.*(node|machine|worker|instance|runner)s?(pool|group|type|typeid|size|class|config|set|famil(y|ies))?(e?s)?(ondemand|args)?"
    r"|(compute)?(pool|worker|environment|resource|task|step|component|item|value|source|object|famil(y|ies)|flavou?r)s?"
    r"|.*(values|poolspecs|replicaspecs|computeresources|settings|nodepool|types?)|extra\w*|hardware|whitelists?|data|raw"
    r"|(launch|inline)?parameters?|env|workload|provider|postbuild|forprovider|definitions?|tofieldpath|patchset(s|name)"
    r"|groups?|eksconfig\w*|base|dynamic|terraform|overrides?|input|experimental|capacity|target|properties|ingress|ollama|mixedinstancespolicy"
    r"|kustomize|plugin|program|inputs|constraints|predictor|platform|topology|variables|vars|substitute|config"
    r"|driver|executor|controller|jcasc|configscripts|postrenderers?|inline|accelerators?|amazonec2config|\w*helmconfigs?|(job|new)clusters?|stdin|create|update|delete|environment|generate|foreach|rules|pipeline|(custom)?deploy|args|jsonpatches",
)
#: Keys that say the same words of other things.
_OTHER: Final = re.compile(
    r".*(securitygroup|targetgroup|loggroup|subnet|parametergroup|usergroup|consumergroup).*|(storage|ingress|gateway|priority|runtime)class(name)?"
    r"|.*(hosted|db|rds|cache|database).*|(secret|storage|volume|service|resource)types?"
)

#: Keys below which tools only ask, compare and choose, as policies that refuse do.
_ASKS: Final = re.compile(r"validate|verifyimages|preconditions|conditions|celpreconditions|match|exclude|context|when")

#: Maps whose entries are pools, groups and the like, by names of their own.
_ENTRIES: Final = re.compile(
    r".*(pools|groups|environments|instances|workers|definitions|components|templates|runnerconfig|helmconfigs?|configscripts)"
)


def gaps(item: Item) -> Iterator[Blind]:
    """Unknown values in a carrier that no rule understands as it is."""
    parts: list[tuple[str, str, Any, bool]] = [(item.place, "", item.props, False)]
    while parts:
        place, key, value, entry = parts.pop()
        if isinstance(value, Unknown):
            if entry or _may_hold(key) or (key == "content" and item.type.startswith("kubernetes:")):
                yield Blind(place, "is unknown in preview")
        elif isinstance(value, Mapping):
            if isinstance(value.get("kind"), Unknown):
                yield Blind(f"{place}.kind".lstrip("."), "is unknown in preview")
            named = _ENTRIES.fullmatch(key) is not None and _may_hold(key)
            for inner, element in value.items():
                if inner != "metadata" and not _ASKS.fullmatch(_plain(str(inner))):
                    parts.append((f"{place}.{inner}".lstrip("."), _plain(str(inner)), element, named))
        elif isinstance(value, list):
            parts += ((f"{place}.{index}", key, element, entry) for index, element in enumerate(value))
        elif isinstance(value, str) and "\n" in value and PLACEHOLDER.search(value):
            parts += ((place, key, without_placeholders(document), False) for document in parsed(value + "\n"))


def _plain(key: str) -> str:
    return key.lower().replace("-", "").replace("_", "").rpartition(":")[2]


def _may_hold(key: str) -> bool:
    return _HOLDS.fullmatch(key) is not None and _OTHER.fullmatch(key) is None
