"""GpuSharing: a release of the device plugin's chart for each pool, or one of the operator's for all."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from components.gpu.gpu_sharing import GpuSharing, GpuSharingArgs
from gpu.sharing import Mig, Mps, NoSharing, SharingProfile, TimeSlicing
from gpu.sharing.plugin_config import config_name
from tests.unit.components.recording import Recording, record

RELEASE = "kubernetes:helm.sh/v3:Release"
PROFILES: dict[str, SharingProfile] = {"dev": TimeSlicing(4), "chat": Mps(3, rename=True), "tenants": Mig("1g.10gb")}


def sharing(installer: Any = "device-plugin", untrusted: Any = (), **profiles: Any) -> Recording[GpuSharing]:
    """A recorded component for three pools, or for those given."""
    args = GpuSharingArgs(profiles=profiles or PROFILES, untrusted=untrusted, installer=installer)
    return record(lambda: GpuSharing("sharing", args))


def configs(recording: Recording[GpuSharing]) -> dict[str, Any]:
    """The configurations of all recorded charts, by pool."""
    found: dict[str, Any] = {}
    for release in recording.of_type(RELEASE):
        values = release.inputs["values"]
        texts = values["config"]["map"] if "config" in values else values["devicePlugin"]["config"]["data"]
        found |= {name.partition(".")[0]: yaml.safe_load(text) for name, text in texts.items()}
    return found


@pytest.mark.parametrize(("installer", "more"), [("device-plugin", set()), ("gpu-operator", {"default"})])
def test_each_pool_has_its_configuration(installer: str, more: set[str]) -> None:
    found = configs(sharing(installer))
    assert set(found) == {"dev", "chat", "tenants"} | more
    assert found["dev"]["sharing"]["timeSlicing"] == {
        "renameByDefault": False,
        "failRequestsGreaterThanOne": True,
        "resources": [{"name": "nvidia.com/gpu", "replicas": 4}],
    }
    assert found["chat"]["sharing"]["mps"]["renameByDefault"] is True
    assert found["chat"]["flags"] == {"migStrategy": "none", "mpsRoot": "/run/nvidia/mps"}
    assert found["tenants"] == {"version": "v1", "flags": {"migStrategy": "mixed"}}


def test_the_operator_s_default_shares_nothing() -> None:
    assert configs(sharing("gpu-operator"))["default"] == {"version": "v1", "flags": {"migStrategy": "none"}}


@pytest.mark.parametrize("installer", ["device-plugin", "gpu-operator"])
def test_slots_of_untrusted_tenants_come_as_mounts(installer: str) -> None:
    found = configs(sharing(installer, untrusted=("tenants", "whole"), tenants=Mig("1g.10gb"), whole=NoSharing()))
    for pool in ("tenants", "whole"):
        assert found[pool]["flags"]["plugin"] == {"deviceListStrategy": ["volume-mounts"]}
    assert "plugin" not in configs(sharing(installer))["tenants"]["flags"]


def test_each_chart_runs_on_the_nodes_of_its_pool() -> None:
    releases = {release.inputs["name"]: release.inputs for release in sharing().of_type(RELEASE)}
    assert set(releases) == {"plugin-dev", "plugin-chat", "plugin-tenants"}
    for name, inputs in releases.items():
        values, pool = inputs["values"], name.removeprefix("plugin-")
        assert (inputs["chart"], inputs["namespace"]) == ("nvidia-device-plugin", "gpu-system")
        assert values["nodeSelector"] == {"gpu-slices/pool": pool}
        required = values["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        (term,) = required["nodeSelectorTerms"]
        assert {"key": "gpu-slices/sharing", "operator": "NotIn", "values": ["memory"]} in term["matchExpressions"]
        assert list(values["config"]["map"]) == [config_name(pool, PROFILES[pool])]
        assert values["podAnnotations"] == {"checksum/config": "by-label"}, "else all plugins restart at once"
        assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in values["tolerations"]


@pytest.mark.parametrize(
    ("profile", "untrusted"),
    [
        *((each, False) for each in (TimeSlicing(8), TimeSlicing(4, rename=True), Mps(4), NoSharing())),
        (TimeSlicing(4), True),
    ],
)
def test_another_cut_is_another_configuration(profile: SharingProfile, untrusted: bool) -> None:
    """A node keeps its labels: what it was started for must not come to mean something else."""
    own = config_name("a" * 40, TimeSlicing(4))
    assert config_name("a" * 40, profile, untrusted=untrusted) != own
    assert config_name("a" * 40, TimeSlicing(4)) == own
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", own)


@pytest.mark.parametrize("changed", [{"dev": TimeSlicing(5)}, {"more": Mps(2)}])
def test_what_happens_to_one_pool_leaves_the_releases_of_the_others_alone(changed: dict[str, SharingProfile]) -> None:
    def releases(profiles: dict[str, SharingProfile]) -> dict[str, Any]:
        return {release.name: release.inputs for release in sharing(**profiles).of_type(RELEASE)}

    before, after = releases(PROFILES), releases(PROFILES | changed)
    (pool,) = changed
    touched = f"sharing-device-plugin-{pool}"
    assert {name for name in after if before.get(name) != after[name]} == {touched}


def test_the_operator_leaves_driver_toolkit_and_mig_to_the_image() -> None:
    recording = sharing("gpu-operator")
    release = recording.one(RELEASE)
    values = release.inputs["values"]
    assert release.inputs["chart"] == "gpu-operator"
    assert [values[part]["enabled"] for part in ("driver", "toolkit", "migManager")] == [False, False, False]
    # What the operator sets as environment wins over each pool's own configuration: it sets none of the two.
    assert values["mig"]["strategy"] == ""
    assert values["cdi"] == {"enabled": False}
    assert values["operator"]["nodeSelector"] == {"karpenter.sh/controller": "true"}
    assert set(recording.result.plugins) == set(PROFILES)


def test_the_namespace_is_the_one_that_admits_privileged_pods() -> None:
    recording = sharing()
    namespace = recording.one("kubernetes:core/v1:Namespace")
    assert namespace.inputs["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "privileged"}
    assert all(recording.outlives(namespace, release) for release in recording.of_type(RELEASE))


@pytest.mark.parametrize("installer", ["device-plugin", "gpu-operator"])
def test_bottlerocket_pools_alone_need_no_chart(installer: Any) -> None:
    recording = record(lambda: GpuSharing("sharing", GpuSharingArgs(profiles={}, installer=installer)))
    assert [r.type for r in recording.resources] == ["gpu-slices:index:GpuSharing", "kubernetes:core/v1:Namespace"]
    assert recording.result.plugins == {}
