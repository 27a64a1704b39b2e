"""What of a cluster the twin plays: its pools, classes, overlays, plugin configurations, and pods that hold GPUs.

Plain data. What only its owner's account has, ids of images, subnets and keys, is left out: the twin has its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from adopt.groups import HOSTNAME, PREFIX, group_nodes
from adopt.inventory import FoundPool, Inventory
from adopt.objects import Object, Objects, at, has_unknown, labels_of, listed, name_of, words
from adopt.proposal import Proposal
from adopt.work import Work
from gpu.contract import NVIDIA_PREFIX
from gpu.rehearsal import Played, PlayedWork

_HOST: Final = ("cpu", "memory")


def played(objects: Objects, there: Inventory, proposal: Proposal) -> Played:
    """What the twin plays of a cluster."""
    left_out: list[str] = []
    manifests = [*_manifests(objects, left_out), *_config_maps(objects, there)]
    pools = [pool for pool in there.pools if any(name_of(each) == pool.name for each in manifests)]
    nodes = tuple(group_nodes(objects, there, proposal, left_out))
    standing = {str(node.manifest["metadata"]["name"]).removeprefix(PREFIX) for node in nodes}
    work = tuple(_work(there, proposal, pools, standing, left_out))
    return Played(
        manifests=tuple(manifests),
        charts=tuple((p.values, not p.reaches) for p in there.plugins if p.kind != "DRA driver"),
        work=work,
        nodes=nodes,
        # Pods of one owner that differ are told once.
        left_out=tuple(dict.fromkeys(left_out)),
    )


def _manifests(objects: Objects, left_out: list[str]) -> Iterator[Object]:
    """Node classes first, then what names them; and the policy of a GPU Operator."""
    for kind, version in (
        ("EC2NodeClass", "karpenter.k8s.aws/v1"),
        ("NodePool", "karpenter.sh/v1"),
        ("NodeOverlay", "karpenter.sh/v1alpha1"),
    ):
        for manifest in objects.of(kind):
            if why := _unplayable(manifest, version):
                left_out.append(f"{kind} {name_of(manifest)}: {why}")
            else:
                yield _plain(manifest)
    for policy in objects.of("ClusterPolicy", "nvidia.com"):
        if not has_unknown(policy):
            yield _plain(policy)


def _unplayable(manifest: Object, version: str) -> str:
    if manifest.get("apiVersion") != version:
        return f"is {manifest.get('apiVersion')}, and the twin's Karpenter serves {version}"
    if at(manifest, "spec", "template", "spec", "nodeClassRef").get("kind") not in (None, "EC2NodeClass"):
        return "is of EKS Auto Mode"
    return "is a template" if has_unknown(manifest) else ""


def _plain(manifest: Object) -> Object:
    """An object without what its server has added."""
    metadata = {"name": name_of(manifest)}
    if labels := labels_of(manifest):
        metadata |= {"labels": labels}  # type: ignore[dict-item]
    if namespace := at(manifest, "metadata").get("namespace"):
        metadata["namespace"] = str(namespace)
    rest = {key: manifest[key] for key in ("spec", "data") if key in manifest}
    return {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": metadata, **rest}


def _config_maps(objects: Objects, there: Inventory) -> Iterator[Object]:
    names = {plugin.config_map for plugin in there.plugins} - {""}
    yield from (_plain(each) for each in objects.of("ConfigMap") if name_of(each) in names)


def _work(
    there: Inventory, proposal: Proposal, pools: list[FoundPool], standing: set[str], left_out: list[str]
) -> Iterator[PlayedWork]:
    """standing: names of nodes of node groups that are played."""
    moving = {id(work) for work, _ in proposal.moves}
    for work in there.work:
        if work.claims:
            left_out.append(f"pods of {work.namespace}/{work.name}: their GPUs are claimed (DRA)")
            continue
        runs = work.node in standing or any(work.template.may_land_on(pool.node_pool) for pool in pools)
        # Of a cluster without Karpenter, what waits, or whose node was not shown, can only be played on a slot.
        moves = id(work) in moving and (runs or there.karpenter is None)
        if not runs:
            more = ", so a copy of each on a slot is all that is" if moves else ""
            left_out.append(
                f"pods of {work.namespace}/{work.name}: no node and no NodePool that is played takes them{more}"
            )
        if runs or moves:
            yield PlayedWork(
                name=work.name,
                namespace=work.namespace,
                pods=work.count,
                spec=_on_its_node(_spec(work), work.node) if work.node in standing else _spec(work),
                moves=moves,
                runs=runs,
            )


def _spec(work: Work) -> dict[str, Any]:
    """What decides where a pod may run, and what it takes there."""
    spec = work.template.spec
    node = at(spec, "affinity").get("nodeAffinity")
    found = {
        "nodeSelector": words(spec.get("nodeSelector")),
        "tolerations": [dict(each) for each in listed(spec.get("tolerations"))],
        "affinity": {"nodeAffinity": node} if node else {},
        "containers": [_container(index, each) for index, each in enumerate(listed(spec.get("containers")))],
    }
    return {key: value for key, value in found.items() if value and not has_unknown(value)}


def _on_its_node(spec: Mapping[str, Any], node: str) -> dict[str, Any]:
    """Where several would do, it runs where it was seen: others may need the rest."""
    return {**spec, "nodeSelector": {**spec.get("nodeSelector", {}), HOSTNAME: f"{PREFIX}{node}"}}


def _container(index: int, container: Mapping[str, Any]) -> dict[str, Any]:
    resources = {
        kind: asked for kind in ("requests", "limits") if (asked := _asked(at(container, "resources").get(kind)))
    }
    return {"name": f"work-{index}", "resources": resources}


def _asked(given: Any) -> dict[str, str]:
    return {key: text for key, text in words(given).items() if key in _HOST or key.startswith(NVIDIA_PREFIX)}
