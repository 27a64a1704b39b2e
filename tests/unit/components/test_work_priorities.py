"""WorkPriorities: the classes by which work takes others' place or gives way; and what pods of such work are given."""

from __future__ import annotations

from typing import Any

import pytest

from components.gpu.work_priorities import WorkPriorities, WorkPrioritiesArgs
from gpu.importance import placing, priorities
from tests.unit.components import gpu_workloads as workloads
from tests.unit.components import test_ollama_model as models
from tests.unit.components.recording import record

BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"
CRITICAL = placing("critical", ("on-demand",), "acme")
BATCH = placing("batch", ("spot", "on-demand"), "acme")


def test_it_makes_the_classes_that_are_named() -> None:
    args = WorkPrioritiesArgs(classes=priorities(("batch", "critical"), "acme"))
    found = record(lambda: WorkPriorities("work-priorities", args)).of_type(
        "kubernetes:scheduling.k8s.io/v1:PriorityClass"
    )
    told = {each.name: (each.inputs["value"], each.inputs["preemptionPolicy"]) for each in found}
    assert told == {
        "work-priorities-critical": (1_000_000, "PreemptLowerPriority"),
        "work-priorities-batch": (-5, "Never"),
    }
    assert {each.inputs["metadata"]["labels"]["gpu-slices/importance"] for each in found} == {"critical", "batch"}
    # A default of the cluster would be everybody's.
    assert not any("globalDefault" in each.inputs for each in found)


def _template(kind: str, **arguments: Any) -> Any:
    if kind == "model":
        return models.template(**arguments)
    made = workloads.recorded(workloads.workload(**arguments))
    return made.one("kubernetes:apps/v1:Deployment").inputs["spec"]["template"]


@pytest.mark.parametrize("kind", ["model", "workload"])
def test_critical_pods_stay_off_spot_and_where_they_are(kind: str) -> None:
    template = _template(kind, placing=CRITICAL)
    assert template["spec"]["priorityClassName"] == "critical-acme"
    assert template["spec"]["nodeSelector"] == {"gpu-slices/pool": "shared", "karpenter.sh/capacity-type": "on-demand"}
    assert template["metadata"]["labels"]["gpu-slices/importance"] == "critical"
    assert template["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"


@pytest.mark.parametrize("kind", ["model", "workload"])
def test_batch_pods_stay_on_spot_and_may_be_disrupted(kind: str) -> None:
    template = _template(kind, placing=BATCH)
    assert template["spec"]["priorityClassName"] == "batch-acme"
    assert template["spec"]["nodeSelector"]["karpenter.sh/capacity-type"] == "spot"
    assert "karpenter.sh/do-not-disrupt" not in template["metadata"].get("annotations", {})


@pytest.mark.parametrize("kind", ["model", "workload"])
def test_standard_pods_are_what_they_were(kind: str) -> None:
    told = _template(kind, placing=placing("standard", ("spot",), "acme"))
    assert told == _template(kind)
    assert "priorityClassName" not in told["spec"]
    assert "gpu-slices/importance" not in str(told)


def test_of_critical_pods_one_is_drained_at_a_time() -> None:
    made = workloads.recorded(workloads.workload(placing=CRITICAL))
    spec, deployment = made.one(BUDGET).inputs["spec"], made.one("kubernetes:apps/v1:Deployment")
    assert (
        spec["selector"]["matchLabels"].items() <= deployment.inputs["spec"]["template"]["metadata"]["labels"].items()
    )
    assert spec["maxUnavailable"] == 1
    model = models.model(placing=CRITICAL)
    labels = model.one(models.SERVICE).inputs["spec"]["template"]["metadata"]["labels"]
    assert model.one(BUDGET).inputs["spec"]["selector"]["matchLabels"].items() <= labels.items()
    # What ends by itself, and what gives way, has none.
    assert not workloads.recorded(workloads.workload(kind="Job", placing=CRITICAL)).of_type(BUDGET)
    assert not models.model(placing=BATCH).of_type(BUDGET)


def test_two_classes_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="transcribe: has a priority class, and another by its importance"):
        workloads.workload(priority_class="high", placing=BATCH)
