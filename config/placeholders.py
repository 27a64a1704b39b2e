"""Values that stand in for the reader's own: documents and samples are full of them, and the checks let them pass.

They belong to nobody, by standard or by AWS' own custom. So a stack can be planned with them, and the program refuses
to build it (`config.load`): an allowlist of 203.0.113.0/24 lets nobody in, and a paid cluster would stand there before
that shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from config.errors import Path, Problem
from config.schema import StackConfig, Workload

#: RFC 5737. Those of IPv6 (RFC 3849, RFC 9637) need no place here: EKS takes no IPv6 range for an IPv4 cluster.
DOCUMENTATION_RANGES: Final = tuple(map(IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))
#: RFC 2606 and RFC 6761, and example.edu, which EDUCAUSE keeps for the same use.
EXAMPLE_DOMAINS: Final = ("example.com", "example.org", "example.net", "example.edu")
RESERVED_DOMAINS: Final = ("example", "test", "invalid", "localhost")
#: Real, but not the reader's: what people write where their own domain is meant.
STAND_IN_DOMAINS: Final = (
    "company.com",
    "domain.com",
    "email.com",
    "my-company.com",
    "mycompany.com",
    "mydomain.com",
    "your-company.com",
    "your-domain.com",
    "yourcompany.com",
    "yourdomain.com",
)
#: Accounts in the documentation of AWS' own APIs (botocore's service models; a test looks there).
EXAMPLE_ACCOUNTS: Final = (
    "012345678901",
    "012345678910",
    "111122223333",
    "112233445566",
    "123456789012",
    "444455556666",
    "987654321098",
)
#: Accounts in AWS' user guides beside these: the third of the IAM user guide's, and 012345678901's counterparts.
GUIDE_ACCOUNTS: Final = ("098765432109", "210987654321", "777788889999")
#: Ids in the documentation of EC2's API.
EXAMPLE_IDS: Final = ("0123456789abcdef0", "1234567890abcdef0", "066877671789bd71b")
#: How buckets begin in the documentation of AWS: of today, and of before 2024.
EXAMPLE_BUCKETS: Final = ("amzn-s3-demo-", "doc-example-bucket")

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
    mirrors = [cluster.registry_mirror] if cluster.registry_mirror else []
    # As an image is named in it: by itself it may look like one of Docker Hub's.
    yield from ((("cluster", "registryMirror"), mirror, lambda host: registry(f"{host}/image")) for mirror in mirrors)
    for index, pool in enumerate(config.pools):
        if pool.volume.snapshot_id:
            yield ("pools", index, "volume", "snapshotId"), pool.volume.snapshot_id, snapshot
    for index, model in enumerate(config.models):
        if model.model:
            yield ("models", index, "model"), model.model, registry
        if model.weights.image:
            yield ("models", index, "weights", "image"), model.weights.image, registry
    for index, workload in enumerate(config.workloads):
        yield from _of_workload(workload, ("workloads", index))
    if dialogue and dialogue.image:
        yield ("dialogue", "image"), dialogue.image, registry
    if door:
        yield ("serving", "door", "domain"), door.domain, domain
        if door.certificate_arn:
            yield ("serving", "door", "certificateArn"), door.certificate_arn, account
    if budget:
        yield from _each(("budget", "emails"), budget.emails, email)


def _of_workload(workload: Workload, path: Path) -> Iterator[tuple[Path, str, Kind]]:
    for place, container in enumerate(workload.containers):
        yield (*path, "containers", place, "image"), container.image, registry
    for place, volume in enumerate(workload.volumes):
        where = (*path, "volumes", place)
        if volume.s3:
            yield (*where, "s3", "bucketName"), volume.s3.bucket_name, bucket
        if volume.efs:
            yield (*where, "efs", "fileSystemId"), volume.efs.file_system_id, file_system


def _each(path: Path, values: Sequence[str], kind: Kind) -> Iterator[tuple[Path, str, Kind]]:
    yield from (((*path, index), value, kind) for index, value in enumerate(values))


def address_range(text: str) -> str | None:
    """An IPv4 range that lies in one of `DOCUMENTATION_RANGES`."""
    network = IPv4Network(text)
    kept = next((kept for kept in DOCUMENTATION_RANGES if network.subnet_of(kept)), None)
    return f"{kept} is kept for documentation, RFC 5737" if kept else None


def domain(name: str) -> str | None:
    """A host's name, or a domain, that lies in one of the domains above, or is `example` in whatever country."""
    labels = name.lower().rstrip(".").split(".")
    last = ".".join(labels[-2:])
    if last in EXAMPLE_DOMAINS:
        return f"{last} is kept for examples, RFC 2606"
    if labels[-1] in RESERVED_DOMAINS:
        return f".{labels[-1]} is kept for examples and tests, RFC 6761"
    if last in STAND_IN_DOMAINS:
        return f"{last} is what people write in place of their own"
    # `example.de`, and where a country has second levels `example.co.uk`.
    own = labels[-3:-2] if len(labels) > 2 and labels[-2] in _SECOND_LEVELS else labels[-2:-1]
    return f"{'.'.join(labels[labels.index('example') :])} is an example's name" if own == ["example"] else None


_SECOND_LEVELS: Final = ("ac", "co", "com", "gov", "net", "org")


def email(address: str) -> str | None:
    """An address in such a domain."""
    return domain(address.rpartition("@")[2])


def registry(image: str) -> str | None:
    """An image in a registry that is nobody's, or in ECR of such an account. Also a model's name may have a registry.

    Without dot or port what stands before the slash is no registry, but for `localhost` (distribution/reference).
    """
    host, slash, _ = image.partition("/")
    host, port, _ = host.partition(":")
    if not slash or not ("." in host or port or host == "localhost"):
        return None
    if ecr := _ECR.match(host):
        return account_id(ecr[1])
    return _address(host) or domain(host)


#: Hosts of a private registry, with two stacks of addresses as well (ECR user guide, "Making requests to ECR").
_ECR: Final = re.compile(r"([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.", re.IGNORECASE)


def _address(host: str) -> str | None:
    """A host that is an address: one of documentation, or of whoever asks."""
    try:
        address = IPv4Address(host)
    except ValueError:
        return None
    if address.is_loopback or address.is_unspecified:
        return f"{address} is each node itself"
    return address_range(host)


def account(arn: str) -> str | None:
    """An ARN in an account that is nobody's."""
    return account_id(arn.split(":")[4])


def account_id(number: str) -> str | None:
    """One of `EXAMPLE_ACCOUNTS` or `GUIDE_ACCOUNTS`, or twelve equal digits, as both have them."""
    if number in EXAMPLE_ACCOUNTS or number in GUIDE_ACCOUNTS or len(set(number)) == 1:
        return f"{number} is an account of AWS' documentation"
    return None


def bucket(name: str) -> str | None:
    """A bucket by one of the names that AWS keeps for its documentation."""
    return "a bucket of AWS' documentation" if name.startswith(EXAMPLE_BUCKETS) else None


def snapshot(identity: str) -> str | None:
    """A snapshot with an id of `_example_id`."""
    return _example_id(identity.removeprefix("snap-"))


def file_system(identity: str) -> str | None:
    """A file system of EFS with an id of `_example_id`."""
    return _example_id(identity.removeprefix("fs-"))


def _example_id(digits: str) -> str | None:
    """One of `EXAMPLE_IDS`, of which the old and short ids are the beginnings, or one digit only."""
    known = any(example.startswith(digits) for example in EXAMPLE_IDS)
    return "an id of AWS' documentation" if known or len(set(digits)) == 1 else None
