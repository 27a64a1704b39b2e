"""Measures the policy pack: `python -m bench.pack`.

It judges the programs of its own tests (what people write, and ways past it) again and again under new names, up to the
number of resources that is asked for, in one process: processor seconds of the whole judgement, verdicts included. The
aim is 1,000 resources in less than half a second.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from policy.analyzer import Recorded, judge
from policy.sources.read import read

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "tests" / "policy" / "programs"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.pack", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="judgements per figure (default: 5)")
    parser.add_argument("--resources", type=int, nargs="*", default=[1000], help="sizes (default: 1000)")
    given = parser.parse_args()
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}, ", end="")
    print(f"median of {given.runs} judgements\n")
    print(f"{'programs':<14}{'resources':>10}{'CPU s':>8}{'findings':>10}")
    for kind in ("legitimate", "bypass"):
        objects = read([str(PROGRAMS / kind)]).resources
        judge(objects[:1])  # what is loaded once
        for size in given.resources:
            resources = list(itertools.islice(_repeated(objects), size))
            taken, findings = zip(*(_judged(resources) for _ in range(given.runs)), strict=True)
            print(f"{kind:<14}{size:>10}{statistics.median(taken):>8.2f}{findings[0]:>10}")
    return 0


def _judged(resources: list[Recorded]) -> tuple[float, int]:
    began = time.process_time()
    found = judge(resources)
    return time.process_time() - began, len(found)


def _repeated(resources: list[Recorded] | tuple[Recorded, ...]) -> Iterator[Recorded]:
    for turn in itertools.count():
        for one in resources:
            yield replace(one, name=f"{one.name}-{turn}", urn=f"{one.urn}-{turn}")


if __name__ == "__main__":
    sys.exit(main())
