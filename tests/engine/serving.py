"""Serves gRPC as a plugin of the engine: the port goes to standard output, a signal ends it quietly."""

# ruff: noqa: T201  the engine reads the port from standard output

from __future__ import annotations

import asyncio
import signal
from typing import Any

#: Messages are as large as the largest state.
OPTIONS = [("grpc.max_receive_message_length", 400 * 2**20), ("grpc.max_send_message_length", -1)]


async def serve(server: Any) -> None:
    """Run a `grpc.aio` server until the engine ends the process."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await ended.wait()
    await server.stop(grace=None)
