"""Helm releases of a real `pulumi up`, played on a twin as `slices up` plays them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

from twin.destroy import uninstall
from twin.machine.build import programs_dir
from twin.machine.launch import kube_of
from twin.machine.pulse import Pulse
from twin.machine.state import TwinState, load_run
from twin.plan import Planned, load_plan
from twin.up import Releases


def play(folder: Path, what: str, inputs: Mapping[str, Any]) -> None:
    """Install or uninstall a release. folder: of the twin. what: `install` or `uninstall`. inputs: of the release."""
    state = TwinState(folder.parent, folder.name)
    run = load_run(state)
    assert run is not None, f"there is no twin in {folder}"
    plan, kube = load_plan(state), kube_of(state, run)
    chart = str(inputs["chart"]).rpartition("/")[2]
    thing = Planned(
        urn="",
        name=chart,
        after=(),
        chart=chart,
        version=str(inputs.get("version", "")),
        values=inputs.get("values") or {},
    )
    if what == "install":
        Releases(state, programs_dir(), kube, run, plan, Pulse(state, run)).install(thing)
    else:
        uninstall(thing, state, plan, kube, Event())
