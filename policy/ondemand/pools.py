"""Karpenter NodePools, of one's own or of EKS Auto Mode, their claims, and Provisioners of Karpenter's first API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gpu.contract import CAPACITY_TYPE_LABEL
from policy.justification import marks
from policy.karpenter import AUTO_MODE_DOMAIN, DOMAIN, NodePool
from policy.ondemand.purchase import Purchase
from policy.reading import Unknown, get, text

KINDS: Final = frozenset({"NodePool", "NodeClaim", "Provisioner"})
SPOT: Final = f"require `{CAPACITY_TYPE_LABEL} In [spot]`"


def is_pool(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest is one of Karpenter's kinds that launch nodes."""
    api_version = text(manifest.get("apiVersion"))
    ours = api_version.startswith("karpenter.sh/") or (not api_version and "spec" in manifest)
    return text(manifest.get("kind")).removesuffix("Patch") in KINDS and ours


def of_pool(manifest: Mapping[str, Any], also: tuple[str, ...], name: str = "") -> Iterator[Purchase]:
    """What a pool can launch that is neither Spot nor free of GPUs."""
    pool = NodePool(manifest, name)
    other = sorted(pool.capacity_types - {"spot"})
    gpu = pool.first_gpu_type(also) if other else None
    if gpu is None:
        return
    mentioned = any(item.key == CAPACITY_TYPE_LABEL for item in pool.requirements)
    if pool.capacity_unknown:
        why = f"the requirement on {CAPACITY_TYPE_LABEL} is unknown in preview and must be a literal"
    elif mentioned:
        why = f"its requirement on {CAPACITY_TYPE_LABEL} admits {' and '.join(other)}"
    else:
        why = f"without a requirement on {CAPACITY_TYPE_LABEL} it also launches {' and '.join(other)}"
    exclude = f"{AUTO_MODE_DOMAIN if pool.auto_mode else DOMAIN}/instance-gpu-count DoesNotExist"
    yield Purchase(
        what=gpu,
        why=why,
        spot=f"{SPOT}, or keep GPUs out with `{exclude}`",
        literal=not pool.capacity_unknown,
        prepaid=other == ["reserved"] and not pool.capacity_unknown,
        marks=marks(manifest),
    )


def of_patch(manifest: Mapping[str, Any], also: tuple[str, ...], name: str = "") -> Iterator[Purchase]:
    """As `of_pool`, for a patch: one that leaves the template alone launches nothing new."""
    spec = manifest.get("spec")
    if isinstance(spec, Unknown) or get(spec, "template") is not None or get(spec, "requirements") is not None:
        yield from of_pool(manifest, also, name)
