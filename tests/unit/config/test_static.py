"""What a fixed number of nodes answers that otherwise takes keys of its own."""

from __future__ import annotations

from account.preflight.quotas import needs
from config.services import node_start
from gpu.coldstart import cold_start
from plan.figures import figures
from tests.unit.config.support import CONTAINER, ON_DEMAND, changed, parsed

STATIC = {
    "pools[0].maxGpus": 3,
    "pools[0].static": {"replicas": 2},
    "pools[0].capacityType": "on-demand",
    "pools[0].onDemand": ON_DEMAND,
}


def test_critical_models_that_sleep_need_no_warm_slots_there() -> None:
    """Its slots are there, and critical work takes the place of others in them."""
    config = parsed(changed(STATIC | {"models[0].importance": "critical"}))
    assert config.models[0].min_scale == 0
    assert config.pools[0].warm is None


def test_models_wake_there_on_a_node_that_stands() -> None:
    """What changes that is `static`: `warm` is refused there."""
    there, comes = (node_start(parsed(changed(changes)).pools[0]) for changes in (STATIC, {}))
    found = {step.name: step for step in cold_start(there, "node-cache", 4096).steps}
    assert (found["node"].seconds, found["node"].lever) == (0, "static")
    assert {step.name: step for step in cold_start(comes, "node-cache", 4096).steps}["node"].seconds > 0


def test_the_account_must_allow_all_of_its_nodes_at_once() -> None:
    def least(**changes: object) -> int:
        config = parsed(changed(changes))
        return sum(need.least for need in needs(config, figures(config)).values() if "pool shared" in need.users)

    dynamic = {key: value for key, value in STATIC.items() if not key.endswith("static")}
    assert least(**STATIC) == 2 * least(**dynamic)


def test_a_pod_that_every_named_type_holds_is_taken() -> None:
    """As the error says it of a pod that only some types hold."""
    pool = {"name": "large", "maxGpus": 3, "static": {"replicas": 2}, "sharing": {"strategy": "none"}}
    work = {"name": "api", "pool": "large", "containers": [{**CONTAINER, "cpu": "12"}]}
    named = {**pool, "instanceTypes": ["g6.8xlarge", "g6.16xlarge"]}
    assert parsed(changed({"pools[1]": named, "workloads": [work]})).workloads[0].pool == "large"
