"""The door's record in Route 53, which carries no tags: known by its name in the stack's file, and where it leads."""

from __future__ import annotations

import re
from collections.abc import Iterator

from account.teardown.balancers import BALANCERS, tags_by_arn
from account.teardown.kinds import Call, Eyes, Kind, Leftover, Step

_RECORDS = Call("route53", "list_resource_record_sets")
_CHANGE = Call("route53", "change_resource_record_sets")
_BALANCERS, _TAGS = BALANCERS.reads


def _records(eyes: Eyes) -> Iterator[Leftover]:
    door = eyes.marks.door
    if door is None:
        return
    zone = {"HostedZoneId": door.zone_id}
    for record in eyes.collect(_RECORDS, "ResourceRecordSets[]", absent=["NoSuchHostedZone"], **zone):
        leads_to = record.get("AliasTarget", {}).get("DNSName", "").rstrip(".").lower()
        # Under this name may stand by now what somebody else put there: the program's is an alias of a load balancer.
        if (record["Name"].rstrip("."), record["Type"]) != (door.host, "A") or not _is_balancer(eyes, leads_to):
            continue
        if leads_to in _others(eyes):
            continue
        # An empty list of values, as answers have it, is refused where it is sent.
        same = {key: value for key, value in record.items() if value != []}
        change = {"Changes": [{"Action": "DELETE", "ResourceRecordSet": same}]}
        yield Leftover(
            kind=eyes.kind.name,
            id=f"{door.zone_id}_{door.host}_A",  # as Pulumi's provider names it
            name=door.host,
            why="name in gpu-slices:serving.door",
            state=f"alias of {leads_to}",
            steps=(Step(_CHANGE, {**zone, "ChangeBatch": change}),),
        )


def _is_balancer(eyes: Eyes, name: str) -> bool:
    """Whether a DNS name is a load balancer's of the region: `elb.<region>` in network ones, else `<region>.elb`."""
    region = re.escape(eyes.marks.region)
    return re.search(rf"\.(elb\.{region}|{region}\.elb)\.amazonaws\.com(\.cn)?$", name) is not None


def _others(eyes: Eyes) -> set[str]:
    """DNS names of load balancers that stand and are not the stack's: another stack may have the name by now."""
    listed = eyes.collect(_BALANCERS, "LoadBalancers[]")
    standing = {each["LoadBalancerArn"]: each.get("DNSName", "") for each in listed}
    tags = tags_by_arn(eyes, list(standing), "LoadBalancerNotFound")
    return {name.lower() for arn, name in standing.items() if eyes.marks.mark(tags.get(arn, {})) is None}


RECORDS = Kind(name="DNS records of the door", look=_records, reads=(_RECORDS, _BALANCERS, _TAGS), deletes=(_CHANGE,))
