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
        (request("0"), "write a quantity above 0"),
        (request("-6Gi"), "write a quantity above 0"),
        (request("much"), "write a quantity above 0"),
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


def test_a_class_of_one_s_own_is_no_way_round() -> None:
    expression = "device.driver == 'gpu.nvidia.com'"
    selectors = [{"cel": {"expression": expression}}]
    own = recorded(
        "kubernetes:resource.k8s.io/v1:DeviceClass",
        {"metadata": {"name": "fast"}, "spec": {"selectors": selectors}},
        "own",
    )
    given = claim(request(deviceClassName="fast", capacity=None))
    assert judged(gpu_claims_say_memory.RULE, claimed(), own, given)
    assert judged(gpu_claims_say_memory.RULE, claimed(), given) == [], "somebody else's devices"


@pytest.mark.parametrize("node", [node_class(), claimed("disabled"), claimed("4")])
def test_where_memory_is_not_shared_a_claim_is_a_gpu(node: Recorded) -> None:
    assert judged(gpu_claims_say_memory.RULE, node, claim(request(capacity=None))) == []
