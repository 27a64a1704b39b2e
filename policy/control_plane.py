"""Where the settings of an EKS cluster stand in the resources that declare one.

`eks:index:Cluster` is a component: an offline plan shows its inputs alone, the engine also, or only (`policy.engine`),
the `aws:eks/cluster:Cluster` inside it. Rules read both, so a mistake may be said twice there and is never missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from policy.framework import Resource
from policy.reading import get

PUBLIC: Final = "public endpoint"
PRIVATE: Final = "private endpoint"
CIDRS: Final = "allowlist"
LOGS: Final = "log types"
KEY: Final = "key of secrets"
VERSION: Final = "version"
SUPPORT: Final = "support type"

_VPC: Final = "vpcConfig"
_PATHS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "aws:eks/cluster:Cluster": {
        PUBLIC: (_VPC, "endpointPublicAccess"),
        PRIVATE: (_VPC, "endpointPrivateAccess"),
        CIDRS: (_VPC, "publicAccessCidrs"),
        LOGS: ("enabledClusterLogTypes",),
        KEY: ("encryptionConfig", "provider", "keyArn"),
        VERSION: ("version",),
        SUPPORT: ("upgradePolicy", "supportType"),
    },
    "eks:index:Cluster": {
        PUBLIC: ("endpointPublicAccess",),
        PRIVATE: ("endpointPrivateAccess",),
        CIDRS: ("publicAccessCidrs",),
        LOGS: ("enabledClusterLogTypes",),
        KEY: ("encryptionConfigKeyArn",),
        VERSION: ("version",),
        SUPPORT: ("upgradePolicy", "supportType"),
    },
}
CLUSTER_TYPES: Final = tuple(_PATHS)


def path(resource: Resource, setting: str) -> tuple[str, ...]:
    """Where the cluster's type keeps the setting."""
    return _PATHS[resource.type][setting]


def key(resource: Resource, setting: str) -> str:
    """The same for people: `vpcConfig.endpointPublicAccess`."""
    return ".".join(path(resource, setting))


def read(resource: Resource, setting: str) -> Any:
    """The setting, None where it is absent. Raises UnknownValueError where it is not known in preview."""
    return get(resource.props, *path(resource, setting))
