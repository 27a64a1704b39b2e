from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules.mps_client_limits import RULE, client_memory_mib
from tests.policy.platform import container, deployment, platform
from tests.policy.support import UNKNOWN, judged

MEMORY, THREADS = "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"
#: Three slots of an A10G: NVML shows 23028 MiB, of which the daemon gives each client 7676, and 33 % of the threads.
MPS = platform("mps", 3)
#: Lists of which CUDA does not read every part.
LISTS = ("0=3G,garbage", "0=3G,", "0=1G,0=2G", "0=3G\n", "0=٣G", "1=3G")


def said(*resources: Recorded) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources)]


def client(**env: Any) -> Recorded:
    return deployment(container(env=[{"name": name, "value": value} for name, value in env.items()]))


@pytest.mark.parametrize(
    "env",
    [
        {MEMORY: "0=7676M", THREADS: "33"},
        {MEMORY: "0=3G"},
        {MEMORY: "GPU-8dc62a6c-5f5b-4b1e-9d0a-2f1c3b4a5d6e=3G"},
        {THREADS: "10"},
        {"HOME": "/"},
    ],
)
def test_limits_below_the_daemon_s_pass(env: dict[str, str]) -> None:
    assert said(*MPS, client(**env)) == []


def test_limits_above_the_daemon_s_do_nothing() -> None:
    assert said(*MPS, client(**{THREADS: "34"})) == [
        f"container main: {THREADS} is 34, and the daemon of pool gpu gives a client at most 33."
    ]
    assert said(*MPS, client(**{MEMORY: "0=7677M"})) == [
        f"container main: {MEMORY} is 7677 MiB, and the daemon of pool gpu gives a client at most 7676."
    ]


def test_limits_without_mps_do_nothing() -> None:
    (message,) = said(*platform(), client(**{MEMORY: "0=3G", THREADS: "20"}))
    assert message == (
        f"container main may land on pool gpu, which shares by time-slicing: {MEMORY} and {THREADS} does nothing there."
    )


@pytest.mark.parametrize(
    "value",
    ["3G", "0:3G", "0=3GiB", "all=3G", "GPU-8dc6=3G", *LISTS],
)
def test_a_limit_that_cuda_does_not_read_fails(value: str) -> None:
    (message,) = said(*MPS, client(**{MEMORY: value}))
    assert message == f"container main: {MEMORY} is {value}, and CUDA reads a list such as 0=3072M."


@pytest.mark.parametrize("value", ["0", "-5", "101", "nan", "inf", "half"])
def test_a_percentage_that_is_none_fails(value: str) -> None:
    messages = said(*MPS, client(**{THREADS: value}))
    assert f"container main: {THREADS} is {value}, and CUDA reads a percentage above 0, to 100." in messages


def test_a_value_that_nobody_can_see_fails() -> None:
    assert said(*MPS, client(**{MEMORY: UNKNOWN})) == [f"container main: {MEMORY} must be a literal."]


@pytest.mark.parametrize(
    ("value", "mib"),
    [
        ("0=3G", 3072),
        ("0=512M", 512),
        ("0=1GB", 1024),
        ("1=2G,0=1G", 1024),
        ("1=2G", None),
        ("", None),
        ("0=3G,garbage", None),
    ],
)
def test_the_limit_of_the_first_device_counts(value: str, mib: int | None) -> None:
    assert client_memory_mib({MEMORY: value}) == mib


@pytest.mark.parametrize("value", LISTS)
def test_a_list_that_is_wrong_in_part_limits_nothing(value: str) -> None:
    assert client_memory_mib({MEMORY: value}) is None
