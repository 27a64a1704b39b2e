"""`slices request MODEL`: what happens to a request for a model that sleeps, step by step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import click

from gpu.prices import RegionPrices
from plan.errors import slices
from twin.devices import Devices
from twin.errors import TwinError
from twin.kube.client import Kube, UnreachableError
from twin.kube.observe import Observed
from twin.machine.launch import connect, supervised, unfinished
from twin.machine.pulse import pulse_of
from twin.machine.state import TwinState
from twin.plan import Model, TwinPlan, load_plan
from twin.play.agent.knative import ask
from twin.prices import played
from twin.view import NodeView, PodView, View, view
from twin.watch.waiting import Coming
from twin.watch.words import gib

_KINDS = ("Node", "NodeClaim", "Pod", "Event", "Deployment", "ResourceSlice", "ResourceClaim")
#: Seconds after which a model that has not come is given up.
_PATIENCE = 600.0
#: The end of a request is written anew this long before it passes.
_KEEP = 5.0


def follow(state: TwinState, name: str, hold: float, *, until_gone: bool) -> int:
    """Ask, and print each step with the seconds since the request. hold: seconds that the answer takes.

    Returns 0 when the model answered, 1 when it did not come. Raises TwinError for an unknown model, and where the twin
    is not whole, so that what the model needs may not be there.
    """
    if state.exists and supervised(state) and (why := unfinished(state)):
        raise TwinError(why)
    plan = load_plan(state)
    model = _model(plan, name)
    kube = connect(state)
    with Observed(kube, _KINDS) as observed:
        story = _Story(observed, model, played(plan.region), pulse_of(state))
        story.tell("request")
        try:
            if not _answered(story, kube, plan, model, hold):
                return 1
        except KeyboardInterrupt as interrupt:
            with contextlib.suppress(TwinError):
                ask(kube, model, time.time())
            interrupt.args = (f"nobody asks {model.name} any more, {_goes(model)}",)
            raise
        node = story.node()
        if not until_gone:
            click.echo(f"          {_goes(model)}")
            return 0
        gone = story.until(lambda seen: not _pods(seen, model)) and story.until(
            lambda seen: all(n.name != node for n in seen.nodes)
        )
        return 0 if gone else 1


def _answered(story: _Story, kube: Kube, plan: TwinPlan, model: Model, hold: float) -> bool:
    """Ask until the model answers, and for as long as that takes. Durations by a clock that nobody sets."""
    if not story.until(lambda seen: _ready(seen, model), keep=lambda: ask(kube, model, time.time() + _KEEP)):
        return False
    story.tell(f"{model.name} answers")
    if model.not_played:
        steps = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in model.not_played.items())
        total = sum(model.not_played.values())
        stack = slices(f"plan {plan.stack}")
        click.echo(f"          not played: {steps}; for these `{stack}` adds {total:.0f} s to a first start")
    end = time.monotonic() + hold
    keep = min(hold, _KEEP)
    story.until(
        lambda _: time.monotonic() >= end, keep=lambda: ask(kube, model, time.time() + keep), patience=hold + _PATIENCE
    )
    ask(kube, model, time.time())
    story.tell("done; nobody asks any more")
    return True


def _goes(model: Model) -> str:
    return f"it goes when nobody has asked for {model.window + model.retention:.0f} s"


class _Story:
    """Prints what changes about a model."""

    def __init__(
        self, observed: Observed, model: Model, prices: RegionPrices, pulse: Callable[[], None] = lambda: None
    ) -> None:
        """pulse: called in every wait; what it raises ends it."""
        self._observed = observed
        self._prices = prices
        self._pulse = pulse
        self._model = model
        self._began = time.monotonic()
        self._told: list[str] = []
        self._node = ""

    def tell(self, text: str) -> None:
        """Print a step, once."""
        if text not in self._told:
            self._told.append(text)
            click.echo(f"{time.monotonic() - self._began:6.1f} s  {text}")

    def node(self) -> str:
        """Name of the node that the model runs on, or ran on."""
        return self._node

    def until(
        self, done: Callable[[View], bool], keep: Callable[[], None] = lambda: None, patience: float = _PATIENCE
    ) -> bool:
        """Follow until something is so; False when it takes more than `patience` seconds. keep: called every second."""
        deadline = time.monotonic() + patience
        kept = 0.0
        while time.monotonic() < deadline:
            self._pulse()
            if time.monotonic() - kept > 1.0:
                with contextlib.suppress(
                    UnreachableError
                ):  # asked again in a second, as long as the pulse says nothing
                    keep()
                kept = time.monotonic()
            seen = self._look()
            if done(seen):
                return True
            time.sleep(0.05)
        self.tell(f"given up after {patience:.0f} s")
        return False

    def _look(self) -> View:
        of = self._observed.all
        devices = Devices(of("ResourceSlice"), of("ResourceClaim"))
        seen = view(self._prices, of("Node"), of("NodeClaim"), of("Pod"), of("Event"), devices)
        for pod in _pods(seen, self._model):
            if pod.phase == "Terminating":
                self.tell("idle: the pod goes")
            elif not pod.node:
                self.tell(f"pod is there, and waits for {_place(self._model, 'a slot', 'a node')}")
                for node in self._nominated(seen, pod):
                    self.tell(
                        f"node {node.called}, {node.instance_type} {node.capacity_type} in {node.zone}: {node.stage} "
                        f"(USD {node.usd_per_hour:.3f}/h)"
                    )
            else:
                self._node = pod.node
                others = [p.owner for n in seen.nodes if n.name == pod.node for p in n.pods if p.name != pod.name]
                beside = f", beside {', '.join(sorted(others))}" if others else ""
                self.tell(f"has {_place(self._model, 'its slot', 'its place')} on {_called(seen, pod.node)}{beside}")
                if pod.ready:
                    self.tell("ready")
        if self._node and not _pods(seen, self._model):
            self.tell("gone: zero pods")
            if all(node.name != self._node for node in seen.nodes):
                self.tell("its node is gone too")
        return seen

    def _nominated(self, seen: View, pod: PodView) -> list[NodeView]:
        """The node that Karpenter means the pod to sit on, by its own event."""
        of = self._observed.all
        name = Coming([pod], of("Pod"), of("Event"), of("NodeClaim"), of("Node")).node_for(pod.key)
        # That a node has room which stands anyway, such as a system node, is no news.
        return [node for node in seen.nodes if node.name == name and not node.system]


def _place(model: Model, slot: str, otherwise: str) -> str:
    """What a model needs, in words."""
    return f"{gib(model.claim_mib)} of a GPU" if model.claim_mib else slot if model.slot else otherwise


def _called(seen: View, name: str) -> str:
    return next((node.called for node in seen.nodes if node.name == name), name)


def _pods(seen: View, model: Model) -> list[PodView]:
    pods = [*seen.pending, *(pod for node in seen.nodes for pod in node.pods)]
    return [pod for pod in pods if pod.owner == model.name and pod.namespace == model.namespace]


def _ready(seen: View, model: Model) -> bool:
    return any(pod.ready for pod in _pods(seen, model))


def _model(plan: TwinPlan, name: str) -> Model:
    found = next((model for model in plan.models if model.name == name), None)
    if found is None:
        known = ", ".join(model.name for model in plan.models) or "none"
        raise TwinError(f"stack {plan.stack} serves no model {name!r}; it serves: {known}")
    return found
