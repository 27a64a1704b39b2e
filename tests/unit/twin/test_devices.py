"""Who claims how much of which GPU, from the cluster's own objects."""

from __future__ import annotations

from typing import Any

import pytest

from twin.devices import Claimed, Devices, mib_of

SLICE = {
    "spec": {
        "driver": "gpu.nvidia.com",
        "nodeName": "a",
        "pool": {"name": "a"},
        "devices": [{"name": "gpu-0", "capacity": {"memory": {"value": "15Gi"}}}],
    }
}
OTHERS = {"spec": {"driver": "dra.net", "nodeName": "a", "pool": {"name": "a"}, "devices": [{"name": "eth1"}]}}


def claim(name: str, asked: str = "", taken: str | None = None, *, driver: str = "gpu.nvidia.com") -> dict[str, Any]:
    """A claim; taken: what its allocation consumes, empty for a device that is not shared, None without allocation."""
    exactly: dict[str, Any] = {"deviceClassName": "gpu.nvidia.com", "count": 1}
    if asked:
        exactly["capacity"] = {"requests": {"memory": asked}}
    made: dict[str, Any] = {
        "metadata": {"name": name, "namespace": "models"},
        "spec": {"devices": {"requests": [{"name": "gpu", "exactly": exactly}]}},
    }
    if taken is not None:
        result: dict[str, Any] = {"driver": driver, "pool": "a", "device": "gpu-0"}
        if taken:
            result["consumedCapacity"] = {"memory": taken}
        made["status"] = {"allocation": {"devices": {"results": [result]}}}
    return made


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "models"}, "spec": {}, "status": status}


OF_TEMPLATE = pod(resourceClaimStatuses=[{"name": "gpu", "resourceClaimName": "c"}])


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (claim("c", "5632Mi"), Claimed(mib=5632)),
        (claim("c", "5632Mi", "5632Mi"), Claimed(mib=5632, device="gpu-0")),
        (claim("c", "", "15Gi"), Claimed(mib=15360, device="gpu-0")),
        (claim("c", "5632Mi", ""), Claimed(mib=15360, device="gpu-0")),  # the driver does not share: all of it
        (claim("c"), Claimed()),
        (claim("other", "5632Mi"), Claimed()),
    ],
)
def test_what_a_pod_claims(made: dict[str, Any], found: Claimed) -> None:
    assert Devices([SLICE, OTHERS], [made]).of_pod(OF_TEMPLATE) == found


def test_claims_by_name_and_of_the_scheduler() -> None:
    devices = Devices([SLICE], [claim("c", "2Gi", "2Gi")])
    named = {**pod(), "spec": {"resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}]}}
    assert devices.of_pod(named).mib == 2048
    assert devices.of_pod(pod(extendedResourceClaimStatus={"resourceClaimName": "c"})).mib == 2048
    assert devices.of_pod(pod()) == Claimed()


def test_pods_that_share_a_claim_have_it_together() -> None:
    """What they have of the GPU is the claim, once."""
    shared = claim("c", "6000Mi", "6000Mi")
    shared["status"]["reservedFor"] = [{"resource": "pods", "name": name, "uid": name} for name in ("p", "q", "r")]
    devices = Devices([SLICE], [shared])
    named = {**pod(), "spec": {"resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}]}}
    assert devices.of_pod(named) == Claimed(mib=2000, device="gpu-0")


def test_who_looks_after_a_gpu_takes_nothing_of_it() -> None:
    """Though the scheduler writes all of it into the allocation (Kubernetes 1.36.3)."""
    watches = claim("c", "", "15Gi")
    watches["status"]["allocation"]["devices"]["results"][0]["adminAccess"] = True
    devices = Devices([SLICE], [watches, claim("d", "7Gi", "7Gi")])
    assert devices.of_pod(OF_TEMPLATE) == Claimed()
    assert devices.overfull() == {}
    waits = claim("c", "1Mi")
    waits["spec"]["devices"]["requests"][0]["exactly"]["adminAccess"] = True
    assert Devices([SLICE], [waits]).of_pod(OF_TEMPLATE) == Claimed()


def test_a_prioritized_list_asks_for_what_it_would_like_best_and_has_what_it_got() -> None:
    sizes = [{"name": "a", "capacity": {"requests": {"memory": size}}} for size in ("12Gi", "3Gi")]
    made, got = claim("c"), claim("c", "", "3Gi")
    for each in (made, got):
        each["spec"]["devices"]["requests"] = [{"name": "gpu", "firstAvailable": sizes}]
    assert Devices([SLICE], [made]).of_pod(OF_TEMPLATE) == Claimed(mib=12288)
    assert Devices([SLICE], [got]).of_pod(OF_TEMPLATE) == Claimed(mib=3072, device="gpu-0")


def test_gpus_of_a_node_are_nvidias_alone() -> None:
    devices = Devices([SLICE, OTHERS])
    assert [(device.name, device.mib) for device in devices.of_node("a")] == [("gpu-0", 15360)]
    assert devices.of_node("b") == ()


def test_a_gpu_that_is_promised_too_often_is_found() -> None:
    full = [claim("c", "8Gi", "8Gi"), claim("d", "7Gi", "7Gi")]
    assert Devices([SLICE], full).overfull() == {}
    assert Devices([SLICE], [*full, claim("e", "1Mi", "1Mi")]).overfull() == {"a/gpu-0": 1}
    assert Devices([SLICE], [*full, claim("e", "1Mi", "1Mi", driver="dra.net")]).overfull() == {}


@pytest.mark.parametrize(
    ("quantity", "mib"),
    [
        ("23034Mi", 23034),
        ("15Gi", 15360),
        ("1048577", 2),
        ("0", 0),
        ("1.5Gi", 1536),
        ("1G", 954),
        ("1T", 953675),
        ("2Pi", 2 * 2**30),
        ("6e9", 5723),
        ("6E+9", 5723),
        ("1E", 953674316407),
        ("1500m", 1),
        ("-6Gi", -6144),
    ],
)
def test_quantities(quantity: str, mib: int) -> None:
    assert mib_of(quantity) == mib
