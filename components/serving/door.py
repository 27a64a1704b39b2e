"""Door: an internal network load balancer, through which people reach what is meant for them; never a model itself.

It leads to Kourier's port on the system nodes. Pulumi makes it, not a controller in the cluster: so it is in the plan
with its price, `pulumi destroy` takes it like everything else, and no controller needs rights over load balancers. In
exchange every request passes a system node, which for a page and its event stream is little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.sdk import aws
from components.serving.knative_config import HTTP_NODE_PORT, HTTPS_NODE_PORT


@dataclass(frozen=True, kw_only=True)
class DoorArgs:
    """Inputs of `Door`.

    hosts: names of the services behind it; each gets a record if zone_id is given.
    allowed_cidrs: IPv4 ranges that may reach it, such as a VPN's; the VPC's own range if people come from there.
    subnet_ids: private subnets, one a zone.
    system_nodes: the node group whose nodes run Kourier.
    node_security_group_id: security group of these nodes.
    certificate_arn: ACM certificate for the hosts: the load balancer ends TLS. AWS closes such
        connections after 350 silent seconds, whatever idle_seconds says.
    tls_in_cluster: TLS passes through and Kourier ends it.
    zone_id: hosted zone of Route 53 that gets the records; None where somebody else makes them.
    idle_seconds: silence after which AWS closes a connection, 60 to 6000.
    """

    hosts: Sequence[str]
    allowed_cidrs: Sequence[str]
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    system_nodes: aws.eks.NodeGroup
    node_security_group_id: pulumi.Input[str]
    certificate_arn: str | None = None
    tls_in_cluster: bool = False
    zone_id: str | None = None
    idle_seconds: int = 1200
    deletion_protection: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


class Door(pulumi.ComponentResource):
    """The load balancer, its security group, listener and targets, and the record. Needs an AWS provider."""

    address: pulumi.Output[str]
    """DNS name of the load balancer."""

    def __init__(self, name: str, args: DoorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:Door", name, None, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._port = 443 if args.certificate_arn or args.tls_in_cluster else 80
        self._node_port = HTTPS_NODE_PORT if args.tls_in_cluster else HTTP_NODE_PORT
        group = self._security_group()
        balancer = aws.lb.LoadBalancer(
            name,
            internal=True,
            load_balancer_type="network",
            subnets=[*args.subnet_ids],
            security_groups=[group.id],
            # The nodes are in two zones; without this a zone without one would lead nowhere.
            enable_cross_zone_load_balancing=True,
            enable_deletion_protection=args.deletion_protection,
            tags=dict(args.tags),
            opts=self._child,
        )
        self._listener(balancer)
        if args.zone_id:
            for host in args.hosts:
                self._record(args.zone_id, host, balancer)
        self.address = balancer.dns_name
        self.register_outputs({"address": self.address})

    def _security_group(self) -> aws.ec2.SecurityGroup:
        args = self._args
        group = aws.ec2.SecurityGroup(
            f"{self._name}-balancer",
            description="The internal load balancer of the door",
            vpc_id=args.vpc_id,
            tags=dict(args.tags),
            opts=self._child,
        )
        for cidr in args.allowed_cidrs:
            aws.vpc.SecurityGroupIngressRule(
                f"{self._name}-from-{cidr.replace('/', '-')}",
                security_group_id=group.id,
                description="People",
                cidr_ipv4=cidr,
                ip_protocol="tcp",
                from_port=self._port,
                to_port=self._port,
                tags=dict(args.tags),
                opts=self._child,
            )
        nodes: dict[str, Any] = {"ip_protocol": "tcp", "from_port": self._node_port, "to_port": self._node_port}
        aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-to-nodes",
            security_group_id=group.id,
            description="Kourier on the system nodes",
            referenced_security_group_id=args.node_security_group_id,
            tags=dict(args.tags),
            opts=self._child,
            **nodes,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-into-nodes",
            security_group_id=args.node_security_group_id,
            description="The load balancer of the door",
            referenced_security_group_id=group.id,
            tags=dict(args.tags),
            opts=self._child,
            **nodes,
        )
        return group

    def _listener(self, balancer: aws.lb.LoadBalancer) -> None:
        args = self._args
        targets = aws.lb.TargetGroup(
            f"{self._name}-nodes",
            port=self._node_port,
            protocol="TCP",
            target_type="instance",
            vpc_id=args.vpc_id,
            # A stream that people watch may outlive the node that it passes by so much.
            deregistration_delay=300,
            connection_termination=False,
            # Who sends is known to Kourier by it alone: on the node's port the address is a node's.
            proxy_protocol_v2=True,
            health_check=aws.lb.TargetGroupHealthCheckArgs(protocol="TCP", interval=10, healthy_threshold=2),
            tags=dict(args.tags),
            opts=self._child,
        )
        tls: dict[str, Any] = {"protocol": "TCP", "tcp_idle_timeout_seconds": args.idle_seconds}
        if args.certificate_arn:
            tls = {
                "protocol": "TLS",
                "certificate_arn": args.certificate_arn,
                "ssl_policy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
            }
        aws.lb.Listener(
            f"{self._name}-{self._port}",
            load_balancer_arn=balancer.arn,
            port=self._port,
            default_actions=[aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=targets.arn)],
            tags=dict(args.tags),
            opts=self._child,
            **tls,
        )
        aws.autoscaling.Attachment(
            f"{self._name}-nodes",
            autoscaling_group_name=args.system_nodes.resources.apply(_group_name),
            lb_target_group_arn=targets.arn,
            opts=self._child,
        )

    def _record(self, zone_id: str, host: str, balancer: aws.lb.LoadBalancer) -> None:
        aws.route53.Record(
            f"{self._name}-{host}",
            zone_id=zone_id,
            name=host,
            type="A",
            aliases=[
                aws.route53.RecordAliasArgs(
                    name=balancer.dns_name, zone_id=balancer.zone_id, evaluate_target_health=False
                )
            ],
            opts=self._child,
        )


def _group_name(resources: Any) -> str:
    """The Auto Scaling group that EKS made for the node group; it has one."""
    return str(resources[0].autoscaling_groups[0].name)
