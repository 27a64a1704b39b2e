"""`python -m twin.play.agent FOLDER`: runs the parts until killed. Whatever it knows it finds in the cluster again."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from twin.kube.client import ApiError
from twin.kube.observe import Observed
from twin.machine.launch import kube_of
from twin.machine.state import TwinState, load_run
from twin.plan import load_plan
from twin.play.agent.admission import Admission
from twin.play.agent.dra import DraDriver
from twin.play.agent.knative import Knative
from twin.play.agent.meter import Meter
from twin.play.agent.plugin import DevicePlugin
from twin.play.faults import Faults
from twin.prices import played

_TICK = 0.2
_KINDS = (
    "Node",
    "Pod",
    "NodePool",
    "EC2NodeClass",
    "NodeClaim",
    "Deployment",
    "KnativeServing",
    "KnativeService",
    "ResourceSlice",
)


def main(folder: Path) -> int:
    """Never returns."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    state = TwinState(folder.parent, folder.name)
    plan, run = load_plan(state), load_run(state)
    assert run is not None
    kube = kube_of(state, run)
    with Observed(kube, _KINDS) as observed:
        plugin = DevicePlugin(kube, observed, plan.plugins, Faults(folder), plan.drivers)
        driver = DraDriver(kube, observed, plan.drivers, Faults(folder))
        knative = Knative(kube, observed, plan.models)
        admission = Admission(kube, observed, plugin.offered)
        meter = Meter(folder, observed, played(plan.region))
        while True:
            try:
                plugin.tick(time.monotonic())
                driver.tick(time.monotonic())
                admission.tick()
                knative.tick(time.time())
                meter.tick(time.monotonic())
            except ApiError as error:
                logging.warning("the API server said: %s", error)
            time.sleep(_TICK)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
