"""Nobody who is not known gets rights in the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policy.framework import EnforcementLevel, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import each, get, text

#: Subjects that stand for everybody, or for everybody with any account in AWS or the cluster.
_ANYBODY: Final = frozenset({"system:anonymous", "system:unauthenticated"})
_EVERYBODY: Final = frozenset({"system:authenticated", "system:serviceaccounts"})
#: Roles that Kubernetes itself binds to everybody, and that tell nothing of workloads (v1.36,
#: `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`).
_HARMLESS: Final = frozenset({"system:basic-user", "system:discovery", "system:public-info-viewer"})


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield bindings for everybody, and of `cluster-admin` for a namespace's every account."""
    role = text(get(resource.props, "roleRef", "name"))
    for subject in each(get(resource.props, "subjects")):
        name = text(get(subject, "name"))
        admin = role == "cluster-admin" and name.startswith("system:serviceaccounts")
        if (name in _ANYBODY | _EVERYBODY and role not in _HARMLESS) or admin:
            yield f"gives {role or 'a role'} to {name}: name the accounts that need it."


RULE = ResourceRule(
    name="k8s-rbac-not-for-all",
    title="Rights are not given to everybody",
    description=(
        "No RoleBinding or ClusterRoleBinding may give rights to everybody: not to `system:anonymous` and "
        "`system:unauthenticated`, nor to all who have any account."
    ),
    why=(
        "The first two are whoever reaches the API server, without a password. `system:authenticated` is every "
        "principal of AWS with an access entry and every pod, `system:serviceaccounts` every pod: one model server "
        "that was broken into then reads secrets, or starts pods on any GPU."
    ),
    fix="Bind the role to the users, groups or service accounts that need it.",
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    types=tuple(
        f"kubernetes:rbac.authorization.k8s.io/*:{kind}{end}"
        for kind in ("ClusterRoleBinding", "RoleBinding")
        for end in ("", "Patch")
    ),
    scanners=Scanners(checkov=("CKV_K8S_68",), cis=("4.1.1",)),
    check=check,
)
