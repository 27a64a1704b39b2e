"""The volume of the conversations is real without a key: what makes it, who pays, and that it goes with the stack."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from account.teardown.marks import Marks, tags_of
from components.cluster.ebs_driver import STORAGE_CLASS
from config.idle_floor import floor_items
from gpu.system_pods import control_plane_cpu_millis
from plan.monitor import Resource
from plan.record import Recording
from policy.analyzer import judge, read_config
from tests.day import TODAY
from tests.plan.conftest import ROOT, as_judged
from tests.plan.test_destroy_order import Graph
from tests.plan.variants import changed_dev
from tests.unit.config.support import changed, parsed, problems_of
from twin.planning import plan_of

ADDON = "aws:eks/addon:Addon"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
CONFIG = read_config(ROOT / "policy" / "config.json")


@functools.cache
def planned(storage_class: str | None = None, image: str | None = "build") -> Recording:
    dialogue: dict[str, Any] = {"speakers": ["mistral", "llama2"]}
    dialogue |= {"image": image} if image else {}
    dialogue |= {"storageClass": storage_class} if storage_class else {}
    return changed_dev({"dialogue": dialogue})


def the_claim(plan: Recording) -> Resource:
    (found,) = [each for each in plan.of_type(CLAIM) if each.inputs["metadata"]["namespace"] == "dialogue"]
    return found


def the_driver(plan: Recording) -> list[Resource]:
    return [each for each in plan.of_type(ADDON) if each.inputs["addonName"] == "aws-ebs-csi-driver"]


def test_the_claim_is_of_the_class_that_the_stack_brings() -> None:
    plan = planned()
    assert the_claim(plan).inputs["spec"]["storageClassName"] == STORAGE_CLASS
    (found,) = plan.of_type(CLASS)
    assert found.inputs["metadata"]["name"] == STORAGE_CLASS
    (driver,) = the_driver(plan)
    assert driver.inputs["addonVersion"].startswith("v1.")


@pytest.mark.parametrize(("storage_class", "image"), [("ours", "build"), (None, None)])
def test_no_driver_comes_where_none_is_needed(storage_class: str | None, image: str | None) -> None:
    plan = planned(storage_class, image)
    assert the_driver(plan) == plan.of_type(CLASS) == []
    claims = {each.inputs["spec"]["storageClassName"] for each in plan.of_type(CLAIM)} - {""}
    assert claims == ({storage_class} if image else set())


def test_the_volume_is_encrypted_with_the_key_of_the_nodes_volumes() -> None:
    plan = planned()
    (found,) = plan.of_type(CLASS)
    (key,) = [each for each in plan.of_type("aws:kms/key:Key") if each.name == "encryption-volumes"]
    assert found.inputs["parameters"]["encrypted"] == "true"
    assert plan.values[found.inputs["parameters"]["kmsKeyId"]][0] == key.urn
    assert found.inputs["volumeBindingMode"] == "WaitForFirstConsumer"
    assert found.inputs["reclaimPolicy"] == "Delete"


def test_the_driver_may_use_that_key_and_touch_its_own_volumes() -> None:
    plan = planned()
    attached = {
        each.name: each.inputs["policyArn"]
        for each in plan.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if each.name.startswith("ebs-csi-")
    }
    managed = "AmazonEBSCSIDriverPolicyV2"
    assert attached.keys() == {f"ebs-csi-controller-{managed}", "ebs-csi-controller-key"}
    assert attached[f"ebs-csi-controller-{managed}"] == f"arn:aws:iam::aws:policy/{managed}"
    (policy,) = [each for each in plan.of_type("aws:iam/policy:Policy") if each.name == "ebs-csi-key"]
    use, grants = json.loads(policy.inputs["policy"])["Statement"]
    (found,) = plan.of_type(CLASS)
    assert use["Resource"] == grants["Resource"] == found.inputs["parameters"]["kmsKeyId"]
    assert grants["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    (driver,) = the_driver(plan)
    (association,) = driver.inputs["podIdentityAssociations"]
    assert association["serviceAccount"] == "ebs-csi-controller-sa"


def test_the_volume_goes_before_what_deletes_it_and_its_nodes_too() -> None:
    """The driver deletes a volume some moments after its claim: NodePools, whose end takes minutes, lie between."""
    plan = planned()
    graph = Graph(plan, parents=True)
    services = [each for each in plan.resources if each.name == "dialogue" and each.type.endswith(":Service")]
    pools = [each for each in plan.of_type("kubernetes:karpenter.sh/v1:NodePool") if each.name.startswith("cpu-")]
    assert len(services) == 1
    assert pools
    assert graph.missing(services, [the_claim(plan)]) == []
    assert graph.missing([the_claim(plan)], [*pools, *plan.of_type(CLASS), *the_driver(plan)]) == []
    assert graph.missing(pools, the_driver(plan)) == []


def test_teardown_knows_a_volume_that_is_left() -> None:
    (found,) = planned().of_type(CLASS)
    pairs = [text.partition("=") for key, text in found.inputs["parameters"].items() if key.startswith("tagSpec")]
    tags = tags_of([{"Key": key, "Value": value} for key, _, value in pairs])
    assert Marks(stack="dev", cluster="gpu-slices-dev", region="us-east-1").mark(tags)
    assert Marks(stack="dev2", cluster="gpu-slices-dev2", region="us-east-1").mark(tags) is None


def test_it_is_paid_for_wherever_there_is_an_image() -> None:
    def conversations(changes: dict[str, Any]) -> list[str]:
        items = floor_items(parsed(changed(changes)))
        return [item.name for item in items if item.name == "Conversations"]

    assert conversations({}) == []
    assert conversations({"dialogue.image": "build"}) == ["Conversations"]
    assert conversations({"dialogue.image": "build", "dialogue.storageClass": "ours"}) == ["Conversations"]


def test_the_pack_is_content_and_sees_a_class_without_encryption() -> None:
    plan = planned()
    resources = [as_judged(found, plan.preview_inputs(found)) for found in plan.resources]
    assert [f"{verdict.rule}: {verdict.resource}" for verdict in judge(resources, CONFIG, today=TODAY)] == []
    bent = [
        as_judged(each, {**plan.preview_inputs(each), "parameters": {"type": "gp3"}}) if each.type == CLASS else found
        for each, found in zip(plan.resources, resources, strict=True)
    ]
    assert {verdict.rule for verdict in judge(bent, CONFIG, today=TODAY)} == {"node-encrypted-volumes"}


def test_the_controller_needs_room_on_the_system_nodes() -> None:
    assert control_plane_cpu_millis(2, 2, ebs_driver=True) - control_plane_cpu_millis(2, 2) == 140
    for changes in ({}, {"dialogue.image": "build"}):
        said = str(problems_of(changed({"cluster.systemNodes": {"desired": 1}, **changes})))
        needed = control_plane_cpu_millis(2, 1, ebs_driver=bool(changes))
        assert f"all pods on them request {needed}m CPU" in said


@pytest.mark.parametrize("storage_class", [None, "ours"])
def test_the_twin_has_the_volume_ready_and_promised_to_the_claim(storage_class: str | None) -> None:
    plan = plan_of(planned(storage_class))
    manifests = [each.manifest for each in plan.planned if each.manifest]
    (claim,) = [
        m for m in manifests if m["kind"] == "PersistentVolumeClaim" and m["metadata"]["namespace"] == "dialogue"
    ]
    volumes = [m for m in manifests if m["kind"] == "PersistentVolume" and m["spec"]["storageClassName"]]
    (volume,) = volumes
    assert volume["spec"]["claimRef"] == {"namespace": "dialogue", "name": claim["metadata"]["name"]}
    assert volume["spec"]["storageClassName"] == claim["spec"]["storageClassName"]
    assert volume["spec"]["accessModes"] == claim["spec"]["accessModes"]
    assert volume["spec"]["capacity"] == claim["spec"]["resources"]["requests"]
