"""A language host of Pulumi for Python, in Python: runs programs and policy packs with the interpreter that runs it.

The real one, `pulumi-language-python`, comes with the CLI's installer and is no module of Go's. Like it, this one
starts the SDK's own `pulumi-language-python-exec` for programs and `python -m pulumi.policy` for packs.

    python -m tests.engine.language_host ENGINE_ADDRESS
"""

# ruff: noqa: N802  gRPC names the methods

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from tests.engine.serving import OPTIONS, serve

#: Path of `pulumi-language-python-exec`.
EXEC_VARIABLE = "ENGINE_TEST_PYTHON_EXEC"
#: Exit code of a program that has told its error itself (`pulumi-language-python-exec`).
_TOLD = 32


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """The part of the protocol that running needs: packages are installed already."""

    def __init__(self, engine: str) -> None:
        self._engine = engine

    async def Handshake(self, request: Any, context: Any) -> Any:
        self._engine = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=version("pulumi"))

    async def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPackagesResponse()

    async def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPluginsResponse()

    async def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    async def Run(self, request: Any, context: Any) -> Any:
        environment = {
            **os.environ,
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        arguments = {
            "monitor": request.monitor_address,
            "engine": self._engine,
            "project": request.project,
            "root_directory": request.info.root_directory,
            "stack": request.stack,
            "pwd": request.pwd,
            "dry_run": str(request.dryRun).lower(),
            "parallel": str(request.parallel),
            "organization": request.organization,
        }
        flags = [part for name, text in arguments.items() if text for part in (f"--{name}", text)]
        command = [sys.executable, "-u", os.environ[EXEC_VARIABLE], *flags, request.info.entry_point, *request.args]
        program = await asyncio.create_subprocess_exec(
            *command, env=environment, cwd=request.info.program_directory, stdin=asyncio.subprocess.DEVNULL
        )
        code = await program.wait()
        if code == _TOLD:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error="" if code == 0 else f"program exited with code {code}")

    async def RunPlugin(self, request: Any, context: Any) -> AsyncIterator[Any]:
        folder = request.info.program_directory
        pack = request.kind == "analyzer"
        command = ["-u", "-m", "pulumi.policy", *request.args, folder] if pack else ["-u", folder, *request.args]
        plugin = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            env={**os.environ, **dict(entry.split("=", 1) for entry in request.env)},
            cwd=folder if pack else request.pwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            async for field, data in _output(plugin):
                printed: dict[str, Any] = {field: data}
                yield language_pb2.RunPluginResponse(**printed)
            yield language_pb2.RunPluginResponse(exitcode=await plugin.wait())
        finally:
            if plugin.returncode is None:
                plugin.terminate()


async def _output(plugin: Process) -> AsyncIterator[tuple[str, bytes]]:
    """What a process prints on its two streams, until both are closed."""
    queue: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()

    async def pump(stream: asyncio.StreamReader | None, field: str) -> None:
        while stream and (data := await stream.read(4096)):
            await queue.put((field, data))
        await queue.put(None)

    pumps = [asyncio.create_task(pump(plugin.stdout, "stdout")), asyncio.create_task(pump(plugin.stderr, "stderr"))]
    closed = 0
    while closed < len(pumps):
        if (printed := await queue.get()) is None:
            closed += 1
        else:
            yield printed


async def main(engine: str) -> None:
    """Serve until the engine ends the process."""
    server = grpc.aio.server(options=OPTIONS)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(engine), server)
    await serve(server)


if __name__ == "__main__":
    asyncio.run(main(next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")))
