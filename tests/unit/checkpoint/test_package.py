"""What people install is all of the package, and nothing of ours beside it."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "apps" / "checkpoint"
MODULES = sorted(path.name for path in FOLDER.glob("*.py"))


@pytest.mark.parts
def test_the_wheel_has_every_module_and_works_alone(tmp_path: Path) -> None:
    source = shutil.copytree(FOLDER, tmp_path / "source", ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.partition("/")[0].endswith(".dist-info")]
        archive.extractall(tmp_path / "site")
    assert sorted(names) == [f"checkpoint/{name}" for name in MODULES]
    program = "import sys; sys.path.insert(0, sys.argv[1]); import checkpoint; print(checkpoint.__file__)"
    command = [sys.executable, "-I", "-S", "-c", program, str(tmp_path / "site")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(tmp_path / "site" / "checkpoint" / "__init__.py")


@pytest.mark.parametrize("name", MODULES)
def test_it_imports_nothing_of_ours_and_boto3_only_for_s3(name: str) -> None:
    tree = ast.parse((FOLDER / name).read_text(encoding="utf-8"))
    found = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    found |= {(node.module or "").partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    others = found - sys.stdlib_module_names - {"checkpoint"}
    assert others == ({"boto3", "botocore"} if name == "s3.py" else set())
