"""Checks of the AWS region, which stands beside the project's own keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from config.errors import MISSING, Path, Problem, one_of
from gpu.catalog import REGIONS

_PATH: Path = ("aws:region",)

#: Partition of all regions of the catalogue (a test asks botocore).
PARTITION: Final = "aws"

#: How regions of other partitions begin.
_ELSEWHERE: Final = ("us-gov-", "us-iso", "cn-", "eusc-")

UNREAD: Final = (
    "is not read: the program's own AWS provider takes the region, credentials from the environment, such as "
    "AWS_PROFILE, and tags from gpu-slices:tags"
)

#: The AWS provider's keys that choose an account, guard it, or tag everything.
_UNREAD: Final = frozenset(
    f"aws:{name}"
    for name in (
        "allowedAccountIds",
        "assumeRole",
        "assumeRoleWithWebIdentity",
        "assumeRoles",
        "defaultTags",
        "forbiddenAccountIds",
        "profile",
    )
)


def is_unread(key: str) -> bool:
    """Whether a full key would be passed over although it says who acts where, such as `aws:profile`."""
    return key in _UNREAD


def check_region(region: str | None) -> Iterator[Problem]:
    """The region is written, and the catalogue knows GPUs there."""
    if region is None:
        yield Problem(_PATH, MISSING, "is missing: write a region, such as aws:region: us-east-1")
    elif region.startswith(_ELSEWHERE):
        message = (
            "is of another partition: of GovCloud and China the catalogue has no instance types, and names, images and "
            "prices differ there; choose a region of the commercial partition"
        )
        yield Problem(_PATH, region, message)
    elif region not in REGIONS:
        message = f"is no region in which AWS is known to rent NVIDIA GPUs: {one_of(region, sorted(REGIONS))}"
        yield Problem(_PATH, region, message)


def partition_problem(arn: str) -> str | None:
    """What is wrong with the partition of an ARN: what stands in one cannot be used in another."""
    partition = arn.split(":")[1]
    if partition == PARTITION:
        return None
    return f"is of partition {partition}, and the regions with GPUs that are known here are of {PARTITION}"


def known_region(region: str | None) -> str | None:
    """The region, or None when nothing is known of it."""
    return region if region in REGIONS else None
