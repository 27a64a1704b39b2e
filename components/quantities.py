"""Kubernetes' quantities as its API stores them.

Go reads a quantity into a number, and writes it in the largest unit that leaves a whole one (apimachinery
pkg/api/resource/quantity.go, CanonicalizeBytes). For the kinds that Pulumi's provider knows it does the same before it
compares; of others it would write `2000m` again at every update where `2` is stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4}
_DECIMAL: Final = {"m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4}
_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")


def canonical(quantity: str) -> str:
    """The quantity in its largest unit, such as `2` of `2000m` and `1536Mi` of `1.5Gi`; other texts as they are."""
    found = _QUANTITY.fullmatch(quantity)
    if found is None:
        return quantity
    number, unit = Fraction(found[1]), found[2] or ""
    if unit in _BINARY:
        whole = math.ceil(number * 1024 ** _BINARY[unit])
        # Less than the smallest unit is a plain number.
        return _written(whole, 1024, {**_BINARY, "": 0}) if whole >= 1024 else canonical(str(whole))
    whole = math.ceil(number * 1000 ** (_DECIMAL[unit] + 1))
    return _written(whole, 1000, {unit: power + 1 for unit, power in _DECIMAL.items()}) if whole else "0"


def _written(whole: int, base: int, units: Mapping[str, int]) -> str:
    """A whole number of the smallest unit. units: powers of the base."""
    power, unit = max((power, unit) for unit, power in units.items() if whole % base**power == 0)
    return f"{whole // base**power}{unit}"
