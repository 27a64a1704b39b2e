"""No value anywhere in a GPU platform breaks a rule about GPUs and models: an exception would stop an update."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from policy.analyzer import UNKNOWN, Recorded, judge
from policy.framework import ResourceRule, StackRule, matches
from policy.pack import RULES
from policy.reading import number
from tests.day import TODAY
from tests.policy.platform import GPU, container, deployment, platform
from tests.policy.support import recorded

GPU_RULES = tuple(rule for rule in RULES if rule.name.partition("-")[0] in {"gpu", "ollama"})
JUNK: tuple[Any, ...] = (
    *(None, True, "", "inf", "-4", "9" * 5000, 1e300, float("nan"), [None], {}, [{"x": 1}], UNKNOWN),
)
_ENV = {
    "NVIDIA_VISIBLE_DEVICES": "void",
    "OLLAMA_CONTEXT_LENGTH": "4096",
    "OLLAMA_NUM_PARALLEL": "1",
    "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": "0=3G",
    "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "10",
}
_SERVER = container(
    image="ollama/ollama:0.30.0",
    env=[{"name": name, "value": value} for name, value in _ENV.items()],
    volumeMounts=[{"name": "data", "mountPath": "/data"}],
    envFrom=[{"prefix": "APP_", "configMapRef": {"name": "settings"}}],
)
_OVERRIDES = {
    "overrides": [
        {"instanceType": "g5.xlarge", "weightedCapacity": "1"},
        {"instanceRequirements": {"acceleratorCount": {"min": 1, "max": 2}}},
    ]
}
_JUSTIFIED = {
    "gpu-slices/on-demand-justification": "PLAT-1: it runs all night",
    "gpu-slices/on-demand-expires": "2027-01-01",
}
STACK: tuple[Recorded, ...] = (
    *platform("mps", 4),
    deployment(
        _SERVER, metadata={"annotations": {"gpu-slices/model": "mistral:7b", "gpu-slices/model-memory-mib": "100"}}
    ),
    recorded("kubernetes:karpenter.sh/v1:NodePoolPatch", {"spec": {"limits": {GPU: "4"}, "replicas": 1}}, "patch"),
    recorded(
        "aws:eks/nodeGroup:NodeGroup",
        {"instanceTypes": ["g5.xlarge"], "scalingConfig": {"maxSize": 2}, "capacityType": "SPOT", "tags": _JUSTIFIED},
        "nodes",
    ),
    recorded(
        "aws:autoscaling/group:Group",
        {
            "maxSize": 2,
            "mixedInstancesPolicy": {
                "launchTemplate": _OVERRIDES,
                "instancesDistribution": {"onDemandBaseCapacity": 0, "onDemandPercentageAboveBaseCapacity": 0},
            },
        },
        "group",
    ),
    recorded(
        "aws:ec2/fleet:Fleet",
        {
            "launchTemplateConfigs": [_OVERRIDES],
            "targetCapacitySpecification": {"totalTargetCapacity": 2, "onDemandTargetCapacity": 0},
        },
        "fleet",
    ),
    recorded(
        "aws:ec2/spotFleetRequest:SpotFleetRequest",
        {"targetCapacity": 2, "launchSpecifications": [{"instanceType": "g5.xlarge", "weightedCapacity": "2"}]},
        "spot",
    ),
    recorded("eks:index:Cluster", {"instanceType": "g5.xlarge", "maxSize": 2, "fargate": False}, "cluster"),
    recorded("aws:ec2/launchTemplate:LaunchTemplate", {"instanceType": "g5.xlarge"}, "template"),
    recorded(
        "kubernetes:core/v1:Service",
        {
            "metadata": {"namespace": "models"},
            "spec": {"type": "ClusterIP", "selector": {"app": "x"}, "ports": [{"port": 80}]},
        },
        "front",
    ),
)


def bent(value: Any) -> Iterator[Any]:
    """`value` with one part replaced by junk, for every part and every junk."""
    yield from JUNK
    if isinstance(value, dict):
        yield from ({**value, key: other} for key, item in value.items() for other in bent(item))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from ([*value[:index], other, *value[index + 1 :]] for other in bent(item))


def test_no_shape_of_one_resource_breaks_a_rule() -> None:
    tried = 0
    for found in STACK:
        rules = tuple(rule for rule in GPU_RULES if isinstance(rule, ResourceRule) and matches(rule.types, found.type))
        for inputs in bent(dict(found.inputs)):
            if isinstance(inputs, dict):
                judge([replace(found, inputs=inputs)], today=TODAY, rules=rules)
                tried += 1
    assert tried > 2000


def test_no_shape_of_a_stack_breaks_a_rule() -> None:
    """Bends one part of each resource at once, chosen by a seed."""
    rules = tuple(rule for rule in GPU_RULES if isinstance(rule, StackRule))
    chance = random.Random(0)
    shapes = [[shape for shape in bent(dict(found.inputs)) if isinstance(shape, dict)] for found in STACK]
    for _ in range(40):
        some = [chance.random() < 0.5 for _ in STACK]  # the others stay, so that what is bent is looked at
        stack = [
            replace(found, inputs=chance.choice(bends)) if bend else found
            for found, bends, bend in zip(STACK, shapes, some, strict=True)
        ]
        judge(stack, today=TODAY, rules=rules)


def test_no_number_in_a_stack_breaks_a_rule() -> None:
    """Every part of the stack that is a number, as each number that is none."""
    rules = tuple(rule for rule in GPU_RULES if isinstance(rule, StackRule))
    for junk in (value for value in JUNK if isinstance(value, str | float) and value not in {"", "x", UNKNOWN}):
        judge([replace(found, inputs=_numbers(found.inputs, junk)) for found in STACK], today=TODAY, rules=rules)


def _numbers(value: Any, junk: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(item, junk) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item, junk) for item in value]
    return junk if number(value) is not None else value
