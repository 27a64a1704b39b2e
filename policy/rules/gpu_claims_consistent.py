"""What Karpenter is told of claims, what NVIDIA's driver does, and who owns the GPUs say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpu.contract import CONSUMABLE_ANNOTATION
from policy.dra import DevicePlugin, DriverRelease, device_plugins, drivers, karpenters
from policy.framework import EnforcementLevel, Finding, Settings, Severity, Stack, StackRule
from policy.karpenter import NodePool
from policy.pods import POD_TYPES
from policy.reading import Unknown, get, text, truthy
from policy.sharing import NODE_CLASS_TYPES, SHARING_TYPES, SharingView, claims_of, is_bottlerocket


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield disagreements about claims, and GPUs with two owners."""
    view, found = SharingView(stack), list(drivers(stack))
    told: set[str] = set()
    for resource in stack.of(*NODE_CLASS_TYPES):
        given = get(resource.plain, "metadata", "annotations", CONSUMABLE_ANNOTATION)
        if isinstance(given, Unknown):
            yield Finding(f"annotation {CONSUMABLE_ANNOTATION} must be a literal.", resource.urn)
        elif claims_of(resource.plain):
            told.add(claims_of(resource.plain))
    if told:
        yield from _gates(stack)
        for driver in found:
            yield from (Finding(problem, driver.urn) for problem in _shares(driver, told))
    plugins = list(device_plugins(stack)) if told or found else []
    for pool in view.pools:
        node_class = view.node_class(pool.pool)
        problems = _owners(pool.pool, node_class, found, plugins)
        yield from (Finding(f"pool {pool.name}: {problem}", pool.urn) for problem in problems)


def _gates(stack: Stack) -> Iterator[Finding]:
    for karpenter in karpenters(stack):
        if isinstance(karpenter.gate, Unknown):
            yield Finding(f"{karpenter.gate.path} must be a literal.", karpenter.urn)
        elif not karpenter.gate:
            message = (
                f"an EC2NodeClass has {CONSUMABLE_ANNOTATION}, and Karpenter's gate for it is off, with which the "
                "class is never ready: set settings.awsFeatureGates.draNVIDIAGPU: true."
            )
            yield Finding(message, karpenter.urn)


def _shares(driver: DriverRelease, told: set[str]) -> Iterator[str]:
    unknown = [value.path for value in (driver.shares, driver.gate) if isinstance(value, Unknown)]
    if unknown:
        yield f"{', '.join(unknown)} must be a literal."
    elif not truthy(driver.gate):
        yield "an EC2NodeClass says that claims share a GPU, and featureGates.ConsumableShares of the driver is off."
    elif told != {text(driver.shares)}:
        yield (
            f"consumableShares is {text(driver.shares) or 'not set'}, and EC2NodeClasses say "
            f"{', '.join(sorted(told))}: Karpenter would buy for other claims than the driver takes."
        )


def _owners(
    pool: NodePool, node_class: Mapping[str, Any] | None, found: list[DriverRelease], plugins: list[DevicePlugin]
) -> Iterator[str]:
    """Device plugins on nodes of claims, and the driver on nodes of a device plugin."""
    claimed = node_class is not None and bool(claims_of(node_class))
    owner = next((plugin.name for plugin in plugins if plugin.runs_on(pool)), "")
    if node_class is not None and is_bottlerocket(node_class):
        owner = "Bottlerocket's device plugin"
    if claimed and owner:
        yield f"its GPUs are claimed, and {owner} offers them as well: keep it off these nodes by labels"
    elif not claimed and owner and any(driver.runs_on(pool) for driver in found):
        yield f"{owner} offers its GPUs, and NVIDIA's DRA driver runs on its nodes too: give that a nodeSelector"


RULE = StackRule(
    name="gpu-claims-consistent",
    title="Claims, gates and drivers agree",
    description=(
        "Where an EC2NodeClass says that claims share its GPUs, Karpenter's gate must be on, NVIDIA's DRA driver must "
        "share the same, and no device plugin may run on those nodes, nor that driver on a device plugin's."
    ),
    why=(
        "Karpenter cannot read how the driver is set: with another setting each claim buys a GPU of its own, and "
        "nothing says why. With the gate off the class is never ready. A GPU that a device plugin and the driver both "
        "hand out is given twice; the driver's chart and the plugin's select the same nodes by default."
    ),
    fix=(
        "Set `settings.awsFeatureGates.draNVIDIAGPU: true` of Karpenter's chart, and of the driver's "
        "`featureGates.ConsumableShares: true` and `consumableShares` as the annotation "
        "`karpenter.k8s.aws/nvidia-consumable-capacity` says. Give nodes of claims a label that the driver selects "
        "(`kubeletPlugin.nodeSelector`) and the device plugin does not, or keep it off by a required node affinity; "
        'with the GPU Operator also `nvidia.com/gpu.deploy.operands: "false"`.'
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(*SHARING_TYPES, *POD_TYPES),
    check=check,
)
