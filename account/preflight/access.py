"""Who comes from where: the caller, its address, the principals that get access, Spot's own role, the budget's tag."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import partial

from account.commands import HOME_REGION, Command, aws
from account.preflight.requirement import Missing, Note, Ok, Requirement, Sight, Verdict
from account.session import ADDRESS_SERVICE, Absent, Found, Unseen
from config.schema import StackConfig
from gpu.contract import STACK_TAG

CREDENTIALS = "Credentials"
ADDRESS = "Way to the API server"
ACCESS = "Access to the cluster"
SPOT = "Spot"
MONEY = "Budget"

SPOT_ROLE = "AWSServiceRoleForEC2Spot"
"""Without it the first Spot request of an account fails, unless whoever makes it may make the role; Karpenter may not
(EC2 user guide, "Service-linked role for Spot Instance requests")."""


def requirements(config: StackConfig) -> list[Requirement]:
    """All that is about who calls and who may."""
    found = [_credentials()]
    if not config.cluster.existing:
        found.append(_address(config))
    found += [_principal(arn, f"admins[{i}]") for i, arn in enumerate(config.cluster.admins)]
    found += [_principal(arn, f"viewers[{i}]") for i, arn in enumerate(config.cluster.viewers)]
    if uses_spot(config):
        found.append(_spot_role())
    if config.budget:
        found.append(_tag())
    return found


def uses_spot(config: StackConfig) -> bool:
    """Whether any pool may buy Spot instances."""
    bought = [config.cluster.system_nodes.capacity_type, *(pool.capacity_type for pool in config.pools)]
    return "spot" in bought or any("spot" in pool.capacity_types for pool in config.cpu_pools)


def _credentials() -> Requirement:
    return Requirement(
        topic=CREDENTIALS,
        what="AWS takes the credentials",
        look=[aws("sts", "get-caller-identity", region=HOME_REGION)],
        judge=_judge_credentials,
    )


def _judge_credentials(sight: Sight) -> Verdict:
    match sight.identity:
        case Found(identity):
            return Ok(f"account {identity.account}, {identity.arn}")
        case Unseen() as unseen:
            return unseen
        case Absent():
            raise AssertionError("there is always a caller")


# --- Address ----------------------------------------------------------------------------------------------------------


def _address(config: StackConfig) -> Requirement:
    cidrs = config.cluster.public_access_cidrs
    key = "gpu-slices:cluster.publicAccessCidrs"
    look: list[Command] = [("curl", "-fsS", ADDRESS_SERVICE)]
    if not cidrs:
        detail = f"{key} is empty: Pulumi could not apply the objects in the cluster from outside its VPC, which is not"
        return Requirement(
            topic=ADDRESS,
            what="this machine reaches the API server",
            look=look,
            judge=Missing(f"{detail} there yet; write this machine's address, with /32", look),
        )
    return Requirement(
        topic=ADDRESS,
        what=f"this machine's public address is in {', '.join(cidrs)}",
        look=look,
        judge=partial(_judge_address, cidrs, key),
    )


def _judge_address(cidrs: Sequence[str], key: str, sight: Sight) -> Verdict:
    match sight.address:
        case Found(address):
            if any(ipaddress.ip_address(address) in ipaddress.ip_network(cidr) for cidr in cidrs):
                return Ok(address)
            return Missing(f"it is {address}, which may not reach the API server: add {address}/32 to {key}")
        case Unseen() as unseen:
            return unseen
        case Absent():
            raise AssertionError("whoever asks has an address")


# --- Principals -------------------------------------------------------------------------------------------------------


def _principal(arn: str, key: str) -> Requirement:
    kind, name = _kind_and_name(arn)
    option = {"role_name": name} if kind == "role" else {"user_name": name}
    return Requirement(
        topic=ACCESS,
        what=f"{arn} exists, and is not the one who runs pulumi up (gpu-slices:cluster.{key})",
        look=[aws("iam", f"get-{kind}", region=HOME_REGION, **option)],
        judge=partial(_judge_principal, arn),
    )


def _kind_and_name(arn: str) -> tuple[str, str]:
    """`role` or `user`, and the name without its path."""
    kind, _, path = arn.split(":", 5)[5].partition("/")
    return kind, path.rpartition("/")[2]


def _judge_principal(arn: str, sight: Sight) -> Verdict:
    kind, name = _kind_and_name(arn)
    match sight.identity:
        case Found(identity):
            if arn.split(":")[4] != identity.account:
                return Note(f"it is of another account than {identity.account}, where nobody can look")
            if _same_principal(arn, identity.arn):
                return Missing("it runs pulumi up itself: EKS gives it access, and refuses a second entry; take it out")
        case Unseen() as unseen:
            return unseen
        case Absent():
            raise AssertionError("there is always a caller")
    # Written out: docs/permissions.md is made of the calls that stand here.
    if kind == "role":
        answer = sight.account.ask("iam", "get_role", absent=["NoSuchEntity"], RoleName=name)
    else:
        answer = sight.account.ask("iam", "get_user", absent=["NoSuchEntity"], UserName=name)
    match answer:
        case Found(value):
            real = value[kind.capitalize()]["Arn"]
            return Ok() if real == arn else Missing(f"its path is another one: write {real}")
        case Absent():
            return Missing(f"IAM has no such {kind}: EKS would refuse the access entry")
        case Unseen() as unseen:
            return unseen


def _same_principal(arn: str, caller: str) -> bool:
    """Whether a caller is the principal. STS says `assumed-role/Name/session`, without the path of the role."""
    kind, name = _kind_and_name(arn)
    what, *rest = caller.split(":", 5)[5].split("/")
    return (kind == "user" and caller == arn) or (kind == "role" and what == "assumed-role" and rest[0] == name)


# --- Spot and budget --------------------------------------------------------------------------------------------------


def _spot_role() -> Requirement:
    return Requirement(
        topic=SPOT,
        what=f"the account has Spot's service-linked role, {SPOT_ROLE}",
        look=[aws("iam", "get-role", region=HOME_REGION, role_name=SPOT_ROLE)],
        judge=_judge_spot_role,
    )


def _judge_spot_role(sight: Sight) -> Verdict:
    match sight.account.ask("iam", "get_role", absent=["NoSuchEntity"], RoleName=SPOT_ROLE):
        case Found():
            return Ok()
        case Absent():
            service = "spot.amazonaws.com"
            mend = aws("iam", "create-service-linked-role", region=HOME_REGION, aws_service_name=service)
            return Missing("Karpenter's first Spot request would fail", [mend])
        case Unseen() as unseen:
            return unseen


def _tag() -> Requirement:
    return Requirement(
        topic=MONEY,
        what=f"{STACK_TAG} is an active cost allocation tag: the budget and its brake count by it",
        look=[
            aws(
                "ce",
                "list-cost-allocation-tags",
                region=HOME_REGION,
                tag_keys=STACK_TAG,
                query="CostAllocationTags[].[TagKey,Status]",
            )
        ],
        judge=_judge_tag,
    )


def _judge_tag(sight: Sight) -> Verdict:
    answer = sight.account.collect(
        "ce", "list_cost_allocation_tags", "CostAllocationTags[]", TagKeys=[STACK_TAG], region=sight.account.home_region
    )
    if not isinstance(answer, Found):
        assert isinstance(answer, Unseen)
        return answer
    activate = aws(
        "ce",
        "update-cost-allocation-tags-status",
        region=HOME_REGION,
        cost_allocation_tags_status=f"TagKey={STACK_TAG},Status=Active",
    )
    status = next((each["Status"] for each in answer.value if each["TagKey"] == STACK_TAG), None)
    if status == "Active":
        return Ok()
    if status is None:
        # Billing lists a tag within a day of the first resource that carries it; before, nobody can activate it.
        return Note(
            "Billing has never seen it: activate it the day after the first up; until then the brake sees 0", [activate]
        )
    return Missing("it is not active: the budget and its brake see 0", [activate])
