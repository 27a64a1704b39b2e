"""What `slices adopt` asks the account of a cluster that is there: what a cluster's own objects do not tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from account.commands import aws
from account.preflight import existing
from account.preflight.requirement import Finding, Missing, Note, Ok, Requirement, Sight, Verdict, findings, only
from account.session import Absent, Account, Answer, Found, Unseen
from config.schema import StackConfig

_GUIDE = "https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html"


def cluster_of(account: Account, name: str) -> Answer[dict[str, Any]]:
    """The cluster as EKS describes it."""
    return only(account.ask("eks", "describe_cluster", name=name, absent=["ResourceNotFoundException"]), "cluster")


def role_of(account: Account, profile: str) -> Answer[str]:
    """Name of the role in an instance profile, which a node class may name instead."""
    answer = account.ask("iam", "get_instance_profile", absent=["NoSuchEntity"], InstanceProfileName=profile)
    match answer:
        case Found(value):
            roles = value["InstanceProfile"].get("Roles") or []
            return Found(str(roles[0]["RoleName"])) if roles else Absent()
        case other:
            return other


def account_findings(config: StackConfig, account: Account) -> Sequence[Finding]:
    """Whether the account is as the stack file for an existing cluster says: what `slices check` asks, and more."""
    needed = [*existing.requirements(config), _agent(config)]
    found = dict(findings(needed, Sight(None, config, account)))
    return [found[index] for index in range(len(needed))]


def _agent(config: StackConfig) -> Requirement:
    name, region = config.cluster_name, config.region
    return Requirement(
        topic=existing.TOPIC,
        what="pods of the cluster get rights by EKS Pod Identity",
        look=[aws("eks", "list-addons", region=region, cluster_name=name)],
        judge=_judge_agent,
    )


def _judge_agent(sight: Sight) -> Verdict:
    answer = sight.account.collect(
        "eks",
        "list_addons",
        "addons[]",
        absent=["ResourceNotFoundException"],
        clusterName=sight.config.cluster_name,
    )
    match answer:
        case Found(names) if "eks-pod-identity-agent" in names:
            return Ok("by its add-on")
        case Found():
            return Note(f"the add-on eks-pod-identity-agent is not there; it may be installed otherwise: {_GUIDE}")
        case Absent():
            return Missing("there is no such cluster")
        case Unseen() as unseen:
            return unseen
