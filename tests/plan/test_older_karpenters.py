"""What a stack adds to somebody's Karpenter against the definitions of that version, unknown fields included.

Of 1.6 the module proxy serves Karpenter's own definitions, and EC2NodeClass' of 1.8 at the earliest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml

from plan.project import StackFile, find_project
from plan.record import record
from tests.gotools import KARPENTER_CORE_MODULE, KARPENTER_MODULE, module_file
from tests.plan.conftest import ROOT
from tests.plan.test_crds import karpenter_objects, strict
from tests.plan.test_own_nodes import KARPENTER, POOLS, stack_file

pytestmark = pytest.mark.go

#: By a version of somebody's chart: where the definitions of each kind are.
DEFINED: Mapping[str, Mapping[str, tuple[str, str, str]]] = {
    "1.6.4": {
        "NodePool": (KARPENTER_CORE_MODULE, "v1.6.4", "karpenter.sh_nodepools"),
        "EC2NodeClass": (KARPENTER_MODULE, "v1.8.2", "karpenter.k8s.aws_ec2nodeclasses"),
    },
    "1.9.0": {
        "NodePool": (KARPENTER_CORE_MODULE, "v1.9.0", "karpenter.sh_nodepools"),
        "NodeOverlay": (KARPENTER_CORE_MODULE, "v1.9.0", "karpenter.sh_nodeoverlays"),
        "EC2NodeClass": (KARPENTER_MODULE, "v1.9.3", "karpenter.k8s.aws_ec2nodeclasses"),
    },
}


@cache
def schema(chart: str, kind: str) -> tuple[str, dict[str, Any]]:
    """API version and strict schema of a kind."""
    module, version, name = DEFINED[chart][kind]
    definition = yaml.safe_load(module_file(module, version, f"pkg/apis/crds/{name}.yaml"))["spec"]
    (served,) = definition["versions"]
    return f"{definition['group']}/{served['name']}", strict(served["schema"]["openAPIV3Schema"])


def objects(chart: str) -> list[dict[str, Any]]:
    """Everything of Karpenter's that the program registers for somebody's Karpenter of that version."""
    gates = KARPENTER["featureGates"]
    pools = [{**pool, "sharing": {"strategy": "none"}} for pool in POOLS]
    if chart == "1.9.0":
        pools, gates = [*POOLS, {**POOLS[0], "name": "standing", "static": {"replicas": 2}}], [*gates, "staticCapacity"]
    existing = {**KARPENTER, "chartVersion": chart, "featureGates": gates}
    changes = {"karpenter": {"existing": existing}, "pools": pools}
    if chart != "1.9.0":
        changes |= {"models": [], "dialogue": {}}
    values = {**stack_file().values, **{f"gpu-slices:{key}": json.dumps(value) for key, value in changes.items()}}
    return karpenter_objects(record(find_project(ROOT), StackFile(stack="dev", values=values)))


@pytest.mark.parametrize("chart", DEFINED)
def test_what_is_added_to_an_older_karpenter_is_valid_there(chart: str) -> None:
    found = objects(chart)
    assert {each["kind"] for each in found} == set(DEFINED[chart])
    wrong = {}
    for each in found:
        api, wanted = schema(chart, each["kind"])
        assert each["apiVersion"] == api
        problems = [error.message for error in jsonschema.Draft202012Validator(wanted).iter_errors(each)]
        if problems:
            wrong[each["metadata"]["name"]] = problems
    assert wrong == {}


@pytest.mark.parametrize("chart", DEFINED)
def test_the_older_definitions_find_what_is_newer(chart: str) -> None:
    (found, *_) = [each for each in objects(chart) if each["kind"] == "EC2NodeClass"]
    _, wanted = schema(chart, "EC2NodeClass")
    found = {**found, "spec": {**found["spec"], "placementGroupSelector": {"name": "group"}}}
    (error,) = jsonschema.Draft202012Validator(wanted).iter_errors(found)
    assert "placementGroupSelector" in error.message
