"""Directories that `slices` writes: whole or not at all, and never over somebody else's files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from plan.errors import InputError

MARKER = ".slices-export"
"""Lists the files that belong to an export, so that the next one may replace them."""


def write_directory(target: Path, files: Mapping[str, str]) -> None:
    """Make `target` hold exactly these files, by relative name.

    The files are complete in a directory beside it before they take its place. Raises InputError if `target` holds
    anything that an earlier export has not written, or if it cannot be written.
    """
    target = target.resolve()
    _refuse_foreign(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise InputError(f"cannot write to {target}: {error.strerror}") from error
    try:
        _fill(staging, files)
        _swap(staging, target)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_target(target: Path) -> None:
    """Raise InputError, before anything is planned, if `write_directory` would refuse what the directory holds."""
    _refuse_foreign(target.resolve())


def _refuse_foreign(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise InputError(f"{target} is a file: name a directory")
    marker = target / MARKER
    ours = set(marker.read_text(encoding="utf-8").splitlines()) | {MARKER} if marker.is_file() else set()
    present = {str(path.relative_to(target)) for path in target.rglob("*") if not path.is_dir()}
    foreign = sorted(present - ours)
    if foreign:
        raise InputError(
            f"{target} holds files that are not of an earlier export, such as {foreign[0]}: name another directory"
        )


def _fill(directory: Path, files: Mapping[str, str]) -> None:
    directory.chmod(0o755)
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (directory / MARKER).write_text("".join(f"{name}\n" for name in sorted(files)), encoding="utf-8")


def _swap(staging: Path, target: Path) -> None:
    if not target.exists():
        staging.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        target.rename(old / "old")
        staging.rename(target)
    except BaseException:
        if not target.exists():
            (old / "old").rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
