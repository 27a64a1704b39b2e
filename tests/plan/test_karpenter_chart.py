"""Karpenter's own chart, rendered by Helm with the values of each stack, comes out as the settings we mean.

The chart lies in the sources of the pinned version. Helm itself is built from its Go module: see `tests.gotools`.
"""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

import versions
from plan.record import Recording
from tests.gotools import HELM, karpenter_dir, tool
from tests.plan.conftest import STACKS

pytestmark = pytest.mark.go

RELEASE = "kubernetes:helm.sh/v3:Release"
Objects = Mapping[tuple[str, str], dict[str, Any]]

#: Values that are maps or lists of the user's own; what they hold is not in the chart's defaults.
OPEN = {("nodeSelector",), ("controller", "resources"), ("tolerations",)}


def release(plan: Recording, name: str) -> Mapping[str, Any]:
    [found] = [each.inputs for each in plan.of_type(RELEASE) if each.inputs.get("name") == name]
    return found


@functools.cache
def render(chart: str, release_name: str, values: str) -> Objects:
    """Objects of a chart by kind and name."""
    command = [str(tool(*HELM)), "template", release_name, str(karpenter_dir() / "charts" / chart)]
    settings = ["--namespace", "kube-system", "--kube-version", versions.EKS_DEFAULT_VERSION, "--values", "-"]
    done = subprocess.run([*command, *settings], input=values, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


@pytest.fixture(params=STACKS)
def plan(request: pytest.FixtureRequest, recorded: Callable[[str], Recording]) -> Recording:
    return recorded(request.param)


@pytest.fixture
def objects(plan: Recording) -> Objects:
    return render("karpenter", "karpenter", json.dumps(release(plan, "karpenter")["values"]))


@pytest.fixture
def pod(objects: Objects) -> dict[str, Any]:
    spec: dict[str, Any] = objects["Deployment", "karpenter"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def environment(pod: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in pod["containers"][0]["env"] if "value" in each}


def test_the_controller_knows_its_cluster_and_its_queue(plan: Recording, environment: dict[str, str]) -> None:
    [queue] = plan.of_type("aws:sqs/queue:Queue")
    [cluster] = plan.of_type("eks:index:Cluster")
    assert environment["INTERRUPTION_QUEUE"] == queue.inputs["name"]
    assert environment["CLUSTER_NAME"] == cluster.inputs["name"]


def test_overlays_are_on_and_no_other_alpha_gate(environment: dict[str, str]) -> None:
    gates = dict(gate.split("=") for gate in environment["FEATURE_GATES"].split(","))
    assert {name for name, state in gates.items() if state == "true"} == {"NodeOverlay", "ReservedCapacity"}


def test_the_pod_identity_is_that_of_the_controllers_service_account(
    plan: Recording, objects: Objects, pod: dict[str, Any]
) -> None:
    [association] = [
        each.inputs
        for each in plan.of_type("aws:eks/podIdentityAssociation:PodIdentityAssociation")
        if each.inputs["serviceAccount"] == "karpenter"
    ]
    account = objects["ServiceAccount", association["serviceAccount"]]
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert account["metadata"]["namespace"] == association["namespace"] == "kube-system"
    assert objects["Deployment", "karpenter"]["metadata"]["namespace"] == association["namespace"]


def test_the_controller_runs_on_system_nodes_only(plan: Recording, pod: dict[str, Any]) -> None:
    [system] = plan.of_type("aws:eks/nodeGroup:NodeGroup")
    assert set(pod["nodeSelector"].items()) >= set(system.inputs["labels"].items())
    taints = {taint["key"] for taint in system.inputs["taints"]}
    assert taints == {toleration["key"] for toleration in pod["tolerations"]}
    [term] = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "karpenter.sh/nodepool", "operator": "DoesNotExist"}]


def test_the_controller_survives_the_loss_of_a_node_and_needs_no_cluster_dns(
    objects: Objects, pod: dict[str, Any]
) -> None:
    assert objects["Deployment", "karpenter"]["spec"]["replicas"] == 2
    assert objects["PodDisruptionBudget", "karpenter"]["spec"]["maxUnavailable"] == 1
    assert pod["dnsPolicy"] == "Default"
    assert pod["priorityClassName"] == "system-cluster-critical"
    resources = pod["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"] == {"cpu": "1", "memory": "1Gi"}


def test_the_controller_may_read_overlays(objects: Objects) -> None:
    rules = [rule for (kind, _), each in objects.items() if kind == "ClusterRole" for rule in each["rules"]]
    verbs = {verb for rule in rules if "nodeoverlays" in rule.get("resources", ()) for verb in rule["verbs"]}
    assert {"get", "list", "watch"} <= verbs


def test_the_image_is_pinned_by_digest(pod: dict[str, Any]) -> None:
    assert "@sha256:" in pod["containers"][0]["image"]


def test_definitions_come_from_their_own_release_alone(plan: Recording, objects: Objects) -> None:
    crds = release(plan, "karpenter-crd")
    assert crds["version"] == release(plan, "karpenter")["version"] == versions.KARPENTER_VERSION
    assert not [kind for kind, _ in objects if kind in ("CustomResourceDefinition", "ServiceMonitor")]
    installed = render("karpenter-crd", "karpenter-crd", json.dumps(crds.get("values", {})))
    names = {name for kind, name in installed if kind == "CustomResourceDefinition"}
    assert names >= {
        "ec2nodeclasses.karpenter.k8s.aws",
        "nodeclaims.karpenter.sh",
        "nodeoverlays.karpenter.sh",
        "nodepools.karpenter.sh",
    }


def test_the_chart_installs_the_definitions_that_our_objects_are_checked_against() -> None:
    installed = render("karpenter-crd", "karpenter-crd", "{}")
    checked = [yaml.safe_load(path.read_text()) for path in (karpenter_dir() / "pkg/apis/crds").iterdir()]
    assert len(checked) == len(installed)
    for definition in checked:
        assert installed["CustomResourceDefinition", definition["metadata"]["name"]]["spec"] == definition["spec"]


def test_the_chart_knows_every_value_that_we_set(plan: Recording) -> None:
    """Helm ignores what it does not know: a misspelled value would change nothing and say nothing."""
    defaults = yaml.safe_load((karpenter_dir() / "charts/karpenter/values.yaml").read_text())
    assert unknown(release(plan, "karpenter")["values"], defaults) == []


def test_a_misspelled_value_would_be_found() -> None:
    defaults = {"settings": {"featureGates": {"nodeOverlay": False}}}
    assert unknown({"settings": {"featureGates": {"nodeOverlays": True}}}, defaults) == [
        ("settings", "featureGates", "nodeOverlays")
    ]


def unknown(
    values: Mapping[str, Any], defaults: Mapping[str, Any], path: tuple[str, ...] = ()
) -> list[tuple[str, ...]]:
    """Paths of values that a chart's defaults do not have."""
    found = []
    for key, value in values.items():
        here = (*path, key)
        if key not in defaults:
            found.append(here)
        elif isinstance(value, Mapping) and here not in OPEN:
            found += unknown(value, defaults[key], here)
    return found
