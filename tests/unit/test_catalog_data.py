"""The committed instance catalogue and prices: against their sources where these are here, and against the web."""

import re
from operator import attrgetter

import pytest

from gpu import _catalog_data
from gpu.catalog import INSTANCE_TYPES, REGIONS
from gpu.prices import of, priced_regions
from tools import catalog_sources, generate_catalog, instances_source
from tools.catalog_sources import SourceError


def test_committed_rows_equal_moto() -> None:
    try:
        moto, version = catalog_sources.find_moto()
    except SourceError as error:
        pytest.skip(f"cannot compare the committed catalogue with its source: {error}")
    assert dict(_catalog_data.SOURCES)["moto"] == version, "moto has another version: run make catalog"
    fields = ("name", "arch", "gpu", "gpu_count", "gpu_memory_mib", "vcpus", "memory_mib", "local_nvme_gb", "zone_ids")
    values = attrgetter(*fields)
    assert [values(row) for row in _catalog_data.ROWS] == [values(row) for row in catalog_sources.read_moto(moto)]


@pytest.mark.go
@pytest.mark.parts  # reads 96 MB
def test_committed_files_are_current(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GOPROXY", "off")  # what Go has in its cache, or nothing
    try:
        folder, instances = catalog_sources.download_karpenter(), instances_source.download_instances()
        catalog_sources.find_moto()
    except SourceError as error:
        pytest.skip(f"cannot compare the committed prices with their source: {error}")
    arguments = ["--check", "--karpenter-dir", str(folder), "--instances-dir", str(instances)]
    assert generate_catalog.main(arguments) == 0, capsys.readouterr().out


# Label values, whole GPUs and MiB of each as Karpenter's own table of instance types lists them (website of v1.14,
# reference/instance-types, 2026-07-20, built from live DescribeInstanceTypes answers), and that day's us-east-1 price.
# A second opinion on what was generated: on a refresh, take changed prices from that table, not from our file.
PUBLISHED = {
    "g4dn.xlarge": ("t4", 1, 16384, 0.526),
    "g4dn.metal": ("t4", 8, 16384, 7.824),
    "g5.12xlarge": ("a10g", 4, 22888, 5.672),
    "g5g.16xlarge": ("t4g", 2, 16384, 2.744),
    "g6.xlarge": ("l4", 1, 22888, 0.8048),
    "gr6.4xlarge": ("l4", 1, 22888, 1.5392),
    "g6e.48xlarge": ("l40s", 8, 45776, 30.13118),
    "g7e.2xlarge": ("rtx-pro-server-6000", 1, 98304, 3.36312),
    "p4d.24xlarge": ("a100", 8, 40960, 21.957642),
    "p4de.24xlarge": ("a100", 8, 81920, 27.44705),
    "p5.4xlarge": ("h100", 1, 81920, 6.88),
    "p5e.48xlarge": ("h200", 8, 144384, None),
    "p6-b200.48xlarge": ("b200", 8, 183359, 113.9328),
    "p6-b300.48xlarge": ("b300", 8, 275040, 142.416),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_committed_rows_equal_the_published_table(name: str) -> None:
    (row,) = [row for row in _catalog_data.ROWS if row.name == name]
    price = of("us-east-1").node_usd_per_hour(name, "on-demand")
    assert (row.gpu, row.gpu_count, row.gpu_memory_mib, price) == PUBLISHED[name]


def test_committed_prices_equal_published_ones() -> None:
    prices = of("us-east-1").on_demand
    published = {
        "m7g.large": 0.0816,
        "m7g.xlarge": 0.1632,
        "m8g.large": 0.08976,
        "t3.medium": 0.0416,
        "c7g.large": 0.0725,
    }
    assert {name: prices[name] for name in published} == published


def test_committed_prices_are_sound() -> None:
    """Each region is priced on a day that is known, and has types of both kinds."""
    assert {*priced_regions()} & REGIONS, "no stack would be priced"
    for region in priced_regions():
        prices = of(region)
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", prices.on_demand_date or "")
        assert prices.on_demand_source.startswith((catalog_sources.KARPENTER_MODULE, instances_source.SOURCE))
        assert min(prices.on_demand.values()) > 0
        assert prices.on_demand.keys() & INSTANCE_TYPES.keys()
        assert prices.on_demand.keys() - INSTANCE_TYPES.keys()


def test_committed_rows_are_sound() -> None:
    """What the domain takes for granted: names are unique, zones belong to their region, figures are above 0."""
    rows = _catalog_data.ROWS
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.name.startswith(f"{row.family}.")
        assert min(row.gpu_count, row.gpu_memory_mib, row.vcpus, row.memory_mib, row.generation) > 0
        assert row.zone_ids
        for zones in row.zone_ids.values():
            assert all(re.fullmatch(r"[a-z]{2,4}\d-az\d", zone) for zone in zones)
            assert len({zone.split("-")[0] for zone in zones}) == 1
