"""The cold-start budget: each lever shortens its step and no other."""

import dataclasses
from typing import Any

import pytest

from gpu.coldstart import ColdStart, NodeStart, cold_start

WEIGHTS = 4096
PLAIN = NodeStart(ami="al2023")


def budget(source: Any = "node-cache", weights: int = WEIGHTS, **levers: Any) -> ColdStart:
    return cold_start(dataclasses.replace(PLAIN, **levers), source, weights)


def seconds(start: ColdStart) -> dict[str, float]:
    return {step.name: step.seconds for step in start.steps}


def test_the_steps_by_hand() -> None:
    found = seconds(budget())
    assert found["node"] == 37  # measured
    assert found["image"] == pytest.approx(2000 / (9350 / 130.8))
    assert found["weights"] == pytest.approx(4096 * 1.048576 / 100)
    assert found["load"] == pytest.approx(4096 / 250 + 5)
    assert budget().seconds == pytest.approx(sum(found.values()))
    assert budget().of("node", "plugin") == found["node"] + found["plugin"]


def test_mps_waits_for_its_daemon_once() -> None:
    """The plugin retries after 30 s (main.go: "Retrying in 30s..."), and time-slicing has nothing to wait for."""
    plain, mps = budget(), budget(mps=True)
    assert [step.name for step in mps.steps] == ["node", "plugin", "mps", "image", "weights", "load"]
    assert mps.seconds == plain.seconds + 30
    assert seconds(budget(mps=True, warm=True))["mps"] == 0
    assert mps.warm_seconds == plain.warm_seconds


@pytest.mark.parametrize(
    ("levers", "shorter"),
    [
        ({"warm": True}, {"node", "plugin"}),
        ({"static": True}, {"node", "plugin"}),
        ({"ami": "bottlerocket"}, {"node", "plugin"}),
        ({"fast_image_pull": True}, {"image"}),
        ({"volume_mib_per_s": 1000}, {"load"}),
        ({"instance_store": True}, {"load"}),
        ({"snapshot": True, "snapshot_mib_per_s": 300, "volume_mib_per_s": 300}, {"image", "weights", "load"}),
    ],
)
def test_each_lever_shortens_what_it_is_for(levers: dict[str, Any], shorter: set[str]) -> None:
    before, after = seconds(budget()), seconds(budget(**levers))
    assert {name for name in before if after[name] < before[name]} == shorter
    assert {name for name in before if after[name] > before[name]} == set()


def test_a_snapshot_that_is_read_block_by_block_makes_loading_slow() -> None:
    lazy, in_advance = budget(snapshot=True), budget(snapshot=True, snapshot_mib_per_s=300)
    assert seconds(lazy)["load"] > 3 * seconds(in_advance)["load"]


def test_weights_move_with_their_source() -> None:
    cached, volume, baked = (seconds(budget(source)) for source in ("node-cache", "image", "baked"))
    assert baked["weights"] == 0
    assert baked["image"] - cached["image"] == pytest.approx(volume["weights"])
    assert volume["image"] == cached["image"]
    fast = seconds(budget("image", fast_image_pull=True))
    assert fast["weights"] < volume["weights"]


def test_claims_wait_for_the_driver_and_have_no_warm_node() -> None:
    slots, claims = budget(), budget(claims=True)
    assert seconds(claims) == seconds(slots)
    steps = {step.name: step for step in claims.steps}
    assert "DRA driver" in steps["plugin"].source
    assert {steps[name].lever for name in ("node", "plugin")} == {"minScale"}
    assert "device plugin" in {step.name: step for step in slots.steps}["plugin"].source


def test_a_slow_disk_bounds_the_download() -> None:
    assert seconds(budget(volume_mib_per_s=50))["weights"] == pytest.approx(4096 / 50)


def test_a_warm_node_leaves_the_load() -> None:
    start = budget()
    assert start.warm_seconds == pytest.approx(3 + seconds(start)["load"])
    assert budget(snapshot=True).warm_seconds == start.warm_seconds, "a block is fetched from a snapshot once"


def test_every_step_says_where_it_is_from_and_what_changes_it() -> None:
    for step in (*budget(mps=True).steps, *budget("image", ami="bottlerocket", fast_image_pull=True).steps):
        assert step.source
        assert step.lever
        assert step.basis in ("measured", "estimate")
