"""Writes tables and pictures of docs/measurements.md from what was measured: `python -m bench.document`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from bench import claims, load, packing, study
from bench.processes import ROOT

PAGE = ROOT / "docs" / "measurements.md"

Row = Sequence[Any]
#: Sizes of the study that the page shows.
_SHOWN = (12, 300, 3000)


def _packing(result: Mapping[str, Any]) -> Iterator[Row]:
    names = [packing.SCHEDULERS[name] for name in result["runs"]]
    yield "pods", "fewest nodes", *(f"{name}: {what}" for name in names for what in ("nodes", "USD/h"))
    for moments in zip(*result["runs"].values(), strict=True):
        both = (each for moment in moments for each in (moment["nodes"], f"{moment['usd_per_hour']:.2f}"))
        yield moments[0]["pods"], moments[0]["needed"], *both


def _study(result: Mapping[str, Any]) -> Iterator[Row]:
    sizes = [f"{size:,}" for size in _SHOWN]
    yield (
        "mix",
        "way",
        *(f"USD/h, {size}" for size in sizes),
        *(f"later, {size}" for size in sizes),
        "bought",
        "unusable",
    )
    for shape in study.SHAPES:
        for name, _, _ in study.WAYS:
            rows = [
                row
                for size in _SHOWN
                for row in result["rows"]
                if (row["shape"], row["workloads"], row["way"]) == (shape, size, name)
            ]
            money = (f"{row[key]:,.2f}" for key in ("usd_per_hour", "usd_per_hour_later") for row in rows)
            yield shape, name, *money, f"{rows[-1]['bought']:.2f}", f"{rows[-1]['unusable']:.0%}"


def _load(result: Mapping[str, Any]) -> Iterator[Row]:
    yield "users", "replicas", "GPU nodes", "pictures/s", "p50 ms", "p95 ms", "p99 ms", "errors"
    yield from load.stage_rows(result)


def _claims(result: Mapping[str, Any]) -> Iterator[Row]:
    head = {
        "pods": ("pods", ""),
        "bound": ("bound", ".1f"),
        "fewest": ("fewest that hold them", ".1f"),
        "GPUs": ("claims", ".1f"),
        "over the bound, mean": ("over the bound, mean", ".2f"),
        "over the bound, most": ("most", ".2f"),
        "above 1.15": ("draws above 1.15", ""),
        "fewest above 1.15": ("of them where no placing has less", ""),
        "equal slots": ("equal slots", ".1f"),
        "pool per size": ("a pool per size", ".1f"),
    }
    yield tuple(words for words, _ in head.values())
    for row in result["rows"]:
        yield tuple("" if row[key] is None else format(row[key], form) for key, (_, form) in head.items())


#: What the page has between marks, with who knows the result.
TABLES: Final[Mapping[str, tuple[Any, Callable[[Mapping[str, Any]], Iterator[Row]]]]] = {
    "packing": (packing, _packing),
    "study": (study, _study),
    "load": (load, _load),
    "claims": (claims, _claims),
}
#: Programs that also draw one.
PICTURED: Final = (packing, study, load)


def written(text: str) -> str:
    """The page with its tables anew."""
    for name, (program, rows) in TABLES.items():
        head, *body = rows(_result(program))
        lines = [head, ["---"] * len(head), *body]
        table = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
        text = re.sub(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", rf"\g<1>{table}\g<2>", text, flags=re.DOTALL)
    return text


def _result(program: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(program.RESULT.read_text(encoding="utf-8"))
    return found


def main() -> int:
    """Write the page and its pictures."""
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    for program in PICTURED:
        program.PICTURE.write_text(program.picture(_result(program)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
