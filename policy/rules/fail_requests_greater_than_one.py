"""A node must refuse pods that ask for more than one slot."""

from __future__ import annotations

from collections.abc import Iterator

from policy.device_plugin import CONFIG_TYPES, bottlerocket_of, named_configs
from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity
from policy.reading import Unknown
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
        replication = config.config.replication
        if replication != "none" and not config.config.one_at_most:
            state = "is not written" if config.config.one_at_most is None else "is false"
            yield f"{config.path}, {replication}: {_KEY} {state}. Write `{_KEY}: true`."
    found = bottlerocket_of(props)
    if found and found.config.replication == "time-slicing" and not found.config.one_at_most:
        yield f"spec.userData, time-slicing: {_TOML_KEY} is false. Write `{_TOML_KEY} = true`."


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
