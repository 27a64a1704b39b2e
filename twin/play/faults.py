"""What a scenario breaks: offerings, the health of instances, device plugins.

Kept in one file of the twin, which those who play the parts read each time: it survives a restart of any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from twin.machine.state import DamagedError, read_json, write_json


@dataclass(frozen=True)
class Withdrawn:
    """Offerings that EC2 no longer has: patterns such as ("g6.*", "us-east-1a") for type and zone."""

    patterns: Sequence[tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def matches(self, instance_type: str, zone: str) -> bool:
        """Whether that offering is gone."""
        return any(fnmatchcase(instance_type, t) and fnmatchcase(zone, z) for t, z in self.patterns)


@dataclass(frozen=True)
class PluginOrders:
    """What a scenario does to device plugins, and to DRA drivers."""

    seconds: float | None = None
    """Delay instead of the usual one."""
    never: Sequence[str] = ()
    """Pools whose plugins never register."""
    give_up: float | None = None
    """Seconds after which a node is given up, instead of the usual ones."""
    consumable_shares: str = ""
    """What DRA drivers are set to, in place of the value of their chart."""
    memory_mib: int | None = None
    """What DRA drivers show of each GPU, in place of all its memory."""

    def delay(self, usual: float) -> float:
        """Seconds from the plugin's start to the first slot."""
        return usual if self.seconds is None else self.seconds

    def deadline(self, usual: float) -> float:
        """Seconds after which a node that offers nothing is given up."""
        return usual if self.give_up is None else self.give_up

    def silent(self, pool: str) -> bool:
        """Whether the plugins of a pool never register."""
        return pool in self.never


class Faults:
    """The file of faults."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "faults.json"

    def _read(self) -> dict[str, Any]:
        try:
            return read_json(self._path)
        except (FileNotFoundError, DamagedError):
            return {}

    def withdrawn(self) -> Withdrawn:
        """Offerings that are gone."""
        return Withdrawn([(t, z) for t, z in self._read().get("withdrawn", [])])

    def without_spot(self) -> Withdrawn:
        """Offerings of which there is no Spot capacity."""
        return Withdrawn([(t, z) for t, z in self._read().get("without_spot", [])])

    @property
    def stale(self) -> bool:
        """Whether Karpenter must start again to see offerings as they are."""
        return bool(self.withdrawn() or self.without_spot() or self._read().get("taken_back"))

    def plugin(self) -> PluginOrders:
        """What happens to device plugins."""
        return PluginOrders(**self._read().get("plugin", {}))

    def set_plugin(
        self,
        *,
        seconds: float | None = None,
        never: Sequence[str] = (),
        give_up: float | None = None,
        consumable_shares: str = "",
        memory_mib: int | None = None,
    ) -> None:
        """Let device plugins and DRA drivers come late or never, and DRA drivers publish something else."""
        orders = {
            "seconds": seconds,
            "never": list(never),
            "give_up": give_up,
            "consumable_shares": consumable_shares,
            "memory_mib": memory_mib,
        }
        write_json(self._path, {**self._read(), "plugin": orders})

    def withdraw(self, patterns: Sequence[tuple[str, str]]) -> None:
        """Withdraw offerings. Karpenter asks for offerings when it starts, and every twelve hours."""
        write_json(self._path, {**self._read(), "withdrawn": [list(pattern) for pattern in patterns]})

    def withdraw_spot(self, patterns: Sequence[tuple[str, str]]) -> None:
        """Withdraw offerings as Spot alone. Karpenter asks for their prices when it starts, and every twelve hours."""
        write_json(self._path, {**self._read(), "without_spot": [list(pattern) for pattern in patterns]})

    def take_back(self) -> None:
        """Note that Spot has taken a node: Karpenter leaves its type in its zone out for three minutes."""
        write_json(self._path, {**self._read(), "taken_back": True})

    def clear(self) -> None:
        """Everything as it was."""
        self._path.unlink(missing_ok=True)
