"""Every component by itself: with its required inputs only, and with inputs that nobody can change afterwards."""

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable

import pulumi
import pytest

import components
from components.cluster.access import Access, AccessArgs, AccessGrant
from components.cluster.addon import AddonsArgs
from components.cluster.cluster_addons import ClusterAddons
from components.cluster.encryption import Encryption, EncryptionArgs
from components.cluster.node_addons import NodeAddons
from components.cluster.pod_identity import PodRole, PodRoleArgs
from components.cluster.system_nodes import SystemNodes, SystemNodesArgs
from components.network.endpoints import Endpoints, EndpointsArgs
from components.network.flow_logs import FlowLogs, FlowLogsArgs
from tests.unit.components.recording import record

ACCOUNT = "123456789012"
REGION = "us-east-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
ALONE: dict[str, Callable[[], pulumi.ComponentResource]] = {
    "Encryption": lambda: Encryption("it", EncryptionArgs(cluster_name="c", account_id=ACCOUNT, region=REGION)),
    "FlowLogs": lambda: FlowLogs(
        "it", FlowLogsArgs(cluster_name="c", vpc_id="vpc-1", account_id=ACCOUNT, region=REGION, key_arn=KEY)
    ),
    "Endpoints": lambda: Endpoints(
        "it",
        EndpointsArgs(cluster_name="c", region=REGION, vpc_id="vpc-1", cidr="10.0.0.0/16", subnet_ids=["subnet-1"]),
    ),
    "PodRole": lambda: PodRole(
        "it",
        PodRoleArgs(
            cluster_name="c",
            account_id=ACCOUNT,
            namespace="n",
            service_account="s",
            managed_policies=("ReadOnlyAccess",),
        ),
    ),
    "Access": lambda: Access(
        "it",
        AccessArgs(
            cluster_name="c",
            grants=[AccessGrant(principal_arn=f"arn:aws:iam::{ACCOUNT}:role/a::b", policy="admin")],
        ),
    ),
    "NodeAddons": lambda: NodeAddons("it", AddonsArgs(cluster_name="c", kubernetes_version="1.36", account_id=ACCOUNT)),
    "ClusterAddons": lambda: ClusterAddons(
        "it", AddonsArgs(cluster_name="c", kubernetes_version="1.36", account_id=ACCOUNT)
    ),
    "SystemNodes": lambda: SystemNodes(
        "it",
        SystemNodesArgs(cluster_name="c", kubernetes_version="1.36", subnet_ids=["subnet-1"], volume_key_arn=KEY),
    ),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_component_needs_no_other(name: str) -> None:
    recording = record(ALONE[name])
    it = recording.one(f"gpu-slices:index:{name}", "it")
    children = [each for each in recording.resources if each.urn != it.urn]
    assert children
    assert [each.name for each in children if not recording.outlives(it, each)] == []
    assert [each.name for each in children if each.name != "it" and not each.name.startswith("it-")] == []
    assert {each.inputs["retentionInDays"] for each in recording.of_type("aws:cloudwatch/logGroup:LogGroup")} <= {365}


def test_principals_of_any_name_have_names_of_their_own() -> None:
    recording = record(ALONE["Access"])
    assert recording.one("aws:eks/accessEntry:AccessEntry").name == f"it-{ACCOUNT}-role-a~~b"


MODULES = sorted(module.name for module in pkgutil.walk_packages(components.__path__, "components."))
ARGS = [
    value
    for module in MODULES
    for name, value in inspect.getmembers(importlib.import_module(module), inspect.isclass)
    if name.endswith(("Args", "Grant", "Capacity")) and value.__module__ == module
]


@pytest.mark.parametrize("module", MODULES)
def test_a_component_is_found_by_its_file(module: str) -> None:
    """One component a file (docs/architecture.md)."""
    found = [
        name
        for name, value in inspect.getmembers(importlib.import_module(module), inspect.isclass)
        if issubclass(value, pulumi.ComponentResource) and value.__module__ == module
    ]
    assert len(found) <= 1, found


@pytest.mark.parametrize("args", ARGS, ids=lambda args: args.__name__)
def test_inputs_are_named_and_cannot_change(args: type) -> None:
    assert dataclasses.is_dataclass(args)
    assert args.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert args.__match_args__ == ()  # type: ignore[attr-defined]  # empty when all fields are keyword-only
