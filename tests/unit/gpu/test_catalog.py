"""The catalogue as the domain sees it: every type and GPU is what its family says."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import moto
import pytest

from gpu import catalog, gpus
from gpu.catalog import (
    CAPACITY_BLOCK_FAMILIES,
    FAMILIES,
    INSTANCE_TYPES,
    LEFT_OUT_FAMILIES,
    REGIONS,
    UNSUPPORTED_FAMILIES,
    InstanceType,
    types_in,
)
from gpu.prices import of, priced_regions
from gpu.sharing.mps import max_mps_clients
from tests.unit.gpu.support import GPUS, TYPES

#: GPUs, and what EC2 and Karpenter do not tell: product, compute capability, MIG (NVIDIA's and AWS's documentation).
KNOWN = {
    ("t4", 16384): ("NVIDIA T4", 7.5, False),
    ("t4g", 16384): ("NVIDIA T4G", 7.5, False),
    ("v100", 32768): ("NVIDIA V100", 7.0, False),
    ("a10g", 22888): ("NVIDIA A10G", 8.6, False),
    ("l4", 22888): ("NVIDIA L4", 8.9, False),
    ("l40s", 45776): ("NVIDIA L40S", 8.9, False),
    ("a100", 40960): ("NVIDIA A100", 8.0, True),
    ("a100", 81920): ("NVIDIA A100", 8.0, True),
    ("h100", 81920): ("NVIDIA H100", 9.0, True),
    ("h200", 144384): ("NVIDIA H200", 9.0, True),
    ("b200", 183359): ("NVIDIA B200", 10.0, True),
    ("b300", 275040): ("NVIDIA B300", 10.3, True),
    ("rtx-pro-4500", 32768): ("NVIDIA RTX PRO 4500", 12.0, False),  # has MIG, but its family is not supported
    ("rtx-pro-server-6000", 98304): ("NVIDIA RTX PRO 6000", 12.0, True),
}


def test_every_gpu_is_known() -> None:
    facts = {(gpu.name, gpu.memory_mib): (gpu.product, gpu.compute_capability, bool(gpu.mig_profiles)) for gpu in GPUS}
    assert facts == KNOWN


def test_one_mps_server_takes_48_clients_but_on_volta() -> None:
    assert {gpu.name: max_mps_clients(gpu) for gpu in GPUS if max_mps_clients(gpu) != 48} == {"v100": 16}


@pytest.mark.parametrize("instance_type", TYPES, ids=lambda t: t.name)
def test_types_are_sound(instance_type: InstanceType) -> None:
    assert instance_type.name == f"{instance_type.family}.{instance_type.size}"
    assert INSTANCE_TYPES[instance_type.name] is instance_type
    assert instance_type in FAMILIES[instance_type.family]
    assert instance_type.arch == ("arm64" if instance_type.family == "g5g" else "amd64")
    assert instance_type.gpu_count in (1, 2, 4, 8)
    assert instance_type.generation == int(re.sub(r"\D*(\d+).*", r"\1", instance_type.family))
    assert instance_type.zone_ids.keys() <= REGIONS
    for region in priced_regions():
        price = of(region).node_usd_per_hour(instance_type.name, "on-demand")
        assert price is None or 0.2 < price / instance_type.gpu_count < 25


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_one_gpu_and_grows(family: str) -> None:
    types = FAMILIES[family]
    assert {t.family for t in types} == {family}
    assert len({(t.gpu, t.arch, t.generation) for t in types}) == 1
    assert [t.vcpus for t in types] == sorted(t.vcpus for t in types)


def test_unsupported_families_are_in_the_catalogue() -> None:
    """Otherwise nobody would read why."""
    assert UNSUPPORTED_FAMILIES.keys() <= FAMILIES.keys()


def test_the_table_of_gpus_has_those_of_the_catalogue() -> None:
    assert set(gpus.GPUS) == {(t.gpu.name, t.gpu.memory_mib) for t in INSTANCE_TYPES.values()}


def test_fractions_of_a_gpu_are_left_out() -> None:
    assert not {"g6f", "gr6f"} & FAMILIES.keys()


def test_types_are_found_by_family_and_by_name() -> None:
    assert [t.name for t in types_in(["gr6"])] == ["gr6.4xlarge", "gr6.8xlarge"]
    assert [t.name for t in types_in(names=["p5.4xlarge", "g4dn.xlarge"])] == ["g4dn.xlarge", "p5.4xlarge"]
    assert [t.name for t in types_in(["gr6"], ["gr6.4xlarge", "p5.4xlarge"])] == [
        "gr6.4xlarge",
        "gr6.8xlarge",
        "p5.4xlarge",
    ]
    assert types_in() == ()


@pytest.mark.parametrize(("families", "names"), [(["g9"], []), ([], ["g6.huge"]), (["g6.xlarge"], [])])
def test_unknown_families_and_names_are_refused(families: list[str], names: list[str]) -> None:
    with pytest.raises(ValueError, match="is called"):
        types_in(families, names)


def test_the_catalogue_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        INSTANCE_TYPES["g6.xlarge"] = INSTANCE_TYPES["g5.xlarge"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        INSTANCE_TYPES["g6.xlarge"].gpu_count = 4  # type: ignore[misc]


def test_its_date_is_one() -> None:
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", catalog.GENERATED_ON)


def test_the_families_of_capacity_blocks_are_those_that_ec2_tells_of() -> None:
    """EC2's own answer to DescribeInstanceTypes, as moto has it."""
    kept = Path(moto.__file__).parent / "ec2" / "resources" / "instance_types.json.gz"
    told = json.loads(gzip.decompress(kept.read_bytes()))
    sold = {name for name, each in told.items() if "capacity-block" in each["SupportedUsageClasses"]}
    assert {t.name for family in CAPACITY_BLOCK_FAMILIES for t in FAMILIES[family]} == sold & INSTANCE_TYPES.keys()


def test_what_is_left_out_is_not_there() -> None:
    """Fails when the source has learned of a family: then it is one of the catalogue."""
    assert not LEFT_OUT_FAMILIES.keys() & FAMILIES.keys()
