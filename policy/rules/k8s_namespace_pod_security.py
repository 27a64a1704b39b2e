"""Namespaces make the API server enforce a Pod Security Standard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gpu.contract import GPU_SYSTEM_NAMESPACE
from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import get, known, text

LABEL: Final = "pod-security.kubernetes.io/enforce"


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield namespaces without the label, or with the level privileged."""
    level = text(get(resource.props, "metadata", "labels", LABEL))
    exempt = text(known(resource.props, "metadata", "name")) in settings["exemptNamespaces"]
    if not level and not resource.type.endswith("Patch"):  # a patch says a part
        yield f"label {LABEL} is missing, which means privileged: write restricted."
    elif level and level not in settings["levels"] and not exempt:
        yield f"label {LABEL} is {level}: write {' or '.join(settings['levels'])}."


RULE = ResourceRule(
    name="k8s-namespace-pod-security",
    title="Namespaces enforce a Pod Security level",
    description=(
        "A namespace must have the label `pod-security.kubernetes.io/enforce`, and the level privileged only in the "
        "GPU system namespace `gpu-system`."
    ),
    why=(
        "A namespace without the label admits every pod. The label also holds for what no policy sees before: pods of "
        "charts, of operators, and of people with kubectl."
    ),
    fix=(
        "Write `pod-security.kubernetes.io/enforce: restricted` (or baseline) among the namespace's labels. Name your "
        "own GPU system namespace in `exemptNamespaces`; it must have the label too, so that a reader sees it."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=("kubernetes:core/*:Namespace", "kubernetes:core/*:NamespacePatch"),
    scanners=Scanners(cis=("4.2.1", "4.2.2", "4.2.3", "4.2.4", "4.2.5")),
    options={
        "exemptNamespaces": Option(
            type="array",
            default=[GPU_SYSTEM_NAMESPACE],
            description="Namespaces that may be privileged.",
            schema={"items": {"type": "string"}},
        ),
        "levels": Option(
            type="array",
            default=["restricted", "baseline"],
            description="Levels that namespaces may enforce.",
            schema={"items": {"type": "string", "enum": ["restricted", "baseline"]}},
        ),
    },
    check=check,
)
