"""Where a GPU type was found, and what stands around it: a capacity type, a justification."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from gpu.contract import EXPIRES_ANNOTATION, JUSTIFICATION_ANNOTATION
from policy.justification import marks
from policy.reading import Unknown, each, get, number, strings, text, truthy, whole

Capacity = Literal["spot", "other", "unknown"]

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
        "spotpolicy",
        "availability",
        "balancingstrategy",
        "instancetargetcapacitytype",
        "targetcapacitytype",
    }
)
_SPOT_KEYS: Final = frozenset({"spotprice", "bidprice", "spotmarketoptions", "maxprice", "maxspotprice"})


def plain_key(key: str) -> str:
    """A key as all styles write it: `capacityType`, `capacity_type` and `capacity-type` are one."""
    return key.lower().replace("-", "").replace("_", "")


@dataclass(frozen=True)
class Place:
    """A path, and the mappings around it from outside in.

    `free_text`: the name of a GPU type in any string counts. `strict`: instance types that are unknown count as GPUs.
    """

    free_text: bool
    strict: bool
    path: str = ""
    around: tuple[Mapping[str, Any], ...] = ()

    def at(self, key: object) -> Place:
        """One key further in."""
        return replace(self, path=f"{self.path}.{key}" if self.path else str(key))

    def inside(self, mapping: Mapping[str, Any]) -> Place:
        """Inside a mapping at this path."""
        return replace(self, around=(*self.around, mapping))

    def capacity(self) -> Capacity | None:
        """What the nearest mapping that says something of capacity says; None if none does."""
        return next((said for said in map(_capacity_of, reversed(self.around)) if said), None)

    def marks(self) -> Mapping[str, Any] | Unknown:
        """The nearest annotations, tags or plain keys that carry a justification."""
        unknown: Unknown | None = None
        for mapping in reversed(self.around):
            found = marks(mapping)
            if isinstance(found, Unknown):
                unknown = unknown or found
                continue
            for carrier in (mapping, found):
                if JUSTIFICATION_ANNOTATION in carrier or EXPIRES_ANNOTATION in carrier:
                    return carrier
        return unknown or {}


def _capacity_of(mapping: Mapping[str, Any]) -> Capacity | None:
    said = {_said(plain_key(key), value) for key, value in mapping.items()}
    order: tuple[Capacity, ...] = ("other", "unknown", "spot")
    return next((word for word in order if word in said), None)


#: Settings by which Spot becomes on-demand: while there is none, for a part, or after a time.
_FALLBACK: Final = re.compile(
    r"(use|enable|allow)?(spot)?fallbacks?(to)?(ondemand|od)?|(use|enable|allow)?ondemand(fallback)?s?(enabled)?"
)
_ON_DEMAND_PART: Final = re.compile(
    r"(min)?ondemand(base|min|count|nodes|instances|replicas|size|capacity|percent|ratio|weight|target)\w*"
)
_ON_DEMAND_SHARE: Final = re.compile(r"ondemand(percent(age)?(abovebase(capacity)?)?|ratio|share|weight)")
_SPOT_PART: Final = re.compile(r"spot(percent(age)?|ratio|share|weight)")
_PATIENCE: Final = re.compile(r"(max)?spot(max)?(wait|timeout)\w*|maxspotwait\w*")
_SWITCH: Final = re.compile(r"(switch|fall[\W_]*back)[\W_]*(to)?[\W_]*on[\W_]*demand", re.IGNORECASE)
_SPOT_WORDS: Final = frozenset({"spot", "spot_only", "spot-only"})
_SPOT_SWITCH: Final = frozenset(
    {
        *("spot", "usespot", "usespotinstances", "spotinstances", "enablespot", "spotenabled", "requestspotinstances"),
        *("requestspot", "enablemanagedspottraining", "managedspottraining"),
    }
)


def _falls_back(key: str, value: Any) -> bool:
    """Whether a setting lets something that is Spot become on-demand. What is not known may do so."""
    if isinstance(value, Unknown):
        return any(one.fullmatch(key) for one in (_FALLBACK, _ON_DEMAND_PART, _SPOT_PART, _PATIENCE))
    if isinstance(value, str) and _SWITCH.search(value):
        return True
    if isinstance(value, Mapping | list):
        inner = value.items() if isinstance(value, Mapping) else (("", element) for element in value)
        return key in {"launchspecifications", "spotspecifications", ""} and any(
            _falls_back(plain_key(str(name)), element) for name, element in inner
        )
    if _FALLBACK.fullmatch(key):
        return truthy(value) or "demand" in text(value).lower()
    if _ON_DEMAND_PART.fullmatch(key):
        return number(value) != 0
    if _SPOT_PART.fullmatch(key):
        share = number(value)
        return share is None or share < (1 if "ratio" in key or "share" in key else 100)
    return _PATIENCE.fullmatch(key) is not None and text(value) not in {"", "0"}


def _said(key: str, value: Any) -> Capacity | None:
    if _falls_back(key, value):
        return "other"
    if key.startswith("ondemand") and _ON_DEMAND_SHARE.fullmatch(key) and whole(value) == 0:
        return "spot"
    return "spot" if _SPOT_PART.fullmatch(key) else _said_of_capacity(key, value)


def _said_inside(key: str, value: Mapping[str, Any]) -> Capacity | None:
    """What a mapping beside the type says of how it is bought."""
    if key == "instancemarketoptions":
        return _capacity_of(value) or "other"
    if key == "instancesdistribution":
        return "spot" if _no_on_demand(value) else "other"
    return _capacity_of(value) if key == "awsattributes" else None  # Databricks


#: Words of capacity types, where a key of another meaning says one: `pricing: onDemand`, `lifecycle: spot`.
_WORD_KEYS: Final = frozenset({"capacity", "pricing", "lifecycle", "purchasing", "billing", "market", "billingtype"})
_WORDS: Final[Mapping[str, Capacity]] = {"spot": "spot", "ondemand": "other", "reserved": "other"}


def _said_in_words(value: Any) -> Capacity | None:
    said = {_WORDS.get(plain_key(word)) for word in strings(value)}
    return None if None in said or not said else "other" if "other" in said else "spot"


def _said_of_capacity(key: str, value: Any) -> Capacity | None:
    if key in _WORD_KEYS:
        return _said_in_words(value)
    if isinstance(value, Mapping) and key in {"instancemarketoptions", "instancesdistribution", "awsattributes"}:
        return _said_inside(key, value)
    if key in _SPOT_SWITCH and not isinstance(value, Mapping | list):
        return "spot" if truthy(value) else "other"
    if key in _SPOT_KEYS:
        if isinstance(value, Unknown):
            return "unknown"
        return "spot" if isinstance(value, Mapping) or text(value) else None
    if key not in _CAPACITY_KEYS:
        return _said_of_target(key, value)
    if isinstance(value, Unknown) or any(isinstance(item, Unknown) for item in each(value)):
        return "unknown"
    return "spot" if {item.lower() for item in strings(value)} <= _SPOT_WORDS and strings(value) else "other"


def _said_of_target(key: str, value: Any) -> Capacity | None:
    """EMR's fleets count what they want of each; 0 says nothing."""
    if key not in ("targetondemandcapacity", "targetspotcapacity") or whole(value) == 0:
        return None
    spot = key == "targetspotcapacity"
    return "unknown" if isinstance(value, Unknown) and not spot else "spot" if spot else "other"


def _no_on_demand(distribution: Mapping[str, Any]) -> bool:
    settings = {key.lower(): value for key, value in distribution.items()}
    percentage, base = get(settings, "ondemandpercentageabovebasecapacity"), get(settings, "ondemandbasecapacity")
    return whole(percentage) == 0 and (base is None or whole(base) == 0)
