"""When a node gets its devices, and when it is given up: by a clock of the test's own, in no time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.gpu.gpu_sharing import GpuSharingArgs, device_plugin_values
from gpu.contract import CONSUMABLE_ANNOTATION, GPU_COUNT_LABEL
from gpu.sharing import TimeSlicing
from twin.kube.client import Object
from twin.play.agent.dra import OTHERWISE, DraDriver
from twin.play.agent.lost import DEADLINE, REASON, TRIES
from twin.play.agent.plugin import DELAY, DevicePlugin
from twin.play.device_plugin import InstalledPlugin, installed_plugins
from twin.play.dra_driver import COMPONENT, InstalledDriver
from twin.play.faults import Faults

CLASS = {"metadata": {"name": "memory", "annotations": {CONSUMABLE_ANNOTATION: "memory"}}, "spec": {}}
POOL = {"metadata": {"name": "memory"}, "spec": {"template": {"spec": {"nodeClassRef": {"name": "memory"}}}}}
DRIVER = InstalledDriver(consumable_shares="memory", node_selector={"gpu-slices/sharing": "memory"})


class Server:
    """The objects that the agent sees, and what it does to them: API server and watch in one."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Object]] = {
            "Node": [], "Pod": [], "NodeClaim": [], "ResourceSlice": [], "NodePool": [POOL], "EC2NodeClass": [CLASS]
        }  # fmt: skip
        self.said: list[tuple[str, str]] = []

    def node(self, name: str, driver: str = "Running") -> None:
        """A node that is ready, its claim, and its driver's pod in a phase."""
        labels = {
            GPU_COUNT_LABEL: "1",
            "karpenter.sh/registered": "true",
            "karpenter.sh/nodepool": "memory",
            "gpu-slices/sharing": "memory",
            "node.kubernetes.io/instance-type": "g6.xlarge",
        }
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        self.objects["Node"].append(
            {"kind": "Node", "metadata": {"name": name, "uid": name, "labels": labels}, "status": ready}
        )
        self.objects["NodeClaim"].append({"metadata": {"name": f"claim-{name}"}, "status": {"nodeName": name}})
        if driver:
            pod = {"name": f"driver-{name}", "labels": dict(COMPONENT)}
            self.objects["Pod"].append({"metadata": pod, "spec": {"nodeName": name}, "status": {"phase": driver}})

    def all(self, kind: str) -> list[Object]:
        return self.objects[kind]

    def get(self, kind: str, name: str) -> Object | None:
        return next((o for o in self.objects[kind] if o["metadata"]["name"] == name), None)

    def apply(self, obj: Object) -> Object:
        self.objects[obj["kind"]].append(obj)
        return obj

    def patch(self, obj: Object, change: Object, *, subresource: str) -> Object:
        obj[subresource] |= change[subresource]
        return obj

    def create(self, obj: Object) -> Object:
        self.said.append((obj["reason"], obj["message"]))
        return obj

    def delete(self, api_version: str, kind: str, name: str) -> None:
        self.objects[kind] = [o for o in self.objects[kind] if o["metadata"]["name"] != name]

    @property
    def published(self) -> list[str]:
        return [slice_["spec"]["nodeName"] for slice_ in self.objects["ResourceSlice"]]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    return Faults(tmp_path)


def agent_of(server: Server, faults: Faults, *drivers: InstalledDriver) -> DraDriver:
    kube: Any = server
    return DraDriver(kube, kube, drivers, faults)


def test_devices_come_once_and_after_the_delay(server: Server, faults: Faults) -> None:
    agent = agent_of(server, faults, DRIVER)
    server.node("a")
    seen = {}
    for now in (0, DELAY - 1, DELAY, DELAY + 1, DELAY + DEADLINE):
        agent.tick(now)
        seen[now] = server.published
    assert seen == {0: [], DELAY - 1: [], DELAY: ["a"], DELAY + 1: ["a"], DELAY + DEADLINE: ["a"]}
    assert not server.said


def test_late_ones(server: Server, faults: Faults) -> None:
    agent = agent_of(server, faults, DRIVER)
    faults.set_plugin(seconds=200)
    server.node("a")
    for now in (0, DELAY, DEADLINE + 1, 199):
        agent.tick(now)
        assert server.published == []
    agent.tick(200)
    assert server.published == ["a"]
    assert not server.said, "it comes: nobody gives it up"


@pytest.mark.parametrize(
    ("driver", "phase", "why"),
    [
        (DRIVER, "", "no pod of the DRA driver runs on the node"),
        (None, "", "no pod of the DRA driver runs on the node"),
        (InstalledDriver(problem="requires a gate", node_selector=DRIVER.node_selector), "Running", "requires a gate"),
        (DRIVER, "Running", "the DRA driver has published none"),
    ],
)
def test_silent_ones_are_replaced_and_then_left_alone(
    server: Server, faults: Faults, driver: InstalledDriver | None, phase: str, why: str
) -> None:
    agent = agent_of(server, faults, *([driver] if driver else []))
    faults.set_plugin(never=["memory"] if driver is DRIVER and phase else [])
    for number in range(TRIES + 1):
        server.node(f"node-{number}", phase)
        agent.tick(number * 1000)
        agent.tick(number * 1000 + DEADLINE)
    assert server.published == []
    assert [claim["metadata"]["name"] for claim in server.objects["NodeClaim"]] == [f"claim-node-{TRIES}"]
    reasons, messages = zip(*server.said, strict=True)
    assert set(reasons) == {REASON}
    assert messages[0] == f"node node-0 of pool memory has no devices of gpu.nvidia.com: {why}"
    assert messages[-1].endswith(f"; {TRIES + 1} nodes in a row: not replaced any more")


def test_a_driver_that_shares_otherwise_than_karpenter_reckons_is_told(server: Server, faults: Faults) -> None:
    agent = agent_of(server, faults, DRIVER)
    faults.set_plugin(consumable_shares="disabled", memory_mib=12000)
    server.node("a")
    agent.tick(0)
    agent.tick(DELAY)
    (device,) = server.objects["ResourceSlice"][0]["spec"]["devices"]
    assert device["capacity"] == {"memory": {"value": "12000Mi"}}
    ((reason, message),) = server.said
    assert reason == OTHERWISE
    assert "consumableShares: disabled, and Karpenter buys for memory" in message


def test_device_plugins_leave_the_drivers_nodes_alone(server: Server, faults: Faults) -> None:
    kube: Any = server
    server.node("a")
    plugin = DevicePlugin(kube, kube, [InstalledPlugin(node_selector={"gpu-slices/pool": "slots"})], faults, [DRIVER])
    for now in (0, DELAY, DEADLINE, DEADLINE + 1):
        plugin.tick(now)
    assert not server.said, "not one of theirs that never speaks"


def test_old_nodes_of_a_pool_that_came_from_claims_are_no_plugin_s(server: Server, faults: Faults) -> None:
    """The plugin's release selects their pool's label, and its affinity leaves them out; nor are they given up."""
    kube: Any = server
    server.node("a")
    agent = agent_of(server, faults, DRIVER)
    agent.tick(0)
    agent.tick(DELAY)
    labels = server.objects["Node"][0]["metadata"]["labels"] = {
        **server.objects["Node"][0]["metadata"]["labels"],
        "gpu-slices/pool": "was",
        "nvidia.com/gpu.present": "true",
    }
    args = GpuSharingArgs(profiles={"was": TimeSlicing(4)})
    (release,) = installed_plugins([device_plugin_values("was", args)], [])
    assert release.runs_on(labels | {"gpu-slices/sharing": "time-slicing"})
    assert not release.runs_on(labels)
    assert replace(release, affinity={}).runs_on(labels), "by the chart's own affinity it would be there"
    # Driver and annotation are gone with the change; what was published stays while the node does.
    server.objects["EC2NodeClass"] = [{"metadata": {"name": "memory"}, "spec": {}}]
    plugin = DevicePlugin(kube, kube, [release], faults)
    for now in (0, DELAY, DEADLINE, DEADLINE + 1):
        plugin.tick(now)
    assert not server.said
    assert "nvidia.com/gpu" not in server.objects["Node"][0]["status"].get("allocatable", {})


def test_a_gpu_with_two_owners_has_both(server: Server, faults: Faults) -> None:
    """A plugin that also goes there offers the same GPU a second time, as it would on a real node."""
    kube: Any = server
    server.node("a")
    plain = InstalledPlugin(fallbacks=("empty",))
    plugin = DevicePlugin(kube, kube, [plain], faults, [DRIVER])
    labels = {"app.kubernetes.io/name": "nvidia-device-plugin"}
    server.objects["Pod"].append(
        {
            "metadata": {"name": "plugin", "uid": "plugin", "labels": labels},
            "spec": {"nodeName": "a"},
            "status": {"phase": "Running"},
        }
    )
    plugin.tick(0)
    plugin.tick(DELAY)
    assert server.objects["Node"][0]["status"]["allocatable"] == {"nvidia.com/gpu": "1"}
