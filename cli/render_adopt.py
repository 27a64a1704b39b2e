"""What `slices adopt` found, for people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adopt.finding import Finding, Status
from adopt.inventory import FoundPool, Inventory
from adopt.pool_findings import shared_words
from adopt.proposal import Proposal
from adopt.report import Report
from adopt.work import GpuNode, Work
from cli.console import command, hanging, heading, printable, write
from cli.tables import section, table
from config.errors import counted
from gpu.contract import CAPACITY_TYPE_LABEL
from plan.errors import slices

_MARKS: dict[Status, tuple[str, str]] = {
    "fits": ("fits", "green"),
    "missing": ("MISSING", "bold red"),
    "note": ("note", "yellow"),
    "unseen": ("not seen", "magenta"),
}
_MARK_WIDTH = max(len(word) for word, _ in _MARKS.values())
#: Rows of pods that are shown; --json has all.
_MOST = 20


def render(found: Report, path: Path | None) -> None:
    """Print the report to standard output. path: the file that was written; None where none was."""
    write(lambda console: _print(console, found, path))


def _print(console: Console, found: Report, path: Path | None) -> None:
    there = found.there
    console.print(Text(printable(f"Cluster {there.cluster}, region {there.region}"), "bold"))
    heading(console, "What is there")
    for name, text in _there(there):
        hanging(console, f"{printable(name):<16} ", printable(text))
    if there.work:
        section(console, "Pods that hold or want GPUs", _work(there))
    heading(console, "What would be bought for them")
    console.print(Text(printable(_proposal(found.proposal))))
    if found.rows:
        section(console, "What it costs in a month, GPU nodes alone", _ways(found))
    elif found.proposal.moves:
        ask = slices(f"prices refresh --region {there.region}")
        console.print(Text(f"No price is known in {there.region}: `{ask}` asks AWS."))
    heading(console, "What fits, and what is missing")
    for each in found.findings:
        _finding(console, each)
    console.print()
    console.print(Text(_end(found, path)))
    if path is not None:
        command(console, slices(f"plan {found.stack}"), 2)


def _there(there: Inventory) -> list[tuple[str, str]]:
    rows = [
        ("Kubernetes", there.kubernetes or "not seen"),
        ("Karpenter", _karpenter(there)),
        *((f"{plugin.kind}", f"{plugin.name} {plugin.version}".strip()) for plugin in there.plugins),
        *((pool.title, _pool(pool)) for pool in there.pools if not pool.open),
        ("EC2NodeClasses", _classes(there)),
        ("NodeOverlays", ", ".join(each.name for each in there.overlays) or _none(there, "NodeOverlay")),
        ("GPU nodes", _nodes(there)),
        # A cluster of EKS has such configurations of EKS' own.
        ("policy engines", ", ".join(there.engines) or _none(there, "ValidatingWebhookConfiguration")),
        ("Knative", "there" if there.knative else _none(there, "Deployment")),
    ]
    if not any(not pool.open for pool in there.pools):
        rows.insert(2, ("GPU NodePools", "none seen" if there.unseen else _none(there, "NodePool")))
    opened = [pool.name for pool in there.pools if pool.open]
    if opened:
        rows.insert(-5, ("open NodePools", f"{', '.join(opened)}: nothing in them forbids GPUs"))
    return rows if there.plugins else [*rows[:2], ("device plugin", "none seen"), *rows[2:]]


def _none(there: Inventory, kind: str) -> str:
    """What is said of something of which none was found. kind: of which there are some where anybody looked."""
    return "none" if there.counts.get(kind) else "none seen"


def _karpenter(there: Inventory) -> str:
    found = there.karpenter
    if found is None:
        return _none(there, "Deployment")
    gates = "not seen" if found.gates is None else ", ".join(sorted(found.gates)) or "none"
    return f"{found.version or 'version not seen'}; gates on: {gates}"


def _pool(pool: FoundPool) -> str:
    # Where nobody names it and something else may be bought, reserved is what Karpenter takes where there is some.
    kinds = [kind for kind in pool.capacity_types if kind != "reserved" or _names_reserved(pool)]
    bought = ", ".join(_reserved(pool) if kind == "reserved" else kind for kind in kinds) or _reserved(pool)
    families = ", ".join(pool.families) or ("filled in elsewhere" if pool.filled_in else "no GPU of the catalogue")
    return f"{families}; {bought}; {shared_words(pool)}"


def _names_reserved(pool: FoundPool) -> bool:
    items = (item for item in pool.node_pool.requirements if item.key == CAPACITY_TYPE_LABEL)
    return any(item.operator == "In" and "reserved" in (item.values or ()) for item in items)


def _reserved(pool: FoundPool) -> str:
    return "capacity block" if pool.node_pool.block else "reserved"


def _classes(there: Inventory) -> str:
    if there.node_classes:
        return ", ".join(each.name for each in there.node_classes)
    named = sorted({pool.node_class for pool in there.pools if not pool.auto_mode} - {""})
    return f"none seen; pools name {', '.join(named)}" if named else _none(there, "EC2NodeClass")


def _nodes(there: Inventory) -> str:
    kinds = Counter(f"{node.kind.name} {_bought(node)}" for node in there.nodes)
    return ", ".join(f"{number} x {kind}" for kind, number in sorted(kinds.items())) or _none(there, "Node")


def _bought(node: GpuNode) -> str:
    if node.reserved:
        return "capacity block" if node.block else "reserved"
    return node.bought


def _work(there: Inventory) -> Table:
    found = table("pods of", "state", "asks for", "pods", texts=3)
    kinds = {node.name: node.kind.name for node in there.nodes}
    together: dict[tuple[str, str, str], int] = {}
    for work in there.work:
        where = f" on {kinds[work.node]}" if work.node in kinds else ""
        key = (f"{work.namespace}/{work.name}", f"{work.state}{where}", _asks(work))
        together[key] = together.get(key, 0) + work.count
    for key, number in list(together.items())[:_MOST]:
        found.add_row(*(Text(printable(text)) for text in key), str(number))
    if len(together) > _MOST:
        found.add_row(Text(f"and {len(together) - _MOST} more: --json has all"), "", "", "")
    return found


def _asks(work: Work) -> str:
    return ", ".join(f"{number} {resource}" for resource, number in sorted(work.asks.items())) or "claims (DRA)"


def _proposal(proposal: Proposal) -> str:
    if not proposal.replicas:
        return "Nothing is shared: no pod that was seen fits half of a GPU. The pool gives a whole GPU to each."
    where = ", ".join(proposal.families or proposal.types)
    slots = f"{proposal.replicas} slots per GPU with {proposal.pool.slot_memory_mib:,} MiB each (time-slicing)"
    pods = f"for {counted(proposal.pods, 'pod')}" if proposal.pods else "to begin with: no pod was seen that fits"
    return f"Pool of {where}, bought as Spot, {slots}, at most {counted(proposal.max_gpus, 'GPU')}: {pods}."


def _ways(found: Report) -> Table:
    rows = table("way", "nodes", "USD/month", "against the first", texts=1)
    first = found.rows[0].usd_per_month
    for row in found.rows:
        usd = row.usd_per_month
        less = "" if row is found.rows[0] or not first or usd is None else f"{(usd - first) / first:+.0%}"
        rows.add_row(row.name, str(row.nodes), "?" if usd is None else f"{usd:,.0f}", less)
    return rows


def _finding(console: Console, finding: Finding) -> None:
    word, style = _MARKS[finding.status]
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=_MARK_WIDTH, no_wrap=True)
    grid.add_column(overflow="fold")
    text = f"{finding.about}: {finding.text}" if finding.text else finding.about
    grid.add_row(Text(word, style=style), Text(printable(text)))
    console.print(grid)
    if finding.line:
        command(console, printable(finding.line), _MARK_WIDTH + 1, "cyan")


def _end(found: Report, path: Path | None) -> str:
    if not found.fits:
        return "No stack file is written: with what is missing none would be right."
    if path is None:
        again = slices("adopt NAME")
        return f"Nothing is written without a name: {again} writes Pulumi.NAME.yaml."
    return f"Wrote {path.name}. What it would build and cost:"
