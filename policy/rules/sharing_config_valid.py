"""Sharing configurations that NVIDIA's plugin would refuse, ignore or hang on."""

from __future__ import annotations

from collections.abc import Iterator

from policy.device_plugin import CONFIG_TYPES, bottlerocket_of, named_configs, release_of
from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity
from policy.reading import Unknown
from policy.sharing import NODE_CLASS_TYPES


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield what is wrong with each configuration."""
    props = resource.plain
    for config in named_configs(props):
        if not isinstance(config.config, Unknown):  # gpu-refuses-more-than-one-slot says it already
            yield from (f"{config.path}: {problem}" for problem in (*config.config.problems, *config.config.ignored))
    release = release_of(props)
    if release is not None and release.runs:
        yield from (f"values: {problem}" for problem in release.problems)
    found = bottlerocket_of(props)
    if found is not None:
        yield from (f"spec.userData: {problem}" for problem in found.problems)


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
