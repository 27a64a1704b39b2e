"""Everything that `slices adopt` found, as one value, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adopt.finding import Finding
from adopt.findings import findings
from adopt.inventory import Inventory
from adopt.karpenter_findings import refusal
from adopt.money import Row, rows
from adopt.proposal import Proposal, propose
from adopt.stack_file import StackText, stack_text
from adopt.work import GpuNode, Work
from gpu import prices

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is there, what is proposed for it, what both cost, and the stack file."""

    stack: str
    there: Inventory
    proposal: Proposal
    written: StackText
    findings: Sequence[Finding]
    rows: Sequence[Row]

    @property
    def fits(self) -> bool:
        """Whether the stack file loads, and can stand in this cluster."""
        return not self.written.problems and refusal(self.there) is None


def report(there: Inventory, stack: str, *, pod_mib: int | None = None) -> Report:
    """The report on a cluster whose name and region are known."""
    proposal = propose(there, pod_mib=pod_mib)
    written = stack_text(there, proposal, stack)
    return Report(
        stack=stack,
        there=there,
        proposal=proposal,
        written=written,
        findings=findings(there, proposal, written),
        rows=rows(list(there.nodes), proposal, prices.of(there.region)),
    )


def as_json(found: Report) -> dict[str, Any]:
    """Plain data, as `--json` prints it."""
    there, proposal = found.there, found.proposal
    return {
        "schemaVersion": SCHEMA_VERSION,
        "stack": found.stack,
        "cluster": there.cluster,
        "region": there.region,
        "kubernetes": there.kubernetes or None,
        "karpenter": _karpenter(there),
        "autoMode": there.auto_mode,
        "karpenterDefinitions": list(there.definitions),
        "nodePools": [_pool(each) for each in there.pools],
        "nodeClasses": [each.name for each in there.node_classes],
        "nodeOverlays": [each.name for each in there.overlays],
        "plugins": [
            {"kind": p.kind, "name": p.name, "version": p.version or None, "configMap": p.config_map or None}
            for p in there.plugins
        ],
        "policyEngines": list(there.engines),
        "knative": there.knative,
        "gpuNodes": [
            {"name": n.name, "instanceType": n.kind.name, "capacityType": _capacity(n), "nodePool": n.pool or None}
            for n in there.nodes
        ],
        "gpuPods": [_work(work) for work in there.work],
        "proposal": {
            "pool": found.written.values["pools"][0],
            "replicas": proposal.replicas,
            "pods": proposal.pods,
            "podMib": max((need.mib for _, need in proposal.moves), default=None),
            "podMibFrom": sorted({need.said for _, need in proposal.moves}),
            "stay": [{**_work(each.work), "why": each.why} for each in proposal.stays],
        },
        "ways": [
            {"name": row.name, "nodes": row.nodes, "usdPerMonth": _cents(row.usd_per_month)} for row in found.rows
        ],
        "findings": [
            {"status": f.status, "about": f.about, "text": f.text, "line": f.line or None} for f in found.findings
        ],
    }


def _cents(usd: float | None) -> float | None:
    return None if usd is None else round(usd, 2)


def _capacity(node: GpuNode) -> str:
    return "reserved" if node.reserved else node.bought


def _karpenter(there: Inventory) -> dict[str, Any] | None:
    found = there.karpenter
    if found is None:
        return None
    return {"version": found.version or None, "gates": None if found.gates is None else sorted(found.gates)}


def _pool(pool: Any) -> dict[str, Any]:
    return {
        "name": pool.name,
        "families": list(pool.families),
        "capacityTypes": list(pool.capacity_types),
        "autoMode": pool.auto_mode,
        "onlyByOpenRequirements": pool.open,
        "sharing": pool.sharing.strategy if pool.sharing else None,
        "replicas": pool.sharing.replicas if pool.sharing else None,
    }


def _work(work: Work) -> dict[str, Any]:
    return {
        "name": work.name,
        "namespace": work.namespace,
        "state": work.state,
        "pods": work.count,
        "requests": dict(work.asks),
        "node": work.node or None,
    }
