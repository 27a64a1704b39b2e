"""A second opinion on bills: what a stack is expected to cost, reckoned from its raw keys and the price files alone.

It shares nothing with the bill but the catalogue of types and the sizes of models. Unit prices are those of us-east-1,
by hand (Infracost's golden files); use is eight hours a day and one start where the stack says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

from gpu.catalog import INSTANCE_TYPES, InstanceType
from gpu.models import MODELS

HOURS = 730
DAYS = HOURS / 24
REGION = "us-east-1"
#: Of families whose discount on Spot was sampled.
DISCOUNTS = {"g4dn": 0.59, "g5": 0.51, "g6": 0.50, "g6e": 0.62}
_ECR = ".dkr.ecr.us-east-1."

Raw = Mapping[str, Any]
#: Slots, and hours of a month.
Holding = list[tuple[int, float]]


@cache
def _file() -> dict[str, Any]:
    path = Path(__file__).parents[3] / "gpu" / "price_data" / f"{REGION}.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def node_usd(name: str, *, spot: bool, most: bool = False) -> float | None:
    """An hour of a node: on Spot the mean of its zones, or the most; else the discount of its family, or half."""
    on_demand, zones = _file()["linuxUsdPerHour"].get(name), _file()["spot"]["usdPerHour"].get(name)
    if not spot or on_demand is None:
        return on_demand  # type: ignore[no-any-return]
    if zones:
        return float(max(zones) if most else sum(zones) / len(zones))
    discount = DISCOUNTS.get(name.partition(".")[0])
    return float(on_demand if most and discount is None else on_demand * (1 - (discount or 0.5)))


def types_of(pool: Raw) -> list[InstanceType]:
    named = pool.get("instanceTypes")
    return [
        t
        for t in INSTANCE_TYPES.values()
        if (t.name in named if named else t.family in pool["instanceFamilies"] and t.gpu_count in pool["gpusPerNode"])
    ]


def _nat(raw: Raw) -> str:
    lean = raw["cluster"].get("floor") == "lean"
    return str(raw["network"].get("nat", "none" if lean else "single"))


def floor(raw: Raw) -> dict[str, float]:
    """What stands there, by the names of the bill's lines."""
    lean, zones, nat = raw["cluster"].get("floor") == "lean", len(raw["network"]["zoneIds"]), _nat(raw)
    nodes, node = (1, node_usd("t4g.large", spot=True)) if lean else (2, node_usd("m7g.large", spot=False))
    gateways = {"single": 1, "per-zone": zones, "none": 0}[nat]
    dialogue = raw.get("dialogue") or {}
    kept = {None: 0.0, "volume": 0.08, "dynamodb": 0.20}[
        dialogue.get("store", "volume") if "image" in dialogue else None
    ]
    found = {
        "EKS control plane": HOURS * 0.10,
        "System nodes": nodes * HOURS * (node or 0),
        "System volumes": nodes * 50 * 0.08,
        "KMS keys": 2 * 1.0,
        "NAT gateway": gateways * HOURS * (0.045 + 0.005),
        "Public addresses": nodes * HOURS * 0.005 if nat == "none" else 0,
        "Interface endpoints": 8 * zones * HOURS * 0.01 if raw["network"].get("interfaceEndpoints") else 0,
        "Conversations": kept,
        "Images in ECR": 2 * 0.10 if _ECR in raw["cluster"].get("registryMirror", "") else 0,
        "Monitoring": (1720 + 138 * 15 * nodes) * 60 * HOURS / 1e6 * 0.21 + 6 * 0.10 + 2 * 0.30 + 3,
        "Logs": 10 * (0.50 + 365 / DAYS * 0.03),
    }
    if "monitoring" not in raw:
        del found["Monitoring"]
    return found


class Nodes:
    """A pool's nodes: the cheapest type, and who holds its slots."""

    def __init__(self, pool: Raw, raw: Raw) -> None:
        sharing, self.pool, self.raw = pool["sharing"], pool, raw
        per_gpu = {"mig": 7, "none": 1}.get(sharing["strategy"]) or sharing["replicas"]
        self.spot = "onDemand" not in pool
        priced = [(usd, t.name) for t in types_of(pool) if (usd := node_usd(t.name, spot=self.spot)) is not None]
        self.usd, name = min(priced)
        self.slots = per_gpu * INSTANCE_TYPES[name].gpu_count
        self.most = pool["maxGpus"] // INSTANCE_TYPES[name].gpu_count
        self.waking = [each for each in self._models() if not each.get("minScale")]
        self.standing: Holding = [(each["minScale"], HOURS) for each in self._models() if each.get("minScale")]
        self.asked: Holding = [(1, self._hours(each)) for each in self.waking]
        for work in raw.get("workloads", ()):
            if work["pool"] == pool["name"]:
                self._take(work)
        if warm := pool.get("warm"):
            self.standing.append((warm["slots"], 5 * 10 * HOURS / 168 if "start" in warm else HOURS))

    def _models(self) -> Iterator[Raw]:
        return (each for each in self.raw.get("models", ()) if each["pool"] == self.pool["name"])

    def _hours(self, model: Raw) -> float:
        usage = self.raw.get("usage", {})
        own = {each["name"]: each["hoursPerDay"] for each in usage.get("each", ())}
        return float(own.get(model["name"], usage.get("hoursPerDay", 8))) * DAYS

    def _take(self, work: Raw) -> None:
        usage, (container,) = self.raw.get("usage", {}), work["containers"]
        # What a pod of several whole GPUs leaves of its node, its like cannot use.
        held = work["replicas"] * (self.slots // (self.slots // container["slots"]))
        runs = 365.25 / 12 if work["kind"] == "CronJob" else usage.get("runsPerMonth", 1)
        if work["kind"] == "Deployment":
            self.standing.append((held, HOURS))
        else:
            # Five minutes until an empty node goes, once a run.
            self.asked.append((held, min(HOURS, runs * (usage.get("hoursPerRun", 1) + 5 / 60))))

    def hours(self, holding: Holding) -> float:
        """Hours of whole nodes, where all begin together and each leaves after its own."""
        total = before = 0.0
        for until in sorted({hours for slots, hours in holding if slots}):
            nodes = ceil(sum(slots for slots, hours in holding if hours >= until) / self.slots)
            total, before = total + min(nodes, self.most) * (until - before), until
        return total

    @property
    def volume_usd(self) -> float:
        """A month of a node's volume, of Bottlerocket's second one, and of its address where there is no NAT."""
        own = self.pool.get("volume", {})
        size = own.get("sizeGib", 100) + (6 if self.pool.get("ami") == "bottlerocket" else 0)
        more = max(0, own.get("iops", 3000) - 3000) * 0.005 + max(0, own.get("throughputMibps", 250) - 125) * 0.04
        return float(size * 0.08 + more)

    def lines(self) -> dict[str, float]:
        always = self.hours(self.standing)
        found = {}
        for part, hours, who in (
            ("always", always, self.standing),
            ("on demand", self.hours([*self.standing, *self.asked]) - always, self.asked),
        ):
            if any(slots and held for slots, held in who):
                found[f"GPU nodes, {self.pool['name']}, {part}"] = hours * self.usd
                found[f"Volumes, {self.pool['name']}, {part}"] = hours * self.volume_usd / HOURS
                if _nat(self.raw) == "none":
                    found[f"Public addresses, {self.pool['name']}, {part}"] = hours * 0.005
        return found

    def fetched_gb(self) -> float:
        """What new nodes fetch at a start: the server's image once a node, and the weights of each that wakes."""
        awake = [each for each in self.waking if self._hours(each)]
        standing = sum(slots for slots, hours in self.standing if hours)
        new = ceil((standing + len(awake)) / self.slots) - ceil(standing / self.slots)
        if not new or "snapshotId" in self.pool.get("volume", {}):
            return 0.0
        image = 0.0 if _ECR in self.raw["cluster"].get("registryMirror", "") else 2.0
        return image * new + sum(MODELS[each["model"]].weights_mib * 2**20 / 1e9 for each in awake)

    def ceiling(self) -> float:
        """A month of all GPUs, of the dearest fleet of whole nodes, and of as many volumes as there may be nodes."""
        dearest: dict[int, float] = {}
        for each in types_of(self.pool):
            usd = node_usd(each.name, spot=self.spot, most=True) or 0.0
            dearest[each.gpu_count] = max(usd, dearest.get(each.gpu_count, 0.0))
        nodes = self.pool["maxGpus"] // min(t.gpu_count for t in types_of(self.pool))
        address = HOURS * 0.005 if _nat(self.raw) == "none" else 0.0
        return float(
            HOURS * _fleet(self.pool["maxGpus"], sorted(dearest.items())) + nodes * (self.volume_usd + address)
        )


def _fleet(gpus: int, sizes: list[tuple[int, float]]) -> float:
    """The dearest whole nodes within so many GPUs, by trying all."""
    if not sizes:
        return 0.0
    (size, usd), *rest = sizes
    return max(count * usd + _fleet(gpus - count * size, rest) for count in range(gpus // size + 1))


def reckon(raw: Raw) -> dict[str, float]:
    """What each line is expected to come to, by its name; lines of nodes with their part. Sums of 0 are left out."""
    pools = [Nodes(pool, raw) for pool in raw["pools"]]
    found = floor(raw)
    for nodes in pools:
        found |= nodes.lines()
    starts, zones = sum(nodes.fetched_gb() for nodes in pools) * DAYS, len(raw["network"]["zoneIds"])
    if _nat(raw) != "none":
        found["Images and weights"] = starts * 0.045
        found["Between zones"] = starts * (zones - 1) / zones * 0.02 if _nat(raw) == "single" else 0.0
    return {name: usd for name, usd in found.items() if usd}
