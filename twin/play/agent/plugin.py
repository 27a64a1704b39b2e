"""Plays the device plugin: some seconds after its pod runs on a GPU node, the node offers what the configuration says.

And watches over those that never do.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from gpu.coldstart import MPS_RETRY_SECONDS
from gpu.contract import GPU_COUNT_LABEL, NAME_LABEL, NVIDIA_PREFIX, PLUGIN_ANNOTATION
from gpu.sharing.bottlerocket import is_bottlerocket
from twin.kube.client import ApiError, Kube, Object
from twin.kube.observe import Observed
from twin.play.agent.lost import DEADLINE, Lost, node_pool
from twin.play.device_plugin import InstalledPlugin, Offer, offer
from twin.play.dra_driver import InstalledDriver, expects_driver
from twin.play.faults import Faults
from twin.play.platform import PLUGIN_NAME
from twin.view import slots_of

#: Seconds from a running plugin pod (on Bottlerocket: a ready node) to the first slot: driver, NVML, registration.
DELAY = 8.0
_REGISTERED = "karpenter.sh/registered"
_RUNNING = "Running"


class DevicePlugin:
    """Looks at every node each time it is called; forgets what is gone."""

    def __init__(
        self,
        kube: Kube,
        observed: Observed,
        plugins: Sequence[InstalledPlugin],
        faults: Faults,
        drivers: Sequence[InstalledDriver] = (),
    ) -> None:
        """drivers: DRA drivers; nodes that are theirs alone are none of the plugins'."""
        self._kube = kube
        self._observed = observed
        self._plugins = plugins
        self._drivers = drivers
        self._faults = faults
        self._lost = Lost(kube, observed)
        self._pool = ThreadPoolExecutor(4)

    def tick(self, now: float) -> None:
        """Let plugins register and give nodes up. now: `time.monotonic()`."""
        self._start_anew()
        waiting = [node for node in self._observed.all("Node") if self._waits(node)]
        self._lost.forget_all_but(waiting)
        if not waiting:
            return
        plugin_phases = self._plugin_phases()
        offers = [(node, *self._offer(node, plugin_phases)) for node in waiting]
        due = [(node, offered) for node, offered, phase in offers if self._is_due(node, offered, phase, now)]
        registered = self._pool.map(lambda pair: self._register(*pair), due)
        for (node, _), came in zip(due, registered, strict=True):
            if came:
                self._lost.came(node_pool(node))

    def _is_due(self, node: Object, offered: Offer, phase: str, now: float) -> bool:
        """Whether a node's slots come now. What never will is given up."""
        orders = self._faults.plugin()
        running = phase == _RUNNING
        lacks = ""
        if not offered.resources or not phase or orders.silent(node_pool(node)):
            why = offered.problem or ("the plugin has not registered" if running else "no plugin pod runs on the node")
            lacks = f"offers no {NVIDIA_PREFIX}* resource: {why}"
        # It looks for the daemon of MPS when it starts, too early, and again half a minute later.
        delay = orders.delay(DELAY + MPS_RETRY_SECONDS if offered.waits_for_mps else DELAY)
        return self._lost.is_due(
            node, now, running=running, delay=delay, deadline=orders.deadline(DEADLINE), lacks=lacks
        )

    def _start_anew(self) -> None:
        """A plugin whose pod is another than the one that registered has read its configuration again.

        Nothing is offered any more where it finds none: the kubelet takes all devices of a plugin that is gone for
        unhealthy, and lets the pods on them run.
        """
        pods = self._plugin_pods()
        for node in self._observed.all("Node"):
            registered = (node["metadata"].get("annotations") or {}).get(PLUGIN_ANNOTATION)
            pod = pods.get(node["metadata"]["name"])
            if registered and pod and pod["metadata"]["uid"] != registered and _phase(pod) == _RUNNING:
                self._register(node, self.offered(node))

    def _waits(self, node: Object) -> bool:
        """Whether a node should offer slots and does not."""
        return has_joined(node) and not slots_of(node.get("status") or {}) and not self._is_drivers(node)

    def _is_drivers(self, node: Object) -> bool:
        """Whether the GPUs of a node are published as devices, and no plugin goes there beside the driver."""
        labels = node["metadata"]["labels"]
        if any(plugin.runs_on(labels) for plugin in self._plugins):
            return False
        name = node["metadata"]["name"]
        published = any(found["spec"].get("nodeName") == name for found in self._observed.all("ResourceSlice"))
        # What was published stays while the node does, also where its pool has meanwhile another cut.
        return published or expects_driver(labels, node_class_of(self._observed, node), self._drivers)

    def _plugin_phases(self) -> Mapping[str, str]:
        """Phase of the plugin's pod by node."""
        return {node: _phase(pod) for node, pod in self._plugin_pods().items()}

    def _plugin_pods(self) -> Mapping[str, Object]:
        """The plugin's pod by node."""
        return {
            pod["spec"].get("nodeName", ""): pod
            for pod in self._observed.all("Pod")
            if (pod["metadata"].get("labels") or {}).get(NAME_LABEL) == PLUGIN_NAME
            and not pod["metadata"].get("deletionTimestamp")
        }

    def offered(self, node: Object) -> Offer:
        """What a node's plugin offers."""
        return offer(node["metadata"].get("labels") or {}, node_class_of(self._observed, node), self._plugins)

    def _offer(self, node: Object, plugin_phases: Mapping[str, str]) -> tuple[Offer, str]:
        """What the node would offer, and the phase of what offers it; empty where nothing does."""
        node_class = node_class_of(self._observed, node)
        offered = offer(node["metadata"]["labels"], node_class, self._plugins)
        if is_bottlerocket((node_class or {}).get("spec") or {}):
            return offered, _RUNNING  # a service of the host
        return offered, plugin_phases.get(node["metadata"]["name"], "")

    def _register(self, node: Object, offered: Offer) -> bool:
        before = dict.fromkeys(slots_of(node.get("status") or {}), "0")
        resources: Mapping[str, str] = before | {name: str(number) for name, number in offered.resources.items()}
        body: Object = {"status": {"capacity": resources, "allocatable": resources}}
        if pod := self._plugin_pods().get(node["metadata"]["name"]):
            body["metadata"] = {"annotations": {PLUGIN_ANNOTATION: pod["metadata"]["uid"]}}
        try:
            self._kube.patch(node, body, subresource="status")
        except ApiError:
            return False  # gone meanwhile, or tried again at the next tick
        return True


def has_joined(node: Object) -> bool:
    """Whether a node with GPUs is ready, registered, and not about to go."""
    metadata = node["metadata"]
    labels = metadata.get("labels") or {}
    conditions = (node.get("status") or {}).get("conditions") or []
    return (
        GPU_COUNT_LABEL in labels
        and _REGISTERED in labels
        and not metadata.get("deletionTimestamp")
        and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    )


def node_class_of(observed: Observed, node: Object) -> Object | None:
    """The EC2NodeClass of a node's pool."""
    pool = observed.get("NodePool", node_pool(node))
    if pool is None:
        return None
    return observed.get("EC2NodeClass", pool["spec"]["template"]["spec"]["nodeClassRef"]["name"])


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase", "Pending"))


def monotonic() -> float:
    """Seconds, for `tick`."""
    return time.monotonic()
