"""The pack judges other people's programs (`programs/`): what is legitimate passes, no way past it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from policy.analyzer import Recorded, judge
from policy.pack import RULES
from tests.day import TODAY
from tests.policy import corpus

#: Programs that are judged wrongly, and why that stays: out of the pack's sight, as docs/policies.md says.
KNOWN: Final[Mapping[str, str]] = {}


def fired(resources: Iterable[Recorded]) -> frozenset[str]:
    """Names of the rules that have something to say."""
    return frozenset(verdict.rule for verdict in judge(list(resources), today=TODAY))


def test_legitimate_programs_raise_nothing() -> None:
    given = corpus.legitimate()
    assert len(given) >= 100
    said = {program.name: fired(program.resources) - program.advisory for program in given}
    wrong = {name: sorted(rules) for name, rules in said.items() if rules}
    assert set(wrong) == {program.name for program in given if program.name in KNOWN}, _listed(wrong)


def test_every_way_past_the_pack_is_seen() -> None:
    wrong: dict[str, list[str]] = {}
    for program in corpus.bypasses():
        found = fired(program.resources)
        missing = ["|".join(sorted(choice)) for choice in program.rules if not choice & found]
        wrong |= {program.name: missing} if missing else {}
    assert set(wrong) == {program.name for program in corpus.bypasses() if program.name in KNOWN}, _listed(wrong)


def test_every_bypass_names_rules_of_the_pack() -> None:
    names = {rule.name for rule in RULES}
    for program in corpus.bypasses():
        assert program.rules, program.name
        assert frozenset().union(*program.rules) <= names, program.name
    for program in corpus.legitimate():
        assert program.advisory <= names, program.name


def test_every_known_mistake_is_a_program() -> None:
    assert set(KNOWN) <= {program.name for program in (*corpus.bypasses(), *corpus.legitimate())}


def _listed(wrong: Mapping[str, list[str]]) -> str:
    return "".join(f"\n  {name}: {', '.join(rules)}" for name, rules in sorted(wrong.items()))
