"""Conversations in a table: who may use it, how it is reached, and that nothing of a volume is left in the plan."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import boto3
from botocore.client import BaseClient

from components.serving import conversation_table
from dialogue.dynamodb import DynamoStore
from dialogue.settings import load
from plan.record import Recording
from tests.apps.test_stores import FIRST, ME, row
from tests.plan.variants import varied

SERVICE = "kubernetes:serving.knative.dev/v1:Service"
VARIANT = "conversations in a table"


def pod(plan: Recording) -> dict[str, Any]:
    (service,) = [each for each in plan.of_type(SERVICE) if each.inputs["metadata"]["name"] == "dialogue"]
    spec: dict[str, Any] = service.inputs["spec"]["template"]["spec"]
    return spec


def test_the_pod_is_told_of_the_table_and_has_no_volume_for_it() -> None:
    plan = varied(VARIANT)
    (table,) = plan.of_type("aws:dynamodb/table:Table")
    (container,) = pod(plan)["containers"]
    told = {variable["name"]: variable["value"] for variable in container["env"]}
    assert "DIALOGUE_STORE" not in told
    assert plan.values[told["DIALOGUE_STORE_TABLE"]][0] == table.urn
    assert told["AWS_REGION"] == plan.region
    assert {volume["name"] for volume in pod(plan)["volumes"]} == {"settings", "keys"}
    assert "affinity" not in pod(plan)
    assert not [each for each in plan.of_type("aws:eks/addon:Addon") if "ebs" in each.inputs["addonName"]]
    speakers = [{"name": name, "model": "m", "url": "http://m"} for name in ("a", "b")]
    assert load(None, {"DIALOGUE_STORE_TABLE": table.inputs["name"]}, speakers=speakers).store_table


def test_its_service_account_has_the_role() -> None:
    plan = varied(VARIANT)
    (found,) = [
        each
        for each in plan.of_type("aws:eks/podIdentityAssociation:PodIdentityAssociation")
        if each.inputs["namespace"] == "dialogue"
    ]
    assert found.inputs["serviceAccount"] == pod(plan)["serviceAccountName"]
    accounts = [each.inputs["metadata"] for each in plan.of_type("kubernetes:core/v1:ServiceAccount")]
    assert {"name": found.inputs["serviceAccount"], "namespace": "dialogue"} in accounts


def test_the_table_is_encrypted_and_can_be_restored() -> None:
    plan = varied(VARIANT)
    (table,) = plan.of_type("aws:dynamodb/table:Table")
    (key,) = [each for each in plan.of_type("aws:kms/key:Key") if each.name == "encryption-data"]
    encryption = table.inputs["serverSideEncryption"]
    assert encryption["enabled"] is True
    assert plan.values[encryption["kmsKeyArn"]][0] == key.urn
    assert table.inputs["pointInTimeRecovery"] == {"enabled": True}
    assert table.inputs["billingMode"] == "PAY_PER_REQUEST"


def test_the_way_to_it_is_open_and_free() -> None:
    plan = varied(VARIANT)
    (endpoint,) = [
        each for each in plan.of_type("aws:ec2/vpcEndpoint:VpcEndpoint") if "dynamodb" in each.inputs["serviceName"]
    ]
    assert endpoint.inputs["vpcEndpointType"] == "Gateway"
    private = [each for each in plan.of_type("aws:ec2/routeTable:RouteTable") if "private" in each.name]
    assert len(endpoint.inputs["routeTableIds"]) == len(private) > 0
    (walls,) = [
        each
        for each in plan.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
        if each.inputs["metadata"]["namespace"] == "dialogue"
    ]
    for rule in conversation_table.EGRESS:
        assert rule in walls.inputs["spec"]["egress"]


def test_the_role_may_do_what_the_application_does_and_no_more(dynamodb: Callable[[str], str]) -> None:
    """The calls that it really makes; a transaction is asked for by what is in it (DynamoDB, "IAM for transactions")."""
    made: set[str] = set()
    store = DynamoStore(dynamodb("talks"))
    with store._table() as table:
        client: BaseClient = table.meta.client
        client.meta.events.register("before-call.dynamodb", lambda model, **_: made.add(model.name))
    store.save(row(), [FIRST], 0, ME, 100)
    store.claim("a", ME, 110, 100)
    store.renew(ME, 110)
    store.rows("ann")
    store.row("a")
    store.probe()
    store.interrupted(90, 120)
    assert store.delete(200, 300) == ["a"]
    made = (made - {"TransactWriteItems"}) | {"PutItem"}
    plan = varied(VARIANT)
    (policy,) = [each for each in plan.of_type("aws:iam/policy:Policy") if each.name == "conversations"]
    statements = json.loads(_known(policy.inputs["policy"]))["Statement"]
    assert set(statements[0]["Action"]) == {f"dynamodb:{name}" for name in made}
    assert statements[1]["Condition"]["StringEquals"]["kms:ViaService"] == f"dynamodb.{plan.region}.amazonaws.com"


def _known(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_the_table_is_as_the_application_wants_it(dynamodb: Callable[[str], str]) -> None:
    (table,) = varied(VARIANT).of_type("aws:dynamodb/table:Table")
    made = boto3.client("dynamodb").describe_table(TableName=dynamodb("talks"))["Table"]
    assert {each["name"]: each["type"] for each in table.inputs["attributes"]} == {
        each["AttributeName"]: each["AttributeType"] for each in made["AttributeDefinitions"]
    }
    assert [table.inputs["hashKey"], table.inputs["rangeKey"]] == [each["AttributeName"] for each in made["KeySchema"]]
    (index,) = table.inputs["globalSecondaryIndexes"]
    (of_table,) = made["GlobalSecondaryIndexes"]
    assert [index["hashKey"], index["rangeKey"]] == [each["AttributeName"] for each in of_table["KeySchema"]]
    assert (index["name"], index["projectionType"]) == (of_table["IndexName"], "ALL")
