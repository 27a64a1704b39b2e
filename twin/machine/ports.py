"""Free loopback ports."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

#: Below the ports that systems hand out to outgoing connections (32768 and above on Linux, 49152 on macOS): a port
#: that is free now is not taken by one of those before its server starts.
_FIRST, _LAST = 20000, 31999


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """A free port for each name, one beside the other. Raises OSError when there are none.

    Some of a twin's servers listen at once, others seconds later, or not for a moment while they start anew. Nobody
    else gets a port among those of a twin as long as one of them is taken.
    """
    wanted = [*names]
    places = range(_FIRST, _LAST + 2 - len(wanted), len(wanted))
    for first in random.sample(places, min(500, len(places))):
        ports = range(first, first + len(wanted))
        if all(map(is_free, ports)):
            return dict(zip(wanted, ports, strict=True))
    raise OSError("no free loopback ports between 20000 and 31999")


def is_free(port: int) -> bool:
    """Whether a server could listen on a loopback port now."""
    with socket.socket() as probe:
        # As servers do: what is left of connections that have ended keeps nobody out.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
