"""Charts that no package registry has: who has them says where, and tests render them; else they are skipped.

`CHARTS` names a folder with one folder or archive for each chart, as `helm pull [--untar]` leaves it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import versions
from tests.built import unavailable
from tests.gotools import HELM, tool


def chart_path(chart: versions.Chart) -> Path:
    """The chart's folder or archive. Skips the test where there is none, or fails it with `REQUIRE_CHARTS`."""
    folder = os.environ.get("CHARTS")
    if not folder:
        unavailable("CHARTS", f"CHARTS names no folder with the chart {chart.chart} {chart.version}")
    found = [Path(folder) / name for name in (chart.chart, f"{chart.chart}-{chart.version}.tgz")]
    there = [path for path in found if path.exists()]
    if not there:
        unavailable("CHARTS", f"{folder} has no chart {chart.chart} {chart.version}")
    return there[0]


def show(chart: versions.Chart, what: str) -> Any:
    """What `helm show` says of a chart: `chart` or `values`."""
    done = subprocess.run(
        [str(tool(*HELM)), "show", what, str(chart_path(chart))], capture_output=True, text=True, check=True
    )
    return yaml.safe_load(done.stdout)


def render(chart: versions.Chart, release: str, namespace: str, values: str) -> Sequence[Mapping[str, Any]]:
    """Objects of a chart with these values, without its definitions."""
    command = [str(tool(*HELM)), "template", release, str(chart_path(chart)), "--namespace", namespace, "--skip-crds"]
    done = subprocess.run(
        [*command, "--kube-version", versions.EKS_DEFAULT_VERSION, "--values", "-"],
        input=values,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]
