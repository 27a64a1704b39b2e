"""GPUs as devices with memory, and who claims how much of it: from ResourceSlices and ResourceClaims. Pure; MiB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from gpu.contract import DEVICE_CLASS
from gpu.quantities import read_quantity
from gpu.sharing.memory import DEVICE_MEMORY
from twin.kube.client import Object


@dataclass(frozen=True, kw_only=True)
class Device:
    """A GPU that a driver has published, or that a node will have."""

    name: str
    mib: int
    """All of its memory."""
    offered: bool = True
    """Whether the driver has published it."""


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What a pod claims of GPUs."""

    mib: int = 0
    """Memory, of all its claims together; of a whole GPU only once it has one; its part of a claim that pods share."""
    device: str = ""
    """Name of its GPU on the node; empty where it has none yet."""


class Devices:
    """What all slices and claims of a cluster say."""

    def __init__(self, slices: Iterable[Object] = (), claims: Iterable[Object] = ()) -> None:
        self._by_node: dict[str, list[Device]] = {}
        self._mib: dict[tuple[str, str], int] = {}
        for each in slices:
            self._read(each["spec"])
        self._claims = {_key(claim["metadata"]): claim for claim in claims}

    def _read(self, spec: Mapping[str, Any]) -> None:
        if spec["driver"] != DEVICE_CLASS:
            return
        for device in spec.get("devices") or []:
            mib = mib_of((device.get("capacity") or {}).get(DEVICE_MEMORY, {}).get("value", "0"))
            self._mib[spec["pool"]["name"], device["name"]] = mib
            self._by_node.setdefault(spec.get("nodeName", ""), []).append(Device(name=device["name"], mib=mib))

    def of_node(self, node: str) -> tuple[Device, ...]:
        """GPUs that a node's driver has published."""
        return tuple(sorted(self._by_node.get(node, ()), key=lambda device: device.name))

    def of_pod(self, pod: Object) -> Claimed:
        """What a pod claims, and where it has it."""
        found = [self._claims[key] for key in _claims_of(pod) if key in self._claims]
        taken = [(result, _sharers(claim)) for claim in found for result in _results(claim)]
        if taken:
            mib = sum(self._taken(result) // sharers for result, sharers in taken)
            return Claimed(mib=mib, device=str(taken[0][0]["device"]))
        return Claimed(mib=sum(map(_asked, found)))

    def overfull(self) -> dict[str, int]:
        """MiB that claims hold beyond what a device has, by node and device; empty as it must be."""
        held = Counter[tuple[str, str]]()
        for claim in self._claims.values():
            for result in _results(claim):
                held[result["pool"], result["device"]] += self._taken(result)
        return {
            f"{pool}/{device}": mib - self._mib[pool, device]
            for (pool, device), mib in held.items()
            if (pool, device) in self._mib and mib > self._mib[pool, device]
        }

    def _taken(self, result: Mapping[str, Any]) -> int:
        """MiB that an allocation takes: what it says, or the device where that is not shared."""
        consumed = (result.get("consumedCapacity") or {}).get(DEVICE_MEMORY)
        return mib_of(consumed) if consumed else self._mib.get((result["pool"], result["device"]), 0)


def mib_of(quantity: str) -> int:
    """MiB of a Kubernetes quantity of the API server's, rounded up."""
    return ceil(read_quantity(quantity) / 2**20)


def _key(metadata: Mapping[str, Any]) -> tuple[str, str]:
    return str(metadata.get("namespace", "")), str(metadata["name"])


def _claims_of(pod: Object) -> list[tuple[str, str]]:
    """Namespace and name of each claim of a pod: those that were made for it, and those that it names."""
    status, namespace = pod.get("status") or {}, str(pod["metadata"].get("namespace", ""))
    names = [each.get("resourceClaimName") for each in pod["spec"].get("resourceClaims") or []]
    names += [each.get("resourceClaimName") for each in status.get("resourceClaimStatuses") or []]
    # The scheduler's own, for a pod that asks `nvidia.com/gpu` and gets a device.
    names.append((status.get("extendedResourceClaimStatus") or {}).get("resourceClaimName"))
    return [(namespace, name) for name in dict.fromkeys(names) if name]


def _results(claim: Object) -> list[Mapping[str, Any]]:
    """What a claim has of GPUs; not those that it looks after, of which it takes nothing whatever it says."""
    allocation = (claim.get("status") or {}).get("allocation") or {}
    results = (allocation.get("devices") or {}).get("results") or []
    return [each for each in results if each.get("driver") == DEVICE_CLASS and not each.get("adminAccess")]


def _sharers(claim: Object) -> int:
    """Pods that have a claim together; one at least."""
    reserved = (claim.get("status") or {}).get("reservedFor") or []
    return max(1, len([each for each in reserved if each.get("resource") == "pods"]))


def _asked(claim: Object) -> int:
    """MiB that a claim asks for; of a prioritized list by what it would like best."""
    total = 0
    for request in (claim["spec"].get("devices") or {}).get("requests") or []:
        wanted: Mapping[str, Any] = request.get("exactly") or next(iter(request.get("firstAvailable") or []), {})
        asked = ((wanted.get("capacity") or {}).get("requests") or {}).get(DEVICE_MEMORY)
        if asked and not wanted.get("adminAccess"):
            total += mib_of(asked) * int(wanted.get("count") or 1)
    return total
