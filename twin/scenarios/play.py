"""What a scenario works with: the cluster, workloads that ask for slots, faults, and checks that are counted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import versions
from gpu.contract import CAPACITY_TYPE_LABEL, GPU_RESOURCE, NAME_LABEL, NODE_POOL_LABEL, SCENARIO_LABEL, SHARING_LABEL
from gpu.importance import Placing
from gpu.prices import RegionPrices
from twin.destroy import instances
from twin.devices import Devices
from twin.errors import TwinError
from twin.kube.client import ApiError, Kube, Object
from twin.kube.events import last_seen
from twin.kube.observe import Observed
from twin.machine.launch import connect, signal_process, status, wake
from twin.machine.pulse import pulse_of
from twin.machine.state import Run, TwinState, load_run
from twin.plan import PlannedPool, TwinPlan, load_plan
from twin.play.agent.knative import deployment_name, put_to_sleep
from twin.play.faults import Faults
from twin.prices import played
from twin.view import View, view

NAMESPACE = "slices-scenario"
#: Seconds from a pod to its slot, at most: 30 until a node has booted, 8 until its device plugin speaks, the rest is
#: waiting for processors.
PATIENCE = 150.0
_PAUSE = versions.PAUSE_IMAGE
_KINDS = ("Node", "NodeClaim", "Pod", "Event", "NodePool", "Deployment", "ResourceSlice", "ResourceClaim")


class Failed(TwinError):  # noqa: N818  an outcome, not a mistake
    """Something did not happen; the scenario cannot go on."""


@dataclass(frozen=True)
class Check:
    """One thing that must be true."""

    text: str
    passed: bool
    detail: str = ""


@dataclass
class Play:
    """One run of a scenario."""

    state: TwinState
    run: Run
    plan: TwinPlan
    kube: Kube
    observed: Observed
    faults: Faults
    tell: Callable[[str], None]
    checks: list[Check] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    """What was measured, by name; seconds, counts and USD per hour."""
    pulse: Callable[[], None] = lambda: None
    """Called in every wait; what it raises ends it."""
    claims: dict[str, Object] = field(default_factory=dict)
    """Every NodeClaim that there ever was in this run, by name."""
    began: str = ""
    """When the cluster was empty, as `last_seen` writes it: what was said before is an earlier run's."""

    # --- Telling and checking -----------------------------------------------------------------------------------------

    def check(self, passed: bool, text: str, detail: str = "") -> bool:
        """Count a check, and go on whatever it says."""
        self.checks.append(Check(text, passed, detail))
        self.tell(f"{'ok    ' if passed else 'FAILED'} {text}" + (f": {detail}" if detail else ""))
        return passed

    def wait(self, condition: Callable[[], bool], seconds: float, what: str, *, down: bool = False) -> float:
        """Wait for something; seconds that it took. Raises Failed when it does not happen in time.

        down: the API server may be down meanwhile, the scenario has ended it.
        """
        began = time.monotonic()
        while not condition():
            if not down:
                self.pulse()
            if time.monotonic() - began > seconds:
                raise Failed(f"{what}: not within {seconds:.0f} s")
            time.sleep(0.1)
        return time.monotonic() - began

    def stays(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether something stays true for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.pulse()
            if not condition():
                return False
            time.sleep(0.2)
        return True

    @property
    def view(self) -> View:
        """The cluster now."""
        of = self.observed.all
        events = of("Event") if self.observed.follows("Event") else ()
        return view(self.prices, of("Node"), of("NodeClaim"), of("Pod"), events, self.devices)

    @property
    def devices(self) -> Devices:
        """GPUs whose memory pods claim, now."""
        kinds = ("ResourceSlice", "ResourceClaim")
        return Devices(*(self.observed.all(kind) if self.observed.follows(kind) else () for kind in kinds))

    @property
    def prices(self) -> RegionPrices:
        """What nodes cost in this twin."""
        return played(self.plan.region)

    # --- Workloads ----------------------------------------------------------------------------------------------------

    def pool(self, sharing: str = "") -> PlannedPool:
        """The first pool with slots whose nodes are shared that way, or the first at all. Raises Failed without any."""
        pools = self.plan.slot_pools
        for pool in pools:
            if not sharing or self._sharing(pool) == sharing:
                return pool
        raise Failed(
            f"stack {self.plan.stack} has no GPU pool that buys nodes for slots"
            + (f" with {sharing}" if sharing else "")
        )

    def _sharing(self, pool: PlannedPool) -> str:
        manifest = self.plan.node_pool(pool.name)
        return str(manifest["spec"]["template"]["metadata"]["labels"].get(SHARING_LABEL, ""))

    def make_room(self, pool: PlannedPool, nodes: int) -> None:
        """Let a pool have so many nodes of one GPU in this run, where its limits are lower; say so."""
        manifest = self.plan.node_pool(pool.name)
        limits = {name: int(most) for name, most in (manifest["spec"].get("limits") or {}).items()}
        slots = nodes * pool.slots_per_node()
        if limits.get(pool.resource, slots) >= slots:
            return
        self.tell(f"for this run only: pool {pool.name} may have {slots} slots, not {limits[pool.resource]}")
        self.limit(pool.name, {name: str(max(most, slots)) for name, most in limits.items()})

    def limit(self, pool: str, limits: Mapping[str, str]) -> None:
        """Change a pool's limits for this run; the end of the run puts them back."""
        self._patch_pool(pool, {"limits": dict(limits)})

    def deploy(
        self,
        name: str,
        pool: str,
        resource: str,
        replicas: int,
        scheduler: str = "default-scheduler",
        placing: Placing | None = None,
    ) -> None:
        """Pods that take one slot of a pool each; called again, it changes their number."""
        resources = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {resource: "1"}}
        made, placed = workload(name, pool, replicas, resources), placing or Placing()
        template = made["spec"]["template"]
        template["metadata"] = {
            "labels": {**placed.labels, **template["metadata"]["labels"]},
            "annotations": dict(placed.annotations),
        }
        template["spec"] |= {
            "schedulerName": scheduler,
            "priorityClassName": placed.priority_class or "",
            "nodeSelector": {**template["spec"]["nodeSelector"], **placed.node_selector},
        }
        self.kube.apply(made)

    def scale(self, name: str, replicas: int) -> None:
        """Change the number of pods of a workload that is there."""
        about = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": NAMESPACE}}
        self.kube.patch(about, {"spec": {"replicas": replicas}})

    def pods(self, name: str) -> list[Object]:
        """The pods of a workload."""
        return [p for p in self.observed.all("Pod") if (p["metadata"].get("labels") or {}).get(SCENARIO_LABEL) == name]

    def running(self, name: str) -> int:
        """How many pods of a workload run and are not about to go."""
        return sum(
            (pod.get("status") or {}).get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
            for pod in self.pods(name)
        )

    def nodes_of(self, name: str) -> set[str]:
        """Nodes that a workload's pods sit on."""
        return {pod["spec"]["nodeName"] for pod in self.pods(name) if pod["spec"].get("nodeName")}

    def claims_of(self, pool: str) -> list[Object]:
        """Every NodeClaim that a pool has had in this run."""
        return [c for c in self.claims.values() if c["metadata"]["labels"].get(NODE_POOL_LABEL) == pool]

    def claim_of(self, node: str) -> Object:
        """The NodeClaim of a node. Raises Failed where there is none."""
        for claim in self.observed.all("NodeClaim"):
            if (claim.get("status") or {}).get("nodeName") == node:
                return claim
        raise Failed(f"node {node} has no NodeClaim")

    def warnings(self, reason: str) -> list[Object]:
        """Warnings of this run with a reason, oldest first. The API server keeps those of earlier runs for an hour."""
        return [
            event
            for event in self.observed.all("Event")
            if event.get("reason") == reason and event.get("type") == "Warning" and last_seen(event) >= self.began
        ]

    # --- Faults -------------------------------------------------------------------------------------------------------

    def kill(self, process: str) -> None:
        """End one of the twin's processes as a crash would, and wait until the supervisor has a new one."""
        before = status(self.state)["processes"][process]["pid"]
        signal_process(self.state, process)
        wake(self.state)
        self.wait(
            lambda: status(self.state)["processes"].get(process, {}).get("pid") not in (before, None),
            60,
            f"a new {process}",
            down=True,
        )

    def restart_karpenter(self) -> None:
        """Kill Karpenter and wait until it works again."""
        from twin.machine.launch import answers  # noqa: PLC0415

        self.wait(self.instances_are_kept, 30, "the instances of the simulated EC2, written down")
        self.kill("karpenter")
        self.wait(lambda: answers(f"http://127.0.0.1:{self.run.ports['karpenter-health']}/readyz"), 120, "Karpenter")

    def instances_are_kept(self) -> bool:
        """Whether a Karpenter that starts anew finds the instances that there are.

        The simulated EC2 lives in Karpenter's process, and writes its instances down once a second: who kills it sooner
        loses one that was just bought, or gets one back that has just ended.
        """
        kept = {instance["InstanceId"] for instance in instances(self.kube)}
        there = {instance_of(claim): claim for claim in self.observed.all("NodeClaim") if instance_of(claim)}
        stays = {name for name, claim in there.items() if not claim["metadata"].get("deletionTimestamp")}
        return stays <= kept <= there.keys()

    def speak_again(self, dumb: str, who: str) -> None:
        """End the silence of what offers GPUs, once Karpenter drains the node that was dumb: it would offer some, too.

        who: who spoke not, and does what now.
        """
        self.wait(lambda: self._goes(dumb), 60, "a node that is drained")
        self.faults.clear()
        self.tell(f"from now on {who} again")

    def _goes(self, node: str) -> bool:
        found = self.observed.get("Node", node)
        return found is None or bool(found["metadata"].get("deletionTimestamp"))

    def change_pool(self, pool: str, disruption: Mapping[str, Any]) -> None:
        """Change a pool's disruption settings for this run, and say so; the end of the run puts them back."""
        self.tell(f"for this run only: disruption of pool {pool} is {dict(disruption)}")
        self._patch_pool(pool, {"disruption": dict(disruption)})

    def empty_soon(self, pool: str) -> None:
        """Let a pool's empty nodes go after seconds, all at once: the plan keeps them warm for minutes."""
        self.change_pool(
            pool, {"consolidateAfter": "10s", "consolidationPolicy": "WhenEmpty", "budgets": [{"nodes": "100%"}]}
        )

    def pool_with_fallback(self) -> PlannedPool:
        """The first GPU pool that falls back to on-demand; without one the first at all, which does in this run as
        the program would write it, and says so.
        """
        bought = {pool.name: self._bought(pool.name) for pool in self.plan.gpu_pools}
        for pool in self.plan.gpu_pools:
            if {"spot", "on-demand"} <= set(bought[pool.name]):
                return pool
        pool = self.pool()
        self.tell(f"for this run only: pool {pool.name} may buy on-demand where there is no Spot capacity")
        requirements = [
            {**each, "values": ["spot", "on-demand"]} if each["key"] == CAPACITY_TYPE_LABEL else each
            for each in self.plan.node_pool(pool.name)["spec"]["template"]["spec"]["requirements"]
        ]
        self._patch_pool(pool.name, {"template": {"spec": {"requirements": requirements}}})
        return pool

    def _bought(self, pool: str) -> Sequence[str]:
        requirements = self.plan.node_pool(pool)["spec"]["template"]["spec"]["requirements"]
        return next((each["values"] for each in requirements if each["key"] == CAPACITY_TYPE_LABEL), ())

    def _patch_pool(self, pool: str, spec: Mapping[str, Any]) -> None:
        about = {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": pool}}
        self.kube.patch(about, {"spec": dict(spec)})


def instance_of(claim: Object) -> str:
    """Id of a NodeClaim's instance; empty where it has none yet."""
    return str((claim.get("status") or {}).get("providerID", "")).rpartition("/")[2]


def workload(
    name: str,
    pool: str,
    replicas: int,
    resources: Mapping[str, Any],
    tolerations: Sequence[Mapping[str, str]] = ({"key": GPU_RESOURCE, "operator": "Exists"},),
) -> Object:
    """A Deployment of a scenario, whose pods go to a pool."""
    labels = {SCENARIO_LABEL: name, NAME_LABEL: name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {SCENARIO_LABEL: name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeSelector": {NODE_POOL_LABEL: pool},
                    "tolerations": [dict(each) for each in tolerations],
                    "containers": [{"name": "work", "image": _PAUSE, "resources": dict(resources)}],
                },
            },
        },
    }


@contextlib.contextmanager
def playing(
    state: TwinState, tell: Callable[[str], None], kinds: Sequence[str] = _KINDS, *, own_pods_only: bool = False
) -> Iterator[Play]:
    """A run on a twin that is up: from an empty cluster, and back to one. Where it is interrupted, what it has made is
    on its way out, and not waited for.

    kinds, own_pods_only: what it looks at; less is cheaper where there are thousands.
    """
    kube, pulse = connect(state), pulse_of(state)
    run = load_run(state)
    assert run is not None  # as `connect` has found
    faults = Faults(state.folder)
    claims: dict[str, Object] = {}

    def remember(kind: str, event: str, obj: Object) -> None:
        # The end of one is heard of a moment after it has left the copies: then it is no claim of this run.
        if kind == "NodeClaim" and event != "DELETED":
            claims[obj["metadata"]["name"]] = obj

    labels = {"Pod": SCENARIO_LABEL} if own_pods_only else {}
    with Observed(kube, kinds, remember, labels) as observed:
        play = Play(state, run, load_plan(state), kube, observed, faults, tell, pulse=pulse, claims=claims)
        clean(play)
        claims.clear()
        play.began = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        try:
            yield play
        except KeyboardInterrupt:
            with contextlib.suppress(TwinError):
                leave(play)
            raise
        except BaseException:
            with contextlib.suppress(TwinError):
                clean(play)
            raise
        with contextlib.suppress(ApiError, Failed):
            clean(play)


def clean(play: Play) -> None:
    """No workloads, no GPU nodes but those that always stand, no faults, and pools as the plan has them."""
    stale = play.faults.stale
    play.faults.clear()
    if stale:
        play.restart_karpenter()  # it asks for offerings when it starts, and then every twelve hours
    _remove_workloads(play)
    _put_models_to_sleep(play)
    with contextlib.suppress(Failed):
        play.wait(lambda: not _own_pods(play), 30, "")
    try:
        play.wait(lambda: not _in_the_way(play), 30, "")
    except Failed as failed:
        pods = ", ".join(_in_the_way(play)[:5])
        raise Failed(
            f"a scenario begins with an empty cluster, and these pods keep their slots: {pods}. Delete them, or begin "
            f"anew: `slices down {play.state.stack}`"
        ) from failed
    static = _static_pools(play)

    def empty() -> bool:
        # Again and again: Karpenter may have been about to buy a node for a pod that is gone.
        left = _remove_nodes(play)
        return not left and not _own_pods(play) and all(node.pool in static for node in play.view.gpu_nodes)

    play.wait(empty, 180, "an empty cluster")


def _own_pods(play: Play) -> list[Object]:
    """Pods of scenarios."""
    return [pod for pod in play.observed.all("Pod") if pod["metadata"].get("namespace") == NAMESPACE]


def _put_models_to_sleep(play: Play) -> None:
    """Models that somebody has asked for lately; those of which the plan keeps a pod stay."""
    awake = {
        (d["metadata"].get("namespace"), d["metadata"]["name"])
        for d in play.observed.all("Deployment")
        if d["spec"].get("replicas")
    }
    models = [m for m in play.plan.models if not m.minimum and (m.namespace, deployment_name(m)) in awake]
    if models:
        play.tell(f"putting to sleep: {', '.join(model.name for model in models)}")
    for model in models:
        put_to_sleep(play.kube, model)


def _in_the_way(play: Play) -> list[str]:
    """Pods of others that sit on slots, or wait for some: Karpenter would buy their nodes again."""
    seen = play.view
    pods = [*seen.pending, *(pod for node in seen.nodes for pod in node.pods)]
    return sorted(pod.key for pod in pods if pod.wants_gpu and pod.namespace != NAMESPACE)


def leave(play: Play) -> None:
    """The same, in moments: what goes is not waited for."""
    stale = play.faults.stale
    play.faults.clear()
    if stale:
        signal_process(play.state, "karpenter")
    _remove_workloads(play)
    _remove_nodes(play)


def _remove_workloads(play: Play) -> None:
    kube = play.kube
    # Asked of the server: the copies may lag behind what this run has just made.
    for version, kind in (("batch/v1", "Job"), ("apps/v1", "Deployment")):
        for made in kube.list(version, kind, NAMESPACE):
            kube.delete(version, kind, made["metadata"]["name"], NAMESPACE)
    planned = {pool["metadata"]["name"]: pool for pool in play.plan.manifests("NodePool")}
    for pool in kube.list("karpenter.sh/v1", "NodePool"):
        if pool["metadata"]["name"] not in planned:
            kube.delete("karpenter.sh/v1", "NodePool", pool["metadata"]["name"])
    for manifest in planned.values():
        kube.apply(dict(manifest))


def _static_pools(play: Play) -> set[str]:
    """Pools with a fixed number of nodes: Karpenter would buy at once what is taken away."""
    return {pool.name for pool in play.plan.gpu_pools if pool.static}


def _remove_nodes(play: Play) -> bool:
    """Have the nodes of GPU pools go; whether there were any, or some that had been bought and were none yet."""
    planned = {pool["metadata"]["name"] for pool in play.plan.manifests("NodePool")}
    gpu_pools = {pool.name for pool in play.plan.gpu_pools} - _static_pools(play) | {""}
    found = False
    for claim in play.observed.all("NodeClaim"):
        pool = claim["metadata"]["labels"].get(NODE_POOL_LABEL, "")
        if pool in gpu_pools or pool not in planned:
            found = True
            if not claim["metadata"].get("deletionTimestamp"):
                play.kube.delete("karpenter.sh/v1", "NodeClaim", claim["metadata"]["name"])
    return found
