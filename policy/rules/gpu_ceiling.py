"""A stack says how many GPUs it can have at most, and that is not too many."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from gpu.catalog import FAMILIES, INSTANCE_TYPES
from gpu.contract import GPU_RESOURCE, NVIDIA_PREFIX
from policy import nodes
from policy.engine import CONTENTS, speechless
from policy.framework import EnforcementLevel, Finding, Option, Resource, Settings, Severity, Stack, StackRule
from policy.instances import is_gpu
from policy.karpenter import NODE_POOL_PATCHES, NodePool
from policy.nodes import Machine, chosen, every
from policy.ondemand.purchase import gpus_required
from policy.reading import Unknown, each, get, number, quantity, strings, text, whole
from policy.sharing import SHARING_TYPES, JudgedPool, Overlay, sharing_view

#: GPUs of a type that is not in the catalogue: the most that any type has.
_MOST: Final = max(instance_type.gpu_count for instance_type in INSTANCE_TYPES.values())

#: What holds the instance type where the resource that starts instances does not.
_TEMPLATES: Final = (nodes.LAUNCH_TEMPLATE, nodes.LAUNCH_CONFIGURATION)
#: Most nodes of a pulumi-eks node group that does not say (`nodejs/eks/nodes/nodegroup.ts`, all three kinds).
_COMPONENT_SIZE: Final = 2

Count = int | str
"""Most GPUs, or what keeps them from being counted."""


def check(stack: Stack, settings: Settings) -> Iterator[Finding]:
    """Yield what cannot be counted, and the sum if it is above the ceiling."""
    counted: list[tuple[int, str]] = []
    for who, urn, most in _counts(stack):
        if isinstance(most, str):
            yield Finding(f"{most}, so that the stack's GPUs can be counted.", urn)
        elif most:
            counted.append((most, who))
    total, ceiling = sum(most for most, _ in counted), _ceiling(stack, settings)
    if total > ceiling:
        parts = ", ".join(f"{most} of {who}" for most, who in sorted(counted, reverse=True))
        yield Finding(f"can have {total} GPUs ({parts}), more than {text(ceiling)}.")


def _counts(stack: Stack) -> Iterator[tuple[str, str, Count]]:
    """Everything that may have GPUs: its name, its URN, and how many."""
    view = sharing_view(stack)
    pools = view.pools
    for pool in pools:
        replicas = get(pool.pool.manifest, "spec", "replicas")
        most = _of_pool(pool, view.overlays) if replicas is None else _of_static_pool(pool, replicas)
        if most is not None:  # a pool without a limit is gpu-pool-has-limit's business
            yield f"NodePool {pool.name}", pool.urn, most
    for resource in stack.of(*NODE_POOL_PATCHES):
        for count in _of_patch(NodePool(resource.plain, resource.name), pools):
            yield f"NodePoolPatch {resource.name}", resource.urn, count
    for resource, most in _machines(stack):
        yield f"{resource.type.rpartition(':')[2]} {resource.name}", resource.urn, most


def _machines(stack: Stack) -> Iterator[tuple[Resource, Count]]:
    """Everything but pools that starts instances, once: a component by its inputs, or else by what is inside it."""
    templates = list(stack.of(*_TEMPLATES))
    components = {resource.urn: resource for resource in stack.of(*CONTENTS)}
    used: set[str] = set()
    for resource in stack.of(*_COUNTERS):
        launched = nodes.launched_from(resource, templates)
        used.update(template.urn for template in launched)
        if not _counted_in(resource, components):
            yield (
                resource,
                _COUNTERS[resource.type](resource.plain, [Machine.of(template.plain) for template in launched]),
            )
    for resource in templates:
        # A node group that CloudFormation starts (eks.NodeGroup): its size stands in a template that nobody knows yet.
        if resource.parent in components and resource.urn not in used and not _counted_in(resource, components):
            gpus = _gpus_of([Machine.of(resource.plain)], "instanceType")
            yield resource, f"how many instances of {resource.name} are started must be a literal" if gpus else 0


def _counted_in(resource: Resource, components: Mapping[str, Resource]) -> bool:
    """Whether it is inside a component that is counted by inputs of its own."""
    component = components.get(resource.parent or "")
    return component is not None and not speechless(component.type, component.props)


def _ceiling(stack: Stack, settings: Settings) -> float:
    """The stack's own ceiling, by the stack's name in its URNs (urn:pulumi:<stack>::...), or the common one."""
    urn = stack.resources[0].urn if stack.resources else ""
    name = urn.removeprefix("urn:pulumi:").partition("::")[0]
    own = settings["stackCeilings"]
    ceiling: float = own.get(name, settings["maxGpus"])
    return ceiling


def _of_pool(pool: JudgedPool, overlays: Sequence[Overlay]) -> Count | None:
    """Physical GPUs: limits are in slots where the pool's overlays state slots, whatever makes them."""
    limits = pool.pool.limits
    if pool.sharing and pool.sharing.strategy == "memory":
        return _of_vcpus(pool, limits)
    resource = (pool.sharing.resource if pool.sharing else None) or GPU_RESOURCE
    names = [resource] if resource in limits else _gpu_limits(limits)
    return _worst(_within(pool, overlays, name, _limit(name, limits[name])) for name in names)


def _within(pool: JudgedPool, overlays: Sequence[Overlay], resource: str, limit: Count) -> Count:
    """GPUs below a limit on a resource: of the type of which each adds least to what Karpenter counts."""
    if isinstance(limit, str):
        return limit
    found = [limit] if not pool.types else []
    for gpus, candidate in pool.types:
        here = pool.overlays(candidate, overlays)
        stated = next((overlay.capacity[resource] for overlay in here if resource in overlay.capacity), None)
        counted = None if isinstance(stated, Unknown) else quantity(stated)
        if not counted or counted < 0:
            slots = 1 if resource == GPU_RESOURCE and stated is None else pool.slots_of(gpus) or 1
            counted = gpus[0] * slots
        found.append(math.ceil(limit * gpus[0] / counted))
    return max(found)


def _of_vcpus(pool: JudgedPool, limits: Mapping[str, Any]) -> Count | None:
    """GPUs of a pool whose pods claim memory: as many as come with the vCPUs that it may have."""
    if "cpu" not in limits:
        return None
    most = _limit("cpu", limits["cpu"])
    if isinstance(most, str):
        return most
    known = [INSTANCE_TYPES[candidate.name] for _, candidate in pool.types if candidate.name in INSTANCE_TYPES]
    return max(most * each_type.gpu_count // each_type.vcpus for each_type in known or INSTANCE_TYPES.values())


def _of_static_pool(pool: JudgedPool, replicas: Any) -> Count:
    """A pool that always has so many nodes: each with the most GPUs that any of its types has."""
    gpus = max((count for count, _, _ in pool.gpus), default=_MOST)
    return _times(replicas, gpus, "spec.replicas")


def _of_patch(patch: NodePool, pools: list[JudgedPool]) -> Iterator[Count]:
    """What a patch raises: limits, and the nodes of a static pool of this stack."""
    spec = get(patch.manifest, "spec")
    if any(isinstance(given, Unknown) for given in (spec, get(spec, "limits"), get(spec, "limits", "resources"))):
        yield "spec.limits must be a literal"
    limit = _worst(_limit(name, patch.limits[name]) for name in _gpu_limits(patch.limits))
    replicas = get(spec, "replicas")
    if limit is not None:
        yield limit
    if replicas is not None:
        changed = [pool for pool in pools if pool.name == patch.name]
        own = [JudgedPool(patch, "", None)] if patch.requirements and patch.first_gpu_type() is not None else []
        yield from (_of_static_pool(pool, replicas) for pool in changed or own)


def _gpu_limits(limits: Mapping[str, Any]) -> list[str]:
    """The limit on GPUs, or else those on what may be slots."""
    return [GPU_RESOURCE] if GPU_RESOURCE in limits else [name for name in limits if name.startswith(NVIDIA_PREFIX)]


def _worst(counts: Iterable[Count]) -> Count | None:
    """What cannot be counted, or else the most; None where there is nothing."""
    found = list(counts)
    wrong = next((count for count in found if isinstance(count, str)), None)
    return wrong or max((count for count in found if isinstance(count, int)), default=None)


def _limit(name: str, value: Any) -> Count:
    """GPUs below a pool's limit; Karpenter buys none below a negative one (`pkg/apis/v1/nodepool.go` ExceededBy)."""
    most = quantity(value)
    return f"spec.limits.{name} must be a literal number" if most is None else max(0, int(most))


def _gpus_of(machines: list[Machine], where: str) -> Count:
    """Most GPUs that one of these machines has."""
    return _worst(_gpus_of_machine(machine, where) for machine in machines) or 0


def _gpus_of_machine(machine: Machine, where: str) -> Count:
    if isinstance(machine.type, Unknown):
        return f"{where} must be a literal"
    if not text(machine.type):
        return _gpus_required(machine.requirements, where)
    return _count(text(machine.type)) if is_gpu(text(machine.type)) else 0


def _gpus_required(requirements: Any, where: str) -> Count:
    """Most GPUs of the types that an attribute-based selection admits; any number where it does not limit them."""
    if gpus_required(requirements, where, ()) is None:
        return 0
    most = get(requirements, "acceleratorCount", "max")
    figure = _MOST if most is None else whole(most)
    if isinstance(requirements, Unknown) or figure is None:
        return f"{where} (acceleratorCount.max) must be a literal number"
    return min(max(0, figure), _MOST)


def _count(name: str) -> int:
    if name in INSTANCE_TYPES:
        return INSTANCE_TYPES[name].gpu_count
    return max((found.gpu_count for found in FAMILIES.get(name.partition(".")[0], ())), default=_MOST)


def _times(instances: Any, gpus: Count, where: str) -> Count:
    """GPUs of so many instances. A size below 0 makes no room for others: AWS and Kubernetes refuse it."""
    if not gpus or isinstance(gpus, str):
        return gpus
    size = 0 if instances is None else whole(instances)
    return f"{where} must be a literal number" if size is None else max(0, size) * gpus


Props = Mapping[str, Any]
Machines = list[Machine]
"""What the launch templates and configurations in use choose: it holds where the resource chooses none itself."""


def _typed(types: Any) -> Machines:
    return [Machine(name) for name in ([types] if isinstance(types, str | Unknown) else each(types))]


def _managed(props: Props, launched: Machines) -> Count:
    scaling = props.get("scalingConfig")
    size = scaling if isinstance(scaling, Unknown) else get(scaling, "maxSize")
    gpus = _gpus_of(_typed(props.get("instanceTypes")) or launched, "instanceTypes")
    return _times(size, gpus, "scalingConfig.maxSize")


def _managed_component(props: Props, launched: Machines) -> Count:
    scaling = props.get("scalingConfig") or {}
    if isinstance(scaling, Mapping):
        scaling = {**scaling, "maxSize": _COMPONENT_SIZE if scaling.get("maxSize") is None else scaling["maxSize"]}
    return _managed({**props, "scalingConfig": scaling}, launched)


def _own(props: Props, _launched: Machines) -> Count:
    size = props.get("maxSize")
    gpus = _gpus_of(_typed(props.get("instanceType")), "instanceType")
    return _times(_COMPONENT_SIZE if size is None else size, gpus, "maxSize")


def _cluster(props: Props, launched: Machines) -> Count:
    """The node group that eks.Cluster makes unless told otherwise."""
    options = props.get("nodeGroupOptions")
    if not nodes.makes_default_group(props):
        return 0
    if isinstance(options, Unknown):
        return "nodeGroupOptions must be a literal"
    return _own({**props, **options} if isinstance(options, Mapping) else props, launched)


def _instance(props: Props, launched: Machines) -> Count:
    return _gpus_of(_typed(props.get("instanceType") or None) or launched, "instanceType")


def _capacity(size: Any, machines: Machines, size_path: str, where: str) -> Count:
    """GPUs of a group whose size is in units, of which an instance is one unless weights say otherwise."""
    most = 0
    for machine in machines:
        gpus = _gpus_of_machine(machine, where)
        weight = 1.0 if machine.weight is None else number(machine.weight)
        if gpus and (weight is None or weight <= 0):
            return f"{where}.weightedCapacity must be a literal number above 0"
        units = _times(size, min(gpus, 1) if isinstance(gpus, int) else gpus, size_path)
        if isinstance(units, str):
            return units
        if isinstance(gpus, int):  # -(-a // b) rounds up: the last instance may be more than what was missing
            most = max(most, gpus * int(-(-units // (weight or 1.0))))
    return most


def _group(props: Props, launched: Machines) -> Count:
    policy = props.get("mixedInstancesPolicy")
    place = "mixedInstancesPolicy.launchTemplate"
    template = policy if isinstance(policy, Unknown) else get(policy, "launchTemplate")
    return _capacity(props.get("maxSize"), chosen(template, launched), "maxSize", f"{place}.overrides")


def _spot_fleet(props: Props, launched: Machines) -> Count:
    own = [Machine.of(item) for item in every(props.get("launchSpecifications"))]
    configurations = props.get("launchTemplateConfigs")
    machines = [*own, *(chosen(configurations, launched) if configurations is not None or not own else ())]
    return _capacity(props.get("targetCapacity"), machines, "targetCapacity", "the fleet's instance types")


def _reservation(props: Props, _launched: Machines) -> Count:
    gpus = _gpus_of(_typed(props.get("instanceType")), "instanceType")
    return _times(props.get("instanceCount"), gpus, "instanceCount")


def _fleet(props: Props, launched: Machines) -> Count:
    target = props.get("targetCapacitySpecification")
    size = target if isinstance(target, Unknown) else get(target, "totalTargetCapacity")
    where = "targetCapacitySpecification.totalTargetCapacity"
    machines = chosen(props.get("launchTemplateConfigs"), launched)
    return _capacity(size, machines, where, "launchTemplateConfigs.overrides")


def _batch(props: Props, _launched: Machines) -> Count:
    """A compute environment is limited in vCPUs: as many GPUs as come with them."""
    compute = props.get("computeResources")
    if isinstance(compute, Unknown):
        return "computeResources must be a literal"
    types, most = get(compute, "instanceTypes"), get(compute, "maxVcpus")
    if not _gpus_of(_typed(types), "computeResources.instanceTypes"):
        return 0
    vcpus = whole(most)
    if vcpus is None or isinstance(types, Unknown) or any(isinstance(one, Unknown) for one in each(types)):
        return "computeResources.maxVcpus and instanceTypes must be literals"
    return max((vcpus * gpus // of for gpus, of in map(_gpus_by_vcpu, filter(is_gpu, strings(types)))), default=0)


def _gpus_by_vcpu(name: str) -> tuple[int, int]:
    """GPUs, and the vCPUs that come with them, of the densest type that a type or family admits."""
    family = FAMILIES.get(name.partition(".")[0], ())
    types = [INSTANCE_TYPES[name]] if name in INSTANCE_TYPES else list(family) or list(INSTANCE_TYPES.values())
    densest = max(types, key=lambda one: one.gpu_count / one.vcpus)
    return densest.gpu_count, densest.vcpus


_COUNTERS: Final[Mapping[str, Callable[[Props, Machines], Count]]] = {
    "aws:eks/nodeGroup:NodeGroup": _managed,
    "eks:index:Cluster": _cluster,
    "eks:index:ManagedNodeGroup": _managed_component,
    "eks:index:NodeGroup": _own,
    "eks:index:NodeGroupV2": _own,
    "aws:ec2/instance:Instance": _instance,
    "aws:ec2/spotInstanceRequest:SpotInstanceRequest": _instance,
    "aws:autoscaling/group:Group": _group,
    "aws:ec2/fleet:Fleet": _fleet,
    "aws:ec2/spotFleetRequest:SpotFleetRequest": _spot_fleet,
    "aws:ec2/capacityReservation:CapacityReservation": _reservation,
    "aws:batch/computeEnvironment:ComputeEnvironment": _batch,
}

RULE = StackRule(
    name="gpu-ceiling-per-stack",
    title="A ceiling on the stack's GPUs",
    description=(
        "GPU pools, node groups, groups, fleets, instances and reservations of a stack together must not exceed a "
        "ceiling."
    ),
    why=(
        "Every pool can have a sensible limit and the sum still be a bill that nobody agreed to. The ceiling counts "
        "physical GPUs at full size: the pools' limits divided by their slots, or by the vCPUs that come with a GPU "
        "where pods claim memory, node groups at their maximum. A type "
        "that the catalogue does not know, and a selection by attributes without `acceleratorCount.max`, count as the "
        "most GPUs that any type has. What is unknown in preview, or no number, is said; a negative figure counts as "
        "0. Types in launch templates of other stacks are not seen: name them where they are used."
    ),
    fix="Lower the limits, or give this stack its own in `stackCeilings` of the policy configuration, seen in review.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(*SHARING_TYPES, *NODE_POOL_PATCHES, *_COUNTERS, *_TEMPLATES),
    options={
        "maxGpus": Option(
            type="integer", default=16, description="Most physical GPUs a stack may have.", schema={"minimum": 0}
        ),
        "stackCeilings": Option(
            type="object",
            default={},
            description='Ceilings of single stacks by name, such as `{"prod": 40}`.',
            schema={"additionalProperties": {"type": "number", "minimum": 0}},
        ),
    },
    check=check,
)
