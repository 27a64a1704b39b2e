"""An AWS account for tests: moto plays it, and what moto does not play is answered here, by AWS' own shapes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar

import boto3
import botocore.session
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.validate import ParamValidator
from moto import mock_aws

from account.session import Account

ACCOUNT = "482910365577"
REGION = "us-east-1"
#: The one hosted zone.
ZONE = "Z0000000000DOOR"

#: All sessions read AWS' models from one loader, which remembers them: EC2's takes a third of a second.
botocore.session.create_loader = cache(botocore.session.create_loader)

Parameters = Mapping[str, Any]
Answer = Callable[[Parameters], Mapping[str, Any]]


class ApiError(Exception):
    """An error of the service: its code, and if it matters its message."""


class NoConnectionError(Exception):
    """Nobody answers."""


def fail(error: Exception) -> Answer:
    """An answer that is none."""

    def answer(_parameters: Parameters) -> Mapping[str, Any]:
        raise error

    return answer


class World(Account):
    """An account whose answers can be planted. planted: by `service:Operation`. asked: what was asked for."""

    #: Made once for all tests: reading EC2's model takes longer than a whole check.
    _made: ClassVar[dict[tuple[str, str], Any]] = {}
    _making: ClassVar[threading.Lock] = threading.Lock()
    current: ClassVar[World]

    def __init__(self) -> None:
        super().__init__(REGION)
        # moto knows nothing of anomaly detection, and says so with a fault of its own.
        self.planted: dict[str, Answer] = {
            "ce:GetAnomalyMonitors": lambda _: {"AnomalyMonitors": []},
            "ce:GetAnomalySubscriptions": lambda _: {"AnomalySubscriptions": []},
        }
        self.asked: list[tuple[str, Parameters]] = []
        World.current = self

    def client(self, service: str, region: str | None = None) -> Any:
        key = (service, region or self.region)
        with self._making:
            if key not in self._made:
                client = super().client(service, region)
                client.meta.events.register("before-parameter-build", _note)
                client.meta.events.register("before-call", _answer)
                self._made[key] = client
            return self._made[key]


def _note(params: Parameters, model: Any, context: dict[str, Any], **_: Any) -> None:
    context["parameters"] = dict(params)
    World.current.asked.append((f"{model.service_model.service_name}:{model.name}", dict(params)))


def _answer(model: Any, context: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]] | None:
    """What was planted, as botocore would have parsed it; None lets moto answer."""
    answer = World.current.planted.get(f"{model.service_model.service_name}:{model.name}")
    if answer is None:
        return None
    try:
        parsed = dict(answer(context["parameters"]))
    except ApiError as error:
        code, *words = error.args
        message = words[0] if words else f"said the test: {code}"
        return SimpleNamespace(status_code=400), {"Error": {"Code": code, "Message": message}}
    except NoConnectionError:
        raise EndpointConnectionError(endpoint_url=f"https://{model.service_model.service_name}.test") from None
    if model.output_shape is not None:  # some answers are empty
        report = ParamValidator().validate(parsed, model.output_shape)
        assert not report.has_errors(), report.generate_report()
    return SimpleNamespace(status_code=200), parsed


@contextmanager
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An empty account."""
    monkeypatch.setenv("MOTO_ACCOUNT_ID", ACCOUNT)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # hundreds, made anew for each test
    monkeypatch.setattr("moto.route53.models.create_route53_zone_id", lambda **_: ZONE)
    with mock_aws():
        moto("route53").create_hosted_zone(Name="gpu-slices.test", CallerReference="1")
        yield World()


@cache
def moto(service: str) -> Any:
    """A client that changes the account behind the caller's back."""
    return boto3.client(service, region_name=REGION)
