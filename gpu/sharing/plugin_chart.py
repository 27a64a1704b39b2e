"""How Helm releases hand configurations to NVIDIA's device plugin: its own chart, and the GPU Operator's.

A node takes the configuration that its label names, else the release's default, else a fallback: of the plugin's chart
one that is called `default`, or the only one (`config.fallbackStrategies: [named, single]` of its values); of the
operator an empty one (gpu-operator v26.7.0 controllers/object_controls.go, FALLBACK_STRATEGIES).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpu.contract import CONFIG_LABEL

_NAMED = "default"
_FALLBACKS = ("named", "single")
_EMPTY: Mapping[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class PluginRelease:
    """What the values of one release say."""

    configs: Mapping[str, Any] = field(default_factory=dict)
    """Configurations by name, as they are given: YAML text, as a rule."""
    config_map: str = ""
    """Name of a ConfigMap that holds them instead; empty where they are in the values."""
    default: str = ""
    """Configuration of nodes without the label, if it is set."""
    fallbacks: tuple[str, ...] = _FALLBACKS
    """What follows where it is not: `named`, `single`, `empty`."""
    node_selector: Mapping[str, Any] = field(default_factory=dict)
    """Labels that a node must have. Empty for the operator, which finds its nodes."""
    tolerations: tuple[Mapping[str, Any], ...] = ()
    operator: bool = False
    """Whether the GPU Operator installs it."""
    runs: bool = True
    """Whether it runs a plugin at all."""

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
    fallbacks = tuple(_list(section.get("fallbackStrategies"))) or _FALLBACKS
    tolerations = (_mapping(values.get("daemonsets")) if operator else values).get("tolerations")
    default = section.get("default")
    return PluginRelease(
        configs=configs,
        config_map="" if configs or not isinstance(name, str) else name,
        default=default if isinstance(default, str) else "",
        fallbacks=("empty",) if operator else fallbacks,
        node_selector=_EMPTY if operator else _mapping(values.get("nodeSelector")),
        tolerations=tuple(item for item in _list(tolerations) if isinstance(item, Mapping)),
        operator=operator,
        runs=plugin.get("enabled") is not False,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else _EMPTY


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()
