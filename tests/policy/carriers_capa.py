"""AWS resources as Cluster API's AWS provider declares them (cluster-api-provider-aws `config/crd/bases`, v1beta2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from policy.analyzer import Recorded
from policy.reading import get
from tests.policy.carriers import Carrier, literal
from tests.policy.corpus import type_of
from tests.policy.support import recorded

_LOGS: Final = {
    "api": "apiServer",
    "audit": "audit",
    "authenticator": "authenticator",
    "controllerManager": "controllerManager",
    "scheduler": "scheduler",
}
_SOUND: Final[Mapping[str, Any]] = {
    "instanceMetadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
    "rootVolume": {"size": 80, "encrypted": True},
    "sshKeyName": "",
}
_MARKETS: Final = {"spot": "Spot", "capacity-block": "CapacityBlock"}


def _said(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _machine(inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """A machine with a type; its user data are Cluster API's own."""
    market = get(inputs, "instanceMarketOptions", "marketType")
    other = "instanceRequirements" in inputs or "userData" in inputs or "ebsBlockDevices" in inputs
    if "instanceType" not in inputs or other:
        return None
    root = get(inputs, "rootBlockDevice") or get(inputs, "blockDeviceMappings", 0, "ebs")
    encrypted = str(get(root, "encrypted")).lower() == "true"
    return _said(
        instanceType=inputs["instanceType"],
        marketType=_MARKETS.get(market) if market else None,
        instanceMetadataOptions=inputs.get("metadataOptions"),
        rootVolume={"size": 80, "encrypted": encrypted} if root else None,
        sshKeyName=inputs.get("keyName", ""),
        additionalTags=inputs.get("tags"),
    )


def _machine_template(inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    spec = _machine(inputs)
    return None if spec is None else {"template": {"spec": spec}}


def _machine_pool(inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """A managed pool, which has one type and a launch template of its own."""
    types = inputs.get("instanceTypes") or []
    capacity = inputs.get("capacityType", "ON_DEMAND")
    named_elsewhere = inputs.get("launchTemplate") and not types
    if len(types) > 1 or named_elsewhere or capacity not in {"SPOT", "ON_DEMAND"}:
        return None
    remote = get(inputs, "remoteAccess", "ec2SshKey")
    groups = get(inputs, "remoteAccess", "sourceSecurityGroupIds")
    return _said(
        instanceType=types[0] if types else None,
        amiType=inputs.get("amiType"),
        capacityType={"SPOT": "spot", "ON_DEMAND": "onDemand"}[capacity],
        scaling={key: get(inputs, "scalingConfig", key) or 1 for key in ("minSize", "maxSize")},
        awsLaunchTemplate=dict(_SOUND) if inputs.get("launchTemplate") else None,
        remoteAccess=_said(sshKeyName=remote, sourceSecurityGroups=groups) if remote else None,
        additionalTags=inputs.get("tags"),
    )


def _control_plane(inputs: Mapping[str, Any]) -> dict[str, Any]:
    access = inputs.get("vpcConfig")
    key = get(inputs, "encryptionConfig", "provider", "keyArn")
    logs = inputs.get("enabledClusterLogTypes")
    support = get(inputs, "upgradePolicy", "supportType")
    return _said(
        region="us-east-1",
        version=f"v{inputs['version']}" if "version" in inputs else None,
        endpointAccess=_said(
            public=get(access, "endpointPublicAccess"),
            private=get(access, "endpointPrivateAccess"),
            publicCIDRs=get(access, "publicAccessCidrs"),
        ),
        logging={name: log in logs for log, name in _LOGS.items()} if isinstance(logs, list) else None,
        encryptionConfig={"provider": key, "resources": ["secrets"]} if key else None,
        upgradePolicy=str(support).lower() if support else None,
        additionalTags=inputs.get("tags"),
    )


_TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
_INFRASTRUCTURE: Final = "infrastructure.cluster.x-k8s.io/v1beta2"
_KINDS: Final = {
    "aws:ec2/instance:Instance": (_INFRASTRUCTURE, "AWSMachine", _machine),
    _TEMPLATE: (_INFRASTRUCTURE, "AWSMachineTemplate", _machine_template),
    "aws:eks/nodeGroup:NodeGroup": (_INFRASTRUCTURE, "AWSManagedMachinePool", _machine_pool),
    "aws:eks/cluster:Cluster": ("controlplane.cluster.x-k8s.io/v1beta2", "AWSManagedControlPlane", _control_plane),
}


def _carried(resource: Recorded) -> Recorded | None:
    if resource.type not in _KINDS or not literal(resource.inputs):
        return None
    api_version, kind, convert = _KINDS[resource.type]
    spec = convert({key: value for key, value in resource.inputs.items() if value is not None})
    if spec is None:
        return None
    about = {"apiVersion": api_version, "kind": kind, "metadata": {"name": resource.name, "namespace": "clusters"}}
    return recorded(type_of(about), {**about, "spec": spec}, resource.name)


def _capa(program: Sequence[Recorded], folder: Path) -> list[Recorded] | None:
    """A launch template that a group uses stays: machines of Cluster API name none."""
    alone = len(program) == 1
    found = [(resource, _carried(resource) if alone or resource.type != _TEMPLATE else None) for resource in program]
    if all(carried is None for _, carried in found):
        return None
    return [carried or resource for resource, carried in found]


#: Carriers of AWS resources in a management cluster.
CLUSTER_API: Final[Mapping[str, Carrier]] = {"Cluster API": _capa}
