"""`slices model`: the table's models, others by their GGUF file, and the formula where there is neither."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from cli.main import main
from config.load import parse
from config.services import memory_of
from gpu.gguf import Metadata
from gpu.models import find_model, model_memory
from tests.unit.gpu.test_gguf import PLAIN, gguf

GEMMA: Metadata = {
    "general.architecture": "gemma3",
    "gemma3.block_count": 34,
    "gemma3.context_length": 131072,
    "gemma3.embedding_length": 2560,
    "gemma3.attention.head_count": 8,
    "gemma3.attention.head_count_kv": 4,
    "gemma3.attention.key_length": 256,
    "gemma3.attention.value_length": 256,
    "gemma3.attention.sliding_window": 1024,
}


def model(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["model", *map(str, arguments)])


def test_a_known_model() -> None:
    result = model("gemma3")
    assert result.exit_code == 0
    assert "gemma3:4b: for chat, 131072 tokens at most" in result.output
    spec = find_model("gemma3:4b")
    assert spec
    assert f"  32768 tokens    {model_memory(spec, context_length=32768).total_mib} MiB" in result.output


def test_options_count() -> None:
    result = model("gemma3:4b", "--parallel", "2", "--kv-cache-type", "q8_0")
    assert "with 2 at a time and a cache of q8_0" in result.output
    assert "  32768 tokens    4972 MiB" in result.output  # 3185 + 865 + 922


def test_a_model_for_embeddings() -> None:
    result = model("nomic-embed-text")
    assert "for embeddings, 2048 tokens at most" in result.output
    assert "   2048 tokens    1184 MiB" in result.output


def test_an_unknown_model_and_the_formula() -> None:
    result = model("mistrl:7b")
    assert result.exit_code == 2
    assert "did you mean mistral:7b?" in result.stderr
    assert "kvKibPerToken = num_hidden_layers x num_key_value_heads x 2 x head_dim x 2 / 1024" in result.stderr


@pytest.mark.parametrize("metadata", [PLAIN, GEMMA], ids=["plain", "gemma3"])
def test_keys_of_a_file_give_its_memory_in_a_stack_file(metadata: Metadata, tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(gguf(metadata) + bytes(3 * 2**20))
    result = model("acme/own:1b", "--gguf", path)
    assert result.exit_code == 0, result.stderr
    entry = yaml.safe_load(result.output.splitlines()[-1])[0] | {"name": "own", "pool": "shared"}
    sharing = {"strategy": "time-slicing", "replicas": 3}
    pool = {"name": "shared", "instanceFamilies": ["g5"], "sharing": sharing, "maxGpus": 1}
    stated = memory_of(parse({"pools": [pool], "models": [entry]}, stack="dev", region="us-east-1").models[0])
    shown = int(next(line for line in result.output.splitlines() if " 4096 tokens" in line).split()[2])
    assert stated
    assert 0 <= stated.total_mib - shown <= 4  # a KiB a token, rounded up, of 4096


def test_what_is_no_model_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_text("<html>")
    result = model("own", "--gguf", path)
    assert (result.exit_code, result.stderr) == (
        2,
        f"error: {path} is not a GGUF file: it does not begin with GGUF\n",
    )
    assert model("own", "--gguf", tmp_path / "none").exit_code == 2
