"""Checks of single files for pre-commit: `check_files.py yaml|size FILE...`. Exit code 1 names every bad file."""

import sys
from collections.abc import Callable
from pathlib import Path

import yaml

MAX_KIB = 512


def yaml_problem(path: Path) -> str | None:
    """Say why a file is not YAML, or nothing. Custom tags are let pass: only the syntax is judged."""
    try:
        for _ in yaml.parse(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader):
            pass
    except yaml.YAMLError as error:
        return str(error).replace("\n", " ")
    return None


def size_problem(path: Path) -> str | None:
    """Say that a file is larger than MAX_KIB (KiB), or nothing."""
    kib = path.stat().st_size / 1024
    return f"{kib:.0f} KiB, at most {MAX_KIB} KiB belong into the repository" if kib > MAX_KIB else None


CHECKS: dict[str, Callable[[Path], str | None]] = {"yaml": yaml_problem, "size": size_problem}


def main(arguments: list[str]) -> int:
    """Print one line for each bad file; return 1 if there was any."""
    check = CHECKS[arguments[0]]
    problems = [(name, problem) for name in arguments[1:] if (problem := check(Path(name)))]
    for name, problem in problems:
        print(f"{name}: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
