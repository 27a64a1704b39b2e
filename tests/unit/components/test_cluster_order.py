"""Cluster: created and destroyed in an order in which nothing is cut off from what it still needs."""

import pytest

from tests.unit.components.clusters import (
    ADDON,
    EKS,
    ENTRY,
    NODE_GROUP,
    POLICY,
    TEMPLATE,
    VOLUME_KEY,
    WATCH,
    build,
    recorded_in_a_network,
)

LIFELINES = (
    EKS,
    NODE_GROUP,
    ADDON,
    ENTRY,
    POLICY,
    "aws:ec2/tag:Tag",
    "aws:ec2/vpc:Vpc",
    "aws:ec2/subnet:Subnet",
    "aws:ec2/natGateway:NatGateway",
    "aws:ec2/route:Route",
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:ec2/internetGateway:InternetGateway",
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
)


@pytest.mark.parametrize("lifeline", LIFELINES)
def test_objects_in_the_cluster_never_outlive_what_their_controllers_need(lifeline: str) -> None:
    recording = recorded_in_a_network()
    inside = recording.named("inside")
    needed = recording.of_type(lifeline)
    assert needed
    assert [each.name for each in needed if not recording.outlives(each, inside)] == []


def test_nodes_leave_before_the_network_that_they_leave_by() -> None:
    recording = recorded_in_a_network()
    nodes = recording.one(NODE_GROUP)
    for kind in ("aws:ec2/natGateway:NatGateway", "aws:ec2/route:Route", "aws:ec2/vpcEndpoint:VpcEndpoint"):
        assert [each.name for each in recording.of_type(kind) if not recording.outlives(each, nodes)] == []
    # The control plane is slow to make: it waits for its subnets, not for NAT gateways.
    assert not recording.outlives(recording.one("aws:ec2/natGateway:NatGateway"), recording.one(EKS))


def test_a_further_zone_moves_neither_control_plane_nor_system_nodes() -> None:
    for kind in (EKS, NODE_GROUP):
        two, four = (build(private_subnet_ids=[f"subnet-{n}" for n in range(1, zones + 1)]) for zones in (2, 4))
        assert two.one(kind).inputs == four.one(kind).inputs


def test_one_zone_is_not_enough() -> None:
    with pytest.raises(ValueError, match="subnets in 2 zones"):
        build(private_subnet_ids=("subnet-1",))


def test_a_preview_hides_no_safety_setting_behind_an_unknown() -> None:
    known, preview = recorded_in_a_network(), recorded_in_a_network(preview=True)
    assert {each.urn for each in preview.resources} == {each.urn for each in known.resources}
    for kind, keys in {
        EKS: (
            "name",
            "version",
            "endpointPublicAccess",
            "enabledClusterLogTypes",
            "upgradePolicy",
            "authenticationMode",
        ),
        NODE_GROUP: ("capacityType", "amiType", "instanceTypes", "taints", "labels", "scalingConfig", "clusterName"),
        TEMPLATE: ("metadataOptions",),
    }.items():
        for key in keys:
            assert preview.one(kind).inputs[key] == known.one(kind).inputs[key]
    assert build(preview=True).outputs == {**dict.fromkeys(WATCH, "<unknown>"), "volume_key_arn": VOLUME_KEY}


def test_nothing_is_protected_from_the_controllers_that_clean_up() -> None:
    for resource in recorded_in_a_network().resources:
        assert (resource.deleted_with, resource.retain_on_delete) == ("", False)
