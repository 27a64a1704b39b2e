"""An AWS account for tests: moto plays it, and what moto does not play is answered here, by AWS' own shapes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.validate import ParamValidator
from moto import mock_aws

from account.session import Account

ACCOUNT = "482910365577"
REGION = "us-east-1"

Parameters = Mapping[str, Any]
Answer = Callable[[Parameters], Mapping[str, Any]]


class ApiError(Exception):
    """An error of the service, by its code."""


class NoConnectionError(Exception):
    """Nobody answers."""


def fail(error: Exception) -> Answer:
    """An answer that is none."""

    def answer(_parameters: Parameters) -> Mapping[str, Any]:
        raise error

    return answer


class World(Account):
    """An account whose answers can be planted. planted: by `service:Operation`. asked: what was asked for."""

    def __init__(self) -> None:
        super().__init__(REGION)
        self.planted: dict[str, Answer] = {}
        self.asked: list[tuple[str, Parameters]] = []
        self._wired: set[int] = set()
        self._wiring = threading.Lock()

    def client(self, service: str, region: str | None = None) -> Any:
        client = super().client(service, region)
        with self._wiring:
            if id(client) not in self._wired:
                self._wired.add(id(client))
                client.meta.events.register("before-parameter-build", self._note)
                client.meta.events.register("before-call", self._answer)
        return client

    def _note(self, params: Parameters, model: Any, context: dict[str, Any], **_: Any) -> None:
        context["parameters"] = dict(params)
        self.asked.append((f"{model.service_model.service_name}:{model.name}", dict(params)))

    def _answer(self, model: Any, context: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]] | None:
        answer = self.planted.get(f"{model.service_model.service_name}:{model.name}")
        if answer is None:
            return None
        try:
            parsed = dict(answer(context["parameters"]))
        except ApiError as error:
            code = str(error)
            return SimpleNamespace(status_code=400), {"Error": {"Code": code, "Message": f"said the test: {code}"}}
        except NoConnectionError:
            raise EndpointConnectionError(endpoint_url=f"https://{model.service_model.service_name}.test") from None
        report = ParamValidator().validate(parsed, model.output_shape)
        assert not report.has_errors(), report.generate_report()
        return SimpleNamespace(status_code=200), parsed


@contextmanager
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An empty account."""
    monkeypatch.setenv("MOTO_ACCOUNT_ID", ACCOUNT)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield World()


def moto(service: str) -> Any:
    """A client that changes the account behind the caller's back."""
    return boto3.client(service, region_name=REGION)
