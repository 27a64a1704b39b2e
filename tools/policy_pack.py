"""Writes the policy pack with all that it needs into a folder of its own, for anybody's repository.

    python -m tools.policy_pack DIR

The folder is a policy pack of Pulumi's: `pulumi install` in it fills its environment, from its own lock, and
`pulumi preview --policy-pack DIR` runs it. Written again over itself it is brought up to date. Exit status: 0, or 2
where the folder is not the pack's.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from policy.document import document

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("gpu", "policy")
#: What stays here: our own settings and description, the writer of the page, and what judges without the Pulumi CLI.
_OURS = (
    "policy/PulumiPolicy.yaml",
    "policy/analyzer.py",
    "policy/config.json",
    "policy/document.py",
    "policy/settings.py",
    "policy/sources/",
)
_ENVIRONMENT = "    virtualenv: ../.venv\n"


class TargetError(Exception):
    """The folder holds something else than a pack that was written here."""


def files() -> Iterator[tuple[str, bytes]]:
    """Names and contents."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.is_file() and "__pycache__" not in path.parts and not name.startswith(_OURS):
                yield name, path.read_bytes()
    described = (ROOT / "policy" / "PulumiPolicy.yaml").read_text(encoding="utf-8")
    if _ENVIRONMENT not in described:
        raise ValueError("PulumiPolicy.yaml names another environment than it did")
    yield "PulumiPolicy.yaml", described.replace(_ENVIRONMENT, "    virtualenv: .venv\n").encode()
    yield "__main__.py", (ROOT / "policy" / "__main__.py").read_bytes()
    yield "requirements.txt", (ROOT / "requirements" / "policy.txt").read_bytes()
    yield "versions.py", (ROOT / "versions.py").read_bytes()
    yield "LICENSE", (ROOT / "LICENSE").read_bytes()
    yield "README.md", document().encode()
    yield ".gitignore", b".venv/\n__pycache__/\n"


def write(target: Path) -> None:
    """Write the pack, in the place of an earlier one; its environment stays. Raises TargetError for other folders."""
    marker = target / "policy" / "pack.py"
    if target.exists() and not (target.is_dir() and (marker.is_file() or not any(target.iterdir()))):
        raise TargetError(f"{target} is there and is no policy pack of this repository: name a new folder")
    for room in ROOMS:
        shutil.rmtree(target / room, ignore_errors=True)
    for name, content in files():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def main(arguments: list[str]) -> int:
    """Write the pack to the one folder named."""
    if len(arguments) != 1:
        print("name one folder: make policy-pack TO=DIR", file=sys.stderr)
        return 2
    target = Path(arguments[0])
    if target.resolve() == ROOT or ROOT / "policy" in (target.resolve(), *target.resolve().parents):
        print("error: this repository has the pack already: name a folder elsewhere", file=sys.stderr)
        return 2
    try:
        write(target)
    except TargetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: cannot write {error.filename or target}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"Wrote the policy pack to {target}. Fill its environment once: (cd {target} && pulumi install)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
