"""Every volume is encrypted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from policy import nodes
from policy.framework import EnforcementLevel, Resource, ResourceRule, Scanners, Settings, Severity, matches
from policy.reading import declared, each, get, text, truthy

_EBS_PROVISIONERS: Final = frozenset({"ebs.csi.aws.com", "ebs.csi.eks.amazonaws.com", "kubernetes.io/aws-ebs"})


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield volumes that are not encrypted, and machines whose volumes are left to the image."""
    for types, reader in _READERS:
        if matches(types, resource.type):
            yield from reader(resource)


def _volume(resource: Resource) -> Iterator[str]:
    yield from _encrypted(resource.props, "")


def _account_default(resource: Resource) -> Iterator[str]:
    enabled = get(resource.props, "enabled")
    if enabled is not None and not truthy(enabled):
        yield "enabled is false, so new volumes of the account are not encrypted: write true."


def _storage_class(resource: Resource) -> Iterator[str]:
    if text(get(resource.props, "provisioner")) in _EBS_PROVISIONERS:
        yield from _encrypted(get(resource.props, "parameters"), "parameters.")


def _managed_group(resource: Resource) -> Iterator[str]:
    if not nodes.from_template(resource):
        yield "has no launchTemplate, so its volumes are as the image has them: give it one that encrypts them."


def _own_group(resource: Resource) -> Iterator[str]:
    group = nodes.own_group(resource)
    if group is not None and not truthy(get(group, "nodeRootVolumeEncrypted")):
        yield "nodeRootVolumeEncrypted is not true: write true. encryptRootBlockDevice does nothing."


def _template(resource: Resource) -> Iterator[str]:
    yield from _mappings(get(resource.props, "blockDeviceMappings"), "blockDeviceMappings")


def _node_class(resource: Resource) -> Iterator[str]:
    # Karpenter encrypts the volumes that it adds itself; for family Custom it adds none (amifamily/custom.go).
    spec = get(resource.props, "spec")
    mappings = get(spec, "blockDeviceMappings")
    if mappings is not None or text(get(spec, "amiFamily")) == "Custom":
        yield from _mappings(mappings, "spec.blockDeviceMappings")


def _instance(resource: Resource) -> Iterator[str]:
    yield from _devices(resource.props, "", "rootBlockDevice", needed=not nodes.from_template(resource))


def _spot_fleet(resource: Resource) -> Iterator[str]:
    for where, specification in nodes.spot_fleet_specifications(resource):
        yield from _devices(specification, where, "rootBlockDevices", needed=True)


def _encrypted(volume: Any, where: str) -> Iterator[str]:
    if not truthy(get(volume, "encrypted")):
        yield f"{where}encrypted is not true: write true."


def _mappings(mappings: Any, where: str) -> Iterator[str]:
    """Block device mappings; only those with `ebs` are volumes, the others are disks of the machine or none."""
    found = list(each(mappings))
    if not found:
        yield f"{where} is missing, so the volumes are as the image has them: name the root volume and encrypt it."
    for index, mapping in enumerate(found):
        if declared(mapping, "ebs"):
            yield from _encrypted(get(mapping, "ebs"), f"{where}.{index}.ebs.")


def _devices(data: Any, where: str, root: str, *, needed: bool) -> Iterator[str]:
    devices = list(each(get(data, root)))
    if not devices and needed:
        yield f"{where}{root} is missing, so the root volume is as the image has it: write encrypted true in it."
    for device in devices:
        yield from _encrypted(device, f"{where}{root}.")
    for index, device in enumerate(each(get(data, "ebsBlockDevices"))):
        if not truthy(get(device, "noDevice")):
            yield from _encrypted(device, f"{where}ebsBlockDevices.{index}.")


_READERS: Final[tuple[tuple[tuple[str, ...], Callable[[Resource], Iterator[str]]], ...]] = (
    (("aws:ebs/volume:Volume",), _volume),
    (("aws:ebs/encryptionByDefault:EncryptionByDefault",), _account_default),
    (("kubernetes:storage.k8s.io/*:StorageClass", "kubernetes:storage.k8s.io/*:StorageClassPatch"), _storage_class),
    ((nodes.LAUNCH_TEMPLATE,), _template),
    ((*nodes.INSTANCES, nodes.LAUNCH_CONFIGURATION), _instance),
    ((nodes.SPOT_FLEET,), _spot_fleet),
    (nodes.NODE_CLASSES, _node_class),
    (nodes.MANAGED_GROUPS, _managed_group),
    (nodes.OWN_GROUPS, _own_group),
)

RULE = ResourceRule(
    name="node-encrypted-volumes",
    title="Volumes are encrypted",
    description="EBS volumes must be encrypted: of machines, of node classes, of storage classes, and single ones.",
    why=(
        "Model weights, prompts and images lie on node disks, and snapshots of them travel. EKS images are not "
        "encrypted, so a machine whose root volume nobody mentions gets a plain one unless the account's default says "
        "otherwise, which no program can see. Karpenter's own default volumes are encrypted."
    ),
    fix=(
        "Write `encrypted: true`, with a `kmsKeyId` of your own where you want to control the key: in the launch "
        "template's `blockDeviceMappings`, in `rootBlockDevice`, in the EC2NodeClass, in the StorageClass's parameters."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=tuple(pattern for types, _ in _READERS for pattern in types),
    scanners=Scanners(checkov=("CKV_AWS_3", "CKV_AWS_8", "CKV_AWS_106"), trivy=("AWS-0008", "AWS-0026", "AWS-0131")),
    check=check,
)
