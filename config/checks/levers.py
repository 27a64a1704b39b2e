"""Checks of what makes models wake faster (image pull, snapshots, disks, warm slots), if that will do, and the door."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from config.checks.network import private_range_problem
from config.checks.parts import Parts, Slots, attempt, name_of, twice
from config.checks.region import partition_problem
from config.errors import MISSING, Path, Problem, listed
from config.fields import BUILD
from config.schema import Dialogue, Door, GpuPool, Model
from config.services import memory_of, node_start, service_name
from gpu.coldstart import FIRST_BYTE_SECONDS, cold_start
from gpu.sharing import AMIS

#: awslabs/amazon-eks-ami nodeadm/doc/examples.md, "Enabling fast image pull".
FAST_PULL_MIBPS = 600

#: Characters of the reason for a door without TLS.
MIN_REASON = 15


def check_levers(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """Levers of every pool, and the door."""
    for index, pool in enumerate(parts.pools or ()):
        if pool:
            path: Path = ("pools", index)
            yield from attempt(_fast_pull(pool, path))
            yield from attempt(_snapshot(pool, path))
            yield from attempt(_own_disks(pool, path, slots))
            yield from attempt(_hours(pool, path))
    yield from attempt(_cold_starts(parts))
    if parts.serving:
        yield from attempt(_ranges(parts.serving.registry_cidrs, ("serving", "registryCidrs")))
        yield from attempt(_door_of(parts))
    if parts.dialogue:
        yield from attempt(_image(parts.dialogue))
        yield from attempt(_node_of(parts.dialogue, parts))


def _cold_starts(parts: Parts) -> Iterator[Problem]:
    """A request to a model that sleeps must not be given up before the model is awake."""
    pools = {pool.name: pool for pool in parts.pools or () if pool}
    servers: dict[str, tuple[int, Model]] = {}
    weights: dict[str, int] = {}
    for index, model in enumerate(parts.models or ()):
        memory = memory_of(model) if model else None
        if model and memory:
            servers.setdefault(service_name(model), (index, model))
            weights[service_name(model)] = weights.get(service_name(model), 0) + memory.weights_mib
    for name, (index, model) in servers.items():
        if model.min_scale or model.pool not in pools:
            continue
        start = cold_start(node_start(pools[model.pool]), model.weights.source, weights[name])
        if start.seconds > FIRST_BYTE_SECONDS:
            steps = sorted(start.steps, key=lambda step: step.seconds, reverse=True)[:3]
            longest = listed(
                [f"{step.name} {step.seconds:.0f} s ({step.lever})" for step in steps if step.seconds], "and"
            )
            message = (
                f"wakes in about {start.seconds:.0f} s, but a request is given up after {FIRST_BYTE_SECONDS} s: "
                f"shorten {longest}; or write minScale: 1, and it never sleeps"
            )
            yield Problem(("models", index), model.name, message)


def _fast_pull(pool: GpuPool, path: Path) -> Iterator[Problem]:
    # On Bottlerocket the parallel puller's files stay on the volume, whatever disks the node has.
    own_disks = pool.instance_store and AMIS[pool.ami].pulls_to_own_disks
    if pool.fast_image_pull and not own_disks and pool.volume.throughput_mibps < FAST_PULL_MIBPS:
        message = (
            f"is slower than a plain pull below {FAST_PULL_MIBPS} MiB/s: write volume: {{throughputMibps: "
            f"{FAST_PULL_MIBPS}}}, or on al2023 instanceStore: true"
        )
        yield Problem((*path, "fastImagePull"), True, message)


def _snapshot(pool: GpuPool, path: Path) -> Iterator[Problem]:
    volume, place = pool.volume, (*path, "volume")
    if volume.initialization_rate_mibps and volume.snapshot_id is None:
        message = "is the rate at which a snapshot is read: write snapshotId, or remove it"
        yield Problem((*place, "initializationRateMibps"), volume.initialization_rate_mibps, message)
    if volume.snapshot_id is None:
        return
    if not AMIS[pool.ami].system_volume_gib:
        message = (
            "needs ami: bottlerocket, which has a volume for images and weights alone; on al2023 the snapshot would "
            "replace the system"
        )
        yield Problem((*place, "snapshotId"), volume.snapshot_id, message)
    elif pool.instance_store:
        message = (
            "is not read with instanceStore: true: images would lie on the node's own disks; remove one of the two"
        )
        yield Problem((*place, "snapshotId"), volume.snapshot_id, message)


def _own_disks(pool: GpuPool, path: Path, slots: Slots) -> Iterator[Problem]:
    known = slots.get(name_of(pool) or "")
    without = dict.fromkeys(t.family for t in known.types if not t.local_nvme_gb) if known else {}
    if pool.instance_store and without:
        message = f"needs nodes with disks of their own, which {listed(without, 'and')} has not: make a pool of its own"
        yield Problem((*path, "instanceStore"), True, message)


def _hours(pool: GpuPool, path: Path) -> Iterator[Problem]:
    warm, path = pool.warm, (*path, "warm")
    if warm is None:
        return
    yield from twice((*path, "days"), warm.days)
    given = {"days": warm.days or None, "start": warm.start, "end": warm.end}
    missing = [key for key, value in given.items() if value is None]
    if missing and len(missing) < len(given):
        message = "is missing: warm hours need days, start and end; without any of them slots are always warm"
        yield Problem((*path, missing[0]), MISSING, message)
    elif warm.start and warm.end and warm.start >= warm.end:
        message = f"must be later than {warm.start}: hours past midnight are those of the next day"
        yield Problem((*path, "end"), warm.end, message)


def _door_of(parts: Parts) -> Iterator[Problem]:
    door = parts.serving.door if parts.serving else None
    if door is None or (parts.cluster and parts.cluster.existing):
        return  # with a cluster that is there, `existing` says that there is none
    path: Path = ("serving", "door")
    if parts.dialogue is None:
        yield Problem(
            path, MISSING, "leads nowhere: it is for the dialogue, and there is none; write one, or remove it"
        )
    elif parts.dialogue.image is None:
        yield Problem(path, MISSING, "leads nowhere: the dialogue has no image; write image: build, or remove the door")
    yield from attempt(_tls(door, path, parts.region))
    yield from attempt(_ranges(door.allowed_cidrs, (*path, "allowedCidrs")))


def _image(dialogue: Dialogue) -> Iterator[Problem]:
    if dialogue.image and dialogue.image != BUILD and "@sha256:" not in dialogue.image:
        message = "must have a digest (@sha256:...): a tag may move; write build to build it from apps/dialogue"
        yield Problem(("dialogue", "image"), dialogue.image, message)


def _node_of(dialogue: Dialogue, parts: Parts) -> Iterator[Problem]:
    if dialogue.image and parts.cpu_pools is not None and not parts.cpu_pools:
        message = "is empty, but the dialogue's service runs in a CPU pool: write one, or remove the dialogue's image"
        yield Problem(("cpuPools",), [], message)


def _tls(door: Door, path: Path, region: str | None) -> Iterator[Problem]:
    arn = door.certificate_arn
    if arn and door.tls_secret:
        message = "ends TLS in the cluster, and certificateArn before it: remove one of the two"
        yield Problem((*path, "tlsSecret"), door.tls_secret, message)
    yield from attempt(_plain(door, path))
    partition = partition_problem(arn) if arn else None
    if partition:
        yield Problem((*path, "certificateArn"), arn, partition)
    elif arn and region and arn.split(":")[3] != region:
        message = f"must be a certificate of {region}: a load balancer uses those of its own region only"
        yield Problem((*path, "certificateArn"), arn, message)


def _plain(door: Door, path: Path) -> Iterator[Problem]:
    """Keys and all that is said would be readable on the way: that is asked for by name, with a reason."""
    tls = "certificateArn" if door.certificate_arn else "tlsSecret" if door.tls_secret else None
    reason = door.plain_http
    if tls and reason is not None:
        message = f"says that the door speaks no TLS, and {tls} that it does: remove one of the two"
        yield Problem((*path, "plainHttp"), reason, message)
    elif not tls and reason is None:
        message = (
            "speaks plain HTTP, keys and all: write certificateArn or tlsSecret, or plainHttp with the reason why it "
            "needs no TLS"
        )
        yield Problem(path, MISSING, message)
    elif reason is not None and len(reason.strip()) < MIN_REASON:
        yield Problem((*path, "plainHttp"), reason, f"must give the reason, in {MIN_REASON} characters or more")


def _ranges(cidrs: Sequence[str], path: Path) -> Iterator[Problem]:
    """Ranges of the organisation's own network."""
    yield from twice(path, cidrs)
    for index, cidr in enumerate(cidrs):
        problem = private_range_problem(cidr)
        if problem:
            yield Problem((*path, index), cidr, problem)
