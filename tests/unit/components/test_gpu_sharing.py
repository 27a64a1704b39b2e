"""GpuSharing: the device plugin's chart with one named configuration a pool."""

from typing import Any

import pytest
import yaml

from components.gpu_sharing import GpuSharing, GpuSharingArgs
from gpu.sharing import Mig, Mps, SharingProfile, TimeSlicing
from tests.unit.components.recording import Recording, record

RELEASE = "kubernetes:helm.sh/v3:Release"
PROFILES: dict[str, SharingProfile] = {"dev": TimeSlicing(4), "chat": Mps(3, rename=True), "tenants": Mig("1g.10gb")}


def sharing(installer: Any = "device-plugin", **profiles: Any) -> Recording[GpuSharing]:
    """A recorded component for three pools, or for those given."""
    chosen = profiles or PROFILES
    return record(lambda: GpuSharing("sharing", GpuSharingArgs(profiles=chosen, installer=installer)))


def configs(recording: Recording[GpuSharing]) -> dict[str, Any]:
    """The named configurations of the recorded chart."""
    values = recording.one(RELEASE).inputs["values"]
    texts = values["config"]["map"] if "config" in values else values["devicePlugin"]["config"]["data"]
    return {name: yaml.safe_load(text) for name, text in texts.items()}


@pytest.mark.parametrize("installer", ["device-plugin", "gpu-operator"])
def test_each_pool_has_its_configuration_and_the_default_shares_nothing(installer: str) -> None:
    found = configs(sharing(installer))
    assert set(found) == {"default", "dev", "chat", "tenants"}
    assert found["default"] == {"version": "v1", "flags": {"migStrategy": "none"}}
    assert found["dev"]["sharing"]["timeSlicing"] == {
        "renameByDefault": False,
        "failRequestsGreaterThanOne": True,
        "resources": [{"name": "nvidia.com/gpu", "replicas": 4}],
    }
    assert found["chat"]["sharing"]["mps"]["renameByDefault"] is True
    assert found["chat"]["flags"] == {"migStrategy": "none", "mpsRoot": "/run/nvidia/mps"}
    assert found["tenants"] == {"version": "v1", "flags": {"migStrategy": "mixed"}}


def test_the_chart_runs_on_nodes_that_say_they_have_gpus() -> None:
    release = sharing().one(RELEASE)
    values = release.inputs["values"]
    assert (release.inputs["chart"], release.inputs["namespace"]) == ("nvidia-device-plugin", "gpu-system")
    assert values["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert values["config"]["default"] == "default"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in values["tolerations"]


def test_the_operator_leaves_driver_toolkit_and_mig_to_the_image() -> None:
    release = sharing("gpu-operator").one(RELEASE)
    values = release.inputs["values"]
    assert release.inputs["chart"] == "gpu-operator"
    assert [values[part]["enabled"] for part in ("driver", "toolkit", "migManager")] == [False, False, False]
    assert values["mig"]["strategy"] == "mixed"
    assert values["operator"]["nodeSelector"] == {"karpenter.sh/controller": "true"}


def test_the_namespace_is_the_one_that_admits_privileged_pods() -> None:
    recording = sharing()
    namespace = recording.one("kubernetes:core/v1:Namespace")
    assert namespace.inputs["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "privileged"}
    assert recording.outlives(namespace, recording.one(RELEASE))


def test_bottlerocket_pools_alone_need_no_chart() -> None:
    recording = record(lambda: GpuSharing("sharing", GpuSharingArgs(profiles={})))
    assert [r.type for r in recording.resources] == ["gpu-slices:index:GpuSharing", "kubernetes:core/v1:Namespace"]
    assert recording.result.release is None
