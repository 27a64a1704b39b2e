"""What `slices status` says: the twin's processes and addresses, nodes and slots, and dollars."""

from __future__ import annotations

import contextlib
import textwrap
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from plan.errors import as_called
from twin.devices import Devices
from twin.errors import TwinError
from twin.kube.client import ApiError, UnreachableError
from twin.kube.observe import KINDS
from twin.machine.launch import kube_of, leftovers, status, supervised, unfinished
from twin.machine.state import Run, TwinState, load_run
from twin.plan import load_plan
from twin.play.agent.meter import read_meter
from twin.prices import NODES_ALONE, of_another_region, played
from twin.view import NodeView, PodView, View, view
from twin.watch.waiting import NOBODY_SAID
from twin.watch.words import gib, share

_NOTE_COLUMNS = 80
_KINDS = ("Node", "NodeClaim", "Pod", "Event", "ResourceSlice", "ResourceClaim")


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
            "nodes": [_node_json(node) for node in self.view.nodes] if self.view else None,
            "pending": [asdict(pod) for pod in self.view.pending] if self.view else None,
            "refused": [asdict(pod) for pod in self.view.refused] if self.view else None,
            "usdPerHour": round(self.view.usd_per_hour, 4) if self.view else None,
            "usdSinceStart": round(self.usd, 4),
        }


def _node_json(node: NodeView) -> dict[str, Any]:
    return asdict(node) | {"usedSlots": node.used_slots, "claimedMib": node.claimed_mib}


def report(state: TwinState) -> Report:
    """Look at a twin, running or not. Leaves nothing behind where there is none."""
    run = load_run(state)
    seen: View | None = None
    region = _region(state)
    if run is not None and supervised(state):
        kube = kube_of(state, run)
        try:
            if not kube.ready():  # in seconds, where it hangs
                raise UnreachableError("not ready")
            found = {kind: kube.list(KINDS[kind], kind) for kind in _KINDS}
            devices = Devices(found["ResourceSlice"], found["ResourceClaim"])
            seen = view(played(region), found["Node"], found["NodeClaim"], found["Pod"], found["Event"], devices)
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
        stack = report.stack
        console.print(as_called(f"  The API server does not answer at the moment. `slices up {stack}` brings it back."))
        return
    _show_view(console, report, report.view)


def _show_view(console: Console, report: Report, seen: View) -> None:
    """Nodes, who waits, and dollars."""
    for line in _table(seen, console.width):
        console.print(line, markup=False, soft_wrap=True)
    for pod in seen.pending:
        console.print(f"  waits: {pod.key}: {pod.reason or NOBODY_SAID}", markup=False)
    for pod, number in _refused(seen):
        more = f" and {number - 1} more of {pod.owner}" if number > 1 else ""
        console.print(f"  refused: {pod.key}{more}: {pod.reason}", markup=False)
    console.print(f"  USD {seen.usd_per_hour:.3f} per hour now, USD {report.usd:.4f} since the twin was started")
    for note in (NODES_ALONE, report.prices):
        if note:
            _print_note(console, note)


def _print_note(console: Console, text: str) -> None:
    """A sentence, of a readable width also where a table has no width to keep to."""
    width = max(40, min(console.width, _NOTE_COLUMNS))
    shown = textwrap.fill(text, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    console.print(shown, markup=False, soft_wrap=True)


def _table(seen: View, width: int) -> list[str]:
    """Lines of a table of the nodes. Who sits on a node stands beside it, or below it where that is too wide."""
    wide = _columns([(*_HEAD, "ZONE", "USD/H", "WHO"), *((*_row(n), n.zone, _usd(n), _who(n)) for n in seen.nodes)])
    if max(map(len, wide)) <= width:
        return wide
    head, *lines = _columns([_HEAD, *map(_row, seen.nodes)])
    below = [
        textwrap.wrap(
            f"{node.zone}, USD {_usd(node)}/h: {_who(node) or 'nobody'}",
            max(width, 40),
            initial_indent=" " * 4,
            subsequent_indent=" " * 4,
            break_on_hyphens=False,
        )
        for node in seen.nodes
    ]
    return [head, *(text for line, rest in zip(lines, below, strict=True) for text in (line, *rest))]


_HEAD = ("NODE", "POOL", "TYPE", "STAGE", "SLOTS")


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(node: NodeView) -> tuple[str, ...]:
    kind = f"{node.instance_type}{' spot' if node.capacity_type == 'spot' else ''}"
    pool = node.pool or ("system" if node.system else "")
    return (node.called, pool, kind, node.stage, _taken(node))


def _taken(node: NodeView) -> str:
    if node.devices:
        return share(node.claimed_mib, node.mib)
    return f"{node.used_slots} of {node.slots or node.expected_slots}" if node.gpu else ""


def _usd(node: NodeView) -> str:
    return f"{node.usd_per_hour:.3f}"


def _who(node: NodeView) -> str:
    owners = Counter((pod.owner, pod.mib) for pod in node.pods)
    return ", ".join(
        f"{owner}{f' {gib(mib)}' if mib else ''}{f' ({number}x)' if number > 1 else ''}"
        for (owner, mib), number in owners.items()
    )


def _refused(seen: View) -> list[tuple[PodView, int]]:
    """The newest refused pod of each owner, and how many there are."""
    newest = {(pod.namespace, pod.owner, pod.reason): pod for pod in seen.refused}
    numbers = Counter((pod.namespace, pod.owner, pod.reason) for pod in seen.refused)
    return [(pod, numbers[key]) for key, pod in newest.items()]
