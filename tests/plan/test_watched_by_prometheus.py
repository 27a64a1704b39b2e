"""`monitoring.backend: prometheus` on the whole program: what stands under it, what it changes elsewhere, the twin."""

from __future__ import annotations

import functools
import json
from typing import Any

from config.floor import gives_up
from plan.project import StackFile, find_project, load_stack
from plan.record import Recording, record
from policy.analyzer import judge, read_config
from tests.day import TODAY
from tests.plan.conftest import ROOT, as_judged
from tests.plan.variants import POOL, VARIANTS, varied
from tests.unit.config.support import changed, parsed
from twin.planning import plan_of

RELEASE = "kubernetes:helm.sh/v3:Release"


@functools.cache
def lean() -> Recording:
    """On the lean floor, without a budget and without conversations."""
    project = find_project(ROOT)
    given = {**VARIANTS["prometheus"], "pools": [POOL], "cluster": {"floor": "lean"}}
    dev = load_stack(project, "dev").values
    values = {**dev, **{f"gpu-slices:{key}": json.dumps(value) for key, value in given.items()}}
    for left_out in ("budget", "dialogue"):
        del values[f"gpu-slices:{left_out}"]
    return record(project, StackFile(stack="dev", values=values, secret_keys=(), problems=(), notes=()))


def stack_values(plan: Recording) -> dict[str, Any]:
    (found,) = [each.inputs["values"] for each in plan.of_type(RELEASE) if each.inputs["name"] == "monitoring"]
    return dict(found)


def test_the_pack_has_nothing_against_it() -> None:
    plan = varied("prometheus")
    resources = [as_judged(found, plan.preview_inputs(found)) for found in plan.resources]
    verdicts = judge(resources, read_config(ROOT / "policy" / "config.json"), today=TODAY)
    assert [f"{v.rule}: {v.resource}: {v.message}" for v in verdicts if "monitoring" in v.resource] == []


def test_the_driver_of_its_volume_is_there_before_and_runs_on_system_nodes() -> None:
    plan = varied("prometheus")
    (stack,) = [each for each in plan.of_type(RELEASE) if each.inputs["name"] == "monitoring"]
    (driver,) = [e for e in plan.of_type("aws:eks/addon:Addon") if e.inputs["addonName"] == "aws-ebs-csi-driver"]
    assert driver.urn in after(plan, stack.urn)
    node = json.loads(driver.inputs["configurationValues"])["node"]
    assert node["tolerations"] == [{"key": "CriticalAddonsOnly", "operator": "Exists"}]
    (kind,) = plan.of_type("kubernetes:storage.k8s.io/v1:StorageClass")
    claim = stack.inputs["values"]["prometheus"]["prometheusSpec"]["storageSpec"]["volumeClaimTemplate"]["spec"]
    assert claim["storageClassName"] == kind.inputs["metadata"]["name"]
    assert kind.inputs["parameters"]["encrypted"] == "true"


def after(plan: Recording, urn: str) -> set[str]:
    """All that a resource depends on, in any number of steps, also by its parents."""
    found: set[str] = set()
    waiting = [urn]
    while waiting:
        resource = plan.by_urn.get(waiting.pop())
        for each in (*resource.dependencies, resource.parent) if resource else ():
            if each and each not in found:
                found.add(each)
                waiting.append(each)
    return found


def test_knative_and_the_dialogue_let_it_ask() -> None:
    plan = varied("prometheus")
    (serving,) = [each for each in plan.resources if each.type.endswith(":KnativeServing") and "operator" in each.type]
    assert serving.inputs["spec"]["config"]["observability"] == {"metrics-protocol": "prometheus"}
    policies = {each.inputs["metadata"]["name"]: each.inputs["spec"] for each in plan.of_type(POLICY)}
    asked = {"namespaceSelector": {"matchLabels": {"gpu-slices/metrics-client": "true"}}}
    assert {"from": [asked], "ports": [{"protocol": "TCP", "port": 9090}]} in policies["activator"]["ingress"]
    (dialogue,) = [each for each in plan.of_type(POLICY) if each.inputs["metadata"]["namespace"] == "dialogue"]
    assert any(rule["from"] == [asked] for rule in dialogue.inputs["spec"]["ingress"])
    without = varied("everything")
    (serving,) = [
        each for each in without.resources if each.type.endswith(":KnativeServing") and "operator" in each.type
    ]
    assert "observability" not in serving.inputs["spec"]["config"]


POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"


def test_without_a_budget_there_is_a_topic_all_the_same() -> None:
    (topic,) = lean().of_type("aws:sns/topic:Topic")
    statements = json.loads(topic.inputs["policy"])["Statement"]
    assert {each["Effect"] for each in statements} == {"Deny"}, "roles of the account publish by their own policies"
    (rules,) = [each for each in lean().resources if each.type.endswith(":PrometheusRule")]
    names = {rule["alert"] for rule in rules.inputs["spec"]["groups"][1]["rules"]}
    assert "GpuUsdPerHour" not in names


def test_the_lean_floor_keeps_no_history_and_says_so() -> None:
    spec = stack_values(lean())["prometheus"]["prometheusSpec"]
    assert spec["storageSpec"] == {"emptyDir": {"sizeLimit": "4Gi"}}
    assert not lean().of_type("kubernetes:storage.k8s.io/v1:StorageClass")
    assert not [each for each in lean().of_type("aws:eks/addon:Addon") if "ebs" in each.inputs["addonName"]]
    watched = {"cluster.floor": "lean", "monitoring": {"backend": "prometheus"}}
    assert any("history of Prometheus" in each for each in gives_up(parsed(changed(watched))))
    kept = parsed(changed({**watched, "monitoring": {"backend": "prometheus", "volumeGib": 5}}))
    assert kept.monitoring.volume_gib == 5
    assert not any("history of Prometheus" in each for each in gives_up(kept))


def test_two_system_nodes_are_enough_without_a_volume() -> None:
    kept = parsed(changed({"monitoring": {"backend": "prometheus", "volumeGib": 0}}))
    assert kept.cluster.system_nodes.desired == 2
    assert kept.models


def test_the_twin_plays_none_of_it() -> None:
    plan = varied("prometheus")
    kinds = {each.manifest["apiVersion"] for each in plan_of(plan).planned if each.manifest}
    assert not [each for each in kinds if each.startswith("monitoring.coreos.com")]
    recorded = {each.type for each in plan.resources}
    assert [each for each in recorded if each.startswith("kubernetes:monitoring.coreos.com")]
