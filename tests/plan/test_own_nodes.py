"""Pools as people have them: labels, taints, node classes of their own, a fallback, and reserved capacity."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

import versions
from cli.render import _purchase
from plan.figures import Figures, figures
from plan.make import stack_config
from plan.project import StackFile, find_project
from plan.record import Recording, record
from policy.analyzer import judge
from tests.day import TODAY
from tests.plan.conftest import ROOT, as_judged, changed_stack
from tests.plan.test_destroy_order import NODE_CLASS, NODE_POOL
from twin.playable import playable

WHY = {"justification": "GPU-142: must answer during Spot shortages", "expires": "2027-03-31"}
SHARING = {"strategy": "time-slicing", "replicas": 3}
OWN = {
    "amiIds": ["ami-0123456789abcdef0"],
    "userData": "#!/bin/bash\necho mine\n",
    "instanceProfile": "gpu-nodes",
    "volumes": [{"deviceName": "/dev/xvdc", "sizeGib": 200, "throughputMibps": 250}],
}
POOLS = [
    {
        "name": "shared",
        "instanceFamilies": ["g6", "g5"],
        "gpusPerNode": [1],
        "maxGpus": 4,
        "sharing": SHARING,
        "labels": {"team": "ml"},
        "taints": [{"key": "team", "value": "ml", "effect": "NoSchedule"}, {"key": "gpu", "effect": "NoExecute"}],
        "expireAfter": "Never",
        "terminationGracePeriod": "20m",
        "fallback": "on-demand",
        "onDemand": WHY,
        "nodeClass": OWN,
    },
    {
        "name": "held",
        "instanceTypes": ["g6.xlarge"],
        "maxGpus": 2,
        "sharing": SHARING,
        "capacityType": "reserved",
        "capacityReservationSelectorTerms": [
            {"id": "cr-0123456789abcdef0"},
            {"tags": {"team": "ml"}, "ownerID": "111122223333"},
        ],
        "onDemand": WHY,
    },
]
KARPENTER = {"chartVersion": "1.9.0", "nodeRole": "nodes", "controllerRole": "buyer", "featureGates": ["nodeOverlay"]}


def stack_file() -> StackFile:
    own = {
        "cluster": {"existing": "prod"},
        "network": {},
        "karpenter": {"existing": KARPENTER},
        "pools": POOLS,
        "budget": {"monthlyUsd": 9000, "emails": ["platform@example.com"]},
        "workloads": [
            {
                "name": "batch",
                "pool": "shared",
                "containers": [{"name": "app", "image": "ghcr.io/acme/app:1.2.3", "slots": 1}],
            }
        ],
    }
    return changed_stack(own)


@cache
def recorded() -> Recording:
    return record(find_project(ROOT), stack_file())


@cache
def reckoned() -> Figures:
    return figures(stack_config(stack_file()))


def spec(kind: str, name: str) -> Mapping[str, Any]:
    (found,) = [each for each in recorded().of_type(kind) if each.inputs["metadata"]["name"] == name]
    return dict(found.inputs["spec"])


def test_nodes_have_labels_taints_and_lives_of_their_own_beside_ours() -> None:
    template = spec(NODE_POOL, "shared")["template"]
    assert template["metadata"]["labels"]["team"] == "ml"
    assert template["metadata"]["labels"]["gpu-slices/pool"] == "shared"
    assert template["spec"]["taints"] == [
        {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"},
        {"key": "team", "value": "ml", "effect": "NoSchedule"},
        {"key": "gpu", "effect": "NoExecute"},
    ]
    assert (template["spec"]["expireAfter"], template["spec"]["terminationGracePeriod"]) == ("Never", "20m")


def test_every_pod_of_the_stack_for_the_pool_tolerates_its_taints() -> None:
    wanted = {"key": "team", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}
    also = {"key": "gpu", "operator": "Exists", "effect": "NoExecute"}
    found = [text for text in _tolerations(recorded()) if {"nvidia.com/gpu"} & {each["key"] for each in text}]
    here = [each for each in found if wanted in each and also in each]
    # Three models, their cache, the workload, the example and the plugin; the other pool's plugin has no more.
    assert (len(here), len(found) - len(here)) == (7, 1)


def _tolerations(plan: Recording) -> list[list[dict[str, str]]]:
    found: list[list[dict[str, str]]] = []

    def walk(value: Any) -> None:
        if isinstance(value, Mapping):
            if isinstance(value.get("tolerations"), list):
                found.append(value["tolerations"])
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    for resource in plan.resources:
        if resource.custom and resource.type.startswith("kubernetes:") and "NodePool" not in resource.type:
            walk(resource.inputs)
    return found


def test_the_node_class_has_what_the_file_says() -> None:
    found = spec(NODE_CLASS, "shared")
    assert found["amiSelectorTerms"] == [{"id": "ami-0123456789abcdef0"}]
    assert found["amiFamily"] == "AL2023"
    assert found["instanceProfile"] == "gpu-nodes"
    assert "role" not in found
    assert "echo mine" in found["userData"]
    devices = {each["deviceName"]: each["ebs"] for each in found["blockDeviceMappings"]}
    assert set(devices) == {"/dev/xvda", "/dev/xvdc"}
    assert devices["/dev/xvdc"]["encrypted"] is True
    assert devices["/dev/xvdc"]["volumeSize"] == "200Gi"
    assert found["metadataOptions"]["httpTokens"] == "required"


def test_a_reserved_pool_launches_into_its_reservations_and_nothing_else() -> None:
    found = spec(NODE_CLASS, "held")
    assert found["capacityReservationSelectorTerms"] == [
        {"id": "cr-0123456789abcdef0"},
        {"tags": {"team": "ml"}, "ownerID": "111122223333"},
    ]
    assert capacity("held") == ["reserved"]
    # A capacity block that the tags select too would end below critical work.
    assert capacity("held", "karpenter.k8s.aws/capacity-reservation-type") == ["default"]
    assert capacity("shared") == ["spot", "on-demand"]


def capacity(pool: str, label: str = "karpenter.sh/capacity-type") -> list[str]:
    requirements = spec(NODE_POOL, pool)["template"]["spec"]["requirements"]
    (values,) = [each["values"] for each in requirements if each["key"] == label]
    return list(values)


def judged(spoil: str | None = None) -> list[Any]:
    """Mandatory verdicts; spoil: a pool whose reason is taken away."""
    resources = []
    for found in recorded().resources:
        inputs = copy.deepcopy(recorded().preview_inputs(found))
        if spoil and found.type == NODE_POOL and inputs["metadata"]["name"] == spoil:
            inputs["metadata"]["annotations"].pop("gpu-slices/on-demand-justification")
        resources.append(as_judged(found, inputs))
    return [verdict for verdict in judge(resources) if verdict.mandatory]


def test_the_pack_finds_nothing() -> None:
    assert judged() == []


@pytest.mark.parametrize(
    ("pool", "words"),
    [("shared", "admits on-demand"), ("held", "as capacity that is paid ahead, neither Spot nor on demand")],
)
def test_the_pack_demands_the_reason(pool: str, words: str) -> None:
    (verdict,) = judged(pool)
    assert verdict.rule == "gpu-on-demand-needs-justification"
    assert words in verdict.message


def test_what_is_reserved_is_paid_whether_it_is_used_or_not() -> None:
    lines = {line.name: line for line in reckoned().bill.lines}
    held = lines["Reserved capacity, held"]
    price = reckoned().config.prices.on_demand["g6.xlarge"]
    assert held.part == "always"
    assert held.usd is not None
    assert held.usd.low == held.usd.expected == held.usd.high == pytest.approx(2 * price * 730)
    assert "paid whether nodes run or not" in held.detail
    assert "GPU nodes, held" not in lines


def test_a_fallback_may_cost_as_much_as_on_demand() -> None:
    config, pool = reckoned().config, reckoned().config.gpu_pools["shared"]
    assert pool.price is not None
    (line,) = [each for each in reckoned().bill.lines if each.name == "GPU nodes, shared" and each.part == "on demand"]
    assert "Spot estimate, else on-demand" in line.detail
    dearest = max(config.prices.on_demand[each.name] for each in pool.types)
    volume = 0.08 * (100 + 200) + 0.04 * (125 + 125)
    held = 2 * config.prices.on_demand["g6.xlarge"]
    assert reckoned().bill.ceiling == pytest.approx(
        730 * (4 * dearest + held) + 4 * volume + 2 * (0.08 * 100 + 0.04 * 125), rel=0.02
    )


def test_the_day_of_these_tests_is_before_the_reason_expires() -> None:
    assert TODAY.isoformat() < str(WHY["expires"])


def test_the_twin_plays_what_aws_alone_has_by_what_it_has() -> None:
    images: dict[str, Any] = {"spec": spec(NODE_CLASS, "shared"), "kind": "EC2NodeClass"}
    played = playable(images, "prod", "nodes")["spec"]
    assert played["amiSelectorTerms"] == [{"alias": versions.AMI_ALIASES["al2023"]}]
    assert (played["role"], "instanceProfile" in played, "amiFamily" in played) == ("nodes", False, False)
    assert played["userData"] == images["spec"]["userData"]
    assert (
        "capacityReservationSelectorTerms"
        not in playable({"spec": spec(NODE_CLASS, "held"), "kind": "EC2NodeClass"}, "prod", "nodes")["spec"]
    )
    pool = playable({"spec": spec(NODE_POOL, "held"), "kind": "NodePool"}, "prod", "nodes")["spec"]
    requirements = {each["key"]: each["values"] for each in pool["template"]["spec"]["requirements"]}
    assert requirements["karpenter.sh/capacity-type"] == ["on-demand"]
    wrong = {"kind": "EC2NodeClass", "spec": {**images["spec"], "amiSelectorTerms": [{"alias": "al2023@never"}]}}
    assert playable(wrong, "prod", "nodes")["spec"]["amiSelectorTerms"] == [{"alias": "al2023@never"}]


def test_the_plan_says_how_each_pool_gets_its_nodes() -> None:
    shared, held = (reckoned().config.gpu_pools[name] for name in ("shared", "held"))
    assert [_purchase(pool) for pool in (shared, held)] == ["spot, else on-demand", "reserved"]
    assert held.as_output()["capacityType"] == "reserved"
    compared = reckoned().comparison
    assert compared is not None
    assert {consumer.pool.name for consumer in compared.work} == {"shared"}
