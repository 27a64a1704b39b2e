"""Stands in for a provider that cannot be built here: it makes nothing, remembers nothing, and answers as AWS might.

Outputs are those of the offline planner (`plan.cloud`), with what the twin's AWS has in place of placeholders, so that
the ids in objects of the cluster are those that Karpenter finds.

    python -m tests.engine.stub_provider VERSION
"""

# ruff: noqa: N802  gRPC names the methods

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import yaml
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from plan.cloud import PLACEHOLDER, Cloud
from tests.engine.journal import note
from tests.engine.serving import OPTIONS, serve

REGION_VARIABLE = "ENGINE_TEST_REGION"
#: Kubeconfig of the twin that stands for a cluster that is looked up.
TWIN_KUBECONFIG_VARIABLE = "ENGINE_TEST_KUBECONFIG"
#: A `cloud.json` of a twin: what its AWS has in place of placeholders.
VALUES_VARIABLE = "ENGINE_TEST_CLOUD_VALUES"
#: The account that calls; the planner's is Amazon's example, which the program refuses to build in.
ACCOUNT = "735294618203"
#: What the planner needs no answer for: the child of a component that it shows as a whole.
_ALSO: Mapping[str, Mapping[str, Any]] = {"aws:eks/cluster:Cluster": {"endpoint": "https://cluster.eks.amazonaws.com"}}
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class StubProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Any custom resource of a package: inputs are taken as they are, and compared as a whole."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._cloud = Cloud(region=os.environ[REGION_VARIABLE])

    async def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse()

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._version)

    async def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    async def Check(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def Diff(self, request: Any, context: Any) -> Any:
        before, after = _mapping(request.old_inputs), _mapping(request.news)
        changed = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
        kind = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=kind, diffs=changed)

    async def Create(self, request: Any, context: Any) -> Any:
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        began = time.time()
        type_, name = _own_type(request.urn), request.urn.rpartition("::")[2]
        inputs = _mapping(request.properties)
        assert _UNKNOWN not in json.dumps(inputs), f"{request.urn} was given a value that nobody knows"
        identity, outputs = self._cloud.create(request.urn, type_, name, inputs)
        state = struct_pb2.Struct()
        state.update(_settled({**_ALSO.get(type_, {}), **outputs, **inputs}))
        note("create", request.urn, began)
        return provider_pb2.CreateResponse(id=_settled(identity), properties=state)

    async def Update(self, request: Any, context: Any) -> Any:
        if not request.preview:
            note("update", request.urn, time.time())
        state = struct_pb2.Struct()
        state.update({**_mapping(request.olds), **_mapping(request.news)})
        return provider_pb2.UpdateResponse(properties=state)

    async def Read(self, request: Any, context: Any) -> Any:
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    async def Delete(self, request: Any, context: Any) -> Any:
        note("delete", request.urn, time.time())
        return empty_pb2.Empty()

    async def Invoke(self, request: Any, context: Any) -> Any:
        answer = struct_pb2.Struct()
        answer.update(_settled(self._cloud.call(request.tok, _mapping(request.args))))
        if request.tok == "aws:eks/getCluster:getCluster":
            answer.update(_way_in())
        assert not self._cloud.unanswered, f"{request.tok} has no answer"
        named: Any = {"return": answer}  # a word of Python's own
        return provider_pb2.InvokeResponse(**named)

    async def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


def _way_in() -> dict[str, Any]:
    """Where a cluster that is there is reached: it is the twin, where there is one."""
    path = os.environ.get(TWIN_KUBECONFIG_VARIABLE)
    if not path:
        return {}
    cluster = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["clusters"][0]["cluster"]
    authority = {"data": cluster["certificate-authority-data"]}
    return {"endpoint": cluster["server"], "certificateAuthorities": [authority]}


def _own_type(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _mapping(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(message)
    return found


def _values() -> dict[str, str]:
    path = os.environ.get(VALUES_VARIABLE)
    found: dict[str, str] = json.loads(Path(path).read_text(encoding="utf-8"))["values"] if path else {}
    return found


def _settled(value: Any) -> Any:
    """Without placeholders: what the twin's AWS has instead, or some text that looks like an id."""
    values = _values()

    def settle(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: settle(element) for key, element in part.items()}
        if isinstance(part, list):
            return [settle(element) for element in part]
        if not isinstance(part, str):
            return part
        if part in values:
            return values[part]
        found = PLACEHOLDER.sub(lambda match: values.get(match[0]) or re.sub(r"\W+", "-", match[0]).strip("-"), part)
        return found.replace("111122223333", ACCOUNT)

    return settle(value)


async def main(version: str) -> None:
    """Serve until the engine ends the process."""
    server = grpc.aio.server(options=OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(StubProvider(version), server)
    await serve(server)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
