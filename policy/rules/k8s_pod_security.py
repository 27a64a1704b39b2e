"""Pods keep to the restricted Pod Security Standard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpu.contract import GPU_SYSTEM_NAMESPACE, MIN_SECURITY_REASON, SECURITY_ANNOTATION
from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity, matches
from policy.pod_security import LEVELS, namespace
from policy.pods import PATCH_TYPES, POD_TYPES, templates
from policy.reading import get, known, text


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield every field that the wanted level does not allow, or asks for."""
    if namespace(resource) in settings["exemptNamespaces"]:
        return
    wanted = "baseline" if matches(PATCH_TYPES, resource.type) else settings["level"]
    for template in templates(resource.type, resource.props):
        if get(template, "spec") is not None:
            level = "baseline" if _has_reason(template) else wanted
            for judged in LEVELS.get(level, LEVELS["restricted"]):
                yield from judged(template)


def _has_reason(template: Any) -> bool:
    """Whether the pods say why they need more than the restricted level allows. What is unknown is no reason."""
    reason = text(known(template, "metadata", "annotations", SECURITY_ANNOTATION))
    return len(reason.strip()) >= MIN_SECURITY_REASON


RULE = ResourceRule(
    name="k8s-pod-security",
    title="Pods are restricted",
    description=(
        "Workloads must keep to the restricted Pod Security Standard: no root, no privileges, no capabilities, no host "
        "namespaces, paths or ports, a seccomp profile. The GPU system namespace `gpu-system` is the one exemption. "
        f"Pods with an annotation `{SECURITY_ANNOTATION}` of {MIN_SECURITY_REASON} characters or more keep to baseline."
    ),
    why=(
        "Pods that share a GPU share a node, and a pod that gets out of its container has the whole node: the other "
        "tenants' memory, models and credentials. GPU pods need no privileges, since devices come from the device "
        "plugin. Only the GPU stack itself (device plugin, MPS daemon, driver tools) has to reach the host, and lives "
        "in a namespace of its own. Charts are rendered where this rule cannot see; their namespaces' labels must do."
    ),
    fix=(
        "In the pod: `runAsNonRoot: true` and `seccompProfile: {type: RuntimeDefault}`; in every container: "
        "`allowPrivilegeEscalation: false` and `capabilities: {drop: [ALL]}`. A pod that must be root says why in the "
        f"annotation `{SECURITY_ANNOTATION}` of its template, and a namespace that enforces baseline admits it. Name "
        "your own GPU system namespace in `exemptNamespaces`. All of it must be literal values."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(*POD_TYPES, *PATCH_TYPES),
    scanners=Scanners(
        checkov=(*(f"CKV_K8S_{number}" for number in (16, 17, 18, 19, 20, 23, 26, 28, 31, 37, 39)),),
        trivy=(
            *("KSV-0001", "KSV-0003", "KSV-0005", "KSV-0008", "KSV-0009", "KSV-0010", "KSV-0012", "KSV-0017"),
            *("KSV-0022", "KSV-0023", "KSV-0024", "KSV-0026", "KSV-0027", "KSV-0028", "KSV-0030"),
        ),
        cis=("4.2.1", "4.2.2", "4.2.3", "4.2.4", "4.2.5"),
    ),
    options={
        "exemptNamespaces": Option(
            type="array",
            default=[GPU_SYSTEM_NAMESPACE],
            description="Namespaces whose pods may reach the host.",
            schema={"items": {"type": "string"}},
        ),
        "level": Option(
            type="string",
            default="restricted",
            description="The standard to keep to.",
            schema={"enum": ["baseline", "restricted"]},
        ),
    },
    check=check,
)
