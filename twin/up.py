"""`slices up`: from nothing to a running platform with the plan applied, or from any half-done state to the same."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from twin import charts, parts
from twin.apply import READY_SECONDS, Applier, apply_one
from twin.build import knative_definitions, module_versions
from twin.credentials import write_impersonating_kubeconfig
from twin.errors import TwinError
from twin.kube import ApiError, Kube, Object, wait_until_ready
from twin.launch import kube_of, prepare, start, status, tail, wake
from twin.observe import KINDS
from twin.plan import CONTROLLER_CHART, CRD_CHART, KNATIVE_CHART, Planned, TwinPlan, load_plan, save_plan
from twin.platform import PLUGIN_NAMESPACE, daemon_sets, simulated_ec2_rights, system_nodes
from twin.processes import digest, read_specs, write_spec
from twin.stages import no_early_gpus, stages_file
from twin.state import Run, TwinState, write_text

#: Seconds to wait for a part of the twin; on two busy cores they need a tenth of it.
_PATIENCE = 60.0
_KARPENTER_NAMESPACE = "kube-system"

Say = Callable[[str], None]


@dataclass
class Timing:
    """Seconds since the beginning, by step, in the order in which the steps were done."""

    began: float = field(default_factory=time.monotonic)
    steps: dict[str, float] = field(default_factory=dict)

    def mark(self, step: str) -> None:
        """Note that a step is done."""
        self.steps[step] = time.monotonic() - self.began


class Up:
    """One run of `slices up`. The caller holds the twin's lock."""

    def __init__(self, state: TwinState, programs: Path, say: Say, *, ready_seconds: float = READY_SECONDS) -> None:
        """ready_seconds: how long to wait for an object's condition Ready."""
        self._state = state
        self.programs = programs
        self._say = say
        self._ready_seconds = ready_seconds
        self.timing = Timing()

    def run(self, make_plan: Callable[[], TwinPlan]) -> TwinPlan:
        """Start what does not run, plan, apply. Raises TwinError, and what `make_plan` raises."""
        state = self._state
        run = prepare(state)
        for spec in parts.control_plane(state, run, self.programs):
            write_spec(state, spec)
        start(state)
        plan = make_plan()
        self.timing.mark("planned")
        before = load_plan(state) if state.plan.exists() else None
        save_plan(state, plan)
        write_spec(state, parts.aws(run, plan.fingerprint))
        wake(state)
        self._say(f"Program of stack {plan.stack} recorded: {len(plan.planned)} objects in the cluster")
        kube = kube_of(state, run)
        if not wait_until_ready(kube, _PATIENCE):
            raise TwinError(f"the API server did not start:\n{tail(state, 'kube-apiserver')}")
        self.timing.mark("control plane")
        self._say("Control plane is up")
        self._base(kube, plan)
        values = self._cloud_values(run, plan)
        self.timing.mark("AWS")
        self._say("AWS is seeded from the plan")
        write_spec(state, parts.agent(plan.digest))
        wake(state)
        if before:
            self._prune(kube, before, plan)
        releases = _Releases(self, kube, run, plan)
        applier = Applier(
            kube,
            values,
            releases.install,
            said=self._applied,
            ready_seconds=self._ready_seconds,
            errors=self._errors,
        )
        applier.apply(plan.planned)
        self.timing.mark("ready")
        return plan

    def _applied(self, thing: Planned) -> None:
        if thing.ready or thing.chart:
            self._say(f"{thing.name} is {'ready' if thing.ready else 'installed'}")

    def _errors(self, kind: str, name: str) -> list[str]:
        return karpenter_errors(self._state, kind, name, self._ready_seconds)

    def _base(self, kube: Kube, plan: TwinPlan) -> None:
        """What the twin itself brings: kubelets, system nodes, and the add-ons' DaemonSets."""
        write_text(self._state.folder / "stages.yaml", stages_file())
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLUGIN_NAMESPACE}}
        objects = [*no_early_gpus(), *simulated_ec2_rights(), *daemon_sets(plan)]
        if plan.plugin.installed:
            # The program's own namespace object follows; the DaemonSet of its chart must not wait for it here.
            _retry(lambda: kube.apply(namespace))
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda obj: _retry(lambda: kube.apply(obj)), objects))
            list(pool.map(lambda node: _retry(lambda: _apply_node(kube, node)), system_nodes(plan)))
        write_spec(self._state, parts.kwok(self._state, self.programs))
        wake(self._state)

    def _cloud_values(self, run: Run, plan: TwinPlan) -> Mapping[str, str]:
        """Values of the plan's placeholders, when AWS answers."""
        path = self._state.folder / "cloud.json"
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if path.exists() and answers(f"{run.aws}/"):
                seeded = json.loads(path.read_text(encoding="utf-8"))
                if seeded["plan"] == plan.fingerprint:
                    values: Mapping[str, str] = seeded["values"]
                    return values
            time.sleep(0.05)
        raise TwinError(f"the stand-in for AWS did not start:\n{tail(self._state, 'aws')}")

    def _prune(self, kube: Kube, before: TwinPlan, now: TwinPlan) -> None:
        """Delete what the plan no longer has, last things first, as Pulumi would."""
        kept = {thing.urn for thing in now.planned}
        for thing in reversed(before.planned):
            if thing.manifest and thing.urn not in kept:
                delete(kube, thing.manifest)
                self._say(f"{thing.name} is no longer in the plan: deleted")

    # --- Karpenter ----------------------------------------------------------------------------------------------------

    def install_chart(self, kube: Kube, thing: Planned, plan: TwinPlan) -> list[Object]:
        """Render a chart of Karpenter's and apply what it consists of."""
        # The module's tag: in the sources the charts still carry an older version.
        have = module_versions(self.programs)["github.com/aws/karpenter-provider-aws"]
        if thing.version and thing.version.removeprefix("v") != have:
            raise TwinError(f"the program installs {thing.chart} {thing.version}; the twin is built with {have}")
        objects = charts.render(
            self.programs, thing.chart, thing.chart, _KARPENTER_NAMESPACE, thing.values, plan.kubernetes
        )
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda obj: apply_one(kube, obj), objects))
        return objects

    def start_karpenter(self, kube: Kube, run: Run, plan: TwinPlan, objects: list[Object]) -> None:
        """Start the controller with the settings that its chart rendered, and wait until it is ready."""
        settings = charts.controller_environment(objects)
        settings["TWIN_CLOUD"] = plan.fingerprint  # a changed cloud restarts it: it remembers subnets
        kubeconfig = self._state.folder / "karpenter.kubeconfig"
        groups = ["system:serviceaccounts", "system:authenticated"]
        write_impersonating_kubeconfig(self._state, run, kubeconfig, charts.account(objects), groups)
        spec = parts.karpenter(run, self.programs, settings, plan.region, kubeconfig)
        before = read_specs(self._state).get(spec.name)
        write_spec(self._state, spec)
        wake(self._state)
        deadline = time.monotonic() + _PATIENCE
        while True:
            process = status(self._state)["processes"].get("karpenter") or {}
            # Until the supervisor has taken the settings over, another Karpenter may answer.
            ours = process.get("spec") == digest(spec)
            if ours and answers(f"http://127.0.0.1:{run.ports['karpenter-health']}/readyz"):
                break
            if (ours and process["restarts"] > 2) or time.monotonic() > deadline:
                raise TwinError(f"Karpenter does not start:\n{_last_words(self._state)}")
            time.sleep(0.05)
        if before not in (None, spec):
            _forget_verdicts(kube)
        self.timing.mark("Karpenter")


class _Releases:
    """What the twin does with the program's Helm releases."""

    def __init__(self, up: Up, kube: Kube, run: Run, plan: TwinPlan) -> None:
        self._up = up
        self._kube = kube
        self._run = run
        self._plan = plan

    def install(self, thing: Planned) -> None:
        """Install a release, or play its part."""
        if thing.chart == CRD_CHART:
            objects = self._up.install_chart(self._kube, thing, self._plan)
            _established(self._kube, [obj["metadata"]["name"] for obj in objects])
        elif thing.chart == CONTROLLER_CHART:
            objects = self._up.install_chart(self._kube, thing, self._plan)
            self._up.start_karpenter(self._kube, self._run, self._plan, objects)
        elif thing.chart == KNATIVE_CHART:
            definitions = knative_definitions(self._up.programs)
            for definition in definitions:
                apply_one(self._kube, definition)
            _established(self._kube, [definition["metadata"]["name"] for definition in definitions])


def _last_words(state: TwinState) -> str:
    """Why Karpenter ended, without the stack that Go prints after it."""
    lines = tail(state, "karpenter", 200).splitlines()
    panics = [line for line in lines if line.startswith("panic: ")]
    return panics[-1] if panics else "\n".join(lines[-5:])


def _forget_verdicts(kube: Kube) -> None:
    """What was Ready under other settings, or in another cloud, must show again that it is."""
    for kind in ("EC2NodeClass", "NodeOverlay", "NodePool"):
        for found in kube.list(KINDS[kind], kind):
            about = {"apiVersion": KINDS[kind], "kind": kind, "metadata": {"name": found["metadata"]["name"]}}
            kube.patch(about, {"status": {"conditions": []}}, subresource="status")


def karpenter_errors(state: TwinState, kind: str, name: str, seconds: float) -> list[str]:
    """What Karpenter's log says lately about an object: some refusals it writes nowhere else."""
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    found: list[str] = []
    for line in tail(state, "karpenter", 400).splitlines():
        try:
            entry = json.loads(line)
            late = datetime.fromisoformat(entry["time"]) >= since
        except (ValueError, KeyError):
            continue
        if late and entry.get("level") == "ERROR" and (entry.get(kind) or {}).get("name") == name:
            found.append(str(entry.get("error", "")))
    return list(dict.fromkeys(found))[-2:]


def _established(kube: Kube, names: list[str]) -> None:
    deadline = time.monotonic() + _PATIENCE
    for name in names:
        while True:
            found = kube.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", name) or {}
            conditions = (found.get("status") or {}).get("conditions") or []
            if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
                break
            if time.monotonic() > deadline:
                raise TwinError(f"definition {name} is not established: {conditions}")
            time.sleep(0.03)


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


def answers(url: str) -> bool:
    """Whether a server of the twin answers, with whatever status below 500."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=3):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
