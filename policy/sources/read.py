"""Reads files, folders and standard input, whatever tool wrote them: by content, not by name.

What was named must be readable: SourceError says what is wrong with all of it at once. What only lies in a folder that
was named is told as unseen instead.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from gpu.sharing.yaml_text import NoYamlError, Placed, placed_documents, too_deep
from policy.analyzer import Recorded
from policy.sources import kubernetes, pulumi_json, terraform
from policy.sources.program import Place, Program, SourceError, Unseen, mapping, urn

STANDARD_INPUT: Final = "-"
MOST_MIB: Final = 256
"""A file above this is refused. Terraform's plans of thousands of resources have some 100 MiB."""
MOST_FILES: Final = 20_000
#: Where nothing lies that anybody applies.
_FOREIGN: Final = frozenset({"node_modules", "__pycache__", "venv"})
_KUSTOMIZATIONS: Final = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})
_PROJECTS: Final = frozenset({"Pulumi.yaml", "Pulumi.yml"})
_TAKEN: Final = (
    "a preview or state of Pulumi, a plan, state or *.tf.json of Terraform, objects of Kubernetes, and templates of "
    "CloudFormation"
)
_FOREIGN_DATA: Final = "is YAML or JSON, and none of what is read here"
_HCL: Final = "Terraform's own language is not read: judge what `terraform show -json PLAN` prints"


def read(paths: Sequence[str]) -> Program:
    """All that the paths hold, as one program. Raises SourceError, with a line for each path that cannot be read."""
    program, wrong = Program(), []
    for path in dict.fromkeys(paths):
        try:
            program.join(_read(path))
        except SourceError as error:
            wrong.append(str(error))
    if wrong:
        raise SourceError("\n".join(wrong))
    return program


def _read(path: str) -> Program:
    if path == STANDARD_INPUT:
        return _named(_content(sys.stdin.buffer, "standard input"), "standard input")
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: {getattr(error, 'strerror', None) or 'is no path'}") from error
    return _folder(Path(path)) if stat.S_ISDIR(mode) else _named(_file(Path(path)), path)


def _named(text: str, file: str) -> Program:
    if file.endswith(".tf"):
        raise SourceError(f"{file}: {_HCL}")
    try:
        found = parse(text, file)
    except SourceError as error:
        raise SourceError(f"{file}: {error}") from error
    if found is None:
        raise SourceError(f"{file}: holds nothing that is read here: {_TAKEN}")
    return found


# --- Files ------------------------------------------------------------------------------------------------------------


def _file(path: Path) -> str:
    """A file's text. Raises SourceError, which names it."""
    try:
        # Opening a pipe that nobody writes to would wait for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    with os.fdopen(handle, "rb") as file:
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        # What a shell hands over as /dev/fd/63 is a pipe, and somebody writes to it.
        if not regular and path.parent.as_posix() not in ("/dev/fd", "/proc/self/fd") and str(path) != "/dev/stdin":
            raise SourceError(f"{path}: is no regular file: give `{STANDARD_INPUT}` and pipe it in")
        os.set_blocking(file.fileno(), True)
        return _content(file, str(path))


def _content(file: BinaryIO, name: str) -> str:
    try:
        content = file.read((MOST_MIB << 20) + 1)
    except OSError as error:
        raise SourceError(f"{name}: {error.strerror}") from error
    if len(content) > MOST_MIB << 20:
        raise SourceError(f"{name}: is larger than {MOST_MIB} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{name}: is not UTF-8 (line {line})") from error


# --- One file by its content ------------------------------------------------------------------------------------------


def parse(text: str, file: str) -> Program | None:
    """A file's program; None where it is data of another kind. Raises SourceError where it is no data at all."""
    if not text.strip():
        raise SourceError("is empty")
    if text.lstrip()[0] in "{[":
        known, document = _json(text)
        if known:
            return _of_json(document, text, file)
        lines = _json_lines(text)
        if lines:
            return pulumi_json.events(lines, file)
    return _of_yaml(text, file)


def _json(text: str) -> tuple[bool, Any]:
    """Whether a text is JSON, and what it holds. Raises SourceError where it is nested too deep."""
    try:
        found = json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise SourceError("is nested too deep") from error
    except ValueError:
        return False, None
    if isinstance(found, dict | list) and too_deep(found):
        raise SourceError("is nested too deep")
    return True, found


def _refuse(constant: str) -> Any:
    raise ValueError(f"JSON has no {constant}")


def _json_lines(text: str) -> list[Any]:
    """A stream of JSON objects, a line each; nothing where it is none."""
    found = []
    for line in text.splitlines():
        if line.strip():
            known, document = _json(line)
            if not known or not isinstance(document, dict) or "sequence" not in document:
                return []
            found.append(document)
    return found


def _of_json(document: Any, text: str, file: str) -> Program | None:
    if not isinstance(document, dict):
        return None
    if "resourcePreEvent" in document:
        return pulumi_json.events([document], file)
    if isinstance(document.get("steps"), list) or "changeSummary" in document:
        return pulumi_json.preview(document, file)
    if mapping(document, "deployment") or mapping(document, "checkpoint", "latest"):
        return pulumi_json.state(document, file)
    if terraform.is_plan(document):
        return terraform.plan(document, file)
    if terraform.is_state(document):
        return terraform.state(document, file)
    if terraform.is_configuration(document):
        return terraform.configuration(document, file)
    try:
        documents = placed_documents(text)
    except NoYamlError:  # such as tabs between its parts
        documents = [Placed(document, 1)]
    return _of_documents(documents, text, file)


def _of_yaml(text: str, file: str) -> Program | None:
    try:
        documents = placed_documents(text)
    except NoYamlError as error:
        where = f" (line {error.line})" if error.line else ""
        if "{{" in text:
            raise SourceError(f"is a template, or no YAML{where}: judge what it becomes") from error
        raise SourceError(f"is neither YAML nor JSON{where}: {error}") from error
    return _of_documents(documents, text, file)


def _of_documents(documents: list[Placed], text: str, file: str) -> Program | None:
    first = documents[0].value if documents else None
    if isinstance(first, Mapping) and _is_cloudformation(first):
        type_ = "aws:cloudformation/stack:Stack"
        program = Program(kinds=["CloudFormation template"])
        resource = Recorded(type=type_, name=Path(file).stem, urn=urn(file, type_, ""), inputs={"templateBody": text})
        program.add(resource, Place(file=file, line=documents[0].line))
        return program
    program = kubernetes.read(documents, file)
    return program if program.resources else None


def _is_cloudformation(document: Mapping[str, Any]) -> bool:
    resources = mapping(document, "Resources").values()
    types = [resource.get("Type") for resource in resources if isinstance(resource, Mapping)]
    return "AWSTemplateFormatVersion" in document or any(str(type_).startswith("AWS::") for type_ in types)


# --- Folders ----------------------------------------------------------------------------------------------------------


def _folder(root: Path) -> Program:
    program = Program()
    patches: set[Path] = set()
    files = list(_walk(Path(os.path.normpath(root)), program, patches))
    foreign: dict[str, list[Path]] = {_HCL: [], _FOREIGN_DATA: []}
    for path in files:
        if path.suffix == ".tf":
            foreign[_HCL].append(path)
        elif path not in patches and not _of_folder(program, path):
            foreign[_FOREIGN_DATA].append(path)
    for what, paths in foreign.items():
        program.unseen += [Unseen(place=Place(file=str(path)), what=what) for path in paths]
    if not files and not program.unseen:
        raise SourceError(f"{root}: holds no YAML or JSON; what is read here is {_TAKEN}")
    return program


def _of_folder(program: Program, path: Path) -> bool:
    """Take in a file of a folder; False where it is data of another kind."""
    try:
        found = parse(_file(path), str(path))
    except SourceError as error:
        what = str(error).removeprefix(f"{path}: ")
        if what != "is empty":
            program.unseen.append(Unseen(place=Place(file=str(path)), what=what, broken="is a template" not in what))
        return True
    if found is not None:
        program.join(found)
    return found is not None


def _walk(root: Path, program: Program, patches: set[Path]) -> Iterator[Path]:
    """Files that may hold something, sorted; charts, kustomizations and projects are told instead of gone through."""
    count = 0
    for folder, folders, names in os.walk(root, onerror=lambda error: _unreadable(program, error)):
        here = Path(folder)
        if "Chart.yaml" in names:
            program.unseen.append(kubernetes.chart(folder))
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if name not in _FOREIGN and not name.startswith("."))
        for name in sorted(names):
            path = here / name
            if name in _KUSTOMIZATIONS:
                patches |= _kustomization(program, path)
            elif name in _PROJECTS:
                what = "a program of Pulumi is not run here: judge what `pulumi preview --json` prints"
                program.unseen.append(Unseen(place=Place(file=str(path)), what=what))
            elif not name.startswith(".") and path.suffix in (".json", ".tf", ".yaml", ".yml"):
                count += 1
                if count > MOST_FILES:
                    raise SourceError(f"{root}: holds more than {MOST_FILES} files: name the folders that matter")
                yield path


def _unreadable(program: Program, error: OSError) -> None:
    place = Place(file=str(error.filename))
    program.unseen.append(Unseen(place=place, what=f"cannot be read: {error.strerror}", broken=True))


def _kustomization(program: Program, path: Path) -> set[Path]:
    """Say that it is not applied; its patches, which are parts of objects."""
    try:
        documents = placed_documents(_file(path))
    except (SourceError, NoYamlError):
        documents = []
    first = documents[0].value if documents else None
    unseen, named = kubernetes.kustomization(mapping(first), str(path))
    program.unseen.append(unseen)
    return {Path(os.path.normpath(path.parent / name)) for name in named}
