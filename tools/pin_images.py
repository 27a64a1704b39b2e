"""Asks the registries for the digests of the pinned images: `python -m tools.pin_images`; `--write` writes new ones.

A digest is that of the tag's index, which holds the images of all platforms (OCI distribution specification, "Pulling
manifests"). What is asked for: the `*_IMAGE` and `PROMETHEUS_IMAGES` of versions.py and the base images of the
Dockerfiles. Needs the network; nothing else in the project does this at run time.

Exit status: 0 if every image is pinned by what its tag is now, or was written so; 1 if one is not; 2 if a registry did
not answer.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import httpx

import versions

ROOT: Final = Path(__file__).resolve().parents[1]
DOCKERFILES: Final = ("apps/dialogue/Dockerfile", "apps/classifier/Dockerfile")
#: Files in which a new digest replaces the old one.
FILES: Final = ("versions.py", *DOCKERFILES, "docs/serving.md")
#: Where the API of a registry is, if not under the name that images carry.
ENDPOINTS: Final[Mapping[str, str]] = MappingProxyType({"docker.io": "https://registry-1.docker.io"})

_INDEX: Final = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_ONE_PLATFORM: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_IMAGE: Final = re.compile(
    r"(?P<registry>[^/]+)/(?P<repository>[^:@]+):(?P<tag>[^@]+)(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_TIMEOUT_SECONDS: Final = 30.0


class PinError(Exception):
    """What keeps a digest from being known, in a line."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """A pinned image, in its parts; `digest` is None where it is pinned by tag alone."""

    registry: str
    repository: str
    tag: str
    digest: str | None

    @property
    def name(self) -> str:
        """The image without its digest."""
        return f"{self.registry}/{self.repository}:{self.tag}"


def parse(reference: str) -> Image:
    """The parts of a reference that names its registry and a tag. Raises PinError for others."""
    found = _IMAGE.fullmatch(reference)
    if not found:
        raise PinError(f"{reference}: must be REGISTRY/REPOSITORY:TAG, with a digest or without")
    return Image(registry=found["registry"], repository=found["repository"], tag=found["tag"], digest=found["digest"])


def pinned_images(root: Path = ROOT) -> list[Image]:
    """Every image that the repository pins. Raises PinError for a reference that cannot be read."""
    references = [value for name, value in vars(versions).items() if name.endswith("_IMAGE")]
    references += versions.PROMETHEUS_IMAGES.values()
    for dockerfile in DOCKERFILES:
        references += re.findall(
            r"^ARG\s+\w+=(\S+[:@]\S+)", (root / dockerfile).read_text(encoding="utf-8"), re.MULTILINE
        )
    return [parse(reference) for reference in dict.fromkeys(references)]


def digest_of(client: httpx.Client, image: Image, endpoints: Mapping[str, str] = ENDPOINTS) -> str:
    """Digest of what the image's tag is now. Raises PinError if the registry does not say it, or says it wrongly."""
    base = endpoints.get(image.registry, f"https://{image.registry}")
    url = f"{base}/v2/{image.repository}/manifests/{image.tag}"
    headers = {"Accept": ", ".join((*_INDEX, *_ONE_PLATFORM))}
    try:
        answer = client.get(url, headers=headers)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            token = _token(client, answer.headers.get("WWW-Authenticate", ""))
            answer = client.get(url, headers={**headers, "Authorization": f"Bearer {token}"})
        answer.raise_for_status()
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise PinError(f"{image.name}: {image.registry} did not answer: {error}") from error
    digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    said = answer.headers.get("Docker-Content-Digest", digest)
    if said != digest:
        raise PinError(f"{image.name}: {image.registry} says {said}, and what it sent has {digest}")
    if answer.headers.get("Content-Type", "").partition(";")[0] not in _INDEX:
        raise PinError(f"{image.name}: is an image of one platform, not an index of all")
    return digest


def _token(client: httpx.Client, challenge: str) -> str:
    """An anonymous token for what a registry asks for (Docker registry, "Token authentication")."""
    asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    answer = client.get(asked.pop("realm"), params=asked).raise_for_status().json()
    return str(answer.get("token") or answer["access_token"])


def rewritten(text: str, image: Image, digest: str) -> str:
    """A file's text with the image's new digest."""
    if image.digest:
        return text.replace(image.digest, digest)
    # Two literals, as a line of Python holds no more than 120 characters.
    text = text.replace(f'= "{image.name}"\n', f'= (\n    "{image.name}"\n    "@{digest}"\n)\n')
    return re.sub(rf"({re.escape(image.name)})(?=\s)", rf"\1@{digest}", text)


def _write(root: Path, image: Image, digest: str) -> Iterator[str]:
    """Write the digest into the files that name the image; yields their names."""
    for name in FILES:
        path = root / name
        before = path.read_text(encoding="utf-8")
        after = rewritten(before, image, digest)
        if after != before:
            path.write_text(after, encoding="utf-8")
            yield name


def main(arguments: Sequence[str], root: Path = ROOT, endpoints: Mapping[str, str] = ENDPOINTS) -> int:
    """Compare every pinned image with its registry; see the module for options and exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.pin_images", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write new digests into the files")
    options = parser.parse_args(arguments)
    status = 0
    with httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=True) as client:
        for image in pinned_images(root):
            try:
                digest = digest_of(client, image, endpoints)
            except PinError as error:
                print(f"error: {error}", file=sys.stderr)
                status = 2
                continue
            if digest == image.digest:
                print(f"{image.name}: {digest}")
                continue
            print(f"{image.name}: is {digest} now, pinned is {image.digest or 'no digest'}")
            if not options.write:
                status = max(status, 1)
                continue
            print(f"  written: {', '.join(_write(root, image, digest))}")
            if image.digest is None:
                print("  take it out of versions.TAG_NOT_DIGEST")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
