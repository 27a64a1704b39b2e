"""Ways to get a GPU that is not Spot, and programs that get none: the tables of the on-demand rule's tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.policy.case_parts import G5, ON_DEMAND, POOL, Case, pool
from tests.policy.cases_cloud import CLOUD
from tests.policy.cases_hidden import HIDDEN
from tests.policy.cases_legitimate import LEGITIMATE
from tests.policy.cases_pools import POOLS, UNJUSTIFIED

__all__ = ["BYPASSES", "CLOUD", "HIDDEN", "LEGITIMATE", "POOLS"]

BYPASSES: Final[Mapping[str, Case]] = {
    **{f"pool: {name}": case for name, case in POOLS.items()},
    **{f"marks: {name}": (POOL, pool(G5, ON_DEMAND, annotations=given)) for name, given in UNJUSTIFIED.items()},
    **{f"cloud: {name}": case for name, case in CLOUD.items()},
    **{f"hidden: {name}": case for name, case in HIDDEN.items()},
}
