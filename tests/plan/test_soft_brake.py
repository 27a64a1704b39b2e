"""The soft brake in a whole stack: it asks about the stack's own budget, and its limit is nobody else's."""

from __future__ import annotations

import json
from typing import Any

import yaml

from components.money.soft_brake import LIMIT
from plan.monitor import Resource
from plan.record import Recording
from tests.plan.conftest import ROOT
from tests.plan.variants import varied

VARIANT = "a soft brake, and a pool of reserved capacity"
NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"


def of(plan: Recording, type_: str) -> Resource:
    (found,) = [each for each in plan.of_type(type_) if each.name.startswith("soft-brake")]
    return found


def environment(plan: Recording) -> dict[str, Any]:
    job = of(plan, "kubernetes:batch/v1:CronJob").inputs["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return {each["name"]: each.get("value") for each in job["initContainers"][0]["env"]}


def test_it_asks_about_the_budget_of_the_stack_at_an_alert_that_it_has() -> None:
    plan = varied(VARIANT)
    (budget,) = plan.of_type("aws:budgets/budget:Budget")
    asked = environment(plan)
    assert asked["BUDGET_NAME"] == budget.inputs["name"]
    at = {(each["notificationType"], str(each["threshold"])) for each in budget.inputs["notifications"]}
    assert ("ACTUAL", asked["PERCENT"]) in at
    (statement,) = json.loads(of(plan, "aws:iam/policy:Policy").inputs["policy"])["Statement"]
    assert statement["Resource"].endswith(f":{asked['ACCOUNT_ID']}:budget/{budget.inputs['name']}")


def test_it_knows_every_gpu_pool_and_no_other() -> None:
    plan = varied(VARIANT)
    gpus = {each.inputs["metadata"]["name"] for each in plan.of_type(NODE_POOL) if each.name.startswith("gpu-")}
    (rule,) = of(plan, "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole").inputs["rules"]
    files = of(plan, "kubernetes:core/v1:ConfigMap").inputs["data"]
    for name, text in files.items():
        if name.endswith(".yaml"):
            assert {each["metadata"]["name"] for each in yaml.safe_load_all(text)} == gpus == set(rule["resourceNames"])
    held = {each["metadata"]["name"] for each in yaml.safe_load_all(files["on.yaml"]) if "spec" in each}
    assert held == {"p"}, "reserved capacity is paid whether nodes run or not"


def test_its_limit_is_in_no_pool_that_the_program_makes() -> None:
    """Else both would own the field, and `pulumi up` would end with a conflict."""
    pools = [pool for pool in varied(VARIANT).of_type(NODE_POOL) if pool.name.startswith("gpu-")]
    assert pools
    for pool in pools:
        assert not LIMIT.keys() & pool.inputs["spec"]["limits"].keys()


def test_it_comes_after_the_pools_and_goes_before_them() -> None:
    plan = varied(VARIANT)
    job = of(plan, "kubernetes:batch/v1:CronJob")
    pools = {each.urn for each in plan.of_type(NODE_POOL)}
    assert pools <= set(job.dependencies)


def test_the_page_names_what_the_plan_makes() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    job = of(varied(VARIANT), "kubernetes:batch/v1:CronJob").inputs
    assert f"kubectl -n {job['metadata']['namespace']} create job --from=cronjob/{job['metadata']['name']} " in page
    released = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["initContainers"][0]["env"]
    (reference,) = [each["valueFrom"]["configMapKeyRef"] for each in released if "valueFrom" in each]
    assert f"create configmap {reference['name']} --from-literal={reference['key']}=" in page
