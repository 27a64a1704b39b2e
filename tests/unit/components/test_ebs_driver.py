"""EbsCsiDriver in a program of somebody else's: its controller on the nodes it is told, its volumes encrypted."""

from __future__ import annotations

import json

import pulumi
import pulumi_kubernetes as k8s

from components.cluster.addon import AddonsArgs
from components.cluster.ebs_driver import EbsCsiDriver, EbsCsiDriverArgs
from tests.unit.components.recording import Recording, record

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/volumes"


def build() -> Recording[EbsCsiDriver]:
    def program() -> EbsCsiDriver:
        provider = k8s.Provider("k", kubeconfig="{}")
        arguments = EbsCsiDriverArgs(
            addons=AddonsArgs(cluster_name="c", kubernetes_version="1.36", account_id=ACCOUNT),
            volume_key_arn=KEY,
            volume_tags={"team": "ml"},
        )
        return EbsCsiDriver("ebs", arguments, pulumi.ResourceOptions(providers=[provider]))

    return record(program)


def test_no_node_with_taints_runs_a_part_of_it_but_those_of_the_system() -> None:
    values = json.loads(build().one("aws:eks/addon:Addon").inputs["configurationValues"])
    assert values["controller"]["nodeSelector"] == {"karpenter.sh/controller": "true"}
    assert [each["key"] for each in values["controller"]["tolerations"]] == ["CriticalAddonsOnly"]
    assert values["node"] == {"tolerateAllTaints": False}


def test_the_class_names_key_zone_and_tags() -> None:
    recording = build()
    found = recording.one("kubernetes:storage.k8s.io/v1:StorageClass").inputs
    assert recording.result.storage_class == found["metadata"]["name"]
    assert found["apiVersion"] == "storage.k8s.io/v1"
    assert found["provisioner"] == "ebs.csi.aws.com"
    assert found["parameters"] == {
        "type": "gp3",
        "encrypted": "true",
        "kmsKeyId": KEY,
        "tagSpecification_1": "team=ml",
    }
    assert found["volumeBindingMode"] == "WaitForFirstConsumer"
    addon = recording.one("aws:eks/addon:Addon")
    assert recording.outlives(addon, recording.one("kubernetes:storage.k8s.io/v1:StorageClass"))


def test_its_role_is_for_its_controller_in_this_cluster_alone() -> None:
    recording = build()
    trust = json.loads(recording.one("aws:iam/role:Role").inputs["assumeRolePolicy"])
    (statement,) = trust["Statement"]
    assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    named = statement["Condition"]["StringEquals"]
    assert named["aws:RequestTag/eks-cluster-name"] == "c"
    assert named["aws:RequestTag/kubernetes-service-account"] == "ebs-csi-controller-sa"
    resources = {
        each["Resource"] for each in json.loads(recording.one("aws:iam/policy:Policy").inputs["policy"])["Statement"]
    }
    assert resources == {KEY}
