"""Node images: SSM's public parameters for the EKS images, and the images that they name.

Only the releases that the project pins are known (`versions`), as only releases that AWS published are known to SSM: a
misspelt alias fails in the twin with Karpenter's own reason.
"""

from __future__ import annotations

import hashlib
import re

import versions

_ARCHITECTURES = {"x86_64": "x86_64", "arm64": "arm64"}
_AL2023 = re.compile(
    r"/aws/service/eks/optimized-ami/(?P<kubernetes>[\d.]+)/amazon-linux-2023/(?P<arch>x86_64|arm64)/"
    r"(?P<variant>standard|nvidia|neuron)/(?P<name>[\w.-]+)/image_id"
)
_BOTTLEROCKET = re.compile(
    r"/aws/service/bottlerocket/aws-k8s-(?P<kubernetes>[\d.]+)(?P<variant>-nvidia)?/(?P<arch>x86_64|arm64)/"
    r"(?P<release>[\w.]+)/image_id"
)


def image_of(parameter: str) -> tuple[str, str] | None:
    """Id and architecture of the image that a public parameter names; None for a parameter that AWS does not have."""
    if found := _AL2023.fullmatch(parameter):
        release = (
            f"amazon-eks-node-al2023-{found['arch']}-{found['variant']}-{found['kubernetes']}-{versions.AL2023_RELEASE}"
        )
        known = found["name"] in ("recommended", release) and (found["arch"], found["variant"]) != ("arm64", "neuron")
    elif found := _BOTTLEROCKET.fullmatch(parameter):
        known = found["release"] in ("latest", versions.BOTTLEROCKET_RELEASE.removeprefix("v"))
    else:
        return None
    if not known or found["kubernetes"] not in versions.EKS_STANDARD_SUPPORT_ENDS:
        return None
    return f"ami-{hashlib.sha256(parameter.encode()).hexdigest()[:17]}", _ARCHITECTURES[found["arch"]]


def parameters(kubernetes: str) -> list[str]:
    """The public parameters that exist for a Kubernetes version, with the pinned releases."""
    al2023 = [
        f"/aws/service/eks/optimized-ami/{kubernetes}/amazon-linux-2023/{arch}/{variant}/{name}/image_id"
        for arch in _ARCHITECTURES
        for variant in ("standard", "nvidia", "neuron")
        for name in ("recommended", f"amazon-eks-node-al2023-{arch}-{variant}-{kubernetes}-{versions.AL2023_RELEASE}")
    ]
    bottlerocket = [
        f"/aws/service/bottlerocket/aws-k8s-{kubernetes}{variant}/{arch}/{release}/image_id"
        for arch in _ARCHITECTURES
        for variant in ("", "-nvidia")
        for release in ("latest", versions.BOTTLEROCKET_RELEASE.removeprefix("v"))
    ]
    return [parameter for parameter in (*al2023, *bottlerocket) if image_of(parameter)]
