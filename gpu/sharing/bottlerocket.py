"""Bottlerocket's native device-plugin settings: written from a sharing profile, and read back.

Bottlerocket's NVIDIA variants run the device plugin as a host service: nodes are configured by user data and get no
device-plugin pods. Settings: bottlerocket.dev, `settings.kubelet-device-plugins.nvidia` (time-slicing since 1.25, MIG
since 1.34, MPS since 1.54). The rename defaults are the opposite of the chart's, so they are always written. The
service turns the settings into a configuration of NVIDIA's plugin (bottlerocket-core-kit
packages/nvidia-k8s-device-plugin/nvidia-k8s-device-plugin-conf), and so does this module to read them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from gpu.contract import GPU_RESOURCE
from gpu.gpus import GPUS
from gpu.sharing.memory import MemoryClaims
from gpu.sharing.mig import Mig
from gpu.sharing.mps import Mps
from gpu.sharing.none import NoSharing
from gpu.sharing.plugin_config import PluginConfig, read_plugin_config
from gpu.sharing.profile import SharingError
from gpu.sharing.time_slicing import TimeSlicing

if TYPE_CHECKING:
    from gpu.catalog import Gpu
    from gpu.sharing import SharingProfile

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


def _mig_key(gpu: Gpu) -> str:
    """By what `mig.profile` knows a GPU; empty where it does not."""
    row = GPUS.get((gpu.name, gpu.memory_mib))
    return (row.bottlerocket_key if row else None) or ""


def bottlerocket_mig_problem(profile: Mig, gpu: Gpu) -> str | None:
    """Why Bottlerocket cannot cut this GPU with this MIG profile, or None when it can."""
    if not _mig_key(gpu):
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
        case MemoryClaims():
            raise SharingError("GPUs whose memory is claimed are not for Bottlerocket, whose host runs a device plugin")
        case Mig():
            lines = []
            for gpu in sorted(set(gpus), key=lambda g: (g.name, g.memory_mib)):
                problem = bottlerocket_mig_problem(profile, gpu)
                if problem:
                    raise SharingError(problem)
                lines.append(f'"{_mig_key(gpu)}" = "{profile.profile}"')
            body = "\n".join(lines)
            return (
                f'[{root}]\ndevice-partitioning-strategy = "mig"\ndevice-sharing-strategy = "none"\n\n'
                f"[{root}.mig.profile]\n{body}\n"
            )
        case _:
            assert_never(profile)


def _toml(value: bool) -> str:
    return "true" if value else "false"


# --- Read -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BottlerocketSharing:
    """What a node's settings make of its GPUs."""

    config: PluginConfig
    """The plugin's configuration that the host service makes of them."""
    mig_profiles: Mapping[str, str]
    """MIG profile by the key of the GPU that is cut by it; empty where none is cut."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the node would offer no GPU."""
        if self.config.replication == "mps" and self.config.mig == "single":
            return ("MPS and MIG together: the plugin does not start and the node offers no GPU. Keep one.",)
        return self.config.problems

    def mig_profile(self, gpu: Gpu) -> str | None:
        """Profile that a GPU is cut by; None where it stays whole, or no key is its own."""
        key = _mig_key(gpu)
        names = (profile for name, profile in self.mig_profiles.items() if name in (key, gpu.name))
        return next((name for name in names if name in gpu.mig_profiles), None)


def read_bottlerocket(user_data: str) -> BottlerocketSharing | None:
    """Read user data; None if it says nothing of NVIDIA's plugin. Raises ValueError where it is no TOML."""
    if "nvidia" not in user_data:
        return None
    try:
        found: Any = tomllib.loads(user_data)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"the user data is not TOML: {error}") from error
    for key in ("settings", "kubelet-device-plugins", "nvidia"):
        found = found.get(key) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        return None
    cut = found.get("device-partitioning-strategy") == "mig"
    profiles = _section(_section(found, "mig"), "profile") if cut else {}
    return BottlerocketSharing(
        config=read_plugin_config(_as_plugin_config(found, cut=cut)),
        mig_profiles={str(gpu): str(profile) for gpu, profile in profiles.items()},
    )


def _as_plugin_config(nvidia: Mapping[str, Any], *, cut: bool) -> dict[str, Any]:
    config: dict[str, Any] = {"version": "v1", "flags": {"migStrategy": "single" if cut else "none"}}
    if "device-list-strategy" in nvidia:
        config["flags"]["plugin"] = {"deviceListStrategy": nvidia["device-list-strategy"]}
    strategy = nvidia.get("device-sharing-strategy")
    key = {"time-slicing": "timeSlicing", "mps": "mps"}.get(strategy) if isinstance(strategy, str) else None
    if key:
        rules = _section(nvidia, str(strategy))
        config["sharing"] = {
            key: {
                "renameByDefault": rules.get("rename-by-default", True),
                "failRequestsGreaterThanOne": rules.get("fail-requests-greater-than-one", True),
                "resources": [{"name": GPU_RESOURCE, "replicas": rules.get("replicas", 2)}],
            }
        }
    return config


def _section(settings: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = settings.get(key)
    return found if isinstance(found, Mapping) else {}


def is_bottlerocket(node_class: Mapping[str, Any]) -> bool:
    """Whether an EC2NodeClass with this `spec` makes Bottlerocket nodes: by family or alias."""
    terms = node_class.get("amiSelectorTerms")
    given = (
        [term.get("alias") for term in terms if isinstance(term, Mapping)] if isinstance(terms, list | tuple) else []
    )
    named = any(isinstance(alias, str) and "bottlerocket" in alias for alias in given)
    return named or node_class.get("amiFamily") == "Bottlerocket"
