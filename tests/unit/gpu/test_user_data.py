"""User data of a pool, merged with somebody's."""

from __future__ import annotations

import tomllib
from email import message_from_string
from email.message import Message

import pytest

from gpu import prices
from gpu.catalog import INSTANCE_TYPES
from gpu.pool import Pool
from gpu.sharing import Ami, Mig, SharingProfile, TimeSlicing
from gpu.sharing.al2023 import read_mig_cut
from gpu.user_data import pool_user_data

SCRIPT = "#!/bin/bash\necho mine >/etc/motd\n"
NODE_CONFIG = "apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec: {kubelet: {config: {maxPods: 58}}}\n"
ARCHIVE = (
    'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="BOUNDARY"\n\n'
    f"--BOUNDARY\nContent-Type: application/node.eks.aws\n\n{NODE_CONFIG}\n"
    f'--BOUNDARY\nContent-Type: text/x-shellscript; charset="us-ascii"\n\n{SCRIPT}\n--BOUNDARY--\n'
)


def pool(profile: SharingProfile, name: str = "g6.xlarge", ami: Ami = "al2023") -> Pool:
    return Pool(
        name="p", profile=profile, types=(INSTANCE_TYPES[name],), max_gpus=8, prices=prices.of("us-east-1"), ami=ami
    )


def parts(text: str | None) -> list[tuple[str, str]]:
    message = message_from_string(text or "")
    assert message.is_multipart()
    found = message.get_payload()
    assert isinstance(found, list)
    messages = [part for part in found if isinstance(part, Message)]
    return [(part.get_content_type(), str(part.get_payload()).strip()) for part in messages]


def test_nothing_is_said_of_a_pool_that_needs_nothing() -> None:
    assert pool_user_data(pool(TimeSlicing(3))) is None


@pytest.mark.parametrize(
    ("own", "kinds"),
    [
        (SCRIPT, ["text/x-shellscript"]),
        (NODE_CONFIG, ["application/node.eks.aws"]),
        (ARCHIVE, ["application/node.eks.aws", "text/x-shellscript"]),
    ],
)
def test_what_somebody_wrote_comes_first_and_whole(own: str, kinds: list[str]) -> None:
    alone = parts(pool_user_data(pool(TimeSlicing(3)), own=own))
    assert [kind for kind, _ in alone] == kinds
    assert alone[-1][1] == (own.strip() if own is not ARCHIVE else SCRIPT.strip())
    cut = pool(Mig("1g.10gb"), "p5.4xlarge")
    ours = pool_user_data(cut, untrusted=True, fast_image_pull=True)
    merged = pool_user_data(cut, untrusted=True, fast_image_pull=True, own=own)
    assert parts(merged) == [*alone, *parts(ours)]
    assert read_mig_cut(merged or "") == read_mig_cut(ours or "") != {}


def test_a_boundary_is_no_line_of_any_part() -> None:
    own = "#!/bin/bash\ncat <<END\n--gpu-slices-merged\nEND\n"
    assert parts(pool_user_data(pool(TimeSlicing(3)), own=own)) == [("text/x-shellscript", own.strip())]


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("echo hello", "neither a MIME document"),
        ("Content-Type: text/plain\n\nhello", "without parts"),
        (ARCHIVE.replace("charset", "x").replace("\n\n#!", "\nContent-Transfer-Encoding: base64\n\n#!"), "base64"),
    ],
)
def test_what_no_node_reads_is_refused(own: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pool_user_data(pool(TimeSlicing(3)), own=own)


def test_settings_of_bottlerocket_stand_beside_each_other() -> None:
    shared = pool(TimeSlicing(3), ami="bottlerocket")
    merged = tomllib.loads(pool_user_data(shared, own='[settings.kernel]\nlockdown = "integrity"') or "")
    assert merged["settings"]["kernel"] == {"lockdown": "integrity"}
    assert merged["settings"]["kubelet-device-plugins"]["nvidia"]["time-slicing"]["replicas"] == 3


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("[settings.kubelet-device-plugins.nvidia.time-slicing]\nreplicas = 9", "a table that the pool writes"),
        ("echo hello", "is no TOML"),
    ],
)
def test_settings_that_contradict_the_sharing_are_refused(own: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pool_user_data(pool(TimeSlicing(3), ami="bottlerocket"), own=own)
