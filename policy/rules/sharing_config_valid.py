"""Sharing configurations that NVIDIA's plugin would refuse, ignore or hang on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpu.sharing import MAX_MPS_REPLICAS, MIN_REPLICAS
from policy.device_plugin import (
    CONFIG_TYPES,
    NamedConfig,
    Strategy,
    bottlerocket_nvidia,
    named_configs,
    replicas,
    sections,
)
from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity
from policy.reading import Unknown, get, text, whole
from policy.sharing import NODE_CLASS_TYPES


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield what is wrong with each configuration."""
    props = resource.plain
    for config in named_configs(props):
        yield from (f"{config.path}: {problem}" for problem in _problems(config))
    nvidia = bottlerocket_nvidia(text(get(props, "spec", "userData")))
    if nvidia is not None:
        yield from (f"spec.userData: {problem}" for problem in _bottlerocket_problems(nvidia))


def _problems(config: NamedConfig) -> Iterator[str]:
    if isinstance(config.config, Unknown):
        return  # gpu-refuses-more-than-one-slot says it already
    found = sections(config.config)
    if len(found) > 1:
        yield "timeSlicing and mps are both given; the plugin takes mps and says nothing. Keep one."
    for strategy, section in found.items():
        figures = replicas(section)
        if not figures:
            yield f"{strategy} names no resources; the plugin does not start. Write resources with name and replicas."
        for figure in figures:
            yield from _replica_problems(strategy, figure)
    if "mps" in found and text(get(config.config, "flags", "migStrategy")) == "mixed":
        yield "MPS with migStrategy mixed; the plugin does not start. MPS shares whole GPUs: write migStrategy none."
    if "mps" in found and text(get(config.config, "version")) != "v1":
        yield "version is not v1, the only one that the plugin takes."


def _bottlerocket_problems(nvidia: Mapping[str, Any]) -> Iterator[str]:
    strategy = text(nvidia.get("device-sharing-strategy"))
    for name in ("time-slicing", "mps"):
        figure = get(nvidia, name, "replicas")
        if strategy == name and figure is not None:
            yield from _replica_problems("mps" if name == "mps" else "time-slicing", figure)
    if strategy == "mps" and text(nvidia.get("device-partitioning-strategy")) == "mig":
        yield "MPS and MIG together: the plugin does not start and the node offers no GPU. Keep one."


def _replica_problems(strategy: Strategy, figure: Any) -> Iterator[str]:
    found = whole(figure)
    if found is None or found < MIN_REPLICAS:
        yield f"{strategy} replicas are {text(figure) or 'missing'}; the plugin wants a whole number of at least 2."
    elif strategy == "mps" and found > MAX_MPS_REPLICAS:
        yield f"{found} MPS replicas; one MPS server takes {MAX_MPS_REPLICAS} clients at most."


RULE = ResourceRule(
    name="gpu-sharing-config-valid",
    title="The device plugin can run with its configuration",
    description="A sharing configuration must be one that NVIDIA's device plugin neither refuses nor silently ignores.",
    why=(
        "The plugin's configuration is not validated where it is written: with MPS and mixed MIG, or a single replica, "
        "it stops on the node, which then offers no GPU and is paid for; with both strategies it takes MPS without a "
        "word (NVIDIA/k8s-device-plugin v0.20.0: validateFlags, replicas.go, mps/device.go)."
    ),
    fix="One strategy a configuration, 2 to 48 replicas under MPS and at least 2 under time-slicing, no MPS with MIG.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(*CONFIG_TYPES, *NODE_CLASS_TYPES),
    check=check,
)
