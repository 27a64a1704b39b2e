"""What docs/serving.md has to be copied: it parses, and says what the code says."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from components.serving.knative_serving import CLIENT_LABEL
from components.serving.ollama_model import model_url
from config.load import parse
from config.services import memory_of

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
CALL = PAGE[PAGE.index("## Call a model") : PAGE.index("## Weights")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", CALL, re.DOTALL)


def test_the_pod_may_call_the_model_and_asks_in_ollamas_words() -> None:
    namespace, pod = yaml.safe_load_all(blocks("yaml")[0])
    assert namespace["metadata"]["labels"] == CLIENT_LABEL
    assert pod["metadata"]["namespace"] == namespace["metadata"]["name"]
    (container,) = pod["spec"]["containers"]
    url, _, body = container["args"]
    assert url == f"{model_url('mistral')}/api/chat"
    asked = json.loads(body)
    assert (asked["model"], asked["messages"][0]["role"]) == ("mistral:7b", "user")
    assert shlex.join(container["command"]).endswith("--max-time 1200")


def test_the_program_compiles_and_calls_the_model() -> None:
    (program,) = blocks("python")
    strings = {node.value for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Constant)}
    assert {f"{model_url('mistral')}/v1", "mistral:7b", 1200} <= strings


def test_the_model_for_embeddings_is_taken() -> None:
    given: dict[str, Any] = yaml.safe_load(blocks("yaml")[1])
    pool = {
        "name": "shared",
        "instanceFamilies": ["g5"],
        "sharing": {"strategy": "time-slicing", "replicas": 3},
        "maxGpus": 1,
    }
    raw = {"pools": [pool], "models": given["gpu-slices:models"]}
    memory = memory_of(parse(raw, stack="dev", region="us-east-1").models[0])
    assert memory
    assert (memory.weights_mib, memory.kv_cache_mib) == (262, 0)
