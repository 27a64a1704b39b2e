"""A stack's configuration as the Pulumi engine hands it over: text and JSON, by `pulumi.Config`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pulumi
import pytest

import versions
from config.errors import ConfigError
from config.schema import Budget, Dialogue, StackConfig
from stacks.pulumi_config import load_pulumi_config
from tests.day import TODAY
from tests.unit.config.support import ON_DEMAND, changed


@pytest.fixture(autouse=True)
def _in_a_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: "dev")
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    monkeypatch.chdir(tmp_path)


def given(raw: Mapping[str, Any], region: str | None = "us-east-1", **texts: str) -> dict[str, str]:
    """Configuration in the engine's form: objects and lists as JSON, everything as text."""
    values = {f"gpu-slices:{key}": json.dumps(value, sort_keys=True) for key, value in raw.items()}
    values |= {f"gpu-slices:{key}": text for key, text in texts.items()}
    return values | ({"aws:region": region} if region else {})


def load(config: Mapping[str, str]) -> StackConfig:
    pulumi.runtime.set_all_config(dict(config), [])
    return load_pulumi_config(TODAY)


def said(config: Mapping[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(config)
    return [str(problem) for problem in raised.value.problems]


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_update_refuses_a_version_that_only_time_ended(dry_run: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: dry_run)
    own = {"cluster.publicAccessCidrs": ["8.8.8.0/24"], "budget.emails": ["a@gpu-slices.dev"]}
    pulumi.runtime.set_all_config(given(changed(own)), [])
    last = max(versions.EKS_STANDARD_SUPPORT_ENDS.values())
    assert load_pulumi_config(last).cluster.version == versions.EKS_DEFAULT_VERSION
    if dry_run:
        assert load_pulumi_config(last + timedelta(days=1)).cluster.version == versions.EKS_DEFAULT_VERSION
    else:
        with pytest.raises(ConfigError, match="plans take it, pulumi up refuses it; update gpu-slices"):
            load_pulumi_config(last + timedelta(days=1))


def test_objects_and_lists_are_json() -> None:
    config = load(given(changed({})))
    assert config.stack == "dev"
    assert config.region == "us-east-1"
    assert config.cluster_name == "gpu-slices-dev"
    assert config.cluster.public_access_cidrs == ("203.0.113.0/24",)
    assert config.pools[0].sharing.profile().strategy == "time-slicing"
    assert [model.name for model in config.models] == ["mistral", "llama2", "llama3-2"]
    assert config.dialogue == Dialogue(speakers=("mistral", "llama2"), guests=("llama3-2",))
    assert config.tags == {"cost-center": "research"}


def test_the_engine_gives_everything_in_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(given(changed({"pools[0].maxGpus": 3}))))
    assert load({}).pools[0].max_gpus == 3


def test_misspelt_keys_are_seen_in_that_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    values = given(changed({"modles": [], "cluster.version": "1.30"})) | {
        "aws:profile": "dev",
        "aws:skipCredentialsValidation": "true",
        "other:lorem": "1",
    }
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(values))
    said_all = said({})
    assert [text.partition("\n")[0] for text in said_all] == [
        'gpu-slices:cluster.version = "1.30"',
        "gpu-slices:modles = []",
        'aws:profile = "dev"',
    ]
    assert "did you mean models? Keys are cluster, " in said_all[1]
    assert "credentials from the environment" in said_all[2]


@pytest.mark.parametrize("namespace", ["gpu-slice", "gpu_slices", "GPU-Slices"])
def test_a_misspelt_namespace_does_not_hide_a_section(monkeypatch: pytest.MonkeyPatch, namespace: str) -> None:
    raw = changed({})
    values = given(raw) | {f"{namespace}:budget": json.dumps(raw["budget"])}
    del values["gpu-slices:budget"]
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(values))
    monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps([f"{namespace}:budget"]))
    (problem,) = said({})
    assert problem.startswith(f'{namespace}:budget = "[secret]"\n    belongs to nobody here')
    assert problem.endswith("did you mean gpu-slices:budget?")


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    values = given(changed({"budget.emails": ["hush"], "passwords": ["hush"], "cluster.version": "1.30"}))
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(values))
    monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps(["gpu-slices:budget", "gpu-slices:passwords"]))
    assert [text.partition("\n")[0] for text in said({})] == [
        'gpu-slices:cluster.version = "1.30"',
        'gpu-slices:budget.emails[0] = "[secret]"',
        'gpu-slices:passwords = "[secret]"',
    ]
    assert "hush" not in str(said({}))


def test_the_schema_s_defaults_are_an_empty_stack_s() -> None:
    """Pulumi.yaml gives `{}` for sections that are not written; an empty dialogue or budget is none."""
    empty: dict[str, Any] = {"cluster": {}, "network": {}, "gpuSharing": {}, "dialogue": {}, "budget": {}, "tags": {}}
    raw = {"pools": changed({})["pools"]}
    config = load(given(raw | empty | {"workloads": [], "examples": True}))
    assert config == load(given(raw))
    assert (config.dialogue, config.budget) == (None, None)
    assert [pool.name for pool in config.cpu_pools] == ["x86", "arm64"]


def test_an_optional_section_with_keys_is_there() -> None:
    config = load(given(changed({})))
    assert config.budget == Budget.model_validate({"monthlyUsd": 40_000, "emails": ["platform@example.com"]})


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("2027-05-01", id="in quotes"),
        pytest.param("2027-05-01 00:00:00 +0000 UTC", id="without quotes, as Go prints it"),
        pytest.param("2027-05-01T00:00:00Z", id="as JSON prints a time"),
    ],
)
def test_dates_arrive_in_several_forms(written: str) -> None:
    pool = load(
        given(changed({"pools[0].capacityType": "on-demand", "pools[0].onDemand": ON_DEMAND | {"expires": written}}))
    ).pools[0]
    assert pool.on_demand is not None
    assert pool.on_demand.expires == date(2027, 5, 1)


@pytest.mark.parametrize("written", ["2027-05-01T10:30:00Z", "2027-05-01 10:30:00 +0000 UTC", "2027-05-01 00:00:00"])
def test_times_of_day_are_no_dates(written: str) -> None:
    changes = {"pools[0].capacityType": "on-demand", "pools[0].onDemand": ON_DEMAND | {"expires": written}}
    assert said(given(changed(changes))) == [
        f'gpu-slices:pools[0].onDemand.expires = "{written}"\n    must be a date, as YYYY-MM-DD'
    ]


def test_whole_numbers_may_come_as_floats() -> None:
    config = load(given(changed({"pools[0].maxGpus": 4.0, "pools[0].gpusPerNode": [1.0], "budget.monthlyUsd": 1e3})))
    assert config.pools[0].max_gpus == 4
    assert isinstance(config.pools[0].max_gpus, int)
    assert config.pools[0].gpus_per_node == (1,)
    assert config.budget is not None
    assert config.budget.monthly_usd == 1000.0


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False)])
def test_booleans_are_words(text: str, value: bool) -> None:
    assert load(given(changed({}), examples=text)).examples is value


@pytest.mark.parametrize("text", ["True", "yes", "on", ""])
def test_other_words_are_no_booleans(text: str) -> None:
    (problem,) = said(given(changed({}), examples=text))
    assert problem.startswith(f'gpu-slices:examples = "{text}"\n')
    assert problem.endswith("must be true or false")


def test_a_plain_text_for_an_object_is_named() -> None:
    assert said(given(changed({}), cluster="dev", models="mistral")) == [
        'gpu-slices:cluster = "dev"\n    must be a section with keys of its own',
        "gpu-slices:models = \"mistral\"\n    must be a list: begin each entry with '- '",
    ]


def test_an_empty_text_for_an_object_is_named() -> None:
    assert said(given(changed({}), cluster="", tags="")) == [
        'gpu-slices:cluster = ""\n    is empty; must be a section with keys of its own',
        'gpu-slices:tags = ""\n    is empty; must be a section of names with text values, such as team: research',
    ]


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 10_000, "{", "\\ud800"])
def test_what_is_hardly_json_is_a_text(text: str) -> None:
    (problem,) = said(given(changed({}), cluster=text))
    assert problem.startswith("gpu-slices:cluster = ")
    assert problem.endswith("must be a section with keys of its own")


def test_without_anything_the_pools_and_the_region_are_missing() -> None:
    assert said({}) == [
        "aws:region\n    is missing: write a region, such as aws:region: us-east-1",
        "gpu-slices:pools\n    is missing: write at least one GPU pool",
    ]


def test_problems_tell_the_line_of_the_stack_file(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text(
        "config:\n"
        "  gpu-slices:pools:\n"
        "    - name: shared\n"
        "      maxGpus: 0\n"
        "      instanceFamilies: [g6]\n"
        "      sharing: { strategy: none }\n"
        "  aws:region: us-east-1\n"
        "  gpu-slices:cluster: { version: '1.30' }\n",
        encoding="utf-8",
    )
    pool = {"name": "shared", "maxGpus": 0, "instanceFamilies": ["g6"], "sharing": {"strategy": "none"}}
    assert [text.partition("\n")[0] for text in said(given({"cluster": {"version": "1.30"}, "pools": [pool]}))] == [
        "gpu-slices:pools[0].maxGpus = 0  (Pulumi.dev.yaml:4)",
        'gpu-slices:cluster.version = "1.30"  (Pulumi.dev.yaml:8)',
    ]
