"""Where a program configures NVIDIA's device plugin: releases of two charts, ConfigMaps, Bottlerocket's user data.

What a configuration means is read by `gpu.sharing`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, assert_never

from gpu.contract import GPU_RESOURCE, SHARED_RESOURCE
from gpu.sharing import STRATEGIES, MemoryClaims, Mig, Mps, NoSharing, SharingError, SharingProfile, TimeSlicing
from gpu.sharing.bottlerocket import BottlerocketSharing, read_bottlerocket
from gpu.sharing.mig import mig_resource
from gpu.sharing.plugin_chart import PluginRelease, read_mig_manager, read_plugin_release
from gpu.sharing.plugin_config import PluginConfig, read_plugin_config
from gpu.sharing.profile import Strategy
from gpu.sharing.yaml_text import plugin_document
from policy.placement import admitted
from policy.reading import Unknown, get, text

#: Resources that can hold a plugin configuration: charts by their values, ConfigMaps by their data.
CONFIG_TYPES: Final = (
    "kubernetes:helm.sh/*:Release",
    "kubernetes:helm.sh/*:Chart",
    "kubernetes:core/v1:ConfigMap",
    "kubernetes:core/v1:ConfigMapPatch",
)

#: Charts whose values share GPUs: the device plugin's, and the GPU Operator's.
_SHARES_GPUS: Final = re.compile(r"device-plugin|gpu-operator")
#: Where charts take named configurations: the device plugin's own, the GPU Operator's, and a plain ConfigMap, which may
#: hold anything.
_DATA: Final = ("data",)
_PLACES: Final[tuple[tuple[str, ...], ...]] = (
    ("values", "config", "map"),
    ("values", "devicePlugin", "config", "data"),
    _DATA,
)


@dataclass(frozen=True)
class NamedConfig:
    """One configuration of the device plugin. `config` is Unknown where its text is not known in preview."""

    name: str
    path: str
    config: PluginConfig | Unknown
    written: Any = None
    """What it was read from: a text, or what a text would say."""

    def under(self, release: PluginRelease) -> NamedConfig:
        """The same as a release runs it that only names its ConfigMap."""
        return self if isinstance(self.config, Unknown) else replace(self, config=_read(self.written, release))


@dataclass(frozen=True)
class Plugin:
    """What one resource says of device plugins: a release of a chart, or a ConfigMap that one may read."""

    configs: Mapping[str, NamedConfig]
    release: PluginRelease

    def reading(self, config_maps: Mapping[str, Plugin]) -> Plugin:
        """The same with the configurations of the ConfigMap that its values name. config_maps: by name."""
        named = config_maps.get(self.release.config_map)
        if named is None:
            return self
        configs = {name: config.under(self.release) for name, config in named.configs.items()}
        return Plugin(configs, replace(self.release, configs=configs))

    @property
    def by_selector(self) -> bool:
        """Whether it runs a plugin on nodes that it selects; the GPU Operator finds its nodes."""
        return self.release.runs and not self.release.operator

    def runs_on(self, labels: Mapping[str, Any]) -> bool:
        """Whether it may configure nodes of a pool with these labels; those that nobody declares count as there."""
        selection = {"nodeSelector": self.release.node_selector, "affinity": self.release.affinity}
        return admitted(selection, lambda key: (text(labels[key]),) if key in labels else ())

    def config_of(self, labels: Mapping[str, Any]) -> NamedConfig | None:
        """The configuration of a node with these labels; None where there is none, or it is elsewhere."""
        name = self.release.config_name(labels)
        if name == "":
            return NamedConfig("", "its release", _read(None, self.release))
        return self.configs.get(name) if name else None


@dataclass(frozen=True)
class Sharing:
    """How a node's GPUs are shared. `replicas` None where the configuration does not say; `source` says where it is."""

    strategy: Strategy
    source: str
    replicas: int | None = None
    rename: bool = False
    mig_single: bool = False
    mig_profile: str | None = None

    @property
    def resource(self) -> str | None:
        """Name of a slot; None for MIG instances whose profile the configuration does not tell, and for claims."""
        match self.strategy:
            case "mig" if not self.mig_single:
                return mig_resource(self.mig_profile) if self.mig_profile else None
            case "memory":
                return None
            case "none" | "time-slicing" | "mps" | "mig":
                return SHARED_RESOURCE if self.rename else GPU_RESOURCE
            case _:
                assert_never(self.strategy)

    @property
    def shares(self) -> bool:
        """Whether a GPU is cut."""
        return STRATEGIES[self.strategy].shares

    @property
    def profile(self) -> SharingProfile | None:
        """The profile; None where the configuration does not tell enough, or the plugin would refuse it."""
        try:
            match self.strategy:
                case "none":
                    return NoSharing()
                case "time-slicing":
                    return TimeSlicing(self.replicas, self.rename) if self.replicas else None
                case "mps":
                    return Mps(self.replicas, self.rename) if self.replicas else None
                case "mig":
                    return Mig(self.mig_profile) if self.mig_profile else None
                case "memory":
                    return MemoryClaims()
                case _:
                    assert_never(self.strategy)
        except SharingError:
            return None


def named_configs(props: Mapping[str, Any]) -> Iterator[NamedConfig]:
    """Device-plugin configurations in a resource's inputs (plain data)."""
    if _SHARES_GPUS.search(text(props.get("chart"))):
        unknown = {found.path: found for place in _PLACES for found in _unknown_on_the_way(props, place)}
        yield from (NamedConfig("", path, found) for path, found in unknown.items())
    release = release_of(props)
    for place in _PLACES:
        found = get(props, *place)
        if not isinstance(found, Mapping):
            continue
        for name, value in found.items():
            path = ".".join((*place, name))
            if isinstance(value, Unknown):
                if place != _DATA:
                    yield NamedConfig(name, path, value)
            elif place != _DATA or _looks_like_one(value):
                yield NamedConfig(name, path, _read(value, release if place != _DATA else None), value)


def _unknown_on_the_way(props: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[Unknown]:
    steps = (get(props, *place[: end + 1]) for end in range(len(place)))
    return (step for step in steps if isinstance(step, Unknown))


def plugin_of(props: Mapping[str, Any]) -> Plugin | None:
    """The device plugin in a resource's inputs (plain data); None if it configures none."""
    configs = {config.name: config for config in named_configs(props)}
    release = release_of(props)
    if not configs and not (release and release.config_map):
        return None
    # A ConfigMap is read by whoever names it.
    return Plugin(configs, release or PluginRelease(fallbacks=(), runs=False))


def release_of(props: Mapping[str, Any]) -> PluginRelease | None:
    """The release of a chart in a resource's inputs (plain data), if it configures the device plugin."""
    values = get(props, "values")
    return read_plugin_release(values) if isinstance(values, Mapping) else None


def mig_manager_of(props: Mapping[str, Any]) -> str | None:
    """MIG strategy of nodes that the GPU Operator of a resource's inputs (plain data) cuts; None if it has none."""
    values = get(props, "values")
    return read_mig_manager(text(props.get("chart")), values if isinstance(values, Mapping) else {})


def _looks_like_one(value: Any) -> bool:
    """Whether a text in a ConfigMap is a configuration of the plugin."""
    if not isinstance(value, str) or not any(word in value for word in ("sharing", "flags", "migStrategy")):
        return False
    loaded = _loaded(value)
    return isinstance(loaded, Mapping) and ("sharing" in loaded or "flags" in loaded)


def _read(value: Any, release: PluginRelease | None) -> PluginConfig:
    loaded = _loaded(value) if isinstance(value, str) else value
    if loaded is _NO_YAML:
        return PluginConfig(problems=("it is not YAML; the plugin does not start.",))
    return read_plugin_config(release.as_run(loaded) if release else loaded)


_NO_YAML: Final = object()


@lru_cache(maxsize=64)
def _loaded(value: str) -> Any:
    """Rules share it: each of them reads all of the stack's."""
    try:
        return plugin_document(value)
    except ValueError:
        return _NO_YAML


def sharing_of_config(config: PluginConfig, source: str) -> Sharing:
    """What a device-plugin configuration makes of a node."""
    if config.replication != "none":
        return Sharing(config.replication, source, config.first_replicas, config.rename)
    match config.mig:
        case "single" | "mixed":
            return Sharing("mig", source, mig_single=config.mig == "single")
        case "none" | None:
            return Sharing("none", source)
        case _:
            assert_never(config.mig)


def sharing_of_bottlerocket(found: BottlerocketSharing, source: str) -> Sharing:
    """What Bottlerocket's settings make of a node. It knows MIG's `single` strategy alone."""
    sharing = sharing_of_config(found.config, source)
    if found.config.mig != "single":
        return sharing
    profiles = set(found.mig_profiles.values())
    return Sharing("mig", source, mig_single=True, mig_profile=profiles.pop() if len(profiles) == 1 else None)


def bottlerocket_of(node_class: Mapping[str, Any] | None) -> BottlerocketSharing | None:
    """NVIDIA's settings in the user data of an EC2NodeClass (plain inputs); None if there are none, or no TOML."""
    try:
        return read_bottlerocket(text(get(node_class, "spec", "userData")))
    except ValueError:
        return None
