"""All that says how a pool's GPUs are shared says the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gpu.contract import CONFIG_LABEL, GPU_RESOURCE, SHARING_LABEL
from policy.device_plugin import Sharing
from policy.framework import EnforcementLevel, Finding, Settings, Severity, Stack, StackRule
from policy.instances import Candidate
from policy.reading import Unknown, get, quantity, text
from policy.sharing import SHARING_TYPES, Gpus, JudgedPool, Overlay, SharingView, is_bottlerocket, sharing_view

#: Types that a message names.
_NAMED: Final = 4

Told = Sequence[tuple[Gpus, Candidate, Sequence[Overlay]]]
"""What Karpenter is told of a pool's types: their GPUs, and the overlays that are for them."""


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield every disagreement, pool by pool."""
    view = sharing_view(stack)
    for pool in view.pools:
        told = [(gpus, candidate, pool.overlays(candidate, view.overlays)) for gpus, candidate in pool.types]
        problems = [*_naming(view, pool), *_conflicts(told), *_auto_mode(pool, told)]
        if pool.sharing is not None:
            problems += [
                *_labels(pool, pool.sharing),
                *_capacity(pool, pool.sharing, told),
                *_limits(pool, pool.sharing),
            ]
        for problem in problems:
            yield Finding(f"pool {pool.name}: {problem}", pool.urn)


def _auto_mode(pool: JudgedPool, told: Told) -> Iterator[str]:
    """EKS Auto Mode has a device plugin of its own, and knows no overlays (EKS user guide, Auto Mode)."""
    if not pool.pool.auto_mode:
        return
    labels = [name for name in (CONFIG_LABEL, SHARING_LABEL) if pool.pool.labels.get(name) not in {None, "none"}]
    overlays = sorted({overlay.name for _, _, found in told for overlay in found})
    for what in (*(f"label {name}" for name in labels), *(f"NodeOverlay {name}" for name in overlays)):
        yield f"{what} does nothing in EKS Auto Mode, whose GPUs are whole: use a node class of Karpenter's own"


def _naming(view: SharingView, pool: JudgedPool) -> Iterator[str]:
    node_class = view.node_class(pool.pool)
    user_data = get(node_class, "spec", "userData")
    bottlerocket = node_class is not None and is_bottlerocket(node_class)
    if isinstance(user_data, Unknown) and bottlerocket:
        yield f"{user_data.path} of its EC2NodeClass must be a literal, for it configures the device plugin"
    labels = pool.pool.labels
    charts = [plugin for plugin in view.plugins if plugin.by_selector and plugin.runs_on(labels)]
    if len(charts) > 1 and not bottlerocket:
        configs = "; ".join(", ".join(sorted(plugin.configs)) for plugin in charts)
        yield (
            f"{len(charts)} releases of the device plugin run on its nodes (configurations {configs}) and take each "
            "other's socket: give each a nodeSelector of its own"
        )
    if isinstance(pool.pool.given_labels.get(CONFIG_LABEL), Unknown) and view.plugins:
        yield f"label {CONFIG_LABEL} must be a literal, for it chooses how the GPUs are shared"
    key = labels.get(CONFIG_LABEL)
    if not key or not view.plugins:
        return
    configs_here = view.configs(pool.pool)
    config = configs_here.get(key)
    if config is None:
        known = ", ".join(sorted(configs_here)) or "none"
        yield (
            f"label {CONFIG_LABEL} names {key}, and there is no such device-plugin configuration (there are: {known}): "
            "the plugin would never start on its nodes"
        )
    elif isinstance(config.config, Unknown):
        yield f"{config.path} must be a literal, so that it can be compared with the pool's overlays"


def _labels(pool: JudgedPool, sharing: Sharing) -> Iterator[str]:
    label = pool.pool.labels.get(SHARING_LABEL)
    if label and label != sharing.strategy:
        yield f"label {SHARING_LABEL} says {label}, {sharing.source} says {sharing.strategy}"


def _capacity(pool: JudgedPool, sharing: Sharing, told: Told) -> Iterator[str]:
    """What is wrong with what Karpenter is told; types of which the same is wrong stand together."""
    wrong: dict[tuple[int, str], list[str]] = {}
    for gpus, candidate, overlays in told:
        for problem in _capacity_of(pool, sharing, gpus, overlays):
            wrong.setdefault((gpus[0], problem), []).append(candidate.name)
    for (count, problem), names in sorted(wrong.items()):
        alike = sum(gpus[0] == count for gpus, _, _ in told)
        yield problem if len(names) == alike else f"{problem} ({_some(names)})"


def _no_gpus(sharing: Sharing, count: int, overlays: Sequence[Overlay]) -> Iterator[str]:
    """Nodes of claims offer no GPU: a pod that asks for one would get a whole one by a claim of the scheduler's."""
    stated = next((overlay for overlay in overlays if GPU_RESOURCE in overlay.capacity), None)
    remedy = f'a NodeOverlay for {count} GPU(s) must state "{GPU_RESOURCE}": "0"'
    if stated is None:
        yield f"{sharing.source} leaves GPUs to claims, so {remedy}: pods that ask for {GPU_RESOURCE} would buy here"
    elif isinstance(stated.capacity[GPU_RESOURCE], Unknown):
        yield f"capacity {GPU_RESOURCE} of NodeOverlay {stated.name} must be a literal; {remedy}"
    elif quantity(stated.capacity[GPU_RESOURCE]) != 0:
        given = text(stated.capacity[GPU_RESOURCE])
        yield f"NodeOverlay {stated.name} states {given}, {sharing.source} leaves GPUs to claims: {remedy}"


def _capacity_of(pool: JudgedPool, sharing: Sharing, gpus: Gpus, overlays: Sequence[Overlay]) -> Iterator[str]:
    if sharing.strategy == "memory":
        yield from _no_gpus(sharing, gpus[0], overlays)
        return
    count, stated = gpus[0], [overlay for overlay in overlays if (sharing.resource or GPU_RESOURCE) in overlay.capacity]
    slots = pool.slots_per_gpu(count)
    if slots is None or (not sharing.shares and not any(GPU_RESOURCE in overlay.capacity for overlay in overlays)):
        return
    resource = sharing.resource or GPU_RESOURCE
    wanted, exactly = slots * count, (pool.slots_of(gpus) or slots) * count
    remedy = f'a NodeOverlay for {count} GPU(s) must state "{resource}": "{wanted}" ({slots} x {count})'
    if not stated:
        yield f"{sharing.source} makes {slots} slots of a GPU, so {remedy}: Karpenter would buy a GPU for each slot"
    elif isinstance(stated[0].capacity[resource], Unknown):
        yield f"capacity {resource} of NodeOverlay {stated[0].name} must be a literal; {remedy}"
    elif quantity(stated[0].capacity[resource]) not in (wanted, exactly):
        given = text(stated[0].capacity[resource])
        yield f"NodeOverlay {stated[0].name} states {given}, {sharing.source} says {sharing.strategy}: {remedy}"


def _some(names: Sequence[str]) -> str:
    """Names of types, not too many."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _limits(pool: JudgedPool, sharing: Sharing) -> Iterator[str]:
    if get(pool.pool.manifest, "spec", "replicas") is not None:
        return  # of a static pool nothing but nodes may be limited
    resource, limits = sharing.resource, pool.pool.limits
    if resource is not None and resource != GPU_RESOURCE and limits and resource not in limits:
        nothing = f"{GPU_RESOURCE} limits nothing here"
        yield f"its slots are called {resource}, so spec.limits must have that resource: {nothing}"


def _conflicts(told: Told) -> Iterator[str]:
    """Overlays for one type that state the same at one weight (nodeoverlay/store.go isCapacityUpdateConflicting)."""
    found: set[str] = set()
    for gpus, _, overlays in told:
        seen: dict[tuple[str, float], Overlay] = {}
        for overlay in overlays:
            for resource in overlay.capacity:
                other = seen.setdefault((resource, overlay.weight), overlay)
                if other is not overlay:
                    found.add(
                        f"NodeOverlays {other.name} and {overlay.name} both state {resource} for {gpus[0]} GPU(s) at "
                        "the same weight: Karpenter drops one of them"
                    )
    yield from sorted(found)


RULE = StackRule(
    name="gpu-sharing-consistent",
    title="Replicas, overlays and user data agree",
    description="What shares a pool's GPUs and what Karpenter is told of it must be the same figures.",
    why=(
        "Karpenter counts the GPUs that EC2 reports; only a NodeOverlay tells it of slots, as an absolute figure for "
        "an instance type. If the device plugin (or Bottlerocket's user data) makes fewer slots than the overlay "
        "states, pods stay pending and Karpenter buys again; if it makes more, GPUs are bought that nobody needs "
        "(kubernetes-sigs/karpenter#729, aws/karpenter-provider-aws#3376). A node that names a configuration that "
        "does not exist never offers a GPU at all."
    ),
    fix=(
        "Derive all of it from one value: device-plugin replicas (or `replicas` in Bottlerocket's settings), and a "
        "NodeOverlay for each GPU count of the pool's instance types, scoped by `karpenter.sh/nodepool`, whose "
        "capacity is replicas times GPU count. Limit the resource that the slots are called."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=SHARING_TYPES,
    check=check,
)
