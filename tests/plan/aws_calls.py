"""Which call of AWS' API makes each type of resource, and which of its members each input becomes.

An input is the member of the same name, whatever the capitals; only what differs is written down. Members are those of
botocore's service models, which AWS generates from its own definitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Call:
    """The call that a provider makes for a resource.

    members: inputs, as dotted paths without positions, to dotted paths of members; a map has `key` and `value`.
    named: member that gets a name which Pulumi makes from the logical one, where the program gives none.
    elsewhere: inputs with text that no call carries, or another call, each with the reason why it is not judged.
    """

    service: str
    operation: str
    members: Mapping[str, str] = field(default_factory=dict)
    named: str | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)


_SUBSCRIBERS = "NotificationsWithSubscribers.Subscribers"
_NOTIFICATION = "NotificationsWithSubscribers.Notification"
_INDEXES = "GlobalSecondaryIndexes"
_RECORD = "ChangeBatch.Changes.ResourceRecordSet"
_VPC_CONFIG = "resourcesVpcConfig"


def _rule(direction: str) -> Call:
    permission = "IpPermissions"
    return Call(
        service="ec2",
        operation=f"AuthorizeSecurityGroup{direction}",
        members={
            "securityGroupId": "GroupId",
            "cidrIpv4": f"{permission}.IpRanges.CidrIp",
            # The stricter of the two, and the only one of which AWS says less.
            "description": f"{permission}.UserIdGroupPairs.Description",
            "referencedSecurityGroupId": f"{permission}.UserIdGroupPairs.GroupId",
            "ipProtocol": f"{permission}.IpProtocol",
        },
    )


#: By type token. A type that is not here fails the test: it must be judged before it is used.
CALLS: Mapping[str, Call] = {
    "aws:autoscaling/attachment:Attachment": Call(
        service="autoscaling",
        operation="AttachLoadBalancerTargetGroups",
        members={"autoscalingGroupName": "AutoScalingGroupName", "lbTargetGroupArn": "TargetGroupARNs"},
    ),
    "aws:budgets/budget:Budget": Call(
        service="budgets",
        operation="CreateBudget",
        members={
            "name": "Budget.BudgetName",
            "budgetType": "Budget.BudgetType",
            "timeUnit": "Budget.TimeUnit",
            "limitAmount": "Budget.BudgetLimit.Amount",
            "limitUnit": "Budget.BudgetLimit.Unit",
            "costFilters.name": "Budget.CostFilters.key",
            "costFilters.values": "Budget.CostFilters.value",
            "notifications.comparisonOperator": f"{_NOTIFICATION}.ComparisonOperator",
            "notifications.notificationType": f"{_NOTIFICATION}.NotificationType",
            "notifications.thresholdType": f"{_NOTIFICATION}.ThresholdType",
            "notifications.subscriberEmailAddresses": f"{_SUBSCRIBERS}.Address",
            "notifications.subscriberSnsTopicArns": f"{_SUBSCRIBERS}.Address",
        },
    ),
    "aws:budgets/budgetAction:BudgetAction": Call(service="budgets", operation="CreateBudgetAction"),
    "aws:cloudwatch/dashboard:Dashboard": Call(service="cloudwatch", operation="PutDashboard"),
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": Call(
        service="logs",
        operation="PutMetricFilter",
        members={
            "name": "filterName",
            "pattern": "filterPattern",
            "metricTransformation.name": "metricTransformations.metricName",
            "metricTransformation.namespace": "metricTransformations.metricNamespace",
            "metricTransformation.value": "metricTransformations.metricValue",
            "metricTransformation.defaultValue": "metricTransformations.defaultValue",
        },
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Call(
        service="cloudwatch",
        operation="PutMetricAlarm",
        members={
            "name": "AlarmName",
            "metricQueries": "Metrics",
            "metricQueries.metric.namespace": "Metrics.MetricStat.Metric.Namespace",
            "metricQueries.metric.metricName": "Metrics.MetricStat.Metric.MetricName",
            "metricQueries.metric.stat": "Metrics.MetricStat.Stat",
            "metricQueries.metric.dimensions.ClusterName": "Metrics.MetricStat.Metric.Dimensions.Value",
            "metricQueries.metric.dimensions.RuleName": "Metrics.MetricStat.Metric.Dimensions.Value",
        },
    ),
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": Call(
        service="ce",
        operation="CreateAnomalyMonitor",
        members={
            "name": "AnomalyMonitor.MonitorName",
            "monitorType": "AnomalyMonitor.MonitorType",
        },
        elsewhere={"monitorSpecification": "a structure of the call, which the provider reads as JSON"},
    ),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": Call(
        service="ce",
        operation="CreateAnomalySubscription",
        members={
            "name": "AnomalySubscription.SubscriptionName",
            "frequency": "AnomalySubscription.Frequency",
            "monitorArnLists": "AnomalySubscription.MonitorArnList",
            "subscribers": "AnomalySubscription.Subscribers",
            "thresholdExpression.dimension": "AnomalySubscription.ThresholdExpression.Dimensions",
        },
    ),
    "aws:sns/topic:Topic": Call(
        service="sns",
        operation="CreateTopic",
        members={"kmsMasterKeyId": "Attributes.value", "policy": "Attributes.value"},
    ),
    "aws:cloudwatch/eventRule:EventRule": Call(service="events", operation="PutRule", named="Name"),
    "aws:cloudwatch/eventTarget:EventTarget": Call(
        service="events", operation="PutTargets", members={"arn": "Targets.Arn"}
    ),
    "aws:cloudwatch/logGroup:LogGroup": Call(
        service="logs", operation="CreateLogGroup", members={"name": "logGroupName"}, named="logGroupName"
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": Call(
        # Takes over the group that the VPC has: no call makes it, and one tags it.
        service="ec2",
        operation="CreateTags",
        members={"vpcId": "Resources"},
    ),
    "aws:ec2/eip:Eip": Call(service="ec2", operation="AllocateAddress"),
    "aws:ec2/flowLog:FlowLog": Call(
        service="ec2",
        operation="CreateFlowLogs",
        members={"iamRoleArn": "DeliverLogsPermissionArn", "vpcId": "ResourceIds"},
    ),
    "aws:ec2/internetGateway:InternetGateway": Call(
        service="ec2", operation="CreateInternetGateway", elsewhere={"vpcId": "AttachInternetGateway takes an id"}
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": Call(
        service="ec2",
        operation="CreateLaunchTemplate",
        members={
            "description": "VersionDescription",
            "metadataOptions": "LaunchTemplateData.MetadataOptions",
            "blockDeviceMappings": "LaunchTemplateData.BlockDeviceMappings",
            "tagSpecifications": "LaunchTemplateData.TagSpecifications",
        },
        named="LaunchTemplateName",
    ),
    "aws:ec2/natGateway:NatGateway": Call(service="ec2", operation="CreateNatGateway"),
    "aws:ec2/route:Route": Call(service="ec2", operation="CreateRoute"),
    "aws:ec2/routeTable:RouteTable": Call(service="ec2", operation="CreateRouteTable"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Call(service="ec2", operation="AssociateRouteTable"),
    "aws:ec2/securityGroup:SecurityGroup": Call(service="ec2", operation="CreateSecurityGroup", named="GroupName"),
    "aws:ec2/subnet:Subnet": Call(service="ec2", operation="CreateSubnet"),
    "aws:ec2/tag:Tag": Call(
        service="ec2",
        operation="CreateTags",
        members={"resourceId": "Resources", "key": "Tags.Key", "value": "Tags.Value"},
    ),
    "aws:ec2/vpc:Vpc": Call(service="ec2", operation="CreateVpc"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Call(service="ec2", operation="CreateVpcEndpoint"),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Call(
        service="ecr",
        operation="PutLifecyclePolicy",
        members={"policy": "lifecyclePolicyText", "repository": "repositoryName"},
    ),
    "aws:dynamodb/table:Table": Call(
        service="dynamodb",
        operation="CreateTable",
        members={
            "name": "TableName",
            "hashKey": "KeySchema.AttributeName",
            "rangeKey": "KeySchema.AttributeName",
            "attributes.name": "AttributeDefinitions.AttributeName",
            "attributes.type": "AttributeDefinitions.AttributeType",
            "globalSecondaryIndexes.name": f"{_INDEXES}.IndexName",
            "globalSecondaryIndexes.hashKey": f"{_INDEXES}.KeySchema.AttributeName",
            "globalSecondaryIndexes.rangeKey": f"{_INDEXES}.KeySchema.AttributeName",
            "globalSecondaryIndexes.projectionType": f"{_INDEXES}.Projection.ProjectionType",
        },
        named="TableName",
    ),
    "aws:ecr/repository:Repository": Call(
        service="ecr",
        operation="CreateRepository",
        members={"name": "repositoryName", "encryptionConfigurations": "encryptionConfiguration"},
        named="repositoryName",
    ),
    "aws:eks/accessEntry:AccessEntry": Call(service="eks", operation="CreateAccessEntry"),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": Call(service="eks", operation="AssociateAccessPolicy"),
    "aws:eks/addon:Addon": Call(
        service="eks",
        operation="CreateAddon",
        members={"resolveConflictsOnCreate": "resolveConflicts"},
        elsewhere={"resolveConflictsOnUpdate": "UpdateAddon's, which takes the same words"},
    ),
    "aws:eks/nodeGroup:NodeGroup": Call(
        service="eks",
        operation="CreateNodegroup",
        members={"nodeRoleArn": "nodeRole", "subnetIds": "subnets"},
        named="nodegroupName",
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": Call(
        service="eks", operation="CreatePodIdentityAssociation"
    ),
    "aws:iam/policy:Policy": Call(
        service="iam", operation="CreatePolicy", members={"policy": "PolicyDocument"}, named="PolicyName"
    ),
    "aws:iam/role:Role": Call(
        service="iam",
        operation="CreateRole",
        members={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"},
        named="RoleName",
    ),
    "aws:iam/rolePolicy:RolePolicy": Call(
        service="iam",
        operation="PutRolePolicy",
        members={"role": "RoleName", "policy": "PolicyDocument"},
        named="PolicyName",
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Call(
        service="iam", operation="AttachRolePolicy", members={"role": "RoleName"}
    ),
    "aws:kms/alias:Alias": Call(service="kms", operation="CreateAlias", members={"name": "AliasName"}),
    "aws:kms/key:Key": Call(service="kms", operation="CreateKey"),
    "aws:lb/listener:Listener": Call(
        service="elbv2",
        operation="CreateListener",
        members={"certificateArn": "Certificates.CertificateArn"},
    ),
    "aws:lb/loadBalancer:LoadBalancer": Call(
        service="elbv2", operation="CreateLoadBalancer", members={"loadBalancerType": "Type"}, named="Name"
    ),
    "aws:lb/targetGroup:TargetGroup": Call(
        service="elbv2",
        operation="CreateTargetGroup",
        members={"healthCheck.protocol": "HealthCheckProtocol"},
        named="Name",
    ),
    "aws:route53/record:Record": Call(
        service="route53",
        operation="ChangeResourceRecordSets",
        members={
            "zoneId": "HostedZoneId",
            "name": f"{_RECORD}.Name",
            "type": f"{_RECORD}.Type",
            "aliases": f"{_RECORD}.AliasTarget",
            "aliases.name": f"{_RECORD}.AliasTarget.DNSName",
            "aliases.zoneId": f"{_RECORD}.AliasTarget.HostedZoneId",
        },
    ),
    "aws:s3/bucket:Bucket": Call(service="s3", operation="CreateBucket"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Call(
        service="s3",
        operation="PutBucketLifecycleConfiguration",
        members={"rules": "LifecycleConfiguration.Rules"},
    ),
    "aws:s3/bucketPolicy:BucketPolicy": Call(service="s3", operation="PutBucketPolicy"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Call(service="s3", operation="PutPublicAccessBlock"),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": Call(
        service="s3",
        operation="PutBucketEncryption",
        members={"rules": "ServerSideEncryptionConfiguration.Rules"},
    ),
    "aws:sqs/queue:Queue": Call(
        service="sqs", operation="CreateQueue", members={"name": "QueueName"}, named="QueueName"
    ),
    "aws:sqs/queuePolicy:QueuePolicy": Call(
        service="sqs", operation="SetQueueAttributes", members={"policy": "Attributes.value"}
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _rule("Egress"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _rule("Ingress"),
    "eks:index:Cluster": Call(
        service="eks",
        operation="CreateCluster",
        members={
            "privateSubnetIds": f"{_VPC_CONFIG}.subnetIds",
            "publicAccessCidrs": f"{_VPC_CONFIG}.publicAccessCidrs",
            "authenticationMode": "accessConfig.authenticationMode",
            "enabledClusterLogTypes": "logging.clusterLogging.types",
            "encryptionConfigKeyArn": "encryptionConfig.provider.keyArn",
        },
        elsewhere={
            "vpcId": "the component's own: it looks for subnets there",
            "corednsAddonOptions": "an add-on that the component does not make",
            "kubeProxyAddonOptions": "an add-on that the component does not make",
        },
    ),
}

#: Longest documents, in characters without white space, by type and input (IAM user guide, "IAM and AWS STS quotas";
#: KMS developer guide, "Quotas", in bytes; SQS developer guide, "Amazon SQS policy quotas").
DOCUMENTS: Mapping[tuple[str, str], int] = {
    ("aws:iam/policy:Policy", "policy"): 6_144,
    ("aws:iam/role:Role", "assumeRolePolicy"): 2_048,
    ("aws:iam/rolePolicy:RolePolicy", "policy"): 10_240,
    ("aws:kms/key:Key", "policy"): 32_768,
    # S3 user guide, "Policies and permissions": 20 KB.
    ("aws:s3/bucketPolicy:BucketPolicy", "policy"): 20_480,
    ("aws:sqs/queuePolicy:QueuePolicy", "policy"): 8_192,
}
