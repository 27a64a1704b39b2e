"""What is to be said of a cluster's NodePools with GPUs, their overlays and their nodes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any, Final

from adopt.finding import Finding, missing, note
from adopt.inventory import FoundPool, Inventory
from adopt.objects import at
from adopt.proposal import Proposal, left_out
from adopt.stack_file import StackText
from config.errors import listed
from gpu.contract import (
    CONFIG_LABEL,
    GPU_PRESENT_LABEL,
    NODE_POOL_LABEL,
    OPERANDS_LABEL,
    OVERLAY_WEIGHT,
    POOL_LABEL,
    SHARING_LABEL,
    TENANTS_LABEL,
)
from gpu.naming import overlay_name
from policy.instances import candidates
from policy.karpenter import NodePool
from policy.reading import Unknown, whole
from policy.sharing import Overlay


def pool_findings(there: Inventory, proposal: Proposal, written: StackText) -> Iterator[Finding]:
    """Pools first, then what meets the stack's overlays, then nodes that the sums know in part."""
    for pool in there.pools:
        if not pool.open:
            yield from _pool(there, proposal, pool)
    yield from _meeting(there, proposal, str(written.values["pools"][0]["name"]))
    if any(node.reserved and not node.block for node in there.nodes):
        text = (
            "is counted at its on-demand price, which AWS bills until the reservation ends, whether nodes use it or not"
        )
        yield note("reserved capacity", text)
    if any(node.block for node in there.nodes):
        yield note("capacity blocks", "are counted at the on-demand price: no cluster tells what was paid for them")
    if there.strange_nodes:
        types = ", ".join(sorted(set(there.strange_nodes.values())))
        text = f"of types with GPUs that are not in the catalogue: {types}. Neither they nor their pods are in a sum"
        yield note("nodes", text)


def _pool(there: Inventory, proposal: Proposal, pool: FoundPool) -> Iterator[Finding]:
    about = pool.title
    replicas = at(pool.node_pool.manifest, "spec").get("replicas")
    if pool.auto_mode:
        yield note(about, "of EKS Auto Mode, whose device plugin gives whole GPUs alone")
    elif pool.filled_in:
        yield note(about, "is a template: of what it may buy, parts are filled in elsewhere")
    elif pool.sharing and pool.sharing.shares and not there.overlays and replicas is None:
        yield missing(about, f"{shared_words(pool)} without a NodeOverlay: Karpenter buys a GPU for each slot")
    yield from _left_out(there, proposal, pool)
    if replicas is not None:
        yield note(about, _static(there, proposal, pool, whole(replicas)))


def _static(there: Inventory, proposal: Proposal, pool: FoundPool, replicas: int | None) -> str:
    """Of a pool whose nodes stand whether pods need them or not (karpenter v1.15.0, pkg/controllers/static)."""
    if replicas is None:
        return "is static: how many nodes it has is filled in elsewhere"
    if replicas == 0:
        return "is static with 0 replicas: it has no nodes, and pods that wait get none from it"
    text = f"is static: {replicas} of its nodes stay, whoever leaves them, until its replicas are fewer"
    if any(node.pool == pool.name for node in proposal.leaving):
        text += ", as the sums suppose"
    if there.karpenter is None or "staticCapacity" not in (there.karpenter.gates or ()):
        text += ". Karpenter makes them with its gate StaticCapacity alone, which was not seen to be on"
    return text


def _left_out(there: Inventory, proposal: Proposal, pool: FoundPool) -> Iterator[Finding]:
    """Types of a pool that no pool of a stack may buy, and what follows."""
    about, reasons = pool.title, left_out(there, pool)
    if pool.filled_in and not reasons:
        return
    told = listed([f"{listed(names, 'and')} ({why})" for why, names in reasons.items()], "and")
    of = listed(proposal.families or proposal.types, "and")
    if pool.filled_in or set(pool.families) - {name.partition(".")[0] for names in reasons.values() for name in names}:
        if reasons:
            yield note(about, f"may buy {told}: the pool that is proposed is without them")
        return
    what = (
        f"may buy {told} alone" if reasons else "may buy no type with GPUs that is in the catalogue (docs/catalog.md)"
    )
    yield note(about, f"{what}: it is not adopted, and the pool that is proposed is of {of}")


# --- Overlays ---------------------------------------------------------------------------------------------------------


def _meeting(there: Inventory, proposal: Proposal, name: str) -> Iterator[Finding]:
    """Overlays of theirs that change prices of the new pool's types, or say the same as its own at the same weight.

    Of these Karpenter drops one whole: the one whose name is earlier in the alphabet, for all pools
    (sigs.k8s.io/karpenter v1.15.0, pkg/controllers/nodeoverlay/controller.go, pkg/apis/v1alpha1/nodeoverlay.go
    OrderByWeight).
    """
    template = {"metadata": {"labels": _labels(name, proposal)}}
    ours = NodePool({"metadata": {"name": name}, "spec": {"template": template}})
    for overlay in there.overlays:
        if overlay.prices and any(_matches(overlay, ours, proposal, count) for count in proposal.counts):
            yield note(f"NodeOverlay {overlay.name}", _PRICES.format(key=NODE_POOL_LABEL, pool=name))
        counts = [
            count
            for count, capacity in proposal.pool.overlay_capacities.items()
            if overlay.weight == OVERLAY_WEIGHT
            and capacity.keys() & overlay.capacity.keys()
            and _matches(overlay, ours, proposal, count)
        ]
        if counts:
            yield _dropped(overlay, name, counts)


def _labels(name: str, proposal: Proposal) -> dict[str, Any]:
    """Labels of the new pool's template; what its nodes have in the end of others is for the stack file to say."""
    profile = proposal.pool.profile
    open_ones = (TENANTS_LABEL, CONFIG_LABEL, GPU_PRESENT_LABEL, OPERANDS_LABEL)
    known = {POOL_LABEL: name, SHARING_LABEL: profile.strategy, **profile.node_labels}
    return {**dict.fromkeys(open_ones, Unknown("labels")), **known}


#: karpenter-provider-aws v1.15.0, pkg/providers/instance/instance.go: of whatever offering the price is.
_PRICES: Final = (
    "changes prices of the new pool's types too: Karpenter then launches its Spot nodes by "
    "capacity-optimized-prioritized in place of price-capacity-optimized (rule gpu-no-price-overlays). Keep it off the "
    "new pool: {key} NotIn [{pool}] among its requirements"
)


def _matches(overlay: Overlay, ours: NodePool, proposal: Proposal, count: int) -> bool:
    names = {kind.name for kind in proposal.pool.types if kind.gpu_count == count}
    return any(overlay.selection.matches(ours, each) for each in candidates() if each.name in names)


def _dropped(overlay: Overlay, pool: str, counts: list[int]) -> Finding:
    lost = [name for count in counts if (name := overlay_name(pool, count)) < overlay.name]
    who = f"{listed(lost, 'and')} of the stack, whose pool would then buy a GPU for each slot"
    here = who if lost else "yours, for your own pools too"
    text = (
        f"has weight {OVERLAY_WEIGHT:,}, as those of a stack have, and sets {listed(sorted(overlay.capacity), 'and')} "
        f"for the new pool too: of two such Karpenter drops one whole, here {here}. Give it a smaller weight, or keep "
        f"it off the new pool: {NODE_POOL_LABEL} NotIn [{pool}] among its requirements"
    )
    patch: dict[str, Any] = {"spec": {"weight": OVERLAY_WEIGHT - 1}}
    words = ("kubectl", "patch", "nodeoverlay", overlay.name, "--type", "merge", "--patch", json.dumps(patch))
    return missing(f"NodeOverlay {overlay.name}", text, shlex.join(words))


def shared_words(pool: FoundPool) -> str:
    """How a pool's GPUs are shared, in a few words."""
    if pool.auto_mode:
        return "whole GPUs"
    if pool.sharing is None:
        return "nothing tells how its GPUs are shared"
    if not pool.sharing.shares:
        return "whole GPUs"
    slots = f", {pool.sharing.replicas} replicas" if pool.sharing.replicas else ""
    profile = f", {pool.sharing.mig_profile}" if pool.sharing.mig_profile else ""
    return f"{pool.sharing.strategy}{slots}{profile} by {pool.sharing.source}"
