"""How Helm releases hand configurations to NVIDIA's device plugin: its own chart, and the GPU Operator's.

A node takes the configuration that its label names, else the release's default, else a fallback: of the plugin's chart
one that is called `default`, or the only one (`config.fallbackStrategies: [named, single]` of its values); of the
operator an empty one (gpu-operator v26.7.0 controllers/object_controls.go, FALLBACK_STRATEGIES). Strategies among the
values of a release become variables of the plugin's container, and win over every configuration
(daemonset-device-plugin.yml; `UpdateFromCLIFlags` in the plugin's api/config/v1/flags.go).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gpu.contract import CONFIG_LABEL, MIG_CONFIG_LABEL
from gpu.sharing.plugin_config import known_value

_NAMED = "default"
_FALLBACKS = ("named", "single")
_STRATEGIES = ("named", "single", "empty")
_EMPTY: Mapping[str, Any] = {}
_OPERATOR: Final = "gpu-operator"
#: Layouts of the operator's MIG manager that cut all GPUs alike: its ConfigMap default-mig-parted-config.
_LAYOUT: Final = re.compile(r"all-([1-7]g\.\d+gb)")


@dataclass(frozen=True, kw_only=True)
class PluginRelease:
    """What the values of one release say."""

    configs: Mapping[str, Any] = field(default_factory=dict)
    """Configurations by name, as they are given: YAML text, as a rule."""
    config_map: str = ""
    """Name of a ConfigMap that holds them instead; empty where they are in the values."""
    twice: bool = False
    """Whether they are in the values and in a ConfigMap."""
    default: str = ""
    """Configuration of nodes without the label, if it is set."""
    fallbacks: tuple[str, ...] = _FALLBACKS
    """What follows where it is not: `named`, `single`, `empty`."""
    node_selector: Mapping[str, Any] = field(default_factory=dict)
    """Labels that a node must have. Empty for the operator, which finds its nodes."""
    affinity: Mapping[str, Any] = field(default_factory=dict)
    """Affinity of its pods; empty for the chart's own, by which it runs wherever there is a GPU."""
    tolerations: tuple[Mapping[str, Any], ...] = ()
    operator: bool = False
    """Whether the GPU Operator installs it."""
    settled: bool = True
    """Whether it is known which configuration is the default."""
    runs: bool = True
    """Whether it runs a plugin at all."""
    mig: str | None = None
    """MIG strategy that it sets for all its configurations."""
    device_lists: tuple[str, ...] | None = None
    """How all its containers learn of their devices, whatever their configuration says; empty where it is unknown."""

    def as_run(self, config: Any) -> Any:
        """A configuration, as it was YAML, with what the release sets over it."""
        written = _EMPTY if config is None else config
        flags = (written.get("flags") or _EMPTY) if isinstance(written, Mapping) else None
        if not isinstance(flags, Mapping) or (self.mig is None and self.device_lists is None):
            return config
        changed = dict(flags)
        if self.mig is not None:
            changed["migStrategy"] = self.mig
        plugin = flags.get("plugin") or _EMPTY
        if self.device_lists is not None and isinstance(plugin, Mapping):
            changed["plugin"] = {**plugin, "deviceListStrategy": list(self.device_lists)}
        return {**written, "flags": changed}

    @property
    def problems(self) -> tuple[str, ...]:
        """Why Helm does not install it, or its plugin starts on no node without a label of its own."""
        names = ", ".join(sorted(self.configs))
        if self.twice:
            return ("config.name and config.map are both given, which the chart refuses: keep one.",)
        if not self.configs or not self.settled:
            return ()
        if self.default:
            missing = self.default not in self.configs
            told = f"config.default names {self.default}, and there is no such configuration (there are: {names})."
            return (f"{told} The plugin starts on no node without a label.",) if missing else ()
        if self.config_name(_EMPTY) is None:
            given = ", ".join(map(str, self.fallbacks)) or "none"
            return (
                f"nodes without a label get no configuration of {names} (fallbackStrategies: {given}): write "
                "config.default.",
            )
        return ()

    def config_name(self, labels: Mapping[str, Any]) -> str | None:
        """Configuration of a node with these labels; empty for none at all, None where the plugin does not start.

        A label that names what does not exist is given back as it is: the plugin waits for it for ever.
        """
        named = labels.get(CONFIG_LABEL) or self.default
        if named:
            return str(named)
        for fallback in self.fallbacks:
            if fallback == "named" and _NAMED in self.configs:
                return _NAMED
            if fallback == "single" and len(self.configs) == 1:
                return next(iter(self.configs))
            if fallback == "empty":
                return ""
            if fallback not in _STRATEGIES:
                return None  # the plugin's config-manager ends there
        return None


def read_plugin_release(values: Mapping[str, Any]) -> PluginRelease | None:
    """What the values of a chart say of the device plugin; None where they configure none.

    Reads the device plugin's own chart (`config.map`, `config.name`) and the GPU Operator's (`devicePlugin.config`).
    """
    plugin = _mapping(values.get("devicePlugin"))
    operator = isinstance(plugin.get("config"), Mapping)
    section = _mapping((plugin if operator else values).get("config"))
    configs = _mapping(section.get("data" if operator else "map"))
    name = section.get("name")
    if not configs and not name:
        return None
    given = section.get("fallbackStrategies")
    fallbacks = tuple(given) if isinstance(given, list | tuple) else _FALLBACKS
    tolerations = (_mapping(values.get("daemonsets")) if operator else values).get("tolerations")
    default = section.get("default")
    return PluginRelease(
        configs=configs,
        config_map="" if configs or not isinstance(name, str) else name,
        twice=bool(configs) and isinstance(name, str) and bool(name) and not operator,
        default=default if isinstance(default, str) else "",
        fallbacks=("empty",) if operator else fallbacks,
        node_selector=_EMPTY if operator else _mapping(values.get("nodeSelector")),
        affinity=_EMPTY if operator else _mapping(values.get("affinity")),
        tolerations=tuple(item for item in _list(tolerations) if isinstance(item, Mapping)),
        operator=operator,
        settled=all(known_value(value) for value in (default, given, *fallbacks)),
        runs=plugin.get("enabled") is not False,
        mig=_mig(values, operator=operator),
        device_lists=None if operator else _device_lists(values.get("deviceListStrategy")),
    )


def read_mig_manager(chart: str, values: Mapping[str, Any]) -> str | None:
    """MIG strategy of nodes that the GPU Operator's MIG manager cuts; None where a release has none, or it is unknown.

    In the operator's values the manager is on and `mig.strategy` is `single` where they do not say otherwise.
    """
    if not chart.rstrip("/").endswith(_OPERATOR) or _mapping(values.get("migManager")).get("enabled") is False:
        return None
    strategy = _mapping(values.get("mig")).get("strategy", "single")
    return strategy if strategy in ("none", "single", "mixed") else None


def mig_layout(labels: Mapping[str, Any]) -> str | None:
    """Profile by which the MIG manager cuts all GPUs of a node: that of `all-1g.10gb`. None for other layouts."""
    found = _LAYOUT.fullmatch(str(labels.get(MIG_CONFIG_LABEL, "")))
    return found[1] if found else None


def _mig(values: Mapping[str, Any], *, operator: bool) -> str | None:
    given = _mapping(values.get("mig")).get("strategy") if operator else values.get("migStrategy")
    # `single` is what the operator says where nobody did, and leaves GPUs whole that nobody cut.
    return given if isinstance(given, str) and not (operator and given in {"", "single"}) else None


def _device_lists(given: Any) -> tuple[str, ...] | None:
    if not known_value(given):
        return ()  # whatever it is, it is not what the configurations say
    return tuple(part.strip() for part in given.split(",")) if isinstance(given, str) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else _EMPTY


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()
