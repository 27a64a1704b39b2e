"""ConversationTable: a table that only one service account may use."""

from __future__ import annotations

import json
from typing import Any

from components.serving.conversation_table import ConversationTable, ConversationTableArgs
from tests.unit.components.recording import Recording, record


def made(**values: Any) -> Recording[ConversationTable]:
    def program() -> ConversationTable:
        arguments: dict[str, Any] = {
            "cluster_name": "ml",
            "account_id": "123456789012",
            "region": "eu-west-1",
            "key_arn": "arn:aws:kms:eu-west-1:123456789012:key/1",
            "namespace": "dialogue",
            "service_account": "dialogue",
            "vpc_id": "vpc-1",
            "route_table_ids": ["rtb-1", "rtb-2"],
            "tags": {"team": "ml"},
        }
        return ConversationTable("talks", ConversationTableArgs(**{**arguments, **values}))

    return record(program)


def test_it_is_named_by_its_cluster_and_goes_with_its_tags() -> None:
    table = made().one("aws:dynamodb/table:Table").inputs
    assert table["name"] == "ml-conversations"
    assert table["tags"] == {"team": "ml"}
    assert "deletionProtectionEnabled" not in table, "a stack that is destroyed ends it"


def test_nobody_else_may_take_the_role() -> None:
    trust = json.loads(made().one("aws:iam/role:Role").inputs["assumeRolePolicy"])["Statement"][0]
    assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert trust["Condition"]["StringEquals"]["aws:RequestTag/kubernetes-namespace"] == "dialogue"
    assert trust["Condition"]["StringEquals"]["aws:RequestTag/kubernetes-service-account"] == "dialogue"


def test_pods_come_after_the_role_can_be_taken_and_the_way_is_open() -> None:
    recording = made()
    types = {"aws:dynamodb/table:Table", "aws:ec2/vpcEndpoint:VpcEndpoint"}
    types.add("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    ready = recording.result.ready
    assert {resource.pulumi_resource_type for resource in ready} == types


def test_the_endpoint_is_a_gateway_of_all_route_tables() -> None:
    endpoint = made().one("aws:ec2/vpcEndpoint:VpcEndpoint").inputs
    assert endpoint["serviceName"] == "com.amazonaws.eu-west-1.dynamodb"
    assert endpoint["vpcEndpointType"] == "Gateway"
    assert endpoint["routeTableIds"] == ["rtb-1", "rtb-2"]
