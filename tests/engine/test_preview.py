"""What the engine says in a first preview, when nothing of the stack exists and most outputs are unknown."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Set
from typing import Any

import pytest

from tests.engine.engine import ROOT, Done, Workspace

STACKS = ("dev", "staging", "prod", "local")
#: What pulumi-eks makes inside its component; the offline plan shows the component alone.
_INSIDE_EKS = "$eks:index:Cluster$"

Verdict = tuple[str, str, str, str]


def _engine_verdicts(done: Done) -> Set[Verdict]:
    return {(v.rule, v.level, v.resource, v.message) for v in done.violations if _INSIDE_EKS not in v.urn}


def _offline_verdicts(workspace: Workspace) -> Set[Verdict]:
    command = [sys.executable, "-m", "cli", "plan", workspace.stack, "--json"]
    done = subprocess.run(
        command, cwd=workspace.folder, env=workspace.plain_environment, capture_output=True, text=True, check=False
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return {(v["rule"], v["level"], v["resource"], v["message"]) for v in found["verdicts"]}


def _urns(done: Done) -> list[str]:
    """What would be created, as the lists of the plan's public URNs have it."""
    made_by_itself = (_INSIDE_EKS, "::pulumi:pulumi:Stack::", "::default")  # and the engine's providers of no name
    own = [urn for urn in done.steps() if not any(part in urn for part in made_by_itself)]
    return sorted(urn.partition("::gpu-slices::")[2] for urn in own)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("told", [True, False], ids=["component told inputs", "component without inputs"])
def test_stacks_pass_their_own_pack_and_the_plan_says_the_same(
    stack: str, told: bool, workspace: Callable[[str], Workspace]
) -> None:
    made = workspace(stack)
    if not told:
        made.components_without_inputs()
    done = made.preview()
    assert done.mandatory == []
    assert done.code == 0, done.text[-3000:]
    assert _engine_verdicts(done) == _offline_verdicts(made)
    assert _urns(done) == (ROOT / "tests" / "plan" / "data" / f"urns-{stack}.txt").read_text().splitlines()


@pytest.mark.parametrize("told", [True, False], ids=["component told inputs", "component without inputs"])
def test_too_many_gpus_fail_before_anything_is_bought(told: bool, workspace: Callable[[str], Workspace]) -> None:
    """The ceiling is judged over objects of a cluster that is not there yet: the engine has no outputs of theirs."""
    made = workspace("dev")
    if not told:
        made.components_without_inputs()
    pools = made.config("pools")
    made.configure({"pools": [{**pools[0], "maxGpus": 500}, *pools[1:]]})
    done = made.preview()
    assert {v.rule for v in done.mandatory} == {"gpu-ceiling-per-stack"}
    assert done.code != 0
    assert _engine_verdicts(done) == _offline_verdicts(made)


def test_an_open_cluster_fails_by_what_is_inside_the_component(workspace: Callable[[str], Workspace]) -> None:
    """Without inputs nothing of the component itself can be judged; its child must be."""
    made = workspace("dev")
    made.components_without_inputs()
    made.settle(
        "endpoint_public_access=bool(args.public_access_cidrs)",
        "endpoint_public_access=True",
        "components/cluster/cluster.py",
    )
    made.settle(
        "public_access_cidrs=[*args.public_access_cidrs] or None",
        "public_access_cidrs=['0.0.0.0/0']",
        "components/cluster/cluster.py",
    )
    done = made.preview()
    assert {(v.rule, _INSIDE_EKS in v.urn) for v in done.mandatory} == {("eks-endpoint-allowlist", True)}
    assert done.code != 0


def test_wrong_configuration_registers_nothing(workspace: Callable[[str], Workspace]) -> None:
    made = workspace("dev")
    pools = made.config("pools")
    made.configure({"pools": [{**pools[0], "maxGpu": 2}, *pools[1:]], "models": [{"name": "Mistral", "model": "x"}]})
    done = made.preview()
    assert done.code != 0
    assert "gpu-slices:pools[0].maxGpu" in done.text
    assert "gpu-slices:models[0]" in done.text
    assert "Traceback" not in done.text
    assert set(done.steps()) <= {"urn:pulumi:dev::gpu-slices::pulumi:pulumi:Stack::gpu-slices-dev"}
    assert ROOT.joinpath("Pulumi.dev.yaml").read_text().count("encryptionsalt") == 0


def test_what_is_off_by_default_previews_together(workspace: Callable[[str], Workspace]) -> None:
    """A lean floor, a mirror, a table, monitoring and anomalies: policies of AWS' made of what is unknown yet."""
    made = workspace("dev")
    image = f"ghcr.io/acme/dialogue@sha256:{'b' * 64}"
    made.configure(
        {
            "cluster": {**made.config("cluster"), "floor": "lean", "registryMirror": "mirror.acme.dev/cache"},
            "dialogue": {**made.config("dialogue"), "image": image, "store": "dynamodb"},
            "monitoring": {"backend": "cloudwatch"},
            "budget": {**made.config("budget"), "anomalies": True},
        }
    )
    done = made.preview(expect=0)
    assert done.mandatory == []
    assert _engine_verdicts(done) == _offline_verdicts(made)
    types = {urn.split("::")[2].rpartition("$")[2] for urn in done.steps()}
    assert {
        "aws:costexplorer/anomalyMonitor:AnomalyMonitor",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "aws:dynamodb/table:Table",
        "aws:sns/topic:Topic",
    } <= types
    assert "aws:ec2/natGateway:NatGateway" not in types


def test_prometheus_previews_with_a_topic_that_is_not_there_yet(workspace: Callable[[str], Workspace]) -> None:
    """Values of a chart, and a policy, in which the topic and its key are unknown."""
    made = workspace("dev")
    cluster = {**made.config("cluster"), "systemNodes": {"desired": 3}, "registryMirror": "mirror.acme.dev/cache"}
    made.configure({"cluster": cluster, "monitoring": {"backend": "prometheus"}})
    done = made.preview(expect=0)
    assert done.mandatory == []
    assert _engine_verdicts(done) == _offline_verdicts(made)
    types = {urn.split("::")[2].rpartition("$")[2] for urn in done.steps()}
    assert {"kubernetes:monitoring.coreos.com/v1:PrometheusRule", "aws:sns/topic:Topic"} <= types
