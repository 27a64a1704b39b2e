"""A cluster of somebody's: a Karpenter with a NodePool, and things that nobody else may touch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.engine.engine import Workspace
from twin.destroy import delete_and_wait
from twin.kube.client import ApiError, Kube, Object
from twin.machine.launch import connect
from twin.machine.pulse import Pulse
from twin.machine.state import TwinState, load_run
from twin.plan import CONTROLLER_CHART, CRD_CHART, load_plan
from twin.play.platform import PLUGIN_NAMESPACE
from twin.up import Releases

#: The role of the nodes is the one that the examples name.
KARPENTER = {
    "chartVersion": "1.15.0",
    "nodeRole": "KarpenterNodeRole-prod",
    "controllerRole": "buyer",
    "featureGates": ["nodeOverlay"],
}
#: Of a stack on it.
EXISTING: Mapping[str, Any] = {
    "cluster": {"existing": "prod"},
    "network": None,
    "karpenter": {"existing": KARPENTER},
}
#: What controllers write anew as they like, or make of the kinds that are there.
_VOLATILE = frozenset(
    {"APIService", "ComponentStatus", "ControllerRevision", "EndpointSlice", "Endpoints", "Event", "Lease"}
)
#: The status with which the API server asks for patience with a definition.
_INITIALIZING = 429
#: Seconds for what controllers do by themselves: the pods of a Deployment come, those of one that is gone go.
_PATIENCE = 120.0
#: Seconds in which nothing has come or gone, after which controllers are taken to be done.
_REST = 4.0


def somebodys(ground: Callable[[Workspace], TwinState], made: Workspace, programs: Path) -> Kube:
    """A twin with a Karpenter, a NodePool `theirs`, and a Deployment in a namespace `theirs`. made: a stack on it."""
    made.configure(EXISTING)
    state = ground(made)
    kube, plan, run = connect(state), load_plan(state), load_run(state)
    assert run is not None
    releases = Releases(state, programs, kube, run, plan, Pulse(state, run))
    for chart in (CRD_CHART, CONTROLLER_CHART):
        release = plan.release(chart)
        assert release is not None
        releases.install(release)
    # Of the twin's own: what it plays for the plugin of the stack, which would be the stack's.
    delete_and_wait(kube, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLUGIN_NAMESPACE}})
    for their in _theirs(plan.manifests("NodePool")[0]):
        kube.apply(their)
    deadline = time.monotonic() + _PATIENCE
    while not _run(kube) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert _run(kube), "the Deployment of somebody's has no pod that runs"
    return kube


def _run(kube: Kube) -> bool:
    pods = kube.list("v1", "Pod", "theirs")
    return bool(pods) and all(pod["status"].get("phase") == "Running" for pod in pods)


def _theirs(node_pool: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {**node_pool, "metadata": {"name": "theirs"}}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "theirs"}}
    labels = {"app": "theirs"}
    containers = [{"name": "work", "image": "registry.k8s.io/pause:3.10"}]
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "theirs", "namespace": "theirs"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                # On nodes that are there, whatever their taints: Karpenter buys none.
                "spec": {"containers": containers, "tolerations": [{"operator": "Exists"}]},
            },
        },
    }


def everything(kube: Kube) -> dict[tuple[str, str, str], str]:
    """Uids of all objects that the API server has, by kind, namespace and name."""
    found: dict[tuple[str, str, str], str] = {}
    for api_version, kind in _kinds(kube):
        for each in _list(kube, api_version, kind):
            metadata = each["metadata"]
            found[kind, metadata.get("namespace", ""), metadata["name"]] = metadata["uid"]
    return found


def _list(kube: Kube, api_version: str, kind: str) -> list[Object]:
    """Objects of a kind; of one that was just defined, when the server has made room for it."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return kube.list(api_version, kind)
        except ApiError as error:
            if error.status != _INITIALIZING or time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def at_rest(kube: Kube) -> dict[tuple[str, str, str], str]:
    """All objects, once nothing comes or goes any more: what controllers still make would be missed later."""
    deadline = time.monotonic() + _PATIENCE
    found = everything(kube)
    while time.monotonic() < deadline:
        time.sleep(_REST)
        before, found = found, everything(kube)
        if found == before:
            return found
    raise AssertionError(f"controllers do not come to rest within {_PATIENCE:.0f} s")


def settled(kube: Kube, wanted: Mapping[tuple[str, str, str], str]) -> dict[tuple[str, str, str], str]:
    """All objects, when they are those that are wanted, or when controllers had time enough for what they do."""
    deadline = time.monotonic() + _PATIENCE
    while (found := everything(kube)) != wanted and time.monotonic() < deadline:
        time.sleep(1)
    return found


def _kinds(kube: Kube) -> Iterator[tuple[str, str]]:
    groups = kube.request("GET", "/apis")["groups"]
    served = [version["groupVersion"] for group in groups for version in group["versions"]]
    for version in ("v1", *served):
        kube.forget(version)  # definitions come and go
        path = f"/api/{version}" if version == "v1" else f"/apis/{version}"
        for resource in kube.request("GET", path)["resources"]:
            if "list" in resource["verbs"] and "/" not in resource["name"] and resource["kind"] not in _VOLATILE:
                yield version, resource["kind"]
