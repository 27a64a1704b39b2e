"""Quantities as the API stores them: cases of apimachinery's own tests, and what Go prints (`tests/plan`)."""

import pytest

from components.quantities import canonical


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("2000m", "2"),
        ("1500m", "1500m"),
        ("0.5", "500m"),
        ("1.25", "1250m"),
        ("4", "4"),
        ("0", "0"),
        ("1000", "1k"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"),
        ("1000Mi", "1000Mi"),
        ("1000M", "1G"),
        ("0.5Mi", "512Ki"),
        ("0.5Ki", "512"),
        ("a lot", "a lot"),
    ],
)
def test_a_quantity_is_in_its_largest_unit(written: str, stored: str) -> None:
    assert canonical(written) == stored
