"""Karpenter in the twin: its charts with the program's values, its process, and what it says when it fails."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twin.errors import TwinError
from twin.kube import charts
from twin.kube.apply import apply_one
from twin.kube.client import Kube, Object
from twin.kube.observe import KINDS
from twin.machine import parts
from twin.machine.build import KARPENTER_MODULE, module_versions
from twin.machine.credentials import write_impersonating_kubeconfig
from twin.machine.launch import answers, status, tail, wake
from twin.machine.ports import is_free
from twin.machine.processes import Spec, digest, read_specs, write_spec
from twin.machine.pulse import Pulse
from twin.machine.state import Run, TwinState
from twin.plan import Planned, TwinPlan

NAMESPACE = "kube-system"
#: Seconds to wait for the controller; on two busy cores it needs ten.
_PATIENCE = 180.0
_STATUS_KINDS = ("EC2NodeClass", "NodeOverlay", "NodePool")


def install_chart(kube: Kube, programs: Path, thing: Planned, plan: TwinPlan) -> list[Object]:
    """Render a chart of Karpenter's and apply what it consists of. Raises TwinError for a version the twin lacks."""
    # The module's tag: in the sources the charts still carry an older version.
    have = module_versions(programs)[KARPENTER_MODULE]
    if thing.version and thing.version.removeprefix("v") != have:
        raise TwinError(f"the program installs {thing.chart} {thing.version}; the twin is built with {have}")
    objects = charts.render(programs, thing.chart, thing.chart, NAMESPACE, thing.values, plan.kubernetes)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda obj: apply_one(kube, obj), objects))
    return objects


def start_karpenter(
    kube: Kube, state: TwinState, run: Run, programs: Path, plan: TwinPlan, objects: list[Object], pulse: Pulse
) -> None:
    """Start the controller with the settings that its chart rendered, and wait until it is ready.

    objects: what the chart consists of. Raises TwinError with Karpenter's last words when it does not come up.
    """
    settings = charts.controller_environment(objects)
    settings["TWIN_CLOUD"] = plan.fingerprint  # a changed cloud restarts it: it remembers subnets
    kubeconfig = state.folder / "karpenter.kubeconfig"
    groups = ["system:serviceaccounts", "system:authenticated"]
    write_impersonating_kubeconfig(state, run, kubeconfig, charts.account(objects), groups)
    spec = parts.karpenter(run, programs, settings, plan.region, kubeconfig)
    before = read_specs(state).get(spec.name)
    if before is None:
        _refuse_taken_ports(state, run)
    write_spec(state, spec)
    wake(state)
    _wait_until_ready(state, run, spec, pulse)
    if before not in (None, spec):
        _forget_verdicts(kube)


def _refuse_taken_ports(state: TwinState, run: Run) -> None:
    """Raises TwinError where somebody else has a port that Karpenter is to listen on since the twin has chosen it.

    Who has it may answer in Karpenter's place, which would not start: nothing would ever get Ready, for no reason.
    """
    taken = [port for name in ("karpenter-metrics", "karpenter-health") if not is_free(port := run.ports[name])]
    if taken:
        raise TwinError(
            f"port {' and '.join(map(str, taken))}, on which Karpenter is to listen, was taken meanwhile by another "
            f"program: `slices down {state.stack}` and `slices up {state.stack}` choose others"
        )


def _wait_until_ready(state: TwinState, run: Run, spec: Spec, pulse: Pulse) -> None:
    deadline = time.monotonic() + _PATIENCE
    failures: int | None = None
    while True:
        pulse()
        process = status(state)["processes"].get("karpenter") or {}
        # Until the supervisor has taken the settings over, another Karpenter may answer.
        if process.get("spec") == digest(spec):
            if answers(f"http://127.0.0.1:{run.ports['karpenter-health']}/readyz"):
                return
            # One that was there already may have failed before, for lack of what is there now.
            failures = process["restarts"] if failures is None else failures
            if process["restarts"] > failures + 2:
                break
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    raise TwinError(f"Karpenter does not start:\n{_last_words(state)}")


def _last_words(state: TwinState) -> str:
    """Why Karpenter ended, without the stack that Go prints after it."""
    lines = tail(state, "karpenter", 200).splitlines()
    panics = [line for line in lines if line.startswith("panic: ")]
    return panics[-1] if panics else "\n".join(lines[-5:])


def _forget_verdicts(kube: Kube) -> None:
    """What was Ready under other settings, or in another cloud, must show again that it is."""
    for kind in _STATUS_KINDS:
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
