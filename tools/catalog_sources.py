"""Read the sources of the instance catalogue: moto's EC2 data and the Karpenter AWS provider's price table."""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from versions import KARPENTER_VERSION

KARPENTER_MODULE = "github.com/aws/karpenter-provider-aws"
# Tables of prices in USD. China's beside them are in yuan, and are left out.
PRICES_FILES = tuple(
    Path("pkg/providers/pricing", f"zz_generated.pricing_{partition}.go") for partition in ("aws", "aws_us_gov")
)

# Karpenter's own rule for the labels instance-category and instance-generation (pkg/providers/instancetype/types.go).
TYPE_SCHEME = re.compile(r"^([a-z]+)(?:-[0-9]+tb)?([0-9]+)[^.]*\.([a-z0-9-]+)$")
ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
# Node sizes that system nodes and CPU pools use; larger ones are never planned here.
CPU_SIZES = ("nano", "micro", "small", "medium", "large", "xlarge", "2xlarge", "3xlarge", "4xlarge")
# First generation priced, by instance category. The t category ends at 4.
CPU_MIN_GENERATION = {"c": 6, "m": 6, "r": 6, "t": 3}

Zones = Mapping[str, tuple[str, ...]]


class SourceError(Exception):
    """A source is missing, or does not look as expected. The message says which and what to do."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """On-demand Linux prices of one region in USD per hour, with the day they were fetched (ISO 8601)."""

    region: str
    usd_per_hour: Mapping[str, float]
    date: str


@dataclass(frozen=True, kw_only=True)
class GpuType:
    """One instance type with whole NVIDIA GPUs, as EC2 describes it. Memory is in MiB, local NVMe in GB."""

    name: str
    arch: str
    gpu: str
    gpu_count: int
    gpu_memory_mib: int
    vcpus: int
    memory_mib: int
    local_nvme_gb: int
    zone_ids: Zones


def karpenter_label(value: str) -> str:
    """Karpenter's label value for an EC2 name, as its ``lowerKabobCase`` does: ``RTX PRO 4500`` is ``rtx-pro-4500``."""
    return value.replace(" ", "-").lower()


def category_and_generation(name: str) -> tuple[str, int]:
    """Karpenter's instance category and generation: ``("g", 6)`` for ``g6e.xlarge``. Raises SourceError."""
    match = TYPE_SCHEME.match(name)
    if not match:
        raise SourceError(f"instance type {name!r} does not read as <category><generation>….<size>")
    return match[1], int(match[2])


def read_gzip_json(path: Path) -> Any:
    """The JSON in a gzip file. Raises SourceError when it is missing or damaged."""
    try:
        return json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError) as error:
        raise SourceError(f"cannot read {path}: {error}") from error


def parse_gpu_type(name: str, info: Mapping[str, Any], zone_ids: Zones) -> GpuType | None:
    """The row of one ``DescribeInstanceTypes`` answer, or None for types without a whole NVIDIA GPU.

    Fractional types (g6f, gr6f: EC2 reports count 0) are left out: their slices are made by AWS and cannot be shared
    further by the means this project has. Raises SourceError when a field is missing or the GPUs of a type differ.
    """
    try:
        gpus = info.get("GpuInfo", {}).get("Gpus", [])
        if not any(gpu["Manufacturer"] == "NVIDIA" for gpu in gpus):
            return None
        if len(gpus) != 1:  # Karpenter labels only such types, and no type on AWS mixes GPUs
            raise SourceError(f"instance type {name}: expected one kind of GPU, found {len(gpus)}")
        (machine_arch,) = info["ProcessorInfo"]["SupportedArchitectures"]
        row = GpuType(
            name=name,
            arch=ARCHITECTURES[machine_arch],
            gpu=karpenter_label(gpus[0]["Name"]),
            gpu_count=int(gpus[0]["Count"]),
            gpu_memory_mib=int(gpus[0]["MemoryInfo"]["SizeInMiB"]),
            vcpus=int(info["VCpuInfo"]["DefaultVCpus"]),
            memory_mib=int(info["MemoryInfo"]["SizeInMiB"]),
            local_nvme_gb=int(info.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0)),
            zone_ids=zone_ids,
        )
    except KeyError as error:
        raise SourceError(f"instance type {name}: no or unknown {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise SourceError(f"instance type {name}: unexpected shape: {error}") from error
    return row if row.gpu_count > 0 else None


def parse_offerings(offerings: Mapping[str, Iterable[Mapping[str, str]]]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Zone ids by instance type and region, sorted, from ``DescribeInstanceTypeOfferings`` answers by region."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for region, rows in sorted(offerings.items()):
        try:
            for row in rows:
                regions, zone = found.setdefault(row["InstanceType"], {}), row["Location"]
                regions[region] = tuple(sorted({*regions.get(region, ()), zone}))
        except KeyError as error:
            raise SourceError(f"offerings of {region}: an entry has no {error}") from error
        except TypeError as error:
            raise SourceError(f"offerings of {region}: unexpected shape: {error}") from error
    return found


def read_moto(moto_dir: Path) -> list[GpuType]:
    """All types with whole NVIDIA GPUs in moto's EC2 data, ordered for reading. Raises SourceError."""
    resources = moto_dir / "ec2" / "resources"
    types = read_gzip_json(resources / "instance_types.json.gz")
    suffix = ".json.gz"
    if not isinstance(types, dict):
        raise SourceError(f"instance types in {resources}: expected an object by name, found {type(types).__name__}")
    files = sorted((resources / "instance_type_offerings" / "availability-zone-id").glob(f"*{suffix}"))
    if not files:
        raise SourceError(f"no zone offerings under {resources}")
    offerings = parse_offerings({file.name.removesuffix(suffix): read_gzip_json(file) for file in files})
    rows = [parse_gpu_type(name, info, offerings.get(name, {})) for name, info in types.items()]
    found = sorted((row for row in rows if row), key=reading_order)
    if not found:
        raise SourceError(f"no type with an NVIDIA GPU in {resources}")
    return found


def reading_order(row: GpuType) -> tuple[str, int, int, str]:
    """By family, then from small to large."""
    return row.name.split(".")[0], row.vcpus, row.gpu_count, row.name


def read_prices(karpenter_dir: Path) -> list[Prices]:
    """The prices of every region in Karpenter's tables, each region once. Raises SourceError."""
    found: dict[str, Prices] = {}
    for path in PRICES_FILES:
        try:
            source = (karpenter_dir / path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(f"cannot read the price table: {error}") from error
        for prices in parse_prices(source, path.name):
            if prices.region in found:
                raise SourceError(f"{path.name}: {prices.region} has prices in another table too")
            found[prices.region] = prices
    return [found[region] for region in sorted(found)]


def parse_prices(source: str, name: str) -> list[Prices]:
    """The on-demand prices of each region in a Go file that Karpenter generates. Raises SourceError."""
    header = re.search(r"// generated at (\d{4}-\d{2}-\d{2})T", source)
    blocks = re.findall(r'^\t"([a-z0-9-]+)": \{\n(.*?)^\t\},', source, re.DOTALL | re.MULTILINE)
    if not header or not blocks:
        raise SourceError(f"{name}: no 'generated at' line or no prices of a region")
    found = []
    for region, block in blocks:
        prices = {kind: float(usd) for kind, usd in re.findall(r'"([a-z0-9.-]+)": ([0-9]+\.[0-9]+),', block)}
        if len(prices) != block.count('": '):
            raise SourceError(f"{name}: cannot read every entry of the {region} block")
        if not prices or min(prices.values()) <= 0:
            raise SourceError(f"{name}: the {region} block holds no prices, or one that is not above 0")
        found.append(Prices(region=region, usd_per_hour=prices, date=header[1]))
    return found


def planned_prices(prices: Prices, gpu_types: Iterable[GpuType]) -> dict[str, float]:
    """USD per hour of what a stack can have: the types of CPU nodes by family and size, then those with GPUs."""
    gpus = [row.name for row in gpu_types if row.name in prices.usd_per_hour]
    return {name: prices.usd_per_hour[name] for name in [*cpu_types(prices.usd_per_hour), *gpus]}


def cpu_types(names: Iterable[str]) -> list[str]:
    """The types that system nodes and CPU pools can use, ordered by family and size."""
    chosen = []
    for name in names:
        match = TYPE_SCHEME.match(name)
        if not match:  # Karpenter gives such a type no category either
            continue
        category, generation, size = match[1], int(match[2]), match[3]
        if generation >= CPU_MIN_GENERATION.get(category, sys.maxsize) and size in CPU_SIZES:
            chosen.append((name.split(".")[0], CPU_SIZES.index(size), name))
    return [name for _, _, name in sorted(chosen)]


def find_moto() -> tuple[Path, str]:
    """Where moto is installed, and its version. moto is not imported. Raises SourceError."""
    spec = importlib.util.find_spec("moto")
    if spec is None or spec.origin is None:
        raise SourceError("moto is not installed in this Python: pip install 'moto[ec2]'")
    return Path(spec.origin).parent, importlib.metadata.version("moto")


def download_karpenter() -> Path:
    """The folder of Karpenter's Go module, from Go's cache where it is there. Raises SourceError."""
    return download(f"{KARPENTER_MODULE}@v{KARPENTER_VERSION}")


def download(module: str) -> Path:
    """Fetch a Go module, `path@version`, with the Go command, or take it from Go's cache. Raises SourceError."""
    with tempfile.TemporaryDirectory() as empty:  # outside any Go module, so that none is changed
        try:
            done = subprocess.run(
                ["go", "mod", "download", "-json", module], cwd=empty, capture_output=True, text=True, check=False
            )
        except FileNotFoundError as error:
            raise SourceError("Go is not installed; install it, or name the modules' folders") from error
    try:
        return Path(json.loads(done.stdout)["Dir"])
    except (ValueError, KeyError) as error:
        raise SourceError(f"cannot download {module}: {done.stdout or done.stderr}".strip()) from error
