"""VPC endpoints: AWS services reached without leaving AWS's network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.sdk import aws
from gpu.standing import INTERFACE_SERVICES


@dataclass(frozen=True, kw_only=True)
class EndpointsArgs:
    """Inputs of `Endpoints`. `cidr` is the VPC's network, whose hosts may use the endpoints."""

    cluster_name: str
    region: str
    vpc_id: pulumi.Input[str]
    cidr: str
    subnet_ids: Sequence[pulumi.Input[str]]
    tags: Mapping[str, str] = field(default_factory=dict)


class Endpoints(pulumi.ComponentResource):
    """An interface endpoint in every zone for each of `INTERFACE_SERVICES`; each costs money per hour and zone."""

    resources: tuple[pulumi.Resource, ...]

    def __init__(self, name: str, args: EndpointsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:Endpoints", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        group = aws.ec2.SecurityGroup(
            name,
            description=f"AWS services for hosts of {args.cluster_name}",
            vpc_id=args.vpc_id,
            tags={**args.tags, "Name": f"{args.cluster_name}-endpoints"},
            opts=child,
        )
        ingress = aws.vpc.SecurityGroupIngressRule(
            f"{name}-https",
            description="HTTPS from hosts of the VPC",
            security_group_id=group.id,
            cidr_ipv4=args.cidr,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            opts=child,
        )
        endpoints = [
            aws.ec2.VpcEndpoint(
                f"{name}-{service}",
                vpc_id=args.vpc_id,
                vpc_endpoint_type="Interface",
                service_name=f"com.amazonaws.{args.region}.{service}",
                private_dns_enabled=True,
                subnet_ids=[*args.subnet_ids],
                security_group_ids=[group.id],
                tags={**args.tags, "Name": f"{args.cluster_name}-{service}"},
                opts=child,
            )
            for service in INTERFACE_SERVICES
        ]
        self.resources = (ingress, *endpoints)
        self.register_outputs({})
