"""The program on Pulumi's real runtime: what reaches an engine in a preview, and that nothing relies on mocks."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from plan.project import find_project, load_stack
from tests.patience import PATIENCE
from tests.plan.conftest import ROOT, owned
from tests.plan.variants import VARIANTS


def preview(stack: str, **values: Any) -> dict[str, Any]:
    """Preview a stack."""
    return run("preview", stack, **values)


def run(kind: str, stack: str, own: bool = False, **values: Any) -> dict[str, Any]:
    """A preview or an update of a stack, in a process of its own: Pulumi's runtime is global."""
    config = dict(load_stack(find_project(ROOT), stack).values)
    config |= {f"gpu-slices:{key}": json.dumps(value) for key, value in values.items()}
    config = owned(config) if own else config
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.plan.engine_double", stack, json.dumps(config), kind],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return dict(json.loads(finished.stdout))


@pytest.mark.parametrize("stack", ["dev", "local"])
def test_a_preview_registers_what_the_plan_shows(stack: str) -> None:
    result = preview(stack)
    assert result["errors"] == []
    shown = (ROOT / "tests" / "plan" / "data" / f"urns-{stack}.txt").read_text().splitlines()
    registered = [
        f"{r['type']}::{r['name']}" for r in result["registered"] if not r["type"].startswith("pulumi:pulumi:")
    ]
    assert sorted(urn.rpartition("$")[2] for urn in shown) == sorted(registered)


def test_a_preview_of_a_stack_with_everything_needs_nothing_that_is_not_there() -> None:
    result = preview("dev", **VARIANTS["everything"])
    assert result["errors"] == []
    types = {r["type"] for r in result["registered"]}
    assert {"aws:lb/loadBalancer:LoadBalancer", "docker-build:index:Image", "gpu-slices:index:WarmSlots"} <= types
    # Whatever a preview does not know, policies can judge models and what installs Knative.
    literal = [r for r in result["registered"] if "knative.dev" in r["type"] and r["name"] != "dialogue"]
    assert len(literal) == 4
    assert [r["name"] for r in literal if r["unknown"]] == []


def test_what_policies_must_judge_is_known_in_a_preview() -> None:
    by_type: dict[str, list[dict[str, Any]]] = {}
    for resource in preview("dev")["registered"]:
        by_type.setdefault(resource["type"], []).append(resource)
    literal = (
        "kubernetes:karpenter.sh/v1:NodePool",
        "kubernetes:karpenter.sh/v1alpha1:NodeOverlay",
        "kubernetes:helm.sh/v3:Release",
        "aws:iam/role:Role",
    )
    for type_ in literal:
        assert by_type[type_], type_
        assert [r["name"] for r in by_type[type_] if r["unknown"]] == [], type_


def test_a_bad_configuration_registers_nothing_and_says_why() -> None:
    result = preview("dev", cluster={"version": "1.20"})
    assert [r["type"] for r in result["registered"]] == ["pulumi:pulumi:Stack"]
    assert any('gpu-slices:cluster.version = "1.20"' in error for error in result["errors"])


def test_a_preview_warns_of_examples() -> None:
    result = preview("dev")
    said = "\n".join(result["warnings"])
    assert 'gpu-slices:cluster.publicAccessCidrs[0] = "203.0.113.0/24"  (Pulumi.dev.yaml:' in said
    assert 'gpu-slices:budget.emails[0] = "platform@example.com"' in said
    assert run("preview", "dev", own=True)["warnings"] == []


def test_an_update_refuses_examples_before_anything_is_registered() -> None:
    result = run("update", "dev")
    assert [r["type"] for r in result["registered"]] == ["pulumi:pulumi:Stack"]
    said = "\n".join(result["errors"])
    assert "2 problems in the configuration of stack 'dev'; nothing was planned or changed." in said
    assert 'gpu-slices:cluster.publicAccessCidrs[0] = "203.0.113.0/24"  (Pulumi.dev.yaml:' in said
    assert 'gpu-slices:budget.emails[0] = "platform@example.com"' in said


def test_an_update_with_values_of_ones_own_registers_what_the_preview_does() -> None:
    updated = run("update", "dev", own=True)
    assert (updated["errors"], updated["warnings"]) == ([], [])
    previewed = preview("dev")["registered"]
    assert sorted(r["type"] + r["name"] for r in updated["registered"]) == sorted(
        r["type"] + r["name"] for r in previewed
    )
