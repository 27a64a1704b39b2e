"""Values that stand in for the reader's own: documents and samples are full of them, and the checks let them pass.

They belong to nobody, by standard or by AWS' own custom. So a stack can be planned with them, and the program refuses
to build it (`stacks.load`): an allowlist of 203.0.113.0/24 lets nobody in, and a paid cluster would stand there before
that shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Network
from typing import Final

from stacks.errors import Path, Problem
from stacks.schema import StackConfig

#: RFC 5737. Those of IPv6 (RFC 3849, RFC 9637) need no place here: EKS takes no IPv6 range for an IPv4 cluster.
DOCUMENTATION_RANGES: Final = tuple(map(IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))
#: RFC 2606 and RFC 6761, and example.edu, which EDUCAUSE keeps for the same use.
EXAMPLE_DOMAINS: Final = ("example.com", "example.org", "example.net", "example.edu")
RESERVED_DOMAINS: Final = ("example", "test", "invalid", "localhost")
#: Accounts in the documentation of AWS' own APIs (botocore's service models; a test looks there).
EXAMPLE_ACCOUNTS: Final = (
    "012345678901",
    "012345678910",
    "111111111111",
    "111122223333",
    "123456789012",
    "222222222222",
    "444455556666",
    "999999999999",
)
#: Ids in the documentation of EC2's API.
EXAMPLE_IDS: Final = ("0123456789abcdef0", "1234567890abcdef0")

Kind = Callable[[str], str | None]
"""Says what kind of example a value is; None where it is none."""


def placeholders(config: StackConfig) -> list[Problem]:
    """Every value of a valid configuration that stands in for the reader's own, with what it is."""
    return [
        Problem(path, value, f"is an example ({what}): plans take it, pulumi up refuses it; write your own")
        for path, value, kind in _values(config)
        if (what := kind(value))
    ]


def _values(config: StackConfig) -> Iterator[tuple[Path, str, Kind]]:
    """What names somebody's own: addresses, people, accounts, domains, registries, snapshots."""
    cluster, budget, dialogue, door = config.cluster, config.budget, config.dialogue, config.serving.door
    yield from _each(("cluster", "publicAccessCidrs"), cluster.public_access_cidrs, address_range)
    yield from _each(("cluster", "admins"), cluster.admins, account)
    yield from _each(("cluster", "viewers"), cluster.viewers, account)
    for index, pool in enumerate(config.pools):
        if pool.volume.snapshot_id:
            yield ("pools", index, "volume", "snapshotId"), pool.volume.snapshot_id, snapshot
    for index, model in enumerate(config.models):
        if model.weights.image:
            yield ("models", index, "weights", "image"), model.weights.image, registry
    for index, workload in enumerate(config.workloads):
        for place, container in enumerate(workload.containers):
            yield ("workloads", index, "containers", place, "image"), container.image, registry
    if dialogue and dialogue.image:
        yield ("dialogue", "image"), dialogue.image, registry
    if door:
        yield ("serving", "door", "domain"), door.domain, domain
        if door.certificate_arn:
            yield ("serving", "door", "certificateArn"), door.certificate_arn, account
    if budget:
        yield from _each(("budget", "emails"), budget.emails, email)


def _each(path: Path, values: Sequence[str], kind: Kind) -> Iterator[tuple[Path, str, Kind]]:
    yield from (((*path, index), value, kind) for index, value in enumerate(values))


def address_range(text: str) -> str | None:
    """An IPv4 range that lies in one of `DOCUMENTATION_RANGES`."""
    network = IPv4Network(text)
    kept = next((kept for kept in DOCUMENTATION_RANGES if network.subnet_of(kept)), None)
    return f"{kept} is kept for documentation, RFC 5737" if kept else None


def domain(name: str) -> str | None:
    """A host's name, or a domain, that lies in one of `EXAMPLE_DOMAINS` or `RESERVED_DOMAINS`."""
    labels = name.lower().rstrip(".").split(".")
    last = ".".join(labels[-2:])
    if last in EXAMPLE_DOMAINS:
        return f"{last} is kept for examples, RFC 2606"
    return f".{labels[-1]} is kept for examples and tests, RFC 6761" if labels[-1] in RESERVED_DOMAINS else None


def email(address: str) -> str | None:
    """An address in such a domain."""
    return domain(address.rpartition("@")[2])


def registry(image: str) -> str | None:
    """An image in a registry of such a domain. Without a dot what stands before the slash is no domain."""
    host, slash, _ = image.partition("/")
    host = host.partition(":")[0]
    return domain(host) if slash and "." in host else None


def account(arn: str) -> str | None:
    """An ARN in one of `EXAMPLE_ACCOUNTS`."""
    number = arn.split(":")[4]
    return f"{number} is an account of AWS' documentation" if number in EXAMPLE_ACCOUNTS else None


def snapshot(identity: str) -> str | None:
    """A snapshot with one of `EXAMPLE_IDS`."""
    return "an id of AWS' documentation" if identity.endswith(EXAMPLE_IDS) else None
