"""What nodes have cost so far: by a clock of the test's own, in no time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.twin.cluster import Cluster
from twin.play.agent.meter import Meter, read_meter
from twin.prices import played

HOUR = 3600.0
#: Some moment of `time.monotonic()`.
START = 50_000.0
PRICES = played("us-east-1")
CPU = PRICES.node_usd_per_hour("m7g.large", "on-demand") or 0.0
GPU = PRICES.node_usd_per_hour("g6.xlarge", "spot") or 0.0


@pytest.fixture
def cluster() -> Cluster:
    found = Cluster()
    found.system_node("system-1")
    return found


def meter(folder: Path, cluster: Cluster) -> Meter:
    """A meter, newly started."""

    class Observed:
        def all(self, kind: str) -> Any:
            return cluster.objects[kind]

    observed: Any = Observed()
    return Meter(folder, observed, PRICES)


def test_it_counts_from_its_first_look_by_what_stands_at_each(tmp_path: Path, cluster: Cluster) -> None:
    counted = meter(tmp_path, cluster)
    counted.tick(START)
    assert read_meter(tmp_path) == (0.0, 0.0)
    counted.tick(START + HOUR)
    assert read_meter(tmp_path) == pytest.approx((CPU, 0.0))
    cluster.node("new", stage="bought")  # costs from the moment that Karpenter has bought it
    counted.tick(START + 1.5 * HOUR)
    assert read_meter(tmp_path) == pytest.approx((1.5 * CPU + 0.5 * GPU, 0.5 * GPU))
    cluster.objects["NodeClaim"].clear()
    counted.tick(START + 2.5 * HOUR)
    assert read_meter(tmp_path) == pytest.approx((2.5 * CPU + 0.5 * GPU, 0.5 * GPU))


def test_many_looks_count_no_moment_twice_and_leave_none_out(tmp_path: Path, cluster: Cluster) -> None:
    counted = meter(tmp_path, cluster)
    for tick in range(6_001):  # ten minutes, every tenth of a second
        counted.tick(START + tick / 10)
    assert read_meter(tmp_path)[0] == pytest.approx(CPU / 6)


def test_it_writes_every_two_seconds(tmp_path: Path, cluster: Cluster) -> None:
    counted = meter(tmp_path, cluster)
    written = []
    for second in range(6):
        (tmp_path / "meter.json").unlink(missing_ok=True)
        counted.tick(START + second)
        written.append((tmp_path / "meter.json").exists())
    assert written == [True, False, True, False, True, False]


def test_a_restart_goes_on_from_what_is_written_without_the_time_between(tmp_path: Path, cluster: Cluster) -> None:
    before = meter(tmp_path, cluster)
    before.tick(START)
    before.tick(START + HOUR)
    after = meter(tmp_path, cluster)
    after.tick(10.0)  # the machine has started again as well: its clock begins anew
    assert read_meter(tmp_path)[0] == pytest.approx(CPU)
    after.tick(10.0 + HOUR)
    assert read_meter(tmp_path)[0] == pytest.approx(2 * CPU)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", json.dumps({"usd": None, "gpuUsd": 1})])
def test_a_count_that_is_lost_begins_at_nothing(tmp_path: Path, cluster: Cluster, text: str) -> None:
    (tmp_path / "meter.json").write_text(text, encoding="utf-8")
    meter(tmp_path, cluster).tick(START)
    assert read_meter(tmp_path) == (0.0, 0.0)


def test_a_twin_that_is_gone_is_not_written_again(tmp_path: Path, cluster: Cluster) -> None:
    gone = tmp_path / "gone"
    counted = meter(gone, cluster)
    counted.tick(START)
    counted.tick(START + HOUR)
    assert not gone.exists()
