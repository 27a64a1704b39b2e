"""Kubernetes' quantities."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gpu.quantities import read_quantity


@pytest.mark.parametrize(
    ("quantity", "units"),
    [("500m", "0.5"), ("4", "4"), ("1.5Ki", "1536"), ("1e3", "1000"), ("1E", "1e18"), ("6E+9", "6e9"), ("-2M", "-2e6")],
)
def test_a_quantity_in_units(quantity: str, units: str) -> None:
    assert read_quantity(quantity) == Decimal(units)


@pytest.mark.parametrize("text", ["", "4 Gi", "4GiB", "four", "1.2.3", "1Ki3", "1e3k"])
def test_what_the_api_server_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        read_quantity(text)
