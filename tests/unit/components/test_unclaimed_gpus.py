"""Nobody gets a GPU of a memory pool without a claim."""

from __future__ import annotations

from components.gpu.gpu_sharing import GpuSharing, GpuSharingArgs
from gpu.sharing import NoSharing
from tests.unit.components.recording import record

PATCH = "kubernetes:resource.k8s.io/v1:DeviceClassPatch"
RELEASE = "kubernetes:helm.sh/v3:Release"


def test_what_asks_for_nvidias_resource_gets_no_claimed_gpu() -> None:
    """The chart's DeviceClass says that it does; nodes come after it says otherwise."""
    args = GpuSharingArgs(profiles={"whole": NoSharing()}, claims=["claimed"])
    recording = record(lambda: GpuSharing("sharing", args))
    patch = recording.one(PATCH)
    assert patch.inputs["kind"] == "DeviceClass"
    assert patch.inputs["metadata"] == {"name": "gpu.nvidia.com", "annotations": {"pulumi.com/patchForce": "true"}}
    assert patch.inputs["spec"] == {"extendedResourceName": "gpu-slices/unclaimed-gpu"}
    assert any(RELEASE in urn and urn.endswith("dra-driver") for urn in patch.dependencies)


def test_without_claims_there_is_no_class() -> None:
    recording = record(lambda: GpuSharing("sharing", GpuSharingArgs(profiles={"whole": NoSharing()})))
    assert not recording.of_type(PATCH)
