"""Checks that concern several values: does a model fit its slot, does a GPU have MIG, is a date past.

Each check gets what could be validated, and ends where it needs a value that could not (`config.partial`), so that
one mistake is reported once and hides no other.
"""

from __future__ import annotations

from collections.abc import Iterator

from config.checks.checkpoints import check_prefixes, check_rights, check_time_to_end
from config.checks.claims import check_claims
from config.checks.cluster import check_cluster
from config.checks.dialogue import check_dialogue
from config.checks.existing import check_existing
from config.checks.importance import check_importance
from config.checks.levers import check_levers
from config.checks.models import check_models
from config.checks.names import check_names
from config.checks.network import check_network
from config.checks.parts import Parts, Slots, attempt, twice
from config.checks.pools import check_cpu_pools, check_pools
from config.checks.serving import check_serving
from config.checks.together import check_together
from config.checks.usage import check_usage
from config.checks.warm import check_warm
from config.checks.workloads import check_workloads
from config.errors import Problem
from config.schema import Budget

__all__ = ["Parts", "check", "check_pools"]


def check(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """Every problem among the validated parts of a configuration but those of GPU pools alone.

    slots: of the pools in which these are right, as `check_pools` finds them.
    """
    yield from check_cluster(parts)
    yield from check_network(parts)
    yield from check_names(parts)
    yield from check_cpu_pools(parts)
    yield from check_models(parts, slots)
    yield from check_serving(parts, slots)
    yield from check_levers(parts, slots)
    yield from check_existing(parts, slots)
    yield from attempt(check_dialogue(parts))
    yield from check_workloads(parts, slots)
    yield from check_rights(parts)
    yield from check_prefixes(parts)
    yield from check_time_to_end(parts)
    yield from check_importance(parts, slots)
    yield from check_together(parts, slots)
    yield from check_warm(parts, slots)
    yield from check_claims(parts, slots)
    yield from check_usage(parts)
    if parts.budget:
        yield from attempt(_emails(parts.budget))


def _emails(budget: Budget) -> Iterator[Problem]:
    yield from twice(("budget", "emails"), budget.emails)
