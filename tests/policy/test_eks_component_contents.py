"""Both pictures of a component that shows something are in test_eks_components.py."""

import pytest

from policy.rules.eks_component_contents import RULE
from tests.policy.clusters import COMPONENT
from tests.policy.eks_components import MANAGED, V1, V2, silent
from tests.policy.support import judged, recorded


@pytest.mark.parametrize("type_", [COMPONENT, MANAGED, V1, V2])
def test_a_component_that_shows_nothing_at_all_fails(type_: str) -> None:
    """Unknown is never safer: nothing says what it makes."""
    empty = recorded(type_, {})
    (verdict,) = judged(RULE, empty)
    assert verdict.mandatory
    assert verdict.urn == empty.urn
    assert judged(RULE, *silent(empty)) == []
    elsewhere = [made for made in silent(recorded(type_, {}, "other")) if made.type != type_]
    assert judged(RULE, empty, *elsewhere)
