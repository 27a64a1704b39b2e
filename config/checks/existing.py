"""Checks of a stack on a cluster that is there: which keys go together, and what its Karpenter must have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from config.checks.parts import Parts, Slots, attempt, twice
from config.errors import MISSING, Path, Problem, listed
from config.fields import BUILD
from config.schema import Cluster, ExistingKarpenter, ExistingNetwork, GpuPool, GpuSharing, Karpenter, Network
from config.section import Section
from gpu.contract import GPU_SYSTEM_NAMESPACE
from gpu.sharing import AMIS
from gpu.standing import NODE_ROLE_SUFFIX, ROLE_NAME_LIMIT

#: NodeOverlay's first release (kubernetes-sigs/karpenter v1.7.0).
OVERLAYS_SINCE: Final = (1, 7)
#: CapacityBuffer's first release among the charts (aws/karpenter-provider-aws: its definition is in 1.14, in 1.13 not),
#: and the first with ReservedCapacity on (sigs.k8s.io/karpenter v1.6.4 pkg/operator/options).
BUFFERS_SINCE: Final = (1, 14)
RESERVATIONS_SINCE: Final = (1, 6)
#: First with StaticCapacity, off by default (sigs.k8s.io/karpenter v1.8.0 pkg/operator/options).
STATIC_SINCE: Final = (1, 8)
#: First release whose NodePool may say `Balanced` (sigs.k8s.io/karpenter pkg/apis/crds: in 1.14.0, in 1.13.0 not).
BALANCED_SINCE: Final = (1, 14)
#: Keys of `cluster` that say something of one that is there, and one that is Karpenter's.
_OF_EXISTING: Final = ("existing", "system_node_labels", "version", "registry_mirror")
_OF_OWN_KARPENTER: Final = ("authentication_mode", "node_repair")


def check_existing(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """What is there and what is made: which keys go together, and what each needs of the others."""
    if parts.cluster and parts.karpenter:
        yield from attempt(_check(parts, parts.cluster, parts.karpenter, slots))
    if parts.network and parts.cluster:
        yield from attempt(_network(parts, parts.network, parts.cluster))
    if parts.gpu_sharing and parts.cluster:
        yield from attempt(_plugin(parts.gpu_sharing, parts, parts.cluster))


def _check(parts: Parts, cluster: Cluster, karpenter: Karpenter, slots: Slots) -> Iterator[Problem]:
    if cluster.existing is None:
        yield from attempt(_of_made(cluster, karpenter))
        return
    existing = karpenter.existing
    allowed = (*_OF_EXISTING, *_OF_OWN_KARPENTER)
    yield from attempt(_others(cluster, ("cluster",), allowed, "a cluster that the stack makes", "cluster.existing"))
    yield from attempt(_not_yet(parts))
    if existing is None:
        yield from attempt(_own_karpenter(cluster.existing))
        return
    yield from attempt(_theirs(parts, cluster, karpenter, existing))
    yield from attempt(_gates(parts, existing, slots))
    if parts.budget:
        yield from attempt(_brake(existing))


def _brake(existing: ExistingKarpenter) -> Iterator[Problem]:
    if existing.controller_role is None:
        message = "is missing: the brake of the budget denies this role new GPU instances; write its name"
        yield Problem(("karpenter", "existing", "controllerRole"), MISSING, message)


def _of_made(cluster: Cluster, karpenter: Karpenter) -> Iterator[Problem]:
    """Keys that say something of a cluster that is there, without one."""
    if karpenter.existing:
        message = "belongs to a cluster that is there, write cluster: {existing: NAME}; one that the stack makes gets "
        yield Problem(("karpenter", "existing"), MISSING, f"{message}Karpenter with it")
    if karpenter.identity != _default(Karpenter, "identity"):
        message = "belongs to a cluster that is there: one that the stack makes has Pod Identity"
        yield Problem(("karpenter", "identity"), karpenter.identity, message)
    if cluster.system_node_labels:
        message = "belongs to a cluster that is there: nodes that the stack makes have their labels"
        yield Problem(("cluster", "systemNodeLabels"), dict(cluster.system_node_labels), message)
    if cluster.authentication_mode != _default(Cluster, "authentication_mode"):
        message = "belongs to a cluster that is there: one that the stack makes lets nodes in by access entries"
        yield Problem(("cluster", "authenticationMode"), cluster.authentication_mode, message)


def _own_karpenter(name: str) -> Iterator[Problem]:
    """What the role of its nodes and the rules of its queue are called comes from the cluster's name."""
    most = ROLE_NAME_LIMIT - len(NODE_ROLE_SUFFIX)
    if len(name) > most:
        message = (
            f"has {len(name)} characters: with the stack's own Karpenter at most {most}, since the nodes' role is "
            f"called NAME{NODE_ROLE_SUFFIX} and IAM allows {ROLE_NAME_LIMIT}"
        )
        yield Problem(("cluster", "existing"), name, message)


def _theirs(parts: Parts, cluster: Cluster, karpenter: Karpenter, existing: ExistingKarpenter) -> Iterator[Problem]:
    """With somebody's Karpenter: what the stack's own would need is none of it."""
    path = ("karpenter", "existing")
    for field in _OF_OWN_KARPENTER:
        if getattr(cluster, field) != _default(Cluster, field):
            message = "says something of the stack's own Karpenter: with karpenter.existing leave it out"
            yield Problem(("cluster", str(Cluster.model_fields[field].alias)), getattr(cluster, field), message)
    if karpenter.identity != _default(Karpenter, "identity"):
        message = "says how the stack's own Karpenter gets its role: with karpenter.existing leave it out"
        yield Problem(("karpenter", "identity"), karpenter.identity, message)
    yield from _by_one_way(path, existing)
    if parts.network and parts.network.existing:
        message = "says where nodes go: with karpenter.existing write it there, as subnetTags or subnetIds"
        yield Problem(("network", "existing"), MISSING, message)


def _network(parts: Parts, network: Network, cluster: Cluster) -> Iterator[Problem]:
    path = ("network",)
    existing = network.existing
    if cluster.existing is None and existing is None:
        return
    whose, key = "a network that the stack makes", "network.existing" if existing else "cluster.existing"
    allowed = ("existing", "zone_ids", *(() if cluster.existing else ("cidr",))) if existing else ()
    yield from attempt(_others(network, path, allowed, whose, key))
    if existing is None:
        return
    yield from _by_one_way((*path, "existing"), existing)
    if cluster.existing is None:
        yield from attempt(_for_a_cluster(existing, network, parts))


def _plugin(sharing: GpuSharing, parts: Parts, cluster: Cluster) -> Iterator[Problem]:
    """Somebody's device plugin: in somebody's cluster, and for nodes that do not bring their own."""
    if sharing.existing is None:
        return
    path = ("gpuSharing", "existing")
    if cluster.existing is None:
        message = "belongs to a cluster that is there: in one that the stack makes it installs the plugin"
        yield Problem(path, MISSING, message)
    elif parts.pools is not None and not any(pool is None or AMIS[pool.ami].plugin_by_chart for pool in parts.pools):
        message = "configures nothing: nodes of all pools run their own plugin, by their ami; leave it out"
        yield Problem(path, MISSING, message)
    elif sharing.existing.namespace == GPU_SYSTEM_NAMESPACE:
        message = "is a namespace that the stack makes, and takes from nobody: move your plugin to another"
        yield Problem((*path, "namespace"), sharing.existing.namespace, message)


def _for_a_cluster(existing: ExistingNetwork, network: Network, parts: Parts) -> Iterator[Problem]:
    """Somebody's network under a cluster that the stack makes."""
    path = ("network", "existing")
    if not existing.subnet_ids and not existing.subnet_tags:
        message = "names no subnets: write subnetIds: [subnet-..., subnet-...], private ones in two zones or more, or "
        yield Problem(path, MISSING, f"{message}subnetTags that they carry")
    elif len(existing.subnet_ids) == 1:
        message = "must be two subnets or more, in different zones: EKS needs two"
        yield Problem((*path, "subnetIds"), list(existing.subnet_ids), message)
    for key in ("security_group_ids", "security_group_tags"):
        if getattr(existing, key):
            message = "belongs to a cluster that is there: EKS makes one for a cluster of the stack's"
            alias = str(ExistingNetwork.model_fields[key].alias)
            yield Problem((*path, alias), _plain(getattr(existing, key)), message)
    if parts.dialogue and parts.dialogue.store == "dynamodb":
        message = "needs an endpoint in route tables of the network, which is not the stack's: write volume"
        yield Problem(("dialogue", "store"), parts.dialogue.store, message)
    if parts.serving and parts.serving.door and "cidr" not in network.model_fields_set:
        message = "is missing: the door lets in what comes from the VPC; write the VPC's range"
        yield Problem(("network", "cidr"), MISSING, message)


def _by_one_way(path: Path, where: ExistingKarpenter | ExistingNetwork) -> Iterator[Problem]:
    """Subnets and security groups by ids or by tags, and each id once."""
    for what, ids, tags in (
        ("subnet", where.subnet_ids, where.subnet_tags),
        ("securityGroup", where.security_group_ids, where.security_group_tags),
    ):
        yield from twice((*path, f"{what}Ids"), ids)
        if ids and tags:
            message = f"and {what}Tags say the same in two ways: remove one of them"
            yield Problem((*path, f"{what}Ids"), list(ids), message)


def _default(section: type[Section], field: str) -> object:
    return section.model_fields[field].get_default(call_default_factory=True)


def _others(
    section: Cluster | Network, path: Path, allowed: tuple[str, ...], whose: str, key: str
) -> Iterator[Problem]:
    """Keys that say how something is made which is there."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if name not in allowed and value != field.get_default(call_default_factory=True):
            message = f"belongs to {whose}: with {key} leave it out"
            yield Problem((*path, str(field.alias)), _plain(value), message)


def _plain(value: object) -> object:
    if isinstance(value, Section):
        return value.model_dump(by_alias=True)
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


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
    if parts.budget and parts.budget.soft_brake:
        message = "needs the stack's own agent of Pod Identity and system nodes: with cluster.existing leave it out"
        yield Problem(("budget", "softBrake"), True, message)
    if parts.monitoring and parts.monitoring.backend != "off":
        message = "watches a cluster that the stack makes: with cluster.existing leave it out"
        yield Problem(("monitoring", "backend"), parts.monitoring.backend, message)
    if parts.dialogue and parts.dialogue.store == "dynamodb":
        message = "needs the stack's own network and key: with cluster.existing write volume, and its storageClass"
        yield Problem(("dialogue", "store"), parts.dialogue.store, message)
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
    if shared and _version(existing) < OVERLAYS_SINCE:
        message = "knows no NodeOverlay, and would buy a GPU for each slot: raise Karpenter to 1.7 or later, or write "
        yield Problem((*path, "chartVersion"), existing.chart_version, f"{message}strategy: none in every pool")
    elif shared and "nodeOverlay" not in existing.feature_gates:
        message = (
            f"has no nodeOverlay, without which Karpenter buys a GPU for each slot of pool {listed(shared, 'and')}: "
        )
        message += "set settings.featureGates.nodeOverlay: true in its chart, and write [nodeOverlay] here"
        yield Problem((*path, "featureGates"), list(existing.feature_gates), message)
    yield from attempt(_buffer(pools, existing))
    yield from attempt(_reservations(pools, existing))
    yield from attempt(_balanced(pools, existing))
    yield from attempt(_static(pools, existing))


def _static(pools: list[GpuPool], existing: ExistingKarpenter) -> Iterator[Problem]:
    static = [pool.name for pool in pools if pool.static]
    path = ("karpenter", "existing")
    if static and _version(existing) < STATIC_SINCE:
        message = f"keeps no fixed number of nodes, which pool {listed(static, 'and')} has: raise Karpenter to 1.8 or "
        yield Problem((*path, "chartVersion"), existing.chart_version, f"{message}later, or leave static out")
    elif static and "staticCapacity" not in existing.feature_gates:
        message = f"has no staticCapacity, without which pool {listed(static, 'and')} never has a node: set "
        message += "settings.featureGates.staticCapacity: true in its chart, and write it here"
        yield Problem((*path, "featureGates"), list(existing.feature_gates), message)


def _balanced(pools: list[GpuPool], existing: ExistingKarpenter) -> Iterator[Problem]:
    balanced = [pool.name for pool in pools if pool.consolidation_policy == "Balanced"]
    if balanced and _version(existing) < BALANCED_SINCE:
        message = (
            f"knows no consolidationPolicy Balanced, which pool {listed(balanced, 'and')} has: raise Karpenter to "
        )
        message += "1.14 or later, or leave the key out"
        yield Problem(("karpenter", "existing", "chartVersion"), existing.chart_version, message)


def _buffer(pools: list[GpuPool], existing: ExistingKarpenter) -> Iterator[Problem]:
    always = [pool.name for pool in pools if pool.warm and pool.warm.start is None]
    if always and _version(existing) < BUFFERS_SINCE:
        message = (
            f"knows no CapacityBuffer, which keeps slots of pool {listed(always, 'and')} warm at all hours: raise "
        )
        message += "Karpenter to 1.14 or later, or give warm its hours"
        yield Problem(("karpenter", "existing", "chartVersion"), existing.chart_version, message)
    elif always and "capacityBuffer" not in existing.feature_gates:
        message = f"has no capacityBuffer, which keeps slots of pool {listed(always, 'and')} warm at all hours: set "
        message += "settings.featureGates.capacityBuffer: true in its chart and write it here, or give warm its hours"
        yield Problem(("karpenter", "existing", "featureGates"), list(existing.feature_gates), message)


def _reservations(pools: list[GpuPool], existing: ExistingKarpenter) -> Iterator[Problem]:
    reserved = [pool.name for pool in pools if pool.capacity_type == "reserved"]
    if reserved and _version(existing) < RESERVATIONS_SINCE:
        message = f"uses no capacity reservations unless a gate is on, and pool {listed(reserved, 'and')} has nothing "
        message += "else: raise Karpenter to 1.6 or later, or buy Spot or on-demand"
        yield Problem(("karpenter", "existing", "chartVersion"), existing.chart_version, message)


def _version(existing: ExistingKarpenter) -> tuple[int, ...]:
    return tuple(int(part) for part in existing.chart_version.split(".")[:2])
