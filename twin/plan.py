"""What a stack's program wants, as far as the twin plays it. Plain data: the twin's processes read it from a file.

`twin.planning` makes it from the recorded program. Nothing here loads Pulumi.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gpu.catalog import INSTANCE_TYPES, InstanceType
from gpu.contract import CAPACITY_TYPE_LABEL, GPU_COUNT_LABEL, GPU_RESOURCE, INSTANCE_TYPE_LABEL, NODE_POOL_LABEL
from twin.errors import TwinError
from twin.machine.state import DamagedError, TwinState, read_json, write_json
from twin.play.device_plugin import InstalledPlugin
from twin.play.dra_driver import CHART, DISABLED, InstalledDriver, announced_shares

CRD_CHART = "karpenter-crd"
CONTROLLER_CHART = "karpenter"
KNATIVE_CHART = "knative-operator"
OPERATOR_CHART = "gpu-operator"
PLUGIN_CHARTS = ("nvidia-device-plugin", OPERATOR_CHART)
DRIVER_CHART = CHART
PLAYED_CHARTS = (CRD_CHART, CONTROLLER_CHART, KNATIVE_CHART, DRIVER_CHART, *PLUGIN_CHARTS)
#: Namespaces that every API server makes itself, and lets nobody delete.
FIRST_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")

#: What a pod must say in a namespace of the `restricted` level; pods that the twin makes up say it too.
HARDENED_CONTAINER: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
HARDENED_POD: Mapping[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}

#: Knative's own default for the stable window (config-autoscaler), in seconds.
WINDOW_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Model:
    """Something that is served on request: a model on its slot, or the dialogue. Durations in seconds."""

    name: str
    namespace: str
    template: Mapping[str, Any]
    """Pod template (`metadata`, `spec`)."""
    window: float = WINDOW_SECONDS
    """How long nobody must ask before the model is idle."""
    retention: float = 0.0
    """How long the last pod stays after that."""
    minimum: int = 0
    """Pods that stay when nobody asks."""
    knative: bool = True
    """Whether the program has a Knative service for it; without, the twin stands in for that too."""
    slot: str = ""
    """Resource that a pod needs for its slot; empty where it needs none."""
    claim_mib: int = 0
    """GPU memory that a pod claims, in MiB; 0 where it claims none."""
    not_played: Mapping[str, float] = field(default_factory=dict)
    """Steps of its cold start that the plan reckons with and the twin leaves out, in seconds by name."""

    @property
    def wants_gpu(self) -> bool:
        """Whether a pod needs a slot or GPU memory."""
        return bool(self.slot or self.claim_mib)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One object of the cluster, or one Helm release."""

    urn: str
    name: str
    """For people: kind and name."""
    after: tuple[str, ...]
    """URNs of planned things that must be there, and ready, before."""
    manifest: Mapping[str, Any] | None = None
    """The object without what only Pulumi reads; None for a release."""
    ready: bool = False
    """Whether the program waits for the object's condition Ready."""
    chart: str = ""
    """Name of the chart of a release, without its address."""
    version: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CloudResource:
    """One resource of AWS, with inputs as the program gave them."""

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class PlannedPool:
    """A GPU pool as its own objects describe it."""

    name: str
    resource: str
    """What a workload asks for to get a slot."""
    slots: Mapping[int, int]
    """Slots of a node by its number of GPUs; empty where no overlay says so: then each GPU is one slot."""
    capacity_type: str
    """`spot` or `on-demand`; the first that the pool allows."""
    claims: bool = False
    """Whether pods claim memory of its GPUs; then there are no slots."""
    static: bool = False
    """Whether it has a fixed number of nodes, so that none comes for a pod."""

    def slots_per_node(self, gpus: int = 1) -> int:
        """Slots of a node with that many GPUs."""
        return self.slots.get(gpus, gpus)


@dataclass(frozen=True, kw_only=True)
class TwinPlan:
    """A stack as the twin sees it. Plain data: it survives in `plan.json`."""

    stack: str
    region: str
    cluster: str
    """Name of the EKS cluster."""
    kubernetes: str
    """Its version, such as `1.36`."""
    cloud: tuple[CloudResource, ...]
    outputs: Mapping[str, tuple[str, str]]
    """Placeholder text to URN and name of the output that it stands for."""
    planned: tuple[Planned, ...]
    """In the order of the program; what an object needs comes before it."""
    plugins: tuple[InstalledPlugin, ...]
    models: tuple[Model, ...]
    drivers: tuple[InstalledDriver, ...] = ()
    nodes: tuple[Mapping[str, Any], ...] = ()
    """GPU nodes of node groups that are somebody's, with their status."""

    def release(self, chart: str) -> Planned | None:
        """The release of a chart; None when the program installs none."""
        return next((planned for planned in self.planned if planned.chart == chart), None)

    def manifests(self, kind: str) -> list[Mapping[str, Any]]:
        """The plan's objects of a kind."""
        return [p.manifest for p in self.planned if p.manifest and p.manifest["kind"] == kind]

    def node_pool(self, name: str) -> Mapping[str, Any]:
        """The plan's NodePool of a name, which must be there."""
        return next(pool for pool in self.manifests("NodePool") if pool["metadata"]["name"] == name)

    @property
    def gpu_pools(self) -> tuple[PlannedPool, ...]:
        """Node pools whose nodes carry NVIDIA's taint."""
        pools = []
        for pool in self.manifests("NodePool"):
            spec = pool["spec"]["template"]["spec"]
            if any(taint["key"] == GPU_RESOURCE for taint in spec.get("taints") or []):
                pools.append(_gpu_pool(pool, self.manifests("NodeOverlay"), self._claims(spec)))
        return tuple(pools)

    def _claims(self, pool: Mapping[str, Any]) -> bool:
        """Whether a pool's EC2NodeClass has Karpenter buy for claims. pool: `spec` of its template."""
        classes = {each["metadata"]["name"]: each for each in self.manifests("EC2NodeClass")}
        return announced_shares(classes.get(pool["nodeClassRef"]["name"])) != DISABLED

    @property
    def slot_pools(self) -> tuple[PlannedPool, ...]:
        """GPU pools whose pods take slots, and get nodes for that."""
        return tuple(pool for pool in self.gpu_pools if not pool.claims and not pool.static)

    @property
    def claim_pools(self) -> tuple[PlannedPool, ...]:
        """GPU pools whose pods claim memory."""
        return tuple(pool for pool in self.gpu_pools if pool.claims)

    @property
    def fingerprint(self) -> str:
        """Changes with anything that AWS is seeded with."""
        cloud = [(resource.urn, resource.inputs) for resource in self.cloud]
        text = json.dumps([cloud, self.region, self.cluster, self.kubernetes], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def digest(self) -> str:
        """Changes with anything in the plan."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def left_out(self) -> list[str]:
        """Charts that the program installs and the twin does not play."""
        return sorted({p.chart for p in self.planned if p.chart and p.chart not in PLAYED_CHARTS})


def _gpu_pool(pool: Mapping[str, Any], overlays: list[Mapping[str, Any]], claims: bool) -> PlannedPool:
    name, resource, slots = pool["metadata"]["name"], GPU_RESOURCE, dict[int, int]()
    for overlay in overlays:
        wanted = {r["key"]: r.get("values") or [] for r in overlay["spec"]["requirements"]}
        if name not in wanted.get(NODE_POOL_LABEL, []):
            continue
        offered = {key: int(text) for key, text in (overlay["spec"].get("capacity") or {}).items() if int(text)}
        for key, number in offered.items():
            resource = key
            slots |= {int(gpus): number for gpus in wanted.get(GPU_COUNT_LABEL, ["1"])}
    requirements = {r["key"]: r.get("values") or [] for r in pool["spec"]["template"]["spec"]["requirements"]}
    capacity_type = next(iter(requirements.get(CAPACITY_TYPE_LABEL, [])), "")
    return PlannedPool(
        name=name,
        resource=resource,
        slots=slots,
        capacity_type=capacity_type,
        claims=claims,
        static="replicas" in pool["spec"],
    )


def types_of(pool: Mapping[str, Any]) -> list[InstanceType]:
    """What a NodePool may buy, as far as the catalogue has it."""
    requirements = pool["spec"]["template"]["spec"].get("requirements") or []
    names = (name for each in requirements if each["key"] == INSTANCE_TYPE_LABEL for name in each.get("values") or [])
    return [INSTANCE_TYPES[name] for name in names if name in INSTANCE_TYPES]


def vcpus_per_gpu(types: Sequence[InstanceType]) -> int:
    """The fewest: a pool's limit of processors lets it have no more GPUs than that many times these."""
    return min(kind.vcpus // kind.gpu_count for kind in types)


def most_gpus(pool: Mapping[str, Any]) -> int | None:
    """GPUs that a NodePool whose pods claim memory may have: Karpenter counts none, so its limit is of processors."""
    cpu, types = (pool["spec"].get("limits") or {}).get("cpu"), types_of(pool)
    return int(cpu) // vcpus_per_gpu(types) if cpu and str(cpu).isdecimal() and types else None


def save_plan(state: TwinState, plan: TwinPlan) -> None:
    """Keep a plan for the twin's own processes."""
    write_json(state.plan, asdict(plan))


def load_plan(state: TwinState) -> TwinPlan:
    """The plan that the twin runs. Raises TwinError when it has none, or one that cannot be read."""
    try:
        return _plan_of(read_json(state.plan))
    except FileNotFoundError as error:
        raise TwinError(f"there is no twin of {state.stack}: `slices up {state.stack}` starts one") from error
    except (ValueError, TypeError, KeyError) as error:  # of another version of this program
        raise DamagedError(state.plan) from error


def _plan_of(data: Mapping[str, Any]) -> TwinPlan:
    return TwinPlan(
        **{
            **data,
            "cloud": tuple(CloudResource(**resource) for resource in data["cloud"]),
            "outputs": {key: (urn, name) for key, (urn, name) in data["outputs"].items()},
            "planned": tuple(Planned(**{**planned, "after": tuple(planned["after"])}) for planned in data["planned"]),
            "plugins": tuple(InstalledPlugin(**plugin) for plugin in data["plugins"]),
            "models": tuple(Model(**model) for model in data["models"]),
            "drivers": tuple(InstalledDriver(**driver) for driver in data["drivers"]),
            "nodes": tuple(data.get("nodes", ())),
        }
    )
