"""What the image is made of is enough to start the service: the locked packages and the copied files, nothing else."""

from __future__ import annotations

import ast
import fnmatch
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from tests.apps.ollama_server import ROOT
from tests.patience import PATIENCE

APP = ROOT / "apps" / "dialogue"
# Starts the program with only the locked distributions importable.
PROGRAM = """
import importlib.abc, sys
from importlib import metadata
allowed = set(sys.argv.pop(1).split(","))
owners = metadata.packages_distributions()
norm = lambda name: name.lower().replace("_", "-")
class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        of = {norm(each) for each in owners.get(name.partition(".")[0], [])}
        if of and not of & allowed:
            raise ModuleNotFoundError(f"{name} is not in the image")
sys.meta_path.insert(0, Guard())
sys.argv[0] = "dialogue"
import runpy
runpy.run_module("dialogue", run_name="__main__")
"""


def locked(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", path.read_text(), re.MULTILINE))


def test_the_image_has_the_versions_of_the_repository() -> None:
    ours, all_of_them = locked(APP / "requirements.txt"), locked(ROOT / "requirements.txt")
    assert ours.items() <= all_of_them.items()
    assert not set(ours) & {"pulumi", "pytest", "lightkube"}


def test_the_program_needs_nothing_but_what_the_image_installs() -> None:
    installed = ",".join(name.replace("_", "-") for name in locked(APP / "requirements.txt"))
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        installed,
        "serve",
        "--speaker",
        "a=h",
        "--speaker",
        "b=h",
        "--host",
        "::",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "apps")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2, done.stderr
    assert "keys_file is needed" in done.stderr, "it came as far as its own check"
    assert metadata.version("starlette") == locked(APP / "requirements.txt")["starlette"]


def test_every_module_imports_only_what_the_image_has() -> None:
    installed = {name.replace("_", "-") for name in locked(APP / "requirements.txt")}
    known = {*sys.stdlib_module_names, "dialogue"}
    for module, distributions in metadata.packages_distributions().items():
        if installed & {name.lower().replace("_", "-") for name in distributions}:
            known.add(module)
    for file in APP.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert {name.partition(".")[0] for name in names} <= known, file.name


def test_what_is_copied_is_what_the_program_has() -> None:
    kept = [line[1:] for line in (APP / ".dockerignore").read_text().split() if line.startswith("!")]
    tracked = subprocess.run(
        ["git", "ls-files", "."], cwd=APP, capture_output=True, text=True, check=True
    ).stdout.split()
    copied = {name for name in tracked if any(fnmatch.fnmatch(name.split("/")[0], pattern) for pattern in kept)}
    left_out = {"Dockerfile", ".dockerignore", "requirements.in"}
    assert set(tracked) - copied == left_out & set(tracked)
    assert {"__main__.py", "page/index.html", "requirements.txt"} <= copied


def test_the_image_runs_as_nobody_in_particular() -> None:
    lines = (APP / "Dockerfile").read_text().splitlines()
    assert "USER 65532:65532" in lines
    assert any("--require-hashes" in line for line in lines)
