"""Every Karpenter object of every stack against Karpenter's own resource definitions, unknown fields included.

The definitions come from the sources of the pinned version. Their schemas are checked here; their CEL rules
(`x-kubernetes-validations`) need a real API server and are not.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jsonschema
import pytest
import yaml

import versions
from components.gpu.gpu_pool import overlay_spec
from components.karpenter.node_class import ClusterNodes, NodeClassArgs, Volume, node_class_spec
from plan.record import Recording
from tests.gotools import karpenter_dir
from tests.plan.conftest import STACKS
from tests.plan.variants import varied

pytestmark = pytest.mark.go

APIS = {
    "CapacityBuffer": versions.CAPACITY_BUFFER_API,
    "EC2NodeClass": versions.EC2_NODE_CLASS_API,
    "NodeOverlay": versions.NODE_OVERLAY_API,
    "NodePool": versions.NODE_POOL_API,
}


@functools.cache
def schemas() -> Mapping[tuple[str, str], dict[str, Any]]:
    """Strict JSON schemas by API version and kind."""
    found = {}
    for path in sorted((karpenter_dir() / "pkg/apis/crds").glob("*.yaml")):
        definition = yaml.safe_load(path.read_text())["spec"]
        for version in definition["versions"]:
            api = f"{definition['group']}/{version['name']}"
            found[api, definition["names"]["kind"]] = strict(version["schema"]["openAPIV3Schema"])
    return found


def strict(schema: Any) -> Any:
    """The schema with unknown fields forbidden wherever the API server would drop them without a word."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    open_ = {"additionalProperties", "x-kubernetes-preserve-unknown-fields"} & set(schema)
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not open_:
        closed["additionalProperties"] = False
    return closed


def problems(resource: Mapping[str, Any]) -> list[str]:
    """What the definition of its kind finds wrong with an object."""
    validator = jsonschema.Draft202012Validator(schemas()[resource["apiVersion"], resource["kind"]])
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(resource)]


def karpenter_objects(plan: Recording) -> list[dict[str, Any]]:
    return [
        dict(resource.inputs) for kind, api in APIS.items() for resource in plan.of_type(f"kubernetes:{api}:{kind}")
    ]


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_of_a_stack_is_valid(stack: str, recorded: Callable[[str], Recording]) -> None:
    objects = karpenter_objects(recorded(stack))
    assert {each["kind"] for each in objects} == set(APIS) - {"CapacityBuffer"}
    assert {each["metadata"]["name"]: problems(each) for each in objects if problems(each)} == {}


@pytest.mark.parametrize("variant", ["everything", "nodes that merge, nodes that always stand, and a soft brake"])
def test_objects_that_none_of_our_stacks_has_are_valid(variant: str) -> None:
    objects = karpenter_objects(varied(variant))
    assert {each["kind"] for each in objects} == set(APIS) - (set() if variant == "everything" else {"CapacityBuffer"})
    assert {each["metadata"]["name"]: problems(each) for each in objects if problems(each)} == {}


@pytest.mark.parametrize("ami", ["al2023", "bottlerocket"])
def test_a_node_class_with_everything_set_is_valid(ami: Any) -> None:
    spec = node_class_spec(
        NodeClassArgs(
            nodes=ClusterNodes(
                cluster_name="test",
                node_role_name="test-karpenter-node",
                volume_key_arn="arn:aws:kms:us-east-1:123456789012:key/volumes",
            ),
            pool="full",
            ami=ami,
            volume=Volume(
                size_gib=500,
                iops=16000,
                throughput_mib_per_s=1000,
                snapshot_id="snap-0123456789abcdef0",
                initialization_mib_per_s=300,
            ),
            user_data="[settings]",
            instance_store_policy="RAID0",
            max_pods=110,
        )
    )
    resource = {"apiVersion": APIS["EC2NodeClass"], "kind": "EC2NodeClass", "metadata": {"name": "full"}, "spec": spec}
    assert problems(resource) == []


MUTATIONS: Mapping[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "a field that never existed": ("NodePool", lambda spec: spec.update(constraints={})),
    "limits below resources, as in v1alpha5": ("NodePool", lambda spec: spec.update(limits={"resources": {"cpu": 1}})),
    "no requirements": ("NodePool", lambda spec: spec["template"]["spec"].pop("requirements")),
    "an operator that does not exist": (
        "NodePool",
        lambda spec: spec["template"]["spec"]["requirements"][0].update(operator="Is"),
    ),
    "days as a duration": ("NodePool", lambda spec: spec["template"]["spec"].update(expireAfter="14d")),
    "a policy that does not exist": (
        "NodePool",
        lambda spec: spec["disruption"].update(consolidationPolicy="WhenUnderutilized"),
    ),
    "an underscore for camel case": ("NodePool", lambda spec: spec["disruption"].update(consolidate_after="1m")),
    "a taint without effect": ("NodePool", lambda spec: spec["template"]["spec"].update(taints=[{"key": "a"}])),
    "no image": ("EC2NodeClass", lambda spec: spec.pop("amiSelectorTerms")),
    "a size without unit": (
        "EC2NodeClass",
        lambda spec: spec["blockDeviceMappings"][0]["ebs"].update(volumeSize="100"),
    ),
    "a misspelled key id": (
        "EC2NodeClass",
        lambda spec: spec["blockDeviceMappings"][0]["ebs"].update(kmsKeyId="key"),
    ),
    "optional tokens in words": ("EC2NodeClass", lambda spec: spec["metadataOptions"].update(httpTokens="yes")),
    "no overlay requirements": ("NodeOverlay", lambda spec: spec.pop("requirements")),
    "an overlay capacity that is no quantity": ("NodeOverlay", lambda spec: spec.update(capacity={"gpu": "four"})),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_definitions_find_what_is_wrong(mutation: str, recorded: Callable[[str], Recording]) -> None:
    """A validator that lets these through would prove nothing about ours."""
    kind, spoil = MUTATIONS[mutation]
    resource = copy.deepcopy(next(each for each in karpenter_objects(recorded("dev")) if each["kind"] == kind))
    assert problems(resource) == []
    spoil(resource["spec"])
    assert len(problems(resource)) == 1


def test_no_overlay_of_somebodys_that_is_for_all_pools_meets_ours_at_its_weight() -> None:
    """Karpenter drops one of two that say the same at one weight, for all pools; of two weights the larger holds."""
    weight = schemas()[APIS["NodeOverlay"], "NodeOverlay"]["properties"]["spec"]["properties"]["weight"]
    assert overlay_spec("shared", 1, {"nvidia.com/gpu": 4})["weight"] == weight["maximum"]
