"""Flow logs of a VPC: who talked to whom, kept encrypted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from components.sdk import aws

AGGREGATION_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class FlowLogsArgs:
    """Inputs of `FlowLogs`. The key must let CloudWatch Logs use it for `/aws/vpc/<cluster>/` (see `Encryption`)."""

    cluster_name: str
    vpc_id: pulumi.Input[str]
    account_id: pulumi.Input[str]
    region: str
    partition: str = "aws"
    key_arn: pulumi.Input[str]
    retention_days: int = 365
    tags: Mapping[str, str] = field(default_factory=dict)


class FlowLogs(pulumi.ComponentResource):
    """All traffic of a VPC, accepted and rejected, in the log group `/aws/vpc/<cluster>/flow-logs`."""

    log_group_name: str

    def __init__(self, name: str, args: FlowLogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:FlowLogs", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # Named, because the key's policy allows the log groups of the cluster by name.
        self.log_group_name = f"/aws/vpc/{args.cluster_name}/flow-logs"
        group = aws.cloudwatch.LogGroup(
            name,
            name=self.log_group_name,
            kms_key_id=args.key_arn,
            retention_in_days=args.retention_days,
            tags=dict(args.tags),
            opts=child,
        )
        role = aws.iam.Role(
            name,
            description=f"Writes the flow logs of {args.cluster_name}",
            assume_role_policy=_trust(args),
            tags=dict(args.tags),
            opts=child,
        )
        policy = aws.iam.RolePolicy(name, role=role.id, policy=_permissions(group.arn), opts=child)
        aws.ec2.FlowLog(
            name,
            vpc_id=args.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=AGGREGATION_SECONDS,
            tags={**args.tags, "Name": f"{args.cluster_name}-flow-logs"},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.register_outputs({"log_group_name": self.log_group_name})


def _trust(args: FlowLogsArgs) -> pulumi.Output[str]:
    # VPC user guide, "IAM role for publishing flow logs to CloudWatch Logs": conditions against a confused deputy.
    source = pulumi.Output.concat("arn:", args.partition, ":ec2:", args.region, ":", args.account_id, ":vpc-flow-log/*")
    return pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                    "Condition": {
                        "StringEquals": {"aws:SourceAccount": args.account_id},
                        "ArnLike": {"aws:SourceArn": source},
                    },
                }
            ],
        }
    )


# Without `CreateLogGroup`: logs that come late would make the group again after a destroy, unencrypted and for ever
# (terraform-aws-modules/terraform-aws-vpc#550).
def _permissions(log_group_arn: pulumi.Output[str]) -> pulumi.Output[str]:
    actions = ("CreateLogStream", "DescribeLogGroups", "DescribeLogStreams", "PutLogEvents")
    return pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": [f"logs:{action}" for action in actions],
                    "Resource": pulumi.Output.concat(log_group_arn, ":*"),
                }
            ],
        }
    )
