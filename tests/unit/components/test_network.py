"""Network: who gets which addresses, what may reach what, and what outlives the nodes."""

import dataclasses
import functools
import ipaddress
import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.network.network import Network, NetworkArgs
from components.network.subnets import plan_subnets
from gpu.standing import INTERFACE_SERVICES
from tests.unit.components.recording import Recording, Registration, record

ARGS = NetworkArgs(
    cluster_name="gpu-slices-test",
    cidr="10.42.0.0/16",
    region="us-east-1",
    account_id="123456789012",
    zone_ids=("use1-az1", "use1-az4", "use1-az6"),
    logs_key_arn="arn:aws:kms:us-east-1:123456789012:key/data",
    tags={"team": "ml"},
)
SUBNET = "aws:ec2/subnet:Subnet"
ROUTE = "aws:ec2/route:Route"
NAT = "aws:ec2/natGateway:NatGateway"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"


def build(preview: bool = False, **changes: Any) -> Recording[Network]:
    """The recording of a network; one without changes is made once."""
    return _build(preview, changes) if changes else _plain(preview)


def _build(preview: bool, changes: dict[str, Any]) -> Recording[Network]:
    args = dataclasses.replace(ARGS, **changes)
    return record(lambda: Network("network", args), watch=["vpc_id"], preview=preview)


@functools.cache
def _plain(preview: bool) -> Recording[Network]:
    return _build(preview, {})


def subnets(recording: Recording[Network], kind: str) -> dict[str, Registration]:
    found = [subnet for subnet in recording.of_type(SUBNET) if subnet.name.startswith(f"network-{kind}-")]
    return {subnet.inputs["availabilityZoneId"]: subnet for subnet in found}


def test_every_zone_has_a_private_and_a_public_subnet() -> None:
    recording = build()
    assert tuple(subnets(recording, "private")) == tuple(subnets(recording, "public")) == ARGS.zone_ids
    assert {subnet.inputs["cidrBlock"] for subnet in subnets(recording, "private").values()} == {
        "10.42.0.0/19",
        "10.42.96.0/19",
        "10.42.160.0/19",
    }
    assert subnets(recording, "public")["use1-az4"].inputs["cidrBlock"] == "10.42.227.0/24"
    assert len(recording.of_type(SUBNET)) == 6


def test_no_host_gets_a_public_address() -> None:
    recording = build()
    assert [subnet.inputs["mapPublicIpOnLaunch"] for subnet in recording.of_type(SUBNET)] == [False] * 6


def test_karpenter_finds_private_subnets_only() -> None:
    recording = build()
    for subnet in subnets(recording, "private").values():
        assert subnet.inputs["tags"]["karpenter.sh/discovery"] == "gpu-slices-test"
        assert subnet.inputs["tags"]["kubernetes.io/role/internal-elb"] == "1"
    for subnet in subnets(recording, "public").values():
        assert subnet.inputs["tags"]["kubernetes.io/role/elb"] == "1"
        assert not any(key.startswith("karpenter.sh") for key in subnet.inputs["tags"])


def test_the_vpc_resolves_names_and_its_default_group_is_closed() -> None:
    recording = build()
    vpc = recording.one("aws:ec2/vpc:Vpc")
    assert vpc.inputs["cidrBlock"] == "10.42.0.0/16"
    assert vpc.inputs["enableDnsHostnames"] is True
    assert vpc.inputs["enableDnsSupport"] is True
    default = recording.one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    assert default.inputs["vpcId"] == "network-id"
    assert (default.inputs["ingress"], default.inputs["egress"]) == ([], [])


@pytest.mark.parametrize(("nat", "gateways"), [("single", ["use1-az1"]), ("per-zone", [*ARGS.zone_ids])])
def test_nat_gateways(nat: str, gateways: list[str]) -> None:
    recording = build(nat=nat)
    assert [gateway.name for gateway in recording.of_type(NAT)] == [f"network-nat-{zone}" for zone in gateways]
    assert len(recording.of_type("aws:ec2/eip:Eip")) == len(gateways)
    for zone in gateways:
        gateway = recording.one(NAT, f"network-nat-{zone}")
        assert gateway.inputs["subnetId"] == f"network-public-{zone}-id"
        assert gateway.inputs["allocationId"] == f"network-nat-{zone}-id"
        assert recording.one("aws:ec2/eip:Eip", gateway.name).inputs["domain"] == "vpc"
    for zone in ARGS.zone_ids:
        route = recording.one(ROUTE, f"network-private-{zone}")
        own = zone if nat == "per-zone" else gateways[0]
        assert route.inputs["natGatewayId"] == f"network-nat-{own}-id"
        assert route.inputs["routeTableId"] == f"network-private-{zone}-id"


def test_without_nat_nodes_have_addresses_and_a_route_of_their_own() -> None:
    """The same subnets and tables by name: a change between the ways replaces none."""
    recording = build(nat="none")
    assert not recording.of_type(NAT)
    assert not recording.of_type("aws:ec2/eip:Eip")
    assert {subnet.inputs["mapPublicIpOnLaunch"] for subnet in subnets(recording, "private").values()} == {True}
    assert {subnet.inputs["mapPublicIpOnLaunch"] for subnet in subnets(recording, "public").values()} == {False}
    for zone in ARGS.zone_ids:
        route = recording.one(ROUTE, f"network-private-{zone}")
        assert route.inputs["gatewayId"] == "network-id"
        assert "natGatewayId" not in route.inputs
    kept = {(each.type, each.name) for each in build().resources if each.type not in (NAT, "aws:ec2/eip:Eip")}
    assert {(each.type, each.name) for each in recording.resources} == kept


def test_only_the_public_table_leads_to_the_internet() -> None:
    recording = build()
    assert [route.name for route in recording.of_type(ROUTE) if "gatewayId" in route.inputs] == ["network-public"]
    assert {route.inputs["destinationCidrBlock"] for route in recording.of_type(ROUTE)} == {"0.0.0.0/0"}
    assert recording.one("aws:ec2/internetGateway:InternetGateway").inputs["vpcId"] == "network-id"
    table_of = {each.inputs["subnetId"]: each.inputs["routeTableId"] for each in recording.of_type(ASSOCIATION)}
    for zone in ARGS.zone_ids:
        assert table_of[f"network-public-{zone}-id"] == "network-public-id"
        assert table_of[f"network-private-{zone}-id"] == f"network-private-{zone}-id"
    assert len(table_of) == len(recording.of_type(ASSOCIATION)) == 6


def test_a_nat_gateway_outlives_no_route_to_the_internet() -> None:
    recording = build()
    gateway = recording.one(NAT)
    for name in ("network-public", *(f"network-public-{zone}" for zone in ARGS.zone_ids)):
        longer = [each for each in recording.resources if each.name == name and each.type in {ROUTE, ASSOCIATION}]
        assert len(longer) == 1
        assert recording.outlives(longer[0], gateway)
    assert recording.outlives(recording.one("aws:ec2/internetGateway:InternetGateway"), gateway)


def test_s3_is_reached_from_every_private_subnet_without_nat() -> None:
    gateway = build().one(ENDPOINT)
    assert gateway.inputs["vpcEndpointType"] == "Gateway"
    assert gateway.inputs["serviceName"] == "com.amazonaws.us-east-1.s3"
    assert gateway.inputs["routeTableIds"] == [f"network-private-{zone}-id" for zone in ARGS.zone_ids]


def test_interface_endpoints_are_made_on_request_and_take_https_from_the_vpc_only() -> None:
    recording = build(endpoints=True)
    endpoints = [each for each in recording.of_type(ENDPOINT) if each.inputs["vpcEndpointType"] == "Interface"]
    assert {each.inputs["serviceName"] for each in endpoints} == {
        f"com.amazonaws.us-east-1.{service}" for service in INTERFACE_SERVICES
    }
    for endpoint in endpoints:
        assert endpoint.inputs["privateDnsEnabled"] is True
        assert endpoint.inputs["subnetIds"] == [f"network-private-{zone}-id" for zone in ARGS.zone_ids]
        assert endpoint.inputs["securityGroupIds"] == ["network-endpoints-id"]
    group = recording.one("aws:ec2/securityGroup:SecurityGroup")
    assert group.inputs["vpcId"] == "network-id"
    assert "egress" not in group.inputs
    assert "ingress" not in group.inputs
    rule = recording.one("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").inputs
    assert (rule["cidrIpv4"], rule["ipProtocol"], rule["fromPort"], rule["toPort"]) == (ARGS.cidr, "tcp", 443, 443)
    assert rule["description"]


def test_flow_logs_record_all_traffic_encrypted_for_a_year() -> None:
    recording = build()
    flow_log = recording.one("aws:ec2/flowLog:FlowLog")
    group = recording.one("aws:cloudwatch/logGroup:LogGroup")
    policy = recording.one("aws:iam/rolePolicy:RolePolicy")
    assert flow_log.inputs["vpcId"] == "network-id"
    assert flow_log.inputs["trafficType"] == "ALL"
    assert flow_log.inputs["maxAggregationInterval"] == 600
    assert flow_log.inputs["logDestinationType"] == "cloud-watch-logs"
    assert flow_log.inputs["logDestination"] == "arn:aws:mock:us-east-1:123456789012:network-flow-logs"
    assert flow_log.inputs["iamRoleArn"] == "arn:aws:mock:us-east-1:123456789012:network-flow-logs"
    assert group.inputs["name"] == "/aws/vpc/gpu-slices-test/flow-logs"
    assert group.inputs["kmsKeyId"] == ARGS.logs_key_arn
    assert group.inputs["retentionInDays"] == 365
    assert recording.outlives(policy, flow_log)
    assert build(flow_log_retention_days=731).one(group.type).inputs["retentionInDays"] == 731


def test_the_flow_logs_role_serves_this_account_and_this_log_group() -> None:
    recording = build()
    (trust,) = json.loads(recording.one("aws:iam/role:Role").inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": "arn:aws:ec2:us-east-1:123456789012:vpc-flow-log/*"},
    }
    (allowed,) = json.loads(recording.one("aws:iam/rolePolicy:RolePolicy").inputs["policy"])["Statement"]
    assert allowed["Resource"] == "arn:aws:mock:us-east-1:123456789012:network-flow-logs:*"
    assert not [action for action in allowed["Action"] if "*" in action or not action.startswith("logs:")]


@pytest.mark.parametrize("endpoints", [False, True])
def test_egress_holds_everything_that_nodes_need_to_reach_aws(endpoints: bool) -> None:
    def program() -> pulumi.Resource:
        network = Network("network", dataclasses.replace(ARGS, nat="per-zone", endpoints=endpoints))
        return aws.ec2.Instance("node", ami="ami-1", opts=pulumi.ResourceOptions(depends_on=network.egress))

    recording = record(program)
    node = recording.named("node")
    path = [each for kind in (NAT, ROUTE, ASSOCIATION, ENDPOINT) for each in recording.of_type(kind)]
    path += recording.of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert len(path) == 3 + 4 + 6 + 1 + (len(INTERFACE_SERVICES) + 1 if endpoints else 0)
    assert [each.urn for each in path if not recording.outlives(each, node)] == []


def test_logical_names_are_stable() -> None:
    names = {
        (resource.type.rpartition(":")[2], resource.name) for resource in build(zone_ids=ARGS.zone_ids[:2]).resources
    }
    assert names == {
        ("Network", "network"),
        ("Vpc", "network"),
        ("DefaultSecurityGroup", "network-default"),
        ("InternetGateway", "network"),
        ("RouteTable", "network-public"),
        ("Route", "network-public"),
        ("Eip", "network-nat-use1-az1"),
        ("NatGateway", "network-nat-use1-az1"),
        ("VpcEndpoint", "network-s3"),
        ("FlowLogs", "network-flow-logs"),
        ("FlowLog", "network-flow-logs"),
        ("LogGroup", "network-flow-logs"),
        ("Role", "network-flow-logs"),
        ("RolePolicy", "network-flow-logs"),
        *(
            (kind, f"network-{side}-{zone}")
            for kind in ("Subnet", "RouteTableAssociation")
            for side in ("private", "public")
            for zone in ("use1-az1", "use1-az4")
        ),
        *((kind, f"network-private-{zone}") for kind in ("RouteTable", "Route") for zone in ("use1-az1", "use1-az4")),
    }


def test_adding_a_zone_changes_nothing_of_the_others() -> None:
    before, after = build(zone_ids=ARGS.zone_ids[1:]), build(zone_ids=[*ARGS.zone_ids[1:], "use1-az1"])
    kept = {resource.urn: resource.inputs for resource in after.resources}
    changed = {resource.name for resource in before.resources if kept.get(resource.urn) != resource.inputs}
    assert changed == {"network-s3"}  # it serves the new zone's route table too


def test_everything_that_costs_money_carries_the_tags() -> None:
    tagged = ("Vpc", "Subnet", "NatGateway", "Eip", "LogGroup", "VpcEndpoint", "SecurityGroup", "FlowLog", "Role")
    resources = [each for each in build(endpoints=True).resources if each.type.rpartition(":")[2] in tagged]
    assert {each.type.rpartition(":")[2] for each in resources} == {*tagged}
    assert [each.name for each in resources if each.inputs["tags"].get("team") != "ml"] == []


def test_other_partitions_have_arns_of_their_own() -> None:
    text = json.dumps([each.inputs for each in build(partition="aws-us-gov", logs_key_arn="key").resources])
    assert "arn:aws-us-gov:ec2:" in text
    assert "arn:aws:" not in text.replace("arn:aws:mock:", "")


def test_the_component_alone_works_in_preview_and_with_its_own_provider() -> None:
    def program() -> Network:
        provider = aws.Provider("elsewhere", region="us-east-1")
        return Network("network", ARGS, pulumi.ResourceOptions(providers=[provider]))

    recording = record(program, watch=["vpc_id"], preview=True)
    assert recording.outputs == {"vpc_id": "<unknown>"}
    provider = recording.named("elsewhere").urn
    children = [each for each in recording.resources if each.custom and each.urn != provider]
    assert children
    assert {each.provider for each in children} == {provider}
    assert {each.urn for each in build(preview=False).resources} == {
        each.urn for each in recording.resources if each.urn != provider
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cidr": "10.42.0.0/20"}, "10.42.0.0/20 must be a private IPv4 network of size /16 to /19"),
        ({"cidr": "10.0.0.0/8"}, "must be a private IPv4 network of size /16 to /19"),
        ({"cidr": "8.8.0.0/16"}, "must be a private IPv4 network"),
        ({"cidr": "10.42.0.1/16"}, "has host bits set"),
        ({"zone_ids": ()}, "at least two different zones are needed, not none"),
        ({"zone_ids": ("use1-az1",)}, "at least two different zones are needed, not use1-az1"),
        ({"zone_ids": ("use1-az1", "use1-az1")}, "at least two different zones"),
        ({"zone_ids": ("use1-az1", "usw2-az1")}, "must lie in one region"),
        ({"zone_ids": ("us-east-1a", "us-east-1b")}, "us-east-1a is not the ID of an availability zone"),
        ({"zone_ids": ("use1-az1", "use1-atl1-az1")}, "use1-atl1-az1 is not the ID of an availability zone"),
    ],
)
def test_networks_that_cannot_work_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(ARGS, **changes)


NUMBERS = st.lists(st.integers(1, 7), min_size=2, max_size=7, unique=True)
CIDRS = st.builds("10.{}.0.0/{}".format, st.integers(0, 255), st.integers(16, 19))


@given(CIDRS, NUMBERS)
def test_subnets_lie_in_the_network_and_never_overlap(cidr: str, numbers: list[int]) -> None:
    zones = plan_subnets(cidr, [f"use1-az{number}" for number in numbers])
    blocks = [ipaddress.IPv4Network(block) for zone in zones for block in (zone.private, zone.public)]
    network = ipaddress.IPv4Network(cidr)
    assert all(block.subnet_of(network) for block in blocks)
    assert not [(a, b) for a in blocks for b in blocks if a is not b and a.overlaps(b)]
    assert min(block.num_addresses for block in blocks) >= 32  # a load balancer wants 8 free addresses of at least 16


@given(CIDRS, NUMBERS, st.randoms())
def test_a_zone_keeps_its_subnets_whatever_the_other_zones_are(cidr: str, numbers: list[int], random: Any) -> None:
    zone_ids = [f"use1-az{number}" for number in numbers]
    others = random.sample(zone_ids, k=random.randint(2, len(zone_ids)))
    everywhere = {zone.zone_id: zone for zone in plan_subnets(cidr, zone_ids)}
    assert all(everywhere[zone.zone_id] == zone for zone in plan_subnets(cidr, others))
