"""User data of a pool's nodes: what its sharing needs, merged with what somebody wrote.

As Karpenter reads it: for AL2023 a MIME document, a NodeConfig or a script, to which it appends a NodeConfig of its own
(aws/karpenter-provider-aws pkg/providers/amifamily/bootstrap/nodeadm.go); for Bottlerocket TOML.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from email import message_from_string
from email.message import Message
from typing import Final, assert_never

from gpu.mig import MigProfile
from gpu.pool import Pool
from gpu.sharing import SharingError
from gpu.sharing.al2023 import al2023_user_data
from gpu.sharing.bottlerocket import FAST_IMAGE_PULL, bottlerocket_settings
from gpu.sharing.container_toolkit import devices_by_mount

_SCRIPT: Final = 'text/x-shellscript; charset="us-ascii"'
_NODE_CONFIG: Final = "application/node.eks.aws"
_IS_NODE_CONFIG: Final = re.compile(r"^apiVersion:\s*[\"']?node\.eks\.aws/", re.MULTILINE)
_BOUNDARY: Final = "gpu-slices-merged"

Part = tuple[str, str]
"""Content type and text of a part of a MIME document."""


def pool_user_data(
    pool: Pool, *, untrusted: bool = False, fast_image_pull: bool = False, own: str | None = None
) -> str | None:
    """User data for the EC2NodeClass of a pool; None where there is nothing to say.

    untrusted: whether containers may get GPUs by slots alone. own: what somebody wrote; it runs first, so that the
    pool's word holds. Raises SharingError for what the pool's GPUs cannot do, ValueError where `own` cannot be merged.
    """
    match pool.ami:
        case "bottlerocket":
            settings = bottlerocket_settings(pool.profile, [t.gpu for t in pool.types], untrusted=untrusted)
            ours = settings + (FAST_IMAGE_PULL if fast_image_pull else "")
            return _merged_toml(own, ours) if own else ours
        case "al2023":
            made = al2023_user_data(_cut(pool), fast_image_pull=fast_image_pull)
            ours_or_none = devices_by_mount(made) if untrusted else made
            return _merged_mime(own, ours_or_none) if own else ours_or_none
        case _:
            assert_never(pool.ami)


def _cut(pool: Pool) -> MigProfile | None:
    """MIG instances that one script must cut out of every GPU of the pool."""
    cut = pool.profile.cut(pool.types[0].gpu)
    if cut and len(set(pool.slots.values())) > 1:
        raise SharingError(f"pool {pool.name}: its GPUs do not all hold {cut.max_per_gpu} instances of {cut.name}")
    return cut


def _merged_toml(own: str, ours: str) -> str:
    """Two sets of settings, one after the other: TOML forbids to say anything of the same table twice."""
    try:
        tomllib.loads(own)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is no TOML, as Bottlerocket's settings are: {error}") from error
    merged = f"{own.rstrip()}\n\n{ours}"
    try:
        tomllib.loads(merged)
    except tomllib.TOMLDecodeError as error:
        tables = ", ".join(dict.fromkeys(re.findall(r"^\[([^\]]+)\]$", ours, re.MULTILINE)))
        raise ValueError(f"says something of a table that the pool writes, of {tables}: {error}") from error
    return merged


def _merged_mime(own: str, ours: str | None) -> str:
    parts = [*_parts(own), *(_parts(ours) if ours else ())]
    boundary = _BOUNDARY
    while any(boundary in text for _, text in parts):
        boundary += "-"
    body = "".join(f"--{boundary}\nContent-Type: {kind}\n\n{text.rstrip()}\n\n" for kind, text in parts)
    head = f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{boundary}"\n\n'
    return f"{head}{body}--{boundary}--\n"


def _parts(text: str) -> Sequence[Part]:
    """What user data consists of, in its order. Raises ValueError where nodes would not read it."""
    written = text.lstrip()
    if re.match(r"(MIME-Version|Content-Type):", written):
        return _mime_parts(written)
    if written.startswith("#!"):
        return [(_SCRIPT, written)]
    if _IS_NODE_CONFIG.search(written):
        return [(_NODE_CONFIG, written)]
    raise ValueError(
        "is neither a MIME document, nor a script that begins with #!, nor a NodeConfig with apiVersion: "
        "node.eks.aws/v1alpha1: AL2023 reads nothing else"
    )


def _mime_parts(text: str) -> Sequence[Part]:
    message = message_from_string(text)
    found = message.get_payload()
    if not message.is_multipart() or not isinstance(found, list) or not message.get_boundary():
        raise ValueError("is a MIME document without parts: Content-Type must be multipart/mixed with a boundary")
    parts = []
    for part in found:
        assert isinstance(part, Message), "a part of a multipart message is a message"
        encoding = part.get("Content-Transfer-Encoding", "7bit").lower()
        if encoding not in ("7bit", "8bit", "binary"):
            raise ValueError(f"has a part in {encoding}, which Karpenter does not decode: write it as it is")
        parts.append((part.get("Content-Type", "text/plain"), str(part.get_payload())))
    return parts
