"""Nobody logs in to nodes with an SSH key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from policy import nodes
from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import get, known, present, text

_INSTEAD: Final = "remove it and use Session Manager (policy AmazonSSMManagedInstanceCore on the node role)."


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield SSH keys, and the security group that EKS opens for them. A key's name counts whether known or not."""
    keys_allowed = settings["allowKeyPairs"]
    if resource.type in nodes.MANAGED_GROUPS:
        yield from _remote_access(resource.props, keys_allowed)
    elif not keys_allowed:
        for where, data in _data(resource):
            for name in ("keyName", "nodePublicKey"):
                if _given(data, name):
                    yield f"{where}{name} is set: {_INSTEAD}"


def _data(resource: Resource) -> Iterator[tuple[str, Any]]:
    if resource.type == nodes.SPOT_FLEET:
        yield from nodes.spot_fleet_specifications(resource)
    elif resource.type in nodes.OWN_GROUPS:
        yield "", nodes.own_group(resource)
    else:
        yield "", resource.props


def _given(data: Any, *path: str) -> bool:
    return present(data, *path) and text(known(data, *path, default="unknown")) != ""


def _remote_access(props: Any, keys_allowed: bool) -> Iterator[str]:
    access = get(props, "remoteAccess")
    if access is None:
        return
    if not present(access, "sourceSecurityGroupIds", 0):
        yield f"remoteAccess without sourceSecurityGroupIds opens port 22 to 0.0.0.0/0: {_INSTEAD}"
    elif not keys_allowed:
        yield f"remoteAccess is set: {_INSTEAD}"


RULE = ResourceRule(
    name="node-no-ssh",
    title="No SSH keys on nodes",
    description="Nodes must have no SSH key pair, and node groups no `remoteAccess`.",
    why=(
        "A key pair is a credential that is shared, never expires and leaves no trace in CloudTrail. `remoteAccess` "
        "of a node group without source groups also makes EKS open port 22 to the whole internet."
    ),
    fix=(
        "Remove `keyName`, `nodePublicKey` and `remoteAccess`. Log in with Session Manager, or with `kubectl debug "
        "node/...`. With `allowKeyPairs` keys are accepted as long as `remoteAccess` names its source groups."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(
        nodes.LAUNCH_TEMPLATE,
        *nodes.INSTANCES,
        nodes.LAUNCH_CONFIGURATION,
        nodes.SPOT_FLEET,
        *nodes.MANAGED_GROUPS,
        *nodes.OWN_GROUPS,
    ),
    scanners=Scanners(checkov=("CKV_AWS_100",)),
    options={
        "allowKeyPairs": Option(
            type="boolean", default=False, description="Accept SSH keys that not everybody can reach."
        )
    },
    check=check,
)
