"""What a stack costs while nothing runs on it has an item for all that AWS is paid for by the hour or the month."""

from __future__ import annotations

import pytest

from config.idle_floor import floor_items
from plan.make import make_plan
from plan.monitor import Resource
from tests.plan.conftest import ROOT, STACKS

#: Types that cost while they merely stand there, to the item that counts them.
STANDING = {
    "aws:cloudwatch/dashboard:Dashboard": "Monitoring",
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": "Monitoring",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "Monitoring",
    "aws:ec2/eip:Eip": "NAT gateway",
    "aws:ec2/natGateway:NatGateway": "NAT gateway",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "Interface endpoints",
    "aws:eks/nodeGroup:NodeGroup": "System nodes",
    "aws:kms/key:Key": "KMS keys",
    "aws:lb/loadBalancer:LoadBalancer": "Door",
    "eks:index:Cluster": "EKS control plane",
}
#: Types that cost nothing, or by use: requests, bytes, mails. A new type is looked up (aws.amazon.com/pricing) and put
#: into one of the two tables.
FREE = {
    *("aws:autoscaling/attachment:Attachment", "aws:budgets/budget:Budget", "aws:budgets/budgetAction:BudgetAction"),
    *("aws:cloudwatch/eventRule:EventRule", "aws:cloudwatch/eventTarget:EventTarget"),
    *("aws:cloudwatch/logGroup:LogGroup", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"),
    # By requests, and after the first 25 GB by size.
    *("aws:dynamodb/table:Table",),
    # By requests and size, for which the bill has lines of their own.
    *("aws:s3/bucket:Bucket", "aws:s3/bucketPolicy:BucketPolicy"),
    *("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",),
    *("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",),
    *("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",),
    *("aws:ec2/flowLog:FlowLog", "aws:ec2/internetGateway:InternetGateway", "aws:ec2/launchTemplate:LaunchTemplate"),
    *("aws:ec2/route:Route", "aws:ec2/routeTable:RouteTable", "aws:ec2/routeTableAssociation:RouteTableAssociation"),
    *("aws:ec2/securityGroup:SecurityGroup", "aws:ec2/subnet:Subnet", "aws:ec2/tag:Tag", "aws:ec2/vpc:Vpc"),
    *("aws:ecr/lifecyclePolicy:LifecyclePolicy", "aws:ecr/repository:Repository", "aws:eks/accessEntry:AccessEntry"),
    *("aws:eks/accessPolicyAssociation:AccessPolicyAssociation", "aws:eks/addon:Addon"),
    *("aws:eks/podIdentityAssociation:PodIdentityAssociation", "aws:iam/policy:Policy", "aws:iam/role:Role"),
    *("aws:iam/rolePolicy:RolePolicy", "aws:iam/rolePolicyAttachment:RolePolicyAttachment", "aws:kms/alias:Alias"),
    *("aws:lb/listener:Listener", "aws:lb/targetGroup:TargetGroup", "aws:route53/record:Record"),
    *("aws:costexplorer/anomalyMonitor:AnomalyMonitor",),
    *("aws:costexplorer/anomalySubscription:AnomalySubscription", "aws:sns/topic:Topic"),
    *("aws:sqs/queue:Queue", "aws:sqs/queuePolicy:QueuePolicy"),
    *("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",),
    *("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",),
}


def _costs(resource: Resource) -> bool:
    """Endpoints that are gateways are free, interfaces are not (VPC user guide, "AWS PrivateLink")."""
    return resource.type in STANDING and resource.inputs.get("vpcEndpointType") != "Gateway"


@pytest.mark.parametrize("stack", STACKS)
def test_everything_that_costs_while_it_stands_is_an_item(stack: str) -> None:
    plan = make_plan(ROOT, stack)
    assert plan.figures
    resources = plan.recording.resources
    types = {each.type for each in resources if each.type.startswith("aws:")}
    assert types - STANDING.keys() - FREE == set()
    items = {item.name: item for item in floor_items(plan.figures.config)}
    wanted = {STANDING[each.type] for each in resources if _costs(each)}
    # A node group's volumes are none of the plan's resources.
    assert wanted == items.keys() - {"System volumes"}
    for name, type_ in {"NAT gateway": "aws:ec2/natGateway:NatGateway", "KMS keys": "aws:kms/key:Key"}.items():
        assert items[name].detail.split()[0] == str(len(plan.recording.of_type(type_)))
