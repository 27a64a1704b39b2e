"""What providers did, in the order in which they did it: one line of JSON an operation, written by all of them."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

#: Path of the file; providers find it in their environment.
VARIABLE = "ENGINE_TEST_JOURNAL"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One create, update, replace or delete. began, ended: seconds since the epoch."""

    operation: str
    urn: str
    began: float
    ended: float

    @property
    def type(self) -> str:
        """The resource's own type, without its parents'."""
        return self.urn.split("::")[2].rpartition("$")[2]

    @property
    def name(self) -> str:
        """Logical name."""
        return self.urn.split("::")[3]


def note(operation: str, urn: str, began: float) -> None:
    """Write an operation down that has just ended. Short lines are appended whole, whoever else writes."""
    line = json.dumps(asdict(Entry(operation=operation, urn=urn, began=began, ended=time.time())))
    with Path(os.environ[VARIABLE]).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def read(path: Path) -> list[Entry]:
    """All operations, in the order in which they ended."""
    if not path.exists():
        return []
    return [Entry(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
