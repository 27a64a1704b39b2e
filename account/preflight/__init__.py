"""What must be true before the first `up`, derived from the plan, and what the account says to it."""

from __future__ import annotations

from account.preflight import access, existing, inputs, machine, names, offers, quotas, reservations
from account.preflight.requirement import Requirement
from plan.figures import Figures
from plan.make import Plan


def requirements(plan: Plan, figures: Figures) -> list[Requirement]:
    """Everything that the stack needs, those first without which nothing else matters."""
    config = figures.config
    return [
        *machine.requirements(plan, config),
        *access.requirements(config),
        *existing.requirements(config),
        *offers.requirements(plan, config, figures),
        *reservations.requirements(config),
        *quotas.requirements(plan, config, figures),
        *inputs.requirements(plan, config),
        *names.requirements(plan, config),
    ]
