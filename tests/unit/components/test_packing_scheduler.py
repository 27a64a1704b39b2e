"""PackingScheduler: rights, configuration and pods of the second scheduler."""

import pytest
import yaml

import versions
from components.gpu.packing_scheduler import PackingScheduler, PackingSchedulerArgs
from gpu.contract import GPU_RESOURCE
from gpu.scheduler import PACKING_SCHEDULER, packing_profile, slot_resources
from gpu.sharing import Mig, Mps, TimeSlicing
from tests.unit.components.recording import Recording, record


@pytest.fixture
def recording() -> Recording[PackingScheduler]:
    args = PackingSchedulerArgs(kubernetes_version="1.36")
    return record(lambda: PackingScheduler("packing-scheduler", args))


def test_it_fills_nodes_by_whatever_slots_are_called(recording: Recording[PackingScheduler]) -> None:
    written = recording.one("kubernetes:core/v1:ConfigMap").inputs["data"]["scheduler.yaml"]
    (profile,) = yaml.safe_load(written)["profiles"]
    assert profile["schedulerName"] == PACKING_SCHEDULER
    arguments = {plugin["name"]: plugin["args"] for plugin in profile["pluginConfig"]}
    strategy = arguments["NodeResourcesFit"]["scoringStrategy"]
    assert strategy["type"] == "MostAllocated"
    counted = {resource["name"]: resource["weight"] for resource in strategy["resources"]}
    assert counted.keys() == {*slot_resources(), "cpu", "memory"}
    assert {TimeSlicing(2, True).resource_name("al2023"), Mps(2).resource_name("al2023")} <= counted.keys()
    assert Mig("1g.10gb").resource_name("al2023") in counted


def test_it_fills_nodes_whose_memory_is_claimed_by_what_goes_with_the_claims() -> None:
    """As kube-scheduler reckons (v1.36.3 noderesources/most_allocated.go), whose scores are whole numbers."""
    weights: dict[str, int] = {
        each["name"]: each["weight"]
        for each in packing_profile()["pluginConfig"][0]["args"]["scoringStrategy"]["resources"]
    }
    assert all(1 <= weight <= 100 for weight in weights.values())

    def score(**taken: float) -> int:
        """Parts of a node that are taken, with the pod; extended resources that it does not ask for are left out."""
        parts = {
            name.replace("gpu", GPU_RESOURCE): int(100 * part) * weights[name.replace("gpu", GPU_RESOURCE)]
            for name, part in taken.items()
        }
        return sum(parts.values()) // sum(weights[name] for name in parts)

    assert score(cpu=0.6, memory=0.6) > score(cpu=0.5, memory=0.5), "claims alone: the fuller node"
    for slots in (2, 4, 10, 48):
        emptier, fuller = score(gpu=1 / slots, cpu=1, memory=1), score(gpu=2 / slots, cpu=0, memory=0)
        assert fuller >= emptier, "the host never outweighs a slot"


def test_it_may_what_a_scheduler_may_and_holds_a_lease_of_its_own(recording: Recording[PackingScheduler]) -> None:
    bound = {
        r.inputs["roleRef"]["name"]
        for r in recording.of_type("kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding")
    }
    assert bound == {"system:kube-scheduler", "system:volume-scheduler"}
    rules = recording.one("kubernetes:rbac.authorization.k8s.io/v1:Role").inputs["rules"]
    written = recording.one("kubernetes:core/v1:ConfigMap").inputs["data"]["scheduler.yaml"]
    lease = yaml.safe_load(written)["leaderElection"]
    assert [rule.get("resourceNames") for rule in rules] == [None, [lease["resourceName"]]]
    assert rules[0]["verbs"] == ["create"]


def test_its_pods_come_after_their_rights_and_start_anew_with_other_settings(
    recording: Recording[PackingScheduler],
) -> None:
    deployment = recording.one("kubernetes:apps/v1:Deployment")
    spec = deployment.inputs["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert container["image"] == versions.KUBE_SCHEDULER_IMAGES["1.36"]
    assert spec["replicas"] == 2
    assert spec["template"]["metadata"]["annotations"]["gpu-slices/settings"]
    for binding in recording.of_type("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"):
        assert recording.outlives(binding, deployment)
