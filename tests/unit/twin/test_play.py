"""What a scenario leaves, and when it may kill Karpenter, whose memory holds the instances of the simulated EC2."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpu.contract import NODE_POOL_LABEL
from twin.scenarios import play as playing
from twin.scenarios.play import Play, clean

POOL = "shared"


def claim(name: str, *, instance: str = "", goes: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = {"metadata": {"name": name, "labels": {NODE_POOL_LABEL: POOL}}}
    if instance:
        made["status"] = {"providerID": f"kwok-aws:///us-east-1a/{instance}"}
    if goes:
        made["metadata"]["deletionTimestamp"] = "2026-11-30T12:00:00Z"
    return made


def play(claims: list[dict[str, Any]], **more: Any) -> Any:
    nobody = cast(Any, None)
    observed = SimpleNamespace(all=lambda kind: claims if kind == "NodeClaim" else [], follows=lambda _: True)
    parts = {"state": nobody, "run": nobody, "plan": nobody, "kube": nobody, "faults": nobody}
    return Play(**{**parts, "observed": observed, "tell": lambda _: None, **more})


@pytest.mark.parametrize(
    ("claims", "kept", "safe"),
    [
        ([], [], True),
        ([claim("a")], [], True),
        ([claim("a", instance="i-a")], ["i-a"], True),
        ([claim("a", instance="i-a")], [], False),
        ([], ["i-a"], False),
        ([claim("a", instance="i-a", goes=True)], [], True),
        ([claim("a", instance="i-a", goes=True)], ["i-a"], True),
        ([claim("a", instance="i-a")], ["i-a", "i-b"], False),
    ],
    ids=["none", "asked for", "kept", "just bought", "just gone", "goes", "goes, kept", "another just gone"],
)
def test_karpenter_may_be_killed_when_what_it_remembers_is_written_down(
    claims: list[dict[str, Any]], kept: list[str], safe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "instances", lambda _: [{"InstanceId": each} for each in kept])
    assert play(claims).instances_are_kept() is safe


def test_a_node_that_is_bought_late_goes_too() -> None:
    """Karpenter may have decided to buy it before the pod went that asked for it."""
    late, claims = claim("late"), list[dict[str, Any]]()
    looks = iter([[], [late], [{**late, "metadata": {**late["metadata"], "deletionTimestamp": "now"}}], []])
    deleted: list[str] = []

    def delete(_: str, kind: str, name: str, *__: object) -> bool:
        deleted.append(f"{kind} {name}")
        return True

    def all_of(kind: str) -> list[dict[str, Any]]:
        if kind == "NodeClaim":
            claims[:] = next(looks, [])
            return [*claims]
        return []

    pool = SimpleNamespace(name=POOL, static=None)
    planned = {"metadata": {"name": POOL}}
    plan = SimpleNamespace(manifests=lambda _: [planned], gpu_pools=(pool,), models=(), region="us-east-1")
    made = play(
        [],
        plan=plan,
        observed=SimpleNamespace(all=all_of, follows=lambda _: True),
        kube=SimpleNamespace(delete=delete, list=lambda *_: [], apply=lambda _: None),
        faults=SimpleNamespace(stale=False, clear=lambda: None),
    )
    clean(made)
    assert deleted == ["NodeClaim late"]
    assert not claims
