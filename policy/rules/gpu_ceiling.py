"""A stack says how many GPUs it can have at most, and that is not too many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from gpu.catalog import FAMILIES, INSTANCE_TYPES
from policy import nodes
from policy.device_plugin import GPU
from policy.engine import CONTENTS, speechless
from policy.framework import EnforcementLevel, Finding, Option, Resource, Settings, Severity, Stack, StackRule
from policy.instances import is_gpu
from policy.karpenter import NODE_POOL_TYPES, NodePool
from policy.reading import Unknown, each, get, number, strings, text, truthy
from policy.sharing import SHARING_TYPES, GpuPool, SharingView

#: GPUs of a type that is not in the catalogue: the most that any type has.
_MOST: Final = max(instance_type.gpu_count for instance_type in INSTANCE_TYPES.values())

_PATCHES: Final = tuple(f"{pattern}Patch" for pattern in NODE_POOL_TYPES)

#: What holds the instance type where the resource that starts instances does not.
_TEMPLATES: Final = (*nodes.TEMPLATES, nodes.LAUNCH_CONFIGURATION)
#: Most nodes of a pulumi-eks node group that does not say (`nodejs/eks/nodes/nodegroup.ts`, all three kinds).
_COMPONENT_SIZE: Final = 2

Count = tuple[int | None, str]
"""Most GPUs, None if that is not known, and how they come about."""


def check(stack: Stack, settings: Settings) -> Iterator[Finding]:
    """Yield what cannot be counted, and the sum if it is above the ceiling."""
    counted: list[tuple[int, str]] = []
    for pool in SharingView(stack).pools:
        replicas = get(pool.pool.manifest, "spec", "replicas")
        if isinstance(replicas, Unknown):
            yield Finding("spec.replicas must be a literal, so that the stack's GPUs can be counted.", pool.urn)
            continue
        most = _of_pool(pool) if replicas is None else _of_static_pool(pool, replicas)
        if most is not None:  # a pool without a limit is gpu-pool-has-limit's business
            counted.append((most, f"NodePool {pool.name}"))
    for resource in stack.of(*_PATCHES):
        limit = _largest(NodePool(resource.plain, resource.name).limits)
        if limit is not None:
            counted.append((limit, f"NodePoolPatch {resource.name}"))
    for resource, (most, how) in _machines(stack):
        if most is None:
            yield Finding(f"{how} must be a literal, so that the stack's GPUs can be counted.", resource.urn)
        elif most:
            counted.append((most, f"{resource.type.rpartition(':')[2]} {resource.name}"))
    total, ceiling = sum(most for most, _ in counted), _ceiling(stack, settings)
    if total > ceiling:
        parts = ", ".join(f"{most} of {who}" for most, who in sorted(counted, reverse=True))
        yield Finding(f"can have {total} GPUs ({parts}), more than {ceiling:g}.")


def _machines(stack: Stack) -> Iterator[tuple[Resource, Count]]:
    """Everything but pools that starts instances, once: a component by its inputs, or else by what is inside it."""
    templates = {resource.urn: resource for resource in stack.of(*_TEMPLATES)}
    components = {resource.urn: resource for resource in stack.of(*CONTENTS)}
    used: set[str] = set()
    for resource in stack.of(*_COUNTERS):
        launched = [urn for urn in resource.dependencies if urn in templates]
        used.update(launched)
        if not _counted_in(resource, components):
            types = [_launched_type(templates[urn]) for urn in launched]
            yield resource, _COUNTERS[resource.type](resource.plain, types)
    for urn, resource in templates.items():
        # A node group that CloudFormation starts (eks.NodeGroup): its size stands in a template that nobody knows yet.
        if resource.parent in components and urn not in used and not _counted_in(resource, components):
            most = None if _gpus_of(_launched_type(resource)) else 0
            yield resource, (most, f"how many instances of {resource.name} are started")


def _counted_in(resource: Resource, components: Mapping[str, Resource]) -> bool:
    """Whether it is inside a component that is counted by inputs of its own."""
    component = components.get(resource.parent or "")
    return component is not None and not speechless(component.type, component.props)


def _launched_type(template: Resource) -> Any:
    """The instance type of a launch template or launch configuration."""
    data = template.plain
    return get(data.get("launchTemplateData", data), "instanceType")


def _ceiling(stack: Stack, settings: Settings) -> float:
    """The stack's own ceiling, by the stack's name in its URNs (urn:pulumi:<stack>::...), or the common one."""
    urn = stack.resources[0].urn if stack.resources else ""
    name = urn.removeprefix("urn:pulumi:").partition("::")[0]
    own = settings["stackCeilings"]
    return float(own.get(name, settings["maxGpus"]))


def _of_pool(pool: GpuPool) -> int | None:
    """Physical GPUs: limits are in slots where the pool's overlays state slots."""
    resource = (pool.sharing.resource if pool.sharing else None) or GPU
    slots = pool.slots_per_gpu() or 1
    limit = number(pool.pool.limits.get(resource))
    if limit is None:
        limit, slots = _largest(pool.pool.limits), 1
    return None if limit is None else -int(-limit // max(1, slots))


def _of_static_pool(pool: GpuPool, replicas: Any) -> int:
    """A pool that always has so many nodes: each with the most GPUs that any of its types has."""
    return max((count for count, _, _ in pool.gpus), default=_MOST) * int(number(replicas) or 0)


def _largest(limits: Mapping[str, Any]) -> int | None:
    """The limit on GPUs, or else the largest on what may be slots of one GPU each."""
    found = {key: number(value) for key, value in limits.items() if key.startswith("nvidia.com/")}
    known = [value for value in ([found.get(GPU)] if GPU in found else found.values()) if value is not None]
    return int(max(known)) if known else None


def _gpus_of(types: Any) -> int:
    """Most GPUs that one instance of these types has."""
    return max((_count(name) for name in strings(types) if is_gpu(name)), default=0)


def _count(name: str) -> int:
    if name in INSTANCE_TYPES:
        return INSTANCE_TYPES[name].gpu_count
    return max((found.gpu_count for found in FAMILIES.get(name.partition(".")[0], ())), default=_MOST)


def _times(instances: Any, types: Any, where: str) -> Count:
    gpus = _gpus_of(types)
    unknown = isinstance(instances, Unknown)
    if unknown and gpus:
        return None, where
    return (gpus * int(number(instances) or 0) if not unknown else 0), where


Props = Mapping[str, Any]
Types = list[Any]
"""Instance types of the launch templates and configurations in use: they hold where the resource names none itself."""


def _managed(props: Props, launched: Types) -> Count:
    scaling = props.get("scalingConfig")
    size = scaling if isinstance(scaling, Unknown) else get(scaling, "maxSize")
    return _times(size, props.get("instanceTypes") or launched, "scalingConfig.maxSize")


def _managed_component(props: Props, launched: Types) -> Count:
    scaling = props.get("scalingConfig") or {}
    if isinstance(scaling, Mapping):
        scaling = {"maxSize": _COMPONENT_SIZE, **scaling}
    return _managed({**props, "scalingConfig": scaling}, launched)


def _own(props: Props, _launched: Types) -> Count:
    return _times(props.get("maxSize", _COMPONENT_SIZE), props.get("instanceType"), "maxSize")


def _cluster(props: Props, launched: Types) -> Count:
    """The node group that eks.Cluster makes unless told otherwise."""
    options = props.get("nodeGroupOptions")
    if truthy(props.get("skipDefaultNodeGroup")) or truthy(get(props, "autoMode", "enabled")) or "fargate" in props:
        return 0, ""
    if isinstance(options, Unknown):
        return None, "nodeGroupOptions"
    return _own({**props, **options} if isinstance(options, Mapping) else props, launched)


def _instance(props: Props, launched: Types) -> Count:
    return _gpus_of(props.get("instanceType") or launched), "instanceType"


def _overridden(configurations: Any) -> Types:
    """Types that launch template configurations name in place of the template's own."""
    return [
        text(get(override, "instanceType"))
        for configuration in each(configurations)
        for override in each(get(configuration, "overrides"))
    ]


def _group(props: Props, launched: Types) -> Count:
    types = _overridden(get(props, "mixedInstancesPolicy", "launchTemplate"))
    return _times(props.get("maxSize"), types or launched, "maxSize")


def _spot_fleet(props: Props, launched: Types) -> Count:
    own = [text(get(item, "instanceType")) for item in each(props.get("launchSpecifications"))]
    types = [*own, *_overridden(props.get("launchTemplateConfigs"))]
    return _times(props.get("targetCapacity"), types or launched, "targetCapacity")


def _reservation(props: Props, _launched: Types) -> Count:
    return _times(props.get("instanceCount"), props.get("instanceType"), "instanceCount")


def _fleet(props: Props, launched: Types) -> Count:
    types = _overridden(props.get("launchTemplateConfigs"))
    target = get(props, "targetCapacitySpecification", "totalTargetCapacity")
    return _times(target, types or launched, "targetCapacitySpecification.totalTargetCapacity")


_COUNTERS: Final[Mapping[str, Callable[[Props, Types], Count]]] = {
    "aws:eks/nodeGroup:NodeGroup": _managed,
    "aws-native:eks:Nodegroup": _managed,
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
        "physical GPUs at full size: the pools' limits divided by their slots, node groups at their maximum."
    ),
    fix="Lower the limits, or give this stack its own in `stackCeilings` of the policy configuration, seen in review.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(*SHARING_TYPES, *_PATCHES, *_COUNTERS, *_TEMPLATES),
    options={
        "maxGpus": Option(
            type="integer", default=16, description="Most physical GPUs a stack may have.", schema={"minimum": 0}
        ),
        "stackCeilings": Option(
            type="object",
            default={},
            description='Ceilings of single stacks by name, such as `{"prod": 40}`.',
            schema={"additionalProperties": {"type": "number"}},
        ),
    },
    check=check,
)
