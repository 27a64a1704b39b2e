"""A sound cluster, as each of the resources that can declare one writes it."""

from __future__ import annotations

from typing import Any, Final

AWS: Final = "aws:eks/cluster:Cluster"
COMPONENT: Final = "eks:index:Cluster"
NATIVE: Final = "aws-native:eks:Cluster"
TYPES: Final = (AWS, COMPONENT, NATIVE)

LOG_TYPES: Final = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
KEY: Final = "arn:aws:kms:us-east-1:111122223333:key/1"


def cluster(type_: str, **changes: Any) -> dict[str, Any]:
    """Inputs that no rule minds, changed by the names of `eks.Cluster`'s inputs; None takes one away."""
    flat: dict[str, Any] = {
        "endpointPublicAccess": True,
        "endpointPrivateAccess": True,
        "publicAccessCidrs": ["203.0.113.0/24"],
        "enabledClusterLogTypes": LOG_TYPES,
        "encryptionConfigKeyArn": KEY,
        "version": "1.36",
        "supportType": "STANDARD",
        **changes,
    }
    given = {name: value for name, value in flat.items() if value is not None}
    support = given.pop("supportType", None)
    given |= {"upgradePolicy": {"supportType": support}} if support is not None else {}
    return given if type_ == COMPONENT else _nested(given, native=type_ == NATIVE)


def _nested(given: dict[str, Any], *, native: bool) -> dict[str, Any]:
    names = ("endpointPublicAccess", "endpointPrivateAccess", "publicAccessCidrs")
    given["resourcesVpcConfig" if native else "vpcConfig"] = {name: given.pop(name) for name in names if name in given}
    key = given.pop("encryptionConfigKeyArn", None)
    if key is not None:
        config = {"provider": {"keyArn": key}, "resources": ["secrets"]}
        given["encryptionConfig"] = [config] if native else config
    if native and "enabledClusterLogTypes" in given:
        logs = given.pop("enabledClusterLogTypes")
        types = [{"type": name} for name in logs] if isinstance(logs, list) else logs
        given["logging"] = {"clusterLogging": {"enabledTypes": types}}
    return given
