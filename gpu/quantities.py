"""Kubernetes' quantities, such as `500m`, `4`, `1e3` or `16Gi`, read as its API server reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

#: apimachinery v0.36 `pkg/api/resource/quantity.go` ParseQuantity, `suffix.go`. No number has a longer exponent.
_QUANTITY: Final = re.compile(
    r"(?P<figure>[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30}))"
    r"((?P<binary>[KMGTPE])i|(?P<decimal>[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,3}))?"
)
_BINARY: Final = "KMGTPE"
_DECIMAL: Final[Mapping[str, int]] = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def read_quantity(quantity: str) -> Decimal:
    """A quantity in units (bytes, processors), exactly. Raises ValueError for what the API server refuses."""
    found = _QUANTITY.fullmatch(quantity)
    if found is None:
        raise ValueError(f"no quantity: {quantity}")
    exponent = int(found["exponent"] or _DECIMAL.get(found["decimal"] or "", 0))
    factor = Decimal(1024) ** (_BINARY.index(found["binary"]) + 1) if found["binary"] else Decimal(10) ** exponent
    return Decimal(found["figure"]) * factor
