"""A KnativeService of the stack file: from zero by a request to a slot on a node that is bought, and to zero again."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from gpu.contract import NODE_POOL_LABEL
from twin.kube.client import Kube, Object
from twin.kube.observe import KINDS
from twin.machine import launch
from twin.machine.state import TwinState
from twin.plan import TwinPlan
from twin.planning import make_plan
from twin.request import follow

ROOT = Path(__file__).parents[2]
NAME, POOL = "rank", "shared"
_PATIENCE = 300.0


def pods(kube: Kube) -> list[Object]:
    return [pod for pod in kube.list("v1", "Pod", "workloads") if not pod["metadata"].get("deletionTimestamp")]


def gpu_nodes(kube: Kube) -> list[str]:
    labels = {node["metadata"]["name"]: node["metadata"]["labels"] for node in kube.list("v1", "Node")}
    return [name for name, own in labels.items() if own.get(NODE_POOL_LABEL) == POOL]


def bound(kube: Kube) -> Object:
    """The pod that a request makes, once it has its node."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found = [pod for pod in pods(kube) if pod["spec"].get("nodeName")]
        if found:
            return found[0]
        time.sleep(0.2)
    raise AssertionError(f"no pod was bound in {_PATIENCE:.0f} s: {pods(kube)}")


def test_a_service_comes_from_zero_and_goes_to_zero(
    tmp_path: Path, bring_up: Callable[..., TwinPlan], capsys: pytest.CaptureFixture[str]
) -> None:
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    described |= {"main": str(ROOT), "stackConfigDir": str(Path(__file__).parent / "stacks")}
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump(described))
    state = TwinState(tmp_path / ".twin", "asleep")
    try:
        bring_up(state, make_plan(tmp_path, "asleep"))
        kube = launch.connect(state)
        service = kube.get(KINDS["KnativeService"], "Service", NAME, "workloads")
        assert service is not None
        assert {each["type"]: each["status"] for each in service["status"]["conditions"]}["Ready"] == "True"
        assert (pods(kube), gpu_nodes(kube)) == ([], []), "asleep"

        with ThreadPoolExecutor(1) as asking:
            asked = asking.submit(follow, state, NAME, 2.0, until_gone=True)
            pod = bound(kube)
            assert asked.result(_PATIENCE) == 0
        containers = {each["name"]: each for each in pod["spec"]["containers"]}
        assert containers.keys() == {"app", "log", "queue-proxy"}
        assert containers["app"]["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert pod["spec"]["nodeSelector"] == {"gpu-slices/pool": POOL}
        assert (pods(kube), gpu_nodes(kube)) == ([], []), "asleep again, and its node is gone"

        told = capsys.readouterr().out
        for step in ("pod is there, and waits for a slot", "has its slot on", f"{NAME} answers", "gone: zero pods"):
            assert step in told
    finally:
        launch.stop(state)
