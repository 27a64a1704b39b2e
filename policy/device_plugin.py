"""Reading how GPUs are shared where it is configured: NVIDIA's device plugin on AL2023, user data on Bottlerocket.

Sources: NVIDIA/k8s-device-plugin v0.20.0 api/config/v1; bottlerocket.dev `settings.kubelet-device-plugins.nvidia`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import yaml

from policy.reading import Unknown, each, get, text, truthy, whole

Strategy = Literal["none", "time-slicing", "mps", "mig"]

GPU: Final = "nvidia.com/gpu"
SHARED: Final = "nvidia.com/gpu.shared"

#: Resources that can hold a plugin configuration: charts by their values, ConfigMaps by their data.
CONFIG_TYPES: Final = ("kubernetes:helm.sh/*:Release", "kubernetes:helm.sh/*:Chart", "kubernetes:core/v1:ConfigMap")

#: Charts whose values share GPUs: the device plugin's, and the GPU Operator's.
_SHARES_GPUS: Final = re.compile(r"device-plugin|gpu-operator")
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Where charts take named configurations: the device plugin's own, the GPU Operator's, and a plain ConfigMap.
_PLACES: Final[tuple[tuple[str, ...], ...]] = (
    ("values", "config", "map"),
    ("values", "devicePlugin", "config", "data"),
    ("data",),
)
_DEFAULTS: Final[tuple[tuple[str, ...], ...]] = (
    ("values", "config", "default"),
    ("values", "devicePlugin", "config", "default"),
)


@dataclass(frozen=True)
class NamedConfig:
    """One configuration of the device plugin. `config` is Unknown where its text is not known in preview."""

    name: str
    path: str
    config: Mapping[str, Any] | Unknown


@dataclass(frozen=True)
class Plugin:
    """What one resource says of device plugins: a release of a chart, or a ConfigMap that one may read.

    `selector`: labels that the chart's nodes must have; None where it runs no plugin itself, and for the GPU Operator,
    which finds its nodes.
    """

    configs: Mapping[str, NamedConfig]
    default: str | None
    selector: Mapping[str, Any] | None

    def runs_on(self, labels: Mapping[str, Any]) -> bool:
        """Whether it may configure nodes of a pool with these labels; those that nobody declares count as there."""
        selector = self.selector or {}
        return all(isinstance(v, Unknown) or text(labels.get(k, v)) == text(v) for k, v in selector.items())


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
        """Name of a slot; None for MIG instances whose profile the configuration does not tell."""
        if self.strategy == "mig" and not self.mig_single:
            return f"nvidia.com/mig-{self.mig_profile}" if self.mig_profile else None
        return SHARED if self.rename else GPU


def named_configs(props: Mapping[str, Any]) -> Iterator[NamedConfig]:
    """Device-plugin configurations in a resource's inputs (plain data)."""
    if _SHARES_GPUS.search(text(props.get("chart"))):
        unknown = {found.path: found for place in _PLACES for found in _unknown_on_the_way(props, place)}
        yield from (NamedConfig("", path, found) for path, found in unknown.items())
    for place in _PLACES:
        found = get(props, *place)
        if not isinstance(found, Mapping):
            continue
        for name, value in found.items():
            path = ".".join((*place, name))
            if isinstance(value, Unknown):
                if place != ("data",):  # any ConfigMap may hold anything
                    yield NamedConfig(name, path, value)
                continue
            config = _parsed(value)
            if config is not None:
                yield NamedConfig(name, path, config)


def _unknown_on_the_way(props: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[Unknown]:
    steps = (get(props, *place[: end + 1]) for end in range(len(place)))
    return (step for step in steps if isinstance(step, Unknown))


def plugin_of(props: Mapping[str, Any]) -> Plugin | None:
    """The device plugin in a resource's inputs (plain data); None if it configures none."""
    configs = {config.name: config for config in named_configs(props)}
    if not configs:
        return None
    names = [text(get(props, *place)) for place in _DEFAULTS]
    chart = isinstance(get(props, "values", "config", "map"), Mapping)
    # `fallbackStrategies` of the plugin's chart: a configuration of that name, or the only one.
    if chart:
        names += ["default"] if "default" in configs else list(configs) if len(configs) == 1 else []
    default = next((name for name in names if name), None)
    selector = get(props, "values", "nodeSelector")
    runs = chart and get(props, "values", "devicePlugin", "enabled") is not False
    return Plugin(configs, default, (selector if isinstance(selector, Mapping) else {}) if runs else None)


def _parsed(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, str):
        value = _loaded(value) if any(word in value for word in ("sharing", "flags", "migStrategy")) else None
    is_config = isinstance(value, Mapping) and ("sharing" in value or "flags" in value)
    return value if is_config else None


@lru_cache(maxsize=64)
def _loaded(value: str) -> Any:
    """What YAML says, None if it is none. Rules share it and change nothing: each of them reads all of the stack's."""
    try:
        return yaml.load(value, Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def sections(config: Mapping[str, Any]) -> dict[Strategy, Mapping[str, Any]]:
    """The sharing sections of a configuration, by strategy."""
    keys: tuple[tuple[str, Strategy], ...] = (("timeSlicing", "time-slicing"), ("mps", "mps"))
    found = {strategy: get(config, "sharing", key) for key, strategy in keys}
    return {strategy: section for strategy, section in found.items() if isinstance(section, Mapping)}


def replicas(section: Mapping[str, Any]) -> list[Any]:
    """The replica figures of a section, one a resource, as they are written."""
    return [get(resource, "replicas") for resource in each(section.get("resources"))]


def sharing_of_config(config: Mapping[str, Any], source: str) -> Sharing:
    """What a device-plugin configuration makes of a node. MPS wins where both are given (it does in the plugin)."""
    for strategy, section in sorted(sections(config).items()):
        return Sharing(strategy, source, _whole(replicas(section)), truthy(section.get("renameByDefault")))
    mig = text(get(config, "flags", "migStrategy"))
    if mig in {"single", "mixed"}:
        return Sharing("mig", source, mig_single=mig == "single")
    return Sharing("none", source)


def sharing_of_user_data(user_data: str, source: str) -> Sharing | None:
    """What Bottlerocket's user data makes of a node; None if it says nothing about sharing, or is no TOML."""
    nvidia = bottlerocket_nvidia(user_data)
    if nvidia is None:
        return None
    if text(nvidia.get("device-partitioning-strategy")) == "mig":
        # Bottlerocket knows MIG's `single` strategy alone: every instance is an nvidia.com/gpu.
        given = get(nvidia, "mig", "profile")
        profiles = {text(value) for value in given.values()} if isinstance(given, Mapping) else set()
        return Sharing("mig", source, mig_single=True, mig_profile=profiles.pop() if len(profiles) == 1 else None)
    strategies: dict[str, Strategy] = {"time-slicing": "time-slicing", "mps": "mps"}
    strategy = strategies.get(text(nvidia.get("device-sharing-strategy")))
    if strategy is None:
        return Sharing("none", source)
    section = get(nvidia, strategy)
    rename, given_replicas = get(section, "rename-by-default"), get(section, "replicas")
    # The host service renames unless told otherwise, contrary to the chart, and makes two replicas.
    renamed = True if rename is None else truthy(rename)
    return Sharing(strategy, source, 2 if given_replicas is None else _whole([given_replicas]), renamed)


def bottlerocket_nvidia(user_data: str) -> Mapping[str, Any] | None:
    """The NVIDIA settings in Bottlerocket's user data; None if there are none, or if it is no TOML."""
    if "nvidia" not in user_data:
        return None
    try:
        found = get(tomllib.loads(user_data), "settings", "kubelet-device-plugins", "nvidia")
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def _whole(given: list[Any]) -> int | None:
    """The first figure that makes slots; gpu-sharing-config-valid says what is none."""
    return next((figure for figure in map(whole, given) if figure is not None and figure > 0), None)
