"""A stack of another revision: its files in a folder of its own, planned by the program of that revision.

The whole revision counts, not its stack file alone: program, versions and prices are part of what a change costs. It is
written to a temporary folder through an index beside it, so that git's own folder stays as it is, whenever this ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from gpu.bill import Line, Spread
from plan.errors import InputError
from plan.project import Project, StackFile, find_project, load_stack
from plan.stack_yaml import load_yaml

WORKING_TREE = "working tree"
#: Version of the plan's JSON that is read here (docs/plan-json.md).
_SCHEMA = 2
#: Statuses of `slices plan` with which it prints a plan: as it should be, and with a policy violated.
_PLANNED = (0, 3)
#: What a bill can depend on, below a project's directory, beside its stack files.
PROGRAM = ("Pulumi.yaml", "config", "gpu", "plan/figures.py", "prices", "versions.py")
#: The program that runs.
_HERE = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Bill:
    """The bill of a stack at a revision, USD a month.

    ceiling: the most that `maxGpus` allows, None where it is not known. prices: day of the prices of nodes, and of
    services; None where the region has none.
    """

    lines: tuple[Line, ...] = ()
    total: Spread | None = None
    ceiling: float | None = None
    prices: tuple[str | None, str | None] = (None, None)
    notes: tuple[str, ...] = ()


#: A stack that is not there costs nothing.
NO_STACK = Bill(total=Spread.even(0.0), ceiling=0.0)


@dataclass(frozen=True)
class Unplannable:
    """A stack that cannot be planned at a revision, and what its plan says."""

    message: str


# --- Revisions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A revision of a project: its name for people, and the folder in which its files are. commit: None for the working
    tree."""

    name: str
    commit: str | None
    project: Project

    @property
    def stacks(self) -> Sequence[str]:
        """Stacks that have a file there."""
        return self.project.stacks

    @cached_property
    def own_program(self) -> bool:
        """Whether the revision has a `slices` of its own."""
        return (self.project.directory / "cli" / "__main__.py").is_file()

    def stack_file(self, stack: str) -> StackFile | None:
        """The stack's configuration; None where there is none. Raises InputError where it cannot be read."""
        return load_stack(self.project, stack) if stack in self.stacks else None

    def text(self, path: str) -> str:
        """A file of the project; empty where it is not there."""
        try:
            return (self.project.directory / path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""


@contextlib.contextmanager
def revisions(directory: Path, before: str, after: str | None) -> Iterator[tuple[Revision, Revision]]:
    """The two revisions of the project in `directory`, as long as this is open. after: None for the working tree.

    Raises InputError where there is no git, no repository or no such revision.
    """
    project = find_project(directory)
    named = [(before, _commit(project.directory, before))]
    if after is not None:
        named.append((after, _commit(project.directory, after)))
    with tempfile.TemporaryDirectory(prefix="slices-cost-", ignore_cleanup_errors=True) as temporary:
        found = []
        for index, (name, commit) in enumerate(named):
            folder = _write(project.directory, name, commit, Path(temporary, str(index)))
            found.append(Revision(name=name, commit=commit, project=find_project(folder)))
        if after is None:
            found.append(Revision(name=WORKING_TREE, commit=None, project=project))
        first, second = found
        yield first, second


def _commit(directory: Path, revision: str) -> str:
    found = _git(directory, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found.returncode == 0:
        return found.stdout.strip()
    if _git(directory, "rev-parse", "--git-dir").returncode:
        raise InputError(f"{directory} is in no git repository, so there is no revision to compare with")
    remote = f"origin/{revision}"
    if not _git(directory, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{remote}^{{commit}}").returncode:
        raise InputError(f"no revision {revision!r} in this repository; did you mean {remote}?")
    remedy = "`git log --all --oneline` shows what there is"
    if _git(directory, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        remedy = "the clone is shallow: `git fetch --unshallow` brings the rest (GitHub's checkout: `fetch-depth: 0`)"
    raise InputError(f"no revision {revision!r} in this repository; {remedy}")


def _write(directory: Path, name: str, commit: str, folder: Path) -> Path:
    """Write the project's files at a commit below `folder`; gives the project's directory there."""
    prefix = _git(directory, "rev-parse", "--show-prefix").stdout.strip()
    top = Path(_git(directory, "rev-parse", "--show-toplevel").stdout.strip())
    if _git(directory, "cat-file", "-e", f"{commit}:{prefix}Pulumi.yaml").returncode:
        raise InputError(f"{name} has no Pulumi.yaml where this project has it: there is nothing to compare")
    folder.mkdir()
    tree = f"{commit}:{prefix}".removesuffix("/") if prefix else f"{commit}^{{tree}}"
    index = {"GIT_INDEX_FILE": str(folder.with_suffix(".index"))}
    for arguments in (("read-tree", tree), ("checkout-index", "--all", "--quiet", f"--prefix={folder}/")):
        done = _git(top, *arguments, more=index)
        if done.returncode:
            said = done.stderr.strip() or f"git {arguments[0]} failed"
            raise InputError(f"the files of {name} cannot be written: {said}")
    return folder


def changed_files(before: Revision, after: Revision) -> list[str]:
    """Files of the program that differ, by their path in the project. Tests and documents are none."""
    found = {path for path in _files(before) | _files(after) if before.text(path) != after.text(path)}
    return sorted(found)


def _files(revision: Revision) -> set[str]:
    directory, found = revision.project.directory, set()
    for name in PROGRAM:
        path = directory / name
        paths = [path] if path.is_file() else path.rglob("*")
        found |= {
            str(each.relative_to(directory)) for each in paths if each.is_file() and "__pycache__" not in each.parts
        }
    return found


def _git(directory: Path, *arguments: str, more: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    # In a hook git says by these where it is; asked here is about the directory.
    outside = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_WORK_TREE")
    environment = {name: value for name, value in os.environ.items() if name not in outside}
    if shutil.which("git") is None:
        raise InputError("git is not on this machine's path: revisions are read with it")
    return subprocess.run(
        ["git", "-C", str(directory), *arguments],
        env={**environment, **(more or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


# --- Plans ------------------------------------------------------------------------------------------------------------


def bills(stack: str, sides: Sequence[Revision]) -> list[Bill | Unplannable]:
    """The stack's bill at each revision, planned side by side by the program of each."""
    with contextlib.ExitStack() as closing:
        running = [_Run(revision, stack) if stack in revision.stacks else None for revision in sides]
        for run in running:
            if run:
                closing.callback(run.end)
        return [run.bill() if run else NO_STACK for run in running]


class _Run:
    """`slices plan STACK --json` at a revision, while it runs."""

    def __init__(self, revision: Revision, stack: str) -> None:
        self._revision, self._stack = revision, stack
        directory = revision.project.directory
        self._process = _start(directory if revision.own_program else _HERE, directory, stack)

    def bill(self) -> Bill | Unplannable:
        """Wait for it. Where the revision's program prints no such plan, that of here prices its stack file."""
        out, error = self._process.communicate()
        if self._process.returncode in _PLANNED:
            bill = read_bill(out)
            if bill is not None:
                return bill
            reason = "prints plans of another format"
        elif self._process.returncode == 2:
            return Unplannable(error.strip().removeprefix("error: "))
        else:
            reason = f"does not run here ({_last(error)})"
        if self._revision.commit is None:
            return Unplannable(error.strip() or f"the program of the {WORKING_TREE} {reason}")
        return self._by_the_program_of_here(reason)

    def _by_the_program_of_here(self, reason: str) -> Bill | Unplannable:
        with tempfile.TemporaryDirectory(prefix="slices-cost-", ignore_cleanup_errors=True) as temporary:
            folder = _stack_file_alone(self._revision.project, self._stack, Path(temporary))
            self._process = _start(_HERE, folder, self._stack)
            out, error = self._process.communicate()
            bill = read_bill(out) if self._process.returncode in _PLANNED else None
        if bill is None:
            return Unplannable(error.strip().removeprefix("error: "))
        name = self._revision.name
        note = f"{name}: its program {reason}; its stack file is priced with the program and prices of here"
        return replace(bill, notes=(note,))

    def end(self) -> None:
        """Leave no process behind."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def _start(program: Path, directory: Path, stack: str) -> subprocess.Popen[str]:
    # Modules of the program come before any installed ones.
    environment = {**os.environ, "PYTHONPATH": str(program)}
    environment.pop("PYTHONSAFEPATH", None)
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "plan", stack, "--json", "-C", str(directory)],
        cwd=program,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _stack_file_alone(project: Project, stack: str, folder: Path) -> Path:
    """A project of the program of here, with one stack file of another."""
    settings = load_yaml(_HERE / "Pulumi.yaml")
    assert isinstance(settings, dict)
    # Every JSON document is YAML.
    (folder / "Pulumi.yaml").write_text(json.dumps({**settings, "main": str(_HERE)}), encoding="utf-8")
    name = f"Pulumi.{stack}.yaml"
    shutil.copyfile(project.stack_files / name, folder / name)
    return folder


def _last(error: str) -> str:
    lines = error.strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"


def read_bill(text: str) -> Bill | None:
    """The bill in a plan's JSON; None where it is of another format, or of a project that has none."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        return None
    if not isinstance(document, dict) or document.get("schemaVersion") != _SCHEMA or not document.get("costs"):
        return None
    bill, prices = document["costs"]["bill"], document["prices"]
    return Bill(
        lines=tuple(
            Line(line["part"], line["name"], line["detail"], _spread(line["usdPerMonth"])) for line in bill["lines"]
        ),
        total=_spread(bill["usdPerMonth"]),
        ceiling=bill["ceilingUsdPerMonth"],
        prices=(prices["onDemandDate"], prices["servicesDate"]),
    )


def _spread(usd: Mapping[str, float] | None) -> Spread | None:
    return Spread(usd["lowUsd"], usd["expectedUsd"], usd["highUsd"]) if usd else None
