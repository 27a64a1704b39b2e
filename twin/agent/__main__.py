"""`python -m twin.agent FOLDER`: runs the parts until killed. Everything it knows it finds in the cluster again."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from twin.agent.knative import Knative
from twin.agent.meter import Meter
from twin.agent.plugin import DevicePlugin
from twin.faults import Faults
from twin.kube import ApiError
from twin.launch import kube_of
from twin.observe import Observed
from twin.plan import load_plan
from twin.platform import PLUGIN_NAME
from twin.state import TwinState, load_run

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
)


def main(folder: Path) -> int:
    """Never returns."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    state = TwinState(folder.parent, folder.name)
    plan, run = load_plan(state), load_run(state)
    assert run is not None
    kube = kube_of(state, run)
    # Of the pods it needs the plugins' alone.
    with Observed(kube, _KINDS, labels={"Pod": f"app.kubernetes.io/name={PLUGIN_NAME}"}) as observed:
        plugin = DevicePlugin(kube, observed, plan.plugins, Faults(folder))
        knative = Knative(kube, observed, plan.models)
        meter = Meter(folder, observed)
        while True:
            try:
                plugin.tick(time.monotonic())
                knative.tick(time.time())
                meter.tick(time.monotonic())
            except ApiError as error:
                logging.warning("the API server said: %s", error)
            time.sleep(_TICK)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
