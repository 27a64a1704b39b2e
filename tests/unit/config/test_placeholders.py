"""Values that stand in for the reader's own: found wherever they may stand, and never what a message proposes."""

from __future__ import annotations

import ast
import gzip
import json
import re
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from config.checks.region import PARTITION
from config.placeholders import EXAMPLE_ACCOUNTS, EXAMPLE_IDS, account, domain, placeholders, registry, snapshot
from gpu.catalog import REGIONS
from tests.sweep import EVERYTHING
from tests.unit.config.support import CONTAINER, GONE, changed, parsed, problems_of

ROOT = Path(__file__).parents[3]
OWN: dict[str, Any] = {
    "cluster.publicAccessCidrs": ["8.8.8.0/24"],
    "budget.emails": ["platform@gpu-slices.dev"],
}
DIGEST = f"@sha256:{'0' * 64}"
DOOR = {"domain": "chat.gpu-slices.dev", "hostedZoneId": "Z0123456789"}
CERTIFICATE = "arn:aws:acm:us-east-1:{}:certificate/01234567-89ab-cdef-0123-456789abcdef"
SNAPSHOT = {"pools[0].ami": "bottlerocket", "pools[0].volume": {"snapshotId": "snap-1234567890abcdef0"}}
WITH_DOOR = {"dialogue.image": "build"}


def found(changes: dict[str, Any]) -> list[str]:
    """Paths of the placeholders of a stack whose other values are somebody's own."""
    config = parsed(changed({**OWN, **changes}))
    return [".".join(map(str, problem.path)) for problem in placeholders(config)]


def test_a_stack_of_ones_own_has_none() -> None:
    assert found({}) == []


def mounted(source: dict[str, Any]) -> dict[str, Any]:
    """A workload with a volume."""
    container = CONTAINER | {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    workload = {"name": "b", "pool": "shared", "containers": [container], "volumes": [{"name": "data", **source}]}
    return {"workloads": [workload]}


def test_buckets_and_file_systems_of_ones_own_are_let_pass() -> None:
    assert found(mounted({"s3": {"bucketName": "acme-models"}})) == []
    assert found(mounted({"efs": {"fileSystemId": "fs-0c1d2e3f405162738"}})) == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"cluster.publicAccessCidrs": ["192.0.2.0/24"]}, "cluster.publicAccessCidrs.0"),
        ({"cluster.publicAccessCidrs": ["8.8.8.8/32", "198.51.100.7/32"]}, "cluster.publicAccessCidrs.1"),
        ({"cluster.publicAccessCidrs": ["203.0.113.0/25"]}, "cluster.publicAccessCidrs.0"),
        ({"cluster.admins": ["arn:aws:iam::123456789012:role/Admin"]}, "cluster.admins.0"),
        ({"cluster.registryMirror": "123456789012.dkr.ecr.us-east-1.amazonaws.com"}, "cluster.registryMirror"),
        ({"cluster.registryMirror": "mirror.example.com/cache"}, "cluster.registryMirror"),
        ({"cluster.viewers": ["arn:aws:iam::444455556666:user/team/reader"]}, "cluster.viewers.0"),
        ({"budget.emails": ["platform@Example.com"]}, "budget.emails.0"),
        ({"budget.emails": ["a@gpu-slices.dev", "a@mail.corp.example"]}, "budget.emails.1"),
        ({"budget.emails": ["a@b.test"]}, "budget.emails.0"),
        (SNAPSHOT, "pools.0.volume.snapshotId"),
        ({"dialogue.image": f"registry.example.org:5000/dialogue{DIGEST}"}, "dialogue.image"),
        (
            {"models[0].weights": {"source": "image", "image": f"r.example.com/w{DIGEST}"}},
            "models.0.weights.image",
        ),
        (
            {"workloads": [{"name": "b", "pool": "shared", "containers": [CONTAINER | {"image": "r.invalid/app:1"}]}]},
            "workloads.0.containers.0.image",
        ),
        (mounted({"s3": {"bucketName": "amzn-s3-demo-bucket"}}), "workloads.0.volumes.0.s3.bucketName"),
        (
            mounted({"efs": {"fileSystemId": "fs-0123456789abcdef0"}}),
            "workloads.0.volumes.0.efs.fileSystemId",
        ),
        ({**WITH_DOOR, "serving.door": DOOR | {"domain": "chat.example.net", "tlsSecret": "t"}}, "serving.door.domain"),
        (
            {**WITH_DOOR, "serving.door": DOOR | {"certificateArn": CERTIFICATE.format("111122223333")}},
            "serving.door.certificateArn",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_is_found_where_it_stands(changes: dict[str, Any], path: str) -> None:
    assert found(changes) == [path]


EQUAL = [str(digit) * 12 for digit in range(10)]
ASKED = ["123456789012", "210987654321", "987654321098", "111122223333", "444455556666", "777788889999"]


@pytest.mark.parametrize("number", [*EQUAL, *ASKED])
def test_an_account_that_is_nobodys_is_found_in_arns_and_in_images_of_ecr(number: str) -> None:
    assert found({"cluster.admins": [f"arn:aws:iam::{number}:role/Admin"]}) == ["cluster.admins.0"]
    for host in (f"{number}.dkr.ecr.us-east-1.amazonaws.com", f"{number}.dkr-ecr.us-east-1.on.aws"):
        assert registry(f"{host}/app:1") == f"{number} is an account of AWS' documentation"
        container = CONTAINER | {"image": f"{host}/team/app{DIGEST}"}
        workload = {"name": "b", "pool": "shared", "containers": [container]}
        assert found({"workloads": [workload]}) == ["workloads.0.containers.0.image"]


@pytest.mark.parametrize(
    "image",
    [
        "192.0.2.1/app:1",
        "198.51.100.7:5000/app:1",
        "203.0.113.9/team/app:1",
        "localhost/app:1",
        "localhost:5000/app:1",
        "127.0.0.1:5000/app:1",
        "0.0.0.0:5000/app:1",
        "registry.example.com/app:1",
        "registry.example.io:443/app:1",
        "r.localhost/app:1",
        "registry.test:5000/app:1",
        "registry.yourcompany.com/app:1",
    ],
)
def test_a_registry_that_is_nobodys_is_found(image: str) -> None:
    assert registry(image)
    workload = {"name": "b", "pool": "shared", "containers": [CONTAINER | {"image": image}]}
    assert found({"workloads": [workload]}) == ["workloads.0.containers.0.image"]
    assert found({"models[0].model": image, "models[0].weightsMib": 100, "models[0].kvKibPerToken": 1}) == [
        "models.0.model"
    ]


@pytest.mark.parametrize(
    "image",
    [
        "101010101010.dkr.ecr.us-east-1.amazonaws.com/123456789012/app:1",
        "10.0.0.5:5000/app:1",
        "999.1.1.1/app:1",
        "registry:5000/app:1",
        "localhost.team.dev/app:1",
        "ghcr.io/example/app:1",
    ],
)
def test_a_registry_that_may_be_somebodys_is_none(image: str) -> None:
    assert registry(image) is None


@pytest.mark.parametrize(
    "address",
    [
        "you@company.com",
        "me@company.com",
        "user@domain.com",
        "ops@YourCompany.com",
        "name@example.com",
        "name@example.io",
        "name@mail.example.co.uk",
        "name@example.com.au",
        "a@b.test",
        "a@b.example",
        "a@b.invalid",
        "a@b.localhost",
    ],
)
def test_an_address_that_is_nobodys_is_found(address: str) -> None:
    assert found({"budget.emails": [address]}) == ["budget.emails.0"]


@pytest.mark.parametrize(
    ("identity", "known"),
    [
        ("snap-0123456789abcdef0", True),
        ("snap-066877671789bd71b", True),
        ("snap-00000000000000000", True),
        ("snap-12345678", True),
        ("snap-ffffffff", True),
        ("snap-0a1b2c3d4e5f60718", False),
        ("snap-1a2b3c4d", False),
    ],
)
def test_an_id_that_is_nobodys_is_found(identity: str, known: bool) -> None:
    assert bool(snapshot(identity)) is known


@pytest.mark.parametrize(
    "changes",
    [
        {"budget": GONE, "cluster.publicAccessCidrs": []},
        {
            "budget.emails": [
                "example@gpu-slices.dev",
                "me@examples.company",
                "me@company.com.de",
                "me@testing.de",
                "me@notexample.com",
            ]
        },
        {"cluster.publicAccessCidrs": ["203.0.112.0/24", "203.0.112.0/23", "192.0.3.0/24"]},
        {"cluster.admins": ["arn:aws:iam::101010101010:role/123456789012"]},
        {"workloads": [{"name": "b", "pool": "shared", "containers": [CONTAINER | {"image": "example.test:1"}]}]},
        {"workloads": [{"name": "b", "pool": "shared", "containers": [CONTAINER | {"image": "example/app:1"}]}]},
        {**WITH_DOOR, "serving.door": DOOR | {"certificateArn": CERTIFICATE.format("101010101010")}},
    ],
)
def test_what_only_looks_alike_is_none(changes: dict[str, Any]) -> None:
    assert found(changes) == []


@given(st.ip_addresses(v=4).filter(lambda address: not address.is_global))
@settings(max_examples=300 if EVERYTHING else 100)
def test_no_address_that_nobody_can_call_from_is_let_in(address: IPv4Address) -> None:
    raw = changed({**OWN, "cluster.publicAccessCidrs": [f"{address}/32"]})
    assert problems_of(raw) or placeholders(parsed(raw))


#: Where the APIs' documentation has the accounts: botocore's service models and examples.
DOCUMENTED = ("ec2", "ecr", "efs", "eks", "glacier", "iam", "kms", "logs", "organizations", "storagegateway")


def test_the_accounts_and_ids_are_those_of_aws_documentation() -> None:
    data = Path(botocore.__file__).parent / "data"
    files = [file for service in DOCUMENTED for file in (data / service).glob("*/*.json*")]
    text = "".join(
        (gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()).decode() for file in files
    )
    assert [number for number in EXAMPLE_ACCOUNTS if number not in text] == []
    assert [identity for identity in EXAMPLE_IDS if f"-{identity}" not in text] == []


def test_all_regions_are_of_the_partition_that_arns_must_have() -> None:
    session = botocore.session.get_session()
    assert {session.get_partition_for_region(region) for region in REGIONS} == {PARTITION}


# --- What messages propose --------------------------------------------------------------------------------------------

#: Pages and samples, which say what they are; and where the examples are named to be found.
SAMPLES = ("config/document_text.py", "config/placeholders.py", "config/starter.py")
_DOMAIN = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}")
_RANGE = re.compile(r"(?:192\.0\.2|198\.51\.100|203\.0\.113)\.")


def proposed(text: str) -> list[str]:
    """Placeholders within a text."""
    numbers = [f"arn:aws:iam::{number}:" for number in re.findall(r"(?<!\d)\d{12}(?!\d)", text)]
    return [
        *_RANGE.findall(text),
        *(name for name in _DOMAIN.findall(text) if domain(name)),
        *filter(account, numbers),
    ]


def spoken(path: Path) -> Iterator[str]:
    """Texts of a module that are no docstrings."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    documentation = [node.value for node in nodes if isinstance(node, ast.Expr)]
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation:
            yield node.value


@pytest.mark.parametrize("room", ["config", "stacks", "policy", "components"])
def test_no_message_proposes_a_placeholder(room: str) -> None:
    modules = [path for path in (ROOT / room).rglob("*.py") if str(path.relative_to(ROOT)) not in SAMPLES]
    assert modules
    assert [(path.name, hit) for path in modules for text in spoken(path) for hit in proposed(text)] == []


def test_no_expected_message_proposes_one() -> None:
    for path in (Path(__file__).parent / "errors").glob("*.yaml"):
        for case in yaml.safe_load(path.read_text(encoding="utf-8")):
            # Every second line is a message. Some repeat what the file has, put right; nothing else may be proposed.
            given_values = json.dumps(case["with"], default=str) if "with" in case else ""
            said = [hit for line in case["error"].splitlines()[1::2] for hit in proposed(line)]
            assert [hit for hit in said if hit not in given_values] == [], case["case"]
