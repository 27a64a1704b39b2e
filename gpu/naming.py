"""What pools, workloads and models may be called: objects in the cluster, labels, releases of Helm have it in names.

The longest of those is a release of the device plugin, for which Helm takes 53 characters.
"""

from __future__ import annotations

import re
from typing import Final

NAME: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
MAX_NAME: Final = 40


def check_name(what: str, name: str) -> None:
    """Raise ValueError for a name that something in the cluster could not have. what: whose it is, for people."""
    if len(name) > MAX_NAME or not re.fullmatch(NAME, name):
        raise ValueError(
            f"{what} is {name!r}: write small letters, digits and dashes, a letter first, at most {MAX_NAME} characters"
        )


def overlay_name(pool: str, gpu_count: int) -> str:
    """Name of the NodeOverlay of a pool's types with so many GPUs."""
    return f"{pool}-{gpu_count}gpu"
