"""GPU pools of a stack with all that says how their GPUs are shared: plugin configurations, user data, overlays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, assert_never

from gpu.contract import CONFIG_LABEL, CONSUMABLE_ANNOTATION, MIG_CONFIG_LABEL, SHARING_LABEL
from gpu.mig import mig_profiles
from gpu.sharing import STRATEGIES
from gpu.sharing.al2023 import read_mig_profile
from gpu.sharing.bottlerocket import is_bottlerocket as _named_bottlerocket
from gpu.sharing.plugin_chart import mig_layout
from gpu.sharing.plugin_config import PluginConfig
from policy.device_plugin import (
    CONFIG_TYPES,
    NamedConfig,
    Sharing,
    bottlerocket_of,
    mig_manager_of,
    plugin_of,
    sharing_of_bottlerocket,
    sharing_of_config,
)
from policy.framework import Stack
from policy.instances import Candidate
from policy.karpenter import NODE_POOL_TYPES, NodePool, Selection, selection
from policy.reading import Unknown, get, number, text
from policy.registered import shared

NODE_CLASS_TYPES: Final = ("kubernetes:karpenter.k8s.aws/*:EC2NodeClass",)
OVERLAY_TYPES: Final = ("kubernetes:karpenter.sh/*:NodeOverlay",)
SHARING_TYPES: Final = (*NODE_POOL_TYPES, *NODE_CLASS_TYPES, *OVERLAY_TYPES, *CONFIG_TYPES)


@dataclass(frozen=True)
class Overlay:
    """A NodeOverlay's capacity, the instance types that it is for, and whether it changes their prices."""

    name: str
    urn: str
    selection: Selection
    weight: float
    capacity: Mapping[str, Any]
    prices: bool = False


Gpus = tuple[int, str, str]
"""GPUs of an instance type: how many, their name, and the memory (MiB) of each."""


@dataclass(frozen=True)
class JudgedPool:
    """A NodePool that can launch GPU types; `sharing` is None where nothing in the stack tells."""

    pool: NodePool
    urn: str
    sharing: Sharing | None

    @property
    def name(self) -> str:
        """Name of the NodePool."""
        return self.pool.name

    @cached_property
    def types(self) -> Sequence[tuple[Gpus, Candidate]]:
        """The known types that it can launch, with their GPUs."""
        found = ((_gpus(candidate), candidate) for candidate in self.pool.gpu_types())
        return [(gpus, candidate) for gpus, candidate in found if gpus]

    @cached_property
    def gpus(self) -> frozenset[Gpus]:
        """GPUs of the known types that it can launch."""
        return frozenset(gpus for gpus, _ in self.types)

    def overlays(self, candidate: Candidate, among: Iterable[Overlay]) -> list[Overlay]:
        """The overlays that say something of one of its types, in the order in which Karpenter takes them."""
        here = (overlay for overlay in among if overlay.selection.matches(self.pool, candidate))
        return sorted(here, key=lambda overlay: -overlay.weight)

    def slots_of(self, gpus: Gpus) -> int | None:
        """Slots of one GPU of a type; None if it is not told."""
        return self._fewest_slots([gpus])

    def slots_per_gpu(self, gpu_count: int | None = None) -> int | None:
        """Slots of one GPU, of the types with `gpu_count` GPUs or of all; None if it is not told.

        Where GPUs differ, the fewest: one overlay cannot be right for all of them, and must not promise too much.
        """
        return self._fewest_slots(gpus for gpus in self.gpus if gpu_count in {None, gpus[0]})

    def _fewest_slots(self, among: Iterable[Gpus]) -> int | None:
        if self.sharing is None:
            return None
        match self.sharing.strategy:
            case "none" | "memory":
                return 1
            case "time-slicing" | "mps":
                return self.sharing.replicas
            case "mig":
                profile = self.sharing.mig_profile
                tables = [mig_profiles(name, int(memory)) for _, name, memory in among if memory.isdigit()]
                return min(
                    (table[profile].max_per_gpu for table in tables if profile and profile in table), default=None
                )
            case _:
                assert_never(self.sharing.strategy)


def _gpus(candidate: Candidate) -> Gpus | None:
    keys = ("instance-gpu-count", "instance-gpu-name", "instance-gpu-memory")
    count, name, memory = ((candidate.labels.get(key) or ("",))[0] for key in keys)
    return (int(count), name, memory) if count.isdigit() else None


class SharingView:
    """What a stack's resources say about GPU sharing."""

    def __init__(self, stack: Stack) -> None:
        found = [(resource, plugin_of(resource.plain)) for resource in stack.of(*CONFIG_TYPES)]
        config_maps = {_name(resource.plain, resource.name): plugin for resource, plugin in found if plugin}
        self.plugins = [plugin.reading(config_maps) for _, plugin in found if plugin]
        self._mig = next((strategy for resource, _ in found if (strategy := mig_manager_of(resource.plain))), None)
        self.classes = {
            _name(props, resource.name): props for resource in stack.of(*NODE_CLASS_TYPES) for props in [resource.plain]
        }
        self.overlays = [_overlay(item.plain, item.name, item.urn) for item in stack.of(*OVERLAY_TYPES)]
        self.pools = list(self._gpu_pools(stack))

    def _gpu_pools(self, stack: Stack) -> Iterator[JudgedPool]:
        for resource in stack.of(*NODE_POOL_TYPES):
            pool = NodePool(resource.plain, resource.name)
            if pool.first_gpu_type() is not None:
                yield JudgedPool(pool, resource.urn, self.sharing_of(pool))

    def configs(self, pool: NodePool) -> dict[str, NamedConfig]:
        """The device-plugin configurations that nodes of the pool may take, by name."""
        here = (plugin.configs for plugin in self.plugins if plugin.runs_on(pool.labels))
        return {name: config for configs in here for name, config in configs.items()}

    def node_class(self, pool: NodePool) -> Mapping[str, Any] | None:
        """The EC2NodeClass of a pool (plain inputs), if it is in this stack."""
        return self.classes.get(text(get(pool.manifest, "spec", "template", "spec", "nodeClassRef", "name")))

    def sharing_of(self, pool: NodePool) -> Sharing | None:
        """How the pool's GPUs are shared: by its user data, its configuration, the default one, or its label."""
        if pool.auto_mode:
            return None
        node_class = self.node_class(pool)
        if node_class is not None and claims_of(node_class):
            return Sharing("memory", f"annotation {CONSUMABLE_ANNOTATION} of its EC2NodeClass")
        if node_class is not None and is_bottlerocket(node_class):
            user_data = get(node_class, "spec", "userData")
            if isinstance(user_data, Unknown):
                return None
            found = bottlerocket_of(node_class)
            if found is None:
                return Sharing("none", "its user data, which sets nothing")
            return sharing_of_bottlerocket(found, "its user data")
        layout = mig_layout(pool.labels) if self._mig in {"single", "mixed"} else None
        if layout:
            source = f"label {MIG_CONFIG_LABEL} with the GPU Operator's mig.strategy {self._mig}"
            return Sharing("mig", source, mig_single=self._mig == "single", mig_profile=layout)
        config = self.named_config(pool)
        if config is not None and not isinstance(config.config, Unknown):
            name = f"device-plugin configuration {config.name}" if config.name else config.path
            sharing = sharing_of_config(config.config, name)
            return _with_mig_profile(sharing, node_class) if sharing.strategy == "mig" else sharing
        label = next((name for name in STRATEGIES if name == pool.labels.get(SHARING_LABEL)), None)
        return Sharing(label, f"label {SHARING_LABEL}") if label and not self.plugins else None

    def config_of(self, pool: NodePool) -> PluginConfig | None:
        """The device-plugin configuration that nodes of the pool take; None if there is none here, or it is unknown."""
        found = self.named_config(pool)
        return None if found is None or isinstance(found.config, Unknown) else found.config

    def named_config(self, pool: NodePool) -> NamedConfig | None:
        """The same with its name, also where what it says is not known in preview."""
        named = pool.labels.get(CONFIG_LABEL)
        if named:
            return self.configs(pool).get(named)
        here = (plugin.config_of(pool.labels) for plugin in self.plugins if plugin.runs_on(pool.labels))
        return next((config for config in here if config is not None), None)


def sharing_view(stack: Stack) -> SharingView:
    """The view of a stack: made once for all rules that see the same of it, as long as copies are shared."""
    seen = list(stack.of(*SHARING_TYPES))
    if not seen:
        return SharingView(Stack(resources=()))
    # Resources of a run are the same objects for all its rules, and live as long as what is shared.
    use = f"sharing {','.join(str(id(resource)) for resource in seen)}"
    return shared(use, seen[0], lambda: SharingView(Stack(resources=seen)))


def _with_mig_profile(sharing: Sharing, node_class: Mapping[str, Any] | None) -> Sharing:
    """AL2023 nodes cut their GPUs in user data; the configuration does not name the profile."""
    return replace(sharing, mig_profile=read_mig_profile(text(get(node_class, "spec", "userData"))))


def claims_of(node_class: Mapping[str, Any]) -> str:
    """What claims may share of GPUs of nodes of a class, as Karpenter is told; empty where it is told nothing.

    `policy.rules.gpu_claims_consistent` says so where it is not known.
    """
    given = get(node_class, "metadata", "annotations", CONSUMABLE_ANNOTATION)
    return "" if isinstance(given, Unknown) or text(given) == "disabled" else text(given)


def is_bottlerocket(node_class: Mapping[str, Any]) -> bool:
    """Whether an EC2NodeClass makes Bottlerocket nodes: by family, alias or user data."""
    spec = get(node_class, "spec")
    return (isinstance(spec, Mapping) and _named_bottlerocket(spec)) or bottlerocket_of(node_class) is not None


def _name(manifest: Mapping[str, Any], fallback: str) -> str:
    given = get(manifest, "metadata", "name")
    return given if isinstance(given, str) and given else fallback


def _overlay(manifest: Mapping[str, Any], resource_name: str, urn: str) -> Overlay:
    capacity = get(manifest, "spec", "capacity")
    return Overlay(
        name=_name(manifest, resource_name),
        urn=urn,
        selection=selection(get(manifest, "spec", "requirements")),
        weight=number(get(manifest, "spec", "weight")) or 0,
        capacity=capacity if isinstance(capacity, Mapping) else {},
        prices=any(get(manifest, "spec", name) is not None for name in ("price", "priceAdjustment")),
    )
