"""When a node gets its slots, and when it is given up: by a clock of the test's own, in no time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gpu.contract import CONFIG_LABEL, GPU_COUNT_LABEL
from twin.kube.client import Object
from twin.play.agent.lost import DEADLINE, REASON
from twin.play.agent.plugin import DELAY, DevicePlugin
from twin.play.device_plugin import InstalledPlugin
from twin.play.faults import Faults
from twin.play.platform import PLUGIN_NAME

NODE_POOL = {
    "metadata": {"name": "shared"},
    "spec": {"template": {"spec": {"nodeClassRef": {"name": "shared"}}}},
}
NODE_CLASS = {"metadata": {"name": "shared"}, "spec": {"amiSelectorTerms": [{"alias": "al2023@v1"}]}}
SHARING = {"resources": [{"name": "nvidia.com/gpu", "replicas": 4}]}


class Server:
    """The objects that the agent sees, and what it does to them: API server and watch in one."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Object]] = {
            "Node": [], "Pod": [], "NodeClaim": [], "NodePool": [NODE_POOL], "EC2NodeClass": [NODE_CLASS]
        }  # fmt: skip
        self.said: list[str] = []

    def node(self, name: str, plugin: str | None, config: str) -> None:
        """A node that is ready, its claim, and its plugin's pod in a phase."""
        labels = {
            GPU_COUNT_LABEL: "1",
            CONFIG_LABEL: config,
            "karpenter.sh/registered": "true",
            "karpenter.sh/nodepool": "shared",
        }
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        self.objects["Node"].append(
            {"kind": "Node", "metadata": {"name": name, "uid": name, "labels": labels}, "status": ready}
        )
        self.objects["NodeClaim"].append({"metadata": {"name": f"claim-{name}"}, "status": {"nodeName": name}})
        if plugin:
            pod: Object = {
                "name": f"plugin-{name}",
                "uid": f"first on {name}",
                "labels": {"app.kubernetes.io/name": PLUGIN_NAME},
            }
            self.objects["Pod"].append({"metadata": pod, "spec": {"nodeName": name}, "status": {"phase": plugin}})

    def all(self, kind: str) -> list[Object]:
        return self.objects[kind]

    def get(self, kind: str, name: str) -> Object | None:
        return next((o for o in self.objects[kind] if o["metadata"]["name"] == name), None)

    def patch(self, obj: Object, change: Object, *, subresource: str) -> Object:
        assert subresource == "status"
        obj["status"] |= change["status"]
        obj["metadata"] |= change.get("metadata", {})
        return obj

    def create(self, obj: Object) -> Object:
        assert obj["reason"] == REASON
        self.said.append(obj["message"])
        return obj

    def delete(self, api_version: str, kind: str, name: str) -> None:
        self.objects[kind] = [o for o in self.objects[kind] if o["metadata"]["name"] != name]

    @property
    def slots(self) -> list[str | None]:
        return [node["status"].get("allocatable", {}).get("nvidia.com/gpu") for node in self.objects["Node"]]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    return Faults(tmp_path)


@pytest.fixture
def agent(server: Server, faults: Faults) -> DevicePlugin:
    texts = {kind: yaml.safe_dump({"version": "v1", "sharing": {kind: SHARING}}) for kind in ("timeSlicing", "mps")}
    kube: Any = server
    return DevicePlugin(kube, kube, [InstalledPlugin(configs=texts)], faults)


def test_slots_come_after_the_delay_and_later_under_mps(server: Server, agent: DevicePlugin) -> None:
    server.node("sliced", "Running", "timeSlicing")
    server.node("mps", "Running", "mps")
    seen = {}
    for now in (0, DELAY - 1, DELAY, DELAY + 29, DELAY + 30):
        agent.tick(now)
        seen[now] = server.slots
    assert seen == {
        0: [None, None],
        DELAY - 1: [None, None],
        DELAY: ["4", None],
        DELAY + 29: ["4", None],
        DELAY + 30: ["4", "4"],
    }


@pytest.mark.parametrize(("config", "slots"), [("mps", "4"), ("timeSlicing", "8"), ("gone", "0")])
def test_a_plugin_that_starts_anew_reads_its_configuration_again(
    server: Server, agent: DevicePlugin, config: str, slots: str
) -> None:
    """With another one under the same name it cuts the GPU anew below the pods; without any it offers nothing."""
    server.node("sliced", "Running", "timeSlicing")
    agent.tick(0)
    agent.tick(DELAY)
    server.objects["Node"][0]["metadata"]["labels"][CONFIG_LABEL] = config
    text = {"version": "v1", "sharing": {"timeSlicing": {"resources": [{"name": "nvidia.com/gpu", "replicas": 8}]}}}
    configs = {**agent._plugins[0].configs, "timeSlicing": yaml.safe_dump(text)}
    agent._plugins = [InstalledPlugin(configs=configs)]
    agent.tick(DELAY + 1)
    assert server.slots == ["4"], "it runs, and its file is read already"
    server.objects["Pod"][0]["metadata"]["uid"] = "second"
    agent.tick(DELAY + 2)
    assert server.slots == [slots]


@pytest.mark.parametrize("phase", ["Running", "Pending"])
def test_a_machine_that_does_much_else_loses_no_node(server: Server, agent: DevicePlugin, phase: str) -> None:
    """The plugin is there and will speak: that the loop comes late, or kwok does, is not the node's fault."""
    server.node("late", phase, "mps")
    agent.tick(0)
    agent.tick(DEADLINE * 3)
    assert not server.said
    assert server.objects["NodeClaim"]
    server.objects["Pod"][0]["status"]["phase"] = "Running"
    agent.tick(DEADLINE * 4)
    agent.tick(DEADLINE * 5)
    assert server.slots == ["4"]


@pytest.mark.parametrize(
    ("plugin", "config", "never", "why"),
    [
        ("Running", "misspelt", (), "asks for configuration 'misspelt'"),
        ("Running", "timeSlicing", ("shared",), "the plugin has not registered"),
        (None, "timeSlicing", (), "no plugin pod runs on the node"),
    ],
)
def test_what_never_comes_is_said_and_replaced_twice(
    server: Server,
    agent: DevicePlugin,
    faults: Faults,
    plugin: str | None,
    config: str,
    never: tuple[str, ...],
    why: str,
) -> None:
    faults.set_plugin(never=never)
    for number in range(4):
        server.node(f"node-{number}", plugin, config)
    agent.tick(0)
    agent.tick(DEADLINE - 1)
    assert not server.said
    agent.tick(DEADLINE)
    assert len(server.objects["NodeClaim"]) == 2, "the first two are replaced, then it is the pool's fault"
    assert all(why in message for message in server.said)
    assert [message for message in server.said if "3 nodes in a row: not replaced any more" in message]
    told = len(server.said)
    agent.tick(DEADLINE + 1)
    assert len(server.said) == told, "each is told once"


def test_a_pool_made_anew_under_its_name_is_replaced_anew(server: Server, agent: DevicePlugin, faults: Faults) -> None:
    faults.set_plugin(never=("shared",))
    for round_ in ("first", "second"):
        server.objects["NodePool"] = [{**NODE_POOL, "metadata": {"name": "shared", "uid": round_}}]
        server.objects |= {"Node": [], "NodeClaim": []}
        for number in range(3):
            server.node(f"{round_}-{number}", "Running", "timeSlicing")
        agent.tick(0)
        agent.tick(DEADLINE)
        assert [o["metadata"]["name"] for o in server.objects["NodeClaim"]] == [f"claim-{round_}-2"]
