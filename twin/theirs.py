"""A rehearsal: somebody's own pools, nodes, plugins and GPU pods on a stack's ground, before and after.

Before: what is theirs alone, until its pods run. After: the stack beside it, and a copy of each pod that would take a
slot on the stack's pool. What ran before is not touched. The twin's Karpenter buys nodes, at the plan's prices; those
of node groups stand as they were shown.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import versions
from config.schema import ExistingKarpenter
from gpu.contract import DISCOVERY_TAG, GPU_RESOURCE, POOL_LABEL, REHEARSAL_LABEL, REHEARSAL_OF_LABEL
from gpu.rehearsal import Played, PlayedWork
from gpu.sharing.bottlerocket import is_bottlerocket
from twin.errors import TwinError
from twin.kube.client import Kube, NoKindError, Object
from twin.machine.launch import connect
from twin.machine.pulse import pulse_of
from twin.machine.state import TwinState
from twin.plan import CONTROLLER_CHART, CRD_CHART, FIRST_NAMESPACES, OPERATOR_CHART, Planned, PlannedPool, TwinPlan
from twin.play.device_plugin import InstalledPlugin, installed_plugins
from twin.prices import played as prices_of
from twin.view import NodeView, view

#: Where the copies run.
NAMESPACE: Final = "slices-rehearsal"
#: Seconds until pods of so many nodes run: a node takes half a minute in the twin.
_PATIENCE: Final = 300.0


@dataclass(frozen=True, kw_only=True)
class Side:
    """GPU nodes at one moment. slots: what they offer. pods: that hold some."""

    nodes: int
    gpus: Mapping[str, int]
    """Nodes by instance type and how they are bought."""
    slots: int
    pods: int
    usd_per_hour: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the rehearsal showed. shared: nodes of the stack alone; after: with those of theirs that still have work.

    untouched: pods that ran before and still run, by the same uid. ran: those that ran before.
    """

    before: Side
    shared: Side
    after: Side
    ran: int
    untouched: int
    waiting: int


# --- Plans ------------------------------------------------------------------------------------------------------------


def with_theirs(plan: TwinPlan, theirs: Played, existing: ExistingKarpenter | None) -> tuple[TwinPlan, TwinPlan]:
    """The plan of theirs alone, and the stack's with theirs in it. AWS is the same in both.

    existing: their Karpenter; None where they have none, so that nothing of theirs names node classes.
    """
    # A Karpenter of the stack's own comes with the stack.
    charts = [thing for thing in plan.planned if existing and thing.chart in (CRD_CHART, CONTROLLER_CHART)]
    if any(each["kind"] == "ClusterPolicy" for each in theirs.manifests):
        charts.append(_OPERATOR)
    first = tuple(thing.urn for thing in charts)
    namespaces = [_planned(each, first) for each in _namespaces(theirs)]
    objects = [_as_played(each, plan, existing) if existing else each for each in theirs.manifests]
    objects += [_deployment(work, index) for index, work in enumerate(theirs.work) if work.runs]
    before_each = (*first, *(thing.urn for thing in namespaces))
    things = (*namespaces, *(_planned(each, before_each) for each in objects))
    plugins = _plugins(theirs)
    plan = replace(plan, nodes=tuple(node.manifest for node in theirs.nodes))
    before = replace(plan, planned=(*charts, *things), plugins=plugins, models=())
    rest = tuple(thing for thing in plan.planned if thing not in charts)
    planned = (*charts, *_beside(things, rest))
    return before, replace(plan, planned=planned, plugins=_with_entries(plugins, plan.plugins))


#: Of their GPU Operator the definition alone: it does not run here.
_OPERATOR: Final = Planned(
    urn="theirs::Release::gpu-operator", name="Release gpu-operator", after=(), chart=OPERATOR_CHART
)


def _beside(things: tuple[Planned, ...], rest: tuple[Planned, ...]) -> Iterator[Planned]:
    """Theirs, then the stack's: what it adds to an object of theirs is in that object, which stays when it goes."""
    added = {_identity(thing): thing for thing in rest if thing.manifest and thing.manifest["kind"] in _ADDED_TO}
    shared = {added[key].urn: thing.urn for thing in things if (key := _identity(thing)) in added}
    for thing in things:
        more = added.get(_identity(thing))
        yield replace(thing, manifest=_with_data(thing.manifest or {}, more.manifest or {})) if more else thing
    for thing in rest:
        if thing.urn not in shared:
            yield replace(thing, after=tuple(shared.get(urn, urn) for urn in thing.after))


#: Kinds of which both may have the same object: the ConfigMap of their plugin, and its namespace.
_ADDED_TO: Final = ("ConfigMap", "Namespace")


def _identity(thing: Planned) -> tuple[str, str, str]:
    manifest = thing.manifest or {"kind": "", "metadata": {}}
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata.get("name", thing.urn)


def _with_data(manifest: Mapping[str, Any], more: Mapping[str, Any]) -> Mapping[str, Any]:
    if "data" not in more:
        return manifest
    return {**manifest, "data": {**(manifest.get("data") or {}), **more["data"]}}


def _with_entries(
    theirs: tuple[InstalledPlugin, ...], planned: tuple[InstalledPlugin, ...]
) -> tuple[InstalledPlugin, ...]:
    """Their plugins and the stack's: one that gets entries of the stack's is the same plugin, with these."""
    names = {plugin.config_map for plugin in theirs} - {None, ""}
    entries = {plugin.config_map: plugin.configs for plugin in planned if plugin.config_map in names}
    return (
        *(replace(each, configs={**each.configs, **entries.get(each.config_map, {})}) for each in theirs),
        *(each for each in planned if each.config_map not in entries),
    )


def _planned(manifest: Mapping[str, Any], after: tuple[str, ...]) -> Planned:
    metadata = manifest["metadata"]
    name = f"{manifest['kind']} {metadata['name']}"
    urn = f"theirs::{manifest['kind']}::{metadata.get('namespace', '')}/{metadata['name']}"
    return Planned(urn=urn, name=name, after=after, manifest=manifest)


def _namespaces(theirs: Played) -> list[Object]:
    names = {work.namespace for work in theirs.running}
    names |= {str(each["metadata"]["namespace"]) for each in theirs.manifests if "namespace" in each["metadata"]}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in sorted(names.difference(FIRST_NAMESPACES))
    ]


def _as_played(manifest: Mapping[str, Any], plan: TwinPlan, existing: ExistingKarpenter) -> Mapping[str, Any]:
    """A node class with the twin's images, role and network in the place of its owner's."""
    if manifest["kind"] != "EC2NodeClass":
        return manifest
    spec = manifest["spec"]
    tags = {DISCOVERY_TAG: plan.cluster}
    ours: Mapping[str, Any] = next((each["spec"] for each in plan.manifests("EC2NodeClass")), {})
    system = "bottlerocket" if is_bottlerocket(spec) else "al2023"
    kept = {key: spec[key] for key in ("userData", "instanceStorePolicy", "kubelet") if key in spec}
    played = {
        "role": existing.node_role,
        "amiSelectorTerms": [{"alias": f"{system}@latest"}],
        "subnetSelectorTerms": ours.get("subnetSelectorTerms") or [{"tags": dict(existing.subnet_tags or tags)}],
        "securityGroupSelectorTerms": ours.get("securityGroupSelectorTerms")
        or [{"tags": dict(existing.security_group_tags or tags)}],
    }
    return {**manifest, "spec": {**kept, **played}}


def _plugins(theirs: Played) -> tuple[InstalledPlugin, ...]:
    """Their plugins; where none was seen, the one that gives whole GPUs, which any cluster with GPU pods has."""
    charts = list(theirs.charts) or [({}, True)]
    installed = installed_plugins([{**values, "fullnameOverride": "theirs"} for values, _ in charts], theirs.manifests)
    return tuple(
        replace(
            plugin,
            namespace="kube-system",
            leaves_out=POOL_LABEL if spares else "",
            tolerations=plugin.tolerations or _EVERYWHERE,
        )
        for plugin, (_, spares) in zip(installed, charts, strict=True)
    )


_EVERYWHERE: Final[tuple[Mapping[str, Any], ...]] = ({"operator": "Exists"},)


def _deployment(work: PlayedWork, index: int) -> Object:
    return _pods_of(f"{work.name[:50]}-{index}", work.namespace, work.pods, work.spec, "theirs")


def _pods_of(name: str, namespace: str, pods: int, spec: Mapping[str, Any], side: str) -> Object:
    labels = {REHEARSAL_LABEL: side, REHEARSAL_OF_LABEL: f"{side}-{name}"[:63].rstrip("-")}
    containers = [{**each, "image": versions.PAUSE_IMAGE} for each in spec["containers"]]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": pods,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {**spec, "containers": containers}},
        },
    }


# --- The play ---------------------------------------------------------------------------------------------------------


class Play:
    """Watches one rehearsal on a twin that runs."""

    def __init__(self, state: TwinState, plan: TwinPlan, theirs: Played, say: Callable[[str], None]) -> None:
        """plan: the stack's, with theirs."""
        self._state = state
        self._kube: Kube = connect(state)
        self._plan = plan
        self._theirs = theirs
        self._say = say
        self._pulse = pulse_of(state)

    def settle(self) -> tuple[Side, dict[str, str]]:
        """Wait until their pods run, or no more of them do; the GPU nodes, and uids of the pods that run."""
        wanted = sum(work.pods for work in self._theirs.running)
        self._wait("theirs", wanted)
        return _side(self._nodes()), self._running("theirs")

    def move(self, before: Side, uids: Mapping[str, str]) -> Outcome:
        """Give each pod that would move a copy on the stack's slots, and look. Raises TwinError without such a pool."""
        moving = [work for work in self._theirs.work if work.moves]
        if moving:
            pool = self._pool()
            self._kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            for index, work in enumerate(moving):
                copy = _pods_of(f"{work.name[:50]}-{index}", NAMESPACE, work.pods, _on_slots(work.spec, pool), "slots")
                self._kube.apply(copy)
            self._wait("slots", sum(work.pods for work in moving))
        nodes = self._nodes()
        own = {each.name for each in self._plan.gpu_pools if self._is_ours(each)}
        shared = [node for node in nodes if node.pool in own]
        staying = self._names_of_staying()
        now = self._running("theirs")
        return Outcome(
            before=before,
            shared=_side(shared),
            after=_side([*shared, *(node for node in nodes if node.name in staying)]),
            ran=len(uids),
            untouched=sum(now.get(name) == uid for name, uid in uids.items()),
            waiting=len(self._pods("slots")) - len(self._running("slots")),
        )

    def _is_ours(self, pool: PlannedPool) -> bool:
        theirs = {each["metadata"]["name"] for each in self._theirs.manifests if each["kind"] == "NodePool"}
        return pool.name not in theirs

    def _pool(self) -> PlannedPool:
        """The stack's pool that shares its GPUs."""
        found = next((each for each in self._plan.gpu_pools if self._is_ours(each) and each.slots), None)
        if found is None:
            raise TwinError(
                f"stack {self._plan.stack} has no pool that shares GPUs: write its sharing, and with "
                "karpenter.existing [nodeOverlay] in its featureGates, and rehearse again"
            )
        return found

    def _names_of_staying(self) -> set[str]:
        """Nodes of pods that keep what they have, and those of groups that nobody would leave."""
        groups = {str(node.manifest["metadata"]["name"]) for node in self._theirs.nodes if node.stays}
        there = [(index, work) for index, work in enumerate(self._theirs.work) if work.runs]
        stay = {f"{work.name[:50]}-{index}" for index, work in there if not work.moves}
        names = {f"theirs-{name}"[:63].rstrip("-") for name in stay}
        return groups | {
            str(pod["spec"]["nodeName"])
            for pod in self._pods("theirs")
            if pod["metadata"]["labels"].get(REHEARSAL_OF_LABEL) in names and pod["spec"].get("nodeName")
        }

    def _nodes(self) -> list[NodeView]:
        nodes, pods = self._kube.list("v1", "Node"), self._kube.list("v1", "Pod")
        claims: list[Object] = []
        with contextlib.suppress(NoKindError):  # a Karpenter of the stack's own is not there yet
            claims = self._kube.list("karpenter.sh/v1", "NodeClaim")
        return list(view(prices_of(self._plan.region), nodes, claims, pods).gpu_nodes)

    def _pods(self, side: str) -> list[Object]:
        return self._kube.list("v1", "Pod", labels=f"{REHEARSAL_LABEL}={side}")

    def _running(self, side: str) -> dict[str, str]:
        """Uids of pods that run, by namespace and name."""
        return {
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": pod["metadata"]["uid"]
            for pod in self._pods(side)
            if (pod.get("status") or {}).get("phase") == "Running"
        }

    def _wait(self, side: str, wanted: int) -> None:
        """Until so many pods run. Who has waited long enough is told; a pool may have no room for all."""
        deadline, said = time.monotonic() + _PATIENCE, -1
        while (now := len(self._running(side))) < wanted and time.monotonic() < deadline:
            if now != said:
                self._say(f"{now} of {wanted} pods run ({'as they are' if side == 'theirs' else 'on slots'})")
                said = now
            self._pulse()
            time.sleep(0.5)


def _on_slots(spec: Mapping[str, Any], pool: PlannedPool) -> dict[str, Any]:
    """A pod as its owner would write it for the stack's pool: one slot, and the rest as it was."""
    containers = []
    for container in spec["containers"]:
        asked = container.get("resources") or {}
        host = {kind: {k: v for k, v in asked.get(kind, {}).items() if "/" not in k} for kind in ("requests", "limits")}
        if any("/" in key for kind in ("requests", "limits") for key in asked.get(kind, {})):
            host["limits"] = {**host["limits"], pool.resource: "1"}
        containers.append({"name": container["name"], "resources": {key: each for key, each in host.items() if each}})
    tolerations = [{"key": GPU_RESOURCE, "operator": "Exists"}]
    return {"nodeSelector": {POOL_LABEL: pool.name}, "tolerations": tolerations, "containers": containers}


def _side(nodes: Sequence[NodeView]) -> Side:
    gpus: dict[str, int] = {}
    for node in nodes:
        name = f"{node.instance_type} {node.capacity_type}"
        gpus[name] = gpus.get(name, 0) + 1
    return Side(
        nodes=len(nodes),
        gpus=dict(sorted(gpus.items())),
        slots=sum(node.slots for node in nodes),
        pods=sum(bool(pod.slots) for node in nodes for pod in node.pods),
        usd_per_hour=sum(node.usd_per_hour for node in nodes),
    )
