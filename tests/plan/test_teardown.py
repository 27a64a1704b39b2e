"""`slices teardown` knows all that the program makes: by its tags, by its name, or as part of something known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from account.teardown.marks import Marks
from account.teardown.services import KEY_WINDOW_DAYS, LOG_SERVICES
from account.teardown.table import KINDS
from components.cluster.encryption import DELETION_WINDOW_DAYS
from gpu.contract import CLUSTER_TAG, STACK_TAG
from plan.record import Recording
from tests.plan.conftest import STACKS

#: Type to the kind that finds it.
FOUND = {
    "aws:budgets/budget:Budget": "budgets",
    "aws:cloudwatch/eventRule:EventRule": "EventBridge rules",
    "aws:cloudwatch/logGroup:LogGroup": "log groups",
    "aws:ec2/eip:Eip": "elastic addresses",
    "aws:ec2/flowLog:FlowLog": "VPC flow logs",
    "aws:ec2/internetGateway:InternetGateway": "internet gateways",
    "aws:ec2/launchTemplate:LaunchTemplate": "launch templates",
    "aws:ec2/natGateway:NatGateway": "NAT gateways",
    "aws:ec2/routeTable:RouteTable": "route tables",
    "aws:ec2/securityGroup:SecurityGroup": "security groups",
    "aws:ec2/subnet:Subnet": "subnets",
    "aws:ec2/vpc:Vpc": "VPCs",
    "aws:dynamodb/table:Table": "DynamoDB tables",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "VPC endpoints",
    "aws:ecr/repository:Repository": "ECR repositories",
    "aws:iam/policy:Policy": "IAM policies",
    "aws:iam/role:Role": "IAM roles",
    "aws:kms/alias:Alias": "KMS aliases",
    "aws:kms/key:Key": "KMS keys",
    "aws:lb/loadBalancer:LoadBalancer": "load balancers",
    "aws:lb/targetGroup:TargetGroup": "target groups",
    "aws:route53/record:Record": "DNS records of the door",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "CloudWatch alarms",
    "aws:cloudwatch/dashboard:Dashboard": "CloudWatch dashboards",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": "cost anomaly monitors",
    "aws:costexplorer/anomalySubscription:AnomalySubscription": "cost anomaly subscriptions",
    "aws:s3/bucket:Bucket": "S3 buckets",
    "aws:sns/topic:Topic": "SNS topics",
    "aws:sqs/queue:Queue": "SQS queues",
}
#: Type to what it is a part of, and ends with.
PARTS = {
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": "log groups",
    "aws:autoscaling/attachment:Attachment": "Auto Scaling groups",
    "aws:budgets/budgetAction:BudgetAction": "budgets",
    "aws:cloudwatch/eventTarget:EventTarget": "EventBridge rules",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "VPCs",
    "aws:ec2/route:Route": "route tables",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "route tables",
    "aws:ec2/tag:Tag": "security groups",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": "ECR repositories",
    "aws:eks/accessEntry:AccessEntry": "EKS clusters",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": "EKS clusters",
    "aws:eks/addon:Addon": "EKS clusters",
    "aws:eks/nodeGroup:NodeGroup": "EKS clusters",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": "EKS clusters",
    "aws:iam/rolePolicy:RolePolicy": "IAM roles",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "IAM roles",
    "aws:lb/listener:Listener": "load balancers",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "S3 buckets",
    "aws:s3/bucketPolicy:BucketPolicy": "S3 buckets",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "S3 buckets",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "S3 buckets",
    "aws:sqs/queuePolicy:QueuePolicy": "SQS queues",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "security groups",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "security groups",
}
#: Those found by name alone, or by name and tags.
NAMED = {"aws:cloudwatch/dashboard:Dashboard", "aws:kms/alias:Alias", "aws:route53/record:Record"}


@pytest.mark.parametrize("stack", STACKS)
def test_every_type_is_of_a_kind(stack: str, recorded: Callable[[str], Recording]) -> None:
    types = {resource.type for resource in recorded(stack).resources if resource.type.startswith("aws:")}
    assert types - FOUND.keys() - PARTS.keys() == set()
    assert {*FOUND.values(), *PARTS.values()} <= {kind.name for kind in KINDS}


@pytest.mark.parametrize("stack", STACKS)
def test_everything_carries_its_mark_and_that_of_no_other_stack(
    stack: str, recorded: Callable[[str], Recording]
) -> None:
    recording = recorded(stack)
    (cluster,) = recording.of_type("eks:index:Cluster")
    name = cluster.inputs["name"]
    marks = Marks(stack=stack, cluster=name, region=recording.region)
    alike = [
        Marks(stack=f"{stack}2", cluster=f"{name}2", region=recording.region),
        Marks(stack=stack, cluster=f"{name}2", region=recording.region),
    ]
    for resource in recording.resources:
        if resource.type in FOUND.keys() - NAMED:
            tags = resource.inputs.get("tags", {})
            assert tags.get(STACK_TAG) == stack, resource.name
            assert tags.get(CLUSTER_TAG) == name, resource.name
            assert marks.mark(tags, worldwide=True), resource.name
            assert not any(other.mark(tags) for other in alike), resource.name


@pytest.mark.parametrize("stack", STACKS)
def test_what_is_found_by_name_has_such_a_name(stack: str, recorded: Callable[[str], Recording]) -> None:
    recording = recorded(stack)
    (cluster,) = recording.of_type("eks:index:Cluster")
    name = cluster.inputs["name"]
    groups = tuple(f"/aws/{service}/{name}/" for service in LOG_SERVICES)
    beginnings = {
        "aws:cloudwatch/logGroup:LogGroup": groups,
        "aws:kms/alias:Alias": (f"alias/{name}/",),
        "aws:cloudwatch/eventRule:EventRule": (f"{name}-",),
        "aws:ecr/repository:Repository": (f"{name}/",),
    }
    for type_, allowed in beginnings.items():
        assert all(resource.inputs["name"].startswith(allowed) for resource in recording.of_type(type_)), type_
    assert {queue.inputs["name"] for queue in recording.of_type("aws:sqs/queue:Queue")} == {f"{name}-interruption"}
    assert {budget.inputs["name"] for budget in recording.of_type("aws:budgets/budget:Budget")} <= {name}


def test_keys_wait_as_long_as_pulumi_lets_them() -> None:
    assert KEY_WINDOW_DAYS == DELETION_WINDOW_DAYS
