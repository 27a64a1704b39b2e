"""Conversations in a table: who may use it, how it is reached, and that nothing of a volume is left in the plan."""

from __future__ import annotations

from typing import Any

from components.serving import conversation_table
from dialogue.settings import load
from plan.record import Recording
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
    assert told["DIALOGUE_STORE_TABLE"] == table.inputs["name"] == "gpu-slices-dev-conversations"
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
