"""Scenarios about models: from zero to an answer and back, by the path that Knative takes."""

from __future__ import annotations

import time

from gpu import claims
from gpu.contract import NODE_POOL_LABEL, POOL_LABEL
from twin.kube.client import Object
from twin.plan import Model, PlannedPool
from twin.play.agent.knative import ask, deployment_name, idle_seconds
from twin.scenarios.claiming import Claiming
from twin.scenarios.packing import nodes_needed
from twin.scenarios.play import Failed, Play

_PATIENCE = 180.0
#: Seconds without a request after which a model goes in this run; the plan's minutes are checked, not waited for.
_IDLE = 5.0


def from_zero(play: Play) -> None:
    """Every model of the stack is asked at once, from zero: they share nodes, answer, and everything goes again."""
    models = [model for model in play.plan.models if model.wants_gpu]
    if not models:
        raise Failed(f"stack {play.plan.stack} serves no model")
    pools = {pool.name: pool for pool in play.plan.gpu_pools}
    wanted: dict[str, list[Model]] = {}
    for model in models:
        wanted.setdefault(_pool_of(model), []).append(model)
    play.check(not play.view.gpu_nodes, "nobody asks: no GPU node, none is paid for")
    for name in wanted:
        play.empty_soon(name)
    play.tell(f"asking {', '.join(model.name for model in models)}")
    kept = 0.0

    def all_ready() -> bool:
        nonlocal kept
        if time.monotonic() - kept > 2:  # the requests are still waiting for their answer
            kept = time.monotonic()
            for model in models:
                ask(play.kube, model, time.time() + 5, _IDLE)
        return all(_ready(play, model) for model in models)

    seconds = play.wait(all_ready, _PATIENCE, "models that answer")
    play.figures["seconds to the last model"] = round(seconds, 1)
    for name, asked in sorted(wanted.items()):
        needed = _needed(play, pools[name], asked)
        bought = len(play.claims_of(name))
        play.check(bought == needed, f"{name}: {len(asked)} models on {needed} nodes", f"bought {bought}")
    play.figures["USD per hour while they answer"] = round(sum(n.usd_per_hour for n in play.view.gpu_nodes), 3)
    seconds = play.wait(lambda: not any(_pods(play, model) for model in models), _PATIENCE, "zero pods")
    play.figures["seconds to zero pods"] = round(seconds, 1)
    play.check(True, "when nobody asks any more, no pod is left")
    seconds = play.wait(lambda: not play.view.gpu_nodes, _PATIENCE, "zero nodes")
    play.figures["seconds to zero nodes"] = round(seconds, 1)
    play.check(True, "and no node")
    for model in models:
        play.figures[f"{model.name}: seconds that the plan keeps it after the last request"] = idle_seconds(model, {})


def _needed(play: Play, pool: PlannedPool, models: list[Model]) -> int:
    """Nodes of one GPU that models take: by their slots, or by the memory that they claim."""
    if pool.claims:
        return len(
            claims.bought(sorted((m.claim_mib for m in models), reverse=True), Claiming(play, pool.name).gpu_mib)
        )
    return nodes_needed(len(models), pool.slots_per_node())


def _pool_of(model: Model) -> str:
    selector = model.template["spec"].get("nodeSelector") or {}
    return str(selector.get(POOL_LABEL) or selector.get(NODE_POOL_LABEL) or "")


def _pods(play: Play, model: Model) -> list[Object]:
    prefix = f"{deployment_name(model)}-"
    return [
        pod
        for pod in play.observed.all("Pod")
        if pod["metadata"]["namespace"] == model.namespace and pod["metadata"]["name"].startswith(prefix)
    ]


def _ready(play: Play, model: Model) -> bool:
    return any(
        c["type"] == "Ready" and c["status"] == "True"
        for pod in _pods(play, model)
        for c in (pod.get("status") or {}).get("conditions") or []
    )
