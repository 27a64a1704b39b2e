"""AWS resources through other carriers: CloudFormation and Cloud Control, ACK, Crossplane, bridged Terraform providers.

Shapes of ACK's and Crossplane's are those of their CRDs: eks-controller and ec2-controller `config/crd/bases`,
provider-upjet-aws `package/crds`. A bridged provider's types are called as Terraform's are (pulumi-terraform-bridge,
tokens.SingleModule).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from policy.analyzer import Recorded
from tests.policy.carriers import Carrier, documents, literal, pipeline
from tests.policy.cloudformation import Declared, declared, is_block, tag_list
from tests.policy.corpus import type_of
from tests.policy.support import recorded


def _convert(convert: Callable[[Recorded], Recorded | None]) -> Carrier:
    """A carrier that has each resource as another one."""

    def carry(program: Sequence[Recorded], folder: Path) -> list[Recorded] | None:
        found = [(resource, convert(resource)) for resource in program]
        if all(carried is None for _, carried in found):
            return None
        return [carried or resource for resource, carried in found]

    return carry


def _cloudformation(resource: Recorded, *, text: bool) -> Declared | None:
    return None if text and not literal(resource.inputs) else declared(resource.type, resource.inputs)


def sdk_name(name: str) -> str:
    """A CloudFormation name as Pulumi's AWS Native provider has it (pulumi-aws-native, `ToSdkName`)."""
    head = re.match(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]", name)
    return name if head is None else head[0].lower() + name[head.end() :]


#: Names with a word of capitals, of which the provider keeps the first.
_TOKENS: Final = {"EC2Fleet": "Ec2Fleet", "VPC": "Vpc", "DBInstance": "DbInstance"}


def native_type(cloudformation: str) -> str:
    """The token of a CloudFormation type."""
    _, service, name = cloudformation.split("::")
    return f"aws-native:{service.lower()}:{_TOKENS.get(name, name)}"


def _sdk_keys(value: Any, key: str = "") -> Any:
    if is_block(value):
        free = key in {"Labels", "PolicyDocument", "AssumeRolePolicyDocument", "Tags"}
        names = {name: name if free else sdk_name(name) for name in value}
        return {names[name]: item if free else _sdk_keys(item, name) for name, item in value.items()}
    return [_sdk_keys(item) for item in value] if isinstance(value, list) else value


def _native(resource: Recorded) -> Recorded | None:
    found = _cloudformation(resource, text=False)
    return found and recorded(native_type(found.type), _sdk_keys(found.properties), resource.name)


def _cloud_control(resource: Recorded) -> Recorded | None:
    found = _cloudformation(resource, text=True)
    desired = json.dumps(found.properties) if found else ""
    inputs = {"typeName": found.type if found else "", "desiredState": desired}
    return found and recorded("aws:cloudcontrol/resource:Resource", inputs, resource.name)


def _extension(resource: Recorded) -> Recorded | None:
    found = _cloudformation(resource, text=False)
    inputs = {"type": found.type, "properties": found.properties} if found else {}
    return found and recorded("aws-native:index:ExtensionResource", inputs, resource.name)


class _Ref(NamedTuple):
    """`!Ref` in a template of YAML."""

    name: str


class _Dumper(yaml.SafeDumper):
    """YAML with references, and without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Ref, lambda dumper, ref: dumper.represent_scalar("!Ref", ref.name))


def _yaml(template: Mapping[str, Any]) -> str:
    return str(yaml.dump(dict(template), Dumper=_Dumper, sort_keys=False))


def _json(template: Mapping[str, Any]) -> str:
    return json.dumps(template)


def _resources(program: Sequence[Recorded]) -> tuple[dict[str, Any], list[Recorded]]:
    """What goes into a template, and what stays beside it."""
    inside: dict[str, Any] = {}
    others = []
    for resource in program:
        found = _cloudformation(resource, text=True)
        if found is None:
            others.append(resource)
        else:
            inside[f"R{len(inside)}"] = {"Type": found.type, "Properties": found.properties}
    return inside, others


def _parametrised(value: Any, parameters: dict[str, str], *, short: bool) -> Any:
    """A value whose texts are parameters, which are added."""
    if isinstance(value, Mapping):
        return {key: _parametrised(item, parameters, short=short) for key, item in value.items()}
    if isinstance(value, list):
        return [_parametrised(item, parameters, short=short) for item in value]
    if not isinstance(value, str):
        return value
    name = f"P{len(parameters)}"
    parameters[name] = value
    return _Ref(name) if short else {"Ref": name}


def _stack(
    type_: str, write: Callable[[Mapping[str, Any]], str], *, parameters: str = "", short: bool = False
) -> Carrier:
    """A stack of CloudFormation. parameters: `default` or `given`, where a template has its texts from."""

    def carry(program: Sequence[Recorded], folder: Path) -> list[Recorded] | None:
        inside, others = _resources(program)
        if not inside:
            return None
        given: dict[str, str] = {}
        if parameters:
            inside = {
                name: {**found, "Properties": _parametrised(found["Properties"], given, short=short)}
                for name, found in inside.items()
            }
        template: dict[str, Any] = {"AWSTemplateFormatVersion": "2010-09-09"}
        if given:
            default = parameters == "default"
            template["Parameters"] = {
                name: {"Type": "String", **({"Default": value} if default else {})} for name, value in given.items()
            }
        inputs: dict[str, Any] = {"templateBody": write({**template, "Resources": inside})}
        if given and parameters == "given":
            inputs["parameters"] = given
        return [*others, recorded(type_, {"name": "carrier", **inputs}, "carrier")]

    return carry


def _object(api_version: str, kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name.lower()}, "spec": dict(spec)}


def _as_object(convert: Callable[[Recorded], dict[str, Any] | None]) -> Carrier:
    def carry(resource: Recorded) -> Recorded | None:
        found = convert(resource)
        return None if found is None else recorded(type_of(found), found, resource.name)

    return _convert(carry)


#: Words that ACK writes in capitals.
_ACK_WORDS: Final = re.compile(r"(?<=[a-z])(Id|Ids|Arn|Cidrs|Vpc|Ipv6)(?=[A-Z]|$)|(?<=^)(vcpu)(?=[A-Z])")
_ACK_CAPITALS: Final = {"Id": "ID", "Ids": "IDs", "Arn": "ARN", "Cidrs": "CIDRs", "Vpc": "VPC", "vcpu": "vCPU"}


def _ack_names(value: Any) -> Any:
    if is_block(value):
        return {
            key if "/" in key else _ACK_WORDS.sub(lambda m: _ACK_CAPITALS.get(m[0], m[0]), key): _ack_names(item)
            for key, item in value.items()
        }
    return [_ack_names(item) for item in value] if isinstance(value, list) else value


def _ack(resource: Recorded) -> dict[str, Any] | None:
    """The kinds of ACK's EKS and EC2 controllers."""
    found = declared(resource.type, resource.inputs)
    spec = _ack_names(_sdk_keys(found.properties)) if found else {}
    match resource.type:
        case "aws:eks/nodeGroup:NodeGroup":
            return _object("eks.services.k8s.aws/v1alpha1", "Nodegroup", resource.name, spec)
        case "aws:eks/cluster:Cluster":
            return _object("eks.services.k8s.aws/v1alpha1", "Cluster", resource.name, _ack_cluster(spec, resource))
        case "aws:ec2/launchTemplate:LaunchTemplate":
            tags = [{"key": item["Key"], "value": item["Value"]} for item in tag_list(resource.inputs.get("tags", {}))]
            name = resource.inputs.get("name", resource.name)
            data = {"data": spec["launchTemplateData"], "name": name, "tags": tags}
            return _object("ec2.services.k8s.aws/v1alpha1", "LaunchTemplate", resource.name, data)
        case "aws:ec2/instance:Instance" if found:
            return _object("ec2.services.k8s.aws/v1alpha1", "Instance", resource.name, spec)
        case _:
            return None


def _ack_cluster(spec: Mapping[str, Any], resource: Recorded) -> dict[str, Any]:
    """Logs as the API has them, tags as a map."""
    names = {"roleArn": "roleARN", "resourcesVpcConfig": "resourcesVPCConfig"}
    found = {names.get(key, key): value for key, value in spec.items() if key not in {"logging", "tags"}}
    logs = resource.inputs.get("enabledClusterLogTypes")
    logging = {"logging": {"clusterLogging": [{"enabled": True, "types": logs}]}} if logs else {}
    tags = {"tags": resource.inputs["tags"]} if "tags" in resource.inputs else {}
    return {**found, **logging, **tags}


class _Upbound(NamedTuple):
    """A managed resource: group, kind, versions with blocks as lists and as objects, names of lists."""

    group: str
    kind: str
    lists: str
    objects: str
    singular: Mapping[str, str] = {}


_UPBOUND: Final[Mapping[str, _Upbound]] = {
    "aws:eks/nodeGroup:NodeGroup": _Upbound("eks", "NodeGroup", "v1beta1", "v1beta2", {"taints": "taint"}),
    "aws:eks/cluster:Cluster": _Upbound("eks", "Cluster", "v1beta1", "v1beta2"),
    "aws:ec2/launchTemplate:LaunchTemplate": _Upbound("ec2", "LaunchTemplate", "v1beta1", "v1beta2"),
    "aws:ec2/instance:Instance": _Upbound("ec2", "Instance", "v1beta1", "v1beta2"),
    "aws:autoscaling/group:Group": _Upbound(
        "autoscaling",
        "AutoscalingGroup",
        "v1beta1",
        "v1beta3",
        {"overrides": "override", "tags": "tag", "vpcZoneIdentifiers": "vpcZoneIdentifier"},
    ),
    "aws:ec2/fleet:Fleet": _Upbound(
        "ec2", "Fleet", "", "v1beta1", {"launchTemplateConfigs": "launchTemplateConfig", "overrides": "override"}
    ),
}
#: Maps that are no blocks.
_NO_BLOCKS: Final = frozenset({"tags", "labels", "tagsAll"})


def blocks(value: Any, singular: Mapping[str, str], *, lists: bool, key: str = "") -> Any:
    """A value as Terraform's schema has it: other names, and where `lists`, each block as a list of one."""
    if is_block(value) and key not in _NO_BLOCKS:
        found = {
            singular.get(name, name): blocks(item, singular, lists=lists, key=name) for name, item in value.items()
        }
        return [found] if lists and key else found
    if isinstance(value, list):
        return [blocks(item, singular, lists=lists) for item in value]
    return value


def _upbound(resource: Recorded, *, lists: bool) -> dict[str, Any] | None:
    about = _UPBOUND.get(resource.type)
    version = about and (about.lists if lists else about.objects)
    if about is None or not version:
        return None
    given = {key: value for key, value in resource.inputs.items() if value is not None}
    provided = {"region": "us-east-1", **blocks(given, about.singular, lists=lists)}
    return _object(f"{about.group}.aws.upbound.io/{version}", about.kind, resource.name, {"forProvider": provided})


def _upbound_pipeline(program: Sequence[Recorded], folder: Path) -> list[Recorded] | None:
    """Managed resources as bases of a Composition."""
    found = [(resource, _upbound(resource, lists=False)) for resource in program]
    bases = [base for _, base in found if base is not None]
    if not bases:
        return None
    composition = _object("apiextensions.crossplane.io/v1", "Composition", "carrier", pipeline(bases))
    others = [resource for resource, base in found if base is None]
    return [*others, recorded(type_of(composition), composition, "carrier")]


def _upbound_text(program: Sequence[Recorded], folder: Path) -> list[Recorded] | None:
    """Managed resources inside a text of manifests."""
    given = [(resource, _upbound(resource, lists=True) if literal(resource.inputs) else None) for resource in program]
    bases = [base for _, base in given if base is not None]
    if not bases:
        return None
    others = [resource for resource, base in given if base is None]
    return [*others, recorded("kubernetes:yaml/v2:ConfigGroup", {"yaml": documents(bases)}, "carrier")]


#: Terraform's names of types whose Pulumi name is another.
_TERRAFORM: Final[Mapping[str, str]] = {
    "aws:autoscaling/group:Group": "autoscalingGroup",
    "aws:batch/computeEnvironment:ComputeEnvironment": "batchComputeEnvironment",
    "aws:ebs/volume:Volume": "ebsVolume",
    "aws:ec2/capacityReservation:CapacityReservation": "ec2CapacityReservation",
    "aws:ec2/dedicatedHost:DedicatedHost": "ec2Host",
    "aws:ec2/fleet:Fleet": "ec2Fleet",
    "aws:ec2/instance:Instance": "instance",
    "aws:ec2/launchConfiguration:LaunchConfiguration": "launchConfiguration",
    "aws:ec2/launchTemplate:LaunchTemplate": "launchTemplate",
    "aws:ec2/securityGroup:SecurityGroup": "securityGroup",
    "aws:ec2/spotFleetRequest:SpotFleetRequest": "spotFleetRequest",
    "aws:eks/cluster:Cluster": "eksCluster",
    "aws:eks/nodeGroup:NodeGroup": "eksNodeGroup",
    "aws:emr/instanceFleet:InstanceFleet": "emrInstanceFleet",
    "aws:iam/policy:Policy": "iamPolicy",
    "aws:iam/role:Role": "iamRole",
    "aws:kms/key:Key": "kmsKey",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "sagemakerEndpointConfiguration",
    "aws:sagemaker/notebookInstance:NotebookInstance": "sagemakerNotebookInstance",
    "aws:sns/topic:Topic": "snsTopic",
    "aws:sqs/queue:Queue": "sqsQueue",
}


def _bridged(*, lists: bool) -> Carrier:
    def convert(resource: Recorded) -> Recorded | None:
        name = _TERRAFORM.get(resource.type)
        if name is None:
            return None
        given = {key: value for key, value in resource.inputs.items() if value is not None}
        inputs = blocks(given, {}, lists=lists)
        return recorded(f"aws:index/{name}:{name[0].upper()}{name[1:]}", inputs, resource.name)

    return _convert(convert)


def _upbound_carriers() -> Iterator[tuple[str, Carrier]]:
    yield "Crossplane AWS, blocks as lists", _as_object(lambda resource: _upbound(resource, lists=True))
    yield "Crossplane AWS, blocks as objects", _as_object(lambda resource: _upbound(resource, lists=False))
    yield "Crossplane AWS, pipeline", _upbound_pipeline
    yield "Crossplane AWS, text", _upbound_text


_STACK: Final = "aws:cloudformation/stack:Stack"

#: Carriers of AWS resources.
AWS: Final[Mapping[str, Carrier]] = {
    "AWS Native": _convert(_native),
    "CloudFormation, YAML": _stack(_STACK, _yaml),
    "CloudFormation, JSON": _stack(_STACK, _json),
    "CloudFormation, default parameters": _stack(_STACK, _json, parameters="default"),
    "CloudFormation, given parameters": _stack(_STACK, _json, parameters="given"),
    "CloudFormation, references in YAML": _stack(_STACK, _yaml, parameters="default", short=True),
    "CloudFormation of AWS Native": _stack("aws-native:cloudformation:Stack", _yaml),
    "stack set": _stack("aws:cloudformation/stackSet:StackSet", _json),
    "Cloud Control": _convert(_cloud_control),
    "Extension resource": _convert(_extension),
    "ACK": _as_object(_ack),
    **dict(_upbound_carriers()),
    "bridged Terraform provider": _bridged(lists=False),
    "bridged Terraform provider, blocks as lists": _bridged(lists=True),
}
