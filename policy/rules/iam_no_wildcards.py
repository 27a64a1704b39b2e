"""No wildcard actions on wildcard resources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity
from policy.iam_documents import DOCUMENT_TYPES, Statement, document_at, documents, statements
from policy.reading import Unknown, strings

_WILD: Final = re.compile(r"[*?]")
#: What remains of a resource that names nothing: wildcards and separators.
_NAMELESS: Final = re.compile(r"[*?/:]*")
#: Who may take a role.
_TRUST: Final = ("assumeRolePolicy", "assumeRolePolicyDocument")


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield statements that allow a pattern of actions on everything."""
    for where, document in documents(resource):
        if document is None:
            yield f"{where} is no JSON object, so nobody can say what it allows."
            continue
        for statement in statements(document):
            problem = _problem(statement, settings)
            if problem:
                yield f"{where}, {statement.where}: {problem}"
    for name in _TRUST:
        for _, document in document_at(resource.props, name, name):
            for statement in statements(document):
                if statement.allows and _by_anybody(statement):
                    yield f"{name}, {statement.where}: lets anybody take the role: name the principals, or a condition."


def _by_anybody(statement: Statement) -> bool:
    """Whether principals of any account are trusted, with no condition that could keep somebody out."""
    given = statement.elements.get("principal")
    named = list(given.values()) if isinstance(given, Mapping) else [given]
    anybody = any("*" in strings(value) for value in named) or "notprincipal" in statement.elements
    return anybody and not _narrowed(statement, ["*"])


def _problem(statement: Statement, settings: Settings) -> str | None:
    if not statement.allows or not _on_everything(statement):
        return None
    excepted = statement.values("NotAction")
    if excepted:
        return "allows all actions but some (NotAction) on all resources: name the actions, or the resources."
    actions = statement.values("Action")
    if any(isinstance(action, Unknown) for action in actions):
        return "allows actions that are not known in preview on all resources: write them as literals."
    known = [str(action) for action in actions]
    wild = [action for action in known if _is_wild(action, settings["readOnlyPrefixes"])]
    everything = [action for action in wild if not action.partition(":")[0].strip("*?")]
    if wild and (everything or not _narrowed(statement, settings["narrowingConditions"])):
        return f"allows {', '.join(wild)} on all resources: name the actions, or the resources."
    return None


def _on_everything(statement: Statement) -> bool:
    if statement.values("NotResource"):
        return True
    return any(isinstance(value, str) and _is_everything(value) for value in statement.values("Resource"))


def _is_everything(resource: str) -> bool:
    """Whether it names nothing: `*`, or an ARN whose part after service, region and account is all wildcard."""
    parts = resource.strip().split(":", 5)
    return bool(_NAMELESS.fullmatch(parts[5] if len(parts) > 5 and parts[0].lower() == "arn" else resource.strip()))


def _is_wild(action: str, read_only: Sequence[str]) -> bool:
    """`ec2:Describe*` reads what nearly always has no resource to name; the prefix must be all there is before `*`."""
    if not _WILD.search(action):
        return False
    service, _, verb = action.partition(":")
    return bool(_WILD.search(service)) or not any(verb.lower().startswith(prefix.lower()) for prefix in read_only)


def _narrowed(statement: Statement, patterns: Sequence[str]) -> bool:
    """Whether a condition ties the statement to certain resources: on a key of the list, and able to fail."""
    given = statement.elements.get("condition")
    if not isinstance(given, Mapping):
        return False
    return any(_narrows(str(operator), tests, patterns) for operator, tests in given.items())


def _narrows(operator: str, tests: Any, patterns: Sequence[str]) -> bool:
    name = operator.lower()
    # These also hold where the key is absent, or where it is anything else.
    vacuous = "not" in name or name == "null" or name.endswith("ifexists") or name.startswith("forallvalues:")
    if vacuous or not isinstance(tests, Mapping):
        return False
    return any(
        any(fnmatchcase(str(key).lower(), pattern.lower()) for pattern in patterns) and _can_fail(value)
        for key, value in tests.items()
    )


def _can_fail(value: Any) -> bool:
    if isinstance(value, Unknown):
        return True
    found = value if isinstance(value, list) else [value]
    return not any(set(text) <= {"*", "?"} for item in found if not isinstance(item, Unknown) for text in strings(item))


RULE = ResourceRule(
    name="iam-no-wildcards",
    title="No wildcard actions on wildcard resources",
    description=(
        "An IAM policy must not allow actions by pattern, such as `ec2:*`, on resources that are not named, and a role "
        "must not trust everybody."
    ),
    why=(
        "Such a statement grants what nobody has thought of, also the actions that AWS adds next year. `Describe*` and "
        "`List*` are accepted, since they read names and mostly know no resources; `Get*` is not, since it reads "
        "objects and secrets. So are statements with a condition that ties them to certain resources, such as a tag; "
        "a condition on region, time or MFA does not, and nothing excuses `*` itself. A document that holds another "
        "resource's output is unknown in preview and judged in the update, before it is created."
    ),
    fix="Name the actions, or the resources, or add a condition on `aws:ResourceTag/...` or `aws:RequestTag/...`.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=DOCUMENT_TYPES,
    scanners=Scanners(
        checkov=("CKV_AWS_1", "CKV_AWS_49", "CKV_AWS_62", "CKV_AWS_63", "CKV_AWS_355", "CKV_AWS_356", "CKV2_AWS_40"),
        trivy=("AWS-0057",),
    ),
    options={
        "readOnlyPrefixes": Option(
            type="array",
            default=["Describe", "List"],
            description="Beginnings of actions that may stand before a wildcard.",
            schema={"items": {"type": "string"}},
        ),
        "narrowingConditions": Option(
            type="array",
            default=[
                "*:ResourceTag/*",
                "aws:RequestTag/*",
                "kms:ViaService",
                "kms:GrantIsForAWSResource",
                "kms:EncryptionContext:*",
                "iam:PassedToService",
            ],
            description="Condition keys, as shell patterns, that tie a statement to certain resources.",
            schema={"items": {"type": "string"}},
        ),
    },
    check=check,
)
