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


def _spot_node_group(props: Props) -> bool:
    capacity = props.get("capacityType")
    return not isinstance(capacity, Unknown) and text(capacity).upper() == "SPOT"


def _managed_node_group(props: Props, also: Also) -> Iterator[Purchase]:
    """`capacityType` is ON_DEMAND where it is absent; CAPACITY_BLOCK is reserved, not Spot."""
    capacity = props.get("capacityType")
    if _spot_node_group(props):
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


def market(props: Props) -> tuple[bool, bool, str]:
    """Whether `instanceMarketOptions` say Spot, whether they are known, and how they stand."""
    options = props.get("instanceMarketOptions")
    market = options if isinstance(options, Unknown) else get(next(each(options), None), "marketType")
    spot = not isinstance(market, Unknown) and text(market) == "spot"
    return spot, not isinstance(market, Unknown), state(market, "instanceMarketOptions.marketType", "on-demand")


def _instance(props: Props, also: Also) -> Iterator[Purchase]:
    """Launch templates and single instances."""
    spot, known, why = market(props)
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


def distribution(props: Props) -> tuple[Any, Any, bool]:
    """On-demand base of an Auto Scaling group, percentage above it, and whether both are known."""
    policy = props.get("mixedInstancesPolicy")
    distribution = policy if _unknown(policy) else get(policy, "instancesDistribution")
    base, percentage = (
        get(distribution, "onDemandBaseCapacity"),
        get(distribution, "onDemandPercentageAboveBaseCapacity"),
    )
    return base, percentage, not any(map(_unknown, (policy, distribution, base, percentage)))


def _spot_group(props: Props) -> bool:
    base, percentage, known = distribution(props)
    return known and whole(percentage) == 0 and _none(base)


def _auto_scaling_group(props: Props, also: Also) -> Iterator[Purchase]:
    """Only a mixed instances policy names types; without one the launch template decides, and is judged itself.

    AWS buys on-demand above the base unless the percentage is 0: its default is 100.
    """
    if _spot_group(props):
        return
    policy = props.get("mixedInstancesPolicy")
    base, percentage, known = distribution(props)
    for what in _overrides(
        policy if _unknown(policy) else get(policy, "launchTemplate"), "mixedInstancesPolicy.launchTemplate", also
    ):
        yield Purchase(
            what=what,
            why=f"{state(base, 'onDemandBaseCapacity', '0')}; "
            f"{state(percentage, 'onDemandPercentageAboveBaseCapacity', '100')}",
            spot="write onDemandBaseCapacity 0 and onDemandPercentageAboveBaseCapacity 0",
            literal=known,
            marks=marks(props),
        )


def _none(instances: Any) -> bool:
    """Whether a number of instances is 0, or is not there; what is no number may be any."""
    return instances is None or whole(instances) == 0


def _unknown(value: Any) -> bool:
    return isinstance(value, Unknown)


def _target(props: Props) -> tuple[Any, Any, bool]:
    """Default kind of a fleet's capacity, its on-demand part, and whether both are known."""
    target = props.get("targetCapacitySpecification")
    kind, on_demand = get(target, "defaultTargetCapacityType"), get(target, "onDemandTargetCapacity")
    return kind, on_demand, not any(map(_unknown, (target, kind, on_demand)))


def _spot_only_fleet(props: Props) -> bool:
    kind, on_demand, known = _target(props)
    return known and text(kind) == "spot" and _none(on_demand)


def _fleet(props: Props, also: Also) -> Iterator[Purchase]:
    if _spot_only_fleet(props):
        return
    kind, on_demand, known = _target(props)
    for what in _overrides(props.get("launchTemplateConfigs"), "launchTemplateConfigs", also):
        yield Purchase(
            what=what,
            why=f"{state(kind, 'defaultTargetCapacityType', 'on-demand')}; "
            f"{state(on_demand, 'onDemandTargetCapacity', '0')}",
            spot="write defaultTargetCapacityType spot and no onDemandTargetCapacity",
            literal=known,
            marks=marks(props),
        )


def _spot_request(props: Props) -> bool:
    on_demand = props.get("onDemandTargetCapacity")
    return not _unknown(on_demand) and _none(on_demand)


def _spot_fleet(props: Props, also: Also) -> Iterator[Purchase]:
    on_demand = props.get("onDemandTargetCapacity")
    if _spot_request(props):
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


def _spot_batch(props: Props) -> bool:
    return text(get(props.get("computeResources"), "type")) == "SPOT"


def _batch(props: Props, also: Also) -> Iterator[Purchase]:
    compute = props.get("computeResources")
    kind = get(compute, "type")
    if _spot_batch(props):
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


def _build(props: Props, _also: Also) -> Iterator[Purchase]:
    """CodeBuild's GPU containers, by the minute (CodeBuild API, EnvironmentType)."""
    kind = get(props.get("environment"), "type")
    if isinstance(kind, Unknown) or "GPU" in text(kind).upper():
        yield Purchase(
            what=f"GPUs, for environment.type is {'unknown' if isinstance(kind, Unknown) else text(kind)}",
            why="CodeBuild has no Spot",
            spot="build without a GPU, or in a Job on Spot nodes",
            literal=not isinstance(kind, Unknown),
            marks=marks(props),
        )


def _build_fleet(props: Props, also: Also) -> Iterator[Purchase]:
    """CodeBuild's reserved capacity: machines that are always there, by the kind of container or by their type."""
    kind = props.get("environmentType")
    flag = "unknown" if isinstance(kind, Unknown) else text(kind)
    named = gpus_named(
        get(props.get("computeConfiguration"), "instanceType"), "computeConfiguration.instanceType", also
    )
    for what in of_gpus(f"GPUs, for environmentType is {flag}" if flag == "unknown" or "GPU" in flag else None, named):
        yield Purchase(
            what=what,
            why="CodeBuild has no Spot, and a fleet is paid while it waits",
            spot="build without a GPU, or in a Job on Spot nodes",
            literal=not isinstance(kind, Unknown),
            marks=marks(props),
        )


def _desktop(props: Props, _also: Also) -> Iterator[Purchase]:
    """WorkSpaces' graphics bundles."""
    kind = get(props.get("workspaceProperties"), "computeTypeName")
    if text(kind).upper().startswith("GRAPHICS"):
        yield Purchase(
            what=f"a GPU, for workspaceProperties.computeTypeName is {text(kind)}",
            why="WorkSpaces has no Spot",
            spot="use a bundle without graphics",
            marks=marks(props),
        )


#: As the `aws` provider, AWS Native and CloudFormation write them.
_SETTINGS: Final = ("settings", "optionSettings", "OptionSettings")
_NAMES: Final = ("name", "optionName", "OptionName")


def _beanstalk(props: Props, also: Also) -> Iterator[Purchase]:
    """Elastic Beanstalk: options by namespace and name (developer guide, aws:ec2:instances)."""
    given = next((found for name in _SETTINGS if (found := props.get(name)) is not None), None)
    options = {
        next((text(get(one, name)) for name in _NAMES if get(one, name)), ""): get(one, "value") or get(one, "Value")
        for one in each(given)
    }
    base, above = options.get("SpotFleetOnDemandBase"), options.get("SpotFleetOnDemandAboveBasePercentage")
    if truthy(options.get("EnableSpot")) and _none(base) and whole(above) == 0:
        return
    named = (options.get(name) for name in ("InstanceTypes", "InstanceType"))
    listed = [part for one in named if one is not None for part in ([one] if _unknown(one) else text(one).split(","))]
    for what in of_gpus(gpus_named([one if _unknown(one) else one.strip() for one in listed], "settings", also)):
        yield Purchase(
            what=what,
            why="aws:ec2:instances does not say EnableSpot with no on-demand base and 0 per cent above it",
            spot="write EnableSpot true, SpotFleetOnDemandBase 0 and SpotFleetOnDemandAboveBasePercentage 0",
            literal=not any(map(_unknown, (base, above, options.get("EnableSpot")))),
            marks=marks(props),
        )


def _render_fleet(props: Props, _also: Also) -> Iterator[Purchase]:
    """Deadline Cloud's service-managed fleets (CloudFormation, AWS::Deadline::Fleet)."""
    managed = get(props.get("configuration"), "serviceManagedEc2")
    given = get(managed, "instanceCapabilities", "acceleratorCapabilities")
    market = get(managed, "instanceMarketOptions", "type")
    if given is not None and text(market) != "spot":
        yield Purchase(
            what="GPUs (configuration.serviceManagedEc2.instanceCapabilities.acceleratorCapabilities)",
            why=state(market, "instanceMarketOptions.type", "on-demand"),
            spot="write instanceMarketOptions.type spot",
            literal=not _unknown(market),
            marks=marks(props),
        )


#: What starts machines from launch templates, to whether it does so as Spot alone.
SPOT_ONLY: Final[Mapping[str, Callable[[Props], bool]]] = {
    "aws:autoscaling/group:Group": _spot_group,
    "aws:batch/computeEnvironment:ComputeEnvironment": _spot_batch,
    "aws:ec2/fleet:Fleet": _spot_only_fleet,
    "aws:ec2/instance:Instance": lambda _: False,
    "aws:ec2/spotFleetRequest:SpotFleetRequest": _spot_request,
    "aws:eks/nodeGroup:NodeGroup": _spot_node_group,
    "eks:index:ManagedNodeGroup": _spot_node_group,
}


def of_template(props: Props, also: Also) -> Iterator[Purchase]:
    """What a launch template buys where nobody says otherwise."""
    yield from _instance(props, also)


#: Type token to handler. Types that are not here are searched by `policy.ondemand.hidden`.
HANDLERS: Final[Mapping[str, Handler]] = {
    "aws:eks/nodeGroup:NodeGroup": _managed_node_group,
    "eks:index:ManagedNodeGroup": _managed_node_group,
    "eks:index:NodeGroup": _own_node_group,
    "eks:index:NodeGroupV2": _own_node_group,
    "eks:index:Cluster": _eks_component,
    "aws:ec2/instance:Instance": _instance,
    "aws:ec2/launchConfiguration:LaunchConfiguration": _launch_configuration,
    "aws:autoscaling/group:Group": _auto_scaling_group,
    "aws:ec2/fleet:Fleet": _fleet,
    "aws:ec2/spotFleetRequest:SpotFleetRequest": _spot_fleet,
    "aws:ec2/capacityReservation:CapacityReservation": _reserved,
    "aws:ec2/dedicatedHost:DedicatedHost": _reserved,
    "aws:ec2/capacityBlockReservation:CapacityBlockReservation": _capacity_block,
    "aws:batch/computeEnvironment:ComputeEnvironment": _batch,
    "aws:codebuild/project:Project": _build,
    "aws-native:codebuild:Project": _build,
    "aws:codebuild/fleet:Fleet": _build_fleet,
    "aws-native:codebuild:Fleet": _build_fleet,
    "aws:workspaces/workspace:Workspace": _desktop,
    "aws-native:workspaces:Workspace": _desktop,
    "aws-native:deadline:Fleet": _render_fleet,
    "aws:elasticbeanstalk/environment:Environment": _beanstalk,
    "aws:elasticbeanstalk/configurationTemplate:ConfigurationTemplate": _beanstalk,
    "aws-native:elasticbeanstalk:Environment": _beanstalk,
    "aws-native:elasticbeanstalk:ConfigurationTemplate": _beanstalk,
}
