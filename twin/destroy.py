"""`pulumi destroy` played on the twin: the plan's things go in the order in which the engine would delete them.

Each goes when all that depends on it is gone, with its finalizers: whatever Karpenter must do before an object may go,
it has to do here too. Objects are deleted in the foreground, as Pulumi's Kubernetes provider does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any

from twin.aws.account import client
from twin.errors import GivenUpError, TwinError
from twin.kube import charts
from twin.kube.apply import SIGNAL_SECONDS
from twin.kube.client import ApiError, Kube, Object
from twin.kube.definitions import CLUSTER_POLICY
from twin.machine.build import knative_definitions, programs_dir
from twin.machine.launch import wake
from twin.machine.processes import find
from twin.machine.state import Run, TwinState
from twin.plan import CONTROLLER_CHART, CRD_CHART, DRIVER_CHART, KNATIVE_CHART, OPERATOR_CHART, Planned, TwinPlan
from twin.play.dra_driver import device_class

#: Seconds that one thing may take; Pulumi gives Karpenter's objects half an hour.
_PATIENCE = 180.0
_KARPENTER_NAMESPACE = "kube-system"


def destroy(state: TwinState, plan: TwinPlan, kube: Kube, tell: Callable[[str], None]) -> dict[str, float]:
    """Delete everything of the plan; seconds that each kind of thing took. Raises TwinError when one does not go."""
    dependents: dict[str, list[str]] = {}
    for thing in plan.planned:
        for urn in thing.after:
            dependents.setdefault(urn, []).append(thing.urn)
    done: dict[str, Future[float]] = {}
    seconds: dict[str, float] = {}
    broken_off = Event()
    with ThreadPoolExecutor(12) as pool:
        try:
            for thing in reversed(plan.planned):
                before = [done[urn] for urn in dependents.get(thing.urn, []) if urn in done]
                done[thing.urn] = pool.submit(_go, thing, before, state, plan, kube, broken_off)
            for thing in reversed(plan.planned):
                while not done[thing.urn].done():
                    wait([done[thing.urn]], SIGNAL_SECONDS)
                took = done[thing.urn].result()
                kind = thing.name.partition(" ")[0] if thing.manifest else thing.name
                seconds[kind] = max(seconds.get(kind, 0.0), took)
                if took >= 1:
                    tell(f"{thing.name} is gone after {took:.1f} s")
        except BaseException:  # interrupted, or one does not go: nobody need wait for the others
            broken_off.set()
            raise
    return seconds


def _go(
    thing: Planned, before: list[Future[float]], state: TwinState, plan: TwinPlan, kube: Kube, broken_off: Event
) -> float:
    wait(before)
    for future in before:
        future.result()  # what depends on this is still there
    began = time.monotonic()
    if thing.manifest:
        delete_and_wait(kube, dict(thing.manifest), broken_off)
    else:
        uninstall(thing, state, plan, kube, broken_off)
    return time.monotonic() - began


def uninstall(thing: Planned, state: TwinState, plan: TwinPlan, kube: Kube, broken_off: Event) -> None:
    """Take a Helm release away, as `twin.up.Releases` brought it."""
    if thing.chart == CONTROLLER_CHART:
        _stop_karpenter(state, kube, broken_off)
        _delete_rendered(thing, plan, kube, broken_off)
    elif thing.chart == CRD_CHART:
        _delete_rendered(thing, plan, kube, broken_off)
    elif thing.chart == KNATIVE_CHART:
        for definition in knative_definitions(programs_dir()):
            delete_and_wait(kube, definition, broken_off)
    elif thing.chart == DRIVER_CHART:
        delete_and_wait(kube, device_class(), broken_off)
    elif thing.chart == OPERATOR_CHART:
        delete_and_wait(kube, CLUSTER_POLICY, broken_off)


def delete_and_wait(kube: Kube, manifest: Object, broken_off: Event | None = None) -> None:
    """Delete an object and wait until it is gone. Raises TwinError with the finalizers that hold it.

    broken_off: ends the wait, from another thread.
    """
    metadata = manifest["metadata"]
    try:
        path = kube.path_of(manifest)
        kube.request("DELETE", path, {"propagationPolicy": "Foreground"})
    except ApiError as error:
        if error.status == 404:
            return
        raise
    deadline = time.monotonic() + _PATIENCE
    while (
        found := kube.get(manifest["apiVersion"], manifest["kind"], metadata["name"], metadata.get("namespace"))
    ) is not None:
        if time.monotonic() > deadline:
            held = ", ".join(found["metadata"].get("finalizers") or []) or "nothing"
            raise TwinError(f"{manifest['kind']} {metadata['name']} does not go; it is held by {held}")
        if broken_off and broken_off.is_set():
            raise GivenUpError
        time.sleep(0.1)


def _stop_karpenter(state: TwinState, kube: Kube, broken_off: Event) -> None:
    """End the controller, as uninstalling its chart does."""
    deadline = time.monotonic() + 30
    while instances(kube) and time.monotonic() < deadline:
        if broken_off.wait(0.2):  # the simulated EC2 writes its instances down once a second
            raise GivenUpError
    (state.specs / "karpenter.json").unlink(missing_ok=True)
    wake(state)
    while "karpenter" in find(state).values():
        time.sleep(0.1)


def _delete_rendered(thing: Planned, plan: TwinPlan, kube: Kube, broken_off: Event) -> None:
    rendered = charts.render(
        programs_dir(), thing.chart, thing.chart, _KARPENTER_NAMESPACE, thing.values, plan.kubernetes
    )
    for obj in reversed(rendered):
        delete_and_wait(kube, obj, broken_off)


def instances(kube: Kube) -> list[dict[str, Any]]:
    """The EC2 instances that Karpenter's simulated EC2 has, as it writes them down."""
    found: list[dict[str, Any]] = []
    for config_map in kube.list("v1", "ConfigMap", _KARPENTER_NAMESPACE):
        if config_map["metadata"]["name"].startswith("kwok-aws-instances-"):
            found += json.loads((config_map.get("data") or {}).get("instances") or "[]")
    return found


def left_in_aws(run: Run, plan: TwinPlan) -> list[str]:
    """Instance profiles that Karpenter has made and not removed."""
    iam = client("iam", run.aws, plan.region)
    return [profile["InstanceProfileName"] for profile in iam.list_instance_profiles()["InstanceProfiles"]]
