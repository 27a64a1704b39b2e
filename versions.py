"""Every version this project pins: charts, APIs, AMIs, images, EKS releases and add-ons.

One module, so that an upgrade is one reviewed change. Each entry names where the figure was read and when; none of
them is looked up at run time, because a plan that depends on the day it is made cannot be reviewed. How each is raised,
and what it replaces or restarts, is the table in docs/operations.md ("Upgrades", from `tools/upgrades.py`).

Pinned where they are used: the dialogue's base image (apps/dialogue/Dockerfile), what the twin builds
(twin/machine/build.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Final

VERSIONS_DATE: Final = date(2026, 11, 21)
"""The day the figures below were last read at their sources, where they name no other day."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A Helm chart at one version. `repo` is None for OCI charts, whose `chart` is the whole `oci://` address.

    images: values of the chart that name what its pods run: repositories without tag, by the value's path. They are the
    chart's own defaults, for a registry mirror; a test compares them with the charts.
    split: whether these values are maps of `registry` and `repository` instead.
    """

    chart: str
    version: str
    repo: str | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    split: bool = False


# --- Kubernetes on EKS ------------------------------------------------------------------------------------------------
# End of standard support by minor version. Source: the EKS release calendar as kept by endoflife.date/amazon-eks
# (copy of 2026-08-22). After that day a cluster costs six times as much per hour (extended support). 1.37 has node
# images since October 2026, and Karpenter 1.15 supports it; it is left out until its dates are known.
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

# What EKS itself installed by default on 2026-09-20 (1.34), 2026-10-02 (1.35) and 2026-09-24 (1.36), as `aws eks
# describe-addon-versions --kubernetes-version` said and public infrastructure repositories recorded, each figure in two
# of them at least. An add-on that names no version keeps the one of the day it was made, through every upgrade of the
# control plane: kube-proxy may be at most three minors older than the kubelet, so that one breaks in the end.
#
# vpc-cni 1.22.4 brings network policy agent 1.4.0: older ones let pods of one namespace pass for those of another
# (CVE-2026-86831). The monitoring agent is 1.7.2 (aws/eks-node-monitoring-agent, 2026-09-18): 1.7.0 and 1.7.1 condemn
# healthy H100 nodes for old NVLink errors (#261). It and Pod Identity's agent are built once for all minors; 1.7.2 was
# seen on 1.36 only. The EBS CSI driver is what repositories with these very versions pin beside them, on each minor
# (read 2026-11-29).
_SAME_ON_ALL: Final = {
    "vpc-cni": "v1.22.4-eksbuild.3",
    "eks-pod-identity-agent": "v1.3.10-eksbuild.3",
    "metrics-server": "v0.9.0-eksbuild.11",
    "eks-node-monitoring-agent": "v1.7.2-eksbuild.1",
    "aws-ebs-csi-driver": "v1.66.0-eksbuild.1",
    # Default on 1.36, as `describe-addon-versions` said; built once for all minors. Only with `monitoring.backend`.
    "amazon-cloudwatch-observability": "v6.6.0-eksbuild.1",
}
#: Versions of EKS add-ons by Kubernetes minor and name.
EKS_ADDON_VERSIONS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "1.34": {**_SAME_ON_ALL, "kube-proxy": "v1.34.6-eksbuild.29", "coredns": "v1.12.4-eksbuild.38"},
        "1.35": {**_SAME_ON_ALL, "kube-proxy": "v1.35.3-eksbuild.29", "coredns": "v1.13.2-eksbuild.31"},
        "1.36": {**_SAME_ON_ALL, "kube-proxy": "v1.36.0-eksbuild.25", "coredns": "v1.14.3-eksbuild.23"},
    }
)

# --- Karpenter --------------------------------------------------------------------------------------------------------
# Tag v1.15.0 of aws/karpenter-provider-aws (2026-10-10), on core 1.15.0; supports Kubernetes 1.36 since 1.13. Read on
# 2026-11-30, when 1.15.2 was the newest: it differs by its libraries and by metadata for claims of devices (DRA), and
# the core 1.15.1 that it asks for could not be had as a Go module.
KARPENTER_VERSION: Final = "1.15.0"
KARPENTER_CRD_CHART: Final = Chart(chart="oci://public.ecr.aws/karpenter/karpenter-crd", version=KARPENTER_VERSION)
KARPENTER_CHART: Final = Chart(
    chart="oci://public.ecr.aws/karpenter/karpenter",
    version=KARPENTER_VERSION,
    images={"controller.image.repository": "public.ecr.aws/karpenter/controller"},
)

NODE_POOL_API: Final = "karpenter.sh/v1"
NODE_OVERLAY_API: Final = "karpenter.sh/v1alpha1"
EC2_NODE_CLASS_API: Final = "karpenter.k8s.aws/v1"
CAPACITY_BUFFER_API: Final = "autoscaling.x-k8s.io/v1beta1"

# --- Node images ------------------------------------------------------------------------------------------------------
# Pinned, never "@latest": an alias that moves by itself makes Karpenter replace every node when AWS publishes an image.
# One alias serves plain, arm64 and NVIDIA instance types alike; Karpenter picks the variant.
#
# Release v20260930 of awslabs/amazon-eks-ami: the newest whose kubelets are known for every minor here, as node groups
# of that release report them (public infrastructure repositories, read 2026-11-29). Of v20261023, the newest that was
# seen, only 1.37's is known: its notes could not be read to the end.
AL2023_RELEASE: Final = "v20260930"
#: Kubernetes patch of the release's kubelet, by minor.
AL2023_KUBELETS: Final[Mapping[str, str]] = MappingProxyType({"1.34": "1.34.11", "1.35": "1.35.8", "1.36": "1.36.4"})
#: What a managed node group calls that release, by minor: EKS keeps the first one for ever where none is named.
SYSTEM_NODE_RELEASES: Final[Mapping[str, str]] = MappingProxyType(
    {minor: f"{kubelet}-{AL2023_RELEASE.removeprefix('v')}" for minor, kubelet in AL2023_KUBELETS.items()}
)
BOTTLEROCKET_RELEASE: Final = "v1.68.1"  # bottlerocket-os/bottlerocket release v1.68.1: Kubernetes 1.31 to 1.36
AMI_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "al2023": f"al2023@{AL2023_RELEASE}",
        "bottlerocket": f"bottlerocket@{BOTTLEROCKET_RELEASE}",
    }
)

# --- NVIDIA -----------------------------------------------------------------------------------------------------------
NVIDIA_DEVICE_PLUGIN_CHART: Final = Chart(
    chart="nvidia-device-plugin",
    version="0.20.0",
    repo="https://nvidia.github.io/k8s-device-plugin",
    images={"image.repository": "nvcr.io/nvidia/k8s-device-plugin"},
)  # NVIDIA/k8s-device-plugin v0.20.0 (2026-08-19)
GPU_OPERATOR_CHART: Final = Chart(
    chart="gpu-operator",
    version="v26.7.0",
    repo="https://helm.ngc.nvidia.com/nvidia",
    # Of the parts that run with our values (tag v26.7.0, deployments/gpu-operator/values.yaml). NVIDIA's are named by a
    # repository of several images.
    images={
        "operator.repository": "nvcr.io/nvidia",
        "validator.repository": "nvcr.io/nvidia",
        "driver.manager.repository": "nvcr.io/nvidia/cloud-native",
        "devicePlugin.repository": "nvcr.io/nvidia",
        "gfd.repository": "nvcr.io/nvidia",
        "node-feature-discovery.image.repository": "registry.k8s.io/nfd/node-feature-discovery",
    },
)  # NVIDIA/gpu-operator v26.7.0 (2026-08-20); it bundles device plugin v0.20.0

# kubernetes-sigs/dra-driver-nvidia-gpu v0.5.0 (2026-08-19), the first with the gate ConsumableShares. Chart and version
# as three public repositories pin them; values by its sources of 2026-08-07. Read 2026-11-30; the chart itself was not.
NVIDIA_DRA_DRIVER_CHART: Final = Chart(
    chart="oci://registry.k8s.io/dra-driver-nvidia/charts/dra-driver-nvidia-gpu",
    version="0.5.0",
    images={"image.repository": "registry.k8s.io/dra-driver-nvidia/dra-driver-nvidia-gpu"},
)

# --- Serving ----------------------------------------------------------------------------------------------------------
# Tag knative-v1.23.0 of knative/operator (2026-07-29), whose sources (Go module v0.50.0) bundle Serving and Kourier.
KNATIVE_OPERATOR_CHART: Final = Chart(
    chart="knative-operator",
    version="v1.23.0",
    repo="https://knative.github.io/operator",
    images={
        "knative_operator.knative_operator.image": "gcr.io/knative-releases/knative.dev/operator/cmd/operator",
        "knative_operator.operator_webhook.image": "gcr.io/knative-releases/knative.dev/operator/cmd/webhook",
    },
)
KNATIVE_SERVING_VERSION: Final = "1.23.0"
KNATIVE_MODULE_VERSION: Final = "v0.50.0"
KNATIVE_OPERATOR_API: Final = "operator.knative.dev/v1beta1"
KNATIVE_SERVING_API: Final = "serving.knative.dev/v1"

#: What Serving and Kourier run, by the operator's names for it: DEPLOYMENT/CONTAINER, and `queue-proxy`, which is in
#: every pod of a service. As in the operator's own manifests (module v0.50.0, cmd/operator/kodata), which a test reads.
#: Needed where a registry mirror takes their place; Kourier's gateway has an entry of its own below.
KNATIVE_IMAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        name: f"gcr.io/knative-releases/knative.dev/{image}@sha256:{digest}"
        for name, (image, digest) in {
            "activator/activator": (
                "serving/cmd/activator",
                "e5ab46f3b73fa2e3898fe47f6a3a0c2bd765596f4fb36ceb4c28c35d0a74b2e5",
            ),
            "autoscaler/autoscaler": (
                "serving/cmd/autoscaler",
                "879da127b23db65d862cafa6b23fb987381d0e44150f0027d44e1f5aee83bde2",
            ),
            "autoscaler-hpa/autoscaler-hpa": (
                "serving/cmd/autoscaler-hpa",
                "e2494132a71c23587ac8dd25bc5288f70261e592285487e1d19f8dea1f896133",
            ),
            "controller/controller": (
                "serving/cmd/controller",
                "ca5062ece0329d002a81940cf4268d7898866434d70049bb93f27d3a786d3292",
            ),
            "webhook/webhook": (
                "serving/cmd/webhook",
                "3846e9a416665c5b9ec2e4de246cfcb5c4ab0d01ba19348aa008caf30144b650",
            ),
            "storage-version-migration-serving-/migrate": (
                "pkg/apiextensions/storageversion/cmd/migrate",
                "2016f5ede9fb269c7cdf0085ff106844dfa36e42a4d768e0a2f51464928a0c2d",
            ),
            "cleanup-serving-/cleanup": (
                "serving/pkg/cleanup/cmd/cleanup",
                "78fbd3df14986cd4831a22e7c2703a3b4f58a6e93cacd6ffbf18b3c787af0c71",
            ),
            "net-kourier-controller/controller": (
                "net-kourier/cmd/kourier",
                "eedfe3938f1efa93230863099f96400a0567909d383a585021f8727fa3a6cf0b",
            ),
            "queue-proxy": ("serving/cmd/queue", "a3cc71ce80dbc6df8781f15eac2cf3531a4c9815271799afd8776bef9e6aeaf2"),
        }.items()
    }
)

# --- Monitoring by Prometheus -----------------------------------------------------------------------------------------
# prometheus-community/helm-charts of 2026-08-22: the operator is v0.93.1. Its definitions have a chart of their own,
# since Helm never upgrades those it finds beside a chart's templates.
PROMETHEUS_CRD_CHART: Final = Chart(
    chart="prometheus-operator-crds",
    version="31.0.1",
    repo="https://prometheus-community.github.io/helm-charts",
)
PROMETHEUS_API: Final = "monitoring.coreos.com/v1"
#: What the chart runs with our values, by the value that names it: its own tags, and their digests as at least two
#: public repositories have them (read 2026-11-30).
PROMETHEUS_IMAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "prometheusOperator.image": (
            "quay.io/prometheus-operator/prometheus-operator:v0.93.1"
            "@sha256:e52bb28fd41c98dd407c7a8cba8bdcfe7eabd7447e250afaf1fe7bb816dedbff"
        ),
        "prometheusOperator.prometheusConfigReloader.image": (
            "quay.io/prometheus-operator/prometheus-config-reloader:v0.93.1"
            "@sha256:428f088fe6fe07ab138bda92113664b04848a1dc408e4d3680a60ecdb55d1a65"
        ),
        "prometheus.prometheusSpec.image": (
            "quay.io/prometheus/prometheus:v3.14.0-distroless"
            "@sha256:50c707e96da5ade383cb1707790576480485e93de06aa60ad8802cb5f744bd0a"
        ),
        "alertmanager.alertmanagerSpec.image": (
            "quay.io/prometheus/alertmanager:v0.34.0"
            "@sha256:690c7b525f4367aa91f73e2f91c632206d32e97c6384bdbf2fb7a861b420340d"
        ),
        "kube-state-metrics.image": (
            "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0"
            "@sha256:42cfe3723a5f058171c627537fb57a3ea0f26e4380fa18555a95cb1a1b4cfc5b"
        ),
        "grafana.image": (
            "docker.io/grafana/grafana:13.2.0@sha256:3fd54ae1214669f8355f065ec9f6445d5279a3d77095ab048ca045685272429b"
        ),
    }
)
PROMETHEUS_CHART: Final = Chart(
    chart="kube-prometheus-stack",
    version="88.5.3",
    repo="https://prometheus-community.github.io/helm-charts",
    images={name: image.partition(":")[0] for name, image in PROMETHEUS_IMAGES.items()},
    split=True,
)
# NVIDIA/dcgm-exporter, chart and exporter 4.8.2 with DCGM 4.5.3 (2026-05-12). Digest: five public repositories.
DCGM_EXPORTER_IMAGE: Final = (
    "nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-distroless"
    "@sha256:60d3b00ac80b4ae77f94dae2f943685605585ad9e92fdccda3154d009ae317cc"
)
DCGM_EXPORTER_CHART: Final = Chart(
    chart="dcgm-exporter",
    version="4.8.2",
    repo="https://nvidia.github.io/dcgm-exporter/helm-charts",
    images={"image.repository": DCGM_EXPORTER_IMAGE.partition(":")[0]},
)

# --- Images -----------------------------------------------------------------------------------------------------------
# By the digest of the index of all platforms, which cannot move; the tag is for people. `make digests` asks the
# registries and writes what is new.
#
#: Kourier's own manifest says `v1.37-latest`, which moves. Digest: pgdad/envoy-go's docs/envoy-go/ENVOY_TARGET.md, with
#: the output of `docker pull` (2026-04-23), and a second repository's manifests.
KOURIER_GATEWAY_IMAGE: Final = (
    "docker.io/envoyproxy/envoy:v1.37.2@sha256:c5e8a68e52f4d4697a9adb280dbe415d77fedf1257e183dcb86205bd438f18bd"
)
# Newest release whose sources were read for our settings (tag v0.32.15, 2026-08-19); 0.34 exists since 2026-09-10. Must
# stay above 0.17.1, which fixes CVE-2026-7482, and at 0.30 or above: `LLAMA_ARG_FIT` is known since then. Digest: four
# public repositories that pin the same tag, one of them kept by Renovate (read 2026-11-29).
OLLAMA_VERSION: Final = "0.32.15"
OLLAMA_IMAGE: Final = (
    f"docker.io/ollama/ollama:{OLLAMA_VERSION}@sha256:57d60e686821ea81a7748a3ec8141308c8b8f95b27105713954abf7a6529e700"
)

#: Of the packing scheduler, by Kubernetes minor. Digests: two public repositories each that pin the same tag (read
#: 2026-11-30). 1.34 has none: it leaves standard support on 2026-12-02, and a newer one may not serve it.
KUBE_SCHEDULER_IMAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        minor: f"registry.k8s.io/kube-scheduler:v{patch}@sha256:{digest}"
        for minor, (patch, digest) in {
            "1.35": ("1.35.5", "c8e2abd96d0206ac5d863ac1f61f8bd0067e9b001ee5b1de768a68f1b9f187ff"),
            "1.36": ("1.36.2", "94dfc9f285718a06bb873947959b8514ed95dddaa7c74d765cc346fdfa684859"),
        }.items()
    }
)

# Digest: more than ten public repositories that pin the same tag (read 2026-11-29).
PAUSE_IMAGE: Final = (
    "registry.k8s.io/pause:3.10@sha256:ee6521f290b2168b6e0935a181d4cff9be1ac3f505666ef0e3c98fae8199917a"
)
# The job of the budget's soft brake: AWS' CLI asks, kubectl tells. Digests: three public repositories, two of which
# have it from Docker Hub, where AWS publishes the same index; and four that pin the same tag (read 2026-11-30). kubectl
# may be a minor older or newer than the API server; server-side apply, all that it does here, is the same since 1.22.
AWS_CLI_IMAGE: Final = (
    "public.ecr.aws/aws-cli/aws-cli:2.37.9@sha256:92de75724b6a746951f0e8b915d86bbccd7cb55aff96cd0cb4f7017272160780"
)
KUBECTL_IMAGE: Final = (
    "registry.k8s.io/kubectl:v1.36.2@sha256:b0d792e0d8dfb9bb1b922b78b23137e2a34bb6f9667640353a9d2aadd1fd7761"
)
CUDA_VECTOR_ADD_IMAGE: Final = "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0"

#: Images that are pinned by tag alone, each with the reason. A test holds that nothing else in a plan is.
TAG_NOT_DIGEST: Final[Mapping[str, str]] = MappingProxyType(
    {
        CUDA_VECTOR_ADD_IMAGE: (
            "no public source says which digest this tag has, and none of those in use says its tag; the job is made "
            "suspended and runs only when somebody starts it"
        ),
    }
)
