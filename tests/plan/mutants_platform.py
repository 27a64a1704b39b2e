"""Mutants for the rules on the platform below the GPUs: each bends one thing that our own stacks do right."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from policy.analyzer import UNKNOWN
from tests.plan.mutation import Inputs, Mutant, Mutation, at, change, plus, without

Bend = Callable[[Inputs], object]

#: Stacks to bend: they differ in sharing, endpoints and zones.
STACKS = ("dev", "prod")

FLOW_LOG = "aws:ec2/flowLog:FlowLog"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
EVERYBODY = {"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "cidrIpv4": "0.0.0.0/0", "securityGroupId": UNKNOWN}
ENFORCE = ("metadata", "labels", "pod-security.kubernetes.io/enforce")
HOST_PATH = [{"name": "scratch", "hostPath": {"path": "/"}}]


def put(*path: str, value: Any) -> Bend:
    """Set a value; the place must be there."""

    def bend(inputs: Inputs) -> None:
        at(inputs, *path[:-1])[path[-1]] = value

    return bend


def drop(*path: str) -> Bend:
    """Take a value away; it must be there."""

    def bend(inputs: Inputs) -> None:
        del at(inputs, *path[:-1])[path[-1]]

    return bend


def pod(bend: Bend) -> Bend:
    """Bend the pod of a Deployment or CronJob."""

    def in_workload(inputs: Inputs) -> None:
        spec = inputs["spec"]
        bend(spec.get("jobTemplate", {}).get("spec", spec)["template"]["spec"])

    return in_workload


def container(bend: Bend) -> Bend:
    """Bend its first container."""
    return pod(lambda spec: bend(spec["containers"][0]))


def volume(bend: Bend, *path: str) -> Bend:
    """Bend the first of a list of block device mappings."""
    return lambda inputs: bend(at(inputs, *path, "blockDeviceMappings")[0]["ebs"])


def allow(action: str) -> Bend:
    """Let the first statement of a policy allow that on everything."""

    def bend(inputs: Inputs) -> None:
        document = json.loads(inputs["policy"])
        document["Statement"][0] |= {"Action": action, "Resource": "*"}
        inputs["policy"] = json.dumps(document)

    return bend


def plain_queue(inputs: Inputs) -> None:
    inputs.pop("kmsMasterKeyId", None)
    inputs["sqsManagedSseEnabled"] = False


def no_audit_log(inputs: Inputs) -> None:
    inputs["enabledClusterLogTypes"].remove("audit")


def all_ports(inputs: Inputs) -> None:
    inputs |= {"cidrIpv4": "0.0.0.0/0", "fromPort": 0, "toPort": 65535}


#: Type and name of what is bent, to rule, what, and how.
BENT: dict[tuple[str, str], list[tuple[str, str, Bend]]] = {
    ("eks:index:Cluster", "*"): [
        ("eks-private-endpoint", "no private endpoint", drop("endpointPrivateAccess")),
        ("eks-private-endpoint", "private endpoint unknown", put("endpointPrivateAccess", value=UNKNOWN)),
        ("eks-endpoint-allowlist", "no allowlist", drop("publicAccessCidrs")),
        ("eks-endpoint-allowlist", "allowlist emptied", put("publicAccessCidrs", value=[])),
        ("eks-endpoint-allowlist", "everybody", put("publicAccessCidrs", value=["0.0.0.0/0"])),
        ("eks-endpoint-allowlist", "two halves", put("publicAccessCidrs", value=["0.0.0.0/1", "128.0.0.0/1"])),
        ("eks-endpoint-allowlist", "allowlist unknown", put("publicAccessCidrs", value=[UNKNOWN])),
        ("eks-secrets-encrypted", "no key", drop("encryptionConfigKeyArn")),
        ("eks-control-plane-logs", "no audit log", no_audit_log),
        ("eks-supported-version", "old release", put("version", value="1.32")),
        ("eks-supported-version", "release left open", drop("version")),
        ("eks-support-ends-soon", "release in its last days", put("version", value="1.34")),
        ("eks-standard-support", "extended support", put("upgradePolicy", "supportType", value="EXTENDED")),
        ("eks-standard-support", "support left to EKS", drop("upgradePolicy")),
        ("eks-component-contents", "nothing said, nothing inside", lambda inputs: inputs.clear()),
    ],
    ("aws:ec2/launchTemplate:LaunchTemplate", "*"): [
        ("node-imdsv2", "two hops", put("metadataOptions", "httpPutResponseHopLimit", value=2)),
        ("node-imdsv2", "no tokens", put("metadataOptions", "httpTokens", value="optional")),
        ("node-imdsv2", "metadata left to the image", drop("metadataOptions")),
        ("node-encrypted-volumes", "plain", volume(put("encrypted", value="false"))),
        ("node-encrypted-volumes", "encryption not said", volume(drop("encrypted"))),
        ("node-encrypted-volumes", "volumes left to the image", drop("blockDeviceMappings")),
        ("node-no-ssh", "a key", put("keyName", value="admin")),
        ("tags-cost-allocation", "untagged system nodes", drop("tagSpecifications")),
    ],
    ("kubernetes:karpenter.k8s.aws/v1:EC2NodeClass", "gpu-*"): [
        ("node-imdsv2", "two hops", put("spec", "metadataOptions", "httpPutResponseHopLimit", value=2)),
        ("node-imdsv2", "no tokens", put("spec", "metadataOptions", "httpTokens", value="optional")),
        ("node-encrypted-volumes", "encryption not said", volume(drop("encrypted"), "spec")),
        ("tags-cost-allocation", "untagged", drop("spec", "tags", "gpu-slices/stack")),
    ],
    ("aws:eks/nodeGroup:NodeGroup", "*"): [
        ("node-no-ssh", "remote access", put("remoteAccess", value={"ec2SshKey": "admin"})),
    ],
    (FLOW_LOG, "*"): [("vpc-flow-logs", "flow log of something else", drop("vpcId"))],
    (DEFAULT_GROUP, "*"): [
        ("vpc-default-group-closed", "members may talk", put("ingress", value=[{"protocol": "-1", "self": True}])),
    ],
    ("aws:ec2/natGateway:NatGateway", "*"): [
        ("tags-cost-allocation", "untagged gateway", drop("tags", "gpu-slices/stack")),
    ],
    ("aws:iam/policy:Policy", "karpenter-controller-node-lifecycle"): [
        ("iam-no-wildcards", "all of EC2", allow("ec2:*")),
        ("iam-no-wildcards", "everything", allow("*")),
    ],
    ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "*WorkerNodePolicy"): [
        ("iam-no-administrators", "nodes are administrators", put("policyArn", value=ADMINISTRATOR)),
    ],
    ("aws:kms/key:Key", "encryption-data"): [
        ("kms-rotation", "key stays", put("enableKeyRotation", value=False)),
        ("kms-rotation", "rotation not said", drop("enableKeyRotation")),
    ],
    ("aws:sqs/queue:Queue", "*"): [("sqs-encryption", "plain queue", plain_queue)],
    ("aws:cloudwatch/logGroup:LogGroup", "*"): [
        ("logs-retention", "a month", put("retentionInDays", value=30)),
        ("logs-retention", "for ever", drop("retentionInDays")),
        ("logs-encryption", "no key", drop("kmsKeyId")),
    ],
    ("kubernetes:apps/v1:Deployment", "*"): [
        ("k8s-pod-security", "privileged", container(put("securityContext", "privileged", value=True))),
        ("k8s-pod-security", "escalation not said", container(drop("securityContext", "allowPrivilegeEscalation"))),
        ("k8s-pod-security", "no seccomp", pod(drop("securityContext", "seccompProfile"))),
        ("k8s-resource-limits", "no limits", container(drop("resources"))),
    ],
    ("kubernetes:batch/v1:CronJob", "*"): [
        ("k8s-pod-security", "capabilities kept", container(drop("securityContext", "capabilities"))),
        ("k8s-pod-security", "may be root", pod(drop("securityContext", "runAsNonRoot"))),
        ("k8s-pod-security", "host processes", pod(put("hostPID", value=True))),
        ("k8s-pod-security", "host path", pod(put("volumes", value=HOST_PATH))),
    ],
    ("kubernetes:core/v1:Namespace", "examples"): [
        ("k8s-namespace-pod-security", "privileged namespace", put(*ENFORCE, value="privileged")),
        ("k8s-namespace-pod-security", "no level", drop("metadata", "labels")),
    ],
}
#: The same for what is taken away or added.
OTHERS: list[tuple[str, str, Mutation]] = [
    ("vpc-flow-logs", "no flow log", without(FLOW_LOG)),
    ("vpc-default-group-managed", "default group left alone", without(DEFAULT_GROUP)),
    ("vpc-no-open-ssh", "a rule for everybody", plus(INGRESS, EVERYBODY)),
    (
        "ecr-immutable-scanned",
        "a repository as AWS makes it",
        plus("aws:ecr/repository:Repository", {"tags": {"gpu-slices/stack": "any"}}),
    ),
]

MUTANTS: list[Mutant] = [
    *(
        Mutant(rule, stack, f"{what} ({type_.rpartition(':')[2]})", change(type_, bend, name))
        for stack in STACKS
        for (type_, name), bends in BENT.items()
        for rule, what, bend in bends
    ),
    *(Mutant(rule, stack, what, mutation) for stack in STACKS for rule, what, mutation in OTHERS),
    Mutant("vpc-no-open-ssh", "prod", "the endpoints' own rule widened", change(INGRESS, all_ports)),
]
