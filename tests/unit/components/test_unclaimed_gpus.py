"""Nobody gets a GPU of a memory pool without a claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

import versions
from components.gpu.gpu_sharing import GpuSharing, GpuSharingArgs
from gpu.pool import Taint
from gpu.sharing import NoSharing
from tests.unit.components.recording import record

PATCH = "kubernetes:resource.k8s.io/v1:DeviceClassPatch"
RELEASE = "kubernetes:helm.sh/v3:Release"
POLICY = "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy"


def test_what_asks_for_nvidias_resource_gets_no_claimed_gpu() -> None:
    """The chart's DeviceClass says that it does; nodes come after it says otherwise."""
    args = GpuSharingArgs(profiles={"whole": NoSharing()}, claims=["claimed"])
    recording = record(lambda: GpuSharing("sharing", args))
    patch = recording.one(PATCH)
    assert patch.inputs["kind"] == "DeviceClass"
    assert patch.inputs["metadata"]["name"] == "gpu.nvidia.com"
    assert patch.inputs["metadata"]["annotations"]["pulumi.com/patchForce"] == "true"
    assert patch.inputs["spec"] == {"extendedResourceName": "gpu-slices/unclaimed-gpu"}
    assert any(RELEASE in urn and urn.endswith("dra-driver") for urn in patch.dependencies)


def test_without_claims_there_is_no_class() -> None:
    recording = record(lambda: GpuSharing("sharing", GpuSharingArgs(profiles={"whole": NoSharing()})))
    assert not recording.of_type(PATCH)
    assert not recording.of_type(POLICY)


def test_policies_are_there_before_the_class_and_as_long() -> None:
    """What a pod would take of it in between, nobody would take away again."""
    recording = record(lambda: GpuSharing("sharing", GpuSharingArgs(profiles={}, claims=["claimed"])))
    policies, bindings = recording.of_type(POLICY), recording.of_type(f"{POLICY}Binding")
    names = [each.inputs["metadata"]["name"] for each in policies]
    assert names == ["gpu-claims-say-memory", "gpu-pods-name-claims"]
    assert [each.inputs["spec"]["policyName"] for each in bindings] == names
    assert {each.inputs["spec"]["failurePolicy"] for each in policies} == {"Fail"}
    driver = recording.one(RELEASE)
    assert {each.urn for each in (*policies, *bindings)} <= {*driver.dependencies}


def test_class_is_patched_again_with_each_upgrade_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Helm writes the chart's name of the resource again then, and a patch that is the same is not sent."""
    first, again = _annotations(()), _annotations(())
    tainted = _annotations([Taint(key="team", value="a", effect="NoSchedule")])
    monkeypatch.setattr(versions, "NVIDIA_DRA_DRIVER_CHART", replace(versions.NVIDIA_DRA_DRIVER_CHART, version="0.5.1"))
    assert first == again
    assert len({each["gpu-slices/driver"] for each in (first, tainted, _annotations(()))}) == 3


def _annotations(taints: Sequence[Taint]) -> dict[str, str]:
    args = GpuSharingArgs(profiles={}, claims=["claimed"], taints={"claimed": taints})
    found: dict[str, str] = record(lambda: GpuSharing("sharing", args)).one(PATCH).inputs["metadata"]["annotations"]
    return found
