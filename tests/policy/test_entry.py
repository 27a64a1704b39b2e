"""The pack as the Pulumi CLI starts it: another process, another folder, gRPC."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped] # comes without types
import pytest
import yaml
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime import proto
from pulumi.runtime.proto import analyzer_pb2_grpc

from policy.pack import PACK_NAME, RULES
from tests.policy.on_demand_cases import BYPASSES, LEGITIMATE

PACK = Path(__file__).parents[2] / "policy"


@pytest.fixture(scope="module")
def analyzer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A stub that talks to the pack's own process, which knows nothing of this repository's root."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:0", str(PACK)]
    with subprocess.Popen(
        command, cwd=tmp_path_factory.mktemp("elsewhere"), env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield analyzer_pb2_grpc.AnalyzerStub(channel)
        finally:
            process.kill()


def _diagnostics(analyzer: Any, type_: str, inputs: Any) -> list[Any]:
    properties = struct_pb2.Struct()
    properties.update(inputs)
    request = proto.AnalyzeRequest(
        type=type_, properties=properties, urn="urn:x", name="x", options=proto.AnalyzerResourceOptions()
    )
    return list(analyzer.Analyze(request, timeout=30).diagnostics)


def test_the_pack_tells_the_engine_what_it_has(analyzer: Any) -> None:
    info = analyzer.GetAnalyzerInfo(empty_pb2.Empty(), timeout=30)
    assert info.name == PACK_NAME
    assert {policy.name for policy in info.policies} == {rule.name for rule in RULES}
    described = next(policy for policy in info.policies if policy.name == "gpu-on-demand-needs-justification")
    assert described.enforcementLevel == proto.MANDATORY
    assert described.configSchema.properties["maxDays"]["default"] == 180


def test_it_refuses_and_admits_over_the_wire(analyzer: Any) -> None:
    (found,) = [
        said
        for said in _diagnostics(analyzer, *BYPASSES["cloud: single instance"])
        if said.policyName == "gpu-on-demand-needs-justification"
    ]
    assert found.enforcementLevel == proto.MANDATORY
    assert "g6.xlarge" in found.message
    spot = _diagnostics(analyzer, *LEGITIMATE["spot instance request"])
    assert "gpu-on-demand-needs-justification" not in {said.policyName for said in spot}


def test_the_description_file_is_what_the_cli_needs() -> None:
    described = yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text(encoding="utf-8"))
    assert described["runtime"] == {"name": "python", "options": {"virtualenv": "../.venv"}}
    assert described["description"]
    assert described["version"]
