"""Programs whose point hangs on how objects name each other, or on a text: judged with all values known."""

from __future__ import annotations

import pytest

from policy.analyzer import judge
from tests.day import TODAY
from tests.policy import corpus


@pytest.mark.parametrize("program", corpus.whole("bypass"), ids=lambda program: program.name)
def test_a_way_past_the_pack_is_closed(program: corpus.Program) -> None:
    fired = {verdict.rule for verdict in judge(program.resources, today=TODAY)}
    assert program.rules
    assert all(choice & fired for choice in program.rules)


@pytest.mark.parametrize("program", corpus.whole("legitimate"), ids=lambda program: program.name)
def test_a_legitimate_program_raises_nothing(program: corpus.Program) -> None:
    fired = {verdict.rule for verdict in judge(program.resources, today=TODAY)}
    assert fired <= program.advisory
