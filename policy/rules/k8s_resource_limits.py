"""Containers say what they need, and how much memory they may take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gpu.contract import GPU_SYSTEM_NAMESPACE
from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity
from policy.pod_security import containers, namespace
from policy.pods import POD_TYPES, templates
from policy.reading import get, known, present, quantity, text

_REQUESTS: Final = (("requests", "cpu"), ("requests", "memory"), ("limits", "memory"))


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield containers without requests or memory limit. Unknown quantities count as given."""
    if namespace(resource) in settings["exemptNamespaces"]:
        return
    wanted = (*_REQUESTS, ("limits", "cpu")) if settings["cpuLimit"] else _REQUESTS
    specs = (get(template, "spec") for template in templates(resource.type, resource.props))
    for container in (found for spec in specs for found in containers(spec)):
        missing = [path for path in wanted if not _given(container.spec, path)]
        for path, given in _no_quantities(container.spec, wanted):
            where = ".".join(path)
            yield f"{container.name}: resources.{where} is {given}, which is no quantity: write one such as 500m."
        if missing:
            names = ", ".join(".".join(path) for path in missing)
            yield f"{container.name}: resources lack {names}: write them."


def _no_quantities(container: object, wanted: Iterable[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], str]]:
    """What stands where a quantity should, and the API server refuses."""
    for path in wanted:
        given = known(container, "resources", *path)
        if given is not None and (quantity(given) is None or (quantity(given) or 0) < 0):
            yield path, text(given) or "empty"


def _given(container: object, path: tuple[str, str]) -> bool:
    """A limit is also the request where none is written; Kubernetes copies it."""
    kind, name = path
    if kind == "requests" and not present(container, "resources", kind, name):
        kind = "limits"
    return _more_than_zero(container, kind, name)


def _more_than_zero(container: object, kind: str, name: str) -> bool:
    """To Kubernetes a quantity of 0 is as good as none."""
    given = known(container, "resources", kind, name, default="unknown")
    return present(container, "resources", kind, name) and quantity(given) != 0


RULE = ResourceRule(
    name="k8s-resource-limits",
    title="Containers have requests and a memory limit",
    description="Every container should have requests for CPU and memory and a limit for memory.",
    why=(
        "Karpenter buys nodes by requests: a pod without any fits everywhere and starves. Without a memory limit one "
        "model takes the node's memory, and the kernel kills whatever shares the GPU with it."
    ),
    fix="Write `resources.requests.cpu`, `resources.requests.memory` and `resources.limits.memory`.",
    severity=Severity.LOW,
    level=EnforcementLevel.ADVISORY,
    types=POD_TYPES,
    scanners=Scanners(
        checkov=("CKV_K8S_10", "CKV_K8S_11", "CKV_K8S_12", "CKV_K8S_13"),
        trivy=("KSV-0011", "KSV-0015", "KSV-0016", "KSV-0018"),
    ),
    options={
        "cpuLimit": Option(type="boolean", default=False, description="Ask for a CPU limit as well."),
        "exemptNamespaces": Option(
            type="array",
            default=[GPU_SYSTEM_NAMESPACE],
            description="Namespaces to leave alone.",
            schema={"items": {"type": "string"}},
        ),
    },
    check=check,
)
