"""The model server of these tests: a real Ollama where one can be built, else its double. It says which at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apps.ollama_server import ModelServer

_ran: dict[str, str] = {}
#: Seconds; the slowest of these tests takes a tenth of it.
_LONGEST = 90.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """End a test that hangs: once in some hundred broken-off requests Ollama 0.17.4 never answers the next one."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(_LONGEST, func_only=True))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A running server with the models tiny-a, tiny-b and tiny-c."""
    server = ModelServer(tmp_path_factory.mktemp("models"))
    _ran["server"] = server.why_double
    server.start()
    try:
        server.create_models()
        yield server
    finally:
        server.kill()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly when no real Ollama was asked."""
    if "server" in _ran:
        why = _ran["server"]
        terminalreporter.write_line(
            f"dialogue: tested on the DOUBLE of Ollama ({why})" if why else "dialogue: tested on a real Ollama server",
            yellow=bool(why),
            green=not why,
        )
