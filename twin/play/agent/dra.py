"""Plays NVIDIA's DRA driver: some seconds after its pod runs on a GPU node, the node's devices are published.

And watches over drivers that never do, or publish otherwise than Karpenter reckons with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from gpu.contract import DEVICE_CLASS
from twin.kube.client import ApiError, Kube, Object
from twin.kube.events import warn
from twin.kube.observe import Observed
from twin.play.agent.lost import DEADLINE, Lost, node_pool
from twin.play.agent.plugin import DELAY, has_joined, node_class_of
from twin.play.dra_driver import COMPONENT, InstalledDriver, announced_shares, expects_driver, published
from twin.play.faults import Faults

#: Why a node is warned about whose driver shares its GPUs otherwise than the EC2NodeClass says.
OTHERWISE = "GpuOfferedOtherwise"


class DraDriver:
    """Looks at every node each time it is called; forgets what is gone."""

    def __init__(self, kube: Kube, observed: Observed, drivers: Sequence[InstalledDriver], faults: Faults) -> None:
        self._kube = kube
        self._observed = observed
        self._drivers = drivers
        self._faults = faults
        self._lost = Lost(kube, observed)
        self._pool = ThreadPoolExecutor(4)

    def tick(self, now: float) -> None:
        """Let drivers publish and give nodes up. now: `time.monotonic()`."""
        there = {slice_["spec"].get("nodeName") for slice_ in self._observed.all("ResourceSlice")}
        waiting = [
            node for node in self._observed.all("Node") if node["metadata"]["name"] not in there and self._waits(node)
        ]
        self._lost.forget_all_but(waiting)
        if not waiting:
            return
        pods = self._pods()
        due = [node for node in waiting if self._is_due(node, pods, now)]
        for node, came in zip(due, self._pool.map(self._publish, due), strict=True):
            if came:
                self._lost.came(node_pool(node))

    def _waits(self, node: Object) -> bool:
        """Whether a node should have devices."""
        return has_joined(node) and expects_driver(
            node["metadata"]["labels"], node_class_of(self._observed, node), self._drivers
        )

    def _pods(self) -> Mapping[str, str]:
        """Phase of the driver's pod by node."""
        return {
            pod["spec"].get("nodeName", ""): (pod.get("status") or {}).get("phase", "Pending")
            for pod in self._observed.all("Pod")
            if COMPONENT.items() <= (pod["metadata"].get("labels") or {}).items()
        }

    def _is_due(self, node: Object, pods: Mapping[str, str], now: float) -> bool:
        """Whether a node's devices come now. What never will is given up."""
        phase = pods.get(node["metadata"]["name"], "")
        orders = self._faults.plugin()
        problem = self._problem(node, phase, silent=orders.silent(node_pool(node)))
        return self._lost.is_due(
            node,
            now,
            running=phase == "Running",
            delay=orders.delay(DELAY),
            deadline=orders.deadline(DEADLINE),
            lacks=problem and f"has no devices of {DEVICE_CLASS}: {problem}",
        )

    def _problem(self, node: Object, phase: str, *, silent: bool) -> str:
        """Why a node will never have devices; empty where it will."""
        driver = self._driver_of(node)
        if driver is None or not phase:
            return "no pod of the DRA driver runs on the node"
        return driver.problem or ("the DRA driver has published none" if silent else "")

    def _driver_of(self, node: Object) -> InstalledDriver | None:
        return next((driver for driver in self._drivers if driver.runs_on(node["metadata"]["labels"])), None)

    def _publish(self, node: Object) -> bool:
        driver = self._driver_of(node)
        assert driver is not None  # as `_problem` has found
        orders = self._faults.plugin()
        shares = orders.consumable_shares or driver.consumable_shares
        devices = published(node, shares, orders.memory_mib)
        if devices is None:
            return False
        try:
            self._kube.apply(devices)
        except ApiError:
            return False  # gone meanwhile, or tried again at the next tick
        announced = announced_shares(node_class_of(self._observed, node))
        if shares != announced:
            self._warn_otherwise(node, shares, announced)
        return True

    def _warn_otherwise(self, node: Object, shares: str, announced: str) -> None:
        warn(
            self._kube,
            node,
            OTHERWISE,
            f"the DRA driver on node {node['metadata']['name']} of pool {node_pool(node)} has consumableShares: "
            f"{shares}, and Karpenter buys for {announced} (annotation of the EC2NodeClass): more nodes are bought "
            "than pods need. Set both to the same",
        )
