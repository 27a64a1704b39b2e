from typing import Any

import pytest

from policy import nodes
from policy.rules.node_imdsv2 import RULE
from tests.policy.support import UNKNOWN, violations

NODE_CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
MANAGED_GROUPS = ("aws:eks/nodeGroup:NodeGroup", "aws-native:eks:Nodegroup", "eks:index:ManagedNodeGroup")
OWN_GROUPS = ("eks:index:NodeGroup", "eks:index:NodeGroupV2", "eks:index:Cluster")
SAFE = {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1.0}
#: Types that say metadata options, and how.
WRITTEN: dict[str, Any] = {
    nodes.LAUNCH_TEMPLATE: lambda options: {"metadataOptions": options},
    "aws-native:ec2:LaunchTemplate": lambda options: {"launchTemplateData": {"metadataOptions": options}},
    nodes.INSTANCE: lambda options: {"instanceType": "t3.micro", "metadataOptions": options},
    nodes.SPOT_INSTANCE: lambda options: {"metadataOptions": options},
    nodes.LAUNCH_CONFIGURATION: lambda options: {"metadataOptions": options},
    NODE_CLASS: lambda options: {"spec": {"metadataOptions": options}},
    f"{NODE_CLASS}Patch": lambda options: {"spec": {"metadataOptions": options}},
}
EVERY_TYPE = pytest.mark.parametrize("type_", WRITTEN)
PLAIN_TYPE = pytest.mark.parametrize("type_", [type_ for type_ in WRITTEN if not type_.startswith(NODE_CLASS)])


@EVERY_TYPE
@pytest.mark.parametrize("options", [SAFE, {"httpEndpoint": "disabled"}], ids=["tokens and one hop", "off"])
def test_safe_options_pass(type_: str, options: dict[str, Any]) -> None:
    assert violations(RULE, type_, WRITTEN[type_](options)) == []


@EVERY_TYPE
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"httpTokens": "optional"}, "httpTokens is optional: write required"),
        ({"httpPutResponseHopLimit": 2.0}, "httpPutResponseHopLimit is 2: write 1"),
        ({"httpPutResponseHopLimit": "64"}, "httpPutResponseHopLimit is 64: write 1"),
    ],
)
def test_unsafe_options_fail(type_: str, change: dict[str, Any], expected: str) -> None:
    (message,) = violations(RULE, type_, WRITTEN[type_]({**SAFE, **change}))
    assert expected in message


@PLAIN_TYPE
@pytest.mark.parametrize("missing", ["httpTokens", "httpPutResponseHopLimit"])
def test_what_is_missing_is_left_to_the_image_and_fails(type_: str, missing: str) -> None:
    options = {name: value for name, value in SAFE.items() if name != missing}
    (message,) = violations(RULE, type_, WRITTEN[type_](options))
    assert f"{missing} is missing" in message


@PLAIN_TYPE
def test_no_options_at_all_fail(type_: str) -> None:
    assert len(violations(RULE, type_, WRITTEN[type_](None))) == 2


@pytest.mark.parametrize("options", [None, {}, {"httpTokens": "required"}])
def test_karpenter_fills_in_safe_values(options: Any) -> None:
    assert violations(RULE, NODE_CLASS, WRITTEN[NODE_CLASS](options)) == []


@EVERY_TYPE
@pytest.mark.parametrize("name", ["httpTokens", "httpPutResponseHopLimit", "httpEndpoint"])
def test_unknown_fails(type_: str, name: str) -> None:
    (message,) = violations(RULE, type_, WRITTEN[type_]({**SAFE, name: UNKNOWN}))
    assert f"{name} must be a literal" in message


@EVERY_TYPE
def test_unknown_options_fail(type_: str) -> None:
    assert violations(RULE, type_, WRITTEN[type_](UNKNOWN))


@EVERY_TYPE
def test_two_hops_can_be_allowed(type_: str) -> None:
    assert violations(RULE, type_, WRITTEN[type_]({**SAFE, "httpPutResponseHopLimit": 2.0}), maxHopLimit=2) == []
    assert violations(RULE, type_, WRITTEN[type_]({**SAFE, "httpPutResponseHopLimit": 3.0}), maxHopLimit=2)


@PLAIN_TYPE
def test_a_missing_limit_is_two_at_most(type_: str) -> None:
    options = WRITTEN[type_]({"httpTokens": "required"})
    assert violations(RULE, type_, options, maxHopLimit=2) == []


@pytest.mark.parametrize("type_", nodes.INSTANCES)
def test_an_instance_takes_options_from_its_template(type_: str) -> None:
    assert violations(RULE, type_, {"launchTemplate": {"id": UNKNOWN}}) == []
    overridden = {"launchTemplate": {"id": UNKNOWN}, "metadataOptions": {"httpTokens": "optional"}}
    assert len(violations(RULE, type_, overridden)) == 2


@pytest.mark.parametrize("type_", MANAGED_GROUPS)
def test_node_groups_need_a_launch_template(type_: str) -> None:
    (message,) = violations(RULE, type_, {"instanceTypes": ["m7g.large"], "enableIMDSv2": True})
    assert "has no launchTemplate" in message
    assert violations(RULE, type_, {"launchTemplate": {"id": UNKNOWN, "version": UNKNOWN}}) == []
    assert violations(RULE, type_, {"launchTemplate": UNKNOWN}) == []
    assert violations(RULE, type_, {}, maxHopLimit=2) == []


@pytest.mark.parametrize("type_", OWN_GROUPS)
def test_groups_of_pulumi_eks_cannot_have_options(type_: str) -> None:
    (message,) = violations(RULE, type_, {"instanceType": "m7g.large"})
    assert "self-managed nodes" in message
    assert violations(RULE, type_, {}, maxHopLimit=2) == []


@pytest.mark.parametrize(
    "inputs", [{"skipDefaultNodeGroup": True}, {"autoMode": {"enabled": True}}, {"fargate": True}], ids=str
)
def test_a_cluster_without_a_default_group_passes(inputs: dict[str, Any]) -> None:
    assert violations(RULE, "eks:index:Cluster", inputs) == []


def test_an_unknown_switch_of_the_default_group_fails() -> None:
    assert violations(RULE, "eks:index:Cluster", {"skipDefaultNodeGroup": UNKNOWN})
