"""The commands that the documents show, in the order in which they stand, and why some of them are not run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
#: Of a block; one that says none holds commands too.
_LANGUAGES = ("console", "sh", "bash", "")
_COMMENT = re.compile(r"\s{2,}#.*$|^#.*$|(?<=\S) # .*$")

_CLUSTER = "needs the cluster on AWS"
_AWS = "acts in an AWS account; its words are held against AWS' own models (tests/unit/account/test_commands.py)"
#: What begins so is not run, and why.
NOT_RUN = {
    "git clone": "the address is the reader's",
    "pulumi ": "needs the Pulumi CLI and an AWS account; tests/engine runs Pulumi's own engine on every stack",
    ".venv/bin/slices check": "asks an AWS account; tests/unit/cli/test_check.py plays one",
    ".venv/bin/slices prices refresh": "asks an AWS account; tests/unit/account/test_prices.py plays one",
    "slices check": "asks an AWS account; tests/unit/cli/test_check.py plays one",
    ".venv/bin/slices spend": "asks an AWS account; tests/unit/cli/test_spend.py plays one",
    "$(pulumi ": "writes into the reader's kubeconfig",
    ".venv/bin/slices scenario interrupted-job": "takes five minutes; tests/twin/test_scenarios.py plays it",
    "kubectl -n ": _CLUSTER,
    "kubectl get ": _CLUSTER,
    "for kind in ": _CLUSTER,
    "kubectl patch ": _CLUSTER,
    "kubectl version ": _CLUSTER,
    ".venv/bin/slices adopt mine --context": "asks the reader's cluster; tests/twin/test_adopting.py asks a twin's",
    "kubectl delete ": _CLUSTER,
    ".venv/bin/slices open ": _CLUSTER,
    "podman ": "needs Podman and a registry",
    "crane ": "needs crane, and the reader's own registry",
    "helm p": "needs Helm and the network, and the reader's own registry",
    "aws ": _AWS,
    "account=$(aws ": _AWS,
    "action=$(aws ": _AWS,
    "cluster=": "sets what the commands on AWS after it read",
    ".venv/bin/python -m dialogue": "needs an Ollama with models; tests/apps run it with a real one",
    "slices judge ": "reads the reader's own files; tests/unit/cli/test_judge.py has some",
    "slices cost diff ": "compares revisions of the reader's; tests/unit/cli/test_cost_diff.py makes some",
    "terraform ": "needs Terraform and the reader's own plan; tests/unit/cli/test_judge.py has one",
    "make policy-pack": "writes beside the checkout; tests/policy/test_lone_pack.py copies the pack",
    "(cd ../theirs/gpu-policies": "needs the Pulumi CLI",
    "make dialogue": "serves until Ctrl-C; tests/apps/test_command.py starts it",
    ".venv/bin/python -m bench.": "measures for minutes; tests/unit/test_measurements.py holds what is kept of it",
    "make classifier-env": "fills an environment of its own; tests/apps/test_classifier.py does",
    "make classifier": "serves until Ctrl-C; tests/apps/test_classifier.py starts it",
    "curl --data-binary @.venv-classifier": "asks what make classifier serves; tests/apps/test_classifier.py does",
    "make checkov": "fills an environment of its own; continuous integration runs it",
    "make catalog": "needs Go and fetches modules; tests/unit/test_catalog_data.py compares what it wrote",
    ".venv/bin/python tools/generate_catalog.py": "as make catalog",
}
#: What begins so needs a twin: tests/twin/test_documents.py runs it.
TWIN = (
    "make up",
    "make down",
    ".venv/bin/slices up theirs",
    ".venv/bin/slices down theirs",
    ".venv/bin/slices status",
    ".venv/bin/slices watch",
    ".venv/bin/slices request",
    ".venv/bin/slices scenario",
    "kubectl --kubeconfig .twin/kubeconfig",
)
#: What writes a stack file that a command of the twin reads: it is run there too.
BEFORE = ".venv/bin/slices adopt theirs"


def commands(document: Path) -> Sequence[str]:
    """The commands of a document's blocks, without comments."""
    blocks = _BLOCK.findall(document.read_text(encoding="utf-8"))
    return [command for language, body in blocks if language in _LANGUAGES for command in _of(language, body)]


def _of(language: str, body: str) -> Iterator[str]:
    for line in body.replace("\\\n", "").splitlines():
        # In a console only what follows the prompt is typed.
        if language == "console" and not line.startswith("$ "):
            continue
        if command := _COMMENT.sub("", line.removeprefix("$ ") if language == "console" else line).strip():
            yield " ".join(command.split())


def reason(command: str) -> str | None:
    """Why a command is not run; None for one that is."""
    if of_the_twin(command):
        return "needs a twin: tests/twin/test_documents.py runs it"
    return next((why for beginning, why in NOT_RUN.items() if command.startswith(beginning)), None)


def of_the_twin(command: str) -> bool:
    """Whether a command needs a twin."""
    return command.startswith(TWIN)


def checkout(directory: Path) -> Path:
    """A checkout to run commands in: its stack files and its environment are its own, the rest is this one's.

    Of the environment there is our program alone: nothing that is set up there can harm this one's.
    """
    for path in ROOT.iterdir():
        if path.name.startswith("Pulumi.") or path.name == "__main__.py":
            (directory / path.name).write_bytes(path.read_bytes())
        elif path.name not in (".git", ".twin") and not path.name.startswith(".venv"):
            (directory / path.name).symlink_to(path)
    programs = directory / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "slices").symlink_to(ROOT / ".venv" / "bin" / "slices")
    return directory


def typed(command: str) -> str:
    """What a command comes to in such a checkout: of `make` the last line of its recipe."""
    if not command.startswith("make "):
        return command
    words = ["make", "--dry-run", "--no-print-directory", *shlex.split(command)[1:]]
    # Of a reader's shell: what `make test ARGS=...` was given is not for the commands that its tests run.
    shell = {"PATH": os.environ["PATH"]}
    lines = subprocess.run(words, cwd=ROOT, env=shell, capture_output=True, text=True, check=True).stdout.splitlines()
    return lines[-1]  # what may stand before it sets up the environment
