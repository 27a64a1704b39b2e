"""The VPC: private subnets for nodes, public ones for load balancers and NAT gateways only.

Without a NAT gateway the nodes' subnets lead to the Internet themselves, and nodes have public addresses. They keep
their names, so that a change between the ways moves routes and replaces nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.network.endpoints import Endpoints, EndpointsArgs
from components.network.flow_logs import FlowLogs, FlowLogsArgs
from components.network.subnets import ZoneSubnets, plan_subnets
from components.sdk import aws
from gpu.contract import DISCOVERY_TAG
from gpu.standing import Nat, nat_zones

ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Inputs of `Network`.

    cidr: a private network of size /16 to /19; pods have addresses of their own in it.
    zone_ids: IDs of two to seven availability zones, such as use1-az1.
    nat: one NAT gateway for all zones (cheaper; its zone's failure cuts every node off), one a zone, or none: nodes
        have public addresses.
    endpoints: interface endpoints for AWS services, at a price per hour, zone and service. S3's gateway is always
        there.
    logs_key_arn: KMS key of the flow logs, see `Encryption`.
    """

    cluster_name: str
    cidr: str
    region: str
    account_id: pulumi.Input[str]
    partition: str = "aws"
    zone_ids: Sequence[str]
    nat: Nat = "single"
    endpoints: bool = False
    logs_key_arn: pulumi.Input[str]
    flow_log_retention_days: int = 365
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for networks and zones that `plan_subnets` refuses."""
        plan_subnets(self.cidr, self.zone_ids)


class Network(pulumi.ComponentResource):
    """A VPC with flow logs and a closed default security group; no host in it gets a public address by itself, unless
    there is no NAT gateway.

    egress: what nodes reach AWS through (routes, NAT gateways, endpoints). Whatever nodes must still do while a stack
    is destroyed, such as finalizers of controllers, depends on these.
    """

    vpc_id: pulumi.Output[str]
    private_subnet_ids: tuple[pulumi.Output[str], ...]
    public_subnet_ids: tuple[pulumi.Output[str], ...]
    egress: tuple[pulumi.Resource, ...]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:Network", name, None, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        zones = plan_subnets(args.cidr, args.zone_ids)
        self._vpc = self._closed_vpc()
        self.vpc_id = self._vpc.id
        private = {zone.zone_id: self._private_subnet(zone) for zone in zones}
        public = {zone.zone_id: self._public_subnet(zone) for zone in zones}
        gateway, internet = self._internet(public)
        nats = self._nats(public, internet)
        tables, routes = self._private_routes(private, gateway, nats)
        self.private_route_table_ids = tuple(table.id for table in tables)
        self.private_subnet_ids = tuple(subnet.id for subnet in private.values())
        self.public_subnet_ids = tuple(subnet.id for subnet in public.values())
        self.egress = (*nats.values(), *routes, self._s3_gateway(tables), *self._endpoints())
        self._flow_logs()
        self.register_outputs(
            {
                "vpc_id": self.vpc_id,
                "private_subnet_ids": [*self.private_subnet_ids],
                "public_subnet_ids": [*self.public_subnet_ids],
            }
        )

    def _tags(self, suffix: str, **more: str) -> dict[str, str]:
        return {**self._args.tags, "Name": f"{self._args.cluster_name}{suffix}", **more}

    def _closed_vpc(self) -> aws.ec2.Vpc:
        vpc = aws.ec2.Vpc(
            self._name,
            cidr_block=self._args.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=self._tags(""),
            opts=self._child,
        )
        # EC2 gives hosts without a security group this one; without rules it lets nothing in or out.
        aws.ec2.DefaultSecurityGroup(
            f"{self._name}-default",
            vpc_id=vpc.id,
            ingress=[],
            egress=[],
            tags=self._tags("-default-closed"),
            opts=self._child,
        )
        return vpc

    def _private_subnet(self, zone: ZoneSubnets) -> aws.ec2.Subnet:
        return aws.ec2.Subnet(
            f"{self._name}-private-{zone.zone_id}",
            vpc_id=self._vpc.id,
            availability_zone_id=zone.zone_id,
            cidr_block=zone.private,
            map_public_ip_on_launch=self._args.nat == "none",
            tags={
                **self._tags(f"-private-{zone.zone_id}"),
                DISCOVERY_TAG: self._args.cluster_name,
                "kubernetes.io/role/internal-elb": "1",
            },
            opts=self._child,
        )

    def _public_subnet(self, zone: ZoneSubnets) -> aws.ec2.Subnet:
        return aws.ec2.Subnet(
            f"{self._name}-public-{zone.zone_id}",
            vpc_id=self._vpc.id,
            availability_zone_id=zone.zone_id,
            cidr_block=zone.public,
            map_public_ip_on_launch=False,
            tags={**self._tags(f"-public-{zone.zone_id}"), "kubernetes.io/role/elb": "1"},
            opts=self._child,
        )

    def _internet(self, public: Mapping[str, aws.ec2.Subnet]) -> tuple[aws.ec2.InternetGateway, list[pulumi.Resource]]:
        name = f"{self._name}-public"
        gateway = aws.ec2.InternetGateway(self._name, vpc_id=self._vpc.id, tags=self._tags(""), opts=self._child)
        table = aws.ec2.RouteTable(name, vpc_id=self._vpc.id, tags=self._tags("-public"), opts=self._child)
        route = aws.ec2.Route(
            name,
            route_table_id=table.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id,
            opts=self._child,
        )
        associations = [
            aws.ec2.RouteTableAssociation(
                f"{name}-{zone_id}", route_table_id=table.id, subnet_id=subnet.id, opts=self._child
            )
            for zone_id, subnet in public.items()
        ]
        return gateway, [route, *associations]

    def _nats(
        self, public: Mapping[str, aws.ec2.Subnet], internet: Sequence[pulumi.Resource]
    ) -> dict[str, aws.ec2.NatGateway]:
        zone_ids = nat_zones(self._args.nat, list(public))
        nats = {}
        for zone_id in zone_ids:
            name = f"{self._name}-nat-{zone_id}"
            tags = self._tags(f"-nat-{zone_id}")
            # No public address before there is a way to the Internet, nor after; the gateway follows its address.
            address = aws.ec2.Eip(
                name, domain="vpc", tags=tags, opts=pulumi.ResourceOptions(parent=self, depends_on=internet)
            )
            nats[zone_id] = aws.ec2.NatGateway(
                name,
                allocation_id=address.id,
                subnet_id=public[zone_id].id,
                tags=tags,
                opts=self._child,
            )
        return nats

    def _private_routes(
        self,
        private: Mapping[str, aws.ec2.Subnet],
        internet: aws.ec2.InternetGateway,
        nats: Mapping[str, aws.ec2.NatGateway],
    ) -> tuple[list[aws.ec2.RouteTable], list[pulumi.Resource]]:
        # A table for each zone even with a single NAT gateway: a change between the two moves a route, no association.
        shared = next(iter(nats.values()), None)
        tables: list[aws.ec2.RouteTable] = []
        routes: list[pulumi.Resource] = []
        for zone_id, subnet in private.items():
            name = f"{self._name}-private-{zone_id}"
            table = aws.ec2.RouteTable(
                name, vpc_id=self._vpc.id, tags=self._tags(f"-private-{zone_id}"), opts=self._child
            )
            nat = nats.get(zone_id, shared)
            route = aws.ec2.Route(
                name,
                route_table_id=table.id,
                destination_cidr_block=ANYWHERE,
                nat_gateway_id=nat.id if nat else None,
                gateway_id=None if nat else internet.id,
                opts=self._child,
            )
            association = aws.ec2.RouteTableAssociation(
                name, route_table_id=table.id, subnet_id=subnet.id, opts=self._child
            )
            tables.append(table)
            routes += [route, association]
        return tables, routes

    def _s3_gateway(self, tables: Sequence[aws.ec2.RouteTable]) -> aws.ec2.VpcEndpoint:
        # Free, and the layers of container images come from S3: without it they pass the NAT gateway at a price per GB.
        return aws.ec2.VpcEndpoint(
            f"{self._name}-s3",
            vpc_id=self._vpc.id,
            vpc_endpoint_type="Gateway",
            service_name=f"com.amazonaws.{self._args.region}.s3",
            route_table_ids=[table.id for table in tables],
            tags=self._tags("-s3"),
            opts=self._child,
        )

    def _endpoints(self) -> tuple[pulumi.Resource, ...]:
        if not self._args.endpoints:
            return ()
        args = EndpointsArgs(
            cluster_name=self._args.cluster_name,
            region=self._args.region,
            vpc_id=self._vpc.id,
            cidr=self._args.cidr,
            subnet_ids=self.private_subnet_ids,
            tags=self._args.tags,
        )
        return Endpoints(f"{self._name}-endpoints", args, self._child).resources

    def _flow_logs(self) -> None:
        args = FlowLogsArgs(
            cluster_name=self._args.cluster_name,
            vpc_id=self._vpc.id,
            account_id=self._args.account_id,
            region=self._args.region,
            partition=self._args.partition,
            key_arn=self._args.logs_key_arn,
            retention_days=self._args.flow_log_retention_days,
            tags=self._args.tags,
        )
        FlowLogs(f"{self._name}-flow-logs", args, self._child)
