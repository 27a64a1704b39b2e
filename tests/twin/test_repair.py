"""Node repair, on: the twin's Karpenter has it, and its API server takes the budget that paces it.

How it repairs takes ten minutes from a node's birth, which is too long here: a condition counts from no earlier.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import yaml

from twin.kube.observe import KINDS
from twin.machine import launch
from twin.machine.state import TwinState, load_run
from twin.plan import TwinPlan
from twin.planning import make_plan

ROOT = Path(__file__).parents[2]


def test_karpenter_repairs_nodes_where_the_stack_says_so(tmp_path: Path, bring_up: Callable[..., TwinPlan]) -> None:
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    described |= {"main": str(ROOT), "stackConfigDir": str(Path(__file__).parent / "stacks")}
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump(described))
    state = TwinState(tmp_path / ".twin", "repair")
    try:
        bring_up(state, make_plan(tmp_path, "repair"))
        kube, run = launch.connect(state), load_run(state)
        assert run is not None
        [pool] = [each for each in kube.list(KINDS["NodePool"], "NodePool") if each["metadata"]["name"] == "shared"]
        assert {"nodes": "1", "reasons": ["Unhealthy"]} in pool["spec"]["disruption"]["budgets"]
        assert _looks_for_unfit_nodes(run.ports["karpenter-metrics"])
    finally:
        launch.stop(state)


def _looks_for_unfit_nodes(metrics: int) -> bool:
    """Whether Karpenter has once weighed a repair, within two minutes; it looks every ten seconds."""
    deadline = time.monotonic() + 120.0
    while time.monotonic() < deadline:
        # It does not answer before it leads, nor in time on a machine that is busy.
        with suppress(OSError), urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as answer:
            if 'reason="unhealthy"' in answer.read().decode():
                return True
        time.sleep(0.5)
    return False
