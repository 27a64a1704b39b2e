"""Checks of the AWS region, which stands beside the project's own keys."""

from __future__ import annotations

from collections.abc import Iterator

from gpu.catalog import REGIONS
from stacks.errors import MISSING, Path, Problem, hint

_PATH: Path = ("aws:region",)


def check_region(region: str | None) -> Iterator[Problem]:
    """The region is written, and the catalogue knows GPUs there."""
    if region is None:
        yield Problem(_PATH, MISSING, "is missing: write a region, such as aws:region: us-east-1")
    elif region not in REGIONS:
        message = f"is no region in which AWS is known to rent NVIDIA GPUs{hint(region, sorted(REGIONS))}"
        yield Problem(_PATH, region, message)


def known_region(region: str | None) -> str | None:
    """The region, or None when nothing is known of it."""
    return region if region in REGIONS else None
