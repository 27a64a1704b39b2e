"""Tenants that do not trust each other share GPUs by MIG alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpu.contract import TENANTS_LABEL
from gpu.sharing import STRATEGIES
from policy.framework import EnforcementLevel, Finding, Resource, Settings, Severity, Stack, StackRule, by_resource
from policy.importance import GPU_CLAIM_TYPES, GpuClaims, gpu_claims, uses_gpu
from policy.pods import PATCH_TYPES, POD_TYPES, PodTemplate, pod_templates
from policy.reading import Unknown, get, text
from policy.sharing import SHARING_TYPES, JudgedPool, SharingView, is_bottlerocket, sharing_view

_NAMESPACE = "kubernetes:core/v1:Namespace"
#: The toolkit's setting by which the variable of containers without privileges counts; it does by default.
_TOOLKIT = "accept-nvidia-visible-devices-envvar-when-unprivileged"


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield pools marked untrusted that share by software, and untrusted pods that may land on such pools."""
    view = sharing_view(stack)
    pools = view.pools
    shared = [pool for pool in pools if pool.sharing and not STRATEGIES[pool.sharing.strategy].isolated]
    for pool in shared:
        mark = _mark(pool.pool.manifest) or _mark(get(pool.pool.manifest, "spec", "template"))
        if mark:
            yield Finding(f"pool {pool.name}: {mark}, and {_how(pool)}. Use MIG, or no sharing.", pool.urn)
    for pool in pools:
        if pool not in shared:
            yield from _open_nodes(view, pool)
    namespaces = _untrusted_namespaces(stack)
    if shared:
        claims = gpu_claims(stack)
        yield from by_resource(stack.resources, lambda resource: _of(resource, shared, namespaces, claims))


def _of(
    resource: Resource, shared: list[JudgedPool], namespaces: Mapping[str, str], claims: GpuClaims
) -> Iterator[Finding]:
    for pod in pod_templates(resource):
        mark = _mark({"metadata": pod.metadata}) or namespaces.get(pod.namespace)
        landing = [pool for pool in shared if _has_gpu_of(pool, pod, claims) and pod.may_land_on(pool.pool)]
        if mark and landing:
            message = f"{mark}, but the pod may land on pool {landing[0].name}, and {_how(landing[0])}. Select a pool"
            yield Finding(f"{message} with MIG.", pod.urn)


def _has_gpu_of(pool: JudgedPool, pod: PodTemplate, claims: GpuClaims) -> bool:
    """Whether a pod may have a GPU of such a pool: claims are met by the driver of pools of claims alone.

    Resources of the plugin's may be met on those too, where a class has them (`policy.dra.class_resources`).
    """
    of_claims = pool.sharing is not None and pool.sharing.strategy == "memory"
    return uses_gpu(pod, claims) if of_claims else bool(pod.every_gpu_container())


def _open_nodes(view: SharingView, pool: JudgedPool) -> Iterator[Finding]:
    """AL2023 nodes whose runtime gives GPUs to whoever names them: the plugin's default, and the image's."""
    node_class, config = view.node_class(pool.pool), view.config_of(pool.pool)
    mark = _mark(pool.pool.manifest) or _mark(get(pool.pool.manifest, "spec", "template"))
    if not mark or config is None or node_class is None or is_bottlerocket(node_class):
        return
    user_data = get(node_class, "spec", "userData")
    told = isinstance(user_data, Unknown) or _TOOLKIT in text(user_data)
    if not config.device_lists or "envvar" in config.device_lists or not told:
        yield Finding(
            f"pool {pool.name}: {mark}, and its nodes give GPUs to any container that sets NVIDIA_VISIBLE_DEVICES. "
            f"Write deviceListStrategy: [volume-mounts] in its device-plugin configuration, and set {_TOOLKIT} to "
            "false in its user data.",
            pool.urn,
        )


def _how(pool: JudgedPool) -> str:
    return f"{pool.sharing.source} says {pool.sharing.strategy}" if pool.sharing else ""


def _untrusted_namespaces(stack: Stack) -> dict[str, str]:
    found = {}
    for resource in stack.of(_NAMESPACE):
        props = resource.plain
        name = text(get(props, "metadata", "name")) or resource.name
        mark = _mark(props)
        if mark:
            found[name] = f"namespace {name}: {mark}"
    return found


def _mark(manifest: Any) -> str | None:
    """The mark, on labels or annotations; one that is unknown counts, since it may say untrusted."""
    for kind in ("labels", "annotations"):
        given = manifest
        for key in ("metadata", kind, TENANTS_LABEL):
            given = given if isinstance(given, Unknown) else get(given, key)
        value = given
        if isinstance(value, Unknown):
            return f"{TENANTS_LABEL} is unknown in preview and must be a literal"
        if text(value) == "untrusted":
            return f"{TENANTS_LABEL} is untrusted"
    return None


RULE = StackRule(
    name="gpu-mig-for-untrusted-tenants",
    title="Tenants without trust get MIG",
    description=f"Where `{TENANTS_LABEL}` is `untrusted`, GPUs must not be shared by time-slicing or MPS.",
    why=(
        "Time-slicing isolates neither memory nor faults; MPS limits memory, but a fault of one client ends all "
        "clients of the server. Only MIG separates memory, caches and faults in hardware, and only from those whom the "
        "node gives no other GPU: the container runtime's default is to give each container what it names."
    ),
    fix=(
        f"Mark pools, namespaces or pods of such tenants `{TENANTS_LABEL}: untrusted` (label or annotation), give the "
        "pool MIG or whole GPUs, and select it in the pods' node selector. On AL2023 let the device plugin hand "
        "devices out as mounts, and the node's container toolkit ignore the variable; Bottlerocket does by default."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(*SHARING_TYPES, *POD_TYPES, *PATCH_TYPES, *GPU_CLAIM_TYPES, _NAMESPACE),
    check=check,
)
