"""A node must refuse pods that ask for more than one slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policy.device_plugin import CONFIG_TYPES, bottlerocket_nvidia, named_configs, sections
from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity
from policy.reading import Unknown, get, text, truthy
from policy.sharing import NODE_CLASS_TYPES

_KEY = "failRequestsGreaterThanOne"
_TOML_KEY = "fail-requests-greater-than-one"


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield every sharing section that leaves it open, or says no."""
    props = resource.plain
    for config in named_configs(props):
        if isinstance(config.config, Unknown):
            yield f"{config.path} must be a literal, so that {_KEY} can be seen"
            continue
        for strategy, section in sections(config.config).items():
            if not truthy(section.get(_KEY)):
                yield f"{config.path}, {strategy}: {_state(section, _KEY)}. Write `{_KEY}: true`."
    nvidia = bottlerocket_nvidia(text(get(props, "spec", "userData"))) or {}
    sliced = nvidia.get("time-slicing") if text(nvidia.get("device-sharing-strategy")) == "time-slicing" else None
    if isinstance(sliced, Mapping) and not truthy(sliced.get(_TOML_KEY)):
        yield f"spec.userData, time-slicing: {_state(sliced, _TOML_KEY)}. Write `{_TOML_KEY} = true`."


def _state(section: Mapping[str, object], key: str) -> str:
    return f"{key} is {text(section[key]) or 'empty'}" if key in section else f"{key} is not written"


RULE = ResourceRule(
    name="gpu-refuses-more-than-one-slot",
    title="More than one slot for a container is refused",
    description=f"Device-plugin configurations that share GPUs must say `{_KEY}: true`.",
    why=(
        "Two slots are not twice the GPU: time-slicing gives the same share, MPS another share of the same GPU or of "
        "the next. A pod that asks for two takes a slot away from somebody and gains nothing. The plugin's defaults "
        "differ (false for time-slicing, true for MPS since 0.20), so only the written word counts."
    ),
    fix=f"Write `{_KEY}: true` in every `sharing` section, on Bottlerocket `{_TOML_KEY} = true` under time-slicing.",
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=(*CONFIG_TYPES, *NODE_CLASS_TYPES),
    check=check,
)
