"""Writes the tables of "Upgrades" in docs/operations.md: `python -m tools.upgrades`; `--check` only compares.

Each name of versions.py stands in one step, in the order in which an upgrade goes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import versions
from tools import fresh

ROOT: Final = Path(__file__).resolve().parents[1]
TARGET: Final = ROOT / "docs" / "operations.md"

_REGION: Final = re.compile(r"(<!-- begin upgrades[^>]*-->\n).*?(<!-- end upgrades -->)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is raised together.

    pins: names of versions.py. files: other files that pin, relative to the repository. now: what is pinned today.
    source: where newer ones are found. effect: what raising it replaces or restarts.
    """

    title: str
    pins: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    now: str
    source: str
    effect: str


def _tag(image: str) -> str:
    """An image as people read it: its last part and tag."""
    return image.partition("@")[0].rpartition("/")[2]


STEPS: Final[Sequence[Step]] = (
    Step(
        title="Kubernetes (`cluster.version`)",
        pins=("EKS_STANDARD_SUPPORT_ENDS", "EKS_DEFAULT_VERSION"),
        now=versions.EKS_DEFAULT_VERSION,
        source="EKS user guide, release calendar; `aws eks describe-cluster-versions --region us-east-1`",
        effect="The control plane, one minor at a time and never back. Steps 2 to 4 follow in the same `pulumi up`.",
    ),
    Step(
        title="EKS add-ons",
        pins=("EKS_ADDON_VERSIONS",),
        now="table below",
        source="`aws eks describe-addon-versions --region us-east-1 --kubernetes-version 1.36 --addon-name kube-proxy`",
        effect=(
            "Their pods, node by node. Connections stay while kube-proxy and the CNI restart; new pods of that node "
            "wait for seconds. Edits by hand are overwritten."
        ),
    ),
    Step(
        title="AL2023 nodes",
        pins=("AL2023_RELEASE", "AL2023_KUBELETS", "SYSTEM_NODE_RELEASES", "AMI_ALIASES"),
        now=versions.AL2023_RELEASE,
        source=(
            "releases of awslabs/amazon-eks-ami; `aws ssm get-parameter --region us-east-1 --name "
            "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/arm64/standard/recommended/release_version`"
        ),
        effect=(
            "System nodes one by one (EKS drains them; disruption budgets hold). Karpenter's by drift: one GPU node of "
            "a pool at a time. Its models load again on another node."
        ),
    ),
    Step(
        title="Bottlerocket nodes",
        pins=("BOTTLEROCKET_RELEASE",),
        now=versions.BOTTLEROCKET_RELEASE,
        source="releases of bottlerocket-os/bottlerocket",
        effect="Nodes of pools with `ami: bottlerocket`, by drift as above; make a pool's `snapshotId` anew first.",
    ),
    Step(
        title="Karpenter",
        pins=(
            "KARPENTER_VERSION",
            "KARPENTER_CRD_CHART",
            "KARPENTER_CHART",
            "NODE_POOL_API",
            "NODE_OVERLAY_API",
            "EC2_NODE_CLASS_API",
            "CAPACITY_BUFFER_API",
        ),
        files=("twin/machine/tools/karpenter/go.mod", "requirements/go.in"),
        now=versions.KARPENTER_VERSION,
        source="karpenter.sh, upgrade guide and compatibility matrix; then `make catalog` and `make test-parts`",
        effect=(
            "Definitions first, then the controller's two pods (the program sees to the order). Nodes stay, unless the "
            "guide says that all drift."
        ),
    ),
    Step(
        title="NVIDIA device plugin",
        pins=("NVIDIA_DEVICE_PLUGIN_CHART", "GPU_OPERATOR_CHART"),
        now=f"{versions.NVIDIA_DEVICE_PLUGIN_CHART.version}, or the operator {versions.GPU_OPERATOR_CHART.version}",
        source="releases of NVIDIA/k8s-device-plugin and NVIDIA/gpu-operator",
        effect=(
            "The plugin on every AL2023 GPU node. Where a pool uses MPS its daemon restarts too, and every process "
            "that shares such a GPU ends."
        ),
    ),
    Step(
        title="NVIDIA DRA driver",
        pins=("NVIDIA_DRA_DRIVER_CHART",),
        now=versions.NVIDIA_DRA_DRIVER_CHART.version,
        source="releases of kubernetes-sigs/dra-driver-nvidia-gpu; its gate and values are alpha and may change",
        effect="The driver on nodes of memory pools. What runs keeps its GPU; new pods wait until it is back.",
    ),
    Step(
        title="Knative",
        pins=(
            "KNATIVE_OPERATOR_CHART",
            "KNATIVE_SERVING_VERSION",
            "KNATIVE_MODULE_VERSION",
            "KNATIVE_OPERATOR_API",
            "KNATIVE_SERVING_API",
            "KNATIVE_IMAGES",
        ),
        now=f"operator {versions.KNATIVE_OPERATOR_CHART.version}, Serving {versions.KNATIVE_SERVING_VERSION}",
        source="releases of knative/operator; `go mod tidy` in tests/plan/knative_judge, which judges services",
        effect="The operator first, Serving in the next `pulumi up`, one minor at a time. Pods of models get a new "
        "sidecar: those that run start again.",
    ),
    Step(
        title="Gateway of the models",
        pins=("KOURIER_GATEWAY_IMAGE",),
        now=_tag(versions.KOURIER_GATEWAY_IMAGE),
        source="the minor that Kourier's manifest names; `make digests`",
        effect="The gateway's pods, one after the other; answers that flow through one end with it.",
    ),
    Step(
        title="Packing scheduler (`gpuSharing.scoringStrategy: MostAllocated`)",
        pins=("KUBE_SCHEDULER_IMAGES",),
        now=", ".join(_tag(image) for image in versions.KUBE_SCHEDULER_IMAGES.values()),
        source="releases of Kubernetes, a patch of each minor; `make digests`",
        effect="Its two pods, one after the other. What waits for a slot waits for seconds more.",
    ),
    Step(
        title="Ollama",
        pins=("OLLAMA_VERSION", "OLLAMA_IMAGE"),
        now=versions.OLLAMA_VERSION,
        source="releases of ollama/ollama; `make digests`",
        effect="A new revision of every model and new pods of the caches; each GPU node pulls the image again. `baked` "
        "weights are images of your own: build them anew.",
    ),
    Step(
        title="Prometheus (`monitoring.backend: prometheus`)",
        pins=("PROMETHEUS_CRD_CHART", "PROMETHEUS_CHART", "PROMETHEUS_API", "PROMETHEUS_IMAGES"),
        now=f"{versions.PROMETHEUS_CHART.version}, definitions {versions.PROMETHEUS_CRD_CHART.version}",
        source="releases of prometheus-community/helm-charts: both charts with the same operator, the images of the "
        "chart's values; `make digests`",
        effect="Prometheus, Alertmanager and Grafana: no alarm rings for a minute. The volume stays.",
    ),
    Step(
        title="DCGM exporter",
        pins=("DCGM_EXPORTER_CHART", "DCGM_EXPORTER_IMAGE"),
        now=versions.DCGM_EXPORTER_CHART.version,
        source="releases of NVIDIA/dcgm-exporter; `make digests`",
        effect="The exporter on every GPU node, one after the other.",
    ),
    Step(
        title="The soft brake's job (`budget.softBrake`)",
        pins=("AWS_CLI_IMAGE", "KUBECTL_IMAGE"),
        now=f"AWS CLI {_tag(versions.AWS_CLI_IMAGE)}, kubectl {_tag(versions.KUBECTL_IMAGE)}",
        source="releases of aws/aws-cli and Kubernetes; `make digests`",
        effect="Its next run. What it has said to Karpenter stays meanwhile.",
    ),
    Step(
        title="Other images",
        pins=("PAUSE_IMAGE", "CUDA_VECTOR_ADD_IMAGE", "TAG_NOT_DIGEST"),
        now=f"{_tag(versions.PAUSE_IMAGE)}, {_tag(versions.CUDA_VECTOR_ADD_IMAGE)}",
        source="`make digests`",
        effect="Pods that keep slots warm, and the examples.",
    ),
    Step(
        title="The dialogue's image",
        files=("apps/dialogue/Dockerfile", "apps/dialogue/requirements.in"),
        now="in the file",
        source="`make digests`; `make lock UPGRADE=1`",
        effect="Its tag is made from its files: it is built, pushed and rolled out. Conversations that run end.",
    ),
    Step(
        title="The classifier's image",
        files=(
            "apps/classifier/Dockerfile",
            *(f"apps/classifier/requirements{part}.in" for part in ("", "-gpu", "-train")),
        ),
        now="in the file",
        source="`make digests`; `make lock UPGRADE=1`",
        effect="Nothing by itself: whoever built it builds it again.",
    ),
    Step(
        title="Pulumi's SDKs and providers",
        files=("requirements.in",),
        now="in the file",
        source="`make lock UPGRADE=1`, then `pulumi preview`: nothing may be replaced",
        effect="Nothing by itself.",
    ),
)


def tables() -> str:
    """The steps in order, and the versions that hang on Kubernetes'."""
    lines = ["| | what | pinned | newer ones | what it replaces or restarts |", "|---|---|---|---|---|"]
    lines += [
        f"| {number} | {step.title}: {_where(step)} | {step.now} | {step.source} | {step.effect} |"
        for number, step in enumerate(STEPS, 1)
    ]
    return "\n".join([*lines, "", *_by_minor(), ""])


def _where(step: Step) -> str:
    return ", ".join(f"`{name}`" for name in (*step.pins, *step.files))


def _by_minor() -> Iterator[str]:
    minors = list(versions.EKS_ADDON_VERSIONS)
    yield f"| by Kubernetes version | {' | '.join(minors)} |"
    yield f"|---|{'---|' * len(minors)}"
    for addon in versions.EKS_ADDON_VERSIONS[versions.EKS_DEFAULT_VERSION]:
        yield f"| {addon} | {' | '.join(versions.EKS_ADDON_VERSIONS[minor][addon] for minor in minors)} |"
    yield f"| system nodes | {' | '.join(versions.SYSTEM_NODE_RELEASES[minor] for minor in minors)} |"


def unlisted() -> set[str]:
    """Names of versions.py that stand in no step, or in several. `VERSIONS_DATE` pins nothing."""
    listed = [pin for step in STEPS for pin in step.pins]
    pins = {name for name in vars(versions) if name.isupper() and not name.startswith("_")} - {"VERSIONS_DATE"}
    return {name for name in pins | set(listed) if listed.count(name) != 1 or name not in pins}


def main(arguments: Sequence[str]) -> int:
    """Write the tables, or with `--check` say whether they are fresh (exit status 1 if not)."""
    page = TARGET.read_text(encoding="utf-8")
    text = _REGION.sub(lambda found: f"{found[1]}\n{tables()}\n{found[2]}", page)
    return fresh.write(TARGET, text, arguments, "versions.py says: run python -m tools.upgrades")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
