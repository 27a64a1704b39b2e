"""What a stack needs of the quotas, held against other arithmetic and EC2's own descriptions."""

from __future__ import annotations

import itertools

import boto3
import pytest
from moto import mock_aws

from account.preflight import quotas
from account.preflight.quotas import gpu_quota, graviton_vcpus, most_vcpus, needs
from config.schema import StackConfig
from gpu.catalog import FAMILIES, INSTANCE_TYPES, types_in
from gpu.prices import named_types
from plan.figures import figures
from tests.unit.account.ready import ready_plan
from tests.unit.account.test_reservations import BLOCK, STACK


def most_by_trying(names: list[str], max_gpus: int) -> int:
    """Every number of every type."""
    types = [INSTANCE_TYPES[name] for name in names]
    counts = [range(max_gpus // t.gpu_count + 1) for t in types]
    return max(
        sum(n * t.vcpus for n, t in zip(chosen, types, strict=True))
        for chosen in itertools.product(*counts)
        if sum(n * t.gpu_count for n, t in zip(chosen, types, strict=True)) <= max_gpus
    )


@pytest.mark.parametrize("max_gpus", range(1, 18))
@pytest.mark.parametrize(
    "names", [["g6.xlarge", "g6.16xlarge"], ["g6.12xlarge", "g6.xlarge"], ["g6.48xlarge", "g6.12xlarge", "g6.4xlarge"]]
)
def test_the_most_is_what_trying_everything_finds(names: list[str], max_gpus: int) -> None:
    assert most_vcpus([INSTANCE_TYPES[name] for name in names], max_gpus) == most_by_trying(names, max_gpus)


def test_a_pool_that_may_have_no_node_needs_nothing() -> None:
    assert most_vcpus(types_in(names=["p5.48xlarge"]), 4) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_counts_somewhere(family: str) -> None:
    on_demand, spot = gpu_quota(family, "on-demand"), gpu_quota(family, "spot")
    assert on_demand is (quotas.ON_DEMAND_G if family.startswith("g") else quotas.ON_DEMAND_P)
    expected = {
        "g": quotas.SPOT_G,
        "p3": quotas.SPOT_P4,
        "p4": quotas.SPOT_P4,
        "p5": quotas.SPOT_P5,
        "p6": None,
    }
    assert spot is expected["g" if family.startswith("g") else family[:2]]


def test_graviton_sizes_are_ec2s() -> None:
    with mock_aws():
        pages = boto3.client("ec2", region_name="us-east-1").get_paginator("describe_instance_types").paginate()
        known = {t["InstanceType"]: t["VCpuInfo"]["DefaultVCpus"] for page in pages for t in page["InstanceTypes"]}
    sizes = ("large", "xlarge", "2xlarge", "4xlarge")
    ours = [
        name
        for name in named_types() - INSTANCE_TYPES.keys()
        if "g" in name.split(".")[0][2:] and name.split(".")[1] in sizes
    ]
    compared = {name: (graviton_vcpus(name), known[name]) for name in ours if name in known}
    assert len(compared) > 40
    assert {name: pair for name, pair in compared.items() if pair[0] != pair[1]} == {}


@pytest.mark.parametrize("config", [STACK, BLOCK], ids=["reservation", "block"])
def test_what_is_reserved_needs_no_more_of_a_quota(config: StackConfig) -> None:
    found = needs(config, figures(config))
    assert [pool.purchase for pool in config.gpu_pools.values()] == ["reserved"]
    assert not {quotas.ON_DEMAND_G, quotas.ON_DEMAND_P} & found.keys()


def test_the_stack_that_has_everything() -> None:
    figures = ready_plan().figures
    assert figures
    found = {quota.code: (need.least, need.most) for quota, need in needs(figures.config, figures).items()}
    assert found == {
        "L-3819A6DF": (4 + 4, 4 * 64 + 2 * 64),  # p and q: g6.xlarge at least, x.16xlarge at most
        "L-C4BD4855": (16, 16),
        "L-DB2E81BA": (4, 4),
        "L-34B43A08": (2, 64),
        "L-1216C47A": (2 * 2, 3 * 2 + 64),
    }
