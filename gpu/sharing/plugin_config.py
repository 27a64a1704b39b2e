"""Configuration of NVIDIA's Kubernetes device plugin: written from a sharing profile, and read as the plugin reads it.

Schema and rules: NVIDIA/k8s-device-plugin v0.20.0, `api/config/v1` (config.go, sharing.go, replicas.go, strategy.go),
`cmd/nvidia-device-plugin` (validateFlags) and `internal/rm` (device_map.go). tests/unit/gpu/nvidia holds both sides
against NVIDIA's own parser. The plugin does not refuse keys that it does not know, and knows its own in any case of
letters; what stands in a list of resources it takes as it is written.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, assert_never

from gpu.contract import GPU_RESOURCE, NVIDIA_PREFIX
from gpu.sharing.memory import MemoryClaims
from gpu.sharing.mig import Mig, mig_resource
from gpu.sharing.mps import MAX_MPS_REPLICAS, Mps
from gpu.sharing.none import NoSharing
from gpu.sharing.profile import MIN_REPLICAS, SharingError
from gpu.sharing.time_slicing import TimeSlicing

if TYPE_CHECKING:
    from gpu.sharing import SharingProfile

#: Where the chart mounts the MPS control daemon's files (`mps.root` of the chart).
MPS_ROOT = "/run/nvidia/mps"
VERSION = "v1"

Replication = Literal["none", "time-slicing", "mps"]
MigStrategy = Literal["none", "single", "mixed"]
_MIG_STRATEGIES: tuple[MigStrategy, ...] = ("none", "single", "mixed")
_SECTIONS: tuple[tuple[str, Replication], ...] = (("timeSlicing", "time-slicing"), ("mps", "mps"))
#: Types of the flags that say nothing of sharing; the plugin refuses others, such as "true" in quotes.
_FLAGS: Mapping[str, type] = {
    **dict.fromkeys(("failOnInitError", "gdrcopyEnabled", "gdsEnabled", "mofedEnabled", "useNodeFeatureAPI"), bool),
    **dict.fromkeys(("mpsRoot", "nvidiaDriverRoot", "nvidiaDevRoot", "deviceDiscoveryStrategy"), str),
}
_PLUGIN_FLAGS: Mapping[str, type] = {
    "passDeviceSpecs": bool,
    **dict.fromkeys(("deviceIDStrategy", "cdiAnnotationPrefix", "nvidiaCTKPath", "containerDriverRoot"), str),
}
#: What Go's int, of 64 bits, holds.
_LARGEST = 2**63 - 1
_WANTED: Mapping[type, str] = {bool: "true or false, without quotes", str: "a text"}
_LISTS = ("envvar", "volume-mounts", "cdi-annotations", "cdi-cri")
_MAX_NAME = 63
#: Digits of a configuration's digest in its name.
_DIGEST = 8
#: Kubernetes' name of a DNS subdomain.
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
#: Index of a GPU or of a MIG instance, UUID of either, also in the form of drivers before 470.
_DEVICE = re.compile(rf"\d+(:\d+)?\Z|(GPU|MIG)-{_UUID}\Z|MIG-GPU-{_UUID}/\d+/\d+\Z")


# --- Written ----------------------------------------------------------------------------------------------------------


def device_plugin_config(profile: SharingProfile, *, untrusted: bool = False) -> dict[str, Any]:
    """One named configuration of the device plugin, ready to be written as YAML.

    untrusted: the plugin tells the container runtime of a slot's device by a mount that pods without rights on the host
    cannot make, instead of by the variable NVIDIA_VISIBLE_DEVICES, which any image can set. It needs a node whose
    runtime listens to mounts and not to the variable (`gpu.sharing.container_toolkit`). Raises SharingError for claims
    of memory, which no device plugin gives.
    """
    config: dict[str, Any] = {"version": VERSION, "flags": {"migStrategy": "none"}}
    if untrusted:
        config["flags"]["plugin"] = {"deviceListStrategy": ["volume-mounts"]}
    match profile:
        case NoSharing():
            pass
        case TimeSlicing():
            config["sharing"] = {"timeSlicing": _replicated(profile)}
        case Mps():
            config["flags"]["mpsRoot"] = MPS_ROOT
            config["sharing"] = {"mps": _replicated(profile)}
        case Mig():
            config["flags"]["migStrategy"] = "mixed"
        case MemoryClaims():
            raise SharingError("GPUs whose memory is claimed belong to NVIDIA's DRA driver, and not to a device plugin")
        case _:
            assert_never(profile)
    return config


def config_name(pool: str, profile: SharingProfile, *, untrusted: bool = False) -> str:
    """What a pool's configuration is called, and its nodes' label says: another name for whatever is in it.

    A node keeps its labels, so it keeps its cut until Karpenter replaces it; a name that stayed the same would have its
    plugin cut the GPUs anew below the pods that run on them. At most 62 characters: a label's value takes 63.
    """
    written = json.dumps(device_plugin_config(profile, untrusted=untrusted), sort_keys=True)
    return f"{pool}.{profile.strategy}.{sha256(written.encode()).hexdigest()[:_DIGEST]}"


def _replicated(profile: TimeSlicing | Mps) -> dict[str, Any]:
    return {
        "renameByDefault": profile.rename,
        # Two replicas are not twice the GPU: a request for more than one slot is a mistake. The default differs
        # between time-slicing (false) and MPS (true), so it is always written.
        "failRequestsGreaterThanOne": True,
        "resources": [{"name": GPU_RESOURCE, "replicas": profile.replicas}],
    }


# --- Read -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PluginConfig:
    """What the device plugin makes of a configuration.

    What is not known yet, a value of any type that no configuration holds, is None here and no problem.
    """

    replication: Replication = "none"
    """What copies devices. MPS goes before time-slicing."""
    replicas: Mapping[str, int | None] | None = field(default_factory=dict)
    """By resource, under the name that it has without sharing; None where the list is not known."""
    rename: bool = False
    """Whether copies are called `<resource>.shared`. A `rename` of one resource's own is ignored."""
    mig: MigStrategy | None = "none"
    one_at_most: bool | None = None
    """Whether a container gets one copy at most. None where the configuration leaves it to the plugin or is unknown."""
    device_lists: tuple[str, ...] | None = None
    """How containers learn of their devices; None where the plugin's own default stands, which is `envvar`."""
    problems: tuple[str, ...] = ()
    """Why the plugin does not start. The rest is what it would be without them."""
    ignored: tuple[str, ...] = ()
    """What it goes on without, and says only in its log."""

    @property
    def first_replicas(self) -> int | None:
        """Copies of the first resource that has some; None where none has, or it is not known."""
        return next((copies for copies in (self.replicas or {}).values() if copies and copies > 0), None)

    def offered(self, devices: Mapping[str, int]) -> dict[str, int]:
        """Extended resources of a node. devices: what it has by resource before they are copied."""
        found = dict(devices)
        for name, copies in (self.replicas or {}).items():
            if name in devices and copies is not None:
                number = found.pop(name) * copies
                found[f"{name}.shared" if self.rename else name] = number
        return found

    @property
    def single(self) -> frozenset[str]:
        """Resources of which a container gets one at most: the plugin refuses more. Under MPS, whatever is written."""
        if self.replication == "none" or not (self.replication == "mps" or self.one_at_most):
            return frozenset()
        return frozenset(f"{name}.shared" if self.rename else name for name in self.replicas or {})

    def devices(self, gpus: int, instances: Counter[str]) -> dict[str, int]:
        """Resources of a node before any is copied. instances: MIG instances that each GPU was cut into, by profile.

        Raises ValueError where the plugin would not start on such a node (device_map.go, assertAllMigDevicesAreValid).
        """
        if self.mig == "none" or not instances:
            return {GPU_RESOURCE: gpus}
        if self.replication == "mps":
            raise ValueError("sharing using MPS is not supported for MIG devices")
        if self.mig == "mixed":
            return {mig_resource(profile): number * gpus for profile, number in sorted(instances.items())}
        if self.mig == "single" and len(instances) == 1:
            return {GPU_RESOURCE: instances.total() * gpus}
        raise ValueError(f"migStrategy {self.mig} does not go with the MIG instances {', '.join(sorted(instances))}")


def read_plugin_config(config: Any) -> PluginConfig:
    """Read a configuration that was YAML. Never raises; what the plugin would refuse is in `problems`."""
    if config is None:
        return PluginConfig()  # an empty file is an empty configuration
    if not isinstance(config, Mapping):
        return PluginConfig(problems=("it is no mapping; the plugin does not start.",))
    problems: list[str] = [*_version(config)]
    mig, lists = _flags(config, problems)
    sections, ignored = _sections(config, problems)
    replication: Replication = "mps" if "mps" in sections else "time-slicing" if sections else "none"
    section = sections.get(replication, _NO_SECTION)
    if len(sections) > 1:
        ignored.append("timeSlicing and mps are both given; the plugin takes mps and says nothing. Keep one.")
    if replication == "mps" and mig == "mixed":
        problems.append(
            "MPS with migStrategy mixed; the plugin does not start. MPS shares whole GPUs: write migStrategy none."
        )
    return PluginConfig(
        replication=replication,
        replicas=section.replicas,
        rename=section.rename,
        mig=mig,
        one_at_most=section.one_at_most,
        device_lists=lists,
        problems=tuple(problems),
        ignored=tuple(ignored),
    )


@dataclass(frozen=True)
class _Section:
    replicas: Mapping[str, int | None] | None
    rename: bool
    one_at_most: bool | None


_NO_SECTION = _Section({}, rename=False, one_at_most=None)
_ABSENT = object()


def known_value(value: Any) -> bool:
    """Whether a value is one that YAML or TOML has: what is unknown in a preview is an object of another kind."""
    return value is None or isinstance(value, bool | int | float | str | date | time | Mapping | list | tuple)


def _field(config: Any, name: str) -> Any:
    """A field of one of the plugin's structures: encoding/json knows it in any case of letters."""
    if not isinstance(config, Mapping):
        return _ABSENT
    if name in config:
        return config[name]
    return next((v for k, v in config.items() if isinstance(k, str) and k.lower() == name.lower()), _ABSENT)


def _version(config: Mapping[str, Any]) -> Iterator[str]:
    version = _field(config, "version")
    if version is not _ABSENT and known_value(version) and version not in (None, "", VERSION):
        yield f"version is not {VERSION}, the only one that the plugin takes."


def _flags(config: Mapping[str, Any], problems: list[str]) -> tuple[MigStrategy | None, tuple[str, ...] | None]:
    flags = _part(config, "flags", problems)
    given = _field(flags, "migStrategy")
    mig: MigStrategy | None = next((strategy for strategy in _MIG_STRATEGIES if strategy == given), None)
    if given is _ABSENT or given is None:
        mig = "none"
    elif mig is None and known_value(given):
        problems.append(f"migStrategy is {_said(given)}; the plugin knows none, single and mixed.")
    plugin = _part(flags, "plugin", problems)
    for section, types in ((flags, _FLAGS), (plugin, _PLUGIN_FLAGS)):
        for name, wanted in types.items():
            value = _field(section, name)
            if value is not _ABSENT and value is not None and known_value(value) and not isinstance(value, wanted):
                problems.append(f"{name} is {_said(value)}; the plugin wants {_WANTED[wanted]}.")
    return mig, _device_lists(_field(plugin, "deviceListStrategy"), problems)


def _device_lists(given: Any, problems: list[str]) -> tuple[str, ...] | None:
    if given is _ABSENT or given is None or not known_value(given):
        return None
    named = [given] if not isinstance(given, list | tuple) else given
    wrong = [name for name in named if known_value(name) and name not in _LISTS]
    problems += [f"deviceListStrategy {_said(name)} is none; the plugin knows {', '.join(_LISTS)}." for name in wrong]
    return tuple(name for name in named if name in _LISTS)


def _part(config: Any, name: str, problems: list[str]) -> Any:
    """A structure within the plugin's configuration."""
    part = _field(config, name)
    if part is not _ABSENT and part is not None and known_value(part) and not isinstance(part, Mapping):
        problems.append(f"{name} is no section; the plugin does not start.")
    return part


def _sections(config: Mapping[str, Any], problems: list[str]) -> tuple[dict[Replication, _Section], list[str]]:
    """The sections of `sharing`, by what they do, and what the plugin ignores in them."""
    sharing, ignored = _part(config, "sharing", problems), list[str]()
    found: dict[Replication, _Section] = {}
    for key, replication in _SECTIONS:
        given = _field(sharing, key)
        if given is _ABSENT or (given is None and replication == "mps"):
            continue  # a null for mps is none; for timeSlicing it is a section without resources
        if not known_value(given):
            found[replication] = _Section(None, rename=False, one_at_most=None)
        elif given is None or isinstance(given, Mapping):
            found[replication] = _section(given or {}, replication, problems, ignored)
        else:
            problems.append(f"{key} is no section; the plugin does not start.")
    return found, ignored


def _section(given: Mapping[str, Any], replication: Replication, problems: list[str], ignored: list[str]) -> _Section:
    for name in ("renameByDefault", "failRequestsGreaterThanOne"):
        value = given.get(name)
        if value is not None and known_value(value) and not isinstance(value, bool):
            problems.append(f"{replication} {name} is {_said(value)}; the plugin wants true or false.")
    resources = given.get("resources")
    replicas: dict[str, int | None] | None = {}
    if not known_value(resources):
        replicas = None
    elif not isinstance(resources, list | tuple) or not resources:
        problems.append(
            f"{replication} names no resources; the plugin does not start. Write resources with name and replicas."
        )
    else:
        replicas = dict(_resource(resource, replication, problems, ignored) for resource in resources)
    rename, one = given.get("renameByDefault"), given.get("failRequestsGreaterThanOne")
    return _Section(replicas, rename=rename is True, one_at_most=one if isinstance(one, bool) else None)


def _resource(given: Any, replication: Replication, problems: list[str], ignored: list[str]) -> tuple[str, int | None]:
    resource: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    if known_value(given) and not isinstance(given, Mapping):
        problems.append(
            f"{replication} resources hold {_said(given)}; the plugin wants a section with name and replicas."
        )
        return GPU_RESOURCE, None
    name = _name(resource.get("name"), f"{replication} resources: name", problems)
    copies = resource.get("replicas", _ABSENT)
    known = whole(copies)
    if copies is _ABSENT or (known_value(copies) and (known is None or known < MIN_REPLICAS)):
        said = "missing" if copies is _ABSENT or copies is None else _said(copies)
        problems.append(f"{replication} replicas are {said}; the plugin wants a whole number of at least 2.")
    elif replication == "mps" and known is not None and known > MAX_MPS_REPLICAS:
        problems.append(f"{known} MPS replicas; one MPS server takes {MAX_MPS_REPLICAS} clients at most.")
    if "rename" in resource:
        _name(resource["rename"], f"{replication} resources: rename", problems)
        ignored.append(f"rename of {name}: only renameByDefault is supported yet.")
    if "devices" in resource:
        ignored += _devices(resource["devices"], name, problems)
    return name or GPU_RESOURCE, known


def _name(given: Any, what: str, problems: list[str]) -> str | None:
    """A resource's full name; the plugin adds its prefix where that is missing."""
    if not known_value(given):
        return None
    short = given.removeprefix(NVIDIA_PREFIX) if isinstance(given, str) else ""
    if len(NVIDIA_PREFIX) + len(short) > _MAX_NAME or not _SUBDOMAIN.match(short):
        said = _said(given) if given else "missing"
        problems.append(f"{what} is {said}; the plugin wants one such as {GPU_RESOURCE}.")
        return None
    return NVIDIA_PREFIX + short


def _devices(given: Any, name: str | None, problems: list[str]) -> Iterator[str]:
    """What the plugin ignores about `devices`, once it could read it."""
    if given == "all" or not known_value(given):
        return
    if isinstance(given, list | tuple):
        good = all(_is_device(device) for device in given if known_value(device))
    else:
        count = whole(given)
        good = count is not None and count > 0
    if not good:
        problems.append(f"devices of {name} are {_said(given)}; the plugin wants all, a number, or a list of devices.")
    else:
        yield f"devices of {name}: all of them are copied, whatever the list says."


def _is_device(given: Any) -> bool:
    index = whole(given)
    return (index is not None and index >= 0) or (isinstance(given, str) and bool(_DEVICE.match(given)))


def whole(value: Any) -> int | None:
    """A whole number, also one that came as 4.0; None for everything else, texts among it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    found = int(value) if isinstance(value, int) or value.is_integer() else None
    return found if found is not None and abs(found) <= _LARGEST else None


def _said(value: Any) -> str:
    """A value in a message; Python refuses to write the longest integers in decimals."""
    try:
        return str(value)
    except ValueError:
        return "a number without end"
