"""The soft brake's own manifests and rights on the real API server, and what the real Karpenter makes of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from components.money.soft_brake import LIMIT, MANAGER, NAME, NAMESPACE, SoftBrake, SoftBrakeArgs, manifests
from gpu.contract import BRAKE_ANNOTATION
from tests.unit.components.recording import Recording, record
from twin.machine.credentials import write_impersonating_kubeconfig
from twin.machine.state import TwinState, load_run
from twin.plan import Model
from twin.play.agent.knative import ask, deployment_name
from twin.scenarios.play import Play, playing

POOL, OTHER = "mps", "time-slicing"
_PATIENCE = 150.0
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def recording() -> Recording[SoftBrake]:
    arguments = SoftBrakeArgs(cluster_name="c", account_id="111122223333", budget_name="c", pools=[POOL])
    return record(lambda: SoftBrake("soft-brake", arguments))


@pytest.fixture
def kubectl(twin: TwinState, tmp_path: Path) -> Kubectl:
    """kubectl as the job calls it, with the rights of the job's account and no more."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which speaks to clusters, is not here")
    run = load_run(twin)
    assert run is not None
    config = tmp_path / "kubeconfig"
    account = f"system:serviceaccount:{NAMESPACE}:{NAME}"
    write_impersonating_kubeconfig(twin, run, config, account, ["system:serviceaccounts", "system:authenticated"])
    environment = {"KUBECONFIG": str(config), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["kubectl", *arguments], env=environment, capture_output=True, text=True, check=False)

    return call


@pytest.fixture
def brake(kubectl: Kubectl, tmp_path: Path) -> Callable[[str], None]:
    """What the job's second container does once the first has chosen a manifest."""
    job = recording().one("kubernetes:batch/v1:CronJob").inputs["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = job["containers"]

    def put(state: str) -> None:
        path = tmp_path / "nodepools.yaml"
        path.write_text(manifests([POOL])[f"{state}.yaml"])
        done = kubectl(*[each.replace("/tmp/nodepools.yaml", str(path)) for each in container["args"]])
        assert done.returncode == 0, done.stderr

    return put


def node_pool(play: Play) -> Mapping[str, Any]:
    found = play.kube.get("karpenter.sh/v1", "NodePool", POOL)
    assert found is not None
    return found


def pod_of(play: Play, model: Model) -> Mapping[str, Any] | None:
    prefix = f"{deployment_name(model)}-"
    named = [p for p in play.observed.all("Pod") if p["metadata"]["name"].startswith(prefix)]
    return named[0] if named else None


def said_of(play: Play, model: Model) -> str:
    """What Karpenter says of the model's pod."""
    pod = pod_of(play, model)
    for event in reversed(play.warnings("FailedScheduling")):
        about = event["involvedObject"]
        if pod and about.get("uid") == pod["metadata"]["uid"] and "limits" in event["message"]:
            return str(event["message"])
    return ""


def test_a_model_stays_asleep_and_says_why_while_all_that_runs_goes_on(
    twin: TwinState, kubectl: Kubectl, brake: Callable[[str], None]
) -> None:
    story: list[str] = []
    with playing(twin, story.append) as play:
        for kind in ("rbac.authorization.k8s.io/v1:ClusterRole", "rbac.authorization.k8s.io/v1:ClusterRoleBinding"):
            play.kube.apply(dict(recording().one(f"kubernetes:{kind}").inputs))
        model = next(each for each in play.plan.models if each.name == "mistral")
        pool = next(each for each in play.plan.gpu_pools if each.name == POOL)
        other = next(each for each in play.plan.gpu_pools if each.name == OTHER)
        slots = pool.slots_per_node()
        play.deploy("runs", POOL, pool.resource, slots)
        play.wait(lambda: play.running("runs") == slots, _PATIENCE, "a full node")
        before = {pod["metadata"]["uid"] for pod in play.pods("runs")}

        brake("on")
        ask(play.kube, model, time.time() + 600)
        # Pools that the brake does not hold are served as ever.
        play.deploy("other", OTHER, other.resource, 1)
        play.wait(lambda: bool(said_of(play, model)), _PATIENCE, "Karpenter's reason")
        assert "exceed limits for nodepool" in said_of(play, model)
        assert POOL in said_of(play, model)
        play.wait(lambda: bool(play.claims_of(OTHER)), _PATIENCE, "a node of another pool")
        # Who made the pool applies it again, as `pulumi up` does.
        play.kube.apply(dict(play.plan.node_pool(POOL)))
        braked = node_pool(play)
        assert braked["spec"]["limits"] == {**play.plan.node_pool(POOL)["spec"]["limits"], **LIMIT}
        assert braked["metadata"]["annotations"][BRAKE_ANNOTATION] == "on: 80 % of the budget is spent"
        assert play.stays(lambda: len(play.claims_of(POOL)) == 1, 5), "nothing is bought"
        assert {pod["metadata"]["uid"] for pod in play.pods("runs")} == before, "what runs goes on"
        assert play.running("runs") == slots

        brake("off")
        play.wait(lambda: len(play.claims_of(POOL)) == 2, _PATIENCE, "a node for the model")
        free = node_pool(play)
        assert free["spec"]["limits"] == play.plan.node_pool(POOL)["spec"]["limits"]
        assert BRAKE_ANNOTATION not in free["metadata"].get("annotations", {})
        assert MANAGER not in {each["manager"] for each in free["metadata"]["managedFields"]}


def test_the_job_may_change_no_other_pool_and_make_none(kubectl: Kubectl, twin: TwinState, tmp_path: Path) -> None:
    for kind in ("rbac.authorization.k8s.io/v1:ClusterRole", "rbac.authorization.k8s.io/v1:ClusterRoleBinding"):
        with playing(twin, lambda _: None) as play:
            play.kube.apply(dict(recording().one(f"kubernetes:{kind}").inputs))
    for name in (OTHER, "none-such"):
        path = tmp_path / "other.yaml"
        path.write_text(manifests([name])["on.yaml"])
        refused = kubectl("apply", "--server-side", f"--field-manager={MANAGER}", f"--filename={path}")
        assert refused.returncode == 1
        assert "forbidden" in refused.stderr, refused.stderr
    for question in (("delete", "nodepools.karpenter.sh/mps"), ("get", "secrets"), ("create", "pods")):
        assert kubectl("auth", "can-i", *question).stdout.strip() == "no"
    assert kubectl("auth", "can-i", "patch", f"nodepools.karpenter.sh/{POOL}").stdout.strip() == "yes"
