"""Who may name the place of checkpoints as a variable: what has one run and one pod, and what never ends."""

from typing import Any

import pytest

from tests.unit.config.support import CONTAINER, changed, problems_of


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"kind": "Job"}, []),
        ({"kind": "Job", "replicas": 2}, ["name"]),
        ({"kind": "CronJob", "schedule": "@daily"}, ["name"]),
        ({"kind": "Deployment", "replicas": 2}, []),
    ],
)
def test_a_variable_is_one_place_for_all(more: dict[str, Any], found: list[str]) -> None:
    container = {**CONTAINER, "slots": 1, "env": [{"name": "CHECKPOINT_URL", "value": "s3://acme/train"}]}
    work = {"name": "work", "pool": "shared", "containers": [container], **more}
    assert [problem.path[-1] for problem in problems_of(changed({"workloads": [work]}))] == found
