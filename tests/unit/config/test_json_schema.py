"""The schema by which editors check stack files takes what the program takes, and refuses what any reader can see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from config.errors import ConfigError
from config.json_schema import TARGET, main, stack_schema, within
from config.load import KEYS, OPTIONAL, parse
from config.schema import StackConfig
from config.section import Section
from tests.day import TODAY

ROOT = Path(__file__).parents[3]
FILES = [*ROOT.glob("Pulumi.*.yaml"), *(ROOT / "tests/twin/stacks").glob("Pulumi.*.yaml")]
VALIDATOR = jsonschema.Draft202012Validator(stack_schema())


def problems(document: Any) -> list[str]:
    # As it comes from YAML: dates are none in JSON.
    plain = json.loads(json.dumps(document, default=str))
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(plain)]


def test_the_file_is_fresh_and_a_schema() -> None:
    assert main(["--check"]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(TARGET.read_text(encoding="utf-8")))


def test_it_has_every_key() -> None:
    keys = stack_schema()["properties"]["config"]["properties"]
    assert set(keys) == {"aws:region", *(f"gpu-slices:{key}" for key in KEYS)}
    assert all(value["description"] for value in keys.values())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_stack_files_are_taken(file: Path) -> None:
    assert problems(yaml.safe_load(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("file", sorted(ROOT.glob("Pulumi.*.yaml")), ids=lambda file: file.name)
def test_stack_files_name_it_for_editors(file: Path) -> None:
    assert file.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=docs/stack.schema.json\n")


POOL = {"name": "a", "instanceFamilies": ["g6"], "maxGpus": 1, "sharing": {"strategy": "time-slicing", "replicas": 4}}


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"gpu-slices:pool": []}, "gpu-slices:pool"),
        ({"gpu-slices:pools": [{**POOL, "maxGpu": 1}]}, "maxGpu"),
        ({"gpu-slices:pools": [{**POOL, "maxGpus": "1"}]}, "maxGpus"),
        ({"gpu-slices:pools": [{**POOL, "maxGpus": 0}]}, "maxGpus"),
        ({"gpu-slices:pools": [{**POOL, "maxGpus": 1001}]}, "maxGpus"),
        ({"gpu-slices:pools": [{**POOL, "instanceFamilies": ["g6x"]}]}, "instanceFamilies"),
        ({"gpu-slices:pools": [{**POOL, "sharing": {"strategy": "mps"}}]}, "sharing"),
        ({"gpu-slices:pools": [{**POOL, "sharing": {"strategy": "mps", "replicas": 49}}]}, "sharing"),
        ({"gpu-slices:pools": [{**POOL, "sharing": {"strategy": "mig", "replicas": 2}}]}, "sharing"),
        ({"gpu-slices:pools": [{**POOL, "capacityType": "ondemand"}]}, "capacityType"),
        ({"gpu-slices:pools": [{**POOL, "warm": None}]}, "warm"),
        ({"gpu-slices:pools": [{**POOL, "fallback": None}]}, "fallback"),
        ({"gpu-slices:cluster": {"name": None}}, "cluster"),
        ({"aws:region": "us-east-9"}, "region"),
        ({"gpu-slices:examples": "yes"}, "examples"),
    ],
)
def test_what_it_refuses_the_program_refuses(changed: dict[str, Any], where: str) -> None:
    good: dict[str, Any] = {"aws:region": "us-east-1", "gpu-slices:pools": [POOL]}
    assert problems({"config": good}) == []
    config = {**good, **changed}
    found = problems({"config": config})
    assert any(where in problem for problem in found), found
    raw = {key.removeprefix("gpu-slices:"): value for key, value in config.items() if key != "aws:region"}
    with pytest.raises(ConfigError):
        parse(raw, stack="dev", region=config["aws:region"], today=TODAY)


def test_encrypted_values_and_keys_of_others_are_taken() -> None:
    config = {
        "aws:region": "us-east-1",
        "gpu-slices:pools": [POOL],
        "gpu-slices:budget": {"secure": "AAAB"},
        "other:thing": 7,
    }
    assert problems({"config": config, "encryptionsalt": "v1:x"}) == []


@pytest.mark.parametrize("key", OPTIONAL)
def test_an_empty_section_that_is_as_good_as_none_is_taken(key: str) -> None:
    config = {"aws:region": "us-east-1", "gpu-slices:pools": [POOL], f"gpu-slices:{key}": {}}
    assert problems({"config": config}) == []
    parse({"pools": [POOL], key: {}}, stack="dev", region="us-east-1", today=TODAY)  # raises nothing


def test_no_key_may_be_empty() -> None:
    """Of every key that may be left out, wherever it stands, the schema says what the sections do."""
    assert '"null"' not in TARGET.read_text(encoding="utf-8")
    sections: set[type[Section]] = {StackConfig, *within(StackConfig)}
    optional = [
        (section, str(field.alias))
        for section in sections
        for field in section.model_fields.values()
        if field.default is None
    ]
    assert len(optional) > 80
    for section, key in optional:
        with pytest.raises(ValidationError) as caught:
            section.model_validate({key: None})
        assert ("empty", (key,)) in [(each["type"], each["loc"]) for each in caught.value.errors()], (section, key)
