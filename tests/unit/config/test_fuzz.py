"""Whatever stands in a stack file: it is refused with problems, or the stack can be computed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from components.karpenter.node_class import Volume
from components.network.subnets import plan_subnets
from config.bill import bill
from config.consumers import consumers
from config.errors import ConfigError
from config.load import KEYS, parse
from config.placing import placements
from config.schema import StackConfig
from config.services import memory_of, slots_of
from gpu.catalog import FAMILIES, INSTANCE_TYPES, REGIONS
from gpu.sharing import NoSharing
from gpu.sharing.bottlerocket import bottlerocket_settings
from tests.day import TODAY
from tests.sweep import EVERYTHING
from tests.unit.config.support import ADMIN, CONTAINER, GONE, MIG, MPS, ON_DEMAND, WORKLOAD, changed, put

#: A valid stack in which every key is written.
FULL: dict[str, Any] = changed(
    {
        "cluster.name": "research",
        "cluster.version": "1.36",
        "cluster.admins": [ADMIN],
        "cluster.viewers": ["arn:aws:iam::111122223333:user/reader"],
        "cluster.systemNodes": {"instanceTypes": ["m7g.large"], "min": 1, "desired": 2, "max": 3},
        "cluster.logRetentionDays": 90,
        "cluster.deletionProtection": True,
        "network": {"cidr": "10.0.0.0/16", "zoneIds": ["use1-az1", "use1-az6"], "nat": "single"},
        "network.interfaceEndpoints": True,
        "cpuPools": [{"name": "arm", "arch": "arm64", "cpus": [2], "capacityTypes": ["spot"], "limitCpus": 8}],
        "pools[0].volume": {"sizeGib": 50, "iops": 3000, "throughputMibps": 125},
        "pools[0].consolidationPolicy": "Balanced",
        "pools[0].consolidateAfter": "1h",
        "pools[0].tenants": "trusted",
        "pools[1]": {"name": "mig", "instanceTypes": ["p5.4xlarge"], "maxGpus": 4, "sharing": MIG, "ami": "al2023"},
        "pools[2]": {"name": "always", "instanceFamilies": ["g6"], "maxGpus": 2, "sharing": MPS | {"rename": True}},
        "pools[2].capacityType": "on-demand",
        "pools[2].onDemand": ON_DEMAND,
        "pools[2].static": {"replicas": 1},
        "gpuSharing": {"installer": "device-plugin", "scoringStrategy": "MostAllocated"},
        "models[3]": {"name": "own", "model": "acme/own:1b", "pool": "mig", "slots": 1, "contextLength": 2048},
        "models[3].parallel": 2,
        "models[3].kvCacheType": "q8_0",
        "models[3].weightsMib": 2000,
        "models[3].kvKibPerToken": 100,
        "models[3].maxContext": 8192,
        "workloads": [WORKLOAD | {"kind": "Job", "replicas": 2, "gpuMemoryMib": 2000}],
        "workloads[0].containers": [
            CONTAINER | {"command": ["run"], "args": ["-v"], "cpu": "1", "memory": "2Gi"},
            {"name": "log", "image": "log:1"},
        ],
        "workloads[1]": {
            "name": "server",
            "pool": "shared",
            "labels": {"team": "speech"},
            "annotations": {"example.com/owner": "ann"},
            "priorityClassName": "batch",
            "imagePullSecrets": [{"name": "registry"}],
            "clientNamespaces": ["my-team"],
            "serviceAccountName": "app",
            "automountServiceAccountToken": True,
            "securityContext": {"runAsUser": 0, "runAsGroup": 0, "fsGroup": 2000},
            "securityReason": "GPU-142: the image writes below /opt",
            "volumes": [
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "512Mi"}},
                {"name": "own", "persistentVolumeClaim": {"claimName": "by-hand", "readOnly": True}},
                {"name": "weights", "s3": {"bucketName": "acme-models", "readOnly": True}},
                {"name": "home", "efs": {"fileSystemId": "fs-0123456789abcdef0"}},
            ],
        },
        "workloads[1].containers": [
            {
                "name": "vllm",
                "image": "docker.io/vllm/vllm-openai:v0.11.0",
                "imagePullPolicy": "Always",
                "args": ["--gpu-memory-utilization=0.2"],
                "slots": 1,
                "env": [
                    {"name": "A", "value": "x"},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                ],
                "envFrom": [{"prefix": "APP_", "secretRef": {"name": "s"}}],
                "ports": [{"name": "http", "containerPort": 8000}],
                "startupProbe": {"httpGet": {"path": "/health", "port": 8000}, "failureThreshold": 60},
                "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 5},
                "livenessProbe": {"exec": {"command": ["true"]}, "timeoutSeconds": 2},
                "volumeMounts": [
                    {"name": "shm", "mountPath": "/dev/shm"},
                    {"name": "own", "mountPath": "/own", "readOnly": True},
                    {"name": "weights", "mountPath": "/models"},
                    {"name": "home", "mountPath": "/home/app", "subPath": "ann"},
                ],
                "securityContext": {"readOnlyRootFilesystem": False},
            }
        ],
        "workloads[2]": WORKLOAD | {"name": "nightly", "kind": "CronJob", "schedule": "30 3 * * 1-5"},
        "workloads[3]": {"name": "needy", "gpuMemory": "3 GiB", "gpuShare": "10 %", "containers": [CONTAINER]},
        "workloads[2].timeZone": "Europe/Berlin",
        "usage": {"hoursPerDay": 6, "startsPerDay": 2, "runsPerMonth": 3, "hoursPerRun": 0.5, "logGbPerMonth": 5},
        "usage.each": [
            {"name": "own", "hoursPerDay": 1.5, "tokensPerSecond": 30, "apiUsdPerMillionTokens": 0.6}
            | {"requestsPerMinute": 2, "tokensPerRequest": 300},
            {"name": "batch", "runsPerMonth": 2, "hoursPerRun": 2},
        ],
        "examples": False,
    }
)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of every value within a value."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from paths(child, (*path, key))


PATHS = list(paths(FULL))
#: Words that get past the first check, so that later ones are reached.
WORDS = sorted(
    {str(part) for path in PATHS for part in path}
    | {*FAMILIES, *INSTANCE_TYPES, *KEYS, "", " ", "\x00", "\ud800", "\n", "é"}
    | {"mps", "mig", "none", "time-slicing", "1g.10gb", "7g.80gb", "on-demand", "bottlerocket", "untrusted"}
    | {"0.0.0.0/0", "::/0", "10.0.0.0/16", "1.35", "per-zone", "f16", "2027-01-01", "1h30m", "Deployment"}
    | {"mistral:7b", "llama3.1:70b"}
)
ANY_TEXT = st.sampled_from(WORDS) | st.text(st.characters(), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 60)
    | st.integers()
    | st.sampled_from([10**400, -(10**400), 2**63])
    | st.floats()
    | ANY_TEXT
    | st.sampled_from([date(2027, 1, 1), datetime(2027, 1, 1)])
)
VALUES = st.recursive(
    SCALARS,
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(ANY_TEXT | st.integers() | st.none(), children, max_size=4)
        # Copies: a later change of the same stack spoils what it finds, which another stack would find spoilt.
        | st.sampled_from(list(FULL.values())).map(copy.deepcopy)
    ),
    max_leaves=8,
)


@st.composite
def spoilt_stacks(draw: st.DrawFn) -> dict[str, Any]:
    """The full stack with some values replaced, taken away, renamed or doubled."""
    raw = copy.deepcopy(FULL)
    for _ in range(draw(st.integers(1, 4))):
        path = list(draw(st.sampled_from(PATHS)))
        change = draw(st.sampled_from(["replace", "replace", "replace", "take away", "rename", "double"]))
        try:
            _spoil(draw, raw, path, change)
        except (KeyError, IndexError, TypeError, AttributeError):
            continue  # an earlier change took that place away
    return raw


def _spoil(draw: st.DrawFn, raw: dict[str, Any], path: list[str | int], change: str) -> None:
    *parents, last = path
    holder: Any = raw
    for part in parents:
        holder = holder[part]
    if change == "replace":
        put(raw, path, draw(VALUES))
    elif change == "take away":
        put(raw, path, GONE)
    elif change == "rename":
        holder[draw(ANY_TEXT)] = holder.pop(last)
    else:
        holder.append(copy.deepcopy(holder[last]))


def assert_computable(config: StackConfig) -> None:
    """The domain has an answer for everything that a plan shows, and no component refuses its arguments."""
    for section, pool in zip(config.pools, config.gpu_pools.values(), strict=True):
        assert pool.max_slots >= 1
        assert pool.slot_memory_mib >= 512
        assert pool.overlay_capacities or isinstance(pool.profile, NoSharing)
        if pool.ami == "bottlerocket":
            assert bottlerocket_settings(pool.profile, [t.gpu for t in pool.types])
        volume = section.volume
        Volume(size_gib=volume.size_gib, iops=volume.iops, throughput_mib_per_s=volume.throughput_mibps)
    for model in config.models:
        memory = memory_of(model)
        assert memory is not None
        assert memory.total_mib <= config.gpu_pools[model.pool].slot_memory_mib
    for workload in config.workloads:
        assert slots_of(workload) in range(1, config.gpu_pools[workload.pool].max_slots + 1)
    for placement in placements(config):
        assert not placement.offer.why_not
        assert placement.offer.pool.slot_memory_mib * placement.offer.slots >= (placement.need.memory_mib or 0)
    assert plan_subnets(config.network.cidr, config.zones)
    for line in bill(config, consumers(config)).lines:
        assert line.usd is None or 0 <= line.usd.low <= line.usd.expected + 1e-6 <= line.usd.high + 2e-6, line


def check(raw: dict[str, Any], region: str | None) -> None:
    try:
        config = parse(raw, stack="dev", region=region, today=TODAY)
    except ConfigError as error:
        assert_readable(error)
    else:
        assert_computable(config)


def assert_readable(error: ConfigError) -> None:
    """Every problem has a key and a message of one line, is said once, and can be printed."""
    assert error.problems
    assert str(error).encode()
    shown = [str(problem) for problem in error.problems]
    assert len(set(shown)) == len(shown), "said twice"
    assert all(text.count("\n") == 1 and text.startswith(("gpu-slices:", "aws:")) for text in shown)


def test_the_full_stack_is_valid() -> None:
    assert_computable(parse(FULL, stack="dev", region="us-east-1", today=TODAY))


@settings(max_examples=400 if EVERYTHING else 200)
@given(spoilt_stacks())
def test_anything_at_any_place_gives_problems_or_a_stack(raw: dict[str, Any]) -> None:
    check(raw, "us-east-1")


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(KEYS) | ANY_TEXT, VALUES, max_size=6), st.none() | ANY_TEXT)
def test_anything_at_the_top_gives_problems_or_a_stack(raw: dict[str, Any], region: str | None) -> None:
    check(raw, region)


@settings(max_examples=100)
@given(st.sampled_from(sorted(REGIONS)), st.sampled_from(sorted(FAMILIES)), st.sampled_from([[], [1], [8], [1, 4, 8]]))
def test_every_family_in_every_region_gives_problems_or_a_stack(region: str, family: str, counts: list[int]) -> None:
    changes = {"pools[0].instanceFamilies": [family], "pools[0].gpusPerNode": counts, "pools[0].maxGpus": 8}
    check(changed(changes), region)
