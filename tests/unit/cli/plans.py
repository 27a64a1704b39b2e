"""Plans without a program: made from a configuration, for tests of what is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pulumi_policy import EnforcementLevel

from config.load import parse
from plan.figures import figures
from plan.make import Plan
from plan.monitor import Resource
from plan.record import Recording
from policy.analyzer import Verdict

STACK_URN = "urn:pulumi:dev::gpu-slices::pulumi:pulumi:Stack::gpu-slices-dev"

POOL = {
    "name": "shared",
    "instanceFamilies": ["g6"],
    "gpusPerNode": [1],
    "maxGpus": 2,
    "sharing": {"strategy": "time-slicing", "replicas": 3},
}
ON_DEMAND_POOL = {
    "name": "always-on",
    "instanceFamilies": ["g6"],
    "gpusPerNode": [1],
    "maxGpus": 1,
    "sharing": {"strategy": "mps", "replicas": 2},
    "capacityType": "on-demand",
    "onDemand": {"justification": "GPU-142: must answer during Spot shortages", "expires": "2027-01-31"},
}
MIG_POOL = {
    "name": "isolated",
    "instanceTypes": ["p5.4xlarge"],
    "maxGpus": 4,
    "sharing": {"strategy": "mig", "profile": "1g.10gb"},
}
CONFIG: dict[str, Any] = {
    "pools": [POOL, ON_DEMAND_POOL, MIG_POOL],
    "models": [
        {"name": "mistral", "model": "mistral:7b", "pool": "shared"},
        {"name": "small", "model": "llama3.2:3b", "pool": "isolated", "contextLength": 8192, "kvCacheType": "q8_0"},
    ],
}


def resource(name: str, type_: str, parent: str = STACK_URN, **more: Any) -> Resource:
    """A resource as the recorder gives it."""
    options: dict[str, Any] = {
        "urn": f"urn:pulumi:dev::gpu-slices::{type_}::{name}",
        "inputs": {},
        "id": "",
        "custom": not type_.startswith("gpu-slices:"),
        "remote": False,
        "provider": "",
        "providers": {},
        "dependencies": (),
        "property_dependencies": {},
        "protect": False,
        "deleted_with": "",
        "retain_on_delete": False,
        "ignore_changes": (),
        "aliases": 0,
        "custom_timeouts": {},
        **more,
    }
    return Resource(type=type_, name=name, parent=parent, **options)


def verdict(*, mandatory: bool, message: str = "capacity type is on-demand") -> Verdict:
    """A violation."""
    return Verdict(
        rule="on-demand-gpu",
        title="No on-demand GPU without a reason",
        level=EnforcementLevel.MANDATORY if mandatory else EnforcementLevel.ADVISORY,
        severity="critical",
        urn="urn:x",
        resource="gpu-shared-pool",
        type="kubernetes:karpenter.sh/v1:NodePool",
        message=message,
        fix="write a justification",
    )


def plan_of(
    config: Mapping[str, Any] = CONFIG,
    *,
    resources: Sequence[Resource] = (),
    verdicts: Sequence[Verdict] = (),
    notes: Sequence[str] = (),
    region: str = "us-east-1",
    outputs: Mapping[str, Any] | None = None,
) -> Plan:
    """A plan of a stack with this configuration."""
    recording = Recording(
        project="gpu-slices",
        stack="dev",
        region=region,
        resources=tuple(resources),
        outputs=outputs or {},
        values={},
        placeholders=frozenset(),
        messages=(),
        unanswered=(),
    )
    parsed = parse(config, stack="dev", region=region, today=date(2026, 11, 21))
    return Plan(recording=recording, figures=figures(parsed), verdicts=tuple(verdicts), notes=tuple(notes))
