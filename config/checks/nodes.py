"""Checks of what a pool's nodes have of one's own: labels, taints, lives, image, user data, role and volumes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from config.checks.parts import Parts, all_of, attempt, twice
from config.checks.workload_pods import marks
from config.errors import MISSING, Path, Problem, listed
from config.pool_schema import ExtraVolume, Volume
from config.schema import GpuPool, Karpenter
from gpu.coldstart import life_problem
from gpu.contract import GPU_RESOURCE, INSTANCE_TYPE_LABEL, NVIDIA_PREFIX, OURS
from gpu.durations import seconds
from gpu.gp3 import BASE_IOPS, IOPS_PER_GIB, IOPS_PER_MIBPS
from gpu.pool import Pool, taint_problem
from gpu.sharing import AMIS, SharingError
from gpu.user_data import pool_user_data

#: Pulumi waits for the end of a node class for half an hour (`components.karpenter.node_class`), and an instance needs
#: some minutes of it.
_LONGEST_GRACE_MINUTES: Final = 25
#: Labels that Karpenter refuses or says itself (sigs.k8s.io/karpenter pkg/apis/v1/labels.go), and those by which the
#: device plugin, the GPU Operator and this program know a pool.
_TAKEN: Final = (
    *("kubernetes.io/", "k8s.io/", "beta.kubernetes.io/", "topology.kubernetes.io/", "node-role.kubernetes.io/"),
    *("failure-domain.beta.kubernetes.io/", INSTANCE_TYPE_LABEL),
    *("karpenter.sh/", "karpenter.k8s.aws/", OURS),
    *(f"{NVIDIA_PREFIX}{name}" for name in ("device-plugin.", "gpu.deploy.", "gpu.present", "mig", "mps")),
)


def check_nodes(pool: GpuPool, path: Path, parts: Parts) -> Iterator[Problem]:
    """Everything but user data, which needs the pool's sharing."""
    yield from attempt(_labels(pool, path))
    yield from attempt(_taints(pool, path))
    yield from attempt(_grace(pool, path))
    yield from attempt(_expiry(pool, path))
    yield from attempt(_image(pool, path))
    yield from attempt(_volumes(pool, path))
    if parts.karpenter:
        yield from attempt(_role(pool, path, parts.karpenter))


def check_user_data(pool: GpuPool, resolved: Pool, path: Path) -> Iterator[Problem]:
    """Whether it can be merged with what the pool's sharing writes."""
    own = pool.node_class.user_data
    if own is None:
        return
    untrusted, fast = pool.tenants == "untrusted", pool.fast_image_pull
    try:
        pool_user_data(resolved, untrusted=untrusted, fast_image_pull=fast, own=own)
    except SharingError:
        return  # said of the sharing
    except ValueError as error:
        yield Problem((*path, "nodeClass", "userData"), own, str(error))


def _labels(pool: GpuPool, path: Path) -> Iterator[Problem]:
    yield from marks(pool.labels, (*path, "labels"), values=True, taken=_TAKEN)


def _taints(pool: GpuPool, path: Path) -> Iterator[Problem]:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(all_of(pool.taints)):
        place = (*path, "taints", index)
        if taint.key == GPU_RESOURCE:
            yield Problem((*place, "key"), taint.key, "is the taint that every GPU pool has: leave it out")
        elif problem := taint_problem(taint.key):
            yield Problem((*place, "key"), taint.key, problem)
        elif (taint.key, taint.effect) in seen:
            yield Problem(place, MISSING, f"says {taint.key} with {taint.effect} a second time: nodes have each once")
        seen.add((taint.key, taint.effect))


def _grace(pool: GpuPool, path: Path) -> Iterator[Problem]:
    if seconds(pool.termination_grace_period) > _LONGEST_GRACE_MINUTES * 60:
        message = f"must be {_LONGEST_GRACE_MINUTES}m or less: pulumi destroy gives up on nodes that take longer"
        yield Problem((*path, "terminationGracePeriod"), pool.termination_grace_period, message)


def _expiry(pool: GpuPool, path: Path) -> Iterator[Problem]:
    if message := life_problem(pool.expire_after):
        yield Problem((*path, "expireAfter"), pool.expire_after, message)


def _image(pool: GpuPool, path: Path) -> Iterator[Problem]:
    own, place = pool.node_class, (*path, "nodeClass")
    if own.ami_alias and own.ami_ids:
        yield Problem(
            (*place, "amiIds"), list(own.ami_ids), "and amiAlias say the same in two ways: remove one of them"
        )
    yield from twice((*place, "amiIds"), own.ami_ids)
    if own.ami_alias and own.ami_alias.partition("@")[0] != pool.ami:
        message = f"is not of ami {pool.ami}: write {pool.ami}@ and a release, or another ami"
        yield Problem((*place, "amiAlias"), own.ami_alias, message)


def _volumes(pool: GpuPool, path: Path) -> Iterator[Problem]:
    taken = ["/dev/xvda", *(["/dev/xvdb"] if AMIS[pool.ami].system_volume_gib else [])]
    for index, volume in enumerate(all_of(pool.node_class.volumes)):
        place = (*path, "nodeClass", "volumes", index)
        if volume.device_name in taken:
            message = f"is taken: nodes have {listed(taken, 'and')} already"
            yield Problem((*place, "deviceName"), volume.device_name, message)
        taken.append(volume.device_name)
        yield from iops(volume, place)
        yield from throughput(volume, place)


def _role(pool: GpuPool, path: Path, karpenter: Karpenter) -> Iterator[Problem]:
    own, place = pool.node_class, (*path, "nodeClass")
    if own.role and own.instance_profile:
        message = "and role say who the nodes are in two ways: remove one of them"
        yield Problem((*place, "instanceProfile"), own.instance_profile, message)
    for key, value in (("role", own.role), ("instanceProfile", own.instance_profile)):
        if value and karpenter.existing is None:
            message = "needs karpenter.existing: the stack's own Karpenter may pass its own nodes' role alone"
            yield Problem((*place, key), value, message)


def iops(volume: Volume | ExtraVolume, path: Path) -> Iterator[Problem]:
    """Whether a volume is large enough for its IOPS."""
    if volume.iops > max(volume.size_gib * IOPS_PER_GIB, BASE_IOPS):
        most = volume.size_gib * IOPS_PER_GIB
        message = f"must be {most} or less for {volume.size_gib} GiB: gp3 gives {IOPS_PER_GIB} for each GiB"
        yield Problem((*path, "iops"), volume.iops, message)


def throughput(volume: Volume | ExtraVolume, path: Path) -> Iterator[Problem]:
    """Whether a volume has the IOPS for its throughput."""
    if volume.throughput_mibps * IOPS_PER_MIBPS > volume.iops:
        needed = volume.throughput_mibps * IOPS_PER_MIBPS
        message = f"needs iops: {needed}: gp3 gives a quarter MiB/s for each, so {volume.iops} give "
        message += f"{volume.iops // IOPS_PER_MIBPS}"
        yield Problem((*path, "throughputMibps"), volume.throughput_mibps, message)
