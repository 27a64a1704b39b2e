"""Makes the plan's AWS objects in moto, with the names, tags and ranges that the program gave them.

Only what Karpenter reads, and what Karpenter's objects name, is made; the rest of the plan stays a plan. The same plan
gives the same ids each time: after a crash Karpenter's nodes are still in subnets that exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import boto3

from twin.aws.account import ACCOUNT
from twin.aws.resolve import PLACEHOLDER, resolve
from twin.plan import CloudResource, TwinPlan

Inputs = Mapping[str, Any]
Outputs = dict[str, str]


class Seeder:
    """Makes resources in the plan's order, so that each finds the ids of those that it names."""

    def __init__(self, plan: TwinPlan, endpoint: str) -> None:
        """endpoint: address of the twin's API server, which the EKS cluster gives as its own."""
        self.values: dict[str, str] = {}
        """Placeholder to value."""
        self._plan = plan
        self._endpoint = endpoint
        self._clients: dict[str, Any] = {}
        self._outputs = {
            (urn, attribute): text for text, (urn, attribute) in plan.outputs.items() if PLACEHOLDER.fullmatch(text)
        }

    def seed(self) -> dict[str, str]:
        """Make everything; the values of the placeholders."""
        for resource in self._plan.cloud:
            handler = _HANDLERS.get(resource.type)
            if handler is None:
                continue
            outputs = handler(self, resource, resolve(dict(resource.inputs), self.values))
            for attribute, value in outputs.items():
                text = self._outputs.get((resource.urn, attribute))
                if text:
                    self.values[text] = value
        return self.values

    def client(self, service: str) -> Any:
        """A client of moto."""
        if service not in self._clients:
            self._clients[service] = boto3.client(service, region_name=self._plan.region)
        return self._clients[service]

    # --- Network ------------------------------------------------------------------------------------------------------

    def vpc(self, _: CloudResource, inputs: Inputs) -> Outputs:
        """aws:ec2/vpc:Vpc."""
        vpc = self.client("ec2").create_vpc(CidrBlock=inputs["cidrBlock"], TagSpecifications=_tags("vpc", inputs))
        identity = vpc["Vpc"]["VpcId"]
        groups = self.client("ec2").describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [identity]}])
        return {"id": identity, "defaultSecurityGroupId": groups["SecurityGroups"][0]["GroupId"]}

    def subnet(self, _: CloudResource, inputs: Inputs) -> Outputs:
        """aws:ec2/subnet:Subnet."""
        zone = {key: inputs[given] for given, key in _ZONE.items() if given in inputs}
        made = self.client("ec2").create_subnet(
            VpcId=inputs["vpcId"], CidrBlock=inputs["cidrBlock"], TagSpecifications=_tags("subnet", inputs), **zone
        )["Subnet"]
        if inputs.get("mapPublicIpOnLaunch"):
            self.client("ec2").modify_subnet_attribute(SubnetId=made["SubnetId"], MapPublicIpOnLaunch={"Value": True})
        return {
            "id": made["SubnetId"],
            "availabilityZone": made["AvailabilityZone"],
            "availabilityZoneId": made["AvailabilityZoneId"],
        }

    def security_group(self, resource: CloudResource, inputs: Inputs) -> Outputs:
        """aws:ec2/securityGroup:SecurityGroup."""
        name = inputs.get("name") or resource.name
        made = self.client("ec2").create_security_group(
            GroupName=name,
            Description=inputs.get("description") or "Managed by Pulumi",
            VpcId=inputs["vpcId"],
            TagSpecifications=_tags("security-group", inputs),
        )
        return {"id": made["GroupId"], "name": name}

    def default_security_group(self, _: CloudResource, inputs: Inputs) -> Outputs:
        """aws:ec2/defaultSecurityGroup:DefaultSecurityGroup: the VPC has it already, the program tags it."""
        filters = [{"Name": "vpc-id", "Values": [inputs["vpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
        found = self.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"]
        if inputs.get("tags"):
            self.client("ec2").create_tags(Resources=[found], Tags=_pairs(inputs))
        return {"id": found}

    def tag(self, _: CloudResource, inputs: Inputs) -> Outputs:
        """aws:ec2/tag:Tag."""
        self.client("ec2").create_tags(
            Resources=[inputs["resourceId"]], Tags=[{"Key": inputs["key"], "Value": inputs["value"]}]
        )
        return {}

    # --- Identity, keys, queue ----------------------------------------------------------------------------------------

    def role(self, resource: CloudResource, inputs: Inputs) -> Outputs:
        """aws:iam/role:Role."""
        name = inputs.get("name") or f"{resource.name}-0000000"
        self.client("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=inputs["assumeRolePolicy"], Tags=_pairs(inputs)
        )
        return {"id": name, "name": name}

    def instance_profile(self, resource: CloudResource, inputs: Inputs) -> Outputs:
        """aws:iam/instanceProfile:InstanceProfile."""
        name = inputs.get("name") or f"{resource.name}-0000000"
        self.client("iam").create_instance_profile(InstanceProfileName=name)
        if inputs.get("role"):
            self.client("iam").add_role_to_instance_profile(InstanceProfileName=name, RoleName=inputs["role"])
        return {"id": name, "name": name}

    def key(self, _: CloudResource, inputs: Inputs) -> Outputs:
        """aws:kms/key:Key."""
        made = self.client("kms").create_key(Description=inputs.get("description", ""))["KeyMetadata"]
        return {"id": made["KeyId"], "keyId": made["KeyId"]}

    def queue(self, resource: CloudResource, inputs: Inputs) -> Outputs:
        """aws:sqs/queue:Queue."""
        name = inputs.get("name") or f"{resource.name}-0000000"
        retention = str(inputs.get("messageRetentionSeconds", 345600))
        made = self.client("sqs").create_queue(QueueName=name, Attributes={"MessageRetentionPeriod": retention})
        return {"id": made["QueueUrl"], "url": made["QueueUrl"], "name": name}

    # --- EKS ----------------------------------------------------------------------------------------------------------

    def cluster(self, resource: CloudResource, inputs: Inputs) -> Outputs:
        """eks:index:Cluster. EKS makes the cluster's security group itself."""
        name = str(inputs.get("name") or resource.name)
        group = self.client("ec2").create_security_group(
            GroupName=f"eks-cluster-sg-{name}",
            Description="EKS created security group applied to ENI that is attached to EKS Control Plane master nodes",
            VpcId=inputs["vpcId"],
        )["GroupId"]
        tags = {"Name": f"eks-cluster-sg-{name}", f"kubernetes.io/cluster/{name}": "owned"}
        self.client("ec2").create_tags(Resources=[group], Tags=_pairs({"tags": tags}))
        subnets = [*(inputs.get("privateSubnetIds") or inputs.get("subnetIds") or [])]
        self.client("eks").create_cluster(
            name=name,
            version=inputs.get("version"),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/eks-service-role",
            resourcesVpcConfig={"subnetIds": subnets},
        )
        self._amend_cluster(name, group)
        return {"clusterSecurityGroupId": group, "endpoint": self._endpoint, "name": name}

    def _amend_cluster(self, name: str, group: str) -> None:
        """What EKS knows of a cluster and moto does not."""
        from moto.eks.models import eks_backends  # noqa: PLC0415  loads the whole of moto's EKS

        cluster: Any = eks_backends[ACCOUNT][self._plan.region].clusters[name]
        cluster.endpoint = self._endpoint
        cluster.resources_vpc_config = {**(cluster.resources_vpc_config or {}), "clusterSecurityGroupId": group}
        cluster.kubernetes_network_config = {"serviceIpv4Cidr": "10.96.0.0/16", "ipFamily": "ipv4"}


_ZONE = {"availabilityZoneId": "AvailabilityZoneId", "availabilityZone": "AvailabilityZone"}


def _pairs(inputs: Inputs) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in (inputs.get("tags") or {}).items()]


def _tags(kind: str, inputs: Inputs) -> list[dict[str, Any]]:
    pairs = _pairs(inputs)
    return [{"ResourceType": kind, "Tags": pairs}] if pairs else []


_HANDLERS: Mapping[str, Callable[[Seeder, CloudResource, Inputs], Outputs]] = {
    "aws:ec2/vpc:Vpc": Seeder.vpc,
    "aws:ec2/subnet:Subnet": Seeder.subnet,
    "aws:ec2/securityGroup:SecurityGroup": Seeder.security_group,
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": Seeder.default_security_group,
    "aws:ec2/tag:Tag": Seeder.tag,
    "aws:iam/role:Role": Seeder.role,
    "aws:iam/instanceProfile:InstanceProfile": Seeder.instance_profile,
    "aws:kms/key:Key": Seeder.key,
    "aws:sqs/queue:Queue": Seeder.queue,
    "eks:index:Cluster": Seeder.cluster,
}
