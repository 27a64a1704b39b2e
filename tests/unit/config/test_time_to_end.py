"""How long nodes live on when they are taken: long enough for the pods of Jobs, and nothing else, to be evicted."""

import pytest

from tests.unit.config.support import CONTAINER, changed, problems_of


@pytest.mark.parametrize(
    ("kind", "more", "found"),
    [
        ("Job", {}, ["terminationGracePeriod"]),
        ("CronJob", {"schedule": "@daily"}, ["terminationGracePeriod"]),
        ("Deployment", {}, []),
        ("KnativeService", {"containers": [{**CONTAINER, "slots": 1, "ports": [{"containerPort": 8000}]}]}, []),
    ],
)
def test_only_what_counts_failures_needs_longer_nodes(kind: str, more: dict[str, object], found: list[str]) -> None:
    work = {"name": "work", "pool": "shared", "kind": kind, "containers": [{**CONTAINER, "slots": 1}], **more}
    problems = problems_of(changed({"pools[0].terminationGracePeriod": "30s", "workloads": [work]}))
    assert [problem.path[-1] for problem in problems] == found
