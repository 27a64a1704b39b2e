"""Every version this project pins: charts, APIs, AMIs, images and EKS releases.

One module, so that an upgrade is one reviewed change. Each entry names where the figure was read and when; none of
them is looked up at run time, because a plan that depends on the day it is made cannot be reviewed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

VERSIONS_DATE: Final = date(2026, 11, 21)
"""The day the figures below were last read at their sources."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A Helm chart at one version. `repo` is None for OCI charts, whose `chart` is the whole `oci://` address."""

    chart: str
    version: str
    repo: str | None = None


# --- Kubernetes on EKS ------------------------------------------------------------------------------------------------
# End of standard support by minor version. Source: the EKS release calendar as kept by endoflife.date/amazon-eks
# (copy of 2026-08-22). After that day a cluster costs six times as much per hour (extended support). 1.37 has node
# images since October 2026; it is left out until its dates and Karpenter's support for it are known.
EKS_STANDARD_SUPPORT_ENDS: Final[Mapping[str, date]] = MappingProxyType(
    {
        "1.30": date(2025, 7, 23),
        "1.31": date(2025, 11, 26),
        "1.32": date(2026, 3, 23),
        "1.33": date(2026, 7, 29),
        "1.34": date(2026, 12, 2),
        "1.35": date(2027, 3, 27),
        "1.36": date(2027, 8, 2),
    }
)
EKS_DEFAULT_VERSION: Final = "1.36"

# --- Karpenter --------------------------------------------------------------------------------------------------------
# Tag v1.14.1 of aws/karpenter-provider-aws (2026-08-20); supports Kubernetes 1.36 since 1.13.
KARPENTER_VERSION: Final = "1.14.1"
KARPENTER_CRD_CHART: Final = Chart(chart="oci://public.ecr.aws/karpenter/karpenter-crd", version=KARPENTER_VERSION)
KARPENTER_CHART: Final = Chart(chart="oci://public.ecr.aws/karpenter/karpenter", version=KARPENTER_VERSION)

NODE_POOL_API: Final = "karpenter.sh/v1"
NODE_OVERLAY_API: Final = "karpenter.sh/v1alpha1"
EC2_NODE_CLASS_API: Final = "karpenter.k8s.aws/v1"
CAPACITY_BUFFER_API: Final = "autoscaling.x-k8s.io/v1beta1"

# --- Node images ------------------------------------------------------------------------------------------------------
# Pinned, never "@latest": an alias that moves by itself makes Karpenter replace every node when AWS publishes an image.
# One alias serves plain, arm64 and NVIDIA instance types alike; Karpenter picks the variant.
AL2023_RELEASE: Final = "v20261023"  # awslabs/amazon-eks-ami release v20261023: Kubernetes 1.31 to 1.37
BOTTLEROCKET_RELEASE: Final = "v1.68.1"  # bottlerocket-os/bottlerocket release v1.68.1: Kubernetes 1.31 to 1.36
AMI_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "al2023": f"al2023@{AL2023_RELEASE}",
        "bottlerocket": f"bottlerocket@{BOTTLEROCKET_RELEASE}",
    }
)

# --- NVIDIA -----------------------------------------------------------------------------------------------------------
NVIDIA_DEVICE_PLUGIN_CHART: Final = Chart(
    chart="nvidia-device-plugin", version="0.20.0", repo="https://nvidia.github.io/k8s-device-plugin"
)  # NVIDIA/k8s-device-plugin v0.20.0 (2026-08-19)
GPU_OPERATOR_CHART: Final = Chart(
    chart="gpu-operator", version="v26.7.0", repo="https://helm.ngc.nvidia.com/nvidia"
)  # NVIDIA/gpu-operator v26.7.0 (2026-08-20); it bundles device plugin v0.20.0

# --- Serving ----------------------------------------------------------------------------------------------------------
# Tag knative-v1.23.0 of knative/operator (2026-07-29), whose sources (Go module v0.50.0) bundle Serving and Kourier.
KNATIVE_OPERATOR_CHART: Final = Chart(
    chart="knative-operator", version="v1.23.0", repo="https://knative.github.io/operator"
)
KNATIVE_SERVING_VERSION: Final = "1.23.0"
KNATIVE_MODULE_VERSION: Final = "v0.50.0"
KNATIVE_OPERATOR_API: Final = "operator.knative.dev/v1beta1"
KNATIVE_SERVING_API: Final = "serving.knative.dev/v1"
#: Kourier's own manifest says `v1.37-latest`, which moves.
KOURIER_GATEWAY_IMAGE: Final = "docker.io/envoyproxy/envoy:v1.37.2"
# Newest release whose sources were read for our settings (tag v0.32.15, 2026-08-19); 0.34 exists since 2026-09-10. Must
# stay above 0.17.1, which fixes CVE-2026-7482, and at 0.30 or above: `LLAMA_ARG_FIT` is known since then.
OLLAMA_VERSION: Final = "0.32.15"
OLLAMA_IMAGE: Final = f"docker.io/ollama/ollama:{OLLAMA_VERSION}"

# --- Images of our own workloads --------------------------------------------------------------------------------------
PAUSE_IMAGE: Final = "registry.k8s.io/pause:3.10"
CUDA_VECTOR_ADD_IMAGE: Final = "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0"
