"""Bills of stacks, worked by hand: USD a month at us-east-1. The stack that they change is dev."""

from __future__ import annotations

from typing import Any

import pytest

from config.bill import Bill, bill
from config.consumers import consumers
from config.schema import StackConfig
from gpu.bill import Line
from stacks.summary import costs
from tests.unit.config.support import CONTAINER, GONE, ON_DEMAND, WORKLOAD, changed, parsed, problems_of

FLOOR = 73 + 2 * 0.0816 * 730 + 2 * 50 * 0.08 + (0.045 + 0.005) * 730 + 2  # 238.636
SPOT_L4 = 0.8048 / 2
MIRROR = "111122223333.dkr.ecr.us-east-1.amazonaws.com"
WEEKDAYS = {"days": ["mon", "tue", "wed", "thu", "fri"], "start": "08:00", "end": "18:00"}
USED = 8 * 730 / 24
#: A node's volume: 100 GiB, and 125 MiB/s more than are free.
VOLUME = (100 * 0.08 + 125 * 0.04) / 730


def config(**changes: Any) -> StackConfig:
    return parsed(changed({"dialogue": GONE, **changes}))


def billed(stack: StackConfig) -> Bill:
    return bill(stack, consumers(stack))


def bill_of(**changes: Any) -> Bill:
    return billed(config(**changes))


def line(found: Bill, part: str, name: str) -> Line:
    (wanted,) = [each for each in found.lines if each.part == part and each.name == name]
    return wanted


def expected(found: Bill, part: str, name: str) -> float:
    usd = line(found, part, name).usd
    assert usd is not None
    return usd.expected


def of(found: Bill, *parts: Any) -> float:
    usd = found.of(*parts)
    assert usd is not None
    return usd.expected


def test_the_floor_is_what_stands_when_nobody_asks() -> None:
    quiet = bill_of()
    assert of(quiet, "floor") == pytest.approx(FLOOR, abs=0.005)
    assert quiet.parts == ("floor", "on demand", "traffic and logs")
    assert costs(config())["idleFloorUsdPerMonth"] == pytest.approx(FLOOR, abs=0.005)


def test_monitoring_is_in_the_floor() -> None:
    """The cluster's 1,720 observations a minute and 30 pods' 138 each are 5,860; in 43,800 minutes 256.668 million, at
    0.21 USD. Six alarms and two counters, at 0.10 and 0.30; a dashboard, at 3."""
    watched = bill_of(monitoring={"backend": "cloudwatch"})
    assert expected(watched, "floor", "Monitoring") == pytest.approx(256.668 * 0.21 + 0.6 + 0.6 + 3)
    assert of(watched, "floor") == pytest.approx(FLOOR + 58.10028)


def test_prometheus_costs_its_volume_and_the_system_node_that_it_takes() -> None:
    """20 GiB of gp3 at 0.08 are 1.60; the third m7g.large at 0.0816 is 59.57 and its 50 GiB 4."""
    three = {"cluster.systemNodes.desired": 3}
    kept, scratch = ({"backend": "prometheus", **more} for more in ({}, {"volumeGib": 0}))
    assert expected(bill_of(monitoring=kept, **three), "floor", "Monitoring") == pytest.approx(1.6)
    assert expected(bill_of(monitoring=scratch, **three), "floor", "Monitoring") == 0
    assert of(bill_of(monitoring=kept, **three), "floor") == pytest.approx(FLOOR + 0.0816 * 730 + 4 + 1.6)


KEPT = {"dialogue.image": "ghcr.io/acme/dialogue@sha256:" + "0" * 64}


FRANKFURT = {
    "dialogue": GONE,
    "network.zoneIds": ["euc1-az1", "euc1-az2"],
    "pools[0].instanceFamilies": ["g6"],
    "pools[0].capacityType": "on-demand",
    "pools[0].onDemand": ON_DEMAND,
}


def test_another_region_by_its_own_prices() -> None:
    """Frankfurt, 2025-05-28: three replicas around the clock on a g6.xlarge at 1.0064, 730 x 1.0064 = 734.67; two
    m7g.large at 0.0978, 2 x 730 x 0.0978 = 142.79. Of other services no price is known there, and none is taken."""
    three = {"models": GONE, "workloads": [WORKLOAD | {"kind": "Deployment", "replicas": 3}]}
    found = billed(parsed(changed({**FRANKFURT, **three}), region="eu-central-1"))
    assert expected(found, "always", "GPU nodes, shared") == pytest.approx(730 * 1.0064)
    assert expected(found, "floor", "System nodes") == pytest.approx(2 * 730 * 0.0978)
    assert line(found, "floor", "NAT gateway").usd is None
    assert found.of() is None


def test_nothing_costs_nothing_whatever_the_price_is() -> None:
    """One replica around the clock leaves two slots of the node free, which two models share: no hour of a volume
    comes on top, and so no price of volumes, which nobody knows in Frankfurt, is missing."""
    free = {"models[2]": GONE, "workloads": [WORKLOAD | {"kind": "Deployment", "replicas": 1}]}
    found = billed(parsed(changed({**FRANKFURT, **free}), region="eu-central-1"))
    assert line(found, "always", "Volumes, shared").usd is None
    volumes = line(found, "on demand", "Volumes, shared")
    assert volumes.detail.startswith("0 h of ")
    assert volumes.reasons
    assert (volumes.reasons.low.value, volumes.reasons.expected.value) == (0, 0)


def test_spot_by_the_zones_of_another_region() -> None:
    """Three models on one node 8 h a day. The cheapest L4 of Frankfurt on Spot is a g6.2xlarge: zones ask 0.3376 and
    0.3465, in the mean 0.34205, so that 243.33 h are 82.15 to 84.32, 83.23 expected."""
    spot = {key: value for key, value in FRANKFURT.items() if "apacityType" not in key and "onDemand" not in key}
    found = billed(parsed(changed(spot), region="eu-central-1"))
    usd = line(found, "on demand", "GPU nodes, shared").usd
    assert usd
    assert (usd.low, usd.expected) == pytest.approx((USED * 0.3376, USED * (0.3376 + 0.3465) / 2))


def test_a_budget_is_held_against_what_is_known() -> None:
    """In Frankfurt system nodes alone, 142.79, are above a budget of 100; the rest of the floor has no price."""
    (problem,) = problems_of(changed({**FRANKFURT, "budget.monthlyUsd": 100}), region="eu-central-1")
    assert "cannot hold: the stack costs at least 142.79 USD a month" in problem.message
    assert problems_of(changed({**FRANKFURT, "budget.monthlyUsd": 143}), region="eu-central-1") == []


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, {}),
        (KEPT, {"Conversations": 1 * 0.08}),
        ({**KEPT, "dialogue.store": "dynamodb"}, {"Conversations": 1 * 0.20}),
        ({"cluster.registryMirror": MIRROR}, {"Images in ECR": 2 * 0.10}),
        ({"cluster.registryMirror": "registry.acme.io/cache"}, {}),
    ],
)
def test_what_is_kept_costs_while_nobody_works(changes: dict[str, Any], names: dict[str, float]) -> None:
    """A GiB of gp3 at 0.08, its recovery in a table at 0.20; the server's 2 GB in ECR at 0.10."""
    found = {each.name: each.usd.expected for each in billed(parsed(changed(changes))).lines if each.usd}
    assert {name: found[name] for name in ("Conversations", "Images in ECR") if name in found} == pytest.approx(names)


def test_nine_replicas_of_a_deployment_are_in_the_bill() -> None:
    """Nine slots of three are 3 nodes: 3 x 0.4024 x 730 = 881.26, and 3 volumes of 13 a month."""
    nine = {"workloads": [{**WORKLOAD, "replicas": 9}], "pools[0].maxGpus": 4}
    found = bill_of(**nine)
    assert expected(found, "always", "GPU nodes, shared") == pytest.approx(3 * SPOT_L4 * 730)
    assert expected(found, "always", "Volumes, shared") == pytest.approx(39)
    assert costs(config(**nine))["idleFloorUsdPerMonth"] == pytest.approx(FLOOR + 881.256 + 39, abs=0.005)


def test_a_deployment_that_grows_is_in_the_bill_with_all_that_it_may_have() -> None:
    scaling = {"minReplicas": 3, "maxReplicas": 9, "metric": "in_flight", "averageValue": 4}
    found = bill_of(**{"workloads": [{**WORKLOAD, "autoscaling": scaling}], "pools[0].maxGpus": 4})
    assert expected(found, "always", "GPU nodes, shared") == pytest.approx(3 * SPOT_L4 * 730)


def test_models_on_demand_at_the_use_that_is_supposed() -> None:
    """Three models, one node, 8 h of each of 30.42 days: 243.33 h x 0.4024 = 97.92."""
    found = bill_of()
    assert expected(found, "on demand", "GPU nodes, shared") == pytest.approx(8 * 730 / 24 * SPOT_L4)
    assert expected(found, "on demand", "Volumes, shared") == pytest.approx(8 * 730 / 24 * VOLUME)


def test_use_that_is_said_counts() -> None:
    """A fourth model for 2 h a day buys a second node for these: (8 + 2) / 24 x 730 x 0.4024 = 122.40."""
    fourth = {"models[3]": {"name": "extra", "model": "llama3.2:3b", "pool": "shared"}}
    found = bill_of(**fourth, usage={"each": [{"name": "extra", "hoursPerDay": 2}]})
    assert expected(found, "on demand", "GPU nodes, shared") == pytest.approx(10 * 730 / 24 * SPOT_L4)
    assert "on demand" not in bill_of(usage={"hoursPerDay": 0}).parts


@pytest.mark.parametrize(
    ("policy", "hours_per_run", "slots", "node_hours"),
    [
        ("Allow", 2, 12, 4 * 730),  # 12 runs stand beside each other: 4 nodes of three slots
        # Six minutes of every ten: never two at once, and the node never goes, which would take five minutes more.
        ("Allow", 0.1, 1, 730),
        ("Allow", 0.05, 1, 52_596 / 12 * (0.05 + 5 / 60)),  # three minutes, and five until the empty node goes
        ("Forbid", 2, 1, 730),  # the next one is left out
        ("Replace", 2, 1, 730),  # the next one takes its place
    ],
)
def test_runs_of_a_cronjob_that_stand_beside_each_other_hold_slots_each(
    policy: str, hours_per_run: float, slots: int, node_hours: float
) -> None:
    """Every ten minutes, 52,596 runs a year."""
    often = {**WORKLOAD, "kind": "CronJob", "schedule": "*/10 * * * *", "concurrencyPolicy": policy}
    stack = config(workloads=[often], models=GONE, **{"pools[0].maxGpus": 4}, usage={"hoursPerRun": hours_per_run})
    (found,) = [each for each in consumers(stack) if each.kind == "CronJob"]
    assert found.slots == slots
    assert expected(billed(stack), "on demand", "GPU nodes, shared") == pytest.approx(node_hours * SPOT_L4)


def test_nodes_stay_after_runs_that_come_every_so_often() -> None:
    """Every hour, 730.5 runs of 0.1 h, and five minutes after each."""
    job = {**WORKLOAD, "kind": "CronJob", "schedule": "@every 1h"}
    found = bill_of(models=[], workloads=[job], usage={"hoursPerRun": 0.1})
    node = expected(found, "on demand", "GPU nodes, shared")
    assert node == pytest.approx(730.5 * (0.1 + 5 / 60) * SPOT_L4)


def test_a_cold_nodes_traffic() -> None:
    """Weights of 4.10, 3.54 and 1.87 GiB and 2 GB of image, through NAT at 0.045: 0.55 a start, more than the node's
    first hour."""
    services = [4199, 3625, 1918]  # MiB
    gigabytes = (2000 + sum(services) * 2**20 / 1e6) / 1000
    found = bill_of(usage={"startsPerDay": 1}, **{"network.zoneIds": ["use1-az1", "use1-az2"]})
    a_start = expected(found, "traffic and logs", "Images and weights") / (730 / 24)
    assert a_start == pytest.approx(gigabytes * 0.045, rel=0.01)
    assert 0.54 < a_start < 0.56
    assert a_start > SPOT_L4
    # One of two nodes is in the other zone than the NAT gateway: half of it at 0.01 each way.
    crossing = expected(found, "traffic and logs", "Between zones") / (730 / 24)
    assert crossing == pytest.approx(a_start / 0.045 * 0.02 / 2)


def test_new_nodes_fetch_the_images_of_who_wakes_on_them() -> None:
    """A GPU each: one image lies in ECR with its weights, two are 2 GB each through NAT, with 3,625 and 1,918 MiB."""
    image = f"111122223333.dkr.ecr.us-east-1.amazonaws.com/own@sha256:{'a' * 64}"
    alone = {"pools[0].sharing": {"strategy": "none"}, "pools[0].maxGpus": 4}
    found = bill_of(**alone, **{"models[0].weights": {"source": "baked", "image": image}})
    usd = line(found, "traffic and logs", "Images and weights").usd
    assert usd is not None
    gigabytes = (2 * 2000 + (3625 + 1918) * 2**20 / 1e6) / 1000
    assert (usd.low, usd.high) == pytest.approx([gigabytes * 0.045 * 730 / 24] * 2, rel=0.01)


@pytest.mark.parametrize(
    ("mirror", "image_gb"),
    [
        ("111122223333.dkr.ecr.us-east-1.amazonaws.com", 0),  # layers come over S3's gateway
        ("111122223333.dkr.ecr.us-east-1.amazonaws.com/cache", 0),
        ("111122223333.dkr.ecr.eu-west-1.amazonaws.com", 2),  # which is the region's own
        ("mirror.acme.dev/cache", 2),
    ],
)
def test_images_of_a_mirror_in_ecr_pass_no_nat_gateway(mirror: str, image_gb: float) -> None:
    """Weights come from Ollama's registry all the same: 4199 + 3625 + 1918 MiB, 10.2 GB."""
    found = bill_of(**{"cluster.registryMirror": mirror})
    gigabytes = image_gb + (4199 + 3625 + 1918) * 2**20 / 1e9
    a_month = gigabytes * 0.045 * 730 / 24
    assert expected(found, "traffic and logs", "Images and weights") == pytest.approx(a_month, rel=0.01)


def test_no_hours_are_hours_that_somebody_said() -> None:
    silent = config(usage={"each": [{"name": "mistral", "hoursPerDay": 0}]})
    (first, second, *_) = consumers(silent)
    assert (first.hours, first.hours_from) == (0, "usage.each")
    assert second.hours == pytest.approx(USED)
    assert second.hours_from == "usage.hoursPerDay, supposed"


def test_a_nat_gateway_in_each_zone_spares_the_way_between_them() -> None:
    assert "Between zones" not in [each.name for each in bill_of(**{"network.nat": "per-zone"}).lines]


def test_nothing_is_fetched_where_a_node_always_runs_or_a_snapshot_has_it() -> None:
    """Two models that never sleep leave a slot for the third, whose node has been there all the time."""
    standing = bill_of(**{"models[0].minScale": 1, "models[1].minScale": 1})
    assert expected(standing, "traffic and logs", "Images and weights") == 0
    assert expected(standing, "on demand", "GPU nodes, shared") == 0
    assert "free on nodes that always run" in line(standing, "on demand", "GPU nodes, shared").detail
    snapshot = {"pools[0].ami": "bottlerocket", "pools[0].volume": {"snapshotId": "snap-0123456789abcdef0"}}
    assert "Images and weights" not in [each.name for each in bill_of(**snapshot).lines]


def test_logs_are_written_and_kept() -> None:
    """10 x 0.50, and 12 months of 10 GB at 0.03."""
    assert expected(bill_of(), "traffic and logs", "Logs") == pytest.approx(5 + 10 * 0.03 * 365 / (730 / 24))


def test_slots_that_are_kept_warm_at_certain_hours() -> None:
    """50 of 168 hours: 217.26 h x 0.4024 = 87.43, whether anybody asks or not."""
    found = bill_of(models=[], **{"pools[0].warm": WEEKDAYS})
    assert expected(found, "always", "GPU nodes, shared") == pytest.approx(730 * 50 / 168 * SPOT_L4)


def test_nodes_that_never_go_are_counted_once() -> None:
    """Two slots for models and one kept warm are one node of three; a fourth is a second one."""
    one = bill_of(**{"models[0].minScale": 2, "pools[0].warm": {"slots": 1}})
    two = bill_of(**{"models[0].minScale": 2, "pools[0].warm": {"slots": 2}})
    assert expected(one, "always", "GPU nodes, shared") == pytest.approx(SPOT_L4 * 730)
    assert expected(two, "always", "GPU nodes, shared") == pytest.approx(2 * SPOT_L4 * 730)


def test_jobs_count_by_their_runs() -> None:
    """Four pods, 20 runs of 3 h, and 5 minutes after each until the empty nodes go: 2 nodes for 61.67 h, on top of
    nothing. With an hour until they go it is 2 nodes for 80 h."""
    job = {**WORKLOAD, "kind": "Job", "replicas": 4}
    stack: dict[str, Any] = {"models": [], "workloads": [job], "usage": {"runsPerMonth": 20, "hoursPerRun": 3}}
    node = "GPU nodes, shared"
    assert expected(bill_of(**stack), "on demand", node) == pytest.approx(2 * (60 + 20 * 5 / 60) * SPOT_L4)
    late = {"pools[0].consolidateAfter": "1h"}
    assert expected(bill_of(**stack, **late), "on demand", node) == pytest.approx(2 * 80 * SPOT_L4)


def test_cron_jobs_count_by_their_schedule() -> None:
    """Weekdays at 3:30 are 1043 or 1044 of four years' days: 21.7 runs a month of 2 h, on one node."""
    job = {**WORKLOAD, "kind": "CronJob", "schedule": "30 3 * * 1-5"}
    found = config(models=[], examples=False, workloads=[job], usage={"hoursPerRun": 2, "runsPerMonth": 100})
    (consumer,) = consumers(found)
    assert (consumer.kind, consumer.part) == ("CronJob", "on demand")
    assert consumer.hours == pytest.approx(365.25 * 5 / 7 / 12 * 2, rel=0.002)
    better = {"each": [{"name": "batch", "hoursPerRun": 3}]}
    assert consumers(config(models=[], examples=False, workloads=[job], usage=better))[0].hours == pytest.approx(
        365.25 * 5 / 7 / 12 * 3, rel=0.002
    )


def test_runs_at_equal_distances_keep_their_node_until_the_next() -> None:
    """Every ten minutes a run of six: the node, which would stay five more, has a pod again after four."""
    job = {**WORKLOAD, "kind": "CronJob", "schedule": "@every 10m"}
    stack: dict[str, Any] = {"models": [], "workloads": [job], "usage": {"hoursPerRun": 0.1}}
    found = expected(bill_of(**stack), "on demand", "GPU nodes, shared")
    assert found == pytest.approx(365.25 * 24 / 12 * SPOT_L4, rel=0.01)


def test_pods_of_three_gpus_hold_nodes_of_four() -> None:
    """g6.12xlarge has 4 L4: two pods of 3 are two nodes, two pods of 2 are one."""
    whole = {
        "name": "whole",
        "instanceFamilies": ["g6"],
        "gpusPerNode": [4],
        "maxGpus": 8,
        "sharing": {"strategy": "none"},
    }

    def hours(slots: int) -> float:
        one = {**WORKLOAD, "pool": "whole", "replicas": 2, "containers": [{**CONTAINER, "slots": slots}]}
        stack = config(models=[], examples=False, pools=[whole], workloads=[one])
        (node,) = stack.gpu_pools.values()
        assert node.price is not None
        return expected(billed(stack), "always", "GPU nodes, whole") / node.price.usd_per_hour("spot")

    assert hours(3) == pytest.approx(2 * 730)
    assert hours(2) == pytest.approx(730)


def hungry(asked: dict[str, str], pool: dict[str, Any] | None = None, **changes: Any) -> Bill:
    """Three pods of a Deployment that ask for this, on g6.xlarge of three slots."""
    work = {**WORKLOAD, "kind": "Deployment", "replicas": 3, "containers": [{**CONTAINER, **asked}], **changes}
    cut = {"name": "shared", "instanceTypes": ["g6.xlarge"], "maxGpus": 4}
    cut |= {"sharing": {"strategy": "time-slicing", "replicas": 3}, **(pool or {})}
    return bill_of(pools=[cut], workloads=[work], models=GONE, examples=False)


@pytest.mark.parametrize(
    ("asked", "nodes"),
    [
        ({}, 1),
        ({"cpu": "1166m", "memory": "4403Mi"}, 1),
        ({"cpu": "3"}, 3),
        ({"cpu": "1500m"}, 2),
        ({"memory": "7Gi"}, 3),
    ],
)
def test_nodes_are_counted_by_the_scarcest_of_slots_cpu_and_memory(asked: dict[str, str], nodes: int) -> None:
    found = hungry(asked)
    assert expected(found, "always", "GPU nodes, shared") == pytest.approx(nodes * 730 * SPOT_L4)
    assert expected(found, "always", "Volumes, shared") == pytest.approx(nodes * 730 * VOLUME)


def test_what_asks_for_more_than_the_cheapest_node_has_is_on_one_that_holds_it() -> None:
    """A g6.4xlarge has 15500m; on Spot it is 1.3232 x 0.5."""
    found = hungry({"cpu": "10"}, {"instanceTypes": ["g6.xlarge", "g6.4xlarge"]})
    assert "g6.4xlarge" in line(found, "always", "GPU nodes, shared").detail
    assert expected(found, "always", "GPU nodes, shared") == pytest.approx(3 * 730 * 1.3232 / 2)


EIGHT: dict[str, Any] = {"instanceTypes": [f"g6.{size}xlarge" for size in ("", 2, 4, 8)], "maxGpus": 8}
EIGHT |= {"sharing": {"strategy": "time-slicing", "replicas": 8}}


@pytest.mark.parametrize(("cpu", "kind"), [("3", "g6.8xlarge"), ("500m", "g6.2xlarge"), ("400m", "g6.xlarge")])
def test_pods_that_wait_together_are_put_on_one_larger_node(cpu: str, kind: str) -> None:
    """Karpenter does so as long as a type of the pool holds them: eight small nodes would cost three times as much."""
    found = hungry({"cpu": cpu}, EIGHT, replicas=8)
    assert f"730 h of {kind}," in line(found, "always", "GPU nodes, shared").detail


def test_what_comes_now_and_then_makes_no_standing_node_dearer() -> None:
    cut = {**EIGHT, "name": "shared", "maxGpus": 32, "sharing": {"strategy": "time-slicing", "replicas": 4}}
    stays = {**WORKLOAD, "kind": "Deployment", "replicas": 16}
    comes = {**WORKLOAD, "name": "nightly", "kind": "Job", "containers": [{**CONTAINER, "cpu": "12"}]}
    found = bill_of(pools=[cut], workloads=[stays, comes], models=GONE, examples=False)
    assert expected(found, "always", "GPU nodes, shared") == pytest.approx(4 * 730 * SPOT_L4)


def test_nodes_that_always_stand_are_of_the_cheapest_type_whatever_pods_ask_for() -> None:
    mixed = {"instanceTypes": ["g6.xlarge", "g6.8xlarge"], "maxGpus": 4, "static": {"replicas": 2}}
    found = hungry({"cpu": "3"}, mixed, replicas=2)
    assert expected(found, "always", "GPU nodes, shared") == pytest.approx(2 * 730 * SPOT_L4)


def test_pods_that_just_fit_beside_each_other_are_one_node() -> None:
    """Two of 1800m are within the 3710m that a g6.xlarge has where nothing watches its GPU, and beyond the 3500m that
    slots' parts are reckoned with."""
    assert expected(
        hungry({"cpu": "1800m"}, {"maxGpus": 1}, replicas=2), "always", "GPU nodes, shared"
    ) == pytest.approx(730 * SPOT_L4)


def test_volumes_are_never_more_than_the_limit_has_nodes() -> None:
    """On a g6e.xlarge each of the three has a node of its own, on a g6.2xlarge two share one, and a Job has room."""
    types = {"instanceTypes": ["g6.2xlarge", "g6e.xlarge"], "maxGpus": 3}
    work = {**WORKLOAD, "kind": "Deployment", "replicas": 3, "containers": [{**CONTAINER, "cpu": "3"}]}
    job = {**WORKLOAD, "name": "job", "kind": "Job", "replicas": 3}
    cut = {"name": "shared", "sharing": {"strategy": "time-slicing", "replicas": 3}, **types}
    use = {"runsPerMonth": 1000, "hoursPerRun": 5}
    found = bill_of(pools=[cut], workloads=[work, job], models=GONE, examples=False, usage=use)
    volumes = [line(found, part, "Volumes, shared").usd for part in ("always", "on demand")]
    assert sum(each.high for each in volumes if each) == pytest.approx(3 * 730 * VOLUME)


def test_claims_are_counted_by_what_their_pods_ask_of_the_host_too() -> None:
    memory = {"sharing": {"strategy": "memory"}}
    one, three = (hungry({"cpu": cpu}, memory, gpuMemoryMib=3072) for cpu in ("500m", "3"))
    assert expected(one, "always", "GPU nodes, shared") == pytest.approx(730 * SPOT_L4)
    assert expected(three, "always", "GPU nodes, shared") == pytest.approx(3 * 730 * SPOT_L4)


def test_a_knative_service_is_billed_by_use_as_a_model_is() -> None:
    sleeps = {**WORKLOAD, "kind": "KnativeService", "containers": [{**CONTAINER, "ports": [{"containerPort": 8000}]}]}

    def held(stack: StackConfig) -> tuple[object, ...]:
        (found,) = [each for each in consumers(stack) if each.kind == "KnativeService"]
        return found.slots, pytest.approx(found.hours), found.part, found.sleeps

    plain = {"models": [], "examples": False}
    assert held(config(**plain, workloads=[sleeps])) == (1, USED, "on demand", True)
    often = {"each": [{"name": "batch", "hoursPerDay": 2}]}
    assert held(config(**plain, workloads=[sleeps], usage=often)) == (1, 2 * 730 / 24, "on demand", True)
    awake = {**sleeps, "minScale": 2}
    assert held(config(**plain, workloads=[awake])) == (2, 730, "always", False)
    found = bill_of(**plain, workloads=[sleeps])
    assert expected(found, "on demand", "GPU nodes, shared") == pytest.approx(USED * SPOT_L4)
    assert "Images and weights" not in {each.name for each in found.lines}, "of its image nobody knows the size"


def test_the_example_costs_nothing_until_somebody_starts_it() -> None:
    (asleep,) = [each for each in consumers(config()) if each.kind == "example"]
    assert (asleep.slots, asleep.hours) == (1, 0)
    started = config(models=[], usage={"each": [{"name": "cuda-vector-add", "runsPerMonth": 5}]})
    assert [each.hours for each in consumers(started)] == [5]
    assert not consumers(config(models=[], examples=False))


def test_the_ceiling_is_all_gpus_of_the_dearest_type_around_the_clock() -> None:
    """2 x g5.16xlarge on Spot, 2 x 2.00704 x 730, with volumes, and the rest of the bill at its highest."""
    found = bill_of()
    steady = found.of("floor", "traffic and logs")
    assert steady is not None
    assert found.ceiling == pytest.approx(2 * (4.096 * 0.49 + VOLUME) * 730 + steady.high)


def test_the_whole_is_the_sum_of_its_parts() -> None:
    found = bill_of(**{"models[0].minScale": 1})
    assert of(found) == pytest.approx(sum(of(found, part) for part in found.parts))
    usd = found.of()
    assert usd is not None
    assert usd.low < usd.expected < usd.high
    assert found.ceiling is not None


@pytest.mark.usefixtures("few_prices")
def test_a_region_without_data_prices_nothing() -> None:
    changes = {"dialogue": GONE, "budget.monthlyUsd": 1}
    found = billed(parsed(changed(changes), region="us-west-2"))
    assert {each.usd for each in found.lines} == {None}
    assert (found.of(), found.ceiling) == (None, None)


def test_a_budget_under_the_floor_is_an_error() -> None:
    """238.64 stand there; the cent more is enough."""
    (problem,) = problems_of(changed({"budget.monthlyUsd": 238.6}))
    assert problem.path == ("budget", "monthlyUsd")
    assert "the stack costs 238.64 USD a month when nobody uses it, 238.64 of its floor;" in problem.message
    assert not problems_of(changed({"budget.monthlyUsd": 238.65}))


def test_a_budget_under_what_always_runs_is_an_error_too() -> None:
    """On demand: 0.8048 x 730 + 13 = 600.50 on top of the floor. With Spot the least that was seen counts."""
    bought = {"pools[0].instanceFamilies": ["g6"], "models[0].minScale": 1, "budget.monthlyUsd": 800}
    on_demand = {"pools[0].capacityType": "on-demand", "pools[0].onDemand": ON_DEMAND}
    (problem,) = problems_of(changed({**bought, **on_demand}))
    assert "839.14 USD a month when nobody uses it, 238.64 of its floor, and 600.50 of what always" in problem.message
    assert not problems_of(changed(bought))


def test_use_of_nobody_in_a_stack_of_nobody() -> None:
    raw = changed({"models": GONE, "dialogue": GONE, "examples": False, "usage": {"each": [{"name": "mistral"}]}})
    (problem,) = problems_of(raw)
    assert problem.message == "is no model, server or Job of this stack: there are none"


@pytest.mark.parametrize(
    ("entry", "path", "said"),
    [
        ({"name": "mistrel"}, "name", "is no model, server or Job of this stack; did you mean mistral?"),
        ({"name": "mistral", "runsPerMonth": 2}, "runsPerMonth", "which is a model: write hoursPerDay"),
        ({"name": "cuda-vector-add", "hoursPerDay": 2}, "hoursPerDay", "a Job: write runsPerMonth and hoursPerRun"),
        ({"name": "mistral", "hoursPerDay": 4, "hoursPerRun": 2}, "hoursPerRun", "which is a model: remove it"),
        (
            {"name": "nightly", "runsPerMonth": 30, "hoursPerRun": 2},
            "runsPerMonth",
            "which is a CronJob: its schedule says how often it runs; remove it",
        ),
        ({"name": "nightly", "hoursPerDay": 2}, "hoursPerDay", "which is a CronJob: write hoursPerRun"),
        ({"name": "batch", "hoursPerDay": 2}, "hoursPerDay", "a Deployment: its pods are there all the time; remove"),
    ],
)
def test_what_is_said_of_use_must_fit(entry: dict[str, Any], path: str, said: str) -> None:
    nightly = {**WORKLOAD, "name": "nightly", "kind": "CronJob", "schedule": "30 3 * * *"}
    raw = changed({"usage": {"each": [entry]}, "workloads": [WORKLOAD, nightly]})
    (problem,) = problems_of(raw)
    assert problem.path == ("usage", "each", 0, path)
    assert said in problem.message


def test_one_is_named_once() -> None:
    (problem,) = problems_of(changed({"usage": {"each": [{"name": "mistral"}, {"name": "mistral"}]}}))
    assert (problem.path, problem.message) == (("usage", "each", 1, "name"), "is listed twice")


def test_checkpoints_are_paid_for_by_what_is_kept_and_by_what_is_written() -> None:
    job = {
        **WORKLOAD,
        "name": "train",
        "kind": "Job",
        "replicas": 2,
        "checkpoint": {"sizeGb": 10, "intervalMinutes": 5},
    }
    usage = {"runsPerMonth": 4, "hoursPerRun": 20}
    kept = 4 * 2 * 3 * 10 * 0.023
    # Every five minutes of 80 hours, two pods, 150 parts of 64 MiB and four requests beside.
    written = 80 * 12 * 2 * (150 + 4) * 0.005 / 1000
    found = bill_of(workloads=[job], usage=usage)
    assert expected(found, "traffic and logs", "Checkpoints, train") == pytest.approx(kept + written)


@pytest.mark.parametrize(("policy", "hours"), [("Forbid", 730), ("Allow", 1461)])
def test_runs_beside_each_other_write_beside_each_other(policy: str, hours: float) -> None:
    """A run of two hours each hour: twice the hours of a month, of which one run at a time has half."""
    job = {**WORKLOAD, "name": "train", "kind": "CronJob", "schedule": "0 * * * *", "concurrencyPolicy": policy}
    found = bill_of(workloads=[{**job, "checkpoint": {}}], usage={"hoursPerRun": 2})
    kept = 730.5 * 3 * 0.023
    written = hours * 6 * (15 + 4) * 0.005 / 1000
    assert expected(found, "traffic and logs", "Checkpoints, train") == pytest.approx(kept + written, rel=1e-3)


def test_jobs_without_checkpoints_have_no_line_of_them() -> None:
    job = {**WORKLOAD, "kind": "Job"}
    assert not [each for each in bill_of(workloads=[job]).lines if "Checkpoints" in each.name]


def test_nodes_that_always_stand_are_paid_whoever_uses_them() -> None:
    """Two nodes at all hours; models that wake there cost nothing more."""
    static = {"pools[0].maxGpus": 3, "pools[0].static": {"replicas": 2}}
    found = bill_of(**static)
    assert expected(found, "always", "GPU nodes, shared") == pytest.approx(2 * 730 * SPOT_L4, abs=0.005)
    assert expected(found, "always", "Volumes, shared") == pytest.approx(2 * 730 * VOLUME, abs=0.005)
    assert expected(found, "on demand", "GPU nodes, shared") == 0
    assert "free on nodes that always run" in line(found, "on demand", "GPU nodes, shared").detail
    # They have images and weights: nothing starts anew.
    assert "Images and weights" not in {each.name for each in found.lines}
    busy = bill_of(**static, **{"models[0].minScale": 1})
    assert of(busy, "always") == pytest.approx(of(found, "always"))
    # Not more than two of the dearest: the third node is there only while one is replaced.
    two = bill_of(**{"pools[0].maxGpus": 2})
    fetched = [each.usd.high for each in two.lines if each.name in ("Images and weights", "Between zones") and each.usd]
    assert len(fetched) == 2
    assert found.ceiling == pytest.approx((two.ceiling or 0) - sum(fetched))


def test_pools_of_one_reservation_say_that_each_counts_its_own() -> None:
    held = {
        "capacityType": "reserved",
        "onDemand": ON_DEMAND,
        "instanceFamilies": ["g6"],
        "sharing": {"strategy": "none"},
    }
    terms = [[{"id": "cr-0a1b2c3d"}, {"id": "cr-4e5f6a7b"}], [{"id": "cr-4e5f6a7b"}], [{"id": "cr-99999999"}]]
    pools = [
        {"name": name, "maxGpus": 2, "capacityReservationSelectorTerms": each, **held}
        for name, each in zip(("one", "two", "three"), terms, strict=True)
    ]
    stack = changed({"pools[1]": pools[0], "pools[2]": pools[1], "pools[3]": pools[2], "dialogue": GONE})
    found = billed(parsed(stack))
    told = [line(found, "always", f"Reserved capacity, {name}") for name in ("one", "two", "three")]
    assert [each.detail for each in told] == [
        "2 GPUs, paid whether nodes run or not; cr-4e5f6a7b is pool two's too: each counts its own maxGpus",
        "2 GPUs, paid whether nodes run or not; cr-4e5f6a7b is pool one's too: each counts its own maxGpus",
        "2 GPUs, paid whether nodes run or not",
    ]
    assert len({each.usd for each in told}) == 1
