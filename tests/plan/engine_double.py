"""Runs a Pulumi program on Pulumi's real runtime, over gRPC, against a stand-in for the engine in a preview.

Mocks replace part of the runtime; this replaces the engine alone. As in the preview of a stack that does not exist yet,
a resource has its inputs and no other output. In an update it has what `plan.cloud` answers. Prints one JSON
document: what was registered, what was warned of, and what went wrong.

    python -m tests.plan.engine_double STACK CONFIG_JSON {preview,update}
"""

# ruff: noqa: N802, T201  gRPC names the methods; the result is printed

import asyncio
import json
import os
import runpy
import sys
from concurrent import futures
from typing import Any

import grpc  # type: ignore[import-untyped]
import pulumi
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import rpc, settings
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, resource_pb2, resource_pb2_grpc

from plan.cloud import Cloud
from tests.day import fixed

#: What the engine says it can do, as of the pinned SDK.
FEATURES = {"secrets", "resourceReferences", "outputValues", "aliasSpecs", "deletedWith", "transforms", "resourceHooks"}
#: Outputs that the program reads and that a preview does not know.
UNKNOWN_OUTPUTS = {"eks:index:Cluster": ("kubeconfigJson", "clusterSecurityGroupId")}


class Engine(resource_pb2_grpc.ResourceMonitorServicer, engine_pb2_grpc.EngineServicer):
    """The engine's two services, as far as a program's run needs them."""

    def __init__(self, *, preview: bool) -> None:
        self.preview = preview
        self.registered: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self._root = ""
        self._cloud = Cloud(region="us-east-1")

    def SupportsFeature(self, request: Any, context: Any) -> Any:
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in FEATURES)

    def RegisterPackage(self, request: Any, context: Any) -> Any:
        return resource_pb2.RegisterPackageResponse(ref=request.name)

    def Invoke(self, request: Any, context: Any) -> Any:
        answer = struct_pb2.Struct()
        if request.tok == "aws:index/getCallerIdentity:getCallerIdentity":
            answer.update({"accountId": "111122223333"})
        named: Any = {"return": answer}  # a word of Python's own
        return provider_pb2.InvokeResponse(**named)

    def RegisterResource(self, request: Any, context: Any) -> Any:
        urn = f"urn:pulumi:{settings.get_stack()}::gpu-slices::{request.type}::{request.name}"
        inputs = json_format.MessageToDict(request.object)
        self.registered.append(
            {
                "type": request.type,
                "name": request.name,
                "inputs": inputs,
                "dependencies": len(request.dependencies),
                "provider": request.provider.partition("::")[2],
                "unknown": rpc.UNKNOWN in json.dumps(inputs),
            }
        )
        outputs = struct_pb2.Struct()
        outputs.CopyFrom(request.object)
        identity = ""
        if self.preview:
            for name in UNKNOWN_OUTPUTS.get(request.type, ()):
                outputs.fields[name].string_value = rpc.UNKNOWN
        else:
            identity, more = self._cloud.create(urn, request.type, request.name, inputs)
            outputs.update(more)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identity, object=outputs)

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Log(self, request: Any, context: Any) -> Any:
        if request.severity >= engine_pb2.ERROR:
            self.errors.append(request.message)
        elif request.severity == engine_pb2.WARNING:
            self.warnings.append(request.message)
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: Any) -> Any:
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any, context: Any) -> Any:
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()


def _program() -> None:
    runpy.run_path("__main__.py", run_name="__main__")


def main(stack: str, config: dict[str, str], run: str) -> None:
    """Run `__main__.py` of the working directory as the Python language host does."""
    engine = Engine(preview=run == "preview")
    server = grpc.server(futures.ThreadPoolExecutor(8))
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(engine, server)
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    os.environ["PULUMI_CONFIG"] = json.dumps(config)
    settings.configure(
        settings.Settings(
            project="gpu-slices",
            stack=stack,
            monitor=address,
            engine=address,
            dry_run=engine.preview,
            organization="organization",
        )
    )
    try:
        with fixed():
            asyncio.run(pulumi.runtime.run_in_stack(_program))
    except pulumi.RunError as error:
        engine.errors.append(str(error))
    server.stop(0)
    print(json.dumps({"registered": engine.registered, "warnings": engine.warnings, "errors": engine.errors}))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3])
