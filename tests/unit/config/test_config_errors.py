"""Bad configurations with their exact messages, as a user sees them: the cases stand in errors/*.yaml.

Each case changes a valid stack: it takes keys away (`without`) and sets others (`with`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from config.errors import ConfigError
from config.load import parse
from tests.day import TODAY
from tests.unit.config.support import DEV, GONE, changed, parsed

FILES = sorted((Path(__file__).parent / "errors").glob("*.yaml"))
CASES = [
    pytest.param(case, id=f"{file.stem}: {case['case']}")
    for file in FILES
    for case in yaml.safe_load(file.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("case", CASES)
def test_a_bad_configuration_is_reported_word_for_word(case: dict[str, Any]) -> None:
    raw = changed(dict.fromkeys(case.get("without", ()), GONE) | case.get("with", {}))
    with pytest.raises(ConfigError) as raised:
        parse(
            raw, stack=case.get("stack", "dev"), region=case.get("region", "us-east-1"), today=case.get("today", TODAY)
        )
    assert "\n".join(str(problem) for problem in raised.value.problems) == case["error"]


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60
    assert len({case.id for case in CASES}) == len(CASES)


def test_the_stack_that_they_change_is_valid() -> None:
    assert parsed(changed({})).pools[0].max_gpus == 2


def test_the_stack_that_they_change_is_the_one_for_development() -> None:
    stack_file = Path(__file__).parents[3] / "Pulumi.dev.yaml"
    config = yaml.safe_load(stack_file.read_text(encoding="utf-8"))["config"]
    ours = {key.removeprefix("gpu-slices:"): value for key, value in config.items() if key.startswith("gpu-slices:")}
    # Zones are those of its region; the cases say other regions too. Its budget would not hold what they add.
    ours["budget"]["monthlyUsd"] = DEV["budget"]["monthlyUsd"]
    assert {key: value for key, value in ours.items() if key != "network"} == changed({})
    assert config["aws:region"] == "us-east-1"
