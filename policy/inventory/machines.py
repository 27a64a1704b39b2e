"""Clusters and machines of AWS as other tools' objects say them: Cluster API and eksctl.

Their fields by their sources: kubernetes-sigs/cluster-api-provider-aws v2 (`api/v1beta2`, `exp/api/v1beta2`,
`controlplane/eks/api/v1beta2`) and eksctl's schema `eksctl.io/v1alpha5`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from policy.inventory.item import Blind, Item
from policy.reading import Unknown, each, get, text, truthy

Found = Iterator[Item | Blind]

CLUSTER: Final = "aws:eks/cluster:Cluster"
GROUP: Final = "aws:autoscaling/group:Group"
INSTANCE: Final = "aws:ec2/instance:Instance"
NODE_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"


def _without_nothing(props: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in props.items() if value is not None}


def _annotations(item: Item) -> Any:
    return get(item.props, "metadata", "annotations")


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
            props = {"launchTemplate": {"name": item.name}, "tags": _tags(spec)}
            yield Item(INSTANCE, props, item.at("spec"), item.name, (template.place,))
        case "AWSMachinePool":
            yield from _pool(item, spec)
        case "AWSManagedMachinePool":
            yield from _managed(item, spec)
        case "AWSManagedControlPlane" | "AWSManagedControlPlaneTemplate":
            yield _control_plane(item, get(spec, "template", "spec") or spec)
        case _:
            yield item.alone()


def _template(item: Item, spec: Any, place: str) -> Item:
    """A launch template; CAPA leaves IMDSv2 to what is said here, and encrypts what is marked."""
    volumes = [get(spec, "rootVolume"), *each(get(spec, "nonRootVolumes"))]
    mappings = [
        {"deviceName": text(get(volume, "deviceName")) or "/dev/xvda", "ebs": {"encrypted": get(volume, "encrypted")}}
        for volume in volumes
        if volume is not None
    ]
    market = text(get(spec, "marketType")).lower()
    spot = get(spec, "spotMarketOptions") is not None or market == "spot"
    if market == "capacityblock":
        market = "capacity-block"
    props = {
        "instanceType": get(spec, "instanceType"),
        "metadataOptions": get(spec, "instanceMetadataOptions"),
        "blockDeviceMappings": mappings or None,
        "instanceMarketOptions": {"marketType": "spot" if spot else market} if spot or market else None,
        # Without a name CAPA takes the key that is called default (api/v1beta2/awsmachine_types.go SSHKeyName).
        "keyName": "default" if get(spec, "sshKeyName") is None else get(spec, "sshKeyName"),
        "tags": _tags(spec),
        "tagSpecifications": [{"resourceType": kind, "tags": _tags(spec)} for kind in ("instance", "volume")],
        "annotations": _annotations(item),
    }
    return Item(TEMPLATE, _without_nothing(props), item.at(place), item.name)


def _tags(spec: Any) -> Any:
    """Tags that it is given; the controller adds one of its own (`api/v1beta2/tags.go` ClusterTagKey)."""
    given = get(spec, "additionalTags")
    return given if isinstance(given, Unknown) else {"sigs.k8s.io/cluster-api-provider-aws": "owned", **(given or {})}


def _pool(item: Item, spec: Any) -> Found:
    template = _template(item, get(spec, "awsLaunchTemplate"), "spec.awsLaunchTemplate")
    policy = get(spec, "mixedInstancesPolicy")
    props = {
        "minSize": get(spec, "minSize"),
        "maxSize": get(spec, "maxSize"),
        "mixedInstancesPolicy": _without_nothing(
            {
                "instancesDistribution": get(policy, "instancesDistribution"),
                "launchTemplate": {"overrides": get(policy, "overrides")},
            }
        )
        if policy is not None
        else None,
        "annotations": _annotations(item),
    }
    yield template
    yield Item(GROUP, _without_nothing(props), item.at("spec"), item.name, (template.place,))


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
        "remoteAccess": get(spec, "remoteAccess"),
        "launchTemplate": {"name": item.name} if given is not None else None,
        "tags": _tags(spec),
        "annotations": _annotations(item),
    }
    yield Item(NODE_GROUP, _without_nothing(props), item.at("spec"), item.name)
    if isinstance(given, Mapping):  # the group says how its machines are bought
        rest = {key: value for key, value in given.items() if key != "instanceType"}
        yield _template(item, rest, "spec.awsLaunchTemplate")


_LOGS: Final = ("apiServer", "audit", "authenticator", "controllerManager", "scheduler")


def _control_plane(item: Item, spec: Any) -> Item:
    access, logging, encryption = (get(spec, name) for name in ("endpointAccess", "logging", "encryptionConfig"))
    version = get(spec, "version")
    policy = get(spec, "upgradePolicy")
    props = {
        "vpcConfig": _without_nothing(
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
        "version": version if isinstance(version, Unknown) else text(version).removeprefix("v") or None,
        "upgradePolicy": {"supportType": policy if isinstance(policy, Unknown) else text(policy).upper()},
        "tags": _tags(spec),
    }
    return Item(CLUSTER, _without_nothing(props), item.at("spec"), item.name)


# --- eksctl ---


def eksctl(item: Item) -> Found:
    """eksctl's ClusterConfig: the control plane with eksctl's defaults, and both kinds of node groups."""
    props = item.props
    endpoints, logging = (
        get(props, "vpc", "clusterEndpoints"),
        get(props, "cloudWatch", "clusterLogging", "enableTypes"),
    )
    public, private = get(endpoints, "publicAccess"), get(endpoints, "privateAccess")
    key = get(props, "secretsEncryption", "keyARN")
    types = [text(one) for one in each(logging)]
    cluster = {
        "vpcConfig": _without_nothing(
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
        "upgradePolicy": _without_nothing({"supportType": get(props, "upgradePolicy", "supportType")}),
        "tags": {"alpha.eksctl.io/cluster-name": "", **(get(props, "metadata", "tags") or {})},
    }
    if any(name in props for name in ("vpc", "cloudWatch", "secretsEncryption", "iam", "accessConfig")):
        yield Item(CLUSTER, _without_nothing(cluster), item.place, item.name)
    for kind in ("managedNodeGroups", "nodeGroups"):
        for index, group in enumerate(each(props.get(kind))):
            yield _eksctl_group(group, item, kind, index)


def _eksctl_group(group: Any, item: Item, kind: str, index: int) -> Item:
    """A node group, as far as it buys; eksctl itself asks for IMDSv2 and encrypts (its defaults)."""
    place = item.at(kind, index)
    if isinstance(group, Unknown):
        return Item(NODE_GROUP, {"instanceTypes": group, "launchTemplate": {"name": ""}}, place)
    tags, distribution = (
        {"alpha.eksctl.io/cluster-name": "", **(get(group, "tags") or {})},
        get(group, "instancesDistribution"),
    )
    types = get(group, "instanceTypes") or get(distribution, "instanceTypes")
    one = get(group, "instanceType")
    chosen = types if types is not None else None if one in (None, "mixed") else [one]
    size = get(group, "maxSize")
    if kind == "nodeGroups" and distribution is not None:
        overrides = [{"instanceType": each_type} for each_type in each(chosen)]
        policy = {"instancesDistribution": distribution, "launchTemplate": {"overrides": overrides}}
        return Item(GROUP, _without_nothing({"maxSize": size, "mixedInstancesPolicy": policy, "tags": tags}), place)
    spot = get(group, "spot")
    props = {
        "instanceTypes": chosen,
        "capacityType": spot if isinstance(spot, Unknown) else "SPOT" if truthy(spot) else None,
        "amiType": get(group, "amiFamily"),
        "scalingConfig": {"maxSize": get(group, "desiredCapacity") if size is None else size},
        "launchTemplate": {"name": ""},
        "tags": tags,
    }
    return Item(NODE_GROUP, _without_nothing(props), place, text(get(group, "name")))
