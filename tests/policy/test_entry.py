"""The pack as the Pulumi CLI starts it: another process, another folder, gRPC."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import empty_pb2
from pulumi.runtime import proto

from policy.pack import PACK_NAME, RULES
from tests.patience import PATIENCE
from tests.policy.on_demand_cases import BYPASSES, LEGITIMATE
from tests.policy.process import diagnostics, started

PACK = Path(__file__).parents[2] / "policy"


@pytest.fixture(scope="module")
def analyzer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with started(sys.executable, PACK, tmp_path_factory.mktemp("elsewhere")) as stub:
        yield stub


def test_the_pack_tells_the_engine_what_it_has(analyzer: Any) -> None:
    info = analyzer.GetAnalyzerInfo(empty_pb2.Empty(), timeout=PATIENCE)
    assert info.name == PACK_NAME
    assert {policy.name for policy in info.policies} == {rule.name for rule in RULES}
    described = next(policy for policy in info.policies if policy.name == "gpu-on-demand-needs-justification")
    assert described.enforcementLevel == proto.MANDATORY
    assert described.configSchema.properties["maxDays"]["default"] == 180


def test_it_refuses_and_admits_over_the_wire(analyzer: Any) -> None:
    (found,) = [
        said
        for said in diagnostics(analyzer, *BYPASSES["cloud: single instance"])
        if said.policyName == "gpu-on-demand-needs-justification"
    ]
    assert found.enforcementLevel == proto.MANDATORY
    assert "g6.xlarge" in found.message
    spot = diagnostics(analyzer, *LEGITIMATE["spot instance request"])
    assert "gpu-on-demand-needs-justification" not in {said.policyName for said in spot}


def test_the_description_file_is_what_the_cli_needs() -> None:
    described = yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text(encoding="utf-8"))
    assert described["runtime"] == {"name": "python", "options": {"virtualenv": "../.venv"}}
    assert described["description"]
    assert described["version"]


def test_in_its_own_folder_it_hides_nothing_of_the_sdk_s() -> None:
    """The engine's language host starts `python -m pulumi.policy` there, and the folder is first on the path."""
    done = subprocess.run(
        [sys.executable, "-c", "import pulumi, pulumi_policy, yaml"],
        cwd=PACK,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
