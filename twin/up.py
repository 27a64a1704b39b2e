"""`slices up`: from nothing to a running platform with the plan applied, or from any half-done state to the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twin.controller import install_chart, karpenter_errors, start_karpenter
from twin.errors import TwinError
from twin.kube.apply import READY_SECONDS, Applier, apply_one
from twin.kube.client import ApiError, Kube, NoKindError, Object, wait_until_ready
from twin.kube.definitions import CLUSTER_POLICY
from twin.machine import parts
from twin.machine.build import knative_definitions
from twin.machine.launch import answers, kube_of, prepare, start, stop, tail, wake
from twin.machine.processes import write_spec
from twin.machine.pulse import Pulse
from twin.machine.state import Run, TwinState, read_json, write_text
from twin.plan import (
    CONTROLLER_CHART,
    CRD_CHART,
    DRIVER_CHART,
    KNATIVE_CHART,
    OPERATOR_CHART,
    Planned,
    TwinPlan,
    load_plan,
    save_plan,
)
from twin.play.dra_driver import device_class, refusal
from twin.play.platform import PLUGIN_NAMESPACE, daemon_sets, simulated_ec2_rights, system_nodes
from twin.play.stages import no_early_gpus, stages_file

#: Seconds to wait for a part of the twin. On two cores they need six; on a machine that does much else, minutes.
_PATIENCE = 180.0

Say = Callable[[str], None]


@dataclass
class Timing:
    """Seconds since the beginning, by step, in the order in which the steps were done."""

    began: float = field(default_factory=time.monotonic)
    steps: dict[str, float] = field(default_factory=dict)

    def mark(self, step: str) -> None:
        """Note that a step is done."""
        self.steps[step] = time.monotonic() - self.began


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a plan is applied to. before: the plan that the twin had; None for a new one. values: of placeholders."""

    plan: TwinPlan
    before: TwinPlan | None
    kube: Kube
    values: Mapping[str, str]
    releases: Releases
    pulse: Pulse


class Up:
    """One run of `slices up`. The caller holds the twin's lock."""

    def __init__(self, state: TwinState, programs: Path, say: Say, *, ready_seconds: float = READY_SECONDS) -> None:
        """ready_seconds: how long to wait for an object's condition Ready."""
        self.state = state
        self.programs = programs
        self._say = say
        self._ready_seconds = ready_seconds
        self.timing = Timing()

    def run(self, make_plan: Callable[[], TwinPlan]) -> TwinPlan:
        """Start what does not run, plan, apply. Raises TwinError, and what `make_plan` raises."""
        ground = self.begin(make_plan)
        if ground.before:
            self._prune(ground.kube, ground.before, ground.plan)
        applier = Applier(
            ground.kube,
            ground.values,
            ground.releases.install,
            said=self._applied,
            ready_seconds=self._ready_seconds,
            errors=self._errors,
            pulse=ground.pulse,
            give_up=ground.pulse.give_up,
        )
        applier.apply(ground.plan.planned)
        self.timing.mark("ready")
        write_text(self.state.finished, f"{ground.plan.digest}\n")
        return ground.plan

    def begin(self, make_plan: Callable[[], TwinPlan]) -> Ground:
        """Everything that a plan is applied to: control plane, kubelets, system nodes, AWS seeded from the plan.

        The control plane starts while the program is planned. When that fails, nothing is left of a twin that was not
        there before, and one that was stays as it is.
        """
        state = self.state
        before = load_plan(state) if state.plan.exists() else None
        run = prepare(state)
        for spec in parts.control_plane(state, run, self.programs):
            write_spec(state, spec)
        start(state)
        pulse = Pulse(state, run, starting=True)
        try:
            plan = make_plan()
        except BaseException:
            if before is None:
                stop(state)
            raise
        self.timing.mark("planned")
        state.finished.unlink(missing_ok=True)
        save_plan(state, plan)
        write_spec(state, parts.aws(run, plan.fingerprint))
        wake(state)
        self._say(f"Program of stack {plan.stack} recorded: {len(plan.planned)} objects in the cluster")
        kube = kube_of(state, run)
        if not wait_until_ready(kube, _PATIENCE, pulse):
            raise TwinError(f"the API server did not start:\n{tail(state, 'kube-apiserver')}")
        self.timing.mark("control plane")
        self._say("Control plane is up")
        self._base(kube, run, plan)
        values = self._cloud_values(run, plan, pulse)
        self.timing.mark("AWS")
        self._say("AWS is seeded from the plan")
        write_spec(state, parts.agent(run, plan.digest))
        wake(state)
        pulse.started()
        releases = Releases(state, self.programs, kube, run, plan, pulse)
        return Ground(plan=plan, before=before, kube=kube, values=values, releases=releases, pulse=pulse)

    def _applied(self, thing: Planned) -> None:
        if thing.chart == CONTROLLER_CHART:
            self.timing.mark("Karpenter")
        if thing.ready or thing.chart:
            self._say(f"{thing.name} is {'ready' if thing.ready else 'installed'}")

    def _errors(self, kind: str, name: str) -> list[str]:
        return karpenter_errors(self.state, kind, name, self._ready_seconds)

    def _base(self, kube: Kube, run: Run, plan: TwinPlan) -> None:
        """What the twin itself brings: kubelets, system nodes, and the add-ons' DaemonSets."""
        write_text(self.state.folder / "stages.yaml", stages_file())
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLUGIN_NAMESPACE}}
        objects = [*no_early_gpus(), *simulated_ec2_rights(), *daemon_sets(plan)]
        if any(made["metadata"].get("namespace") == PLUGIN_NAMESPACE for made in objects):
            # The program's own namespace object follows; the DaemonSet of its chart must not wait for it here.
            _retry(lambda: kube.apply(namespace))
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda obj: _retry(lambda: kube.apply(obj)), objects))
            nodes = [*system_nodes(plan), *(dict(node) for node in plan.nodes)]
            list(pool.map(lambda node: _retry(lambda: _apply_node(kube, node)), nodes))
        write_spec(self.state, parts.kwok(self.state, run, self.programs))
        wake(self.state)

    def _cloud_values(self, run: Run, plan: TwinPlan, look: Pulse) -> Mapping[str, str]:
        """Values of the plan's placeholders, when AWS answers."""
        path = self.state.folder / "cloud.json"
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            look()
            if path.exists() and answers(f"{run.aws}/"):
                seeded = read_json(path)
                if seeded["plan"] == plan.fingerprint:
                    values: Mapping[str, str] = seeded["values"]
                    return values
            time.sleep(0.05)
        raise TwinError(
            f"the stand-in for AWS did not start within {_PATIENCE:.0f} s; if the machine is busy, run it again. "
            f"Its last words:\n{tail(self.state, 'aws') or 'none'}"
        )

    def _prune(self, kube: Kube, before: TwinPlan, now: TwinPlan) -> None:
        """Delete what the plan no longer has, last things first, as Pulumi would."""
        kept = {thing.urn for thing in now.planned}
        for thing in reversed(before.planned):
            if thing.manifest and thing.urn not in kept:
                delete(kube, thing.manifest)
                self._say(f"{thing.name} is no longer in the plan: deleted")
        stand = {node["metadata"]["name"] for node in now.nodes}
        for node in before.nodes:
            if node["metadata"]["name"] not in stand:
                delete(kube, node)


class Releases:
    """What a twin does with the program's Helm releases: it installs them, or plays their part."""

    def __init__(self, state: TwinState, programs: Path, kube: Kube, run: Run, plan: TwinPlan, pulse: Pulse) -> None:
        self._state = state
        self._programs = programs
        self._kube = kube
        self._run = run
        self._plan = plan
        self._pulse = pulse

    def install(self, thing: Planned) -> None:
        """Install a release; again, with other values, where it is there already."""
        if thing.chart == CRD_CHART:
            objects = install_chart(self._kube, self._programs, thing, self._plan)
            _established(self._kube, objects, self._pulse)
        elif thing.chart == CONTROLLER_CHART:
            objects = install_chart(self._kube, self._programs, thing, self._plan)
            start_karpenter(self._kube, self._state, self._run, self._programs, self._plan, objects, self._pulse)
        elif thing.chart == KNATIVE_CHART:
            definitions = knative_definitions(self._programs)
            for definition in definitions:
                apply_one(self._kube, definition)
            _established(self._kube, definitions, self._pulse)
        elif thing.chart == DRIVER_CHART:
            if why := refusal(thing.values):
                raise TwinError(f"chart {thing.chart}: {why}")
            # By another manager than the plan's objects: these may patch it.
            self._kube.apply(device_class(), manager=thing.chart)
        elif thing.chart == OPERATOR_CHART:
            apply_one(self._kube, CLUSTER_POLICY)
            _established(self._kube, [CLUSTER_POLICY], self._pulse)


def _established(kube: Kube, definitions: list[Object], pulse: Pulse) -> None:
    """Wait until the server has new kinds. Its discovery follows some moments after the condition Established."""
    deadline = time.monotonic() + _PATIENCE
    for definition in definitions:
        spec = definition["spec"]
        for version in (v["name"] for v in spec["versions"] if v["served"]):
            while not _served(kube, f"{spec['group']}/{version}", spec["names"]["kind"]):
                pulse()
                if time.monotonic() > deadline:
                    raise TwinError(f"definition {definition['metadata']['name']} is not established")
                time.sleep(0.03)


def _served(kube: Kube, api_version: str, kind: str) -> bool:
    try:
        kube.kind(api_version, kind)
    except NoKindError:
        return False
    return True


def _apply_node(kube: Kube, node: Object) -> None:
    status_part = {key: node[key] for key in ("apiVersion", "kind", "metadata", "status")}
    kube.apply({key: node[key] for key in ("apiVersion", "kind", "metadata", "spec")})
    kube.apply({**status_part, "metadata": {"name": node["metadata"]["name"]}}, subresource="status")


def _retry(call: Callable[[], object]) -> None:
    """A server that has just become ready may still lack a namespace or a right for a moment."""
    for attempt in range(40):
        try:
            call()
            return
        except ApiError as error:
            if attempt == 39 or error.status not in (0, 403, 404, 409, 429, 500, 503):
                raise
            time.sleep(0.1)


def delete(kube: Kube, manifest: Mapping[str, Any]) -> None:
    """Delete an object of the plan; nothing happens when it, or its kind, is not there."""
    metadata = manifest["metadata"]
    try:
        kube.delete(manifest["apiVersion"], manifest["kind"], metadata["name"], metadata.get("namespace"))
    except ApiError as error:
        if error.status != 404:
            raise
