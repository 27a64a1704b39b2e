"""Resources of AWS in the form of the `aws` provider, from every other form in which a program can write them.

AWS' own API names them one way (CloudFormation, Cloud Control, AWS Native, ACK), Terraform's provider another (bridged
providers, Crossplane); only what rules read is brought together. A type that no rule reads stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from policy.inventory.item import Blind, Item
from policy.inventory.terraform import inputs_of, table, token_of
from policy.reading import Unknown, each, get, text

Found = Iterator[Item | Blind]
Props = dict[str, Any]
Shape = Callable[[Props], Props]


def native_token(type_: str) -> str:
    """`AWS::EC2::LaunchTemplate` as AWS Native's token, `aws-native:ec2:LaunchTemplate`."""
    service, _, kind = type_.removeprefix("AWS::").partition("::")
    return f"aws-native:{service.lower()}:{kind}"


# --- keys ---

#: Below them stand names of others: documents, tags, labels.
_AS_WRITTEN: Final = frozenset(
    {
        *("policy", "policydocument", "assumerolepolicydocument", "assumerolepolicy", "keypolicy", "inlinepolicy"),
        *("inlinepolicies", "labels", "parameters", "variables", "userdata"),
    }
)
#: Words that are written otherwise here than a change of their first letter makes them.
_SPELLED: Final[Mapping[str, str]] = {
    name.lower(): name
    for name in (
        *("kmsKeyId", "kmsMasterKeyId", "keyArn", "vpcId", "subnetIds", "cidrIp", "cidrIpv6", "cidrIpv4"),
        *("maxVcpus", "memoryMib", "vcpuCount", "launchTemplateId", "sqsManagedSseEnabled", "ec2SshKey", "amiType"),
        *("resourcesVpcConfig", "vpcConfig", "managedPolicyArns", "policyArn", "ebs", "ebsOptimized"),
        *("httpPutResponseHopLimit", "imageId", "sourceSecurityGroups", "sourceSecurityGroupIds"),
        *("iops", "snapshotId", "instanceId", "resourceId", "acceleratorCount", "onDemandTargetCapacity"),
    )
}


#: Fields by which ACK's objects name another object, to those that hold what is asked of it.
_REFERENCES: Final[Mapping[str, str]] = {
    "keyRef": "keyArn",
    "kmsKeyRef": "kmsKeyId",
    "kmsMasterKeyRef": "kmsMasterKeyId",
    "sourceSecurityGroupRefs": "sourceSecurityGroups",
}


def _key(key: str) -> str:
    """A property's name as the `aws` provider writes it: of `InstanceTypes`, `instance_types`, `kmsKeyID`."""
    key = re.sub(r"_+([a-zA-Z0-9])", lambda found: found[1].upper(), key)
    if key.lower() in _SPELLED:
        return _SPELLED[key.lower()]
    key = re.sub(r"([A-Z])([A-Z]+)(?=[A-Z][a-z]|s?$|s[A-Z]|\d)", lambda found: found[1] + found[2].lower(), key)
    return key[:1].lower() + key[1:]


def _renamed(value: Any) -> Any:
    if isinstance(value, Mapping):
        found = {_key(str(key)): _below(str(key), element) for key, element in value.items()}
        named = {
            name: [Unknown(key)] if key.endswith("s") else Unknown(key)
            for key, name in _REFERENCES.items()
            if key in found
        }
        return {**named, **found}
    return [_renamed(element) for element in value] if isinstance(value, list) else value


def _below(key: str, value: Any) -> Any:
    plain = key.lower().replace("_", "")
    if plain in _AS_WRITTEN:
        return value
    return _tags(value) if plain in {"tags", "tagset"} else _renamed(value)


def _tags(value: Any) -> Any:
    """Tags as a map: AWS' API has a list of keys and values."""
    if not isinstance(value, list) or any(isinstance(one, Unknown) for one in value):
        return value
    pairs = [{str(key).lower(): element for key, element in one.items()} for one in value if isinstance(one, Mapping)]
    return {text(pair.get("key")): pair.get("value") for pair in pairs if pair.get("key") is not None}


def _moved(props: Props, **names: str) -> Props:
    """Properties under other names."""
    return {names.get(key, key): value for key, value in props.items()}


def _lifted(props: Props, name: str) -> Props:
    """Properties with those below one of them."""
    inner = props.get(name)
    rest = {key: value for key, value in props.items() if key != name}
    if isinstance(inner, Mapping):
        return {**rest, **inner}
    # Nothing below it is known: it may be any type, bought in any way.
    return {**rest, "instanceType": inner, "instanceMarketOptions": inner} if isinstance(inner, Unknown) else rest


# --- AWS' own API ---


def _nodegroup(props: Props) -> Props:
    scaling = props.get("scalingConfig")
    if scaling is None or (isinstance(scaling, Mapping) and scaling.get("maxSize") is None):
        # EKS API, CreateNodegroup: two nodes where nothing is said.
        props = {**props, "scalingConfig": {"maxSize": 2, **(scaling or {})}}
    access = props.get("remoteAccess")
    if isinstance(access, Mapping):
        props["remoteAccess"] = _moved(dict(access), sourceSecurityGroups="sourceSecurityGroupIds")
    return props


def _cluster(props: Props) -> Props:
    logging = props.pop("logging", None)
    enabled = logging if isinstance(logging, Unknown) else get(logging, "clusterLogging")
    listed = enabled if isinstance(enabled, Unknown) else _log_types(enabled)
    if listed is not None:
        props["enabledClusterLogTypes"] = listed
    encryption = props.get("encryptionConfig")
    if isinstance(encryption, list):
        props["encryptionConfig"] = next(iter(encryption), None)
    access = props.get("accessConfig")
    return (
        {**_moved(props, resourcesVpcConfig="vpcConfig"), "accessConfig": access}
        if access
        else _moved(props, resourcesVpcConfig="vpcConfig")
    )


def _log_types(logging: Any) -> Any:
    """CloudFormation lists types that are on, the API lists of types with a switch."""
    if isinstance(logging, list):
        return [kind for one in logging if get(one, "enabled") is True for kind in each(get(one, "types"))]
    types = get(logging, "enabledTypes")
    if types is None or isinstance(types, Unknown):
        return types
    return [one if isinstance(one, Unknown | str) else get(one, "type") for one in each(types)]


_ROOTS: Final = frozenset({"/dev/xvda", "/dev/sda1"})


def _devices(props: Props) -> Props:
    """Block devices of an instance, whose root the `aws` provider names apart."""
    mappings = props.pop("blockDeviceMappings", None)
    if isinstance(mappings, Unknown):
        return {**props, "rootBlockDevice": mappings}
    for mapping in each(mappings):
        ebs, name = get(mapping, "ebs"), text(get(mapping, "deviceName"))
        if isinstance(ebs, Mapping | Unknown):
            if name in _ROOTS:
                props["rootBlockDevice"] = ebs
            else:
                props["ebsBlockDevices"] = [*props.get("ebsBlockDevices", []), ebs]
    return props


def _spot_fleet(props: Props) -> Props:
    data = _lifted(props, "spotFleetRequestConfigData")
    listed = data.get("launchSpecifications")
    if isinstance(listed, list):
        data["launchSpecifications"] = [_fleet_devices(one) if isinstance(one, Mapping) else one for one in listed]
    return data


def _fleet_devices(specification: Mapping[str, Any]) -> Props:
    found = _devices(dict(specification))
    root = found.pop("rootBlockDevice", None)
    return {**found, "rootBlockDevices": [root]} if root is not None else found


def _group(props: Props) -> Props:
    """Ingress rules of a security group."""
    rules = props.pop("securityGroupIngress", props.pop("ingressRules", None))
    if isinstance(rules, list):
        rules = [_ingress(dict(rule)) if isinstance(rule, Mapping) else rule for rule in rules]
    return props if rules is None else {**props, "ingress": rules}


def _ingress(rule: Props) -> Props:
    rule = _moved(rule, cidrIp="cidrIpv4", sourcePrefixListId="prefixListId")
    for ranges, name in (("ipRanges", "cidrIp"), ("ipv6Ranges", "cidrIpv6")):
        listed = rule.pop(ranges, None)
        if listed is not None:
            rule[f"{name}s" if name == "cidrIp" else name] = listed
            rule["cidrBlocks"] = [*rule.get("cidrBlocks", []), *(get(one, name) for one in each(listed))]
    return rule


def _specified_tags(props: Props) -> Props:
    """Tags of its own that stand among specifications of tags."""
    own = [one for one in each(props.pop("tagSpecifications", None)) if isinstance(one, Mapping)]
    tags = {key: value for one in own for key, value in _as_map(one.get("tags")).items()}
    return {**props, "tags": {**_as_map(props.get("tags")), **tags}} if tags else props


def _launch_template(props: Props) -> Props:
    """Its data are the template."""
    named = _moved(_specified_tags(props), launchTemplateName="name")
    return _lifted(_lifted(named, "data"), "launchTemplateData")


def _as_map(tags: Any) -> Mapping[str, Any]:
    return tags if isinstance(tags, Mapping) else {}


def _file_system(props: Props) -> Props:
    """EFS calls its tags otherwise in CloudFormation."""
    return {**_moved(props, fileSystemTags="tags"), "tags": _tags(props.get("fileSystemTags", props.get("tags")))}


def _policy(props: Props) -> Props:
    return _moved(props, policyDocument="policy", policyDoc="policy")


def _held(props: Props) -> tuple[list[Any], list[Any]]:
    """Documents and ARNs of policies that a role, user or group holds.

    CloudFormation has documents under `policies`; ACK has ARNs there, and documents by name in `inlinePolicies`.
    """
    inline: list[Any] = []
    attached = list(each(props.pop("managedPolicyArns", None)))
    for one in each(props.pop("policies", None)):
        if isinstance(one, Mapping):
            inline.append(_policy(dict(one)))
        else:
            attached.append(one)
    named = props.pop("inlinePolicies", None)
    if isinstance(named, Mapping):
        inline += [{"name": name, "policy": document} for name, document in named.items()]
    return inline, attached


def _role(props: Props) -> Props:
    props = _moved(props, assumeRolePolicyDocument="assumeRolePolicy")
    inline, attached = _held(props)
    return {
        **props,
        **({"inlinePolicies": inline} if inline else {}),
        **({"managedPolicyArns": attached} if attached else {}),
    }


def _log_group(props: Props) -> Props:
    return _moved(props, retentionDays="retentionInDays")


def _as_it_is(props: Props) -> Props:
    return props


#: `service:kind`, in lower case, as AWS' API, CloudFormation and ACK name it, to token and shape.
_FORMS: Final[Mapping[str, tuple[str, Shape]]] = {
    "autoscaling:autoscalinggroup": ("aws:autoscaling/group:Group", _as_it_is),
    "autoscaling:launchconfiguration": ("aws:ec2/launchConfiguration:LaunchConfiguration", _devices),
    "batch:computeenvironment": ("aws:batch/computeEnvironment:ComputeEnvironment", _as_it_is),
    "ec2:capacityreservation": ("aws:ec2/capacityReservation:CapacityReservation", _specified_tags),
    "ec2:eip": ("aws:ec2/eip:Eip", _as_it_is),
    "ec2:natgateway": ("aws:ec2/natGateway:NatGateway", _as_it_is),
    "ec2:vpcendpoint": ("aws:ec2/vpcEndpoint:VpcEndpoint", _as_it_is),
    "efs:filesystem": ("aws:efs/fileSystem:FileSystem", _file_system),
    "elasticloadbalancingv2:loadbalancer": ("aws:lb/loadBalancer:LoadBalancer", _as_it_is),
    "rds:dbcluster": ("aws:rds/cluster:Cluster", _as_it_is),
    "rds:dbinstance": ("aws:rds/instance:Instance", _as_it_is),
    "s3:bucket": ("aws:s3/bucket:Bucket", _as_it_is),
    "ec2:ec2fleet": ("aws:ec2/fleet:Fleet", _specified_tags),
    "ec2:fleet": ("aws:ec2/fleet:Fleet", _specified_tags),
    "ec2:host": ("aws:ec2/dedicatedHost:DedicatedHost", _as_it_is),
    "ec2:instance": ("aws:ec2/instance:Instance", _devices),
    "ec2:launchtemplate": ("aws:ec2/launchTemplate:LaunchTemplate", _launch_template),
    "ec2:managedprefixlist": ("aws:ec2/managedPrefixList:ManagedPrefixList", _as_it_is),
    "ec2:prefixlist": ("aws:ec2/managedPrefixList:ManagedPrefixList", _as_it_is),
    "ec2:securitygroup": ("aws:ec2/securityGroup:SecurityGroup", _group),
    "ec2:securitygroupingress": ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", _ingress),
    "ec2:spotfleet": ("aws:ec2/spotFleetRequest:SpotFleetRequest", _spot_fleet),
    "ec2:volume": ("aws:ebs/volume:Volume", _as_it_is),
    "ecr:repository": ("aws:ecr/repository:Repository", _as_it_is),
    "eks:accessentry": ("aws:eks/accessEntry:AccessEntry", _as_it_is),
    "eks:cluster": ("aws:eks/cluster:Cluster", _cluster),
    "eks:nodegroup": ("aws:eks/nodeGroup:NodeGroup", _nodegroup),
    "iam:grouppolicy": ("aws:iam/groupPolicy:GroupPolicy", _policy),
    "iam:managedpolicy": ("aws:iam/policy:Policy", _policy),
    "iam:policy": ("aws:iam/policy:Policy", _policy),
    "iam:role": ("aws:iam/role:Role", _role),
    "iam:rolepolicy": ("aws:iam/rolePolicy:RolePolicy", _policy),
    "iam:userpolicy": ("aws:iam/userPolicy:UserPolicy", _policy),
    "kms:key": ("aws:kms/key:Key", _as_it_is),
    "logs:loggroup": ("aws:cloudwatch/logGroup:LogGroup", _as_it_is),
    "cloudwatchlogs:loggroup": ("aws:cloudwatch/logGroup:LogGroup", _log_group),
    "sns:topic": ("aws:sns/topic:Topic", _as_it_is),
    "sqs:queue": ("aws:sqs/queue:Queue", _as_it_is),
}
FORMS: Final[Mapping[str, str]] = {name: token for name, (token, _) in _FORMS.items()}


def of_native(item: Item) -> Found:
    """A resource of AWS Native, or of CloudFormation by its name there."""
    _, service, kind = item.type.split(":", 2)
    yield from _of_api(service, kind, item.props, item)


def of_ack(item: Item) -> Found:
    """An object of AWS' controllers for Kubernetes: its specification is what the API takes."""
    service = item.type.removeprefix("kubernetes:").partition(".")[0]
    kind = item.type.rpartition(":")[2]
    own = _OF_ACK.get(f"{service}:{kind}")
    specified = _specified(item)
    if own and isinstance(specified, Mapping):
        yield Item(own, _renamed(specified), item.place, _named(item), item.needs)
    else:
        yield from _of_api(service, kind, specified, item)


#: Kinds of ACK of which rules ask what those of CloudFormation cannot say, or know by AWS Native's type.
_OF_ACK: Final[Mapping[str, str]] = {
    "ec2:VPC": "aws:ec2/vpc:Vpc",
    "ec2:FlowLog": "aws:ec2/flowLog:FlowLog",
}


def _named(item: Item) -> str:
    """Name of an object in its cluster, by which others refer to it."""
    given = get(item.props, "metadata", "name")
    return item.name or (given if isinstance(given, str) else "")


def _of_api(service: str, kind: str, props: Any, item: Item) -> Found:
    form = _FORMS.get(f"{service}:{kind}".lower())
    if isinstance(props, Unknown):
        yield Blind(item.at(props.path), "is unknown in preview")
    if form is None or not isinstance(props, Mapping):
        yield from _unmapped(f"{service}:{kind}".lower(), props, item)
        return
    token, shape = form
    yield Item(token, shape(_renamed(props)), item.place, item.name, item.needs)


#: Users and groups hold what the `aws` provider attaches to them.
_HOLDERS: Final[Mapping[str, tuple[str, str]]] = {
    "iam:user": ("aws:iam/userPolicy:UserPolicy", "aws:iam/userPolicyAttachment:UserPolicyAttachment"),
    "iam:group": ("aws:iam/groupPolicy:GroupPolicy", "aws:iam/groupPolicyAttachment:GroupPolicyAttachment"),
}


def _unmapped(name: str, given: Any, item: Item) -> Found:
    """A type of which no rule knows the `aws` provider's form: as AWS Native writes it."""
    capitals = any(key[:1].isupper() for key in item.props)
    yield replace(item, props=_renamed(item.props) if capitals else item.props).alone()
    if name not in _HOLDERS:
        return
    inline, attached = _HOLDERS[name]
    documents, arns = _held(_renamed(given) if isinstance(given, Mapping) else {})
    for index, policy in enumerate(documents):
        yield Item(inline, policy, item.at("policies", index), item.name)
    for index, arn in enumerate(arns):
        yield Item(attached, {"policyArn": arn}, item.at("managedPolicyArns", index), item.name)


def _specified(item: Item) -> Any:
    """What an object of a controller wants of AWS, with its own annotations: a justification may stand there."""
    found = item.props.get("spec")
    annotations = get(item.props, "metadata", "annotations")
    return {**found, "annotations": annotations} if isinstance(found, Mapping) and annotations is not None else found


# --- Terraform's provider ---


def _of_terraform(types: Iterable[str], values: Mapping[str, Any], item: Item) -> Item | None:
    """The first of these types of Terraform that a rule reads, as the `aws` provider's resource."""
    type_ = next((one for one in types if one in table()), None)
    if type_ is None:
        return None
    token, shape = token_of(type_)
    return Item(token, inputs_of(values, shape), item.place, item.name, item.needs)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def of_bridged(item: Item) -> Found:
    """A resource of a provider that Pulumi bridges as it stands: `aws:index/eksNodeGroup:EksNodeGroup`."""
    name = _snake(item.type.rpartition(":")[2])
    found = _of_terraform((f"aws_{name}", f"aws_{name.replace('ec2_', '', 1)}"), item.props, item)
    yield found or item.alone()


#: Crossplane's kinds that Terraform calls otherwise than by group and kind.
_CROSSPLANE: Final[Mapping[str, str]] = {
    "autoscaling_autoscaling_group": "aws_autoscaling_group",
    "autoscaling_launch_configuration": "aws_launch_configuration",
    "autoscaling_group": "aws_autoscaling_group",
    "cloudwatchlogs_group": "aws_cloudwatch_log_group",
    "ec2_default_security_group": "aws_default_security_group",
    "ec2_flow_log": "aws_flow_log",
    "ec2_host": "aws_ec2_host",
    "elbv2_lb": "aws_lb",
    "rds_instance": "aws_db_instance",
    "ec2_security_group_ingress_rule": "aws_vpc_security_group_ingress_rule",
}


def _referred(value: Any) -> Any:
    """Values with what they take of other objects: `kmsKeyIdRef` and `kmsKeyIdSelector` are a `kmsKeyId` to come."""
    if isinstance(value, list):
        return [_referred(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    found = {key: _referred(one) for key, one in value.items()}
    for key in value:
        name = re.fullmatch(r"(\w*(?:Id|Arn|Name)s?)(Ref|Refs|Selector)", str(key))
        if name:
            several = name[2] == "Refs" and not name[1].endswith("s")
            found.setdefault(f"{name[1]}s" if several else name[1], Unknown(str(key)))
    return found


def of_crossplane(item: Item) -> Found:
    """An object of Crossplane's provider for AWS, which is made from Terraform's."""
    group = item.type.removeprefix("kubernetes:").partition(".")[0]
    name = f"{group}_{_snake(item.type.rpartition(':')[2])}"
    spec = item.props.get("spec")
    values = spec if isinstance(spec, Unknown) else get(spec, "forProvider")
    if isinstance(values, Unknown):
        yield Blind(item.at("spec.forProvider"), "is unknown in preview")
    types = (_CROSSPLANE.get(name, ""), f"aws_{name}", f"aws_{name.removeprefix('ec2_')}", f"aws_{group}{name}")
    annotations = get(item.props, "metadata", "annotations")
    found = _of_terraform(types, _referred(values), item) if isinstance(values, Mapping) else None
    if found is None:
        yield item.alone()
    else:
        marked = {"annotations": annotations} if annotations is not None else {}
        yield replace(found, props={**found.props, **marked}, name=_named(item))
