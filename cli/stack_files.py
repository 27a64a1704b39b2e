"""Writes stack files: read before as the program will read them, and never half of one."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from cli.calling import interruptible
from config.errors import PROJECT
from config.load import parse
from plan.errors import InputError
from plan.project import Project, load_stack


def write_stack(project: Project, name: str, content: str, *, overwrite: bool = False) -> Path:
    """Write a stack's file, after it was read as the program will read it. Raises InputError where there is one."""
    file = f"Pulumi.{name}.yaml"
    path = project.stack_files / file
    with interruptible(lambda: f"{file} is {'there' if path.exists() else 'not written'}"):
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / file).write_text(content, encoding="utf-8")
            read = load_stack(replace(project, stack_files=Path(scratch)), name)
        parse(read.values_of(PROJECT), stack=name, region=read.values["aws:region"])
        if overwrite and path.is_file():
            _replace(path, content)
        else:
            _create(path, content)
    return path


def _create(path: Path, content: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(content)
    except FileExistsError as error:
        raise InputError(f"{path.name} is there already, and is not overwritten") from error
    except BaseException:  # a full disk, Ctrl-C: half a file is none
        path.unlink(missing_ok=True)
        raise


def _replace(path: Path, content: str) -> None:
    """Put a whole file in the place of another: whoever is interrupted has the old one."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(content, encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
