"""A stack with everything in it, and with the longest names that the configuration allows."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from config.checks.tags import MAX_TAG_NAME, MAX_TAGS
from config.fields import MAX_TAG_VALUE
from gpu.catalog import REGIONS
from gpu.contract import MAX_JUSTIFIED_DAYS
from gpu.naming import MAX_NAME
from plan.project import StackFile, find_project, load_stack
from plan.record import Recording, record
from tests.day import TODAY
from tests.plan.conftest import ROOT
from tests.plan.variants import DIGEST, HOURS, MODEL, POOL

#: Pulumi's own limit (sdk/go/common/tokens/stack_name.go); the stack's name is the value of a tag.
MAX_STACK_NAME = 100
STACK = "S.t_a-ck" + "k" * (MAX_STACK_NAME - 8)
REGION = "ap-northeast-1"
CLUSTER = "c-" * (MAX_NAME // 2 - 1) + "c0"


def long_name(start: str) -> str:
    """A name of the greatest length that the configuration takes."""
    return f"{start}-" + "0123456789" * 5 if len(start) >= MAX_NAME else (f"{start}-" + "0123456789" * 5)[:MAX_NAME]


def _email(number: int) -> str:
    local, label = f"{number}+".ljust(64, "o"), "d" * 61
    return f"{local}@{label}.{label}.{label}.{'co'}"


def _principal(kind: str, start: str) -> str:
    return f"arn:aws:iam::101010101010:{kind}/{'team+=,.@-_/' * 42}path/{start.ljust(64, '=')}"


_P, _Q, _M, _D = (long_name(start) for start in ("time", "bottle", "mig", "demand"))
_A, _B, _C, _E = (long_name(start) for start in ("a", "b", "c", "e"))
_IMAGE = f"{'registry.' * 10}com:5000/{'folder/' * 20}w{DIGEST}"
_DOMAIN = ".".join(["d" * 61, "d" * 61, "d" * 61, "dddddd", "com"])

VALUES: Mapping[str, Any] = {
    "cluster": {
        "name": CLUSTER,
        "publicAccessCidrs": [f"100.{i}.0.0/16" for i in range(40)],
        "admins": [_principal("role", "admin"), _principal("user", "admin")],
        "viewers": [_principal("role", "viewer")],
        "deletionProtection": True,
        "systemNodes": {"instanceTypes": ["m7g.large"], "min": 1, "desired": 3, "max": 4},
    },
    "network": {"nat": "per-zone", "interfaceEndpoints": True},
    "cpuPools": [{"name": long_name("x86"), "arch": "amd64"}, {"name": long_name("arm"), "arch": "arm64"}],
    "pools": [
        {**POOL, "name": _P, "sharing": {"strategy": "time-slicing", "replicas": 2}, "warm": {"slots": 2}},
        {
            **POOL,
            "name": _Q,
            "ami": "bottlerocket",
            "warm": HOURS,
            "volume": {"snapshotId": "snap-0123456789abcdef0", "initializationRateMibps": 300},
        },
        {
            "name": _M,
            "instanceFamilies": ["p5"],
            "maxGpus": 8,
            "tenants": "untrusted",
            "instanceStore": True,
            "fastImagePull": True,
            "sharing": {"strategy": "mig", "profile": "1g.10gb"},
        },
        {
            **POOL,
            "name": _D,
            "capacityType": "on-demand",
            "onDemand": {
                "justification": "GPU-142: the support chat must answer ".ljust(MAX_TAG_VALUE, "é"),
                "expires": (TODAY + timedelta(days=MAX_JUSTIFIED_DAYS)).isoformat(),
            },
        },
    ],
    "models": [
        {**MODEL, "name": _A, "pool": _P, "model": "llama3.2:3b", "server": long_name("s"), "kvCacheType": "q8_0"},
        {**MODEL, "name": _B, "pool": _P, "model": "qwen2.5:3b", "server": long_name("s"), "kvCacheType": "q8_0"},
        {**MODEL, "name": _C, "pool": _D},
        {**MODEL, "name": _E, "pool": _Q, "weights": {"source": "image", "image": _IMAGE}},
    ],
    "workloads": [
        {
            "name": long_name("batch"),
            "pool": _M,
            "kind": "Job",
            "checkpoint": {"prefix": "p" * 200},
            "containers": [{"name": long_name("app"), "image": _IMAGE, "slots": 1}],
        }
    ],
    "dialogue": {
        "speakers": [_A, _C],
        "guests": [_E],
        "image": "build",
        "keysSecret": long_name("keys"),
        "store": "dynamodb",
    },
    "monitoring": {"backend": "cloudwatch"},
    "budget": {"monthlyUsd": 9_999_999.99, "emails": [_email(number) for number in range(10)], "anomalies": True},
    # Letters and digits of any script, and every sign that AWS takes.
    "tags": {
        f"{number:02}-Ünïcode ٣ _.:/=+-@".ljust(MAX_TAG_NAME, "名"): "_.:/=+-@ ".ljust(MAX_TAG_VALUE, "値")
        for number in range(MAX_TAGS)
    },
}
_DOOR = {"domain": _DOMAIN, "hostedZoneId": "Z" + "0" * 31, "allowedCidrs": [f"10.{i}.0.0/16" for i in range(60)]}
_CERTIFICATE = f"arn:aws:acm:{REGION}:101010101010:certificate/01234567-89ab-cdef-0123-456789abcdef"
#: TLS ends at the load balancer, or in the cluster.
DOORS: Mapping[str, Mapping[str, Any]] = {
    "certificate": {"certificateArn": _CERTIFICATE},
    "secret": {"tlsSecret": long_name("tls"), "idleSeconds": 6000},
}


@functools.cache
def longest(door: str) -> Recording:
    """The recording of the stack with one of `DOORS`."""
    assert len(REGION) == max(map(len, REGIONS))
    project = find_project(ROOT)
    given = load_stack(project, "dev").values
    serving = {"replicas": 2, "door": {**_DOOR, **DOORS[door]}}
    changed = {f"gpu-slices:{key}": json.dumps(value) for key, value in {**VALUES, "serving": serving}.items()}
    values = {**given, **changed, "aws:region": REGION}
    return record(project, StackFile(stack=STACK, values=values, secret_keys=(), problems=(), notes=()))
