"""How many GPUs the ways to share them take: `python -m bench.study`, in less than a minute.

Mixes of 12 to 3,000 workloads are laid on GPUs by each way, and then come and go as in `bench.packing`. Two shapes of
mixes: models that people run with Ollama (drawn evenly from the known ones that fit the GPU, with a context of 4,096
tokens), and the tasks on parts of a GPU of a public trace. Nothing that runs is moved, as Karpenter moves no loaded
model; what is empty goes. Prices are those of `gpu.prices`, Spot, us-east-1. Everything is drawn from seeds.

With `--check` the same steps that `bench.packing` has measured with the real schedulers are reckoned here as well.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import packing
from bench.chart import Chart, Line, svg
from bench.fleet import Demand, Fleet, Policy
from bench.processes import ROOT, machine
from gpu.catalog import INSTANCE_TYPES
from gpu.models import MODELS, model_memory
from gpu.prices import of

SIZES = (12, 30, 100, 300, 1000, 3000)
SEEDS = range(5)
REGION: Final = "us-east-1"
#: One L4, and one H100, which MIG can cut.
SHARED, CUT = INSTANCE_TYPES["g6.xlarge"], INSTANCE_TYPES["p5.4xlarge"]
#: Slots per GPU that people would set.
REPLICAS = (1, 2, 3, 4, 5, 6, 8, 10)
#: Of the pools by MIG profile; the others have no slot that one of these has not.
PROFILES = ("1g.10gb", "1g.20gb", "3g.40gb", "7g.80gb")
#: Part of a GPU, and of the tasks: cluster-trace-gpu-v2023 of Alibaba, in which 3,078 of 8,152 tasks ask for a part
#: (37.8 %, as Weng et al., USENIX ATC 2023, say), here in five classes that were counted in its list of pods (commit
#: 7a6c496). Whole GPUs, 48 % of the tasks, are left out: they take one each in any way.
TRACE: Final = ((0.2, 0.10), (0.32, 0.13), (0.47, 0.29), (0.62, 0.13), (0.81, 0.35))
#: Of `packing.SCHEDULERS`, in their order.
POLICIES: Final[Sequence[Policy]] = ("spread", "pack")
#: Beginnings that are tried where chance decides who shares a node.
_CHANCES = 200
RESULT = ROOT / "bench" / "results" / "study.json"
PICTURE = ROOT / "docs" / "images" / "study.svg"

Draw = Callable[[random.Random, int], list[int]]


def models(draw: random.Random, count: int) -> list[int]:
    """MiB that models need."""
    needs = sorted(model_memory(spec, context_length=4096).total_mib for spec in MODELS.values())
    return draw.choices([need for need in needs if need <= SHARED.gpu.usable_mib], k=count)


def trace(draw: random.Random, count: int) -> list[int]:
    """MiB that tasks of the trace need, on this GPU."""
    parts, weights = zip(*TRACE, strict=True)
    return [int(part * SHARED.gpu.usable_mib) for part in draw.choices(parts, weights, k=count)]


SHAPES: Mapping[str, Draw] = {"models": models, "trace": trace}


@dataclass(frozen=True)
class Cut:
    """A way to cut a GPU: slots, and MiB that each has."""

    slots: int
    slot_mib: int


class Slots:
    """Pools of equal slots: each workload goes to the one with the smallest slot that holds it."""

    def __init__(self, cuts: Sequence[Cut], policy: Policy, needs: Sequence[int]) -> None:
        self._cuts = sorted(cuts, key=lambda cut: cut.slot_mib)
        self._needs = needs
        self._fleets = [Fleet(cut.slots, policy, Demand([1])) for cut in self._cuts]
        chosen = [self._place(need) for need in needs]
        self._elsewhere = [1 - chosen.count(place) / len(chosen) for place in range(len(self._cuts))]
        self._there: set[int] = set()

    def __len__(self) -> int:
        return sum(map(len, self._fleets))

    def add(self, item: int, policy: Policy | None = None) -> None:
        """Place a workload."""
        self._fleets[self._place(self._needs[item])].add(item, 1, policy)
        self._there.add(item)

    def remove(self, item: int) -> None:
        """Take it away."""
        self._fleets[self._place(self._needs[item])].remove(item)
        self._there.discard(item)

    @property
    def unusable_mib(self) -> float:
        """What slots have beyond what their workload needs, and free slots as far as others could not use them."""
        inside = sum(self._cuts[self._place(self._needs[i])].slot_mib - self._needs[i] for i in self._there)
        free = sum(
            (fleet.room * len(fleet) - fleet.used) * cut.slot_mib * elsewhere
            for fleet, cut, elsewhere in zip(self._fleets, self._cuts, self._elsewhere, strict=True)
        )
        return inside + free

    def _place(self, need: int) -> int:
        return next(place for place, cut in enumerate(self._cuts) if cut.slot_mib >= need)


class Claims:
    """Every workload has as much memory as it needs, on any GPU with so much left."""

    def __init__(self, room_mib: int, policy: Policy, needs: Sequence[int]) -> None:
        self._needs = needs
        self._fleet = Fleet(room_mib, policy, Demand(needs))

    def __len__(self) -> int:
        return len(self._fleet)

    def add(self, item: int, policy: Policy | None = None) -> None:
        """Place a workload."""
        self._fleet.add(item, self._needs[item], policy)

    def remove(self, item: int) -> None:
        """Take it away."""
        self._fleet.remove(item)

    @property
    def unusable_mib(self) -> float:
        """What is free and too little, on average of the mix."""
        return self._fleet.unusable


def time_sliced(replicas: int) -> Cut:
    """Equal slots of the GPU."""
    return Cut(replicas, SHARED.gpu.usable_mib // replicas)


def one_size(policy: Policy, needs: Sequence[int]) -> Slots:
    """One number of slots, that with the fewest GPUs at the beginning; what does not fit has a GPU of its own."""
    tried = [[time_sliced(replicas), time_sliced(1)] for replicas in REPLICAS]
    return Slots(min(tried, key=lambda cuts: len(_begun(Slots(cuts, policy, needs), needs))), policy, needs)


def _begun(way: Slots | Claims, needs: Sequence[int]) -> Slots | Claims:
    """With everything at once: Karpenter lays what waits on as few nodes as it can, the largest first."""
    for item in sorted(range(len(needs)), key=lambda item: -needs[item]):
        way.add(item, "pack")
    return way


def _mig(policy: Policy, needs: Sequence[int]) -> Slots:
    profiles = CUT.gpu.mig_profiles
    cuts = [Cut(profiles[name].max_per_gpu, profiles[name].memory_mib) for name in PROFILES]
    return Slots(cuts, policy, needs)


def _pools(policy: Policy, needs: Sequence[int]) -> Slots:
    return Slots([time_sliced(replicas) for replicas in REPLICAS], policy, needs)


def _claims(policy: Policy, needs: Sequence[int]) -> Claims:
    return Claims(SHARED.gpu.usable_mib, policy, needs)


#: name, of what, how it is laid.
WAYS: Final[Sequence[tuple[str, Callable[[Policy, Sequence[int]], Slots | Claims], Policy]]] = (
    ("slots of one size, default scheduler", one_size, "spread"),
    ("slots of one size, packed", one_size, "pack"),
    ("a pool per size, default scheduler", _pools, "spread"),
    ("a pool per size, packed", _pools, "pack"),
    ("MIG profiles, packed", _mig, "pack"),
    ("memory as needed, spread", _claims, "spread"),
    ("memory as needed, best-fit", _claims, "pack"),
    ("memory as needed, FGD", _claims, "fgd"),
)


@dataclass(frozen=True)
class Outcome:
    """Of one way and mix: GPUs with all of it, and on average of the steps after it.

    bought: of the latter, memory for each MiB that somebody needs; unusable: the part of it that is lost.
    """

    begun: float
    churned: float
    bought: float
    unusable: float

    def of_mean(self, others: Sequence[Outcome]) -> Outcome:
        """The mean of it and others."""
        every = [self, *others]
        return Outcome(*(statistics.mean(values) for values in zip(*(vars(o).values() for o in every), strict=True)))


def played(way: Slots | Claims, room_mib: int, needs: Sequence[int], seed: int) -> Outcome:
    """Everything at once, and then who comes and goes."""
    _begun(way, needs)
    begun, counts, bought, lost = len(way), [], [], []
    before = frozenset(range(len(needs)))
    for now in list(packing.awake(len(needs), seed, packing.STEPS))[1:]:
        for item in sorted(before - now):
            way.remove(item)
        coming = sorted(now - before)
        random.Random(seed).shuffle(coming)
        for item in coming:
            way.add(item)
        counts.append(len(way))
        bought.append(len(way) * room_mib / sum(needs[item] for item in now))
        lost.append(way.unusable_mib / (len(way) * room_mib))
        before = now
    return Outcome(begun, statistics.mean(counts), statistics.mean(bought), statistics.mean(lost))


def study(sizes: Sequence[int], seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A row for each shape, size and way."""
    prices = of(REGION)
    for shape, drawn in SHAPES.items():
        for size in sizes:
            mixes = [drawn(random.Random(seed), size) for seed in seeds]
            fewest = statistics.mean(-(-sum(needs) // SHARED.gpu.usable_mib) for needs in mixes)
            for name, make, policy in WAYS:
                node = CUT if make is _mig else SHARED
                first, *rest = (
                    played(make(policy, needs), node.gpu.usable_mib, needs, seed)
                    for needs, seed in zip(mixes, seeds, strict=True)
                )
                found = first.of_mean(rest)
                usd = prices.node_usd_per_hour(node.name, "spot")
                assert usd is not None
                yield {
                    "shape": shape,
                    "workloads": size,
                    "way": name,
                    "gpu": node.gpu.product,
                    "fewest": round(fewest, 1),
                    "gpus": round(found.begun, 1),
                    "gpus_later": round(found.churned, 1),
                    "usd_per_hour": round(found.begun * usd, 2),
                    "usd_per_hour_later": round(found.churned * usd, 2),
                    "bought": round(found.bought, 2),
                    "unusable": round(found.unusable, 3),
                }


def reckoned(slots: int, steps: Sequence[frozenset[int]], policy: Policy, seed: int) -> list[int]:
    """Nodes after each step of `bench.packing`. seed: who shares a node at the beginning."""
    draw, way = random.Random(seed), Fleet(slots, policy, Demand([1]))
    counts: list[int] = []
    before: frozenset[int] = frozenset()
    for now in steps:
        for item in sorted(before - now):
            way.remove(item)
        coming = sorted(now - before)
        draw.shuffle(coming)
        for item in coming:
            way.add(item, 1, None if before else "pack")
        counts.append(len(way))
        before = now
    return counts


def reckoned_range(slots: int, pods: int, seed: int, policy: Policy) -> list[tuple[int, int]]:
    """Between which numbers of nodes nine of ten beginnings end, after each step."""
    steps = list(packing.awake(pods, seed, packing.STEPS))
    by_step = zip(*(reckoned(slots, steps, policy, chance) for chance in range(_CHANCES)), strict=True)
    return [(found[_CHANCES // 20], found[-1 - _CHANCES // 20]) for found in map(sorted, by_step)]


def check(console: Console) -> None:
    """What the real schedulers did, beside what is reckoned for them."""
    measured = json.loads(packing.RESULT.read_text(encoding="utf-8"))
    for (name, moments), policy in zip(measured["runs"].items(), POLICIES, strict=True):
        found = reckoned_range(measured["slots"], measured["pods"], measured["seed"], policy)
        console.print(f"{name}: measured {[m['nodes'] for m in moments]}, reckoned {found}")


def table(rows: Sequence[Mapping[str, Any]], shape: str) -> Table:
    """All ways of one shape: GPUs at the beginning, USD an hour then and later, and what is lost."""
    found = Table("workloads", "way", "GPUs", "USD/h", "USD/h later", "bought", "unusable")
    for row in rows:
        if row["shape"] == shape:
            money = (f"{row[key]:,.2f}" for key in ("usd_per_hour", "usd_per_hour_later"))
            parts = (f"{row['bought']:.2f}", f"{row['unusable']:.0%}")
            found.add_row(f"{row['workloads']:,}", row["way"], f"{row['gpus']:,g}", *money, *parts)
    return found


def picture(result: Mapping[str, Any]) -> str:
    """Memory that is bought for what is needed, by the size of the mix, while workloads come and go. Without the other
    GPU: what MIG cuts costs so much more that the others would be one line."""
    charts = []
    for shape, title in (("models", "Ollama's models"), ("trace", "tasks of Alibaba's trace")):
        lines: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for row in result["rows"]:
            if row["shape"] == shape and row["gpu"] == SHARED.gpu.product:
                lines[row["way"]].append((row["workloads"], row["bought"]))
        drawn = [Line(_short(way), [x for x, _ in points], [y for _, y in points]) for way, points in lines.items()]
        about = f"GPU memory that is bought for each GiB that is needed: {title}"
        charts.append(Chart(about, "GiB", drawn, "workloads at the most, coming and going", logarithmic=True))
    return svg(charts, f"Reckoned {result['date']} from {result['seeds']} seeds each: python -m bench.study.")


def _short(way: str) -> str:
    """For the legend."""
    words = {"slots of one size": "one size", "a pool per size": "pools", "memory as needed": "memory"}
    for long, short in words.items():
        way = way.replace(long, short)
    return way.replace("default scheduler", "default")


def main() -> int:
    """Reckon, print, and write the result and its picture where asked."""
    parser = argparse.ArgumentParser(prog="python -m bench.study", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES), help="workloads (default: 12 to 3000)")
    parser.add_argument("--check", action="store_true", help="compare with what bench.packing has measured")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name} and {PICTURE.name}")
    given = parser.parse_args()
    console = Console()
    if given.check:
        check(console)
        return 0
    rows = list(study(given.sizes, SEEDS))
    for shape in SHAPES:
        console.print(shape, table(rows, shape))
    if given.write:
        result = {**machine(), "region": REGION, "seeds": len(SEEDS), "rows": rows}
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        PICTURE.write_text(picture(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
