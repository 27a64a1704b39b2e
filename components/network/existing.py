"""Subnets that are there: looked up and judged, never tagged, changed or destroyed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from components.network.network import ANYWHERE

#: EKS wants subnets in two zones for a control plane (user guide, "VPC and subnet requirements").
ZONES = 2


@dataclass(frozen=True, kw_only=True)
class ExistingSubnetsArgs:
    """Which subnets, and what is asked of them.

    ids or tags: one of both. vpc_id: where subnets are found by tags alone, the VPC in which they are looked for; else
    the one in which they must lie. key: what the messages name. zones: by pool the zone ids of which its nodes need one
    at least. no_homes: zone ids in which EKS places no control plane.
    """

    ids: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    vpc_id: pulumi.Input[str] | None = None
    key: str = "gpu-slices:network.existing"
    zones: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fewest_zones: int = ZONES
    no_homes: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """What AWS says of a subnet. zone_id: None where it is not known. public: it leads to an Internet gateway."""

    id: str
    vpc_id: str | None
    zone_id: str | None
    public: bool = False


@dataclass(frozen=True, kw_only=True)
class ExistingSubnets:
    """Subnets that were looked up."""

    vpc_id: pulumi.Output[str]
    found: pulumi.Output[Sequence[Subnet]]
    no_homes: Collection[str] = ()

    @property
    def subnet_ids(self) -> pulumi.Output[list[str]]:
        """Ids of all of them."""
        return self.found.apply(lambda found: [each.id for each in found])

    @property
    def home_subnet_ids(self) -> tuple[pulumi.Output[str], ...]:
        """One in each of two zones, for a control plane; only where as many zones are asked for."""
        ids = self.found.apply(lambda found: homes(found, self.no_homes))
        return tuple(ids[place] for place in range(ZONES))


def look_up_subnets(args: ExistingSubnetsArgs, provider: aws.Provider) -> ExistingSubnets:
    """Asks for subnets. Where they do not do the program ends, with words, before anything is made in them.

    Raises ValueError unless they are found by ids or by tags, and not by both.
    """
    if bool(args.ids) == bool(args.tags):
        raise ValueError("subnets are found by their ids or by tags: give one of both")
    options = pulumi.InvokeOutputOptions(provider=provider)
    wanted: pulumi.Output[str | None] = pulumi.Output.from_input(args.vpc_id)
    ids: pulumi.Output[list[str]] = wanted.apply(lambda vpc_id: _ids(args, vpc_id, options))
    seen: pulumi.Output[list[Subnet]] = ids.apply(lambda each: _subnets(each, options))
    judged: pulumi.Output[Sequence[Subnet]] = pulumi.Output.all(seen, wanted).apply(
        lambda both: _judged(both[0], both[1], args)
    )
    return ExistingSubnets(
        vpc_id=pulumi.Output.all(wanted, judged).apply(lambda known: str(known[0] or known[1][0].vpc_id)),
        found=judged,
        no_homes=args.no_homes,
    )


def subnets_problem(found: Sequence[Subnet], vpc_id: str | None, args: ExistingSubnetsArgs) -> str | None:
    """Why nodes, or a control plane, cannot live in these subnets; None where they can."""
    where = f"in {vpc_id}" if vpc_id else "in the region"
    missing = sorted(set(args.ids) - {each.id for each in found})
    if missing:
        return f"{args.key}: there is no {', '.join(missing)} {where}"
    if not found:
        said = ", ".join(f"{key}={value}" for key, value in args.tags.items())
        return f"{args.key}: no subnet {where} carries {said}"
    vpcs = {each.vpc_id for each in found if each.vpc_id}
    if len(vpcs) > 1:
        return f"{args.key}: the subnets are in {', '.join(sorted(vpcs))}, and must be in one VPC: write vpcId"
    public = [each.id for each in found if each.public]
    if public:
        return (
            f"{args.key}: {', '.join(public)} lead to an Internet gateway, and nodes have no public addresses there: "
            "name private subnets, which lead to a NAT or transit gateway"
        )
    zones = {each.zone_id for each in found if each.zone_id}
    if len(homes(found, args.no_homes)) < args.fewest_zones <= len(zones):
        return (
            f"{args.key}: EKS places no control plane in {_listed(zones & set(args.no_homes))}: name subnets in "
            f"{args.fewest_zones} other zones"
        )
    if len(found) < args.fewest_zones or (zones and len(zones) < args.fewest_zones):
        return f"{args.key}: the subnets must lie in {args.fewest_zones} zones or more, and are in {_listed(zones)}"
    for pool, offering in args.zones.items():
        if zones and not zones & set(offering):
            return (
                f"{args.key}: the subnets are in {_listed(zones)}, and no type of pool {pool} is offered there; these "
                f"zones have some: {_listed(set(offering))}"
            )
    return None


def homes(found: Sequence[Subnet], no_homes: Collection[str] = ()) -> list[str]:
    """Ids of subnets in as many zones as a control plane needs, the first of each; zones not known count as several."""
    by_zone: dict[str, str] = {}
    for each in found:
        if each.zone_id not in no_homes:
            by_zone.setdefault(each.zone_id or each.id, each.id)
    return [*by_zone.values()][:ZONES]


def _listed(zones: set[str]) -> str:
    return ", ".join(sorted(zones)) or "one"


def _ids(
    args: ExistingSubnetsArgs, vpc_id: str | None, options: pulumi.InvokeOutputOptions
) -> pulumi.Output[list[str]]:
    """Ids of the subnets that are there, those of `args.ids` in their order."""
    named = {"subnet-id": [*args.ids]} if args.ids else {f"tag:{key}": [value] for key, value in args.tags.items()}
    if vpc_id:
        named["vpc-id"] = [vpc_id]
    filters = [aws.ec2.GetSubnetsFilterArgs(name=name, values=values) for name, values in named.items()]
    found = aws.ec2.get_subnets_output(filters=filters, opts=options)
    # Else sorted, so that a control plane keeps its subnets whatever order AWS answers in.
    return found.apply(lambda answer: [each for each in args.ids or sorted(answer.ids) if each in answer.ids])


def _subnets(ids: Sequence[str], options: pulumi.InvokeOutputOptions) -> pulumi.Output[list[Subnet]]:
    return pulumi.Output.all(*(_subnet(each, options) for each in ids))


def _subnet(identity: str, options: pulumi.InvokeOutputOptions) -> pulumi.Output[Subnet]:
    found = aws.ec2.get_subnet_output(id=identity, opts=options)
    return found.apply(
        lambda subnet: _leads_out(identity, subnet.vpc_id, options).apply(
            lambda public: Subnet(
                id=identity, vpc_id=subnet.vpc_id, zone_id=subnet.availability_zone_id or None, public=public
            )
        )
    )


def _leads_out(identity: str, vpc_id: str, options: pulumi.InvokeOutputOptions) -> pulumi.Output[bool]:
    """Whether a subnet's route table, or its VPC's main one where it has none, leads to an Internet gateway."""

    def tables(name: str, value: str) -> pulumi.Output[list[str]]:
        filters = [aws.ec2.GetRouteTablesFilterArgs(name=name, values=[value])]
        found = aws.ec2.get_route_tables_output(vpc_id=vpc_id, filters=filters, opts=options)
        return found.apply(lambda answer: [*answer.ids])

    def leads(table: str) -> pulumi.Output[bool]:
        found = aws.ec2.get_route_table_output(route_table_id=table, opts=options)
        return found.apply(
            lambda answer: any(
                route.cidr_block == ANYWHERE and (route.gateway_id or "").startswith("igw-") for route in answer.routes
            )
        )

    own = tables("association.subnet-id", identity)
    used: pulumi.Output[list[str]] = own.apply(
        lambda ids: pulumi.Output.from_input(ids) if ids else tables("association.main", "true")
    )
    return used.apply(lambda ids: leads(ids[0]) if ids else pulumi.Output.from_input(False))


def _judged(found: Sequence[Subnet], vpc_id: str | None, args: ExistingSubnetsArgs) -> Sequence[Subnet]:
    problem = subnets_problem(found, vpc_id, args)
    if problem:
        raise pulumi.RunError(problem)
    return found
