"""Configuration of NVIDIA's Kubernetes device plugin, from a sharing profile.

Schema: NVIDIA/k8s-device-plugin v0.20.0 api/config/v1. The plugin does not reject unknown keys, so what is not
generated here is not configured.
"""

from __future__ import annotations

from typing import Any

from gpu.sharing import GPU_RESOURCE, Mig, Mps, NoSharing, SharingProfile, TimeSlicing

#: Where the chart mounts the MPS control daemon's files (`mps.root` of the chart).
MPS_ROOT = "/run/nvidia/mps"


def device_plugin_config(profile: SharingProfile, *, untrusted: bool = False) -> dict[str, Any]:
    """One named configuration of the device plugin, ready to be written as YAML.

    untrusted: the plugin tells the container runtime of a slot's device by a mount that pods without rights on the host
    cannot make, instead of by the variable NVIDIA_VISIBLE_DEVICES, which any image can set. It needs a node whose
    runtime listens to mounts and not to the variable (`components.container_toolkit_user_data`).
    """
    config: dict[str, Any] = {"version": "v1", "flags": {"migStrategy": "none"}}
    if untrusted:
        config["flags"]["plugin"] = {"deviceListStrategy": ["volume-mounts"]}
    match profile:
        case NoSharing():
            pass
        case TimeSlicing():
            config["sharing"] = {"timeSlicing": _replicated(profile)}
        case Mps():
            config["flags"]["mpsRoot"] = MPS_ROOT
            config["sharing"] = {"mps": _replicated(profile)}
        case Mig():
            config["flags"]["migStrategy"] = "mixed"
    return config


def _replicated(profile: TimeSlicing | Mps) -> dict[str, Any]:
    return {
        "renameByDefault": profile.rename,
        # Two replicas are not twice the GPU: a request for more than one slot is a mistake. The default differs
        # between time-slicing (false) and MPS (true), so it is always written.
        "failRequestsGreaterThanOne": True,
        "resources": [{"name": GPU_RESOURCE, "replicas": profile.replicas}],
    }
