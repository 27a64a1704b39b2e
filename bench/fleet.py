"""GPUs of one size that are bought when something does not fit, and given back when nothing is on them any more."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, assert_never

#: Where something goes that fits several: to the emptiest (`LeastAllocated`), to the fullest (`MostAllocated`, which is
#: best-fit for one resource), or to where the fragmentation grows least (Weng et al., USENIX ATC 2023).
Policy = Literal["spread", "pack", "fgd"]


class Demand:
    """What is typically asked for: a distribution of needs."""

    def __init__(self, needs: Iterable[int]) -> None:
        self._sorted: Sequence[int] = sorted(needs)

    def unusable(self, free: int) -> float:
        """How much of what is free on one GPU cannot be used, on average of all needs: those that are larger."""
        larger = len(self._sorted) - bisect_right(self._sorted, free)
        return free * larger / len(self._sorted)


class Fleet:
    """GPUs with so much room each. Room and needs are in one unit, such as MiB or slots."""

    def __init__(self, room: int, policy: Policy, demand: Demand) -> None:
        self.room, self._policy, self._demand = room, policy, demand
        self._made = 0
        self._free: dict[int, int] = {}
        self._by_free: dict[int, set[int]] = defaultdict(set)
        self._where: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._free)

    @property
    def used(self) -> int:
        """Of all GPUs together."""
        return self.room * len(self) - sum(self._free.values())

    @property
    def unusable(self) -> float:
        """What is free and cannot be used, on average of what is asked for."""
        return sum(self._demand.unusable(free) for free in self._free.values())

    def add(self, item: int, need: int, policy: Policy | None = None) -> None:
        """Place it where the policy says, on a new GPU where none has room. Raises ValueError for what never fits."""
        if need > self.room:
            raise ValueError(f"{need} does not fit {self.room}")
        fitting = [free for free, gpus in self._by_free.items() if gpus and free >= need]
        if fitting:
            gpu = min(self._by_free[self._chosen(fitting, need, policy or self._policy)])
        else:
            gpu, self._made = self._made, self._made + 1
            self._set(gpu, self.room)
        self._where[item] = gpu, need
        self._set(gpu, self._free[gpu] - need)

    def remove(self, item: int) -> None:
        """Take it away; a GPU with nothing on it goes."""
        gpu, need = self._where.pop(item)
        free = self._free[gpu] + need
        self._set(gpu, free)
        if free == self.room:
            self._by_free[free].discard(gpu)
            del self._free[gpu]

    def _chosen(self, fitting: Sequence[int], need: int, policy: Policy) -> int:
        match policy:
            case "spread":
                return max(fitting)
            case "pack":
                return min(fitting)
            case "fgd":
                lost = self._demand.unusable
                return min(fitting, key=lambda free: (lost(free - need) - lost(free), free))
            case _:
                assert_never(policy)

    def _set(self, gpu: int, free: int) -> None:
        self._by_free[self._free.get(gpu, free)].discard(gpu)
        self._free[gpu] = free
        self._by_free[free].add(gpu)
