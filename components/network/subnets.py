"""How a VPC's addresses are divided among zones. Pure: no resources."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

_ZONE_ID = re.compile(r"[a-z]+\d+-az(?P<number>[1-7])")


@dataclass(frozen=True)
class ZoneSubnets:
    """The subnets of one availability zone, by the zone's ID (`use1-az4`: the same place in every account)."""

    zone_id: str
    private: str
    public: str


def plan_subnets(cidr: str, zone_ids: Sequence[str]) -> tuple[ZoneSubnets, ...]:
    """Divide a /16 to /19 among zones: an eighth for the nodes and a 256th for the load balancers of each zone.

    A zone's blocks follow from the number in its ID alone, so adding or dropping a zone never moves another one; a
    moved subnet would be replaced together with everything in it.

    Raises ValueError for a malformed, public or wrongly sized network, for fewer than two zones (EKS needs two), for
    zones named twice or in several regions, and for IDs other than those of availability zones (EKS does not run in
    local zones).
    """
    network = ipaddress.IPv4Network(cidr)
    if not network.is_private or not 16 <= network.prefixlen <= 19:
        raise ValueError(f"{cidr} must be a private IPv4 network of size /16 to /19")
    if len(set(zone_ids)) != len(zone_ids) or len(zone_ids) < 2:
        raise ValueError(f"at least two different zones are needed, not {', '.join(zone_ids) or 'none'}")
    if len({zone_id.partition("-")[0] for zone_id in zone_ids}) != 1:
        raise ValueError(f"zones must lie in one region: {', '.join(zone_ids)}")
    eighths = list(network.subnets(prefixlen_diff=3))
    small = list(eighths[-1].subnets(prefixlen_diff=5))
    planned = []
    for zone_id in zone_ids:
        match = _ZONE_ID.fullmatch(zone_id)
        if match is None:
            raise ValueError(f"{zone_id} is not the ID of an availability zone, such as use1-az4")
        number = int(match["number"]) - 1
        planned.append(ZoneSubnets(zone_id, str(eighths[number]), str(small[number])))
    return tuple(planned)
