"""No managed policy that can do everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity
from policy.reading import each_known, known, text

_NAMES: Final = ("policyArn", "managedPolicyArn")
_LISTS: Final = ("managedPolicyArns", "policyArns")


def _arns(props: Any) -> Iterator[tuple[str, str]]:
    """ARNs that are known. One that is not is a policy of the program's own, which is judged by its document."""
    for name in _NAMES:
        yield name, text(known(props, name))
    for name in _LISTS:
        yield from ((name, text(arn)) for arn in each_known(known(props, name)))


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield attachments of AWS's policies for administrators."""
    for name, arn in _arns(resource.props):
        if ":policy/" in arn and arn.rpartition("/")[2] in settings["policies"]:
            yield f"{name} is {arn.rpartition('/')[2]}: attach a policy that names what is needed."


RULE = ResourceRule(
    name="iam-no-administrators",
    title="No administrator policies",
    description="AdministratorAccess, PowerUserAccess and IAMFullAccess must not be attached to anything.",
    why=(
        "Whoever takes over a pod, node or pipeline with such a role owns the account, and can buy any number of GPUs. "
        "IAMFullAccess is the same in two steps."
    ),
    fix="Attach a policy of your own that names actions and resources.",
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    types=(
        "aws:iam/*PolicyAttachment:*",
        "aws:iam/*PolicyAttachmentsExclusive:*",
        "aws:iam/policyAttachment:PolicyAttachment",
        "aws:iam/role:Role",
        "aws:ssoadmin/managedPolicyAttachment:ManagedPolicyAttachment",
    ),
    scanners=Scanners(checkov=("CKV_AWS_274", "CKV2_AWS_56"), trivy=("AWS-0057",)),
    options={
        "policies": Option(
            type="array",
            default=["AdministratorAccess", "PowerUserAccess", "IAMFullAccess"],
            description="Names of managed policies that must not be attached.",
            schema={"items": {"type": "string"}},
        )
    },
    check=check,
)
