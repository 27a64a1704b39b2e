"""The fewest GPUs that hold claims, exactly: what no scheduler could do better, beside the bound, which may be less.

The largest claim that has no GPU yet must lie on one with some of the others. All ways to fill that GPU are tried, the
fullest first, until the claims lie on as many GPUs as were allowed; what can be left over on all of them together is
known, and cuts the search off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from gpu.claims import bound

#: Claims of each size, largest size first.
_Left = tuple[tuple[int, int], ...]
#: Ways to fill a GPU that are tried for one number of GPUs.
_MOST_TRIED = 200_000


class TooManyWaysError(RuntimeError):
    """The search was given up: nothing is known."""


def fewest(claims: Sequence[int], gpu_mib: int) -> int:
    """The fewest GPUs of gpu_mib MiB that hold claims of so many MiB. Raises TooManyWaysError, ClaimError."""
    left = tuple(sorted(Counter(claims).items(), reverse=True))
    least = bound(claims, gpu_mib)
    return next(gpus for gpus in range(least, len(claims) + 1) if _Search(gpu_mib).fits(left, gpus))


class _Search:
    def __init__(self, gpu_mib: int) -> None:
        self._gpu_mib, self._tried = gpu_mib, 0
        self._in_vain: set[tuple[_Left, int]] = set()

    def fits(self, left: _Left, gpus: int) -> bool:
        """Whether the claims lie on so many GPUs."""
        spare = gpus * self._gpu_mib - sum(size * count for size, count in left)
        if not left or spare < 0 or (left, gpus) in self._in_vain:
            return not left
        for _, rest in sorted(self._fillings(left, spare)):
            self._tried += 1
            if self._tried > _MOST_TRIED:
                raise TooManyWaysError(f"{_MOST_TRIED:,} ways to fill a GPU were tried in vain")
            if self.fits(rest, gpus - 1):
                return True
        self._in_vain.add((left, gpus))
        return False

    def _fillings(self, left: _Left, spare: int) -> Iterator[tuple[int, _Left]]:
        """Ways to fill the GPU of the largest claim, with no more left over than can be: MiB free, and the others."""
        (largest, count), *others = left
        first = [(largest, count - 1)] if count > 1 else []
        yield from _filled([*first, *others], self._gpu_mib - largest, spare)


def _filled(sizes: Sequence[tuple[int, int]], room: int, spare: int) -> Iterator[tuple[int, _Left]]:
    """room: MiB free of the GPU. One that has room for a claim that is left is no better than with it: left out."""
    if not sizes:
        if room <= spare:
            yield room, ()
        return
    (size, count), *rest = sizes
    for taken in range(min(count, room // size), -1, -1):
        kept = ((size, count - taken),) if taken < count else ()
        for free, others in _filled(rest, room - taken * size, spare):
            if not kept or free < size:
                yield free, (*kept, *others)
