"""A pack in a process of its own, started as the Pulumi CLI starts it and asked over gRPC."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped] # comes without types
from google.protobuf import struct_pb2
from pulumi.runtime import proto
from pulumi.runtime.proto import analyzer_pb2_grpc

from tests.patience import PATIENCE


@contextmanager
def started(python: str | Path, pack: Path, elsewhere: Path) -> Iterator[Any]:
    """A stub that talks to the pack, which knows nothing of this repository's root. elsewhere: where it is started."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), "-u", "-m", "pulumi.policy", "127.0.0.1:0", str(pack)]
    with subprocess.Popen(command, cwd=elsewhere, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield analyzer_pb2_grpc.AnalyzerStub(channel)
        finally:
            process.kill()


def diagnostics(analyzer: Any, type_: str, inputs: Mapping[str, Any]) -> list[Any]:
    """What the pack says of a resource."""
    properties = struct_pb2.Struct()
    properties.update(inputs)
    request = proto.AnalyzeRequest(
        type=type_, properties=properties, urn="urn:x", name="x", options=proto.AnalyzerResourceOptions()
    )
    return list(analyzer.Analyze(request, timeout=PATIENCE).diagnostics)
