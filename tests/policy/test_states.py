"""The states that the real engine judges (`tests/engine`) are what they say: every rule fires, twins are silent."""

from __future__ import annotations

from collections import Counter

import pytest

from policy.analyzer import judge
from policy.pack import RULES
from tests.day import TODAY
from tests.engine.state_tables import STATES
from tests.engine.states import State, merged, recorded

EVERY_STATE = pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)


class _Ids(dict[str, str]):
    """Ids as a provider might give them."""

    def __missing__(self, urn: str) -> str:
        return f"{urn.rpartition('::')[2]}-0a1b2c3d"


def _fired(state: State, ids: dict[str, str] | None) -> list[str]:
    return sorted({verdict.rule for verdict in judge(recorded(state, ids), state.config, today=TODAY)})


@pytest.mark.parametrize("ids", [None, _Ids()], ids=["preview", "update"])
@EVERY_STATE
def test_exactly_these_rules_fire_and_a_small_change_silences_them(state: State, ids: dict[str, str] | None) -> None:
    assert _fired(state, ids) == sorted(state.fires)
    assert _fired(state.twin, ids) == []


@EVERY_STATE
def test_the_order_of_resources_does_not_matter(state: State) -> None:
    """The engine shows stack policies the resources of a map, in another order each time."""
    resources = recorded(state)
    verdicts = [judge(shown, state.config, today=TODAY) for shown in (resources, resources[::-1])]
    first, other = (Counter((v.rule, v.urn, v.message) for v in found) for found in verdicts)
    assert first == other


def test_every_rule_of_the_pack_fires_somewhere() -> None:
    assert merged(STATES, "all").fires == {rule.name for rule in RULES}
    assert len(STATES) >= len(RULES)


def test_names_are_unique_and_every_change_of_a_twin_has_a_resource() -> None:
    assert len({state.name for state in STATES}) == len(STATES)
    for state in STATES:
        names = [resource.name for resource in state.resources]
        assert len(set(names)) == len(names), state.name
        assert {path[0] for path in state.mended} <= set(names), state.name
