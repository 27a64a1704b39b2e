"""Makes the twin's plan from a stack's recorded program: nothing is typed in a second time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from config.errors import PROJECT
from config.load import parse
from config.schema import StackConfig
from gpu.contract import CONFIG_LABEL
from gpu.standing import NODE_ROLE_SUFFIX
from plan.errors import InputError
from plan.manifests import kubernetes_object
from plan.monitor import Resource
from plan.project import find_project, load_stack
from plan.record import Recording, record
from twin.errors import TwinError
from twin.existing import ground_of, on_ground, own_network
from twin.plan import DRIVER_CHART, FIRST_NAMESPACES, PLUGIN_CHARTS, CloudResource, Model, Planned, TwinPlan
from twin.play.device_plugin import installed_plugins
from twin.play.dra_driver import installed_driver
from twin.play.models import models_of
from twin.playable import playable

#: That many stand after two minutes on two busy processors, and what grows with them is all that a command reads.
MOST_MODELS = 1000
HELM = "kubernetes:helm.sh/"
#: Objects of the Prometheus operator, which does not run here: nobody would read them, and no server knows them.
_UNPLAYED = "kubernetes:monitoring.coreos.com/"
#: Annotations that speak to Pulumi, not to the cluster.
_FOR_PULUMI = "pulumi.com/"
_PATCH = "kubernetes:core/v1:ConfigMapPatch"


def make_plan(directory: Path, stack: str) -> TwinPlan:
    """Run the stack's program and keep what the twin plays.

    Raises InputError and ProgramError as `slices plan` does, TwinError where a twin could not stand for the program.
    """
    project = find_project(directory)
    config = load_stack(project, stack)
    prefix = f"{PROJECT}:"
    ours = {key.removeprefix(prefix): _value(text) for key, text in config.values.items() if key.startswith(prefix)}
    _refuse_too_many(stack, ours.get("models"))
    recording = record(project, config)
    if config.problems:
        raise InputError("\n".join(config.problems))
    parsed = parse(ours, stack=config.stack, region=recording.region) if project.name == PROJECT else None
    models = models_of(_manifests(recording), parsed)
    if parsed is None:
        return plan_of(recording, models)
    if parsed.cluster.existing is None:
        elsewhere = parsed.network.existing is not None
        return _playable(plan_of(own_network(project, config) if elsewhere else recording, models), parsed)
    # What is left of the cluster's own is in the ground alone.
    ground = plan_of(ground_of(project, config, parsed))
    own = _plan(recording, models, cluster=parsed.cluster_name, kubernetes="")
    return _playable(on_ground(own, ground, parsed), parsed)


def _playable(plan: TwinPlan, stack: StackConfig) -> TwinPlan:
    """The plan without what AWS alone has."""
    theirs = stack.karpenter.existing
    role = theirs.node_role if theirs else f"{plan.cluster}{NODE_ROLE_SUFFIX}"
    planned = [
        replace(thing, manifest=playable(dict(thing.manifest), plan.cluster, role)) if thing.manifest else thing
        for thing in plan.planned
    ]
    return replace(plan, planned=tuple(planned))


def _refuse_too_many(stack: str, models: Any) -> None:
    """Said before the minutes that it would take to find out."""
    if isinstance(models, list) and len(models) > MOST_MODELS:
        raise InputError(
            f"stack {stack} has {len(models):,} models, and the twin plays {MOST_MODELS:,} at most: "
            f"`slices plan {stack}` has the figures of all; try a stack file with some of them here"
        )


def plan_of(recording: Recording, models: Sequence[Model] = ()) -> TwinPlan:
    """The twin's view of a recorded program. Raises TwinError where there is no cluster in it."""
    clusters = recording.of_type("eks:index:Cluster")
    if len(clusters) != 1:
        raise TwinError(f"the twin plays one EKS cluster; the program of stack {recording.stack} has {len(clusters)}")
    cluster = clusters[0].inputs.get("name") or clusters[0].name
    return _plan(recording, models, cluster=str(cluster), kubernetes=str(clusters[0].inputs.get("version", "")))


def _plan(recording: Recording, models: Sequence[Model], *, cluster: str, kubernetes: str) -> TwinPlan:
    planned = tuple(_planned(recording))
    return TwinPlan(
        stack=recording.stack,
        region=recording.region,
        cluster=cluster,
        kubernetes=kubernetes,
        cloud=tuple(
            CloudResource(urn=r.urn, type=r.type, name=r.name, inputs=dict(r.inputs))
            for r in recording.resources
            if r.type.startswith(("aws:", "eks:"))
        ),
        outputs=dict(recording.values),
        planned=planned,
        plugins=installed_plugins(
            [*(p.values for p in planned if p.chart in PLUGIN_CHARTS), *_theirs(recording)],
            [p.manifest for p in planned if p.manifest],
        ),
        models=tuple(models),
        drivers=tuple(installed_driver(p.values) for p in planned if p.chart == DRIVER_CHART),
    )


def _theirs(recording: Recording) -> Iterator[dict[str, Any]]:
    """Values of device plugins that are there: the program adds configurations to the ConfigMaps that they read."""
    for patch in recording.of_type(_PATCH):
        if any(key in kubernetes_object(patch).get("data", {}) for key in _named_configurations(recording)):
            # It goes to every node, whatever its taints: docs/existing.md has people see to that.
            name = kubernetes_object(patch)["metadata"]["name"]
            yield {"config": {"name": name}, "tolerations": [{"operator": "Exists"}]}


def _named_configurations(recording: Recording) -> set[str]:
    """Configurations that nodes of the program's pools ask for."""
    templates = (each["spec"]["template"] for each in _manifests(recording) if each["kind"] == "NodePool")
    labels = (template.get("metadata", {}).get("labels", {}) for template in templates)
    return {found[CONFIG_LABEL] for found in labels if CONFIG_LABEL in found}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _objects(recording: Recording) -> list[Resource]:
    return [resource for resource in recording.resources if resource.type.startswith("kubernetes:")]


def _manifests(recording: Recording) -> list[dict[str, Any]]:
    return [kubernetes_object(resource) for resource in _objects(recording) if not resource.type.startswith(HELM)]


def _planned(recording: Recording) -> list[Planned]:
    objects = [resource for resource in _objects(recording) if not resource.type.startswith(_UNPLAYED)]
    ours = {resource.urn for resource in objects}
    found = []
    for resource in objects:
        after = tuple(sorted(_reachable(recording, resource, ours)))
        if resource.type.startswith(HELM):
            chart = str(resource.inputs.get("chart", "")).rpartition("/")[2]
            found.append(
                Planned(
                    urn=resource.urn,
                    name=f"Release {resource.inputs.get('name') or resource.name}",
                    after=after,
                    chart=chart,
                    version=str(resource.inputs.get("version", "")),
                    values=resource.inputs.get("values") or {},
                )
            )
            continue
        manifest = kubernetes_object(resource)
        if resource.type == _PATCH and manifest["metadata"]["namespace"] not in FIRST_NAMESPACES:
            found.append(_their_namespace(manifest, resource.urn))
            after = (*after, found[-1].urn)
        annotations = manifest["metadata"].get("annotations") or {}
        found.append(
            Planned(
                urn=resource.urn,
                name=f"{manifest['kind']} {manifest['metadata']['name']}",
                after=after,
                manifest=_without_pulumi(manifest),
                ready=annotations.get("pulumi.com/waitFor") == "condition=Ready",
            )
        )
        found += _volume(manifest, resource.urn)
    return found


def _their_namespace(manifest: dict[str, Any], urn: str) -> Planned:
    """The namespace of an object that is there and that the program adds to: the twin begins empty."""
    name = manifest["metadata"]["namespace"]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    return Planned(urn=f"{urn}::twin", name=f"Namespace {name}", after=(), manifest=namespace)


def _volume(manifest: dict[str, Any], urn: str) -> Iterator[Planned]:
    """The volume that a CSI driver would make for a claim of a class: none runs here, so the twin has it ready.

    A claim that is promised to it by name is bound at once, also of a class that waits for a pod
    (pkg/controller/volume/persistentvolume, syncUnboundClaim).
    """
    spec = manifest.get("spec", {})
    if manifest["kind"] != "PersistentVolumeClaim" or not spec.get("storageClassName"):
        return
    namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"twin-{namespace}-{name}"},
        "spec": {
            "capacity": spec["resources"]["requests"],
            "accessModes": spec["accessModes"],
            "storageClassName": spec["storageClassName"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": namespace, "name": name},
            "hostPath": {"path": f"/var/lib/twin/{namespace}/{name}"},
        },
    }
    yield Planned(urn=f"{urn}::twin", name=f"PersistentVolume twin-{namespace}-{name}", after=(), manifest=volume)


def _reachable(recording: Recording, resource: Resource, ours: set[str]) -> set[str]:
    """Kubernetes things that a resource depends on, also by way of resources of other kinds."""
    found: set[str] = set()
    seen: set[str] = set()
    open_urns = list(resource.dependencies)
    while open_urns:
        urn = open_urns.pop()
        if urn in seen or urn not in recording.by_urn:
            continue
        seen.add(urn)
        if urn in ours:
            found.add(urn)
        else:
            open_urns.extend(recording.by_urn[urn].dependencies)
    return found


def _without_pulumi(manifest: dict[str, Any]) -> dict[str, Any]:
    annotations = manifest["metadata"].get("annotations") or {}
    kept = {key: text for key, text in annotations.items() if not key.startswith(_FOR_PULUMI)}
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "annotations"}
    return {**manifest, "metadata": {**metadata, **({"annotations": kept} if kept else {})}}
