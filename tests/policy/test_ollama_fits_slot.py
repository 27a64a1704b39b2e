from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules.ollama_fits_slot import RULE
from tests.policy.platform import KNATIVE, config, container, deployment, node_class, platform, plugin, pool, section
from tests.policy.support import UNKNOWN, judged

MODEL = "gpu-slices/model"
MEMORY = "gpu-slices/model-memory-mib"


def said(*resources: Recorded) -> list[str]:
    return [verdict.message for verdict in judged(RULE, *resources)]


def server(
    model: Any = "mistral:7b", context: Any = "4096", annotations: dict[str, Any] | None = None, **env: Any
) -> Recorded:
    variables = {"OLLAMA_CONTEXT_LENGTH": context, **env}
    marks = annotations if annotations is not None else {MODEL: model}
    ollama = container(
        image="ollama/ollama:0.17.4",
        env=[{"name": name, "value": value} for name, value in variables.items() if value is not None],
    )
    return deployment(ollama, type_=KNATIVE, metadata={"annotations": marks})


def test_three_slots_of_an_a10g_hold_a_7b_model_and_four_do_not_hold_llama2() -> None:
    # An A10G has 22337 MiB usable: 7445 a slot of three, 5584 of four; llama2 needs 6594 at 4096 tokens.
    assert said(*platform("mps", 3), server("mistral:7b"), server("llama2:7b")) == []
    (message,) = said(*platform("mps", 4), server("llama2:7b"))
    assert "llama2:7b there: " in message
    assert "a slot of pool gpu has 5584 MiB" in message


def test_a_client_s_own_mps_limit_counts_where_there_is_mps() -> None:
    env: dict[str, Any] = {"CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": "0=5000M"}
    (message,) = said(*platform("mps", 3), server("mistral:7b", **env))
    assert "need 5631 MiB, a slot of pool gpu has 5000 MiB" in message
    assert said(*platform("timeSlicing", 3), server("mistral:7b", **env)) == []


def test_the_smallest_gpu_of_the_pool_counts() -> None:
    wide = [node_class(), pool("g5.xlarge", "g4dn.xlarge"), plugin(gpu=config(mps=section(3)))]
    assert "has 4970 MiB" in said(*wide, server("llama2:7b"))[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"context": "32768"},
        {"OLLAMA_NUM_PARALLEL": "8"},
        {"context": None},  # as long as the model allows
        {"model": "mistral:7b,llama2:7b"},
        {"annotations": {MEMORY: "8000"}},
        {"annotations": {MODEL: "mistral:7b", MEMORY: "8000"}},
    ],
)
def test_what_needs_more_than_the_slot_fails(changes: dict[str, Any]) -> None:
    (message,) = said(*platform("mps", 3), server(**changes))
    assert "its models need" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"context": "12288"},
        {"context": "16384", "OLLAMA_KV_CACHE_TYPE": "q8_0"},
        {"model": "llama3.2:1b, llama3.2:3b"},
        {"model": "mistral:7b,llama2:7b", "OLLAMA_MAX_LOADED_MODELS": "1"},
        {"annotations": {MEMORY: "7000"}},
        {"annotations": {}},
    ],
)
def test_what_fits_passes(changes: dict[str, Any]) -> None:
    assert said(*platform("mps", 3), server(**changes)) == []


def test_a_mig_instance_has_its_own_memory() -> None:
    mig = [
        node_class(user_data="nvidia-smi mig -cgi 1g.10gb -C"),
        pool("p5.4xlarge"),
        plugin(gpu={"version": "v1", "flags": {"migStrategy": "mixed"}}),
    ]
    assert said(*mig, server("llama3.1:8b", "16384")) == []
    assert said(*mig, server("llama3.1:8b", "65536"))


def test_unknown_and_unheard_of_models_fail() -> None:
    assert "must be literals" in said(*platform(), server(UNKNOWN))[0]
    assert "must be literal numbers" in said(*platform(), server(context=UNKNOWN))[0]
    assert "is not known here" in said(*platform(), server("our-own:7b"))[0]
    assert "no number of MiB" in said(*platform(), server(annotations={MEMORY: "much"}))[0]


def test_the_annotation_may_stand_on_the_service() -> None:
    ollama = container(image="ollama/ollama:0.17.4")
    service = deployment(ollama, type_=KNATIVE, owner={"annotations": {MEMORY: "90000"}})
    assert said(*platform(), service)


def test_pods_elsewhere_or_without_gpu_are_left_alone() -> None:
    assert said(server("llama3.1:70b")) == []
    cpu = container(None, image="ollama/ollama:0.17.4")
    assert said(*platform(), deployment(cpu, type_=KNATIVE, metadata={"annotations": {MODEL: "llama3.1:70b"}})) == []


def shell(line: str, **env: str) -> Recorded:
    """The usual Deployment: a shell that starts the server and fetches what it serves."""
    ollama = container(
        image="ollama/ollama:0.17.4",
        command=["/bin/sh", "-c"],
        args=[line],
        env=[{"name": name, "value": value} for name, value in env.items()],
    )
    return deployment(ollama)


@pytest.mark.parametrize(
    "line",
    [
        "ollama serve & sleep 5; ollama pull llama3.1:70b; wait",
        "ollama serve & /bin/ollama run llama3.1:70b hello",
        "ollama serve & ollama pull --insecure llama3.1:70b && ollama pull mistral:7b; wait",
    ],
)
def test_a_model_that_the_command_line_fetches_must_fit(line: str) -> None:
    (message,) = said(*platform("mps", 3), shell(line))
    assert "llama3.1:70b" in message or "its models need" in message


@pytest.mark.parametrize(
    "line",
    [
        "ollama serve",
        "ollama serve & ollama pull mistral:7b; wait",
        # One after another: Ollama ends the idle one.
        "ollama serve & ollama pull mistral:7b; ollama pull llama2:7b; wait",
        "ollama serve & ollama pull somebody/model:latest; wait",
        "ollama serve & ollama pull $MODEL; wait",
    ],
)
def test_what_fits_or_is_not_known_passes(line: str) -> None:
    assert said(*platform("mps", 3), shell(line)) == []


def test_the_context_of_the_environment_counts_for_fetched_models_too() -> None:
    line = "ollama serve & ollama pull mistral:7b; wait"
    (message,) = said(*platform("mps", 3), shell(line, OLLAMA_CONTEXT_LENGTH="32768"))
    assert "its models need" in message
