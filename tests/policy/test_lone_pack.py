"""The pack in a folder of its own starts and judges, with what its lock has and nothing else of this repository."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from google.protobuf import empty_pb2

from policy.document import document
from policy.pack import PACK_NAME, RULES
from tests.patience import PATIENCE
from tests.policy.on_demand_cases import BYPASSES, LEGITIMATE
from tests.policy.process import diagnostics, started
from tools import policy_pack

pytestmark = pytest.mark.parts

#: What the pack's environment must do without.
FOREIGN = (
    "boto3",
    "click",
    "components",
    "moto",
    "mypy",
    "plan",
    "pulumi_aws",
    "pulumi_kubernetes",
    "pydantic",
    "rich",
)


class Alone(NamedTuple):
    """The folder, and the interpreter of the environment that its lock makes."""

    folder: Path
    python: Path


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    folder = tmp_path_factory.mktemp("theirs") / "gpu-policies"
    assert policy_pack.main([str(folder)]) == 0
    python = folder / ".venv" / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder / ".venv")], check=True)
    sync = ["pip", "sync", "--offline", "--quiet", "--require-hashes", "--python", str(python), "requirements.txt"]
    done = subprocess.run([*uv, *sync], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"what `make setup` installed is not in uv's cache: {done.stderr.strip().splitlines()[-1]}")
    return Alone(folder, python)


@pytest.fixture(scope="module")
def analyzer(alone: Alone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with started(alone.python, alone.folder, tmp_path_factory.mktemp("their-program")) as stub:
        yield stub


def test_it_has_every_rule_and_judges(analyzer: Any) -> None:
    info = analyzer.GetAnalyzerInfo(empty_pb2.Empty(), timeout=PATIENCE)
    assert info.name == PACK_NAME
    assert {policy.name for policy in info.policies} == {rule.name for rule in RULES}
    rule = "gpu-on-demand-needs-justification"
    refused = diagnostics(analyzer, *BYPASSES["cloud: single instance"])
    assert rule in {said.policyName for said in refused}
    admitted = diagnostics(analyzer, *LEGITIMATE["spot instance request"])
    assert rule not in {said.policyName for said in admitted}


def test_everything_in_it_can_be_imported_without_the_rest(alone: Alone) -> None:
    code = f"""
import importlib, importlib.util, json, pathlib, sys
sys.path.insert(0, {str(alone.folder)!r})
root = pathlib.Path({str(alone.folder)!r})
names = [".".join(path.relative_to(root).with_suffix("").parts) for room in ("gpu", "policy")
         for path in sorted((root / room).rglob("*.py")) if path.name not in ("__init__.py", "__main__.py")]
for name in names:
    importlib.import_module(name)
foreign = [name for name in {FOREIGN!r} if importlib.util.find_spec(name)]
outside = [name for name in names if not sys.modules[name].__file__.startswith(str(root))]
print(json.dumps([len(names), foreign, outside]))
"""
    done = subprocess.run(
        [alone.python, "-I", "-c", code], cwd=alone.folder.parent, capture_output=True, text=True, check=True
    )
    number, foreign, outside = json.loads(done.stdout)
    assert number > len(RULES)
    assert (foreign, outside) == ([], [])


def test_its_page_has_the_rules_and_its_description_its_own_environment(alone: Alone) -> None:
    assert (alone.folder / "README.md").read_text(encoding="utf-8") == document()
    described = yaml.safe_load((alone.folder / "PulumiPolicy.yaml").read_text(encoding="utf-8"))
    assert described["runtime"] == {"name": "python", "options": {"virtualenv": ".venv"}}


def test_written_again_it_is_brought_up_to_date_and_keeps_its_environment(tmp_path: Path) -> None:
    policy_pack.write(tmp_path / "pack")
    gone = tmp_path / "pack" / "policy" / "rules" / "gone.py"
    gone.write_text("")
    kept = tmp_path / "pack" / ".venv" / "x"
    kept.parent.mkdir()
    kept.write_text("")
    policy_pack.write(tmp_path / "pack")
    assert not gone.exists()
    assert kept.exists()


def test_it_is_never_written_over_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "theirs").write_text("x")
    for target in (tmp_path, tmp_path / "theirs", policy_pack.ROOT, policy_pack.ROOT / "policy" / "x"):
        assert policy_pack.main([str(target)]) == 2
    assert policy_pack.main([]) == 2
    assert (tmp_path / "theirs").read_text() == "x"
    assert "name a new folder" in capsys.readouterr().err
