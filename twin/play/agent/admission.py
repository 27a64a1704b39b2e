"""Plays what a kubelet does with a pod whose slots the device plugin refuses: the pod fails, and nobody tries it again.

The texts are the plugin's (k8s-device-plugin, internal/rm/rm.go and internal/plugin/server.go) and the kubelet's
(kubelet/cm/admission/errors.go, kubelet.go `rejectPod`).
"""

from __future__ import annotations

from collections.abc import Callable

from twin.kube.client import ApiError, Kube, Object
from twin.kube.events import warn
from twin.kube.observe import Observed
from twin.play.device_plugin import Offer
from twin.view import REFUSED, slots_asked


class Admission:
    """Looks at pods that have a node each time it is called."""

    def __init__(self, kube: Kube, observed: Observed, offered: Callable[[Object], Offer]) -> None:
        """offered: what a node's plugin offers, and how much of it a container may have."""
        self._kube = kube
        self._observed = observed
        self._offered = offered
        self._harmless: set[str] = set()
        """Pods that no plugin refuses, by uid."""

    def tick(self) -> None:
        """Fail what is refused."""
        pods = {pod["metadata"]["uid"]: pod for pod in self._observed.all("Pod")}
        self._harmless &= pods.keys()
        for uid in pods.keys() - self._harmless:
            pod = pods[uid]
            if not any(number > 1 for c in pod["spec"]["containers"] for number in slots_asked(c).values()):
                self._harmless.add(uid)
            elif pod["spec"].get("nodeName") and (pod.get("status") or {}).get("phase") != "Failed":
                self._judge(pod)

    def _judge(self, pod: Object) -> None:
        node = self._observed.get("Node", pod["spec"]["nodeName"])
        if node is None:
            return
        one_at_most = self._offered(node).one_at_most
        for container in pod["spec"]["containers"]:
            for resource, number in slots_asked(container).items():
                if number > 1 and resource in one_at_most:
                    self._refuse(pod, resource, number)
                    return

    def _refuse(self, pod: Object, resource: str, number: int) -> None:
        refusal = (
            f'Allocate failed due to rpc error: code = Unknown desc = invalid allocation request for "{resource}": '
            f"invalid request: maximum request size for shared resources is 1; found {number}, which is unexpected"
        )
        status = {
            "phase": "Failed",
            "reason": REFUSED,
            "message": f"Pod was rejected: {refusal}",
            "containerStatuses": None,
        }
        about = {**pod, "apiVersion": "v1", "kind": "Pod"}
        try:
            self._kube.patch(about, {"status": status}, subresource="status")
        except ApiError:
            return  # gone meanwhile, or tried again at the next tick
        warn(self._kube, about, REFUSED, refusal)
