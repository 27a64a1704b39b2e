"""Registries that images come from, and what an image is called in a mirror of them.

A mirror holds each upstream registry under a prefix of its own, as ECR's pull through cache and the proxy projects of
Harbor and Artifactory do: `docker.io/ollama/ollama` is `MIRROR/docker-hub/ollama/ollama`. The prefixes are those that
the ECR console proposes (ECR user guide, "Pulling an image with a pull through cache rule"); ECR has none for gcr.io
and nvcr.io, which it cannot pull through, nor for GitHub's and GitLab's rules there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import versions

#: Prefix of charts that upstream are in no registry, but in a repository of files: nothing pulls those through.
CHARTS_PREFIX: Final = "charts"


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """A registry that a mirror stands for.

    prefix: of its images in the mirror. ecr: what ECR's pull through cache calls it (`UpstreamRegistry` of its API,
    botocore's service model); None where it cannot pull from there. secret: whether the rule needs credentials.
    url: host that a rule names; None for that of the images.
    """

    prefix: str
    ecr: str | None
    secret: bool = False
    url: str | None = None


#: By host.
UPSTREAMS: Final[Mapping[str, Upstream]] = MappingProxyType(
    {
        "docker.io": Upstream(prefix="docker-hub", ecr="docker-hub", secret=True, url="registry-1.docker.io"),
        "gcr.io": Upstream(prefix="gcr", ecr=None),
        "ghcr.io": Upstream(prefix="github", ecr="github-container-registry", secret=True),
        "nvcr.io": Upstream(prefix="nvcr", ecr=None),
        "public.ecr.aws": Upstream(prefix="ecr-public", ecr="ecr-public"),
        "quay.io": Upstream(prefix="quay", ecr="quay"),
        "registry.gitlab.com": Upstream(prefix="gitlab", ecr="gitlab-container-registry", secret=True),
        "registry.k8s.io": Upstream(prefix="kubernetes", ecr="k8s"),
    }
)

#: Hosts of private registries of ECR, with two stacks of addresses as well (ECR user guide, "Making requests to ECR").
_ECR: Final = re.compile(r"(?P<account>[0-9]{12})\.dkr[.-]ecr\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com|on\.aws)(/.*)?")


def host_of(reference: str) -> str:
    """Registry of an image; `docker.io` where it names none (distribution/reference, normalize.go)."""
    first, slash, _ = reference.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    return "docker.io" if not named or first == "index.docker.io" else first


def in_mirror(reference: str, mirror: str) -> str:
    """An image, or a repository of images, in a mirror; tag and digest stay.

    Images of other registries than `UPSTREAMS` stay as they are: a stack file that names such a one means it.
    """
    host = host_of(reference)
    if host not in UPSTREAMS:
        return reference
    first, _, rest = reference.partition("/")
    path = rest if first in (host, "index.docker.io") else reference
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return f"{mirror}/{UPSTREAMS[host].prefix}/{path}"


def chart_in_mirror(chart: versions.Chart, mirror: str) -> str:
    """Address of a chart in a mirror, always `oci://`: a mirror of images takes charts as artifacts."""
    if chart.repo is None:
        return f"oci://{in_mirror(chart.chart.removeprefix('oci://'), mirror)}"
    return f"oci://{mirror}/{CHARTS_PREFIX}/{chart.chart}"


@dataclass(frozen=True, kw_only=True)
class EcrRegistry:
    """A private registry of ECR. path: what stands behind its host, without slashes around it; empty for nothing."""

    account: str
    region: str
    path: str


def ecr_registry(mirror: str) -> EcrRegistry | None:
    """The registry of ECR that a mirror, or an image, is in; None where it is another's."""
    found = _ECR.fullmatch(mirror)
    if not found:
        return None
    return EcrRegistry(account=found["account"], region=found["region"], path=mirror.partition("/")[2])
