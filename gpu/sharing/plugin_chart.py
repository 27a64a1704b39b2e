"""How Helm releases hand configurations to NVIDIA's device plugin: its own chart, and the GPU Operator's.

A node takes the configuration that its label names, else the release's default, else a fallback: of the plugin's chart
one that is called `default`, or the only one (`config.fallbackStrategies: [named, single]` of its values); of the
operator an empty one (gpu-operator v26.7.0 controllers/object_controls.go, FALLBACK_STRATEGIES).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gpu.contract import CONFIG_LABEL, MIG_CONFIG_LABEL

_NAMED = "default"
_FALLBACKS = ("named", "single")
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


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else _EMPTY


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()
