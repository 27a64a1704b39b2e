"""What a stack costs, USD a month: the figures that stack outputs and the plan share."""

from __future__ import annotations

from collections.abc import Mapping

from config.bill import bill
from config.consumers import consumers
from config.schema import StackConfig


def costs(config: StackConfig) -> Mapping[str, float | None]:
    """Sums of the bill by the name of their stack output; None where a price is not known.

    The idle floor is what stands and what always runs; the ceiling is all GPUs that `maxGpus` allows, around the clock.
    """
    found = bill(config, consumers(config))
    quiet, whole = found.of("floor", "always"), found.of()
    sums = {
        "idleFloorUsdPerMonth": quiet.expected if quiet else None,
        "lowUsdPerMonth": whole.low if whole else None,
        "expectedUsdPerMonth": whole.expected if whole else None,
        "highUsdPerMonth": whole.high if whole else None,
        "ceilingUsdPerMonth": found.ceiling,
    }
    return {name: None if usd is None else round(usd, 2) for name, usd in sums.items()}
