"""A NodeOverlay must not change prices."""

from collections.abc import Iterator

from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity
from policy.reading import declared

_PRICE_FIELDS = ("price", "priceAdjustment")


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield the price fields that are set."""
    for name in _PRICE_FIELDS:
        if declared(resource.props, "spec", name):
            yield f"spec.{name} is set: remove it and keep to spec.capacity."


RULE = ResourceRule(
    name="gpu-no-price-overlays",
    title="NodeOverlays leave prices alone",
    description="A Karpenter NodeOverlay must not set `price` or `priceAdjustment`.",
    why=(
        "With an overlaid price Karpenter stops asking EC2 for the Spot pools that are least likely to be reclaimed: "
        "the allocation strategy changes from price-capacity-optimized to capacity-optimized-prioritized. Capacity "
        "overlays do not have that effect."
    ),
    fix="Remove `spec.price` and `spec.priceAdjustment`. To prefer one pool over another, give its NodePool a weight.",
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=("kubernetes:karpenter.sh/*:NodeOverlay", "kubernetes:karpenter.sh/*:NodeOverlayPatch"),
    check=check,
)
