"""Writes a plan as Terraform JSON and Kubernetes YAML, so that Checkov, which reads no Pulumi, can judge it.

It is the scanner's own format, for reading and not for applying: remote components are written as the one resource that
they stand for, without what they make beside it, and a name that the program writes out is a name here too, where
Terraform would refer to the resource. `tests/plan/test_terraform_schema.py` holds names and blocks against the AWS
provider's schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plan.export_dir import write_directory
from plan.manifests import manifest_files
from plan.monitor import Resource
from plan.record import Recording
from plan.wire import shown
from policy.inventory.terraform_names import FREE_FORM, local_name, snake_case, terraform_key, terraform_type

EKS_CLUSTER = "eks:index:Cluster"
#: Arguments whose name in Terraform is another one.
_RENAMED: Mapping[str, Mapping[str, str]] = {
    "aws:cloudwatch/metricAlarm:MetricAlarm": {"name": "alarm_name"},
}
MAIN_FILE = "main.tf.json"
OBJECTS = "kubernetes"


def write_terraform(recording: Recording, target: Path) -> None:
    """Write `main.tf.json` and the cluster's objects in `kubernetes/` to `target`.

    Raises InputError if `target` holds other files.
    """
    objects = {
        f"{OBJECTS}/{name}": text for name, text in manifest_files(recording) if not name.endswith(".values.yaml")
    }
    document = json.dumps(terraform_document(recording), indent=2, ensure_ascii=False)
    write_directory(target, {MAIN_FILE: f"{document}\n", **objects})


def terraform_document(recording: Recording) -> dict[str, Any]:
    """The AWS resources as one Terraform JSON document, each reference to another resource as an interpolation."""
    addresses = _addresses(recording)
    references = _References(recording.values, addresses)
    resources: dict[str, dict[str, Any]] = {}
    for resource in recording.resources:
        if resource.urn in addresses:
            type_, name = addresses[resource.urn].split(".")
            # The comment says where it comes from. Checkov passes over resources without any argument.
            arguments = {"//": resource.urn, **_arguments(resource)}
            resources.setdefault(type_, {})[name] = references.resolve(arguments)
    return {"provider": {"aws": {"region": recording.region}}, "resource": resources}


def _addresses(recording: Recording) -> dict[str, str]:
    """URN to Terraform address. The same name may stand for several resources of a type: they get numbers."""
    addresses: dict[str, str] = {}
    taken: set[str] = set()
    for resource in recording.resources:
        if resource.type == EKS_CLUSTER:
            type_ = "aws_eks_cluster"
        elif resource.custom and resource.type.startswith("aws:"):
            type_ = terraform_type(resource.type)
        else:
            continue
        base = address = f"{type_}.{local_name(resource.name)}"
        number = 2
        while address in taken:
            address = f"{base}_{number}"
            number += 1
        taken.add(address)
        addresses[resource.urn] = address
    return addresses


def _arguments(resource: Resource) -> dict[str, Any]:
    inputs = shown(resource.inputs)
    if resource.type == EKS_CLUSTER:
        return _eks_cluster(inputs)
    renamed = _RENAMED.get(resource.type, {})
    arguments = {renamed.get(key) or terraform_key(key): _value(key, value) for key, value in inputs.items()}
    lifecycle = {"prevent_destroy": True} if resource.protect else {}
    return arguments | ({"lifecycle": lifecycle} if lifecycle else {})


def _value(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"([$%])\{", r"\1\1{", value)  # Terraform would read it as a template
    if isinstance(value, dict):
        if key in FREE_FORM:
            return {name: _value(name, item) for name, item in value.items()}
        return {terraform_key(name): _value(name, item) for name, item in value.items()}
    return [_value(key, item) for item in value] if isinstance(value, list) else value


def _eks_cluster(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The component's inputs as arguments of the cluster that it makes (pulumi-eks 4, `nodejs/eks/cluster`)."""
    subnets = [*(inputs.get("privateSubnetIds") or ()), *(inputs.get("publicSubnetIds") or ())]
    network = {
        "subnet_ids": subnets or inputs.get("subnetIds"),
        # The defaults are those of the component.
        "endpoint_private_access": inputs.get("endpointPrivateAccess", False),
        "endpoint_public_access": inputs.get("endpointPublicAccess", True),
        "public_access_cidrs": inputs.get("publicAccessCidrs"),
    }
    key = inputs.get("encryptionConfigKeyArn")
    upgrade = inputs.get("upgradePolicy")
    arguments = {
        "name": inputs.get("name"),
        "version": inputs.get("version"),
        "enabled_cluster_log_types": inputs.get("enabledClusterLogTypes"),
        "deletion_protection": inputs.get("deletionProtection"),
        "bootstrap_self_managed_addons": inputs.get("bootstrapSelfManagedAddons"),
        "vpc_config": {name: value for name, value in network.items() if value is not None},
        "encryption_config": {"provider": {"key_arn": key}, "resources": ["secrets"]} if key else None,
        "access_config": {"authentication_mode": inputs["authenticationMode"]}
        if "authenticationMode" in inputs
        else None,
        "upgrade_policy": {"support_type": upgrade.get("supportType")} if upgrade else None,
        "tags": inputs.get("tags"),
    }
    return {name: value for name, value in arguments.items() if value is not None}


_EKS_ATTRIBUTES = {
    "clusterSecurityGroupId": "vpc_config[0].cluster_security_group_id",
    "oidcIssuer": "identity[0].oidc[0].issuer",
    "certificateAuthority": "certificate_authority[0].data",
}


class _References:
    """Puts interpolations in the place of values that only a deployment knows."""

    def __init__(self, values: Mapping[str, tuple[str, str]], addresses: Mapping[str, str]) -> None:
        self._expressions: dict[str, str] = {}
        for value, (urn, attribute) in values.items():
            address = addresses.get(urn)
            if address:
                name = _EKS_ATTRIBUTES.get(attribute) if address.startswith("aws_eks_cluster.") else None
                self._expressions[value] = f"${{{address}.{name or snake_case(attribute)}}}"
        longest_first = sorted(self._expressions, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def resolve(self, value: Any) -> Any:
        """A copy with every such value, whole or inside a text, replaced."""
        if isinstance(value, str):
            return self._pattern.sub(lambda found: self._expressions[found[0]], value) if "<" in value else value
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        return [self.resolve(item) for item in value] if isinstance(value, list) else value
