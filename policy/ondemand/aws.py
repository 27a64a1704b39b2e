"""AWS resources that start instances: node groups, launch templates, Auto Scaling groups, fleets, single instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from policy.justification import marks
from policy.nodes import makes_default_group
from policy.ondemand.purchase import Purchase, gpus_named, gpus_required, of_gpus, state
from policy.reading import Unknown, each, get, text, truthy, whole

Props = Mapping[str, Any]
Also = tuple[str, ...]
Handler = Callable[[Props, Also], Iterator[Purchase]]


def _ami_evidence(props: Props) -> str | None:
    ami = text(props.get("amiType")).upper()
    return f"GPUs, for amiType is {ami}" if "NVIDIA" in ami or "GPU" in ami else None


def _managed_node_group(props: Props, also: Also) -> Iterator[Purchase]:
    """`capacityType` is ON_DEMAND where it is absent; CAPACITY_BLOCK is reserved, not Spot."""
    capacity = props.get("capacityType")
    if not isinstance(capacity, Unknown) and text(capacity).upper() == "SPOT":
        return
    types = gpus_named(props.get("instanceTypes"), "instanceTypes", also)
    implied = None if props.get("instanceTypes") else _ami_evidence(props)
    flag = "GPUs, for gpu is true" if truthy(props.get("gpu")) else None
    for what in of_gpus(types or implied or flag):
        yield Purchase(
            what=what,
            why=state(capacity, "capacityType", "ON_DEMAND"),
            spot="write capacityType SPOT and name the instance types in the node group",
            literal=not isinstance(capacity, Unknown),
            prepaid=text(capacity).upper() == "CAPACITY_BLOCK",
            marks=marks(props),
        )


def _own_node_group(props: Props, also: Also, tags: Any = None) -> Iterator[Purchase]:
    """Node groups of pulumi-eks that are not managed: Spot only with a price."""
    price = props.get("spotPrice")
    if not isinstance(price, Unknown) and text(price):
        return
    types = gpus_named(props.get("instanceType"), "instanceType", also)
    implied = None if props.get("instanceType") else _ami_evidence(props)
    flag = "GPUs, for gpu is true" if truthy(props.get("gpu")) else None
    for what in of_gpus(types or implied or flag):
        yield Purchase(
            what=what,
            why=state(price, "spotPrice", "on-demand"),
            spot="set spotPrice, or use a managed node group with capacityType SPOT",
            literal=not isinstance(price, Unknown),
            marks=tags if tags is not None else marks(props),
        )


def _eks_component(props: Props, also: Also) -> Iterator[Purchase]:
    """`eks.Cluster` makes a default node group from its own inputs and from `nodeGroupOptions`."""
    if not makes_default_group(props):
        return
    options = props.get("nodeGroupOptions")
    merged = {**props, **options} if isinstance(options, Mapping) else props
    yield from _own_node_group(merged, also, marks(merged))
    if isinstance(options, Unknown):
        yield Purchase(
            what="whatever nodeGroupOptions turn out to be",
            why="nodeGroupOptions are unknown in preview and must be literals",
            spot="write nodeGroupOptions as literals",
            literal=False,
        )


def _market(props: Props) -> tuple[bool, bool, str]:
    """Whether `instanceMarketOptions` say Spot, whether they are known, and how they stand."""
    options = props.get("instanceMarketOptions")
    market = options if isinstance(options, Unknown) else get(next(each(options), None), "marketType")
    spot = not isinstance(market, Unknown) and text(market) == "spot"
    return spot, not isinstance(market, Unknown), state(market, "instanceMarketOptions.marketType", "on-demand")


def _instance(props: Props, also: Also) -> Iterator[Purchase]:
    """Launch templates and single instances."""
    spot, known, why = _market(props)
    if spot:
        return
    named = gpus_named(props.get("instanceType"), "instanceType", also)
    required = gpus_required(props.get("instanceRequirements"), "instanceRequirements", also)
    for what in of_gpus(named, required):
        yield Purchase(
            what=what,
            why=why,
            spot="write instanceMarketOptions.marketType spot, or leave the type to a group that buys Spot alone",
            literal=known,
            prepaid=why.endswith("is capacity-block"),
            marks=marks(props),
        )


def _launch_configuration(props: Props, also: Also) -> Iterator[Purchase]:
    yield from _own_node_group({**props, "gpu": None, "amiType": None}, also)


def _overrides(groups: Any, path: str, also: Also) -> Iterator[str]:
    """GPUs among the overrides of launch template configurations; parts that are unknown count."""
    for group in _each(groups):
        for override in _each(group if _unknown(group) else get(group, "overrides") or get(group, "override")):
            if _unknown(override):
                yield f"whatever {path}.overrides turn out to be"
                continue
            yield from of_gpus(
                gpus_named(get(override, "instanceType"), f"{path}.overrides", also),
                gpus_required(get(override, "instanceRequirements"), f"{path}.overrides.instanceRequirements", also),
            )


def _each(value: Any) -> Iterator[Any]:
    return iter([value]) if _unknown(value) else each(value)


def _auto_scaling_group(props: Props, also: Also) -> Iterator[Purchase]:
    """Only a mixed instances policy names types; without one the launch template decides, and is judged itself.

    AWS buys on-demand above the base unless the percentage is 0: its default is 100.
    """
    policy = props.get("mixedInstancesPolicy")
    base = get(policy, "instancesDistribution", "onDemandBaseCapacity")
    percentage = get(policy, "instancesDistribution", "onDemandPercentageAboveBaseCapacity")
    unknown = [item for item in (policy, get(policy, "instancesDistribution"), base, percentage) if _unknown(item)]
    if not unknown and whole(percentage) == 0 and _none(base):
        return
    for what in _overrides(
        policy if _unknown(policy) else get(policy, "launchTemplate"), "mixedInstancesPolicy.launchTemplate", also
    ):
        yield Purchase(
            what=what,
            why=f"{state(base, 'onDemandBaseCapacity', '0')}; "
            f"{state(percentage, 'onDemandPercentageAboveBaseCapacity', '100')}",
            spot="write onDemandBaseCapacity 0 and onDemandPercentageAboveBaseCapacity 0",
            literal=not unknown,
            marks=marks(props),
        )


def _none(instances: Any) -> bool:
    """Whether a number of instances is 0, or is not there; what is no number may be any."""
    return instances is None or whole(instances) == 0


def _unknown(value: Any) -> bool:
    return isinstance(value, Unknown)


def _fleet(props: Props, also: Also) -> Iterator[Purchase]:
    target = props.get("targetCapacitySpecification")
    kind, on_demand = get(target, "defaultTargetCapacityType"), get(target, "onDemandTargetCapacity")
    unknown = _unknown(target) or _unknown(kind) or _unknown(on_demand)
    if not unknown and text(kind) == "spot" and _none(on_demand):
        return
    for what in _overrides(props.get("launchTemplateConfigs"), "launchTemplateConfigs", also):
        yield Purchase(
            what=what,
            why=f"{state(kind, 'defaultTargetCapacityType', 'on-demand')}; "
            f"{state(on_demand, 'onDemandTargetCapacity', '0')}",
            spot="write defaultTargetCapacityType spot and no onDemandTargetCapacity",
            literal=not unknown,
            marks=marks(props),
        )


def _spot_fleet(props: Props, also: Also) -> Iterator[Purchase]:
    on_demand = props.get("onDemandTargetCapacity")
    if not _unknown(on_demand) and _none(on_demand):
        return
    specifications = (
        gpus_named(item if _unknown(item) else get(item, "instanceType"), "launchSpecifications.instanceType", also)
        for item in _each(props.get("launchSpecifications"))
    )
    overrides = _overrides(props.get("launchTemplateConfigs"), "launchTemplateConfigs", also)
    for what in (*of_gpus(*specifications), *overrides):
        yield Purchase(
            what=what,
            why=state(on_demand, "onDemandTargetCapacity", "0"),
            spot="remove onDemandTargetCapacity",
            literal=not _unknown(on_demand),
            marks=marks(props),
        )


def _reserved(props: Props, also: Also) -> Iterator[Purchase]:
    """Capacity reservations and dedicated hosts are paid whether they are used or not."""
    for key in ("instanceType", "instanceFamily"):
        for what in of_gpus(gpus_named(props.get(key), key, also)):
            yield Purchase(
                what=what,
                why="reserved capacity is paid at the on-demand price",
                spot="remove it",
                prepaid=True,
                marks=marks(props),
            )


def _capacity_block(props: Props, _also: Also) -> Iterator[Purchase]:
    yield Purchase(
        what="GPUs, for Capacity Blocks hold nothing but accelerators",
        why="a Capacity Block is paid in full when it is reserved",
        spot="remove it",
        prepaid=True,
        marks=marks(props),
    )


def _batch(props: Props, also: Also) -> Iterator[Purchase]:
    compute = props.get("computeResources")
    kind = get(compute, "type")
    if not _unknown(kind) and text(kind) == "SPOT":
        return
    named = gpus_named(get(compute, "instanceTypes"), "computeResources.instanceTypes", also)
    whole = "whatever computeResources turn out to be" if _unknown(compute) else None
    for what in of_gpus(named, whole):
        yield Purchase(
            what=what,
            why=state(kind, "computeResources.type", "on-demand"),
            spot="write computeResources.type SPOT",
            literal=not _unknown(kind) and not _unknown(compute),
            marks=marks(props),
        )


#: Type token to handler. Types that are not here are searched by `policy.ondemand.hidden`.
HANDLERS: Final[Mapping[str, Handler]] = {
    "aws:eks/nodeGroup:NodeGroup": _managed_node_group,
    "eks:index:ManagedNodeGroup": _managed_node_group,
    "eks:index:NodeGroup": _own_node_group,
    "eks:index:NodeGroupV2": _own_node_group,
    "eks:index:Cluster": _eks_component,
    "aws:ec2/launchTemplate:LaunchTemplate": _instance,
    "aws:ec2/instance:Instance": _instance,
    "aws:ec2/launchConfiguration:LaunchConfiguration": _launch_configuration,
    "aws:autoscaling/group:Group": _auto_scaling_group,
    "aws:ec2/fleet:Fleet": _fleet,
    "aws:ec2/spotFleetRequest:SpotFleetRequest": _spot_fleet,
    "aws:ec2/capacityReservation:CapacityReservation": _reserved,
    "aws:ec2/dedicatedHost:DedicatedHost": _reserved,
    "aws:ec2/capacityBlockReservation:CapacityBlockReservation": _capacity_block,
    "aws:batch/computeEnvironment:ComputeEnvironment": _batch,
}
