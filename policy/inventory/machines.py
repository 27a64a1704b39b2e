"""Clusters and machines of AWS as other tools' objects say them: Cluster API and eksctl.

Their fields by their sources: kubernetes-sigs/cluster-api-provider-aws v2 (`api/v1beta2`, `exp/api/v1beta2`,
`controlplane/eks/api/v1beta2`) and eksctl's schema `eksctl.io/v1alpha5`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from policy.inventory.item import Blind, Item, without_nothing
from policy.reading import Unknown, each, get, present, text, truthy, whole

Found = Iterator[Item | Blind]

ACCESS: Final = "aws:eks/accessEntry:AccessEntry"
CLUSTER: Final = "aws:eks/cluster:Cluster"
GROUP: Final = "aws:autoscaling/group:Group"
INSTANCE: Final = "aws:ec2/instance:Instance"
NODE_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
SECURITY_GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"
TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"


#: A launch template that the tool makes, under a name that is nobody else's: what has it says so by `needs`.
_MADE: Final[Mapping[str, str]] = {"name": ""}


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _annotations(item: Item) -> Any:
    return get(item.props, "metadata", "annotations")


TOLD: Final = "k8s.io/cluster-autoscaler/node-template/"
"""Tags by which the cluster autoscaler is told of a group's nodes: `label/` or `taint/`, and the key; of a taint the
value and the effect."""


def _access(entries: Any, place: str, *keys: str) -> Found:
    """Access inside a cluster by the first of keys that an entry has; both tools name an access entry's alike."""
    for index, entry in enumerate(each(entries)):
        found = (get(entry, key) for key in keys or ("principalARN",))
        principal = next((one for one in found if one is not None), None)
        if principal is not None:
            yield Item(ACCESS, {"principalArn": principal}, f"{place}.{index}")


# --- Cluster API ---


def capi(item: Item) -> Found:
    """Objects of Cluster API's provider for AWS that start machines, and EKS' control plane."""
    kind, spec = item.type.rpartition(":")[2], item.props.get("spec")
    if isinstance(spec, Unknown):
        yield Blind(item.at("spec"), "is unknown in preview")
    match kind:
        case "AWSMachineTemplate":
            yield _template(item, get(spec, "template", "spec"), "spec.template.spec")
        case "AWSMachine":
            template = _template(item, spec, "spec")
            yield template
            props = {"launchTemplate": _MADE, "tags": _tags(spec)}
            yield Item(INSTANCE, props, item.at("spec"), item.name, (template.place,))
        case "AWSMachinePool":
            yield from _pool(item, spec)
        case "AWSManagedMachinePool":
            yield from _managed(item, spec)
        case "AWSCluster" | "AWSClusterTemplate":
            yield from _bastion(item, get(spec, "template", "spec") or spec)
        case "AWSManagedControlPlane" | "AWSManagedControlPlaneTemplate":
            plane = get(spec, "template", "spec") or spec
            yield _control_plane(item, plane)
            yield from _bastion(item, plane)
            yield from _access(get(plane, "accessEntries"), item.at("spec.accessEntries"))
            users = get(plane, "iamAuthenticatorConfig", "mapUsers")
            yield from _access(users, item.at("spec.iamAuthenticatorConfig.mapUsers"), "userarn")
        case _:
            yield item.alone()


def _bastion(item: Item, spec: Any) -> Found:
    """A machine to log in on, open to all where no ranges are named (`api/v1beta2/defaults.go` SetDefaults_Bastion)."""
    bastion = get(spec, "bastion")
    if isinstance(bastion, Unknown):
        yield Blind(item.at("spec.bastion"), "is unknown in preview")
    enabled = get(bastion, "enabled")
    if not isinstance(enabled, Unknown) and not truthy(enabled):
        return
    ranges = get(bastion, "allowedCIDRBlocks")
    if not truthy(get(bastion, "disableIngressRules")):
        cidrs = ranges if isinstance(ranges, Unknown) or ranges else ["0.0.0.0/0"]
        rule = {"protocol": "tcp", "fromPort": 22, "toPort": 22, "cidrBlocks": cidrs}
        yield Item(SECURITY_GROUP, {"ingress": [rule], "tags": _tags(spec)}, item.at("spec.bastion"), item.name)
    given = get(bastion, "instanceType")
    if given is not None:
        props = {"instanceType": given, "launchTemplate": _MADE, "tags": _tags(spec)}
        yield Item(INSTANCE, props, item.at("spec.bastion"), item.name)


def _template(item: Item, spec: Any, place: str) -> Item:
    """A launch template; CAPA leaves IMDSv2 to what is said here, and encrypts what is marked."""
    volumes = [get(spec, "rootVolume"), *each(get(spec, "nonRootVolumes"))]
    mappings = [
        {"deviceName": text(get(volume, "deviceName")) or "/dev/xvda", "ebs": {"encrypted": get(volume, "encrypted")}}
        for volume in volumes
        if volume is not None
    ]
    market = _market(spec)
    props = {
        "instanceType": get(spec, "instanceType"),
        "metadataOptions": get(spec, "instanceMetadataOptions"),
        "blockDeviceMappings": mappings or None,
        "instanceMarketOptions": {"marketType": market} if market else None,
        # Without a name CAPA takes the key that is called default (api/v1beta2/awsmachine_types.go SSHKeyName).
        "keyName": "default" if get(spec, "sshKeyName") is None else get(spec, "sshKeyName"),
        "tags": _tags(spec),
        "tagSpecifications": [{"resourceType": kind, "tags": _tags(spec)} for kind in ("instance", "volume")],
        "annotations": _annotations(item),
    }
    return Item(TEMPLATE, without_nothing(props), item.at(place), item.name)


def _market(spec: Any) -> Any:
    """How a machine is bought: Spot options count only where no type says otherwise (`ec2/instances.go`)."""
    given = get(spec, "marketType")
    if isinstance(given, Unknown):
        return given
    if not given:
        return "spot" if get(spec, "spotMarketOptions") is not None else None
    return {"capacityblock": "capacity-block"}.get(text(given).lower(), text(given).lower())


def _tags(spec: Any) -> Any:
    """Tags that it is given; the controller adds one of its own (`api/v1beta2/tags.go` ClusterTagKey)."""
    given = get(spec, "additionalTags")
    return given if isinstance(given, Unknown) else {"sigs.k8s.io/cluster-api-provider-aws": "owned", **_map(given)}


def _pool(item: Item, spec: Any) -> Found:
    template = _template(item, get(spec, "awsLaunchTemplate"), "spec.awsLaunchTemplate")
    policy = get(spec, "mixedInstancesPolicy")
    most = get(spec, "maxSize")
    props = {
        "minSize": get(spec, "minSize"),
        "maxSize": 1 if most is None else most,  # exp/api/v1beta2/awsmachinepool_types.go
        "mixedInstancesPolicy": without_nothing(
            {
                "instancesDistribution": get(policy, "instancesDistribution"),
                "launchTemplate": {"overrides": get(policy, "overrides")},
            }
        )
        if isinstance(policy, Mapping)
        else policy,
        "tags": _tags(spec),
        "annotations": _annotations(item),
    }
    yield template
    yield Item(GROUP, without_nothing(props), item.at("spec"), item.name, (template.place,))


def _managed(item: Item, spec: Any) -> Found:
    given, capacity = get(spec, "awsLaunchTemplate"), get(spec, "capacityType")
    words = {"spot": "SPOT", "ondemand": "ON_DEMAND", "capacityblock": "CAPACITY_BLOCK"}
    of_template = get(given, "instanceType")
    instance_type = get(spec, "instanceType") or of_template
    props = {
        "capacityType": capacity if isinstance(capacity, Unknown) else words.get(text(capacity).lower()),
        "instanceTypes": None if instance_type is None else [instance_type],
        "amiType": get(spec, "amiType"),
        "scalingConfig": {"maxSize": get(spec, "scaling", "maxSize")},
        "remoteAccess": _remote_access(get(spec, "remoteAccess")),
        "launchTemplate": _MADE if given is not None else None,
        "tags": _tags(spec),
        "annotations": _annotations(item),
    }
    yield Item(NODE_GROUP, without_nothing(props), item.at("spec"), item.name)
    if isinstance(given, Unknown):
        yield Blind(item.at("spec.awsLaunchTemplate"), "is unknown in preview")
    if isinstance(given, Mapping):  # the group says how its machines are bought
        rest = {key: value for key, value in given.items() if key != "instanceType"}
        yield _template(item, rest, "spec.awsLaunchTemplate")


def _remote_access(given: Any) -> Any:
    """CAPA lets the cluster's own group in, besides those that are named (`pkg/cloud/services/eks/nodegroup.go`)."""
    if not isinstance(given, Mapping):
        return given
    groups = [] if truthy(get(given, "public")) else [*each(get(given, "sourceSecurityGroups")), "the cluster's"]
    return {"ec2SshKey": get(given, "sshKeyName"), "sourceSecurityGroupIds": groups}


_LOGS: Final = ("apiServer", "audit", "authenticator", "controllerManager", "scheduler")


def _control_plane(item: Item, spec: Any) -> Item:
    access, logging, encryption = (get(spec, name) for name in ("endpointAccess", "logging", "encryptionConfig"))
    version = get(spec, "version")
    policy = get(spec, "upgradePolicy")
    props = {
        "vpcConfig": without_nothing(
            {
                "endpointPublicAccess": get(access, "public"),
                "endpointPrivateAccess": get(access, "private"),
                "publicAccessCidrs": get(access, "publicCIDRs"),
            }
        ),
        "enabledClusterLogTypes": logging
        if isinstance(logging, Unknown)
        else ["api" if name == "apiServer" else name for name in _LOGS if truthy(get(logging, name))],
        "encryptionConfig": {"provider": {"keyArn": get(encryption, "provider")}} if encryption is not None else None,
        "version": version if isinstance(version, Unknown) else _release(text(version)),
        "upgradePolicy": {"supportType": policy if isinstance(policy, Unknown) else text(policy).upper()},
        "tags": _tags(spec),
    }
    return Item(CLUSTER, without_nothing(props), item.at("spec"), item.name)


def _release(version: str) -> str | None:
    """CAPA asks EKS for the first two figures of a version (`pkg/cloud/services/eks/cluster.go`, versionToEKS)."""
    found = re.match(r"v?(\d+\.\d+)(?=\.|$)", version)
    return found[1] if found else version or None


# --- eksctl ---


def eksctl(item: Item) -> Found:
    """eksctl's ClusterConfig: the control plane with eksctl's defaults, and both kinds of node groups."""
    props = item.props
    endpoints, logging = (
        get(props, "vpc", "clusterEndpoints"),
        get(props, "cloudWatch", "clusterLogging", "enableTypes"),
    )
    public, private = get(endpoints, "publicAccess"), get(endpoints, "privateAccess")
    if truthy(get(props, "privateCluster", "enabled")):  # ends private, whatever it is while it is made
        public, private = False, True
    key = get(props, "secretsEncryption", "keyARN")
    types = [text(one) for one in each(logging)]
    cluster = {
        "vpcConfig": without_nothing(
            {
                "endpointPublicAccess": True if public is None else public,
                "endpointPrivateAccess": False if private is None else private,
                "publicAccessCidrs": get(props, "vpc", "publicAccessCIDRs"),
            }
        ),
        "enabledClusterLogTypes": ["api", "audit", "authenticator", "controllerManager", "scheduler"]
        if {"*", "all"} & set(types)
        else types,
        "encryptionConfig": {"provider": {"keyArn": key}} if key is not None else None,
        "version": get(props, "metadata", "version"),
        "upgradePolicy": without_nothing({"supportType": get(props, "upgradePolicy", "supportType")}),
        "tags": {"alpha.eksctl.io/cluster-name": "", **_map(get(props, "metadata", "tags"))},
    }
    # eksctl adds groups to a cluster that it has not made only where it is told the group of its control plane.
    if endpoints is not None or not present(props, "vpc", "securityGroup"):
        yield Item(CLUSTER, without_nothing(cluster), item.place, item.name)
    yield from _access(get(props, "accessConfig", "accessEntries"), item.at("accessConfig.accessEntries"))
    yield from _access(get(props, "iamIdentityMappings"), item.at("iamIdentityMappings"), "arn", "account")
    yield from eksctl_groups(item)


GROUPS_ALONE: Final = "kubernetes:eksctl.io/v1alpha5:NodeGroupsOfClusterConfig"
"""Type of a ClusterConfig of which a command makes the node groups alone."""


def eksctl_groups(item: Item) -> Found:
    """Both kinds of node groups of a ClusterConfig."""
    props = item.props
    for kind in ("managedNodeGroups", "nodeGroups"):
        for index, group in enumerate(each(props.get(kind))):
            found = _eksctl_group(group, item, kind, index)
            yield found
            if isinstance(group, Mapping) and "launchTemplate" not in group:
                yield _eksctl_template(group, found)


def _eksctl_template(group: Mapping[str, Any], made: Item) -> Item:
    """The launch template that eksctl makes for a group (`pkg/cfn/builder/nodegroup.go`).

    It asks for IMDSv2 unless told otherwise, lets pods reach the service, and leaves volumes to the image.
    """
    older, pods = get(group, "disableIMDSv1"), truthy(get(group, "disablePodIMDS"))
    volumes = [group, *each(get(group, "additionalVolumes"))]
    props = {
        "metadataOptions": {
            "httpTokens": "required" if older is None or truthy(older) or pods else "optional",
            "httpPutResponseHopLimit": 1 if pods else 2,
        },
        "blockDeviceMappings": [
            {"deviceName": text(get(volume, "volumeName")), "ebs": {"encrypted": get(volume, "volumeEncrypted")}}
            for volume in volumes
        ],
        "tags": made.props.get("tags"),
        "tagSpecifications": [
            {"resourceType": kind, "tags": made.props.get("tags")} for kind in ("instance", "volume")
        ],
    }
    return Item(TEMPLATE, without_nothing(props), made.place, made.name)


def _selected(group: Any) -> Any:
    """Types that a selector finds are known to AWS alone; only one for 0 GPUs finds none with a GPU."""
    selector = get(group, "instanceSelector")
    return Unknown("instanceSelector") if selector and whole(get(selector, "gpus")) != 0 else None


def _ssh(given: Any) -> dict[str, Any] | None:
    """eksctl opens port 22 and takes `~/.ssh/id_rsa.pub` unless a key is named (`ssh.allow`, its schema)."""
    if not isinstance(given, Mapping) or not (isinstance(given.get("allow"), Unknown) or truthy(given.get("allow"))):
        return None
    groups = given.get("sourceSecurityGroupIds")
    return without_nothing({"ec2SshKey": given.get("publicKeyName") or "id_rsa", "sourceSecurityGroupIds": groups})


def _taints(group: Any) -> Any:
    """Taints of a group's nodes: a list, or in older files a map of keys to value and effect."""
    given = get(group, "taints")
    if not isinstance(given, Mapping):
        return given
    parts = {key: text(value).rpartition(":") for key, value in given.items()}
    return [{"key": key, "value": value, "effect": effect} for key, (value, _, effect) in parts.items()]


def _told(group: Any) -> dict[str, Any]:
    """Labels and taints of a group's nodes as eksctl tells them to the autoscaler (`propagateASGTags`)."""
    labels = {f"{TOLD}label/{key}": value for key, value in _map(get(group, "labels")).items()}
    taints = (taint for taint in each(_taints(group)) if isinstance(taint, Mapping))
    told = {
        f"{TOLD}taint/{text(get(one, 'key'))}": f"{text(get(one, 'value'))}:{text(get(one, 'effect'))}"
        for one in taints
    }
    return {**labels, **told}


def _eksctl_group(group: Any, item: Item, kind: str, index: int) -> Item:
    """A node group, as far as it buys."""
    place = item.at(kind, index)
    if isinstance(group, Unknown):
        return Item(NODE_GROUP, {"instanceTypes": group, "launchTemplate": _MADE}, place)
    tags, distribution = (
        {"alpha.eksctl.io/cluster-name": "", **_map(get(group, "tags"))},
        get(group, "instancesDistribution"),
    )
    types = get(group, "instanceTypes") or get(distribution, "instanceTypes")
    one = get(group, "instanceType")
    chosen = types if types is not None else _selected(group) if one in (None, "mixed") else [one]
    size = get(group, "maxSize")
    if kind == "nodeGroups" and distribution is not None:
        listed = [chosen] if isinstance(chosen, Unknown) else each(chosen)
        overrides = [{"instanceType": each_type} for each_type in listed]
        policy = {"instancesDistribution": distribution, "launchTemplate": {"overrides": overrides}}
        found = {"maxSize": size, "mixedInstancesPolicy": policy, "tags": {**tags, **_told(group)}}
        return Item(GROUP, without_nothing(found), place, text(get(group, "name")))
    spot = get(group, "spot")
    market = text(get(group, "instanceMarketOptions", "marketType")).upper().replace("-", "_") or None
    props = {
        "nodeGroupName": get(group, "name") if kind == "managedNodeGroups" else None,
        "instanceTypes": chosen,
        "capacityType": spot if isinstance(spot, Unknown) else "SPOT" if truthy(spot) else market,
        "amiType": get(group, "amiFamily"),
        "scalingConfig": {"maxSize": get(group, "desiredCapacity") if size is None else size},
        "remoteAccess": _ssh(get(group, "ssh")),
        "launchTemplate": _MADE,
        "labels": get(group, "labels"),
        "taints": _taints(group),
        "tags": tags,
    }
    return Item(NODE_GROUP, without_nothing(props), place, text(get(group, "name")))
