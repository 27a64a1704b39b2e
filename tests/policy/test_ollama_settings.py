from __future__ import annotations

from typing import Any

import pytest

from policy.rules.ollama_settings import RULE
from tests.policy.platform import KNATIVE, RELEASE, deployment
from tests.policy.support import UNKNOWN, judged, recorded

GOOD = {"OLLAMA_CONTEXT_LENGTH": "8192", "OLLAMA_KEEP_ALIVE": "-1"}


def env(**values: Any) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def said(variables: list[dict[str, Any]], image: str = "ollama/ollama:0.17.4") -> list[str]:
    container = {"name": "m", "image": image, "env": variables}
    return [verdict.message for verdict in judged(RULE, deployment(container, type_=KNATIVE))]


def test_both_set_passes() -> None:
    assert said(env(**GOOD)) == []
    assert (
        said([*env(OLLAMA_KEEP_ALIVE="24h"), {"name": "OLLAMA_CONTEXT_LENGTH", "valueFrom": {"configMapKeyRef": {}}}])
        == []
    )


@pytest.mark.parametrize("missing", GOOD)
def test_one_missing_fails(missing: str) -> None:
    (message,) = said(env(**{name: value for name, value in GOOD.items() if name != missing}))
    assert f"set {missing}" in message


@pytest.mark.parametrize("context", ["", "0", "long"])
def test_a_context_that_says_nothing_fails(context: str) -> None:
    assert said(env(**{**GOOD, "OLLAMA_CONTEXT_LENGTH": context}))


def test_unknown_values_are_set_values() -> None:
    assert said(env(OLLAMA_CONTEXT_LENGTH=UNKNOWN, OLLAMA_KEEP_ALIVE=UNKNOWN)) == []


def test_clients_and_pulls_need_nothing() -> None:
    assert said(env(OLLAMA_HOST="http://mistral"), image="registry.example/dialogue:1") == []


def test_the_community_chart() -> None:
    good = {"chart": "oci://registry.example/charts/ollama", "values": {"extraEnv": env(**GOOD)}}
    assert judged(RULE, recorded(RELEASE, good)) == []
    assert len(judged(RULE, recorded(RELEASE, {"chart": "ollama", "values": {}}))) == 2
