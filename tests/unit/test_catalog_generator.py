"""The generator of the instance catalogue, on small made-up sources."""

import gzip
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tools import catalog_sources, generate_catalog, instances_source
from tools.catalog_sources import SourceError
from twin.machine import go

DAY = re.compile(r'^(GENERATED_ON = "|  "generatedOn": ")[^"]*', re.MULTILINE)
FILES = ["_catalog_data.py", "eu-x-1.json", "us-east-1.json", "us-gov-east-1.json", "us-gov-west-1.json"]
PRICES = """\
package pricing

// generated at 2030-01-02T03:04:05Z for us-east-1

var InitialOnDemandPricesAWS = map[string]map[ec2types.InstanceType]float64{
\t// us-east-1
\t"us-east-1": {
\t\t// g9 family
\t\t"g9.2xlarge": 2.500000, "g9.xlarge": 1.250000, "m8g.2xlarge": 0.300000, "m8g.8xlarge": 1.200000,
\t\t"m8g.large": 0.080000, "c5.large": 0.085000, "c7i-flex.large": 0.084790, "t4g.small": 0.016800,
\t\t"c6g.medium": 0.034000, "u-6tb1.metal": 50.000000, "mac2.metal": 0.650000,
\t},
}
"""
GOV_PRICES = """\
package pricing

// generated at 2030-01-01T03:04:05Z for us-east-1

var InitialOnDemandPricesUSGov = map[string]map[ec2types.InstanceType]float64{
\t// us-gov-east-1
\t"us-gov-east-1": {
\t\t"m8g.large": 0.099000,
\t},
\t"us-gov-west-1": {
\t\t"m8g.large": 0.098000, "g9.xlarge": 1.500000,
\t},
}
"""


def linux(on_demand: float, *spot: float, band: str = "<5%") -> dict[str, Any]:
    """What ec2instances.info says of a type in a region."""
    asked = {"spot": [f"{usd:f}" for usd in spot]} if spot else {}
    return {"linux": {"ondemand": f"{on_demand:g}", "pct_interrupt": band, **asked}}


#: us-east-1 and GovCloud have newer prices: of g9.2xlarge another one, of g9.4xlarge none.
INSTANCES = {
    "g9.xlarge": {
        "eu-x-1": linux(1.5, 0.7, 0.6, 0.9, band=">20%"),
        "us-east-1": linux(1.25, 0.5),
        "us-gov-west-1": linux(1.5),
        "eu-x-1-wl1": linux(1.9),
        "elsewhere-1": linux(1.4),
    },
    "g9.2xlarge": {"eu-x-1": linux(4.0, 1.0), "us-east-1": linux(3.5, 1.0)},
    "g9.4xlarge": {"eu-x-1": linux(8.0, 2.0)},
    "m8g.large": {"eu-x-1": linux(0.09, 0.05, 0.04), "us-east-1": linux(0.08, 0.03)},
    "c7i-flex.large": {"eu-x-1": linux(0.1, 0.05), "us-east-1": linux(0.08479, 0.03)},
}


def described(name: str = "L9 Pro", *, count: int = 1, maker: str = "NVIDIA", nvme: int | None = 250) -> dict[str, Any]:
    """An answer of DescribeInstanceTypes with one kind of GPU."""
    info: dict[str, Any] = {
        "GpuInfo": {"Gpus": [{"Name": name, "Manufacturer": maker, "Count": count, "MemoryInfo": {"SizeInMiB": 1000}}]},
        "ProcessorInfo": {"SupportedArchitectures": ["arm64"]},
        "VCpuInfo": {"DefaultVCpus": 4},
        "MemoryInfo": {"SizeInMiB": 8192},
    }
    return info if nvme is None else info | {"InstanceStorageInfo": {"TotalSizeInGB": nvme}}


def offer(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"InstanceType": name, "Location": zone} for name, zone in pairs]


class Sources:
    """Made-up sources on disk and a repository to write into; `run` is the command on them."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "repository"
        self.moto = folder / "moto"
        self.karpenter = folder / "karpenter@v9.9.9"
        (self.root / "gpu").mkdir(parents=True)
        self.types(
            {
                "g9.2xlarge": described(count=2),
                "g9.xlarge": described(),
                "g9f.large": described(count=0),
                "g4ad.xlarge": described("Radeon", maker="AMD"),
                "m8g.large": {"MemoryInfo": {"SizeInMiB": 8192}},
            }
        )
        self.offerings("eu-x-1", offer(("g9.xlarge", "eux1-az1")))
        self.offerings(
            "us-x-1", offer(("g9.xlarge", "usx1-az3"), ("g9.2xlarge", "usx1-az1"), ("g9.xlarge", "usx1-az1"))
        )
        self.prices(PRICES)
        self.prices(GOV_PRICES, "aws_us_gov")
        self.instances = folder / "instances"
        self.seen(INSTANCES)

    def seen(self, content: Mapping[str, Any]) -> None:
        (self.instances / "data").mkdir(parents=True, exist_ok=True)
        rows = [{"instance_type": name, "pricing": pricing} for name, pricing in content.items()]
        (self.instances / "data" / "instances.json").write_text(json.dumps(rows))

    def folders(self) -> generate_catalog.Sources:
        return generate_catalog.Sources(
            moto=self.moto, moto_version="5.0", karpenter=self.karpenter, instances=self.instances
        )

    def _json(self, name: str, content: object) -> None:
        path = self.moto / "ec2" / "resources" / f"{name}.json.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(json.dumps(content).encode()))

    def types(self, content: object) -> None:
        self._json("instance_types", content)

    def offerings(self, region: str, content: object) -> None:
        self._json(f"instance_type_offerings/availability-zone-id/{region}", content)

    def prices(self, text: str, partition: str = "aws") -> None:
        path = self.karpenter / "pkg" / "providers" / "pricing" / f"zz_generated.pricing_{partition}.go"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def arguments(self, *more: str) -> list[str]:
        folders = ["--moto-dir", str(self.moto), "--karpenter-dir", str(self.karpenter), "--root", str(self.root)]
        return [*folders, "--instances-dir", str(self.instances), "--moto-version", "5.0", *more]

    def run(self, *more: str) -> int:
        return generate_catalog.main(self.arguments(*more))

    def written(self, name: str) -> dict[str, Any]:
        module: dict[str, Any] = {"__name__": name}  # a name is what NamedTuple asks for
        exec((self.root / "gpu" / name).read_text(), module)
        return module

    def region(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / "gpu" / "price_data" / f"{name}.json").read_text())
        return found

    def texts(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted((self.root / "gpu").rglob("*.*"))}


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


def test_rows_hold_what_the_sources_say(sources: Sources) -> None:
    assert sources.run() == 0
    catalog = sources.written("_catalog_data.py")
    zones = {"eu-x-1": ("eux1-az1",), "us-x-1": ("usx1-az1", "usx1-az3")}
    assert [tuple(row) for row in catalog["ROWS"]] == [
        ("g9.xlarge", "g9", 9, "arm64", "l9-pro", 1, 1000, 4, 8192, 250, zones),
        ("g9.2xlarge", "g9", 9, "arm64", "l9-pro", 2, 1000, 4, 8192, 250, {"us-x-1": ("usx1-az1",)}),
    ]
    assert catalog["SOURCES"] == (("moto", "5.0"),)


def test_cpu_prices_are_those_pools_can_use(sources: Sources) -> None:
    """Too old, too large and other categories stay out; sizes go up within a family, and types with GPUs follow."""
    assert sources.run() == 0
    prices = sources.region("us-east-1")["linuxUsdPerHour"]
    expected = {
        "c6g.medium": 0.034,
        "c7i-flex.large": 0.08479,
        "m8g.large": 0.08,
        "m8g.2xlarge": 0.3,
        "t4g.small": 0.0168,
        "g9.xlarge": 1.25,
        "g9.2xlarge": 2.5,
    }
    assert list(prices.items()) == list(expected.items())


def test_each_region_that_a_table_has_is_a_file_of_its_own(sources: Sources) -> None:
    assert sources.run() == 0
    assert sorted(sources.texts()) == FILES
    west = sources.region("us-gov-west-1")
    assert west["linuxUsdPerHour"] == {"m8g.large": 0.098, "g9.xlarge": 1.5}
    assert (west["pricesDate"], west["sourceVersion"]) == ("2030-01-01", "v9.9.9")
    assert west["source"] == catalog_sources.KARPENTER_MODULE
    assert sources.region("us-gov-east-1")["linuxUsdPerHour"] == {"m8g.large": 0.099}
    assert sources.region("us-east-1")["pricesDate"] == "2030-01-02"


def test_the_file_of_a_region_that_the_source_has_lost_goes(
    sources: Sources, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sources.run() == 0
    sources.prices(GOV_PRICES.replace("us-gov-west-1", "us-gov-south-1"), "aws_us_gov")
    capsys.readouterr()
    assert sources.run("--check") == 1
    stale = "gpu/price_data/us-gov-south-1.json, gpu/price_data/us-gov-west-1.json"
    assert capsys.readouterr().err == f"stale: {stale}; run: make catalog\n"
    # The rest is written anew too, with the day.
    assert (sources.run(), sources.run("--check")) == (0, 0)
    assert "us-gov-south-1.json" in sources.texts()
    assert "us-gov-west-1.json" not in sources.texts()


def test_regions_without_newer_prices_have_those_of_an_older_day(sources: Sources) -> None:
    """What has moved since in us-east-1, and what nobody can hold against a newer price, is left out."""
    assert sources.run() == 0
    there = sources.region("eu-x-1")
    assert list(there["linuxUsdPerHour"].items()) == [("c7i-flex.large", 0.1), ("m8g.large", 0.09), ("g9.xlarge", 1.5)]
    assert (there["source"], there["pricesDate"]) == (instances_source.SOURCE, "2025-05-28")
    assert "MIT" in there["licence"]
    assert there["spot"]["usdPerHour"] == {"m8g.large": [0.04, 0.05], "g9.xlarge": [0.6, 0.7, 0.9]}
    assert (there["spot"]["date"], there["spot"]["days"]) == ("2025-05-28", 0)
    types = {band: names for band, names in there["interruptions"]["types"].items() if names}
    assert types == {"<5%": ["m8g.large"], ">20%": ["g9.xlarge"]}


def test_a_region_with_newer_prices_has_only_spot_of_the_older_day(sources: Sources) -> None:
    """Only regions of the catalogue that offer the types have any."""
    sources.offerings("us-east-1", offer(("g9.xlarge", "use1-az1")))
    assert sources.run() == 0
    here = sources.region("us-east-1")
    assert (here["source"], here["linuxUsdPerHour"]["g9.xlarge"]) == (catalog_sources.KARPENTER_MODULE, 1.25)
    assert here["spot"]["usdPerHour"] == {"m8g.large": [0.03], "g9.xlarge": [0.5]}
    assert sorted(sources.texts()) == FILES


def test_absurd_prices_are_left_out_and_told(sources: Sources, capsys: pytest.CaptureFixture[str]) -> None:
    content = {**INSTANCES, "m8g.large": {"eu-x-1": linux(0.09, 0.001, 0.04), "us-east-1": linux(0.08)}}
    more = {f"c7g.{size}": {"eu-x-1": linux(0.09, 0.04), "us-east-1": linux(0.08)} for size in ("large", "xlarge")}
    sources.prices(PRICES.replace('"c5.large"', '"c7g.large": 0.08, "c7g.xlarge": 0.08, "c5.large"'))
    sources.seen({**content, **more})
    assert sources.run() == 0
    assert "left out, eu-x-1: m8g.large in zone 1: 0.001 USD is less than 1/20" in capsys.readouterr().out
    assert sources.region("eu-x-1")["spot"]["usdPerHour"]["m8g.large"] == [0.04]


@pytest.mark.parametrize("text", ["", "{}", '[{"instance_type": "g9.xlarge"}]', "[]"])
def test_instances_that_cannot_be_read(sources: Sources, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (sources.instances / "data" / "instances.json").write_text(text)
    assert_refused(sources, capsys, "instances.json")


def test_a_region_in_two_tables_is_refused(sources: Sources, capsys: pytest.CaptureFixture[str]) -> None:
    sources.prices(GOV_PRICES.replace("us-gov-west-1", "us-east-1"), "aws_us_gov")
    assert_refused(sources, capsys, "us-east-1 has prices in another table too")


def test_a_type_without_zones_or_disk_stays_and_says_so() -> None:
    row = catalog_sources.parse_gpu_type("p9-x1.48xlarge", described(nvme=None), {})
    assert row is not None
    text = generate_catalog.render_catalog([row], "5.0", "2030-01-03")
    assert '    Row("p9-x1.48xlarge", "p9-x1", 9, "arm64", "l9-pro", 1, 1000, 4, 8192, 0, _P9_X1),' in text
    assert "_P9_X1: Zones = {}" in text


def test_same_sources_give_the_same_files_in_whatever_order_they_list(sources: Sources) -> None:
    first = generate_catalog.generate(sources.folders(), "2030-01-03")
    sources.offerings("us-x-1", offer(("g9.2xlarge", "usx1-az1"), ("g9.xlarge", "usx1-az1"), ("g9.xlarge", "usx1-az3")))
    sources.types({"g9.xlarge": described(), "g9.2xlarge": described(count=2)})
    assert generate_catalog.generate(sources.folders(), "2030-01-03") == first


def test_the_date_stays_until_a_source_changes(sources: Sources) -> None:
    assert sources.run() == 0
    for path in (sources.root / "gpu").rglob("*.*"):
        path.write_text(DAY.sub(r"\g<1>2001-01-01", path.read_text()))
    assert (sources.run("--check"), sources.run()) == (0, 0)
    assert sources.region("us-gov-west-1")["generatedOn"] == "2001-01-01"

    sources.prices(PRICES.replace('"g9.xlarge": 1.25', '"g9.xlarge": 1.20'))
    assert sources.run() == 0
    days = {sources.written("_catalog_data.py")["GENERATED_ON"], sources.region("us-east-1")["generatedOn"]}
    assert len(days) == 1
    assert "2001-01-01" not in days


def test_check_shows_what_is_stale_and_writes_nothing(sources: Sources, capsys: pytest.CaptureFixture[str]) -> None:
    assert sources.run("--check") == 1
    assert sources.texts() == {}

    assert sources.run() == 0
    sources.prices(PRICES.replace('"m8g.large": 0.080000', '"m8g.large": 0.070000'))
    before = sources.texts()
    capsys.readouterr()
    assert sources.run("--check") == 1
    output = capsys.readouterr()
    assert '-    "m8g.large": 0.08, "m8g.2xlarge": 0.3,\n+    "m8g.large": 0.07, "m8g.2xlarge": 0.3,' in output.out
    # Elsewhere its price is no longer believed: it has moved since.
    assert output.err == "stale: gpu/price_data/eu-x-1.json, gpu/price_data/us-east-1.json; run: make catalog\n"
    assert sources.texts() == before


def test_generated_files_pass_the_formatter_unchanged(sources: Sources) -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None:
        pytest.skip("ruff is not installed beside this Python")
    sources.types({f"g{number}.large": described("RTX-" + "X" * number) for number in range(1, 80)})
    assert sources.run() == 0
    text = sources.texts()["_catalog_data.py"]
    for layout in (r'    Row\("g', r'    Row\(\n        "g\d+\.large", ', r'    Row\(\n        "g\d+\.large",\n'):
        assert re.search(layout, text), "the rows are to be short, too long for a line, and too long for two"
    settings = ["--config", str(generate_catalog.ROOT / "pyproject.toml"), "--no-cache"]
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run([ruff, *command, *settings, sources.root], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def broken(**changes: object) -> dict[str, Any]:
    return described() | changes


BAD_TYPES = {
    "no list of types": ([], "expected an object by name, found list"),
    "not a description": ({"g9.xlarge": "large"}, "instance type g9.xlarge: unexpected shape"),
    "no GPU at all": ({"m8g.large": {}}, "no type with an NVIDIA GPU"),
    "no memory": ({"g9.xlarge": broken(MemoryInfo={})}, "instance type g9.xlarge: no or unknown 'SizeInMiB'"),
    "words for a number": ({"g9.xlarge": broken(VCpuInfo={"DefaultVCpus": "four"})}, "unexpected shape: invalid lit"),
    "unknown architecture": (
        {"g9.xlarge": broken(ProcessorInfo={"SupportedArchitectures": ["riscv"]})},
        "instance type g9.xlarge: no or unknown 'riscv'",
    ),
    "two architectures": (
        {"g9.xlarge": broken(ProcessorInfo={"SupportedArchitectures": ["arm64", "x86_64"]})},
        "instance type g9.xlarge: unexpected shape: too many values",
    ),
    "two kinds of GPU": (
        {"g9.xlarge": broken(GpuInfo={"Gpus": [{"Manufacturer": "NVIDIA"}, {"Manufacturer": "AMD"}]})},
        "instance type g9.xlarge: expected one kind of GPU, found 2",
    ),
    "no generation": ({"gpu.large": described()}, "instance type 'gpu.large' does not read as"),
}
BAD_PRICES = {
    "empty file": ("", "no 'generated at' line or no prices of a region"),
    "no date": (PRICES.replace("generated at", "made on"), "no 'generated at' line"),
    "no region": (PRICES.replace('"us-east-1": {', '"us-east-1": ('), "no prices of a region"),
    "unreadable entry": (PRICES.replace("2.500000", "expensive"), "cannot read every entry"),
    "no entries": (re.sub(r'"[a-z0-9.-]+": [0-9.]+,', "", PRICES), "holds no prices"),
    "for nothing": (PRICES.replace("2.500000", "0.000000"), "one that is not above 0"),
}


def assert_refused(sources: Sources, capsys: pytest.CaptureFixture[str], message: str) -> None:
    """The command ends with exit code 2 and one line on stderr, and leaves no file behind."""
    assert sources.run() == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert message in output.err
    assert sources.texts() == {}


@pytest.mark.parametrize(("content", "message"), BAD_TYPES.values(), ids=BAD_TYPES.keys())
def test_bad_instance_types(
    sources: Sources, capsys: pytest.CaptureFixture[str], content: object, message: str
) -> None:
    sources.types(content)
    assert_refused(sources, capsys, message)


@pytest.mark.parametrize(("text", "message"), BAD_PRICES.values(), ids=BAD_PRICES.keys())
def test_bad_prices(sources: Sources, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    sources.prices(text)
    assert_refused(sources, capsys, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [([{"InstanceType": "g9.xlarge"}], "offerings of us-x-1: an entry has no 'Location'"), (7, "unexpected shape")],
)
def test_bad_offerings(sources: Sources, capsys: pytest.CaptureFixture[str], content: object, message: str) -> None:
    sources.offerings("us-x-1", content)
    assert_refused(sources, capsys, message)


def test_missing_or_damaged_sources(sources: Sources, capsys: pytest.CaptureFixture[str]) -> None:
    types = sources.moto / "ec2" / "resources" / "instance_types.json.gz"
    types.write_bytes(types.read_bytes()[:40])
    assert_refused(sources, capsys, f"cannot read {types}")
    types.write_bytes(b"not gzip")
    assert_refused(sources, capsys, f"cannot read {types}")
    types.unlink()
    assert_refused(sources, capsys, "No such file")
    sources.types({"g9.xlarge": described()})
    shutil.rmtree(types.parent / "instance_type_offerings")
    assert_refused(sources, capsys, "no zone offerings")


def test_missing_price_table_and_version(sources: Sources, capsys: pytest.CaptureFixture[str]) -> None:
    sources.karpenter = sources.karpenter.rename(sources.karpenter.with_name("karpenter"))
    assert_refused(sources, capsys, "must keep Go's name with the version")
    shutil.rmtree(sources.karpenter)
    assert_refused(sources, capsys, "cannot read the price table")


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match=r"moto is not installed"):
        catalog_sources.find_moto()
    monkeypatch.setattr(go, "find_go", lambda _: None)
    monkeypatch.setattr(go, "REQUIREMENTS", tmp_path / "none.txt")
    with pytest.raises(SourceError, match=r"^Go 1\.\S+ or newer is needed; .*; or name the modules' folders"):
        catalog_sources.download_karpenter()


def test_command_works_from_another_folder(sources: Sources, tmp_path: Path) -> None:
    command = [sys.executable, generate_catalog.__file__, *sources.arguments()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(sources.texts()) == FILES
