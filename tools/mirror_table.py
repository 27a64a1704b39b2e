"""Writes the tables of "A registry mirror" in docs/operations.md: `python -m tools.mirror_table`.

`--check` only compares.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import versions
from components.mirror import CHARTS
from gpu.registries import UPSTREAMS, chart_in_mirror, host_of, in_mirror
from tools import fresh

TARGET: Final = Path(__file__).resolve().parents[1] / "docs" / "operations.md"
_REGION: Final = re.compile(r"(<!-- begin mirror[^>]*-->\n).*?(<!-- end mirror -->)", re.DOTALL)
_MIRROR: Final = "MIRROR"


def names() -> dict[str, str]:
    """What a stack may run or install, without tags and digests, by what it is called in a mirror; charts first."""
    images = [value for name, value in vars(versions).items() if name.endswith("_IMAGE")]
    images += [*versions.KNATIVE_IMAGES.values(), *(image for chart in CHARTS for image in chart.images.values())]
    charts = {chart_in_mirror(chart, _MIRROR): _chart_address(chart) for chart in CHARTS}
    return charts | {in_mirror(name, _MIRROR): name for name in sorted({_bare(image) for image in images})}


def _bare(image: str) -> str:
    return re.sub(r":[^/]*$", "", image.partition("@")[0])


def _chart_address(chart: versions.Chart) -> str:
    return chart.chart if chart.repo is None else f"{chart.chart} {chart.version}, {chart.repo}"


def _lines() -> Iterator[str]:
    yield from ("| upstream | prefix in the mirror | ECR pulls it through |", "|---|---|---|")
    for host, upstream in UPSTREAMS.items():
        how = "no: copy" if upstream.ecr is None else f"`{upstream.ecr}`{', with a secret' if upstream.secret else ''}"
        yield f"| {host} | `{upstream.prefix}` | {how} |"
    yield from ("", "| what | in the mirror | in ECR |", "|---|---|---|")
    for there, here in names().items():
        host = host_of(here.removeprefix("oci://"))
        from_files = there.startswith(f"oci://{_MIRROR}/charts/")
        how = "copy" if from_files or UPSTREAMS[host].ecr is None else "pulled through"
        yield f"| {here} | `{there}` | {how} |"


def document(text: str) -> str:
    """The page with fresh tables."""
    return _REGION.sub(lambda found: found[1] + "\n".join(_lines()) + "\n" + found[2], text)


def main(arguments: list[str]) -> int:
    """Write the tables, or with `--check` say whether they are fresh (exit status 1 if not)."""
    text = document(TARGET.read_text(encoding="utf-8"))
    return fresh.write(TARGET, text, arguments, "versions.py says: run python -m tools.mirror_table")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
