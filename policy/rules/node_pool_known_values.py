"""Requirements ask for nodes that there can be."""

from __future__ import annotations

from collections.abc import Iterator

from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity
from policy.karpenter import KNOWN_VALUES, NodePool


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield values that no node has. Those that are not known in preview, and other labels, say nothing here."""
    for item in NodePool(resource.plain, resource.name).requirements:
        known = KNOWN_VALUES.get(item.key)
        if known is None or item.values is None or item.operator not in {"In", "NotIn"}:
            continue
        wrong = [value for value in item.values if value not in known]
        if wrong:
            yield (
                f"{item.key} {item.operator} [{', '.join(item.values)}]: no node has {' or '.join(map(repr, wrong))}; "
                f"write {', '.join(sorted(known))}."
            )


RULE = ResourceRule(
    name="node-pool-known-values",
    title="Pools ask for nodes that there can be",
    description=(
        "Karpenter's pools, claims and overlays must name capacity types, kinds of reservations, architectures and "
        "operating systems as nodes have them."
    ),
    why=(
        "Values are compared letter by letter. A pool whose `karpenter.sh/capacity-type` is `On-Demand` never gets "
        "ready, one whose `kubernetes.io/arch` is `x86_64` never launches a node, and an overlay with such a value "
        "matches none, all without an error when it is applied. With `NotIn` a misspelt value excludes nothing: the "
        "pool buys what it was meant to avoid."
    ),
    fix=(
        "Write `spot`, `on-demand` or `reserved` for `karpenter.sh/capacity-type`, `amd64` or `arm64` for "
        "`kubernetes.io/arch`, `linux` or `windows` for `kubernetes.io/os`, and `default` or `capacity-block` for "
        "`karpenter.k8s.aws/capacity-reservation-type`."
    ),
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=tuple(f"kubernetes:karpenter.sh/*:{kind}*" for kind in ("NodePool", "NodeClaim", "NodeOverlay")),
    check=check,
)
