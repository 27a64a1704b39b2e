"""All pods that may share a GPU by MPS run as one user."""

from __future__ import annotations

from collections.abc import Iterator

from policy.framework import EnforcementLevel, Finding, Settings, Severity, Stack, StackRule
from policy.pods import POD_TYPES, GpuContainer, PodTemplate, pod_templates
from policy.reading import Unknown, get, text
from policy.sharing import SHARING_TYPES, JudgedPool, sharing_view


def mps_pods(stack: Stack) -> Iterator[tuple[JudgedPool, PodTemplate]]:
    """GPU pods, each with every MPS pool that it may land on."""
    pools = [pool for pool in sharing_view(stack).pools if pool.sharing and pool.sharing.strategy == "mps"]
    if pools:
        pods = [pod for resource in stack.resources for pod in pod_templates(resource) if pod.every_gpu_container()]
        yield from ((pool, pod) for pool in pools for pod in pods if pod.may_land_on(pool.pool))


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield containers without a literal user, and pools whose pods run as different users."""
    users: dict[str, dict[str, list[PodTemplate]]] = {}
    for pool, pod in mps_pods(stack):
        for container in pod.every_gpu_container():
            user = _user(pod, container)
            if isinstance(user, Unknown):
                yield Finding(f"container {container.name}: runAsUser must be a literal.", pod.urn)
            elif user is None:
                message = f"container {container.name} may share a GPU of MPS pool {pool.name}: write runAsUser."
                yield Finding(message, pod.urn)
            else:
                users.setdefault(pool.name, {}).setdefault(user, []).append(pod)
    for name, by_user in users.items():
        if len(by_user) > 1:
            who = "; ".join(f"{user}: {', '.join(pod.name for pod in pods)}" for user, pods in sorted(by_user.items()))
            for pods in by_user.values():
                for pod in pods:
                    yield Finding(f"pods of MPS pool {name} run as different users ({who}). Use one.", pod.urn)


def _user(pod: PodTemplate, container: GpuContainer) -> str | Unknown | None:
    for security in (get(container.spec, "securityContext"), pod.spec.get("securityContext")):
        user = security if isinstance(security, Unknown) else get(security, "runAsUser")
        if user is not None:
            return user if isinstance(user, Unknown) else text(user)
    return None


RULE = StackRule(
    name="gpu-mps-one-user",
    title="MPS pods run as one user",
    description="Pods that may share a GPU by MPS must all write the same `runAsUser`.",
    why=(
        "An MPS control daemon serves the clients of one user id at a time (nvidia-cuda-mps-control manual): a client "
        "of another user waits until the first user's are gone, or sends their server away. The device plugin starts "
        "the daemon without multi-user mode."
    ),
    fix="Write the same `securityContext.runAsUser` in every pod of an MPS pool, or give each user a pool.",
    severity=Severity.MEDIUM,
    level=EnforcementLevel.MANDATORY,
    types=(*SHARING_TYPES, *POD_TYPES),
    check=check,
)
