from __future__ import annotations

import pytest

from policy.analyzer import Recorded
from policy.rules.mps_no_own_shm import RULE
from tests.policy.platform import container, deployment, platform
from tests.policy.support import UNKNOWN, judged


def said(strategy: str, path: str) -> list[str]:
    app: Recorded = deployment(container(volumeMounts=[{"name": "v", "mountPath": path}]))
    return [verdict.message for verdict in judged(RULE, *platform(strategy), app)]


@pytest.mark.parametrize("path", ["/tmp", "/dev/shmem", "/data/dev/shm"])
def test_other_mounts_pass(path: str) -> None:
    assert said("mps", path) == []


@pytest.mark.parametrize("path", ["/dev/shm", "/dev/shm/", "/dev/shm/cache", "/dev//shm", "dev/shm", "/dev/x/../shm"])
def test_a_volume_at_dev_shm_fails(path: str) -> None:
    (message,) = said("mps", path)
    assert f"mounts {path}" in message


def test_an_unknown_path_fails() -> None:
    assert "must be a literal" in said("mps", UNKNOWN)[0]


def test_under_time_slicing_it_is_nobodys_business() -> None:
    assert said("timeSlicing", "/dev/shm") == []
