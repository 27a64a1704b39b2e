"""Mutants for the rules on the platform below the GPUs."""

from __future__ import annotations

from tests.plan.mutation import Mutant

MUTANTS: list[Mutant] = []
