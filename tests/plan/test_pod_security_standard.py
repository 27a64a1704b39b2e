"""The Pod Security rule against the samples that Kubernetes tests its own admission with.

The samples come with the sources of `k8s.io/pod-security-admission`: pods that each level lets pass, and pods that it
refuses. They are read, not copied.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest
import yaml

from policy.analyzer import judge
from policy.rules.k8s_pod_security import RULE
from tests.gotools import module_dir
from tests.policy.support import recorded

#: Module of Kubernetes 1.36, the release that our clusters run; its newest samples are those of 1.35.
MODULE = ("k8s.io/pod-security-admission", "v0.36.0")
SAMPLES = "v1.35"
LEVELS = ("baseline", "restricted")


@functools.cache
def samples(level: str, verdict: str) -> dict[str, dict[str, Any]]:
    folder = module_dir(*MODULE) / "test" / "testdata" / level / SAMPLES / verdict
    return {path.name: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))}


def refused(level: str, pods: dict[str, dict[str, Any]]) -> list[str]:
    config = {RULE.name: {"level": level}}
    return [
        name for name, pod in pods.items() if judge([recorded("kubernetes:core/v1:Pod", pod)], config, rules=[RULE])
    ]


@pytest.mark.parametrize("level", LEVELS)
def test_pods_that_kubernetes_lets_pass_pass(level: str) -> None:
    pods = samples(level, "pass")
    assert len(pods) > 10
    assert refused(level, pods) == []


@pytest.mark.parametrize("level", LEVELS)
def test_pods_that_kubernetes_refuses_are_refused(level: str) -> None:
    pods = samples(level, "fail")
    assert len(pods) > 30
    assert refused(level, pods) == list(pods)
