from typing import Any

import pytest

from policy import nodes
from policy.rules.node_no_ssh import RULE
from tests.policy.support import UNKNOWN, violations
from tests.policy.test_node_imdsv2 import MANAGED_GROUPS, OWN_GROUPS

WITH_KEYS = [*nodes.INSTANCES, nodes.LAUNCH_TEMPLATE, nodes.LAUNCH_CONFIGURATION, *OWN_GROUPS]


@pytest.mark.parametrize("type_", WITH_KEYS)
def test_no_key_passes(type_: str) -> None:
    assert violations(RULE, type_, {"instanceType": "m7g.large"}) == []
    assert violations(RULE, type_, {"keyName": ""}) == []


@pytest.mark.parametrize("type_", WITH_KEYS)
@pytest.mark.parametrize("key", ["admin", UNKNOWN])
def test_a_key_fails_known_or_not(type_: str, key: str) -> None:
    (message,) = violations(RULE, type_, {"keyName": key})
    assert "keyName is set" in message
    assert violations(RULE, type_, {"keyName": key}, allowKeyPairs=True) == []


def test_keys_are_found_wherever_they_stand() -> None:
    assert violations(RULE, "aws-native:ec2:LaunchTemplate", {"launchTemplateData": {"keyName": "admin"}})
    assert violations(RULE, nodes.SPOT_FLEET, {"launchSpecifications": [{}, {"keyName": "admin"}]})
    assert violations(RULE, "eks:index:NodeGroupV2", {"nodePublicKey": UNKNOWN})
    assert violations(RULE, "eks:index:Cluster", {"nodePublicKey": "ssh-ed25519 AAAA"})
    assert violations(RULE, "eks:index:Cluster", {"nodeGroupOptions": {"keyName": "admin"}})


def test_a_cluster_without_a_default_group_starts_nothing() -> None:
    assert violations(RULE, "eks:index:Cluster", {"skipDefaultNodeGroup": True, "nodePublicKey": "x"}) == []


@pytest.mark.parametrize("type_", MANAGED_GROUPS)
@pytest.mark.parametrize(
    "access", [{"ec2SshKey": "admin"}, {"ec2SshKey": UNKNOWN}, {"ec2SshKey": "a", "sourceSecurityGroupIds": []}, {}]
)
def test_remote_access_from_everywhere_fails_whatever_is_allowed(type_: str, access: dict[str, Any]) -> None:
    for allowed in (False, True):
        (message,) = violations(RULE, type_, {"remoteAccess": access}, allowKeyPairs=allowed)
        assert "opens port 22 to 0.0.0.0/0" in message


@pytest.mark.parametrize("type_", MANAGED_GROUPS)
@pytest.mark.parametrize("groups", [["sg-1"], [UNKNOWN], UNKNOWN], ids=str)
def test_remote_access_from_named_groups_can_be_allowed(type_: str, groups: Any) -> None:
    inputs = {"remoteAccess": {"ec2SshKey": UNKNOWN, "sourceSecurityGroupIds": groups}}
    assert len(violations(RULE, type_, inputs)) == 1
    assert violations(RULE, type_, inputs, allowKeyPairs=True) == []


@pytest.mark.parametrize("type_", MANAGED_GROUPS)
def test_unknown_remote_access_fails(type_: str) -> None:
    (message,) = violations(RULE, type_, {"remoteAccess": UNKNOWN}, allowKeyPairs=True)
    assert "remoteAccess must be a literal" in message
    assert violations(RULE, type_, {"instanceTypes": ["m7g.large"]}) == []
