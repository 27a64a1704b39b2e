"""Karpenter alone: what its controller may do, what it is told, and the order in which its parts come and go."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s
import pytest

import versions
from components.karpenter import karpenter_policies as policies
from components.karpenter.interruption import EVENTS
from components.karpenter.karpenter import Karpenter, KarpenterArgs
from tests.unit.components.recording import Recording, Registration, record

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/volumes"
CLUSTER = "gpu-slices-test"
LONGEST = "c" * 49
#: Most characters of a managed policy; white space does not count (IAM quotas).
MANAGED_POLICY_LIMIT = 6144
SCOPE = policies.Scope(cluster_name=CLUSTER, account_id=ACCOUNT, region="us-east-1")
RELEASE = "kubernetes:helm.sh/v3:Release"


def program(**changes: Any) -> Karpenter:
    arguments: dict[str, Any] = {
        "cluster_name": CLUSTER,
        "account_id": ACCOUNT,
        "region": "us-east-1",
        "volume_key_arn": KEY,
        "tags": {"cost-center": "research"},
    }
    providers = [aws.Provider("aws", region="us-east-1"), k8s.Provider("k8s", kubeconfig="{}")]
    system_nodes = aws.eks.NodeGroup(
        "system-nodes",
        node_role_arn="arn",
        cluster_name=CLUSTER,
        subnet_ids=["subnet-1"],
        scaling_config={"min_size": 1, "max_size": 3, "desired_size": 2},
        opts=pulumi.ResourceOptions(provider=providers[0]),
    )
    return Karpenter(
        "karpenter",
        KarpenterArgs(**(arguments | changes), after=[system_nodes]),
        pulumi.ResourceOptions(providers=providers),
    )


@functools.cache
def recorded() -> Recording[Karpenter]:
    return record(program)


@pytest.fixture
def recording() -> Recording[Karpenter]:
    return recorded()


def policy_of(recording: Recording[Any], topic: str) -> list[dict[str, Any]]:
    registration = recording.one("aws:iam/policy:Policy", f"karpenter-controller-{topic}")
    return list(json.loads(registration.inputs["policy"])["Statement"])


# --- What the controller may do ---------------------------------------------------------------------------------------

TOPICS: Mapping[str, Callable[[policies.Scope], list[policies.Statement]]] = {
    "node-lifecycle": policies.node_lifecycle,
    "iam-integration": policies.iam_integration,
    "eks-integration": policies.eks_integration,
    "resource-discovery": policies.resource_discovery,
    "interruption": lambda scope: policies.interruption(scope, f"{scope.cluster_name}-interruption"),
    "volume-encryption": lambda scope: policies.volume_encryption(scope, KEY),
}
#: Nothing to tag: what instances are made from, lists without resources, and AWS's own parameters and role.
WITHOUT_CLUSTER = {
    "AllowScopedEC2InstanceAccessActions",
    "AllowRegionalReadActions",
    "AllowSSMReadActions",
    "AllowPricingReadActions",
    "AllowUnscopedInstanceProfileListAction",
    "AllowInstanceProfileReadActions",
    "AllowSpotServiceLinkedRoleCreation",
    "AllowVolumeEncryption",
    "AllowVolumeGrants",
}


@pytest.mark.parametrize("topic", TOPICS)
def test_policies_fit_into_iam_with_the_longest_cluster_name(topic: str) -> None:
    scope = policies.Scope(cluster_name=LONGEST, account_id=ACCOUNT, region="ap-southeast-2")
    text = json.dumps(policies.document(TOPICS[topic](scope)), separators=(",", ":"))
    assert len(text) <= MANAGED_POLICY_LIMIT


@pytest.mark.parametrize("topic", TOPICS)
def test_what_is_attached_is_what_the_policies_say(recording: Recording[Karpenter], topic: str) -> None:
    assert policy_of(recording, topic) == json.loads(json.dumps(TOPICS[topic](SCOPE)))
    attachment = recording.one("aws:iam/rolePolicyAttachment:RolePolicyAttachment", f"karpenter-controller-{topic}")
    assert attachment.inputs["role"] == "karpenter-controller"
    assert attachment.inputs["policyArn"].endswith(f":karpenter-controller-{topic}")


def test_every_statement_that_can_name_the_cluster_does() -> None:
    other = policies.Scope(cluster_name="other", account_id=ACCOUNT, region="us-east-1")
    same = {
        ours["Sid"]
        for topic in TOPICS.values()
        for ours, theirs in zip(topic(SCOPE), topic(other), strict=True)
        if ours == theirs
    }
    assert same == WITHOUT_CLUSTER


def test_nothing_that_changes_anything_is_allowed_on_everything() -> None:
    for topic in TOPICS.values():
        for statement in topic(SCOPE):
            assert not any(action.endswith(":*") for action in statement["Action"])
            if statement["Resource"] == "*":
                verbs = {action.split(":")[1] for action in statement["Action"]}
                assert all(verb.startswith(("Describe", "List", "Get")) for verb in verbs), statement["Sid"]


def test_instances_are_made_and_ended_only_with_the_clusters_tag() -> None:
    by_sid = {statement["Sid"]: statement for statement in policies.node_lifecycle(SCOPE)}
    owned = f"kubernetes.io/cluster/{CLUSTER}"
    for sid in ("AllowScopedEC2InstanceActionsWithTags", "AllowScopedResourceCreationTagging"):
        assert by_sid[sid]["Condition"]["StringEquals"][f"aws:RequestTag/{owned}"] == "owned"
        assert by_sid[sid]["Condition"]["StringEquals"]["aws:RequestTag/eks:eks-cluster-name"] == CLUSTER
    for sid in ("AllowScopedDeletion", "AllowScopedResourceTagging", "AllowScopedEC2LaunchTemplateAccessActions"):
        assert by_sid[sid]["Condition"]["StringEquals"][f"aws:ResourceTag/{owned}"] == "owned"
        assert by_sid[sid]["Condition"]["StringLike"]["aws:ResourceTag/karpenter.sh/nodepool"] == "*"


def test_finalizers_may_do_what_they_need() -> None:
    """An EC2NodeClass goes only after its instance profiles and launch templates."""
    allowed = {action for topic in TOPICS.values() for statement in topic(SCOPE) for action in statement["Action"]}
    assert allowed >= {
        "iam:ListInstanceProfiles",
        "iam:GetInstanceProfile",
        "iam:RemoveRoleFromInstanceProfile",
        "iam:DeleteInstanceProfile",
        "ec2:DeleteLaunchTemplate",
        "ec2:TerminateInstances",
        "ec2:DescribeInstances",
        "ec2:DescribeLaunchTemplates",
    }


def test_only_the_controllers_own_service_account_gets_its_role(recording: Recording[Karpenter]) -> None:
    role = recording.one("aws:iam/role:Role", "karpenter-controller")
    [trust] = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert trust["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": ACCOUNT,
        "aws:RequestTag/eks-cluster-arn": f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/{CLUSTER}",
        "aws:RequestTag/kubernetes-namespace": "kube-system",
        "aws:RequestTag/kubernetes-service-account": "karpenter",
    }
    association = recording.one("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    assert association.inputs["namespace"] == "kube-system"
    assert association.inputs["serviceAccount"] == "karpenter"
    assert association.inputs["roleArn"].endswith(":karpenter-controller")
    assert "disableSessionTags" not in association.inputs, "the trust asks for the session's tags"


def test_volumes_are_encrypted_through_ec2_alone() -> None:
    use, grant = policies.volume_encryption(SCOPE, KEY)
    for statement in (use, grant):
        assert statement["Resource"] == KEY
        assert statement["Condition"]["StringEquals"]["kms:ViaService"] == "ec2.us-east-1.amazonaws.com"
    assert grant["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}
    china = policies.Scope(cluster_name="c", account_id=ACCOUNT, region="cn-north-1", partition="aws-cn")
    assert "ec2.cn-north-1.amazonaws.com.cn" in json.dumps(policies.volume_encryption(china, KEY))


def test_permissions_are_known_in_preview() -> None:
    """People review them, and policies judge them, before anything exists."""
    preview = record(program, preview=True)
    for topic, statements in TOPICS.items():
        assert policy_of(preview, topic) == json.loads(json.dumps(statements(SCOPE)))


# --- Nodes ------------------------------------------------------------------------------------------------------------


def test_nodes_have_a_role_that_node_classes_can_name(recording: Recording[Karpenter]) -> None:
    role = recording.one("aws:iam/role:Role", "karpenter-node")
    assert role.inputs["name"] == recording.result.node_role_name == f"{CLUSTER}-karpenter-node"
    assert f":role/{CLUSTER}-karpenter-node" in SCOPE.node_role_arn
    entry = recording.one("aws:eks/accessEntry:AccessEntry")
    assert entry.inputs["type"] == "EC2_LINUX"
    assert entry.inputs["principalArn"].endswith(":karpenter-node")
    attached = {
        each.inputs["policyArn"].rsplit("/", 1)[1]
        for each in recording.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if each.name.startswith("karpenter-node-")
    }
    assert attached == {
        "AmazonEKSWorkerNodePolicy",
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonSSMManagedInstanceCore",
    }


def test_a_cluster_name_that_is_too_long_for_its_role_is_refused() -> None:
    arguments: Mapping[str, Any] = {"account_id": ACCOUNT, "region": "us-east-1", "volume_key_arn": KEY}
    KarpenterArgs(cluster_name=LONGEST, **arguments)
    with pytest.raises(ValueError, match="has 50 characters; at most 49"):
        KarpenterArgs(cluster_name=LONGEST + "c", **arguments)


# --- Interruptions ----------------------------------------------------------------------------------------------------


def test_every_kind_of_interruption_reaches_the_queue(recording: Recording[Karpenter]) -> None:
    rules = recording.of_type("aws:cloudwatch/eventRule:EventRule")
    patterns = [json.loads(rule.inputs["eventPattern"]) for rule in rules]
    assert {pattern["detail-type"][0] for pattern in patterns} == {
        "AWS Health Event",
        "EC2 Spot Instance Interruption Warning",
        "EC2 Instance Rebalance Recommendation",
        "EC2 Instance State-change Notification",
        "EC2 Capacity Reservation Instance Interruption Warning",
    }
    for pattern in patterns:
        assert pattern["source"] == (["aws.health"] if "Health" in pattern["detail-type"][0] else ["aws.ec2"])
    targets = recording.of_type("aws:cloudwatch/eventTarget:EventTarget")
    assert {target.inputs["rule"] for target in targets} == {rule.inputs["name"] for rule in rules}
    queue_policy = recording.one("aws:sqs/queuePolicy:QueuePolicy")
    for target in targets:
        assert target.inputs["arn"].endswith(":karpenter-interruption")
        assert recording.outlives(queue_policy, target), "the first event would be refused"


def test_the_queue_takes_events_of_these_rules_only_and_tls_only(recording: Recording[Karpenter]) -> None:
    queue = recording.one("aws:sqs/queue:Queue")
    assert queue.inputs["name"] == recording.result.queue_name == f"{CLUSTER}-interruption"
    assert queue.inputs["messageRetentionSeconds"] == 300
    assert queue.inputs["sqsManagedSseEnabled"] is True
    policy = json.loads(recording.one("aws:sqs/queuePolicy:QueuePolicy").inputs["policy"])
    allow, deny = policy["Statement"]
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{CLUSTER}-interruption"
    assert allow["Resource"] == deny["Resource"] == arn
    assert allow["Principal"] == {"Service": "events.amazonaws.com"}
    names = {rule.inputs["name"] for rule in recording.of_type("aws:cloudwatch/eventRule:EventRule")}
    assert set(allow["Condition"]["ArnEquals"]["aws:SourceArn"]) == {
        f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{name}" for name in names
    }
    assert deny["Effect"] == "Deny"
    assert deny["Principal"] == "*"
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_rule_names_fit_with_the_longest_cluster_name() -> None:
    assert max(len(f"{LONGEST}-{suffix}") for suffix in EVENTS) <= 64


def test_a_key_of_ones_own_encrypts_the_queue_and_the_controller_can_read_it() -> None:
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/messages"
    recording = record(lambda: program(queue_key_arn=key))
    queue = recording.one("aws:sqs/queue:Queue")
    assert queue.inputs["kmsMasterKeyId"] == key
    assert "sqsManagedSseEnabled" not in queue.inputs
    _, decrypt = policy_of(recording, "interruption")
    assert decrypt["Action"] == ["kms:Decrypt"]
    assert decrypt["Resource"] == key
    assert decrypt["Condition"]["StringEquals"]["kms:ViaService"] == "sqs.us-east-1.amazonaws.com"


# --- Charts and order -------------------------------------------------------------------------------------------------


def test_charts_are_pinned_and_definitions_have_a_release_of_their_own(recording: Recording[Karpenter]) -> None:
    crds = recording.one(RELEASE, "karpenter-crd")
    controller = recording.one(RELEASE, "karpenter-controller")
    assert crds.inputs["chart"] == "oci://public.ecr.aws/karpenter/karpenter-crd"
    assert controller.inputs["chart"] == "oci://public.ecr.aws/karpenter/karpenter"
    for release in (crds, controller):
        assert release.inputs["version"] == versions.KARPENTER_VERSION
        assert release.inputs["namespace"] == "kube-system"
        assert release.inputs["skipCrds"] is True
        assert release.custom_timeouts["delete"]
    assert controller.inputs["name"] == "karpenter"


def needed(recording: Recording[Any], resource: Registration) -> set[str]:
    """URNs that must exist as long as a resource does, by dependencies alone: parents promise nothing."""
    by_urn = {each.urn: each for each in recording.resources}
    found: set[str] = set()
    todo = [resource]
    while todo:
        new = {*todo.pop().dependencies} - found
        found |= new
        todo += [by_urn[urn] for urn in new]
    return found


def test_everything_outlives_the_controller(recording: Recording[Karpenter]) -> None:
    """On destroy it still has its permissions, queue, nodes and definitions until it is gone itself."""
    controller = recording.one(RELEASE, "karpenter-controller")
    others = [each for each in recording.resources if each.custom and not each.type.startswith("pulumi:providers:")]
    others.remove(controller)
    assert len(others) > 30
    assert [each.name for each in others if each.urn not in needed(recording, controller)] == []


def test_what_lives_in_the_cluster_waits_for_it(recording: Recording[Karpenter]) -> None:
    nodes = recording.named("system-nodes")
    inside = [RELEASE, "aws:eks/accessEntry:AccessEntry", "aws:eks/podIdentityAssociation:PodIdentityAssociation"]
    parts = [each for type_ in inside for each in recording.of_type(type_)]
    assert len(parts) == 4
    assert all(nodes.urn in part.dependencies for part in parts)


def test_resources_use_the_providers_given_and_carry_the_tags(recording: Recording[Karpenter]) -> None:
    untagged = {
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:sqs/queuePolicy:QueuePolicy",
    }
    parts = [each for each in recording.resources if each.name.startswith("karpenter") and each.custom]
    assert len(parts) > 30
    for part in parts:
        assert part.provider.endswith("::k8s" if part.type == RELEASE else "::aws"), part.urn
        if part.type.startswith("aws:") and part.type not in untagged:
            assert part.inputs["tags"]["cost-center"] == "research", part.urn


def test_nothing_is_kept_or_skipped_on_destroy(recording: Recording[Karpenter]) -> None:
    def skipped(each: Registration) -> bool:
        return bool(each.deleted_with) or each.retain_on_delete or each.protect

    assert [each.name for each in recording.resources if skipped(each)] == []
