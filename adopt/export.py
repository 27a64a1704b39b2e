"""Reads what `kubectl get -o yaml` or `-o json` wrote: lists, several documents, whatever the files are called.

Exports of large clusters have tens of thousands of objects, and YAML is slow to read: a text is cut at its documents
and at the elements of its list, as kubectl writes them, and only those that may say something are parsed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from adopt.objects import WANTED, Object, Objects, at, listed, name_of, wanted
from gpu.files import read_text
from gpu.sharing.yaml_text import documents, too_deep
from policy.placeholders import without_placeholders

MOST_FILES: Final = 20_000
_MOST_BYTES: Final = 512 * 2**20
_DOCUMENT: Final = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)
_ITEM: Final = re.compile(r"^- ", re.MULTILINE)
_FIRST: Final = "- apiVersion:"
#: How templates of Helm and of Terraform say that something is filled in.
_FILLED_IN: Final = re.compile(r"\{\{|[$%]\{")
_KIND: Final = re.compile(r"^(?:  |- )?kind: *[\"']?(\w+)", re.MULTILINE)
#: What may lie beside an export, and is not expected to be one.
_PROSE: Final = (".html", ".md", ".py", ".rst", ".sh", ".tf", ".txt")
#: What `kubectl version -o yaml` and `-o json` write.
_VERSION: Final = "serverVersion"
#: What `kubectl get --raw /apis` writes.
_GROUPS: Final = "APIGroupList"


class ExportError(ValueError):
    """Nothing can be read; the text says what is wrong, where, and what to give instead."""


def read_export(folder: Path) -> Objects:
    """All that lies in a folder, or in one file. Raises ExportError where nothing in it can be read."""
    objects = Objects()
    for path in _files(folder):
        name = str(path.relative_to(folder) if path != folder else path)
        try:
            _read(read_text(path, _MOST_BYTES, "utf-8-sig"), objects, name)
        except UnicodeDecodeError:
            objects.unseen.append(f"{name}: is not UTF-8")
        except OSError as error:
            objects.unseen.append(f"{name}: {error.strerror}")
        except ExportError as error:
            objects.unseen.append(f"{name}: {error}")
    if not objects.counts and not objects.kubernetes:
        what = "; ".join(objects.unseen[:3]) or "no objects of Kubernetes"
        raise ExportError(
            f"{folder}: holds nothing that `kubectl get -o yaml` writes ({what}): docs/adopting.md says what to export"
        )
    return objects


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        yield folder
        return
    count = 0
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                count += 1
                if count > MOST_FILES:
                    raise ExportError(f"{folder}: holds more than {MOST_FILES} files: name the folder of the export")
                yield Path(here) / name


def _read(text: str, objects: Objects, file: str) -> None:
    """Take in a file's objects. Raises ExportError where it is nested too deep."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            _take(json.loads(text), objects)
            return
        except RecursionError as error:
            raise ExportError("is nested too deep") from error
        except ValueError:
            pass  # YAML may begin so too
    wrong = []
    for chunk in _chunks(text):
        kind = _KIND.search(chunk)
        if kind and not wanted(kind[1], chunk):
            objects.counts[kind[1]] += 1
            continue
        if not kind and _VERSION not in chunk:
            wrong += [] if "apiVersion" not in chunk or _is_yaml(chunk) else ["a part of it is no YAML"]
            continue
        try:
            for document in documents(chunk):
                _take(document, objects)
        except ValueError as error:
            wrong.append(" ".join(str(error).split())[:160])
    if wrong and not file.endswith(_PROSE):
        template = " (it is a template: export what became of it)" if _FILLED_IN.search(text) else ""
        objects.unseen.append(f"{file}: {wrong[0]}{template}")


def _is_yaml(text: str) -> bool:
    """Whether something that is no object can be read at all: long texts are not looked at."""
    try:
        return len(text) > 100_000 or documents(text) is not None
    except ValueError:
        return False


#: What stands elsewhere under a name, as tools write it that dump YAML: an element alone cannot be read.
_ALIAS: Final = re.compile(r"(?:^|[\s:-]) *\*[\w-]+ *$", re.MULTILINE)


def _chunks(text: str) -> Iterator[str]:
    """Documents, and of a list its elements. Nothing inside an element begins at the first column."""
    for document in _DOCUMENT.split(text):
        # What stands before `items:` says that it is a list, and nothing more.
        _, _, rest = f"\n{document}".partition("\nitems:\n")
        if not rest.startswith("- ") or _ALIAS.search(document):
            if document.strip():
                yield document
            continue
        end = re.search(r"^(?![- \n#])", rest, re.MULTILINE)
        body = rest[: end.start()] if end else rest
        starts = [match.start() for match in _ITEM.finditer(body)]
        if not all(body.startswith(_FIRST, start) for start in starts):
            yield document  # nobody knows what an element that is written otherwise leans on
            continue
        yield from (body[start:stop] for start, stop in zip(starts, [*starts[1:], len(body)], strict=True))


def _take(document: Any, objects: Objects) -> None:
    """Take in a document: an object, a list of objects, or what the server says of its version and its API groups."""
    pending = [document]
    while pending:
        found = pending.pop()
        if isinstance(found, list):
            pending += reversed(listed(found))
        elif isinstance(found, dict) and str(found.get("kind", "")).endswith("List") and "items" in found:
            pending += reversed(_items(found))
        elif isinstance(found, dict) and found.get("kind") == _GROUPS:
            objects.groups |= {str(each.get("name")) for each in listed(found.get("groups"))}
        elif isinstance(found, dict) and _VERSION in found:
            objects.kubernetes = minor_version(str(at(found, _VERSION).get("gitVersion", "")))
        elif isinstance(found, dict) and isinstance(found.get("kind"), str):
            _object(found, objects)


def _items(found: Object) -> list[Object]:
    """Elements of a list; those of a list of one kind need not say theirs."""
    kind = str(found["kind"]).removesuffix("List")
    own = {"apiVersion": found.get("apiVersion"), "kind": kind} if kind else {}
    return [{**own, **item} for item in listed(found["items"])]


def _object(found: Object, objects: Objects) -> None:
    kind = str(found["kind"])
    objects.counts[kind] += 1
    if kind not in WANTED:
        return
    try:
        # Most objects of a cluster end here: what is asked of each of them must be quick.
        matters = not WANTED[kind] or wanted(kind, json.dumps(found, default=str))
        if matters and not too_deep(found):
            objects.add(without_placeholders(found))
            return
    except (RecursionError, ValueError):
        matters = True
    if matters:
        objects.unseen.append(f"{kind} {name_of(found)}: is nested too deep")


def minor_version(git_version: str) -> str:
    """`1.36` of `v1.36.2-eks-1234567`; empty where it is none."""
    found = re.match(r"v?(\d+\.\d+)", git_version)
    return found[1] if found else ""
