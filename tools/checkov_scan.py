"""Lets Checkov judge every stack: an independent reader of what the program would build.

    python -m tools.checkov_scan [STACK ...]

Writes each stack's plan as Terraform JSON and Kubernetes YAML, runs Checkov from its own environment over it, without
network, and fails on every finding that `checkov-exceptions.yaml` does not list with its reason. An exception that
matches nothing fails as well when all stacks are scanned: it would hide the next finding. Exit status: 0, 1 for such
findings, 2 where nothing could be scanned.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from plan.errors import InputError, ProgramError
from plan.project import Project, find_project, load_stack
from plan.record import record
from tools.terraform import MAIN_FILE, write_terraform

ROOT = Path(__file__).resolve().parents[1]
CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"
EXCEPTIONS = ROOT / "checkov-exceptions.yaml"
FRAMEWORKS = ("terraform_json", "kubernetes")


class ScanError(Exception):
    """Checkov did not run, or did not read what it was given."""


@dataclass(frozen=True)
class Finding:
    """A check that a resource of a stack fails. `resource` is `aws_kms_key.data` or `Deployment.namespace.name`."""

    stack: str
    check: str
    resource: str
    title: str


@dataclass(frozen=True)
class Accepted:
    """A finding that stays: a check, a pattern of resources as in the shell, and why.

    own: it is about what only stack files of one's own have, so that it need not match.
    """

    check: str
    resource: str
    reason: str
    own: bool = False

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is the accepted one."""
        return self.check == finding.check and fnmatchcase(finding.resource, self.resource)


def load_accepted(path: Path) -> list[Accepted]:
    """The exceptions file: lists `id`, `resource`, `reason`, perhaps `own`. Raises ScanError where one is missing."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    accepted = []
    for number, entry in enumerate(entries, 1):
        missing = [key for key in ("id", "resource", "reason") if not str(entry.get(key) or "").strip()]
        if missing:
            raise ScanError(f"{path.name}: entry {number} has no {' and no '.join(missing)}")
        reason, own = " ".join(entry["reason"].split()), entry.get("own") is True
        accepted.append(Accepted(entry["id"], entry["resource"], reason, own))
    return accepted


def scan(project: Project, stack: str, checkov: Path = CHECKOV) -> list[Finding]:
    """What Checkov finds in a stack. Raises ScanError where it did not read the export."""
    recording = record(project, load_stack(project, stack))
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / stack
        write_terraform(recording, target)
        addresses = addresses_by_line((target / MAIN_FILE).read_text(encoding="utf-8"))
        reports = _run(checkov, target)
    return [
        Finding(stack, check["check_id"], _resource(check, addresses), check["check_name"])
        for report in reports
        for check in report["results"]["failed_checks"]
    ]


def _run(checkov: Path, target: Path) -> Sequence[Mapping[str, Any]]:
    command = [str(checkov), "--directory", str(target), "--compact", "--quiet", "--skip-download", "-o", "json"]
    for framework in FRAMEWORKS:
        command += ["--framework", framework]
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(target.parent), "LOG_LEVEL": "CRITICAL"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    try:
        answer = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise ScanError(f"Checkov ended with {done.returncode}:\n{done.stdout}{done.stderr}") from None
    reports = answer if isinstance(answer, list) else [answer]
    read = {report.get("check_type"): report.get("summary", {}) for report in reports}
    for framework in FRAMEWORKS:
        summary = read.get(framework, {})
        if not summary.get("passed") or summary.get("parsing_errors"):
            raise ScanError(f"Checkov read no {framework}: {summary}")
    return reports


def addresses_by_line(document: str) -> dict[int, str]:
    """Line on which each resource of the Terraform JSON begins, to its address.

    Checkov names such resources `resource.<name>` in some checks, without their type, but always gives their lines.
    """
    addresses: dict[int, str] = {}
    type_ = ""
    for number, line in enumerate(document.splitlines(), 1):
        depth = len(line) - len(line.lstrip())
        if depth in (4, 6) and line.endswith("{"):
            key = line.strip().removesuffix(": {").strip('"')
            if depth == 4:
                type_ = key
            else:
                addresses[number] = f"{type_}.{key}"
    return addresses


def _resource(check: Mapping[str, Any], addresses: Mapping[int, str]) -> str:
    name = str(check["resource"])
    if not name.startswith("resource."):
        return name
    start = int(check["file_line_range"][0])
    return next((addresses[line] for line in (start, start - 1, start + 1) if line in addresses), name)


def judge(findings: Iterable[Finding], accepted: Sequence[Accepted], *, all_stacks: bool) -> list[str]:
    """What is wrong, in words: findings that are not accepted, and exceptions that accept nothing."""
    wrong = []
    used: set[Accepted] = set()
    for finding in findings:
        covering = [entry for entry in accepted if entry.covers(finding)]
        used.update(covering)
        if not covering:
            wrong.append(f"{finding.stack}: {finding.check} {finding.resource}: {finding.title}")
    if all_stacks:
        wrong += [
            f"{EXCEPTIONS.name}: {entry.check} {entry.resource} matches no finding: remove it"
            for entry in accepted
            if entry not in used and not entry.own
        ]
    return wrong


def main(arguments: Sequence[str]) -> int:
    """Scan the stacks named, or all; gives the exit status."""
    gc.disable()
    project = find_project(ROOT)
    stacks = list(arguments) or project.stacks
    try:
        if not CHECKOV.exists():
            raise ScanError("Checkov is not installed: run `make checkov-env`")
        accepted = load_accepted(EXCEPTIONS)
        findings = [finding for stack in stacks for finding in scan(project, stack)]
    except (ScanError, InputError, ProgramError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    wrong = judge(findings, accepted, all_stacks=not arguments)
    for line in wrong:
        print(line)
    covered = len(findings) - sum(not line.startswith(EXCEPTIONS.name) for line in wrong)
    print(f"{len(stacks)} stacks scanned: {len(findings)} findings, {covered} of them accepted with a reason.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
