"""What NVIDIA's device plugin would offer on a node: from the rendered configuration, not from what Karpenter expects.

A configuration that the plugin would refuse offers nothing, with the reason.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from gpu.contract import CONFIG_LABEL, GPU_COUNT_LABEL, GPU_RESOURCE, INSTANCE_TYPE_LABEL
from gpu.sharing.al2023 import read_mig_cut
from gpu.sharing.bottlerocket import is_bottlerocket, read_bottlerocket
from gpu.sharing.mps import max_mps_clients
from gpu.sharing.plugin_chart import PluginRelease, read_plugin_release
from gpu.sharing.plugin_config import PluginConfig, read_plugin_config
from gpu.sharing.yaml_text import plugin_document
from twin.play.node_selection import selected

if TYPE_CHECKING:
    from gpu.catalog import Gpu


#: What the chart calls its objects where neither release nor values say otherwise.
_CHART = "nvidia-device-plugin"
#: Annotation of the chart's pods.
CHECKSUM = "checksum/config"


@dataclass(frozen=True, kw_only=True)
class InstalledPlugin(PluginRelease):
    """A device plugin as a release of the program installs it on AL2023 nodes."""

    name: str = _CHART
    """Name of its DaemonSet."""
    namespace: str = ""
    """Namespace of its DaemonSet, where it is not the stack's."""
    leaves_out: str = ""
    """Label of nodes that it leaves alone."""
    checksum: str = ""
    """What its pods carry of their configurations: with another one all of them start anew."""

    def runs_on(self, labels: Mapping[str, str]) -> bool:
        """Whether its pod goes to a GPU node with these labels."""
        if self.leaves_out and self.leaves_out in labels:
            return False
        return self.runs and selected(labels, self.node_selector, self.affinity)


@dataclass(frozen=True)
class Offer:
    """Extended resources of a node; none, and why, where the plugin never comes up."""

    resources: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""
    waits_for_mps: bool = False
    """Whether the plugin must find MPS' control daemon first."""
    one_at_most: frozenset[str] = frozenset()
    """Resources of which a container gets one; a pod that asks for more fails."""


def installed_plugins(
    values: Sequence[Mapping[str, Any]], manifests: Sequence[Mapping[str, Any] | None]
) -> tuple[InstalledPlugin, ...]:
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


def _plugin(chart: Mapping[str, Any], manifests: Sequence[Mapping[str, Any] | None]) -> InstalledPlugin:
    release = read_plugin_release(chart) or _plain(chart)
    found = {**vars(release), "name": str(chart.get("fullnameOverride") or _CHART)}
    if release.config_map:
        found["configs"] = _config_map(release.config_map, manifests)
    return InstalledPlugin(**found, checksum=_checksum(chart, release))


def _checksum(chart: Mapping[str, Any], release: PluginRelease) -> str:
    """The chart's annotation `checksum/config` (its _helpers.tpl, podAnnotations), or what the values put in its place.

    The operator's plugin reads a ConfigMap that its DaemonSet does not know.
    """
    given = (chart.get("podAnnotations") or {}).get(CHECKSUM)
    if given is not None or release.operator or release.config_map:
        return str(given or "")
    return sha256(json.dumps(dict(release.configs), sort_keys=True).encode()).hexdigest()


def _plain(chart: Mapping[str, Any]) -> PluginRelease:
    """A plugin without configurations: it gives whole GPUs."""
    selector, tolerations = chart.get("nodeSelector") or {}, chart.get("tolerations") or ()
    affinity = chart.get("affinity") or {}
    return PluginRelease(
        fallbacks=("empty",), node_selector=selector, affinity=affinity, tolerations=tuple(tolerations)
    )


def _config_map(name: str, manifests: Sequence[Mapping[str, Any] | None]) -> Mapping[str, str]:
    for manifest in manifests:
        if manifest and manifest["kind"] == "ConfigMap" and manifest["metadata"]["name"] == name:
            data: Mapping[str, str] = manifest.get("data") or {}
            return data
    return {}


def offer(
    labels: Mapping[str, str],
    node_class: Mapping[str, Any] | None,
    plugins: Sequence[InstalledPlugin],
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
        return _offer(_config(labels, plugins), count, _cut(user_data), labels)
    except ValueError as refused:
        return Offer(problem=str(refused))


def _offer(config: PluginConfig, count: int, instances: Counter[str], labels: Mapping[str, str]) -> Offer:
    """Raises ValueError where the plugin would not start, or would wait for ever."""
    if config.problems:
        raise ValueError(config.problems[0])
    mps = config.replication == "mps"
    gpu, replicas = _gpu(labels) if mps else None, config.first_replicas
    if gpu and replicas and replicas > max_mps_clients(gpu):
        raise ValueError(f"one MPS server on {gpu.product} takes {max_mps_clients(gpu)} clients, not {replicas}")
    return Offer(config.offered(config.devices(count, instances)), waits_for_mps=mps, one_at_most=config.single)


# --- The chart's plugin on AL2023 -------------------------------------------------------------------------------------


def _config(labels: Mapping[str, str], plugins: Sequence[InstalledPlugin]) -> PluginConfig:
    here = [plugin for plugin in plugins if plugin.runs_on(labels)]
    if not here:
        raise ValueError("no device plugin is installed" + (" for its labels" if plugins else ""))
    if len(here) > 1:
        names = ", ".join(plugin.name for plugin in here)
        raise ValueError(f"{len(here)} device plugins run on it and take the kubelet's socket from each other: {names}")
    (plugin,) = here
    name = plugin.config_name(labels)
    if name == "":
        return PluginConfig()
    if name is None or name not in plugin.configs:
        known = ", ".join(sorted(plugin.configs)) or "none"
        wanted = f"label {CONFIG_LABEL} asks for configuration {name!r}" if name else "the node asks for none"
        raise ValueError(f"{wanted}, and there are: {known}")
    try:
        return _read(plugin.configs[name])
    except ValueError as error:
        raise ValueError(f"configuration {name!r} is {error}") from error


@functools.lru_cache(maxsize=256)
def _read(text: str) -> PluginConfig:
    """A configuration; many nodes have the same."""
    return read_plugin_config(plugin_document(text))


_cut = functools.lru_cache(maxsize=256)(read_mig_cut)


# --- Bottlerocket's own ----------------------------------------------------------------------------------------------


def _bottlerocket(count: int, labels: Mapping[str, str], user_data: str) -> Offer:
    found = read_bottlerocket(user_data)
    if found is None:
        return Offer({GPU_RESOURCE: count})
    instances = Counter[str]()
    if found.config.mig == "single":
        # It fills the GPU with one profile.
        gpu = _gpu(labels)
        if gpu is None:
            raise ValueError("the instance type is not in the catalogue")
        profile = found.mig_profile(gpu)
        if profile is None:
            raise ValueError(f"mig.profile names no profile for {gpu.product}")
        instances[profile] = gpu.mig_profiles[profile].max_per_gpu
    return _offer(found.config, count, instances, labels)


def _gpu(labels: Mapping[str, str]) -> Gpu | None:
    from gpu.catalog import INSTANCE_TYPES  # noqa: PLC0415  only for MPS and MIG

    found = INSTANCE_TYPES.get(labels.get(INSTANCE_TYPE_LABEL, ""))
    return found.gpu if found else None
