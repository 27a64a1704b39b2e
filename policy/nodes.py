"""What starts machines, and where its settings stand: launch templates, instances, node groups, node classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from policy.framework import Resource
from policy.inventory import machines
from policy.reading import Unknown, each, get, present, text, truthy

LAUNCH_TEMPLATE: Final = machines.TEMPLATE
INSTANCE: Final = machines.INSTANCE
SPOT_INSTANCE: Final = "aws:ec2/spotInstanceRequest:SpotInstanceRequest"
NODE_GROUP: Final = machines.NODE_GROUP
LAUNCH_CONFIGURATION: Final = "aws:ec2/launchConfiguration:LaunchConfiguration"
SCALING_GROUP: Final = machines.GROUP
SPOT_FLEET: Final = "aws:ec2/spotFleetRequest:SpotFleetRequest"
NODE_CLASS: Final = "kubernetes:karpenter.k8s.aws/*:EC2NodeClass"
NODE_CLASSES: Final = (NODE_CLASS, f"{NODE_CLASS}Patch")
"""Node classes, and what changes one: it says a part, so what is missing says nothing."""

INSTANCES: Final = (INSTANCE, SPOT_INSTANCE)
#: Node groups of EKS, which take their machines' settings from a launch template or leave them to EKS.
MANAGED_GROUPS: Final = (NODE_GROUP, "eks:index:ManagedNodeGroup")
#: Node groups that pulumi-eks builds from its own inputs; the cluster makes one by default.
OWN_GROUPS: Final = ("eks:index:NodeGroup", "eks:index:NodeGroupV2", "eks:index:Cluster")


def from_template(resource: Resource) -> bool:
    """Whether it takes what it does not say itself from a launch template, which is judged on its own."""
    return present(resource.props, "launchTemplate")


def launched_from(user: Resource, templates: Iterable[Resource]) -> list[Resource]:
    """Those of a stack's launch templates and configurations from which it starts machines.

    It uses an output of them, which makes it depend on them, or says their name or id.
    """
    said = set(_templates_said(user.plain))
    return [
        template for template in templates if template.urn in user.dependencies or not said.isdisjoint(_names(template))
    ]


def _names(template: Resource) -> Iterator[tuple[str, str]]:
    """What others say of it: its name, or a launch template's id. AWS keeps the names of both kinds apart."""
    if template.type == LAUNCH_CONFIGURATION:  # its id is its name
        yield from _own(template.plain, "configuration", "name", "id")
    else:
        yield from _own(template.plain, "name")
        yield from _own(template.plain, "id")


def _templates_said(value: Any) -> Iterator[tuple[str, str]]:
    """Names and ids of launch templates and configurations anywhere in the inputs of what uses them."""
    if isinstance(value, Mapping):
        for key, element in value.items():
            if key in {"launchTemplate", "launchTemplateSpecification"}:
                yield from _own(element, "name", "launchTemplateName")
                yield from _own(element, "id", "launchTemplateId")
            if key == "launchConfiguration":  # always its name
                yield from _own({"configuration": element}, "configuration")
            yield from _templates_said(element)
    elif isinstance(value, list):
        for element in value:
            yield from _templates_said(element)


def _own(given: Any, word: str, *others: str) -> Iterator[tuple[str, str]]:
    """What it has by a word, however it is called there; nothing that is not known."""
    for key in (word, *others):
        found = get(given, key)
        if not isinstance(found, Unknown) and text(found):
            yield word, text(found)


@dataclass(frozen=True)
class Machine:
    """What chooses an instance type: its name, or attributes; `weight` is what one instance is of a group's size."""

    type: Any
    requirements: Any = None
    weight: Any = None

    @classmethod
    def of(cls, given: Any) -> Machine:
        """What a launch template, a launch configuration, an override or a specification (plain data) chooses."""
        if isinstance(given, Unknown):
            return cls(given)
        return cls(get(given, "instanceType"), get(given, "instanceRequirements"), get(given, "weightedCapacity"))


def chosen(configurations: Any, launched: list[Machine]) -> list[Machine]:
    """What launch template configurations choose: an override without a choice of its own leaves it to its template."""
    found = []
    for configuration in every(configurations):
        if isinstance(configuration, Unknown):
            return [Machine(configuration)]
        for given in every(get(configuration, "overrides")):
            override = Machine.of(given)
            own = override.type or override.requirements is not None
            found += [override] if own else [replace(each_one, weight=override.weight) for each_one in launched]
    return found or launched


def every(value: Any) -> Iterator[Any]:
    """Elements as `each` gives them, or what stands in their place and is not known."""
    return iter([value]) if isinstance(value, Unknown) else each(value)


def makes_default_group(props: Mapping[str, Any]) -> bool:
    """Whether an `eks.Cluster` with these inputs makes a node group of its own (pulumi-eks 4,
    `nodejs/eks/cluster/cluster.ts`: `args.skipDefaultNodeGroup || args.fargate`, where `{}` counts as yes)."""
    fargate = get(props, "fargate")
    switches = (get(props, "skipDefaultNodeGroup"), get(props, "autoMode", "enabled"), fargate)
    return not (isinstance(fargate, Mapping) or any(map(truthy, switches)))


def own_group(resource: Resource) -> Mapping[str, Any] | None:
    """Settings of the self-managed nodes that a pulumi-eks component makes; None where it makes none.

    `eks.Cluster` makes a default group unless told otherwise, from `nodeGroupOptions` or from inputs of its own.
    """
    if resource.type != "eks:index:Cluster":
        return resource.props
    props = resource.props
    if not makes_default_group(props):
        return None
    options = get(props, "nodeGroupOptions")
    return options if isinstance(options, Mapping) else props


def spot_fleet_specifications(resource: Resource) -> Iterator[tuple[str, Any]]:
    """Launch specifications of a Spot fleet, each with its place."""
    for index, specification in enumerate(each(get(resource.props, "launchSpecifications"))):
        yield f"launchSpecifications.{index}.", specification
