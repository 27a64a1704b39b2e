"""AWS resources of the classic provider as CloudFormation declares them (CloudFormation template reference)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pulumi_policy.deserialize import SPECIAL_SIG_KEY

Properties = dict[str, Any]


class Declared(NamedTuple):
    """A CloudFormation type, such as `AWS::EKS::Nodegroup`, and its properties."""

    type: str
    properties: Properties


#: Keys whose CloudFormation name is not theirs with a capital letter.
_NAMES: Final = {
    "vcpuCount": "VCpuCount",
    "memoryMib": "MemoryMiB",
    "memoryGibPerVcpu": "MemoryGiBPerVCpu",
    "acceleratorTotalMemoryMib": "AcceleratorTotalMemoryMiB",
    "totalLocalStorageGb": "TotalLocalStorageGB",
    "vpcSecurityGroupIds": "SecurityGroupIds",
    "ami": "ImageId",
}
#: Maps whose keys are names of somebody's.
_FREE: Final = frozenset({"labels", "tags", "environment"})


def pascal(value: Any) -> Any:
    """A value with keys as CloudFormation has them."""
    if is_block(value):
        return {name(key): item if key in _FREE else pascal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [pascal(item) for item in value]
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def is_block(value: Any) -> bool:
    """Whether a value has keys of a provider: secrets and files have none."""
    return isinstance(value, Mapping) and SPECIAL_SIG_KEY not in value


def name(key: str) -> str:
    """A key as CloudFormation has it."""
    return _NAMES.get(key, key[:1].upper() + key[1:])


def tag_list(tags: Any) -> Any:
    """Tags as a list of Key and Value; what is no map stays."""
    return [{"Key": key, "Value": value} for key, value in tags.items()] if isinstance(tags, Mapping) else tags


def _split(inputs: Mapping[str, Any], *apart: str) -> tuple[Properties, dict[str, Any]]:
    """Inputs but some, converted; and those, as they are."""
    taken = {key: inputs[key] for key in apart if key in inputs}
    return pascal({key: value for key, value in inputs.items() if key not in taken}), taken


def _renamed(found: Properties, **names: str) -> Properties:
    return {names.get(key, key): value for key, value in found.items()}


def _tagged(inputs: Mapping[str, Any]) -> Properties:
    """Most types: the same names, tags as a list."""
    found, taken = _split(inputs, "tags")
    return {**found, **({"Tags": tag_list(taken["tags"])} if taken else {})}


def _tag_map(inputs: Mapping[str, Any]) -> Properties:
    found, taken = _split(inputs, "tags")
    return {**found, **({"Tags": taken["tags"]} if taken else {})}


def _specified(inputs: Mapping[str, Any], kind: str) -> Properties:
    """Types whose own tags are specifications."""
    found, taken = _split(inputs, "tags")
    given = [{"ResourceType": kind, "Tags": tag_list(taken["tags"])}] if taken else []
    return {**found, **({"TagSpecifications": given} if given else {})}


def _node_group(inputs: Mapping[str, Any]) -> Properties:
    found = _renamed(_tag_map(inputs), NodeRoleArn="NodeRole", SubnetIds="Subnets")
    if "RemoteAccess" in found:
        found["RemoteAccess"] = _renamed(found["RemoteAccess"], SourceSecurityGroupIds="SourceSecurityGroups")
    return {key: value for key, value in found.items() if value is not None}


def _cluster(inputs: Mapping[str, Any]) -> Properties:
    found = _renamed(_tagged(inputs), VpcConfig="ResourcesVpcConfig")
    logs = found.pop("EnabledClusterLogTypes", None)
    if logs is not None:
        types = [{"Type": log} for log in logs] if isinstance(logs, list) else logs
        found["Logging"] = {"ClusterLogging": {"EnabledTypes": types}}
    if "EncryptionConfig" in found:
        found["EncryptionConfig"] = [found["EncryptionConfig"]]
    return found


def _template(inputs: Mapping[str, Any]) -> Properties:
    data = {key: value for key, value in inputs.items() if key not in {"name", "namePrefix", "tags"}}
    found = pascal(data)
    if isinstance(data.get("tagSpecifications"), list):
        found["TagSpecifications"] = [
            {"ResourceType": item.get("resourceType"), "Tags": tag_list(item.get("tags"))}
            for item in data["tagSpecifications"]
        ]
    outer = {"LaunchTemplateName": inputs["name"]} if "name" in inputs else {}
    tags = {"tags": inputs["tags"]} if "tags" in inputs else {}
    return {**outer, "LaunchTemplateData": found, **_specified(tags, "launch-template")}


def _instance(inputs: Mapping[str, Any]) -> Properties | None:
    """CloudFormation's instances have no market options."""
    if "instanceMarketOptions" in inputs:
        return None
    found, taken = _split(inputs, "rootBlockDevice", "tags")
    if isinstance(taken.get("rootBlockDevice"), Mapping):
        found["BlockDeviceMappings"] = [{"DeviceName": "/dev/xvda", "Ebs": pascal(taken["rootBlockDevice"])}]
    return {**found, **({"Tags": tag_list(taken["tags"])} if "tags" in taken else {})}


def _group(inputs: Mapping[str, Any]) -> Properties:
    found = _renamed(pascal(inputs), VpcZoneIdentifiers="VPCZoneIdentifier")
    if isinstance(inputs.get("tags"), list):
        found["Tags"] = pascal(inputs["tags"])
    sizes: Properties = {key: str(found[key]) for key in ("MinSize", "MaxSize") if key in found}
    if isinstance(found.get("LaunchTemplate"), Mapping):
        names = {"Name": "LaunchTemplateName", "Id": "LaunchTemplateId"}
        found["LaunchTemplate"] = _renamed(found["LaunchTemplate"], **names)
    return {**found, **sizes}


def _spot_fleet(inputs: Mapping[str, Any]) -> Properties:
    found, _ = _split(inputs, "tags", "launchTemplateConfigs", "launchSpecifications")
    for key in ("launchTemplateConfigs", "launchSpecifications"):
        if isinstance(inputs.get(key), list):
            found[name(key)] = [_spot_part(item) for item in inputs[key]]
    return {"SpotFleetRequestConfigData": found}


def _spot_part(item: Any) -> Any:
    if not isinstance(item, Mapping):
        return item
    found, taken = _split(item, "rootBlockDevices")
    specification = found.get("LaunchTemplateSpecification")
    if isinstance(specification, Mapping):
        names = {"Name": "LaunchTemplateName", "Id": "LaunchTemplateId"}
        found["LaunchTemplateSpecification"] = _renamed(dict(specification), **names)
    if taken:
        root = {"DeviceName": "/dev/xvda", "Ebs": pascal(taken["rootBlockDevices"][0])}
        found["BlockDeviceMappings"] = [root]
    return found


def _document(key: str, into: str) -> Callable[[Mapping[str, Any]], Properties | None]:
    """Types with a policy as text, which is an object in CloudFormation."""

    def convert(inputs: Mapping[str, Any]) -> Properties | None:
        document = _parsed(inputs.get(key))
        if document is None:
            return None
        found, _ = _split(inputs, key, "tags", "description")
        return {**found, into: document}

    return convert


def _parsed(given: Any) -> Any:
    try:
        found = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        return None
    return found if isinstance(found, Mapping) else None


def _role(inputs: Mapping[str, Any]) -> Properties | None:
    trust = _parsed(inputs.get("assumeRolePolicy"))
    policies = [(item.get("name", "p"), _parsed(item.get("policy"))) for item in inputs.get("inlinePolicies", [])]
    if trust is None or any(document is None for _, document in policies):
        return None
    found = _tagged({key: inputs[key] for key in ("name", "managedPolicyArns", "tags") if key in inputs})
    inline = [{"PolicyName": given, "PolicyDocument": document} for given, document in policies]
    return {
        **_renamed(found, Name="RoleName"),
        "AssumeRolePolicyDocument": trust,
        **({"Policies": inline} if inline else {}),
    }


def _security_group(inputs: Mapping[str, Any]) -> Properties | None:
    """A rule for each range; what opens to other groups is left where it is."""
    found: Properties = {"GroupDescription": inputs.get("description", "group")}
    for direction in ("ingress", "egress"):
        rules = inputs.get(direction, [])
        if not isinstance(rules, list) or not all(isinstance(rule, Mapping) for rule in rules):
            return None
        found[f"SecurityGroup{name(direction)}"] = [single for rule in rules for single in _ranges(rule)]
    return found


def _ranges(rule: Mapping[str, Any]) -> list[Properties]:
    port = {"IpProtocol": rule.get("protocol"), "FromPort": rule.get("fromPort"), "ToPort": rule.get("toPort")}
    return [
        {**port, into: cidr}
        for key, into in (("cidrBlocks", "CidrIp"), ("ipv6CidrBlocks", "CidrIpv6"))
        for cidr in rule.get(key, [])
    ]


def _beanstalk(inputs: Mapping[str, Any]) -> Properties:
    options = [
        {"Namespace": item.get("namespace"), "OptionName": item.get("name"), "Value": item.get("value")}
        for item in inputs.get("settings", [])
    ]
    tags = {"Tags": tag_list(inputs["tags"])} if "tags" in inputs else {}
    return {"ApplicationName": "app", "OptionSettings": options, **tags}


_Converter = Callable[[Mapping[str, Any]], Properties | None]
_TYPES: Final[Mapping[str, tuple[str, _Converter]]] = {
    "aws:autoscaling/group:Group": ("AWS::AutoScaling::AutoScalingGroup", _group),
    "aws:batch/computeEnvironment:ComputeEnvironment": ("AWS::Batch::ComputeEnvironment", _tag_map),
    "aws:codebuild/project:Project": (
        "AWS::CodeBuild::Project",
        lambda inputs: {**_tagged(inputs), "Environment": pascal(inputs["environment"])},
    ),
    "aws:ebs/volume:Volume": ("AWS::EC2::Volume", _tagged),
    "aws:ec2/capacityReservation:CapacityReservation": (
        "AWS::EC2::CapacityReservation",
        lambda inputs: _specified(inputs, "capacity-reservation"),
    ),
    "aws:ec2/dedicatedHost:DedicatedHost": ("AWS::EC2::Host", _tagged),
    "aws:ec2/fleet:Fleet": ("AWS::EC2::EC2Fleet", lambda inputs: _specified(inputs, "fleet")),
    "aws:ec2/instance:Instance": ("AWS::EC2::Instance", _instance),
    "aws:ec2/launchTemplate:LaunchTemplate": ("AWS::EC2::LaunchTemplate", _template),
    "aws:ec2/securityGroup:SecurityGroup": ("AWS::EC2::SecurityGroup", _security_group),
    "aws:ec2/spotFleetRequest:SpotFleetRequest": ("AWS::EC2::SpotFleet", _spot_fleet),
    "aws:ecs/capacityProvider:CapacityProvider": ("AWS::ECS::CapacityProvider", _tagged),
    "aws:eks/cluster:Cluster": ("AWS::EKS::Cluster", _cluster),
    "aws:eks/nodeGroup:NodeGroup": ("AWS::EKS::Nodegroup", _node_group),
    "aws:elasticbeanstalk/environment:Environment": ("AWS::ElasticBeanstalk::Environment", _beanstalk),
    "aws:emr/instanceFleet:InstanceFleet": ("AWS::EMR::InstanceFleetConfig", pascal),
    "aws:iam/policy:Policy": ("AWS::IAM::ManagedPolicy", _document("policy", "PolicyDocument")),
    "aws:iam/role:Role": ("AWS::IAM::Role", _role),
    "aws:imagebuilder/infrastructureConfiguration:InfrastructureConfiguration": (
        "AWS::ImageBuilder::InfrastructureConfiguration",
        _tag_map,
    ),
    "aws:kms/key:Key": ("AWS::KMS::Key", lambda inputs: _renamed(_tagged(inputs), CustomerMasterKeySpec="KeySpec")),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": (
        "AWS::SageMaker::EndpointConfig",
        _tagged,
    ),
    "aws:sagemaker/notebookInstance:NotebookInstance": ("AWS::SageMaker::NotebookInstance", _tagged),
    "aws:sns/topic:Topic": ("AWS::SNS::Topic", _tagged),
    "aws:sqs/queue:Queue": (
        "AWS::SQS::Queue",
        lambda inputs: _renamed(_tagged(inputs), SqsManagedSseEnabled="SqsManagedSseEnabled"),
    ),
}


def declared(type_: str, inputs: Mapping[str, Any]) -> Declared | None:
    """The resource as CloudFormation declares it; None where it is not in this table, or cannot be said there."""
    if type_ not in _TYPES:
        return None
    cloudformation, convert = _TYPES[type_]
    properties = convert({key: value for key, value in inputs.items() if value is not None})
    return None if properties is None else Declared(cloudformation, properties)
