"""Checks that concern several values: does a model fit its slot, does a GPU have MIG, is a date past.

Each check gets what could be validated, and ends where it needs a value that could not (`stacks.partial`), so that
one mistake is reported once and hides no other.
"""

from __future__ import annotations

from collections.abc import Iterator

from stacks.checks.cluster import check_cluster
from stacks.checks.levers import check_levers
from stacks.checks.models import check_models
from stacks.checks.names import check_names
from stacks.checks.network import check_network
from stacks.checks.parts import Parts, attempt, twice
from stacks.checks.pools import check_cpu_pools, check_pools
from stacks.checks.serving import check_serving
from stacks.checks.together import check_together
from stacks.checks.workloads import check_workloads
from stacks.errors import Problem
from stacks.schema import Budget

__all__ = ["Parts", "check"]


def check(parts: Parts) -> Iterator[Problem]:
    """Every problem among the validated parts of a configuration."""
    yield from check_cluster(parts)
    yield from check_network(parts)
    yield from check_names(parts)
    yield from check_cpu_pools(parts)
    problems, slots = check_pools(parts)
    yield from problems
    yield from check_models(parts, slots)
    yield from check_serving(parts, slots)
    yield from check_levers(parts, slots)
    yield from check_workloads(parts, slots)
    yield from check_together(parts, slots)
    if parts.budget:
        yield from attempt(_emails(parts.budget))


def _emails(budget: Budget) -> Iterator[Problem]:
    yield from twice(("budget", "emails"), budget.emails)
