"""The real Kubernetes provider, but for Helm releases: charts come from registries, which are out of reach.

Calls pass through as they are, byte for byte, in both directions. A release is what the twin makes of it: Karpenter's
own charts and its real controller, Knative's definitions, the add-ons' DaemonSets.

    python -m tests.engine.kubernetes_proxy PROVIDER ENGINE_ADDRESS
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import provider_pb2

from tests.engine.journal import note
from tests.engine.serving import OPTIONS, serve

#: Folder of the twin that plays releases; without it they are noted and that is all.
TWIN_VARIABLE = "ENGINE_TEST_TWIN"
_SERVICE = "/pulumirpc.ResourceProvider/"
_RELEASE = "::kubernetes:helm.sh/v3:Release::"
_REQUESTS: Mapping[str, Any] = {
    "Check": provider_pb2.CheckRequest,
    "Diff": provider_pb2.DiffRequest,
    "Create": provider_pb2.CreateRequest,
    "Update": provider_pb2.UpdateRequest,
    "Read": provider_pb2.ReadRequest,
    "Delete": provider_pb2.DeleteRequest,
}
_NOTED = {"Create": "create", "Update": "update", "Delete": "delete"}


class Releases:
    """Answers for Helm releases."""

    def answer(self, method: str, request: Any) -> Any:
        """The response to a call about a release."""
        answers: dict[str, Callable[[Any], Any]] = {
            "Check": lambda r: provider_pb2.CheckResponse(inputs=r.news),
            "Diff": self._diff,
            "Create": self._create,
            "Update": self._update,
            "Read": lambda r: provider_pb2.ReadResponse(id=r.id, properties=r.properties, inputs=r.inputs),
            "Delete": self._delete,
        }
        return answers[method](request)

    @staticmethod
    def _diff(request: Any) -> Any:
        before, after = map(json_format.MessageToDict, (request.old_inputs, request.news))
        changed = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
        kind = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=kind, diffs=changed)

    @staticmethod
    def _create(request: Any) -> Any:
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        inputs = json_format.MessageToDict(request.properties)
        _play("install", inputs)
        name = inputs.get("name") or request.urn.rpartition("::")[2]
        namespace = inputs.get("namespace") or "default"
        state = request.properties
        state.update({"status": {"name": name, "namespace": namespace, "revision": 1, "status": "deployed"}})
        return provider_pb2.CreateResponse(id=f"{namespace}/{name}", properties=state)

    @staticmethod
    def _update(request: Any) -> Any:
        if not request.preview:
            _play("install", json_format.MessageToDict(request.news))
        state = request.olds
        state.MergeFrom(request.news)
        return provider_pb2.UpdateResponse(properties=state)

    @staticmethod
    def _delete(request: Any) -> Any:
        _play("uninstall", json_format.MessageToDict(request.properties))
        return empty_pb2.Empty()


def _play(what: str, inputs: dict[str, Any]) -> None:
    folder = os.environ.get(TWIN_VARIABLE)
    if folder:
        from tests.engine.releases import play  # noqa: PLC0415  only where there is a twin

        play(Path(folder), what, inputs)


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Every method of a provider, requests and responses as bytes."""

    def __init__(self, real: grpc.aio.Channel) -> None:
        self._real = real
        self._releases = Releases()

    def service(self, details: Any) -> Any:
        path = details.method
        if not path.startswith(_SERVICE):
            return None
        return grpc.unary_unary_rpc_method_handler(functools.partial(self._call, path))

    async def _call(self, path: str, request: bytes, context: Any) -> bytes:
        method = path.removeprefix(_SERVICE)
        began = time.time()
        kind = _REQUESTS.get(method)
        message = kind.FromString(request) if kind else None
        if message is not None and _RELEASE in message.urn.replace("$", "::"):
            answered = await asyncio.to_thread(self._releases.answer, method, message)
            response: bytes = answered.SerializeToString()
        else:
            try:
                response = await self._real.unary_unary(path)(request)
            except grpc.aio.AioRpcError as error:
                details = tuple((key, value) for key, value in error.trailing_metadata() or ())
                await context.abort(error.code(), error.details() or "", details)
        if method in _NOTED and message is not None and not getattr(message, "preview", False):
            note(_NOTED[method], message.urn, began)
        return response


async def main(program: str, engine: str) -> None:
    """Start the real provider, and serve until the engine ends the process; the real one ends with it."""
    real = await asyncio.create_subprocess_exec(
        program, engine, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    assert real.stdout is not None
    port = int(await real.stdout.readline())
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
            server = grpc.aio.server(options=OPTIONS)
            server.add_generic_rpc_handlers((_Handler(channel),))
            await serve(server)
    finally:
        real.terminate()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
