"""AWS' own rules for the texts of a resource: sizes, characters and words of botocore's service models.

For EC2, load balancers and queues the models hold no patterns, but their documentation says them in words: these are
read too (`DOCUMENTED`), so that a rule is AWS' own and changes with it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.session
import regex

from plan.cloud import PLACEHOLDER
from plan.wire import UNKNOWN
from tests.plan.aws_calls import CALLS, DOCUMENTS, Call

#: What Pulumi adds to a logical name: a hyphen and seven hexadecimal digits (pulumi-terraform-bridge,
#: pkg/tfbridge/names.go).
_NAME_TAIL = "-0a1b2c3"
#: What stands for a value that only a deployment knows, in documents: as long as the longest name of a role.
_STAND_IN = "x" * 64
#: Tags of all services: AWS General Reference, "Tag naming limits and requirements".
_MAX_TAGS = 50
_TAG = regex.compile(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*")
_TAG_MEMBERS = ("tags", "tagspecifications", "resourcetags")

Rule = Callable[[str, "re.Match[str]"], bool]


def _only(signs: str) -> str:
    return rf"[{signs}]*"


#: Rules that AWS writes in words: how they are written, and whether a text keeps them.
DOCUMENTED: Mapping[str, Rule] = {
    r"(?:Up to|up to|maximum of) (\d+) (?:Unicode )?characters": lambda text, said: len(text) <= int(said[1]),
    r"(?:Valid characters: |Allowed characters are )a-z, A-Z, 0-9, spaces, and (\S+)": lambda text, said: bool(
        re.fullmatch(_only(rf"a-zA-Z0-9 {re.escape(said[1])}"), text)
    ),
    r"Can't start with sg-": lambda text, _: not text.lower().startswith("sg-"),
    r"May not begin with aws:": lambda text, _: not text.lower().startswith("aws:"),
    r"must contain only alphanumeric characters or hyphens": lambda text, _: bool(
        re.fullmatch(_only(r"a-zA-Z0-9\-"), text)
    ),
    r"must not begin or end with a hyphen": lambda text, _: text.strip("-") == text,
    r"must not begin with \"internal-\"": lambda text, _: not text.startswith("internal-"),
    r"Valid values: alphanumeric characters, hyphens \( - \), and underscores \( _ \)": lambda text, _: bool(
        re.fullmatch(_only(r"a-zA-Z0-9\-_"), text)
    ),
    r"cannot begin with alias/aws/": lambda text, _: not text.startswith("alias/aws/"),
    r"can't contain line breaks": lambda text, _: not re.search(r"[\r\n]", text),
}


@dataclass
class Judged:
    """What was found, and how much was looked at."""

    faults: list[str] = field(default_factory=list)
    types: set[str] = field(default_factory=set)
    texts: int = 0
    documented: set[str] = field(default_factory=set)
    """Which of `DOCUMENTED` said anything."""


@cache
def shape_of(service: str, operation: str) -> Any:
    """The input of an operation, as botocore's service model has it."""
    return botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape


def judge(
    type_: str, name: str, known: Mapping[str, Any], planned: Mapping[str, Any], judged: Judged | None = None
) -> Judged:
    """Holds every text of a resource against AWS' rules.

    known: inputs as a preview has them, unknown values included. planned: the same with readable placeholders.
    """
    judged = judged or Judged()
    call = CALLS.get(type_)
    if call is None:
        judged.faults.append(f"{type_} is in no table: say in aws_calls.py which call of AWS makes it")
        return judged
    judged.types.add(type_)
    where = f"{type_} {name}"
    walk = _Walk(call, where, judged)
    for key, value in known.items():
        document = DOCUMENTS.get((type_, key))
        if document is not None:
            walk.document(key, str(planned[key]), document)
        elif key == "tags":
            walk.tags(value)
        else:
            walk.value(value, key, shape_of(call.service, call.operation))
    if call.named and not any(call.members.get(key, key).lower() == call.named.lower() for key in known):
        walk.text(f"{name}{_NAME_TAIL}", call.named, walk.member(call.named))
    return judged


@dataclass(frozen=True)
class _Walk:
    call: Call
    where: str
    judged: Judged

    def _fault(self, path: str, value: object, what: str) -> None:
        shown = str(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}... ({len(shown)} characters)"
        self.judged.faults.append(f"{self.where}: {path} = {shown!r} {what}")

    def member(self, path: str) -> Any:
        """The shape at a dotted path of members; lists on the way are passed through."""
        shape = shape_of(self.call.service, self.call.operation)
        for part in path.split("."):
            shape = _inside(shape)
            shape = getattr(shape, part) if shape.type_name == "map" else shape.members[part]
        return shape

    def value(self, value: Any, path: str, parent: Any) -> None:
        """A value at a dotted path of inputs, whose parent became a structure of the call."""
        if path in self.call.elsewhere:
            return
        shape = self.member(self.call.members[path]) if path in self.call.members else _named(parent, path)
        self._at(value, path, shape)

    def _at(self, value: Any, path: str, shape: Any) -> None:
        if isinstance(value, list):
            self._list(value, path, shape)
        elif isinstance(value, dict):
            self._section(value, path, shape)
        elif value == UNKNOWN or value is None or isinstance(value, bool):
            return
        elif shape is not None:
            self.text(str(value), path, _inside(shape))
        elif isinstance(value, str):
            self._fault(path, value, "is no member of the call: write in aws_calls.py which one it becomes")

    def _list(self, values: Sequence[Any], path: str, shape: Any) -> None:
        is_list = shape is not None and shape.type_name == "list"
        if is_list and not shape.metadata.get("min", 0) <= len(values) <= shape.metadata.get("max", len(values)):
            self._fault(path, values, f"has {len(values)} entries, and AWS takes {shape.metadata}")
        for item in values:
            self._at(item, path, shape.member if is_list else shape)

    def _section(self, section: Mapping[str, Any], path: str, shape: Any) -> None:
        shape = None if shape is None else _inside(shape)
        for key, item in section.items():
            if key == "tags":
                self.tags(item)
            elif shape is not None and shape.type_name == "map":
                self.text(key, f"{path} (key)", shape.key)
                self._at(item, f"{path}.{key}", shape.value)
            else:
                self.value(item, f"{path}.{key}", shape)

    def tags(self, tags: Mapping[str, str]) -> None:
        """The rules for tags of all services, and those of this one."""
        if len(tags) > _MAX_TAGS:
            self._fault("tags", list(tags), f"are {len(tags)}, more than {_MAX_TAGS}")
        members = shape_of(self.call.service, self.call.operation).members
        own = next((shape for key, shape in members.items() if key.lower() in _TAG_MEMBERS), None)
        ec2 = shape_of("ec2", "CreateTags").members["Tags"].member.members
        for key, value in tags.items():
            for text, part in ((key, "Key"), (value, "Value")):
                if value == UNKNOWN:
                    continue
                self.text(text, f"tags ({part.lower()})", ec2[part])
                self.text(text, f"tags ({part.lower()})", None if own is None else _tag_shape(own, part))
                if not _TAG.fullmatch(text):
                    self._fault(f"tags ({part.lower()})", text, "has signs that not every service takes")

    def text(self, text: str, path: str, shape: Any) -> None:
        """One text or figure, against the shape's metadata and its documentation."""
        self.judged.texts += 1
        if shape is None or shape.type_name in ("boolean", "timestamp", "blob"):
            return
        if shape.type_name in ("integer", "long", "double", "float"):
            self._figure(float(text), path, shape)
            return
        least, most = shape.metadata.get("min", 0), shape.metadata.get("max", len(text))
        if not least <= len(text) <= most:
            self._fault(path, text, f"has {len(text)} characters, and AWS takes {least} to {most}")
        pattern = shape.metadata.get("pattern")
        if pattern and not regex.fullmatch(pattern, text, regex.VERSION1, timeout=5):
            self._fault(path, text, f"does not match {pattern}")
        words = shape.metadata.get("enum")
        if words and text not in words:
            self._fault(path, text, f"is none of {', '.join(words)}")
        documentation = _words(shape.documentation)
        for written, keeps in DOCUMENTED.items():
            said = re.search(written, documentation)
            if said:
                self.judged.documented.add(written)
                if not keeps(text, said):
                    self._fault(path, text, f"breaks what AWS writes: {said[0]}")

    def _figure(self, figure: float, path: str, shape: Any) -> None:
        if not shape.metadata.get("min", figure) <= figure <= shape.metadata.get("max", figure):
            self._fault(path, figure, f"is not in {shape.metadata}")

    def document(self, path: str, text: str, limit: int) -> None:
        """A JSON document: it can be read, and is not too long once the names in it are known."""
        self.judged.texts += 1
        longest = PLACEHOLDER.sub(_STAND_IN, text)
        size = len(re.sub(r"\s", "", longest))
        if size > limit:
            self._fault(path, text, f"has {size} characters without white space, and AWS takes {limit}")
        if not isinstance(json.loads(longest), dict):
            self._fault(path, text, "is no JSON object")
        pattern = self.member(self.call.members.get(path, path[0].upper() + path[1:])).metadata.get("pattern")
        if pattern and not regex.fullmatch(pattern, longest, regex.VERSION1):
            self._fault(path, text, f"does not match {pattern}")


def _inside(shape: Any) -> Any:
    while shape is not None and shape.type_name == "list":
        shape = shape.member
    return shape


def _named(parent: Any, path: str) -> Any:
    """The member with the name that the path ends with, whatever its capitals; None where there is none."""
    parent = _inside(parent)
    wanted = path.rpartition(".")[2].lower()
    members = parent.members if parent is not None and parent.type_name == "structure" else {}
    return next((shape for member, shape in members.items() if member.lower() == wanted), None)


def _tag_shape(own: Any, part: str) -> Any:
    """Key or value of a service's tags: a map, a list of pairs, or EC2's specifications with such a list."""
    if own.type_name == "map":
        return own.key if part == "Key" else own.value
    members = own.member.members
    if "Tags" in members:
        return _tag_shape(members["Tags"], part)
    names = (part.lower(), f"tag{part}".lower())
    return next((shape for member, shape in members.items() if member.lower() in names), None)


@cache
def _words(documentation: str) -> str:
    """Documentation without markup."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", documentation)))
