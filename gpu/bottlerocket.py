"""Bottlerocket's native device-plugin settings, from a sharing profile.

Bottlerocket's NVIDIA variants run the device plugin as a host service: nodes are configured by user data and get no
device-plugin pods. Settings: bottlerocket.dev, `settings.kubelet-device-plugins.nvidia` (time-slicing since 1.25, MIG
since 1.34, MPS since 1.54). The rename defaults are the opposite of the chart's, so they are always written.
"""

from __future__ import annotations

from collections.abc import Iterable

from gpu.catalog import Gpu
from gpu.sharing import Mig, Mps, NoSharing, SharingError, SharingProfile, TimeSlicing

#: GPU (name, EC2's MiB) to the key that `mig.profile` knows it by; the documentation names these GPUs and no others
#: that AWS rents.
_MIG_KEYS = {
    ("a100", 40960): "a100.40gb",
    ("a100", 81920): "a100.80gb",
    ("h100", 81920): "h100.80gb",
    ("h200", 144384): "h200.141gb",
}
#: Profiles that Bottlerocket can lay out: 4g is missing on every GPU.
_MIG_COMPUTE = ("1g.", "2g.", "3g.", "7g.")


#: Pulls and unpacks images in parallel (SOCI snapshotter, since 1.44; values of karpenter-blueprints soci-snapshotter).
FAST_IMAGE_PULL = """
[settings.container-runtime]
snapshotter = "soci"

[settings.container-runtime-plugins.soci-snapshotter]
pull-mode = "parallel-pull-unpack"

[settings.container-runtime-plugins.soci-snapshotter.parallel-pull-unpack]
max-concurrent-downloads-per-image = 20
concurrent-download-chunk-size = "16mb"
max-concurrent-unpacks-per-image = 12
discard-unpacked-layers = true
"""


def bottlerocket_mig_problem(profile: Mig, gpu: Gpu) -> str | None:
    """Why Bottlerocket cannot cut this GPU with this MIG profile, or None when it can."""
    if (gpu.name, gpu.memory_mib) not in _MIG_KEYS:
        return f"Bottlerocket has no MIG settings for {gpu.product}"
    if not profile.profile.startswith(_MIG_COMPUTE):
        return f"Bottlerocket cannot lay out MIG profile {profile.profile}"
    return None


#: How a slot's device reaches its container, and from whom the runtime takes no other: bottlerocket.dev,
#: `settings.nvidia-container-runtime` (1.54). These are the defaults; where tenants do not trust each other they are
#: written, so that no default of a later release opens the node.
_DEVICES_BY_MOUNT = """
[settings.nvidia-container-runtime]
visible-devices-as-volume-mounts = true
visible-devices-envvar-when-unprivileged = false
"""
_ROOT = "settings.kubelet-device-plugins.nvidia"


def bottlerocket_settings(profile: SharingProfile, gpus: Iterable[Gpu], *, untrusted: bool = False) -> str:
    """User data (TOML) that makes a Bottlerocket node offer the profile's slots.

    gpus: those that the pool's instance types have. untrusted: whether containers may get GPUs by slots alone. Raises
    SharingError where Bottlerocket cannot do it.
    """
    settings = _sharing(profile, gpus)
    if not untrusted:
        return settings
    return settings.replace(f"[{_ROOT}]\n", f'[{_ROOT}]\ndevice-list-strategy = "volume-mounts"\n') + _DEVICES_BY_MOUNT


def _sharing(profile: SharingProfile, gpus: Iterable[Gpu]) -> str:
    root = _ROOT
    match profile:
        case NoSharing():
            return f'[{root}]\ndevice-sharing-strategy = "none"\n'
        case TimeSlicing():
            return (
                f'[{root}]\ndevice-sharing-strategy = "time-slicing"\n\n'
                f"[{root}.time-slicing]\nreplicas = {profile.replicas}\n"
                f"rename-by-default = {_toml(profile.rename)}\nfail-requests-greater-than-one = true\n"
            )
        case Mps():
            # MPS always refuses requests above one here; the key of time-slicing does not exist for it.
            return (
                f'[{root}]\ndevice-sharing-strategy = "mps"\n\n'
                f"[{root}.mps]\nreplicas = {profile.replicas}\nrename-by-default = {_toml(profile.rename)}\n"
            )
        case Mig():
            lines = []
            for gpu in sorted(set(gpus), key=lambda g: (g.name, g.memory_mib)):
                problem = bottlerocket_mig_problem(profile, gpu)
                if problem:
                    raise SharingError(problem)
                lines.append(f'"{_MIG_KEYS[gpu.name, gpu.memory_mib]}" = "{profile.profile}"')
            body = "\n".join(lines)
            return (
                f'[{root}]\ndevice-partitioning-strategy = "mig"\ndevice-sharing-strategy = "none"\n\n'
                f"[{root}.mig.profile]\n{body}\n"
            )


def _toml(value: bool) -> str:
    return "true" if value else "false"
