"""Until when AWS supports an EKS release at the standard price."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from versions import EKS_STANDARD_SUPPORT_ENDS

_RELEASE: Final = re.compile(r"1\.([0-9]{1,4})")
_KNOWN: Final = {int(release.partition(".")[2]): day for release, day in EKS_STANDARD_SUPPORT_ENDS.items()}


def minor(version: str) -> int | None:
    """The minor release of `1.36`; None for what is no release."""
    found = _RELEASE.fullmatch(version.strip())
    return int(found[1]) if found else None


def support_ends(version: str) -> date | None:
    """The last day of standard support; None for releases newer than this table, and for what is no release.

    Releases older than the table ended before its first day, and count as ended then.
    """
    release = minor(version)
    if release is None or release > max(_KNOWN):
        return None
    return _KNOWN.get(release, min(_KNOWN.values()))
