"""Free loopback ports."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

#: Below the ports that systems hand out to outgoing connections (32768 and above on Linux, 49152 on macOS): a port
#: that is free now is not taken by one of those before its server starts.
_FIRST, _LAST = 20000, 31999


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """A different free port for each name. Raises OSError when there are none."""
    found: dict[str, int] = {}
    candidates = random.sample(range(_FIRST, _LAST + 1), 500)
    for name in names:
        found[name] = next((port for port in candidates if port not in found.values() and is_free(port)), 0)
        if not found[name]:
            raise OSError("no free loopback port between 20000 and 31999")
    return found


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
