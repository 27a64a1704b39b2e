"""IAM policy documents, wherever a program writes them, as statements."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from policy.framework import Resource
from policy.reading import Unknown, each_known, get, known, plain, strings

_POLICY: Final = ("policy",)
#: Type token to where its document stands; "*" is every element of a list.
_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:iam/policy:Policy": _POLICY,
    "aws:iam/rolePolicy:RolePolicy": _POLICY,
    "aws:iam/userPolicy:UserPolicy": _POLICY,
    "aws:iam/groupPolicy:GroupPolicy": _POLICY,
    "aws:iam/role:Role": ("inlinePolicies", "*", "policy"),
    "aws:ssoadmin/permissionSetInlinePolicy:PermissionSetInlinePolicy": ("inlinePolicy",),
}
DOCUMENT_TYPES: Final = tuple(_PLACES)


@dataclass(frozen=True)
class Statement:
    """One statement of a document; element names as IAM takes them, in any case."""

    where: str
    elements: Mapping[str, Any]

    def values(self, element: str) -> tuple[str | Unknown, ...]:
        """The values of Action, Resource and the like, a lone one as a list; parts not known in preview as Unknown."""
        given = self.elements.get(element.lower())
        found = given if isinstance(given, list) else [given]
        return tuple(value for item in found for value in ([item] if isinstance(item, Unknown) else strings(item)))

    @property
    def allows(self) -> bool:
        """Whether it grants something. An effect that is not known counts."""
        effect = self.elements.get("effect")
        return isinstance(effect, Unknown) or str(effect).lower() == "allow"


def documents(resource: Resource) -> Iterator[tuple[str, Any]]:
    """Documents that are known, as plain data, each with its place; text that is no JSON object comes as None.

    A document that holds another resource's output is one unknown text in preview. That is the rule, not the
    exception (policies name ARNs), so it is left to the update, which judges it before it is created.
    """
    place = _PLACES[resource.type]
    if "*" not in place:
        yield from document_at(resource.props, place[0], place[0])
        return
    for index, element in enumerate(each_known(known(resource.props, place[0]))):
        yield from document_at(element, place[2], f"{place[0]}.{index}.{place[2]}")


def document_at(holder: Any, name: str, where: str) -> Iterator[tuple[str, Any]]:
    """The document under that name, as `documents` gives it; nothing where there is none or it is unknown."""
    given = known(holder, name)
    if isinstance(given, str):
        try:
            found = json.loads(given)
        except ValueError:
            found = None
        yield where, found if isinstance(found, dict) else None
    elif isinstance(given, Mapping):
        yield where, plain(given)


def statements(document: Any) -> Iterator[Statement]:
    """The statements of a document. Element names in lower case: SDKs write them both ways."""
    given = get(_lower(document), "statement")
    for index, statement in enumerate(given if isinstance(given, list) else [given]):
        elements = _lower(statement)
        if elements:
            name = elements.get("sid")
            yield Statement(name if isinstance(name, str) and name else f"statement {index + 1}", elements)


def _lower(value: Any) -> dict[str, Any]:
    return {str(key).lower(): item for key, item in value.items()} if isinstance(value, Mapping) else {}
