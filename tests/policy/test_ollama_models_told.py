from __future__ import annotations

from typing import Any

import pytest

from policy.rules import ollama_fits_slot
from policy.rules.ollama_models_told import RULE
from tests.policy.platform import container, deployment, platform
from tests.policy.support import judged, recorded, violations

RELEASE = "kubernetes:helm.sh/v3:Release"
TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists"}


def chart(models: Any, **values: Any) -> dict[str, Any]:
    """A release of otwld/ollama-helm on one GPU."""
    ollama = {"gpu": {"enabled": True, **values.pop("gpu", {})}, "models": models}
    return {"chart": "ollama", "values": {"ollama": ollama, "tolerations": [TOLERATION], **values}}


def server(**fields: Any) -> dict[str, Any]:
    return dict(deployment(container(image="ollama/ollama:0.17.4", **fields)).inputs)


@pytest.mark.parametrize(
    "fields",
    [
        {"args": ["-c", "ollama serve & ollama pull llama3.1:70b; wait"]},
        {"env": [{"name": "OLLAMA_MODEL", "value": "llama3.1:70b"}]},
        {"env": [{"name": "MODEL_NAME", "value": "llama3.1:70b"}]},
        {"env": [{"name": "OLLAMA_PULL_MODEL", "value": "llama3.1:70b"}]},
        {"lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", "ollama pull llama3.1:70b"]}}}},
        {"args": ["-c", """curl -s http://localhost:11434/api/pull -d '{"name": "llama3.1:70b"}'"""]},
        {"args": ["-c", """curl http://localhost:11434/v1/chat/completions -d '{"model":"llama3.1:70b"}'"""]},
    ],
)
def test_models_are_read_where_people_name_them(fields: dict[str, Any]) -> None:
    pod = recorded("kubernetes:apps/v1:Deployment", server(**fields))
    assert judged(RULE, pod) == []
    (verdict,) = judged(ollama_fits_slot.RULE, *platform("mps", 3), pod)
    assert "llama3.1:70b never fits" in verdict.message


@pytest.mark.parametrize(
    "models",
    [
        {"pull": ["llama3.1:70b"]},
        {"run": ["llama3.1:70b"]},
        {"create": [{"name": "mine", "template": "FROM llama3.1:70b\nPARAMETER num_ctx 4096\n"}]},
        ["llama3.1:70b"],
    ],
)
def test_a_chart_s_models_are_read(models: Any) -> None:
    release = recorded(RELEASE, chart(models))
    assert judged(RULE, release) == []
    (verdict,) = judged(ollama_fits_slot.RULE, *platform("mps", 3), release)
    assert "llama3.1:70b never fits" in verdict.message
    small = recorded(RELEASE, chart({"pull": ["llama3.2:1b"]}))
    assert judged(ollama_fits_slot.RULE, *platform("mps", 3), small) == []


def test_ollama_inside_another_chart_is_read() -> None:
    inner = chart({"pull": ["llama3.1:70b"]})["values"]
    release = recorded(RELEASE, {"chart": "open-webui", "values": {"ollama": {"enabled": True, **inner}}})
    (verdict,) = judged(ollama_fits_slot.RULE, *platform("mps", 3), release)
    assert verdict.message.startswith("values.ollama: ")
    off = recorded(RELEASE, {"chart": "open-webui", "values": {"ollama": {"enabled": False, **inner}}})
    assert judged(ollama_fits_slot.RULE, *platform("mps", 3), off) == []


def test_a_server_without_models_is_said_and_one_without_a_gpu_is_not() -> None:
    assert "is not told" in violations(RULE, "kubernetes:apps/v1:Deployment", server())[0]
    assert "is not told" in violations(RULE, RELEASE, chart({}))[0]
    assert "house/own:7b needs is not known" in violations(RULE, RELEASE, chart({"pull": ["house/own:7b"]}))[0]
    assert violations(RULE, RELEASE, chart({}, gpu={"enabled": False})) == []
    assert violations(RULE, RELEASE, chart({}, podAnnotations={"gpu-slices/model-memory-mib": "4000"})) == []
