"""`slices up` on a stack: everything ready, everything idempotent, and kubectl's file works."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gpu.contract import TWIN_SYSTEM_LABEL
from plan.errors import InputError
from tests.twin.test_crash import wait
from twin.kube.apply import wait_ready
from twin.kube.client import ApiError, Kube
from twin.machine import launch
from twin.machine.launch import answers
from twin.machine.processes import find
from twin.machine.state import TwinState, load_run
from twin.plan import TwinPlan
from twin.status import report
from twin.up import Up

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kube(twin: TwinState) -> Kube:
    return launch.connect(twin)


def test_every_object_of_the_plan_is_there_unchanged_and_ready(kube: Kube, plan: TwinPlan) -> None:
    for kind in ("NodePool", "EC2NodeClass", "NodeOverlay"):
        manifests = plan.manifests(kind)
        assert manifests
        for manifest in manifests:
            found = kube.get(manifest["apiVersion"], kind, manifest["metadata"]["name"])
            assert found is not None
            # A test before this one may have put it back a moment ago, and its controller has yet to look.
            wait_ready(kube, found, 60)
            if kind != "EC2NodeClass":  # its key and tags hold ids that only a deployment knows
                assert found["spec"].items() >= _as_stored(manifest["spec"], found["spec"]).items()


def _as_stored(spec: dict[str, object], stored: dict[str, object]) -> dict[str, object]:
    return {key: stored[key] if spec[key] == stored[key] else spec[key] for key in spec}


def test_the_common_kubeconfig_names_the_twin(twin: TwinState, kube: Kube) -> None:
    config = yaml.safe_load((twin.root / "kubeconfig").read_text())
    assert config["current-context"] == "twin-local"
    server = config["clusters"][0]["cluster"]["server"]
    assert server.startswith("https://127.0.0.1:")
    token = config["users"][0]["user"]["token"]
    assert Kube(server, token, str(twin.pki / "ca.crt")).ready()


def test_the_kubernetes_version_is_the_plans(kube: Kube, plan: TwinPlan) -> None:
    version = kube.request("GET", "/version")
    assert f"{version['major']}.{version['minor']}" == plan.kubernetes


def test_karpenter_runs_with_the_programs_settings(twin: TwinState, plan: TwinPlan) -> None:
    release = plan.release("karpenter")
    assert release is not None
    spec = json.loads((twin.specs / "karpenter.json").read_text())
    gates = dict(pair.split("=") for pair in spec["environment"]["FEATURE_GATES"].split(","))
    wanted = release.values["settings"]["featureGates"]
    assert wanted
    for gate, value in wanted.items():
        assert gates[gate[0].upper() + gate[1:]] == str(value).lower()
    assert spec["environment"]["CLUSTER_NAME"] == plan.cluster
    assert spec["environment"]["INTERRUPTION_QUEUE"] == release.values["settings"]["interruptionQueue"]


def test_system_nodes_hold_karpenters_pods_and_daemon_sets(kube: Kube) -> None:
    nodes = kube.list("v1", "Node", labels=TWIN_SYSTEM_LABEL)
    assert nodes
    names = {node["metadata"]["name"] for node in nodes}

    def there() -> list[tuple[str, str]]:
        """Name and node of the pods on them."""
        pods = [pod for pod in kube.list("v1", "Pod", "kube-system") if pod["spec"].get("nodeName") in names]
        return [(p["metadata"]["labels"].get("app.kubernetes.io/name", ""), p["spec"]["nodeName"]) for p in pods]

    # Others may have taken them away a moment ago, and brought them back.
    wait(lambda: sorted(node for name, node in there() if name == "karpenter") == sorted(names))
    assert len(names) == 2
    wait(lambda: {name for name, _ in there()} >= {"aws-node", "kube-proxy"})


def test_up_again_restarts_nothing(twin: TwinState, plan: TwinPlan, bring_up: Callable[..., TwinPlan]) -> None:
    before = launch.status(twin)["processes"]
    bring_up(twin, plan)
    assert launch.status(twin)["processes"] == before


def test_what_leaves_the_plan_leaves_the_cluster(
    twin: TwinState, kube: Kube, plan: TwinPlan, bring_up: Callable[..., TwinPlan]
) -> None:
    without = tuple(thing for thing in plan.planned if "scale-arm64" not in thing.name)
    assert len(without) < len(plan.planned)
    bring_up(twin, replace(plan, planned=without))
    assert kube.get("apps/v1", "Deployment", "scale-arm64", "examples") is None
    bring_up(twin, plan)
    assert kube.get("apps/v1", "Deployment", "scale-arm64", "examples") is not None


def test_pods_of_the_plan_obey_their_namespaces_security_level(kube: Kube) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root", "namespace": "examples"},
        "spec": {"hostNetwork": True, "containers": [{"name": "c", "image": "i"}]},
    }
    with pytest.raises(ApiError, match="PodSecurity"):
        kube.create(pod)


def test_everything_listens_on_loopback_only(twin: TwinState) -> None:
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    inodes: set[str] = set()
    for pid in find(twin):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(entry.readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    listening = []
    for table, loopback in (("tcp", "0100007F"), ("tcp6", "00000000000000000000000001000000")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A" and parts[9] in inodes:
                address, port = parts[1].split(":")
                listening.append((address == loopback, int(port, 16)))
    run = load_run(twin)
    assert run is not None
    assert {port for _, port in listening} >= {run.ports["apiserver"], run.ports["aws"]}
    # Karpenter cannot be told an address for these two (sigs.k8s.io/karpenter, pkg/operator/operator.go): both only
    # answer, and hold no secret.
    everywhere = {port for on_loopback, port in listening if not on_loopback}
    assert everywhere <= {run.ports["karpenter-metrics"], run.ports["karpenter-health"]}


def test_status_in_json(twin: TwinState, tmp_path: Path) -> None:
    found = json.loads(json.dumps(report(twin).as_json()))
    assert found["running"] is True
    assert found["stray"] == {}
    assert found["usdPerHour"] > 0
    assert {node["system"] for node in found["nodes"]} == {True}
    run = load_run(twin)
    assert run is not None
    assert run.token not in json.dumps(found)


def test_karpenters_health_is_asked_without_a_proxy(twin: TwinState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    run = load_run(twin)
    assert run is not None
    wait(lambda: answers(f"http://127.0.0.1:{run.ports['karpenter-health']}/readyz"))
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{run.ports['karpenter-health']}/readyz", timeout=2)


def test_commands_say_what_is_wrong(tmp_path: Path) -> None:
    def slices(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)

    unknown = slices("status", "nobody-has-this")
    assert unknown.returncode == 2
    assert "slices init nobody-has-this" in unknown.stderr
    request = slices("request", "mistral", "--stack", "nobody-has-this")
    assert request.returncode == 2
    assert "slices init nobody-has-this" in request.stderr
    assert not (ROOT / ".twin" / "nobody-has-this").exists()


def _fails() -> TwinPlan:
    raise InputError("4 problems")


def test_a_program_that_cannot_be_planned_leaves_nothing(tmp_path: Path, programs: Path) -> None:
    state = TwinState(tmp_path / ".twin", "local")
    with pytest.raises(InputError), state.lock():
        Up(state, programs, lambda _: None).run(_fails)
    assert find(state) == {}
    assert not state.root.exists()


def test_a_program_that_cannot_be_planned_any_more_leaves_the_twin_as_it_is(twin: TwinState, programs: Path) -> None:
    before = find(twin)
    with pytest.raises(InputError), twin.lock():
        Up(twin, programs, lambda _: None).run(_fails)
    assert find(twin) == before
    assert launch.connect(twin).ready()
