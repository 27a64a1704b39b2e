"""The VPC and what is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import itemgetter

from account.teardown.kinds import Call, Eyes, Item, Kind, Leftover, Step
from account.teardown.marks import tags_of

_ENDPOINTS = Call("ec2", "describe_vpc_endpoints")
_DELETE_ENDPOINT = Call("ec2", "delete_vpc_endpoints")
_NATS = Call("ec2", "describe_nat_gateways")
_DELETE_NAT = Call("ec2", "delete_nat_gateway")
_ADDRESSES = Call("ec2", "describe_addresses")
_DISASSOCIATE = Call("ec2", "disassociate_address")
_RELEASE = Call("ec2", "release_address")
_INTERFACES = Call("ec2", "describe_network_interfaces")
_DELETE_INTERFACE = Call("ec2", "delete_network_interface")
_SECURITY_GROUPS = Call("ec2", "describe_security_groups")
_RULES = Call("ec2", "describe_security_group_rules")
_REVOKE_INGRESS = Call("ec2", "revoke_security_group_ingress")
_REVOKE_EGRESS = Call("ec2", "revoke_security_group_egress")
_DELETE_SECURITY_GROUP = Call("ec2", "delete_security_group")
_SUBNETS = Call("ec2", "describe_subnets")
_DELETE_SUBNET = Call("ec2", "delete_subnet")
_TABLES = Call("ec2", "describe_route_tables")
_DISASSOCIATE_TABLE = Call("ec2", "disassociate_route_table")
_DELETE_TABLE = Call("ec2", "delete_route_table")
_GATEWAYS = Call("ec2", "describe_internet_gateways")
_DETACH_GATEWAY = Call("ec2", "detach_internet_gateway")
_DELETE_GATEWAY = Call("ec2", "delete_internet_gateway")
_FLOW_LOGS = Call("ec2", "describe_flow_logs")
_DELETE_FLOW_LOG = Call("ec2", "delete_flow_logs")
_VPCS = Call("ec2", "describe_vpcs")
_DELETE_VPC = Call("ec2", "delete_vpc")


def _endpoints(eyes: Eyes) -> Iterator[Leftover]:
    for endpoint in eyes.tagged(_ENDPOINTS, "VpcEndpoints[]", "VpcEndpointId"):
        id_, state = endpoint["VpcEndpointId"], endpoint.get("State", "")
        interface = endpoint.get("VpcEndpointType") == "Interface"
        found = eyes.left(
            id_,
            tags_of(endpoint.get("Tags")),
            state=state,
            fate="ending" if state.lower() == "deleting" else "left",
            usd_per_month=eyes.costs.endpoint(len(endpoint.get("SubnetIds", []))) if interface else None,
            steps=(Step(_DELETE_ENDPOINT, {"VpcEndpointIds": [id_]}),),
        )
        if found and state.lower() != "deleted":
            yield found


def _nats(eyes: Eyes) -> Iterator[Leftover]:
    for nat in eyes.tagged(_NATS, "NatGateways[]", "NatGatewayId", filters="Filter"):
        id_, state = nat["NatGatewayId"], nat["State"]
        found = eyes.left(
            id_,
            tags_of(nat.get("Tags")),
            state=state,
            fate="ending" if state == "deleting" else "left",
            usd_per_month=eyes.costs.nat_gateway if state == "available" else None,
            steps=(Step(_DELETE_NAT, {"NatGatewayId": id_}),),
        )
        # A deleted gateway is shown for about an hour.
        if found and state != "deleted":
            yield found


def _addresses(eyes: Eyes) -> Iterator[Leftover]:
    for address in eyes.tagged(_ADDRESSES, "Addresses[]", "AllocationId"):
        id_ = address["AllocationId"]
        # A NAT gateway gives its address back when it goes, and lets nobody else take it.
        free = [Step(_DISASSOCIATE, {"AssociationId": address["AssociationId"]})] if address.get("InstanceId") else []
        found = eyes.left(
            id_,
            tags_of(address.get("Tags")),
            state=address.get("PublicIp", ""),
            usd_per_month=eyes.costs.address,
            steps=(*free, Step(_RELEASE, {"AllocationId": id_})),
        )
        if found:
            yield found


def _interfaces(eyes: Eyes) -> Iterator[Leftover]:
    for interface in eyes.tagged(_INTERFACES, "NetworkInterfaces[]", "NetworkInterfaceId"):
        id_ = interface["NetworkInterfaceId"]
        found = eyes.left(
            id_,
            tags_of(interface.get("TagSet")),
            name=interface.get("Description", ""),
            state=interface.get("Status", ""),
            steps=(Step(_DELETE_INTERFACE, {"NetworkInterfaceId": id_}),),
        )
        if found:
            yield found


def _security_groups(eyes: Eyes) -> Iterator[Leftover]:
    for group in eyes.tagged(_SECURITY_GROUPS, "SecurityGroups[]", "GroupId"):
        id_ = group["GroupId"]
        found = eyes.left(id_, tags_of(group.get("Tags")), name=group["GroupName"])
        # The default group goes with its VPC, and only so.
        if found is None or group["GroupName"] == "default":
            continue
        # Groups that name each other in their rules go only when the rules have.
        rules = eyes.collect(_RULES, "SecurityGroupRules[]", Filters=[{"Name": "group-id", "Values": [id_]}])
        revoke = [
            Step(call, {"GroupId": id_, "SecurityGroupRuleIds": ids})
            for call, egress in ((_REVOKE_INGRESS, False), (_REVOKE_EGRESS, True))
            if (ids := [rule["SecurityGroupRuleId"] for rule in rules if rule["IsEgress"] is egress])
        ]
        yield replace(found, steps=(*revoke, Step(_DELETE_SECURITY_GROUP, {"GroupId": id_})))


def _subnets(eyes: Eyes) -> Iterator[Leftover]:
    return eyes.by_id(_SUBNETS, "Subnets[]", "SubnetId", _DELETE_SUBNET, state=itemgetter("CidrBlock"))


def _tables(eyes: Eyes) -> Iterator[Leftover]:
    for table in eyes.tagged(_TABLES, "RouteTables[]", "RouteTableId"):
        id_, associations = table["RouteTableId"], table.get("Associations", [])
        # The main table goes with its VPC.
        if any(each.get("Main") for each in associations):
            continue
        free = [Step(_DISASSOCIATE_TABLE, {"AssociationId": each["RouteTableAssociationId"]}) for each in associations]
        steps = (*free, Step(_DELETE_TABLE, {"RouteTableId": id_}))
        found = eyes.left(id_, tags_of(table.get("Tags")), steps=steps)
        if found:
            yield found


def _gateways(eyes: Eyes) -> Iterator[Leftover]:
    for gateway in eyes.tagged(_GATEWAYS, "InternetGateways[]", "InternetGatewayId"):
        id_ = gateway["InternetGatewayId"]
        detach = [
            Step(_DETACH_GATEWAY, {"InternetGatewayId": id_, "VpcId": each["VpcId"]})
            for each in gateway.get("Attachments", [])
        ]
        steps = (*detach, Step(_DELETE_GATEWAY, {"InternetGatewayId": id_}))
        found = eyes.left(id_, tags_of(gateway.get("Tags")), steps=steps)
        if found:
            yield found


def _flow_logs(eyes: Eyes) -> Iterator[Leftover]:
    for log in eyes.tagged(_FLOW_LOGS, "FlowLogs[]", "FlowLogId", filters="Filter"):
        id_ = log["FlowLogId"]
        step = Step(_DELETE_FLOW_LOG, {"FlowLogIds": [id_]})
        found = eyes.left(id_, tags_of(log.get("Tags")), state=f"of {log.get('ResourceId', '')}", steps=(step,))
        if found:
            yield found


def _vpcs(eyes: Eyes) -> Iterator[Leftover]:
    return eyes.by_id(_VPCS, "Vpcs[]", "VpcId", _DELETE_VPC, state=itemgetter("CidrBlock"))


def _others(eyes: Eyes) -> Iterator[Leftover]:
    """What lies in the stack's VPC and does not carry its tags: the VPC cannot go before it."""
    vpcs = [vpc["VpcId"] for vpc in eyes.tagged(_VPCS, "Vpcs[]", "VpcId") if eyes.marks.mark(tags_of(vpc.get("Tags")))]
    if not vpcs:
        return
    inside = [{"Name": "vpc-id", "Values": vpcs}]
    for interface in eyes.collect(_INTERFACES, "NetworkInterfaces[]", Filters=inside):
        used_by = interface.get("Attachment", {}).get("InstanceId", "")
        words = " ".join(each for each in (interface.get("Description", ""), used_by) if each)
        yield from _other(eyes, interface["NetworkInterfaceId"], words, interface, "TagSet")
    for group in eyes.collect(_SECURITY_GROUPS, "SecurityGroups[]", Filters=inside):
        if group["GroupName"] != "default":
            yield from _other(eyes, group["GroupId"], group["GroupName"], group, "Tags")
    for subnet in eyes.collect(_SUBNETS, "Subnets[]", Filters=inside):
        yield from _other(eyes, subnet["SubnetId"], subnet["CidrBlock"], subnet, "Tags")


def _other(eyes: Eyes, id_: str, name: str, thing: Item, tags: str) -> Iterator[Leftover]:
    if eyes.marks.mark(tags_of(thing.get(tags))) is None:
        yield Leftover(kind=eyes.kind.name, id=id_, name=name, why=f"in {thing['VpcId']}", fate="others")


def _kind(name: str, look: Callable[[Eyes], Iterator[Leftover]], reads: Call, *deletes: Call) -> Kind:
    return Kind(name=name, look=look, reads=(reads,), deletes=deletes)


ENDPOINTS = _kind("VPC endpoints", _endpoints, _ENDPOINTS, _DELETE_ENDPOINT)
NATS = _kind("NAT gateways", _nats, _NATS, _DELETE_NAT)
ADDRESSES = _kind("elastic addresses", _addresses, _ADDRESSES, _DISASSOCIATE, _RELEASE)
INTERFACES = _kind("network interfaces", _interfaces, _INTERFACES, _DELETE_INTERFACE)
SECURITY_GROUPS = Kind(
    name="security groups",
    look=_security_groups,
    reads=(_SECURITY_GROUPS, _RULES),
    deletes=(_REVOKE_INGRESS, _REVOKE_EGRESS, _DELETE_SECURITY_GROUP),
)
SUBNETS = _kind("subnets", _subnets, _SUBNETS, _DELETE_SUBNET)
TABLES = _kind("route tables", _tables, _TABLES, _DISASSOCIATE_TABLE, _DELETE_TABLE)
GATEWAYS = _kind("internet gateways", _gateways, _GATEWAYS, _DETACH_GATEWAY, _DELETE_GATEWAY)
FLOW_LOGS = _kind("VPC flow logs", _flow_logs, _FLOW_LOGS, _DELETE_FLOW_LOG)
VPCS = _kind("VPCs", _vpcs, _VPCS, _DELETE_VPC)
OTHERS = Kind(name="things of others in its VPC", look=_others, reads=(_VPCS, _INTERFACES, _SECURITY_GROUPS, _SUBNETS))
