"""What `slices status` says: the twin's processes and addresses, nodes and slots, and dollars."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from plan.errors import as_called
from twin.errors import TwinError
from twin.kube.client import ApiError
from twin.kube.observe import KINDS
from twin.machine.launch import kube_of, leftovers, status, supervised, unfinished
from twin.machine.state import Run, TwinState, load_run
from twin.plan import load_plan
from twin.play.agent.meter import read_meter
from twin.prices import of_another_region, played
from twin.view import NodeView, View, view

#: Characters of a node's name: kwok's are long, and random from the beginning.
_NAME = 18


@dataclass(frozen=True)
class Report:
    """A twin at one moment."""

    stack: str
    running: bool
    run: Run | None
    processes: Mapping[str, Mapping[str, Any]]
    """Process id, restarts and last exit status, by name."""
    stray: Mapping[int, str]
    """Processes of a twin that lost its supervisor."""
    view: View | None
    """None when the API server does not answer."""
    usd: float
    """What the nodes would have cost so far."""
    prices: str = ""
    """Whose prices these are, where they are not those of the twin's region."""
    unfinished: str = ""
    """Why a twin that runs is not whole."""

    def as_json(self) -> dict[str, Any]:
        """Plain data; addresses, but no keys."""
        return {
            "stack": self.stack,
            "running": self.running,
            "unfinished": self.unfinished or None,
            "server": self.run.server if self.run else None,
            "processes": self.processes,
            "stray": {name: pid for pid, name in self.stray.items()},
            "nodes": [asdict(node) | {"usedSlots": node.used_slots} for node in self.view.nodes] if self.view else None,
            "pending": [asdict(pod) for pod in self.view.pending] if self.view else None,
            "usdPerHour": round(self.view.usd_per_hour, 4) if self.view else None,
            "usdSinceStart": round(self.usd, 4),
        }


def report(state: TwinState) -> Report:
    """Look at a twin, running or not. Leaves nothing behind where there is none."""
    run = load_run(state)
    seen: View | None = None
    region = _region(state)
    if run is not None and supervised(state):
        kube = kube_of(state, run)
        try:
            found = {kind: kube.list(KINDS[kind], kind) for kind in ("Node", "NodeClaim", "Pod", "Event")}
            seen = view(played(region), found["Node"], found["NodeClaim"], found["Pod"], found["Event"])
        except ApiError:
            seen = None
    said = status(state)
    return Report(
        stack=state.stack,
        running=said["supervisor"] is not None,
        run=run,
        processes=said["processes"] if said["supervisor"] is not None else {},
        stray=leftovers(state) if state.exists else {},
        view=seen,
        usd=read_meter(state.folder)[0],
        prices=of_another_region(region),
        unfinished=unfinished(state) if state.exists and (said["supervisor"] is not None or state.busy()) else "",
    )


def _region(state: TwinState) -> str:
    """Where the twin is; empty while `slices up` still makes its plan, and where that cannot be read."""
    with contextlib.suppress(TwinError):
        return load_plan(state).region
    return ""


def show(report: Report, console: Console) -> None:
    """Print a report for people."""
    if report.unfinished:
        console.print(f"{report.unfinished[0].upper()}{report.unfinished[1:]}.")
    if not report.running and report.unfinished:
        return
    if not report.running:
        console.print(as_called(f"There is no running twin of {report.stack}: `slices up {report.stack}` starts one."))
        for pid, name in report.stray.items():
            console.print(as_called(f"  left over: {name} ({pid}); `slices down {report.stack}` ends it"))
        return
    down = [name for name, process in report.processes.items() if process["pid"] is None]
    restarted = {name: p["restarts"] for name, p in report.processes.items() if p["restarts"]}
    what = "So far" if report.unfinished else f"The twin of [bold]{report.stack}[/] runs"
    console.print(f"{what}: {len(report.processes)} processes.")
    if down:
        console.print(f"  down at the moment: {', '.join(down)}")
    if restarted:
        console.print("  restarted: " + ", ".join(f"{name} ({count}x)" for name, count in restarted.items()))
    if report.view is None:
        console.print("  The API server does not answer at the moment.")
        return
    console.print(_table(report.view))
    for pod in report.view.pending:
        console.print(f"  waits: {pod.namespace}/{pod.name}: {pod.reason or 'nobody has said why yet'}")
    console.print(f"  USD {report.view.usd_per_hour:.3f} per hour now, USD {report.usd:.4f} since the twin was started")
    if report.prices:
        console.print(f"  {report.prices}")


def _table(seen: View) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("NODE", "POOL", "TYPE", "ZONE", "STAGE", "SLOTS", "USD/H", "WHO"):
        table.add_column(column, justify="right" if column == "USD/H" else "left", no_wrap=column != "WHO")
    for node in seen.nodes:
        table.add_row(*_row(node))
    return table


def _row(node: NodeView) -> tuple[str, ...]:
    who = ", ".join(pod.owner for pod in node.pods)
    slots = f"{node.used_slots} of {node.slots or node.expected_slots}" if node.gpu else ""
    kind = f"{node.instance_type}{' spot' if node.capacity_type == 'spot' else ''}"
    pool = node.pool or ("system" if node.system else "")
    name = node.name if len(node.name) <= _NAME else f"{node.name[: _NAME - 1]}…"
    return (name, pool, kind, node.zone, node.stage, slots, f"{node.usd_per_hour:.3f}", who)
