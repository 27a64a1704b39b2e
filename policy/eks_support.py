"""Until when AWS supports an EKS release at the standard price."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Final

from versions import EKS_STANDARD_SUPPORT_ENDS

_RELEASE: Final = re.compile(r"1\.([0-9]{1,4})")
#: The newest release whose last day is known.
NEWEST: Final = max(EKS_STANDARD_SUPPORT_ENDS, key=lambda release: int(release.partition(".")[2]))
#: Least time between the ends of two releases in a row; those of the table are 115 to 128 days apart.
BETWEEN: Final = timedelta(days=100)
_KNOWN: Final = {int(release.partition(".")[2]): day for release, day in EKS_STANDARD_SUPPORT_ENDS.items()}


def minor(version: str) -> int | None:
    """The minor release of `1.36`; None for what is no release."""
    found = _RELEASE.fullmatch(version.strip())
    return int(found[1]) if found else None


def earliest_end(version: str) -> date | None:
    """The day before which a release newer than the table does not leave standard support; None for others."""
    release = minor(version)
    ahead = release - max(_KNOWN) if release is not None else 0
    return max(_KNOWN.values()) + ahead * BETWEEN if ahead > 0 else None


def support_ends(version: str) -> date | None:
    """The last day of standard support; None for releases newer than this table, and for what is no release.

    Releases older than the table ended before its first day, and count as ended then.
    """
    release = minor(version)
    if release is None or release > max(_KNOWN):
        return None
    return _KNOWN.get(release, min(_KNOWN.values()))
