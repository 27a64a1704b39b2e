"""What NVIDIA's device plugin would offer on a node: from the rendered configuration, not from what Karpenter expects.

Rules: NVIDIA/k8s-device-plugin v0.20.0 (`api/config/v1`, chart templates) and Bottlerocket's
`settings.kubelet-device-plugins.nvidia`. A configuration that the plugin would refuse offers nothing, with the reason.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

CONFIG_LABEL = "nvidia.com/device-plugin.config"
GPU_COUNT_LABEL = "karpenter.k8s.aws/instance-gpu-count"
GPU = "nvidia.com/gpu"

#: What the chart calls its objects where neither release nor values say otherwise.
_CHART = "nvidia-device-plugin"
#: `fallbackStrategies` of the chart's configuration manager: a configuration of that name, or the only one.
_FALLBACK = "default"
#: Instances that user data cuts out of each GPU: `nvidia-smi mig -i N -cgi 1g.10gb,1g.10gb`.
_CUT = re.compile(r"nvidia-smi\s+mig\b[^\n]*?\s-cgi\s+([\w.,+]+)")
#: The same as the program's own unit says it: `gpu-slices-mig 1g.10gb 7` (components/mig.service).
_UNIT = re.compile(r"^ExecStart=\S*gpu-slices-mig ([\w.+]+) (\d+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class PluginConfigs:
    """A device plugin as a release of the program installs it on AL2023 nodes."""

    name: str = _CHART
    """Name of its DaemonSet."""
    configs: Mapping[str, str] = field(default_factory=dict)
    """Configuration files (YAML) by the name that the node label selects."""
    default: str = ""
    """Configuration of nodes without the label; empty: none."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    """Labels that a node must have for the plugin's pod to run on it."""
    tolerations: Sequence[Mapping[str, Any]] = ()

    def runs_on(self, labels: Mapping[str, str]) -> bool:
        """Whether its pod goes to a GPU node with these labels."""
        return all(labels.get(key) == value for key, value in self.node_selector.items())


@dataclass(frozen=True)
class Offer:
    """Extended resources of a node; none, and why, where the plugin never comes up."""

    resources: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""
    waits_for_mps: bool = False
    """Whether the plugin must find MPS' control daemon first."""


def plugin_configs(
    values: Sequence[Mapping[str, Any]], manifests: Sequence[Mapping[str, Any] | None]
) -> tuple[PluginConfigs, ...]:
    """Device plugins from the values of their charts, or of the GPU Operator's.

    values: of the releases that install them. manifests: where a named ConfigMap may stand.
    """
    plugins = [_plugin(chart, manifests) for chart in values]
    taken = Counter(plugin.name for plugin in plugins)
    # Helm names a release's objects after the release, which is not in its values.
    return tuple(
        replace(plugin, name=f"{plugin.name}-{i}") if taken[plugin.name] > 1 else plugin
        for i, plugin in enumerate(plugins, 1)
    )


def _plugin(chart: Mapping[str, Any], manifests: Sequence[Mapping[str, Any] | None]) -> PluginConfigs:
    operator = "devicePlugin" in chart and "config" in chart["devicePlugin"]
    section = (chart["devicePlugin"] if operator else chart).get("config") or {}
    configs = section.get("data" if operator else "map") or _config_map(section.get("name"), manifests)
    default = section.get("default") or (_FALLBACK if _FALLBACK in configs else "")
    if not default and len(configs) == 1:
        default = next(iter(configs))
    tolerations = ((chart.get("daemonsets") or {}) if operator else chart).get("tolerations") or ()
    return PluginConfigs(
        name=str(chart.get("fullnameOverride") or _CHART),
        configs=dict(configs),
        default=default,
        # The operator labels GPU nodes itself.
        node_selector={} if operator else dict(chart.get("nodeSelector") or {}),
        tolerations=tuple(tolerations),
    )


def _config_map(name: str | None, manifests: Sequence[Mapping[str, Any] | None]) -> Mapping[str, str]:
    for manifest in manifests:
        if manifest and manifest["kind"] == "ConfigMap" and name and manifest["metadata"]["name"] == name:
            data: Mapping[str, str] = manifest.get("data") or {}
            return data
    return {}


def offer(
    labels: Mapping[str, str],
    node_class: Mapping[str, Any] | None,
    plugins: Sequence[PluginConfigs],
) -> Offer:
    """What a GPU node offers.

    labels: the node's. node_class: its EC2NodeClass; None where it has none.
    """
    count = int(labels.get(GPU_COUNT_LABEL, "0"))
    if not count:
        return Offer()
    spec = (node_class or {}).get("spec") or {}
    user_data = str(spec.get("userData") or "")
    try:
        if is_bottlerocket(spec):
            return _bottlerocket(count, labels, user_data)
        return _chart(count, labels, user_data, plugins)
    except _RefusedError as refused:
        return Offer(problem=str(refused))


class _RefusedError(Exception):
    """The plugin would not start, or would wait for ever."""


def is_bottlerocket(spec: Mapping[str, Any]) -> bool:
    """Whether nodes of an EC2NodeClass with this `spec` run Bottlerocket."""
    aliases = [str(term.get("alias", "")) for term in spec.get("amiSelectorTerms") or ()]
    return spec.get("amiFamily") == "Bottlerocket" or any(alias.startswith("bottlerocket@") for alias in aliases)


# --- The chart's plugin on AL2023 -------------------------------------------------------------------------------------


def _chart(count: int, labels: Mapping[str, str], user_data: str, plugins: Sequence[PluginConfigs]) -> Offer:
    here = [plugin for plugin in plugins if plugin.runs_on(labels)]
    if not here:
        raise _RefusedError("no device plugin is installed" + (" for its labels" if plugins else ""))
    if len(here) > 1:
        names = ", ".join(plugin.name for plugin in here)
        raise _RefusedError(
            f"{len(here)} device plugins run on it and take the kubelet's socket from each other: {names}"
        )
    (plugin,) = here
    name = labels.get(CONFIG_LABEL) or plugin.default
    if name not in plugin.configs:
        known = ", ".join(sorted(plugin.configs)) or "none"
        wanted = f"label {CONFIG_LABEL} asks for configuration {name!r}" if name else "the node asks for none"
        raise _RefusedError(f"{wanted}, and there are: {known}")
    try:
        config = _parsed(plugin.configs[name])
    except yaml.YAMLError as error:
        raise _RefusedError(f"configuration {name!r} is not YAML: {error}") from error
    if not isinstance(config, dict) or config.get("version") != "v1":
        raise _RefusedError(f"configuration {name!r} is not of version v1")
    devices = _devices(count, (config.get("flags") or {}).get("migStrategy", "none"), user_data)
    sharing = config.get("sharing") or {}
    return Offer(_shared(devices, sharing), waits_for_mps=bool(sharing.get("mps")))


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    """A configuration; many nodes have the same."""
    return yaml.safe_load(text)


def _devices(count: int, strategy: str, user_data: str) -> dict[str, int]:
    """Resources before sharing, by NVIDIA's MIG strategies."""
    instances = _cut(user_data)
    if strategy == "none" or not instances:
        return {GPU: count}
    if strategy == "mixed":
        return {f"nvidia.com/mig-{profile}": number * count for profile, number in sorted(instances.items())}
    if strategy == "single" and len(instances) == 1:
        return {GPU: instances.total() * count}
    raise _RefusedError(f"migStrategy {strategy} does not go with the MIG instances {', '.join(sorted(instances))}")


def _cut(user_data: str) -> Counter[str]:
    """MIG instances of each GPU by profile."""
    if unit := _UNIT.search(user_data):
        return Counter({unit[1]: int(unit[2])})
    cut = _CUT.search(user_data)
    return Counter(cut[1].split(",")) if cut else Counter()


def _shared(devices: Mapping[str, int], sharing: Mapping[str, Any]) -> dict[str, int]:
    kinds = [kind for kind in ("timeSlicing", "mps") if sharing.get(kind)]
    if len(kinds) > 1:
        raise _RefusedError("timeSlicing and mps exclude each other")
    if not kinds:
        return dict(devices)
    rules = sharing[kinds[0]]
    offered = dict(devices)
    for entry in rules.get("resources") or ():
        replicas = entry.get("replicas")
        if not isinstance(replicas, int) or replicas < 2:
            raise _RefusedError(f"replicas of {entry.get('name')} must be 2 or more, not {replicas!r}")
        if entry["name"] not in offered:
            continue
        number = offered.pop(entry["name"]) * replicas
        renamed = f"{entry['name']}.shared" if rules.get("renameByDefault") else entry["name"]
        offered[entry.get("rename") or renamed] = number
    return offered


# --- Bottlerocket's own ----------------------------------------------------------------------------------------------

_MIG_PROFILE = re.compile(r"\d+g\.\d+gb(?:\+me)?")


def _bottlerocket(count: int, labels: Mapping[str, str], user_data: str) -> Offer:
    try:
        settings = tomllib.loads(user_data).get("settings") or {}
    except tomllib.TOMLDecodeError as error:
        raise _RefusedError(f"the user data is not TOML: {error}") from error
    nvidia = (settings.get("kubelet-device-plugins") or {}).get("nvidia") or {}
    if nvidia.get("device-partitioning-strategy") == "mig":
        count *= _mig_instances(nvidia, labels)
    strategy = nvidia.get("device-sharing-strategy", "none")
    if strategy == "none":
        return Offer({GPU: count})
    rules = nvidia.get(strategy) or {}
    replicas = rules.get("replicas", 0)
    if replicas < 2:
        raise _RefusedError(f"{strategy} needs 2 or more replicas, the user data says {replicas}")
    # Bottlerocket renames unless it is told not to, the opposite of the chart.
    name = f"{GPU}.shared" if rules.get("rename-by-default", True) else GPU
    return Offer({name: count * replicas}, waits_for_mps=strategy == "mps")


def _mig_instances(nvidia: Mapping[str, Any], labels: Mapping[str, str]) -> int:
    """MIG instances per GPU. Bottlerocket's profile names are NVIDIA's; it fills the GPU with one of them."""
    from gpu.catalog import INSTANCE_TYPES  # noqa: PLC0415  only for MIG

    instance_type = INSTANCE_TYPES.get(labels.get("node.kubernetes.io/instance-type", ""))
    wanted = (nvidia.get("mig") or {}).get("profile") or {}
    if instance_type is None:
        raise _RefusedError("the instance type is not in the catalogue")
    gpu = instance_type.gpu
    for key, profile in wanted.items():
        if key.partition(".")[0] == gpu.name and profile in gpu.mig_profiles:
            return gpu.mig_profiles[profile].max_per_gpu
    raise _RefusedError(f"mig.profile names no profile for {gpu.product}")
