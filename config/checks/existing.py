"""Checks of a stack on a cluster that is there: which keys go together, and what its Karpenter must have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from config.checks.parts import Parts, Slots, attempt
from config.errors import MISSING, Path, Problem, listed
from config.fields import BUILD
from config.schema import Cluster, ExistingKarpenter, GpuPool, Karpenter, Network
from config.section import Section

#: NodeOverlay's first release (kubernetes-sigs/karpenter v1.7.0).
OVERLAYS_SINCE: Final = (1, 7)
#: Keys of `cluster` that say something of one that is there.
_OF_EXISTING: Final = ("existing", "system_node_labels", "version", "registry_mirror")


def check_existing(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """The cluster and its Karpenter are both there or both made; then what each needs of the other keys."""
    if parts.cluster and parts.karpenter:
        yield from attempt(_check(parts, parts.cluster, parts.karpenter, slots))


def _check(parts: Parts, cluster: Cluster, karpenter: Karpenter, slots: Slots) -> Iterator[Problem]:
    yield from attempt(_both(cluster, karpenter.existing))
    if cluster.existing is None or karpenter.existing is None:
        return
    yield from attempt(_others(cluster, ("cluster",), _OF_EXISTING, "a cluster that the stack makes"))
    if parts.network:
        yield from attempt(_others(parts.network, ("network",), (), "a network that the stack makes"))
    yield from attempt(_not_yet(parts))
    yield from attempt(_gates(parts, karpenter.existing, slots))
    if parts.budget:
        yield from attempt(_brake(karpenter.existing))


def _brake(existing: ExistingKarpenter) -> Iterator[Problem]:
    if existing.controller_role is None:
        message = "is missing: the brake of the budget denies this role new GPU instances; write its name"
        yield Problem(("karpenter", "existing", "controllerRole"), MISSING, message)


def _both(cluster: Cluster, existing: ExistingKarpenter | None) -> Iterator[Problem]:
    if cluster.existing and existing is None:
        message = (
            "is missing: a stack installs no Karpenter in a cluster that is there; write what the cluster's own has"
        )
        yield Problem(("karpenter", "existing"), MISSING, f"{message}: chartVersion, nodeRole, featureGates")
    if existing and cluster.existing is None:
        message = "belongs to a cluster that is there, write cluster: {existing: NAME}; one that the stack makes gets "
        yield Problem(("karpenter", "existing"), MISSING, f"{message}Karpenter with it")
    if cluster.existing is None and cluster.system_node_labels:
        message = "belongs to a cluster that is there: nodes that the stack makes have their labels"
        yield Problem(("cluster", "systemNodeLabels"), dict(cluster.system_node_labels), message)


def _others(section: Cluster | Network, path: Path, allowed: tuple[str, ...], whose: str) -> Iterator[Problem]:
    """Keys that say how something is made which is there."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if name not in allowed and value != field.get_default(call_default_factory=True):
            message = f"belongs to {whose}: with cluster.existing leave it out"
            yield Problem((*path, str(field.alias)), _plain(value), message)


def _plain(value: object) -> object:
    if isinstance(value, Section):
        return value.model_dump(by_alias=True)
    return list(value) if isinstance(value, tuple) else value


def _not_yet(parts: Parts) -> Iterator[Problem]:
    if parts.serving and parts.serving.door:
        message = (
            "leads to nodes that the stack makes: with cluster.existing leave it out, and lead a load balancer of "
        )
        yield Problem(("serving", "door"), MISSING, f"{message}your own to Kourier")
    if parts.dialogue and parts.dialogue.image == BUILD:
        message = (
            "needs the stack's own key: with cluster.existing build it yourself and write the image with its digest"
        )
        yield Problem(("dialogue", "image"), BUILD, message)
    if parts.budget and parts.budget.anomalies:
        message = "tells a topic that needs the stack's own key: with cluster.existing leave it out"
        yield Problem(("budget", "anomalies"), True, message)
    if parts.monitoring and parts.monitoring.backend != "off":
        message = "watches a cluster that the stack makes: with cluster.existing leave it out"
        yield Problem(("monitoring", "backend"), parts.monitoring.backend, message)
    if parts.dialogue and parts.dialogue.store == "dynamodb":
        message = "needs the stack's own network and key: with cluster.existing write volume, and its storageClass"
        yield Problem(("dialogue", "store"), parts.dialogue.store, message)
    for index, workload in enumerate(parts.workloads or ()):
        if workload and workload.checkpoint:
            message = (
                "needs the stack's own key and agent of Pod Identity: with cluster.existing remove it, and write "
                "CHECKPOINT_URL under env with a serviceAccountName that may write there (docs/jobs.md)"
            )
            yield Problem(("workloads", index, "checkpoint"), {}, message)
    if parts.dialogue and parts.dialogue.needs_driver:
        message = (
            "is missing: a stack installs no EBS CSI driver in a cluster that is there; name a StorageClass that "
            "the cluster has"
        )
        yield Problem(("dialogue", "storageClass"), MISSING, message)


def _gates(parts: Parts, existing: ExistingKarpenter, slots: Slots) -> Iterator[Problem]:
    path = ("karpenter", "existing")
    pools = [pool for pool in parts.pools or () if pool]
    shared = [name for name, pool in slots.items() if pool.overlay_capacities]
    version = tuple(int(part) for part in existing.chart_version.split(".")[:2])
    if shared and version < OVERLAYS_SINCE:
        message = "knows no NodeOverlay, and would buy a GPU for each slot: raise Karpenter to 1.7 or later, or write "
        yield Problem((*path, "chartVersion"), existing.chart_version, f"{message}strategy: none in every pool")
    elif shared and "nodeOverlay" not in existing.feature_gates:
        message = (
            f"has no nodeOverlay, without which Karpenter buys a GPU for each slot of pool {listed(shared, 'and')}: "
        )
        message += "set settings.featureGates.nodeOverlay: true in its chart, and write [nodeOverlay] here"
        yield Problem((*path, "featureGates"), list(existing.feature_gates), message)
    yield from attempt(_buffer(pools, existing))


def _buffer(pools: list[GpuPool], existing: ExistingKarpenter) -> Iterator[Problem]:
    always = [pool.name for pool in pools if pool.warm and pool.warm.start is None]
    if always and "capacityBuffer" not in existing.feature_gates:
        message = f"has no capacityBuffer, which keeps slots of pool {listed(always, 'and')} warm at all hours: set "
        message += "settings.featureGates.capacityBuffer: true in its chart and write it here, or give warm its hours"
        yield Problem(("karpenter", "existing", "featureGates"), list(existing.feature_gates), message)
