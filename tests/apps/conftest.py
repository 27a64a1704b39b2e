"""The model server of these tests: a real Ollama where one can be built, else its double. It says which at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import boto3
import pytest

from components.serving import conversation_table
from tests.apps import aws_server
from tests.apps.ollama_server import ModelServer
from tests.apps.rig import Clock
from tests.patience import PATIENCE

_ran: dict[str, str] = {}
#: Seconds; the slowest of these tests takes a twentieth of it, and what waits gives up before and says for what.
_LONGEST = PATIENCE + 60


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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Nothing is left alone for long unless the test says so."""
    return Clock(monkeypatch)


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Makes tables as the stack makes them, in moto's server; this process and those that it starts find it."""
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": aws_server.REGION,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def make(name: str) -> str:
        boto3.client("dynamodb").create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": key, "AttributeType": kind} for key, kind in conversation_table.ATTRIBUTES.items()
            ],
            KeySchema=_keys(conversation_table.KEY),
            GlobalSecondaryIndexes=[
                {
                    "IndexName": conversation_table.OWNER_INDEX,
                    "KeySchema": _keys(conversation_table.OWNER_KEY),
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        return name

    with aws_server.serving("dynamodb") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
        yield make


def _keys(names: Sequence[str]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=True)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly when no real Ollama was asked."""
    if "server" in _ran:
        why = _ran["server"]
        terminalreporter.write_line(
            f"dialogue: tested on the DOUBLE of Ollama ({why})" if why else "dialogue: tested on a real Ollama server",
            yellow=bool(why),
            green=not why,
        )
