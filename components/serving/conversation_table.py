"""ConversationTable: where the dialogue keeps its conversations when they are to be in no zone and on no node.

The application reads and writes it with the role of its service account (EKS Pod Identity), and with nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi

from components.cluster.pod_identity import OwnPolicy, PodRoleArgs, pod_access
from components.sdk import aws
from components.serving.network_policy import tcp

#: Types of the attributes that are keys, its key, and its index of rows: as apps/dialogue/dynamodb.py wants them.
ATTRIBUTES: Final = {"id": "S", "position": "N", "owner": "S", "changed": "N"}
KEY: Final = ("id", "position")
OWNER_INDEX: Final = "owner"
OWNER_KEY: Final = ("owner", "changed")

_ACTIONS: Final = tuple(
    f"dynamodb:{action}"
    for action in ("BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem")
)
#: What DynamoDB does with the key for a caller (DynamoDB Developer Guide, "Encryption at rest: usage notes").
_KEY_ACTIONS: Final = ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*")

#: What the pod must reach beside the models. A NetworkPolicy knows no names: DynamoDB has public addresses, to which
#: the VPC's gateway endpoint leads, and the agent of Pod Identity a link-local one (EKS user guide, "How EKS Pod
#: Identity works").
EGRESS: Final[Sequence[Mapping[str, Any]]] = (
    {"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": tcp(80)},
    {
        "to": [
            {
                "ipBlock": {
                    "cidr": "0.0.0.0/0",
                    "except": ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"],
                }
            }
        ],
        "ports": tcp(443),
    },
)


@dataclass(frozen=True, kw_only=True)
class ConversationTableArgs:
    """Inputs of `ConversationTable`.

    key_arn: KMS key that encrypts the table.
    namespace, service_account: of the pods that may use it.
    route_table_ids: of the pods' subnets; a gateway endpoint, which is free, leads them to DynamoDB.
    after: what the association with the service account needs: the cluster with its agent of Pod Identity.
    """

    cluster_name: str
    account_id: pulumi.Input[str]
    region: str
    partition: str = "aws"
    key_arn: pulumi.Input[str]
    namespace: str
    service_account: str
    vpc_id: pulumi.Input[str]
    route_table_ids: Sequence[pulumi.Input[str]]
    tags: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[pulumi.Resource] = ()


class ConversationTable(pulumi.ComponentResource):
    """A table of DynamoDB, paid by request, encrypted, with point-in-time recovery; a role; a gateway endpoint.

    `pulumi destroy` deletes it with what is in it. Needs an AWS provider.
    """

    table_name: pulumi.Output[str]
    ready: tuple[pulumi.Resource, ...]

    def __init__(self, name: str, args: ConversationTableArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:ConversationTable", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        table = aws.dynamodb.Table(
            name,
            name=f"{args.cluster_name}-conversations",
            billing_mode="PAY_PER_REQUEST",
            attributes=[aws.dynamodb.TableAttributeArgs(name=key, type=kind) for key, kind in ATTRIBUTES.items()],
            hash_key=KEY[0],
            range_key=KEY[1],
            global_secondary_indexes=[
                aws.dynamodb.TableGlobalSecondaryIndexArgs(
                    name=OWNER_INDEX, hash_key=OWNER_KEY[0], range_key=OWNER_KEY[1], projection_type="ALL"
                )
            ],
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True, kms_key_arn=args.key_arn),
            tags=dict(args.tags),
            opts=child,
        )
        endpoints = [
            aws.ec2.VpcEndpoint(
                name,
                vpc_id=args.vpc_id,
                vpc_endpoint_type="Gateway",
                service_name=f"com.amazonaws.{args.region}.dynamodb",
                route_table_ids=[*args.route_table_ids],
                tags={**args.tags, "Name": f"{args.cluster_name}-dynamodb"},
                opts=child,
            )
        ]
        self.table_name = table.name
        self.ready = (table, *endpoints, self._permissions(name, args, table.arn))
        self.register_outputs({"table_name": self.table_name})

    def _permissions(self, name: str, args: ConversationTableArgs, table_arn: pulumi.Output[str]) -> pulumi.Resource:
        return pod_access(
            name,
            PodRoleArgs(
                cluster_name=args.cluster_name,
                account_id=args.account_id,
                partition=args.partition,
                namespace=args.namespace,
                service_account=args.service_account,
                tags=args.tags,
            ),
            OwnPolicy(
                name=name,
                key="table",
                description=f"The dialogue of {args.cluster_name}: its conversations",
                document=_policy(table_arn, args),
            ),
            self,
            pulumi.ResourceOptions(parent=self, depends_on=[*args.after]),
        )


def _policy(table_arn: pulumi.Output[str], args: ConversationTableArgs) -> pulumi.Output[str]:
    by_dynamodb = {"StringEquals": {"kms:ViaService": f"dynamodb.{args.region}.amazonaws.com"}}
    return pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": list(_ACTIONS),
                    "Resource": [table_arn, table_arn.apply(lambda arn: f"{arn}/index/{OWNER_INDEX}")],
                },
                {"Effect": "Allow", "Action": list(_KEY_ACTIONS), "Resource": args.key_arn, "Condition": by_dynamodb},
            ],
        }
    )
