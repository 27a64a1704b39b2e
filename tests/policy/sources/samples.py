"""One small program, with mistakes of each kind, as each tool writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import yaml

from policy.analyzer import UNKNOWN

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"

NODE_POOL: Final[dict[str, Any]] = {
    "apiVersion": "karpenter.sh/v1",
    "kind": "NodePool",
    "metadata": {"name": "gpu"},
    "spec": {
        "template": {
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "gpu"},
                "requirements": [
                    {"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["g5"]},
                    {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
                ],
            }
        }
    },
}
DEPLOYMENT: Final[dict[str, Any]] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "model", "namespace": "models"},
    "spec": {
        "selector": {"matchLabels": {"app": "model"}},
        "template": {
            "metadata": {"labels": {"app": "model"}},
            "spec": {
                "containers": [
                    {"name": "model", "image": "ollama/ollama:0.6.0", "resources": {"limits": {"nvidia.com/gpu": "2"}}}
                ]
            },
        },
    },
}
OBJECTS: Final = (NODE_POOL, DEPLOYMENT)

#: Type and inputs in Pulumi, type and values in a plan of Terraform: lists for blocks, names of Terraform.
CLOUD: Final[tuple[tuple[str, dict[str, Any], str, dict[str, Any]], ...]] = (
    ("aws:kms/key:Key", {"enableKeyRotation": False}, "aws_kms_key", {"enable_key_rotation": False, "policy": None}),
    (
        "aws:eks/cluster:Cluster",
        {
            "version": "1.30",
            "enabledClusterLogTypes": ["api"],
            "vpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": ["0.0.0.0/0"], "subnetIds": ["subnet-1"]},
            "tags": {"team": "x"},
        },
        "aws_eks_cluster",
        {
            "version": "1.30",
            "enabled_cluster_log_types": ["api"],
            "vpc_config": [
                {"endpoint_public_access": True, "public_access_cidrs": ["0.0.0.0/0"], "subnet_ids": ["subnet-1"]}
            ],
            "encryption_config": [],
            "tags": {"team": "x"},
        },
    ),
    (
        "aws:eks/nodeGroup:NodeGroup",
        {
            "instanceTypes": ["g5.xlarge"],
            "scalingConfig": {"minSize": 0, "maxSize": 40, "desiredSize": 0},
            "launchTemplate": {"id": UNKNOWN, "version": "1"},
            "taints": [{"key": "k", "effect": "NO_SCHEDULE"}],
            "tags": {"team": "x"},
        },
        "aws_eks_node_group",
        {
            "instance_types": ["g5.xlarge"],
            "scaling_config": [{"min_size": 0, "max_size": 40, "desired_size": 0}],
            "launch_template": [{"version": "1"}],
            "taint": [{"key": "k", "effect": "NO_SCHEDULE"}],
            "tags": {"team": "x"},
        },
    ),
    (
        "aws:ec2/launchTemplate:LaunchTemplate",
        {
            "metadataOptions": {"httpTokens": "optional"},
            "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"volumeSize": 50, "encrypted": "false"}}],
        },
        "aws_launch_template",
        {
            "metadata_options": [{"http_tokens": "optional"}],
            "block_device_mappings": [{"device_name": "/dev/xvda", "ebs": [{"volume_size": 50, "encrypted": "false"}]}],
        },
    ),
    (
        "aws:iam/role:Role",
        {
            "assumeRolePolicy": "{}",
            "inlinePolicies": [
                {"name": "all", "policy": '{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'}
            ],
        },
        "aws_iam_role",
        {
            "assume_role_policy": "{}",
            "inline_policy": [
                {"name": "all", "policy": '{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'}
            ],
        },
    ),
)
VALUES: Final[dict[str, Any]] = {"config": {"map": {"default": "version: v1\nsharing: {mps: {resources: []}}\n"}}}


def _urn(type_: str, name: str) -> str:
    return f"urn:pulumi:dev::shop::{type_}::{name}"


def pulumi_resources() -> list[dict[str, Any]]:
    """The program's resources as Pulumi's CLI writes them."""
    release = {"chart": "nvidia-device-plugin", "version": "0.19.3", "values": VALUES}
    registered = [(type_, "it", inputs) for type_, inputs, _, _ in CLOUD]
    registered += [(_type(manifest), manifest["metadata"]["name"], manifest) for manifest in OBJECTS]
    registered.append(("kubernetes:helm.sh/v3:Release", "plugin", release))
    return [
        {"urn": _urn(type_, name), "type": type_, "custom": True, "inputs": inputs}
        for type_, name, inputs in registered
    ]


def _type(manifest: Mapping[str, Any]) -> str:
    return f"kubernetes:{manifest['apiVersion']}:{manifest['kind']}"


def preview() -> dict[str, Any]:
    """`pulumi preview --json`."""
    steps = [
        {"op": "create", "urn": resource["urn"], "newState": resource, "detailedDiff": None}
        for resource in pulumi_resources()
    ]
    return {"config": {}, "steps": steps, "duration": 1, "changeSummary": {"create": len(steps)}}


def state() -> dict[str, Any]:
    """`pulumi stack export`; one value is a secret that was exported in plain text."""
    resources = pulumi_resources()
    key = resources[0]["inputs"]
    resources[0]["inputs"] = {name: {SIGNATURE: SECRET, "plaintext": json.dumps(value)} for name, value in key.items()}
    outputs = [{**resource, "outputs": {"id": "x"}} for resource in resources]
    return {"version": 3, "deployment": {"manifest": {}, "resources": outputs}}


def events() -> str:
    """The stream of a preview's events."""
    lines = [
        {
            "sequence": number,
            "resourcePreEvent": {"metadata": {"op": "create", "urn": resource["urn"], "new": resource, "old": None}},
        }
        for number, resource in enumerate(pulumi_resources())
    ]
    return "".join(json.dumps(line) + "\n" for line in (*lines, {"sequence": 99, "cancelEvent": {}}))


def terraform_values() -> list[tuple[str, str, dict[str, Any]]]:
    """Type, name and values of the program's resources in Terraform."""
    found = [(type_, "it", values) for _, _, type_, values in CLOUD]
    found += [("kubernetes_manifest", manifest["metadata"]["name"], {"manifest": manifest}) for manifest in OBJECTS[:1]]
    found += [("kubectl_manifest", "model", {"yaml_body": yaml.safe_dump(DEPLOYMENT)})]
    values = [yaml.safe_dump(VALUES)]
    found.append(
        ("helm_release", "plugin", {"chart": "nvidia-device-plugin", "version": "0.19.3", "values": values, "set": []})
    )
    return found


def terraform_plan() -> dict[str, Any]:
    """`terraform show -json PLAN`: the node group's launch template is known after the update."""
    resources, changes, declared = [], [], []
    for type_, name, values in terraform_values():
        address = f"{type_}.{name}"
        group = type_ == "aws_eks_node_group"
        unknown = {"launch_template": [{"id": True}], "ami_type": True, "arn": True} if group else {"arn": True}
        expressions: dict[str, Any] = {key: {} for key, value in values.items() if value not in (None, [])}
        if group:
            template = {"references": ["aws_launch_template.it.id", "aws_launch_template.it"]}
            expressions["launch_template"] = [{"id": template, "version": {"constant_value": "1"}}]
        resources.append({"address": address, "mode": "managed", "type": type_, "name": name, "values": values})
        changes.append({"address": address, "change": {"actions": ["create"], "after_unknown": unknown}})
        declared.append({"mode": "managed", "type": type_, "name": name, "expressions": expressions})
    return {
        "format_version": "1.2",
        "terraform_version": "1.11.4",
        "planned_values": {"root_module": {"resources": resources}},
        "resource_changes": changes,
        "configuration": {"root_module": {"resources": declared}},
    }


def terraform_state() -> dict[str, Any]:
    """`terraform show -json` of a state."""
    resources = terraform_plan()["planned_values"]["root_module"]["resources"]
    for resource in resources:
        if resource["type"] == "aws_eks_node_group":
            resource["values"] = {**resource["values"], "launch_template": [{"id": "lt-1", "version": "1"}]}
            resource["depends_on"] = ["aws_launch_template.it"]
    return {"format_version": "1.0", "values": {"root_module": {"child_modules": [{"resources": resources}]}}}


def terraform_state_file() -> dict[str, Any]:
    """`terraform.tfstate`."""
    resources = [
        {
            "mode": "managed",
            "type": resource["type"],
            "name": resource["name"],
            "instances": [{"attributes": resource["values"], "dependencies": resource.get("depends_on", [])}],
        }
        for resource in terraform_state()["values"]["root_module"]["child_modules"][0]["resources"]
    ]
    return {"version": 4, "terraform_version": "1.11.4", "serial": 1, "resources": resources}


def terraform_configuration() -> dict[str, Any]:
    """`main.tf.json`, with objects for blocks, as people write it."""
    resources: dict[str, dict[str, Any]] = {}
    for type_, name, values in terraform_values():
        written = {key: value for key, value in values.items() if value not in (None, [])}
        if type_ == "aws_eks_node_group":
            written |= {"launch_template": {"id": "${aws_launch_template.it.id}", "version": "1"}, "count": 1}
        if type_ == "aws_eks_cluster":
            written["vpc_config"] = values["vpc_config"][0]
        resources.setdefault(type_, {})[name] = written
    return {"//": "written by hand", "terraform": {}, "resource": resources}


def manifests() -> str:
    """The objects of the cluster as YAML."""
    return yaml.safe_dump_all(OBJECTS)
