"""Checks of the AWS region, which stands beside the project's own keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gpu.catalog import REGIONS
from stacks.errors import MISSING, Path, Problem, one_of

_PATH: Path = ("aws:region",)

UNREAD: Final = (
    "is not read: the program's own AWS provider takes the region, and everything else from the environment, such as "
    "AWS_PROFILE"
)


def is_unread(key: str) -> bool:
    """Whether a full key is the AWS provider's and would be passed over, such as `aws:profile`."""
    return key.startswith("aws:") and (key,) != _PATH


def check_region(region: str | None) -> Iterator[Problem]:
    """The region is written, and the catalogue knows GPUs there."""
    if region is None:
        yield Problem(_PATH, MISSING, "is missing: write a region, such as aws:region: us-east-1")
    elif region not in REGIONS:
        message = f"is no region in which AWS is known to rent NVIDIA GPUs: {one_of(region, sorted(REGIONS))}"
        yield Problem(_PATH, region, message)


def known_region(region: str | None) -> str | None:
    """The region, or None when nothing is known of it."""
    return region if region in REGIONS else None
