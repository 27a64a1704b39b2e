"""Address ranges, and when they are so wide that they keep nobody out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

_Network = IPv4Network | IPv6Network


def parse(cidr: str) -> _Network | None:
    """The range, host bits or not; None if it is none."""
    try:
        return ip_network(cidr.strip(), strict=False)
    except ValueError:
        return None


def too_wide(cidrs: Iterable[str], *, widest_ipv4: int, widest_ipv6: int) -> Iterator[str]:
    """What is wider than a prefix of that length allows: single ranges, or all together; once each for IPv4 and IPv6.

    Two /1 or a hundred /8 are as open as 0.0.0.0/0, so ranges are added up, what they share once.
    """
    networks = [network for network in map(parse, cidrs) if network is not None]
    ipv4 = [network for network in networks if isinstance(network, IPv4Network)]
    ipv6 = [network for network in networks if isinstance(network, IPv6Network)]
    yield from _wide(ipv4, sum(network.num_addresses for network in collapse_addresses(ipv4)), widest_ipv4)
    yield from _wide(ipv6, sum(network.num_addresses for network in collapse_addresses(ipv6)), widest_ipv6)


def _wide(networks: Sequence[_Network], addresses: int, widest: int) -> Iterator[str]:
    alone = [str(network) for network in networks if network.prefixlen < widest]
    if alone:
        yield ", ".join(alone)
    elif networks and addresses > 2 ** (networks[0].max_prefixlen - widest):
        yield f"{', '.join(str(network) for network in networks)} together"
