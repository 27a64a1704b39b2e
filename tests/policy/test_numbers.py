"""Numbers are read as Kubernetes, Karpenter and AWS read them; what is none breaks no rule and never passes."""

from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import PolicyConfigError, Recorded, judge
from policy.framework import Rule
from policy.reading import number, quantity, text, whole
from policy.rules import (
    gpu_ceiling,
    k8s_pod_security,
    k8s_resource_limits,
    logs_retention,
    node_imdsv2,
    ollama_fits_slot,
    ollama_settings,
    on_demand_gpu,
    one_slot_per_pod,
    pool_gpu_limit,
    sharing_config_valid,
    sharing_consistency,
    vpc_no_open_ssh,
)
from tests.policy.platform import GPU, config, container, deployment, overlay, platform, plugin, pool, section
from tests.policy.support import judged, recorded

NONE: tuple[Any, ...] = (
    *("inf", "-Infinity", "nan", "1_6", "0x10", " 4", "4 ", "four", "٤", "9" * 5000, "1e", "--1", "+", ".", "4,5"),
    *(float("inf"), float("nan"), 10**5000, True, False, None, {}, [], [4], {"x": 4}),
)


@pytest.mark.parametrize("value", NONE, ids=lambda value: text(value)[:12] or repr(value))
def test_no_reader_takes_it_for_a_number(value: Any) -> None:
    assert (number(value), whole(value), quantity(value)) == (None, None, None)


@pytest.mark.parametrize(
    ("value", "as_number", "as_whole", "as_quantity"),
    [
        (4.0, 4, 4, 4),
        ("-490", -490, -490, -490),
        ("4.5", 4.5, None, 4.5),
        ("1e3", 1000, None, 1000),
        ("500m", None, None, 0.5),
        ("2Ki", None, None, 2048),
        ("3k", None, None, 3000),
        ("1e400", None, None, float(2**63 - 1)),  # Kubernetes cuts it
    ],
)
def test_each_reader_takes_what_its_system_takes(
    value: Any, as_number: float | None, as_whole: int | None, as_quantity: float | None
) -> None:
    assert (number(value), whole(value), quantity(value)) == (as_number, as_whole, as_quantity)


def server(**env: Any) -> Recorded:
    given = {"OLLAMA_CONTEXT_LENGTH": "4096", "OLLAMA_KEEP_ALIVE": "-1", **env}
    variables = [{"name": name, "value": value} for name, value in given.items()]
    marks = {"annotations": {"gpu-slices/model": "llama3.2:1b"}}
    return deployment(container(image="ollama/ollama:0.30.0", env=variables), metadata=marks)


def group(size: Any) -> Recorded:
    given = {"instanceTypes": ["g5.xlarge"], "scalingConfig": {"maxSize": size}}
    return recorded("aws:eks/nodeGroup:NodeGroup", given)


def with_pod(**changes: Any) -> Recorded:
    secure: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "capabilities": {"drop": ["ALL"]},
    }
    return deployment({"name": "main", "image": "app:1", "securityContext": secure, **changes})


def static(replicas: Any) -> Recorded:
    inputs = pool(limits={}).inputs
    return recorded(pool().type, {**inputs, "spec": {**inputs["spec"], "replicas": replicas}})


def memory(value: Any) -> Recorded:
    annotations = {"gpu-slices/model-memory-mib": value}
    return deployment(container(image="ollama/ollama:0.30.0"), metadata={"annotations": annotations})


def needs(value: Any) -> Recorded:
    limits = {"cpu": "1", "memory": value}
    return with_pod(resources={"requests": {"cpu": "1", "memory": "1Gi"}, "limits": limits})


def spot_fleet(value: Any) -> Recorded:
    inputs = {
        "launchTemplateConfigs": [{"overrides": [{"instanceType": "g5.xlarge"}]}],
        "targetCapacitySpecification": {"defaultTargetCapacityType": "spot", "onDemandTargetCapacity": value},
    }
    return recorded("aws:ec2/fleet:Fleet", inputs)


def ssh(value: Any) -> Recorded:
    rule = {"protocol": "tcp", "fromPort": value, "toPort": 65535, "cidrBlocks": ["0.0.0.0/0"]}
    return recorded("aws:ec2/securityGroup:SecurityGroup", {"ingress": [rule]})


def hops(value: Any) -> Recorded:
    options = {"httpTokens": "required", "httpPutResponseHopLimit": value}
    return recorded("aws:ec2/launchTemplate:LaunchTemplate", {"metadataOptions": options})


#: Rules that decide by a number: a stack with a number in it that is fine, and the place of it.
PLACES: dict[str, tuple[Rule, Any, list[Recorded], Any]] = {
    "limit of a pool": (pool_gpu_limit.RULE, lambda value: pool(limits={GPU: value}), [], "4"),
    "limit for the ceiling": (gpu_ceiling.RULE, lambda value: pool(limits={GPU: value}), [], "4"),
    "size of a group": (gpu_ceiling.RULE, group, [], 4),
    "nodes of a static pool": (gpu_ceiling.RULE, static, [], 4),
    "slot": (one_slot_per_pod.RULE, lambda value: deployment(container(value)), platform(), "1"),
    "overlay": (sharing_consistency.RULE, lambda value: overlay({GPU: value}), [*platform()[:2], platform()[3]], "4"),
    "replicas": (sharing_config_valid.RULE, lambda value: plugin(gpu=config(mps=section(value))), [], 4),
    "context": (ollama_settings.RULE, lambda value: server(OLLAMA_CONTEXT_LENGTH=value), [], "4096"),
    "context in a slot": (ollama_fits_slot.RULE, lambda value: server(OLLAMA_CONTEXT_LENGTH=value), platform(), "4096"),
    "parallel": (ollama_fits_slot.RULE, lambda value: server(OLLAMA_NUM_PARALLEL=value), platform(), "1"),
    "stated memory": (ollama_fits_slot.RULE, memory, platform(), "1000"),
    "memory limit": (k8s_resource_limits.RULE, needs, [], "1Gi"),
    "user": (
        k8s_pod_security.RULE,
        lambda value: deployment(
            *with_pod().inputs["spec"]["template"]["spec"]["containers"], spec={"securityContext": {"runAsUser": value}}
        ),
        [],
        1000,
    ),
    "host port": (k8s_pod_security.RULE, lambda value: with_pod(ports=[{"hostPort": value}]), [], 0),
    "on demand in a fleet": (on_demand_gpu.RULE, spot_fleet, [], 0),
    "port": (vpc_no_open_ssh.RULE, ssh, [], 4000),
    "hops": (node_imdsv2.RULE, hops, [], 1),
    "days of logs": (
        logs_retention.RULE,
        lambda value: recorded("aws:cloudwatch/logGroup:LogGroup", {"retentionInDays": value}),
        [],
        400,
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", ["inf", "nan", "1_6", float("inf"), float("nan"), "many", "9" * 5000, "-4"])
def test_what_is_no_number_is_said(place: str, value: Any) -> None:
    rule, build, others, fine = PLACES[place]
    assert judged(rule, *others, build(fine)) == []
    silent = value == "-4" and place in {"limit for the ceiling", "size of a group", "nodes of a static pool"}
    assert bool(judged(rule, *others, build(value))) is not silent


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 1e400, 10**400, True, "8"])
def test_a_ceiling_is_a_number_of_gpus(value: Any) -> None:
    for options in ({"maxGpus": value}, {"stackCeilings": {"dev": value}}):
        with pytest.raises(PolicyConfigError, match="gpu-ceiling-per-stack"):
            judge([], {"gpu-ceiling-per-stack": options})
