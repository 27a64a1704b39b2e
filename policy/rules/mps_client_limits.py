"""Limits that an MPS client sets itself do something."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gpu.catalog import INSTANCE_TYPES
from gpu.sharing import MPS_MEMORY, MPS_THREADS, Mps, SharingError
from policy.framework import EnforcementLevel, Finding, Resource, Settings, Severity, Stack, StackRule, by_resource
from policy.pods import PATCH_TYPES, POD_TYPES, GpuContainer, pod_templates
from policy.reading import Unknown, get, literals, number, text
from policy.sharing import SHARING_TYPES, JudgedPool, sharing_view

#: `0=3G`, `0=512M,1=2GB`: the device's ordinal or UUID, an integer and a unit (docs.nvidia.com/deploy/mps).
_LIMIT: Final = re.compile(
    r"(?P<device>[0-9]{1,3}|GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})=(?P<size>[0-9]{1,9})(?P<unit>[GM])B?"
)


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield limits that nothing obeys, and those above the MPS daemon's."""
    pools = sharing_view(stack).pools
    yield from by_resource(stack.resources, lambda resource: _of(resource, pools))


def _of(resource: Resource, pools: list[JudgedPool]) -> Iterator[Finding]:
    for pod in pod_templates(resource):
        landing = [pool for pool in pools if pod.may_land_on(pool.pool)]
        for container in pod.every_gpu_container():
            yield from (Finding(problem, pod.urn) for problem in _problems(container, landing))


def client_memory_mib(env: Mapping[str, Any]) -> int | None:
    """MiB that a container with these variables may allocate on its first device; None where it sets no limit."""
    limits = _memory_limits(env.get(MPS_MEMORY)) or {}
    named = (mib for device, mib in limits.items() if not device.isdigit())
    return limits.get("0", next(named, None))


def _memory_limits(given: Any) -> dict[str, int] | None:
    """MiB by device; None unless every part of the list is one that CUDA reads, and each device is named once."""
    parts = [_LIMIT.fullmatch(part) for part in text(given).split(",")]
    found = {part["device"]: int(part["size"]) * (1024 if part["unit"] == "G" else 1) for part in parts if part}
    return found if len(found) == len(parts) else None


def _problems(container: GpuContainer, pools: list[JudgedPool]) -> Iterator[str]:
    env = {text(get(item, "name")): get(item, "value") for item in literals(container.spec, "env")}
    given = {name: env[name] for name in (MPS_MEMORY, MPS_THREADS) if name in env}
    if not given:
        return
    where = f"container {container.name}"
    for name, value in given.items():
        if value is None or isinstance(value, Unknown):
            yield f"{where}: {name} must be a literal."
    memory, threads = given.get(MPS_MEMORY), given.get(MPS_THREADS)
    if isinstance(memory, str | int | float) and client_memory_mib(env) is None:
        yield f"{where}: {MPS_MEMORY} is {text(memory) or 'empty'}, and CUDA reads a list such as 0=3072M."
    if isinstance(threads, str | int | float) and not 0 < (number(threads) or 0) <= 100:
        yield f"{where}: {MPS_THREADS} is {text(threads) or 'empty'}, and CUDA reads a percentage above 0, to 100."
    for pool in pools:
        sharing = pool.sharing
        if sharing is None:
            continue
        if sharing.strategy != "mps":
            how = f"pool {pool.name}, which shares by {sharing.strategy}"
            yield f"{where} may land on {how}: {' and '.join(given)} does nothing there."
        elif sharing.replicas:
            yield from (f"{where}: {problem}" for problem in _above(env, pool, sharing.replicas))


def _above(env: Mapping[str, Any], pool: JudgedPool, replicas: int) -> Iterator[str]:
    try:
        profile = Mps(replicas)
    except SharingError:
        return  # gpu-sharing-config-valid has said so
    threads = None if isinstance(env.get(MPS_THREADS), Unknown) else number(env.get(MPS_THREADS))
    if threads is not None and threads > profile.active_thread_percentage:
        yield (
            f"{MPS_THREADS} is {threads:g}, and the daemon of pool {pool.name} gives a client at most "
            f"{profile.active_thread_percentage}."
        )
    memory = client_memory_mib(env)
    gpus = {t.gpu for t in INSTANCE_TYPES.values()}
    wanted = {(name, size) for _, name, size in pool.gpus}
    limits = [profile.memory_limit_mib(g) for g in gpus if (g.name, str(g.memory_mib)) in wanted]
    if memory is not None and limits and memory > min(limits):
        yield f"{MPS_MEMORY} is {memory} MiB, and the daemon of pool {pool.name} gives a client at most {min(limits)}."


RULE = StackRule(
    name="gpu-mps-client-limits",
    title="An MPS client's own limits are below the daemon's",
    description=f"{MPS_MEMORY} and {MPS_THREADS} must be lower than a slot's, and stand on pods of MPS pools alone.",
    why=(
        "A client's variables only tighten what the MPS daemon allows: the device plugin sets 100 / replicas percent "
        "of the threads and NVML's memory / replicas for each client. A higher value changes nothing, and one on a "
        "pool without MPS limits nothing, so that whoever wrote it believes in a share that is not there "
        "(docs.nvidia.com/deploy/mps; k8s-device-plugin v0.20.0 mps/daemon.go)."
    ),
    fix="Lower the value, or give the pool fewer replicas; remove it where the pool does not share by MPS.",
    severity=Severity.LOW,
    level=EnforcementLevel.ADVISORY,
    types=(*SHARING_TYPES, *POD_TYPES, *PATCH_TYPES),
    check=check,
)
