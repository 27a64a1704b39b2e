"""A claim without a size takes a whole GPU."""

from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules import gpu_claims_say_memory
from tests.policy.claims import CLAIM, TEMPLATE, claim, claimed, request
from tests.policy.platform import node_class
from tests.policy.support import UNKNOWN, judged, recorded


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (request(capacity=None), "takes a whole GPU"),
        (request(capacity={}), "takes a whole GPU"),
        (request(capacity={"requests": {"shares": "1"}}), "takes a whole GPU"),
        (request("0"), "write a quantity of 1Mi or more"),
        (request("-6Gi"), "write a quantity of 1Mi or more"),
        (request("much"), "write a quantity of 1Mi or more"),
        (request(6), "memory 6: write a quantity of 1Mi or more"),
        (request("6000"), "memory 6000: write a quantity of 1Mi or more"),
        (request(capacity=None, adminAccess=False), "takes a whole GPU"),
        (request(adminAccess=UNKNOWN), "adminAccess must be a literal"),
        (request(UNKNOWN), "must be a literal"),
        (request(capacity=UNKNOWN), "must be a literal"),
        (request(deviceClassName=UNKNOWN), "deviceClassName must be a literal"),
        (request(allocationMode="All"), "takes every GPU of a node"),
        ({"name": "gpu", "deviceClassName": "gpu.nvidia.com"}, "takes a whole GPU"),
        (
            {"name": "gpu", "firstAvailable": [request()["exactly"], {"deviceClassName": "gpu.nvidia.com"}]},
            "Available[1]",
        ),
    ],
)
@pytest.mark.parametrize("type_", [TEMPLATE, CLAIM])
def test_a_claim_without_a_size_is_found(given: dict[str, Any], said: str, type_: str) -> None:
    (verdict,) = judged(gpu_claims_say_memory.RULE, claimed(), claim(given, type_=type_))
    assert said in verdict.message
    assert judged(gpu_claims_say_memory.RULE, claimed(), claim(request(), type_=type_)) == []


def _class(*expressions: str) -> Recorded:
    selectors = [{"cel": {"expression": expression}} for expression in expressions]
    given = {"metadata": {"name": "fast"}, "spec": {"selectors": selectors}}
    return recorded("kubernetes:resource.k8s.io/v1:DeviceClass", given, "own")


_TYPE = "device.attributes['gpu.nvidia.com'].type"


@pytest.mark.parametrize(
    "expressions",
    [
        ("device.driver == 'gpu.nvidia.com'",),
        (f'device.driver == "gpu.nvidia.com" && {_TYPE} == "gpu"',),
        ("device.driver.startsWith('gpu.nvidia')",),
        ("device.driver.endsWith('nvidia.com')", "true"),
        ("device.allowMultipleAllocations",),
        (),
    ],
)
def test_a_class_of_one_s_own_is_no_way_round(expressions: tuple[str, ...]) -> None:
    given = claim(request(deviceClassName="fast", capacity=None))
    assert judged(gpu_claims_say_memory.RULE, claimed(), _class(*expressions), given)
    assert judged(gpu_claims_say_memory.RULE, claimed(), given) == [], "somebody else's devices"


@pytest.mark.parametrize(
    "expressions",
    [
        ("device.driver == 'dra.net'",),
        ("device.driver == 'compute-domain.nvidia.com'",),
        ("true", 'device.attributes["dra.net"].rdma == true'),
        (f"device.driver == 'gpu.nvidia.com' && {_TYPE} == 'mig'",),
        ("device.driver == 'gpu.nvidia.com'", f"{_TYPE} == 'vfio'"),
    ],
)
def test_a_class_of_other_devices_needs_no_size(expressions: tuple[str, ...]) -> None:
    """NVIDIA's own classes for MIG, passthrough and compute domains, and dranet's."""
    given = claim(request(deviceClassName="fast", capacity=None))
    assert judged(gpu_claims_say_memory.RULE, claimed(), _class(*expressions), given) == []


@pytest.mark.parametrize("mode", ["All", "ExactCount"])
def test_who_looks_after_gpus_takes_none(mode: str) -> None:
    """Kubernetes' own example of admin access, `allocationMode: All` and no size."""
    given = claim(request(capacity=None, adminAccess=True, allocationMode=mode))
    assert judged(gpu_claims_say_memory.RULE, claimed(), given) == []


_BY_CLASS = "deviceclass.resource.kubernetes.io/"


@pytest.mark.parametrize("kind", ["requests", "limits"])
@pytest.mark.parametrize("place", ["containers", "initContainers"])
def test_the_resource_of_a_device_class_is_no_way_round(kind: str, place: str) -> None:
    def pods(resource: str, quantity: Any = "1") -> Recorded:
        container = {"name": "app", "resources": {kind: {resource: quantity}}}
        spec = {"template": {"spec": {place: [container]}}}
        return recorded("kubernetes:apps/v1:Deployment", {"metadata": {"name": "a"}, "spec": spec}, "a")

    (verdict,) = judged(gpu_claims_say_memory.RULE, claimed(), pods(f"{_BY_CLASS}gpu.nvidia.com"))
    assert "container app requests" in verdict.message
    assert "takes a whole GPU" in verdict.message
    assert judged(gpu_claims_say_memory.RULE, claimed(), pods(f"{_BY_CLASS}gpu.nvidia.com", UNKNOWN))
    # Of another driver's class, none of it, and where GPUs are not shared.
    assert judged(gpu_claims_say_memory.RULE, claimed(), pods(f"{_BY_CLASS}dra.net")) == []
    assert judged(gpu_claims_say_memory.RULE, claimed(), pods(f"{_BY_CLASS}gpu.nvidia.com", "0")) == []
    assert judged(gpu_claims_say_memory.RULE, claimed(), pods("nvidia.com/gpu")) == []
    assert judged(gpu_claims_say_memory.RULE, node_class(), pods(f"{_BY_CLASS}gpu.nvidia.com")) == []


@pytest.mark.parametrize("kind", ["DeviceClass", "DeviceClassPatch"])
def test_nor_is_a_name_that_somebody_gives_the_class(kind: str) -> None:
    def called(name: str, of: str = "gpu.nvidia.com") -> Recorded:
        given = {"metadata": {"name": of}, "spec": {"extendedResourceName": name}}
        return recorded(f"kubernetes:resource.k8s.io/v1:{kind}", given, "class")

    def pod(resource: str) -> Recorded:
        spec = {"containers": [{"name": "app", "resources": {"limits": {resource: "1"}}}]}
        return recorded("kubernetes:core/v1:Pod", {"metadata": {"name": "a"}, "spec": spec}, "a")

    rule, name = gpu_claims_say_memory.RULE, "example.com/gpu"
    (verdict,) = judged(rule, claimed(), called(name), pod(name))
    assert "container app requests example.com/gpu" in verdict.message
    assert judged(rule, claimed(), pod(name)) == []
    assert judged(rule, claimed(), called("nvidia.com/gpu"), pod("nvidia.com/gpu")) == [], "a slot, where there is one"
    if kind == "DeviceClassPatch":
        assert judged(rule, claimed(), called(name, of="dra.net"), pod(name)) == []


@pytest.mark.parametrize("node", [node_class(), claimed("disabled"), claimed("4")])
def test_where_memory_is_not_shared_a_claim_is_a_gpu(node: Recorded) -> None:
    assert judged(gpu_claims_say_memory.RULE, node, claim(request(capacity=None))) == []
