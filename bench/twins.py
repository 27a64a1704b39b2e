"""A twin of a stack that a measurement writes itself, in a folder of its own."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from bench.processes import ROOT
from twin.machine import launch
from twin.machine.state import TwinState
from twin.planning import make_plan
from twin.up import Up

_STACK = "bench"


@contextlib.contextmanager
def twin_of(stack: Mapping[str, Any], programs: Path) -> Iterator[TwinState]:
    """A twin of this checkout's program with a stack's keys, such as `gpu-slices:pools`, while the context is open.

    programs: those of the twin (`ensure_built`).
    """
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8")) | {"main": str(ROOT)}
        (project / "Pulumi.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")
        config = yaml.safe_dump({"config": {"aws:region": "us-east-1", **stack}})
        (project / f"Pulumi.{_STACK}.yaml").write_text(config, encoding="utf-8")
        state = TwinState(project / ".twin", _STACK)
        try:
            with state.lock():
                Up(state, programs, lambda _: None).run(lambda: make_plan(project, _STACK))
            yield state
        finally:
            launch.stop(state)
