from __future__ import annotations

from typing import Any

import pytest

from policy.rules.k8s_rbac_not_for_all import RULE
from tests.policy.support import UNKNOWN, violations

BINDING = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"


def binding(role: Any, *subjects: Any) -> dict[str, Any]:
    listed = [{"kind": "Group", "name": name} for name in subjects]
    return {"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": listed}


@pytest.mark.parametrize("type_", [BINDING, BINDING.replace("Cluster", ""), f"{BINDING}Patch"])
@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("view", "system:anonymous"),
        ("cluster-admin", "system:unauthenticated"),
        ("edit", "system:authenticated"),
        ("view", "system:serviceaccounts"),
        ("cluster-admin", "system:serviceaccounts:ml"),
    ],
)
def test_rights_for_everybody_fail(type_: str, role: str, name: str) -> None:
    (message,) = violations(RULE, type_, binding(role, "team-ml", name))
    assert message == f"gives {role} to {name}: name the accounts that need it."


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("view", "team-ml"),
        ("cluster-admin", "platform"),
        ("system:discovery", "system:unauthenticated"),
        ("system:public-info-viewer", "system:unauthenticated"),
        ("edit", "system:serviceaccounts:ml"),
        ("system:node", "system:nodes"),
    ],
)
def test_named_accounts_and_kubernetes_own_bindings_pass(role: str, name: str) -> None:
    assert violations(RULE, BINDING, binding(role, name)) == []


def test_unknown_subjects_must_be_literals() -> None:
    assert "must be a literal" in violations(RULE, BINDING, binding("view", UNKNOWN))[0]
    assert "must be a literal" in violations(RULE, BINDING, {**binding("view"), "subjects": UNKNOWN})[0]
