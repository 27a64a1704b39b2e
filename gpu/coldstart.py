"""Cold-start budget: how long a model that sleeps takes to answer, step by step, each with where its figure is from.

Measured figures are other people's, on other days and sizes; estimates are ours and marked as such. They are there to
show which lever is worth pulling, not to promise seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, assert_never

from gpu.durations import seconds
from gpu.sharing import Ami
from gpu.weights import WEIGHTS, WeightsSource

Basis = Literal["measured", "estimate"]
StepName = Literal["node", "plugin", "mps", "image", "weights", "load"]

#: The Ollama image to download, in MB. No figure of 0.32 is public: copies of 0.11 had 1,700 (docker.io).
IMAGE_MB = 2000
#: What one download of weights gets from Ollama's registry, in MB/s.
REGISTRY_MB_PER_S = 100.0
#: Reading the NVMe disks of a g5 or g6 node, in MiB/s.
INSTANCE_STORE_MIB_PER_S = 500.0
#: Starting llama-server, its CUDA context and the first probe, in seconds, beside reading the weights.
ENGINE_SECONDS = 5.0
#: Starting a pod on a node that has everything, in seconds.
POD_SECONDS = 3.0
#: Longest that a request waits for the first byte of its answer, in seconds: Knative's responseStartTimeoutSeconds.
FIRST_BYTE_SECONDS: Final = 900
#: EBS loads a new volume's blocks from the snapshot when they are first read, at about this many MiB/s without a rate.
LAZY_SNAPSHOT_MIB_PER_S = 50.0

#: The device plugin looks once for MPS' control daemon, and again every 30 s (k8s-device-plugin v0.20.0,
#: cmd/nvidia-device-plugin/main.go). The daemon's pod has a container more to run before it, so the first look loses.
MPS_RETRY_SECONDS = 30.0

_BLUEPRINT, _WHERE = "as 9.35 GB", "karpenter-blueprints"
_NODE: Mapping[Ami, tuple[float, str]] = {
    "al2023": (37.0, "g4dn.xlarge, AL2023, May 2026 (eks-gpu-inference-autoscaling)"),
    "bottlerocket": (30.0, "Bottlerocket until it is initialised (akingscote.co.uk)"),
}
_PLUGIN: Mapping[Ami, tuple[float, str]] = {
    "al2023": (15.0, "pull and registration of the device plugin"),
    "bottlerocket": (3.0, "the device plugin is a service of the host"),
}
#: Of pools whose pods claim memory, which are of AL2023 alone and keep nothing warm.
_DRIVER = (15.0, "pull and registration of NVIDIA's DRA driver")
#: MB/s of pulling and unpacking an image.
_PULL: Mapping[tuple[Ami, bool], tuple[float, str]] = {
    ("al2023", False): (9350 / 130.8, f"{_BLUEPRINT} in 130.8 s by containerd ({_WHERE})"),
    ("al2023", True): (9350 / 39.6, f"{_BLUEPRINT} in 39.6 s by SOCI ({_WHERE})"),
    ("bottlerocket", False): (9350 / 130.8, f"{_BLUEPRINT} in 130.8 s by containerd on AL2023 ({_WHERE})"),
    ("bottlerocket", True): (9350 / 23.2, f"{_BLUEPRINT} in 23.2 s by SOCI ({_WHERE})"),
}


def life_problem(expire_after: str) -> str | None:
    """What is wrong with the age at which a pool's nodes are replaced, such as `336h`; None where nothing is.

    It counts from the instance's launch: nodes need most of a minute of it to start, and what a request may wait for,
    as long as it waits, must not end before it has answered once.
    """
    if expire_after == "Never" or seconds(expire_after) >= FIRST_BYTE_SECONDS:
        return None
    return (
        f"must be {FIRST_BYTE_SECONDS // 60}m or more: it counts from the launch, and what takes minutes to start on a "
        "node would end before it works; write Never for no end"
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a cold start. lever: keys of the pool or the model, in the stack file, that change it."""

    name: StepName
    seconds: float
    basis: Basis
    source: str
    lever: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStart:
    """How a pool's nodes start. Rates in MiB/s.

    volume_mib_per_s: throughput of the volume that holds images and weights, unless the node uses its own disks.
    snapshot: whether that volume is made from a snapshot with image and weights on it; `snapshot_mib_per_s` is the rate
    at which EBS fills it in advance, None for on demand.
    mps: whether slots wait for MPS' control daemon.
    warm: whether a node with a free slot is kept. static: whether its nodes always stand. claims: whether pods claim
    memory, by the DRA driver.
    """

    ami: Ami
    mps: bool = False
    fast_image_pull: bool = False
    volume_mib_per_s: int = 250
    instance_store: bool = False
    snapshot: bool = False
    snapshot_mib_per_s: int | None = None
    warm: bool = False
    static: bool = False
    claims: bool = False

    @property
    def read_mib_per_s(self) -> float:
        """How fast the node reads weights."""
        if self.instance_store:
            return INSTANCE_STORE_MIB_PER_S
        if self.snapshot:
            return min(float(self.snapshot_mib_per_s or LAZY_SNAPSHOT_MIB_PER_S), self.volume_mib_per_s)
        return float(self.volume_mib_per_s)


@dataclass(frozen=True, slots=True)
class ColdStart:
    """The steps of one model, in their order.

    warm_seconds: from a request to a model that can answer, on a node that has a free slot, the image and the weights.
    """

    steps: Sequence[Step]
    warm_seconds: float

    @property
    def seconds(self) -> float:
        """From a request to a model that can answer."""
        return sum(step.seconds for step in self.steps)

    def of(self, *names: StepName) -> float:
        """Seconds of some steps together."""
        return sum(step.seconds for step in self.steps if step.name in names)


def cold_start(start: NodeStart, source: WeightsSource, weights_mib: int) -> ColdStart:
    """The budget of a model with so many MiB of weights (of all its models, where a server has several)."""
    steps = (*_node(start), _image(start, source, weights_mib), *_weights(start, source, weights_mib))
    # What was read once is on the volume, wherever it came from.
    rate = INSTANCE_STORE_MIB_PER_S if start.instance_store else start.volume_mib_per_s
    return ColdStart(steps, POD_SECONDS + weights_mib / rate + ENGINE_SECONDS)


def _node(start: NodeStart) -> tuple[Step, ...]:
    names: tuple[StepName, ...] = ("node", "plugin", "mps") if start.mps else ("node", "plugin")
    if start.static:
        return tuple(Step(name, 0.0, "estimate", "nodes always stand", "static") for name in names)
    if start.warm:
        return tuple(Step(name, 0.0, "estimate", "a node with a free slot is kept", "warm") for name in names)
    seconds, source = _NODE[start.ami]
    plugin_seconds, plugin_source = _DRIVER if start.claims else _PLUGIN[start.ami]
    lever = "minScale" if start.claims else "warm, ami"
    daemon = "the device plugin looks for MPS' daemon, misses it, and looks again"
    steps = {
        "node": Step("node", seconds, "measured", source, lever),
        "plugin": Step("plugin", plugin_seconds, "estimate", plugin_source, lever),
        "mps": Step("mps", MPS_RETRY_SECONDS, "estimate", daemon, "warm, sharing"),
    }
    return tuple(steps[name] for name in names)


def _image(start: NodeStart, source: WeightsSource, weights_mib: int) -> Step:
    lever = "fastImagePull, volume"
    if start.snapshot:
        return Step("image", 0.0, "estimate", "on the volume's snapshot", lever)
    rate, measured = _PULL[start.ami, start.fast_image_pull]
    size = IMAGE_MB + (0 if WEIGHTS[source].mounted else _mb(weights_mib))
    return Step("image", size / rate, "estimate", f"{IMAGE_MB} MB, a guess, at {rate:.0f} MB/s: {measured}", lever)


def _weights(start: NodeStart, source: WeightsSource, weights_mib: int) -> tuple[Step, Step]:
    seconds, text = _fetched(start, source, weights_mib)
    rate = start.read_mib_per_s
    return (
        Step("weights", seconds, "estimate", text, "weights, volume.snapshotId"),
        Step(
            "load",
            weights_mib / rate + ENGINE_SECONDS,
            "estimate",
            f"at {rate:.0f} MiB/s from the node's disk, and {ENGINE_SECONDS:.0f} s for the engine",
            "volume.throughputMibps, instanceStore",
        ),
    )


def _fetched(start: NodeStart, source: WeightsSource, weights_mib: int) -> tuple[float, str]:
    """Seconds until weights are on the node, and where they come from."""
    if source == "baked":
        return 0.0, "in the image"
    if start.snapshot:
        return 0.0, "on the volume's snapshot"
    match source:
        case "image":
            rate, measured = _PULL[start.ami, start.fast_image_pull]
            return _mb(weights_mib) / rate, f"at {rate:.0f} MB/s as an image: {measured}"
        case "node-cache":
            # The disk takes what the network brings.
            rate = min(REGISTRY_MB_PER_S, _mb(start.read_mib_per_s))
            return _mb(weights_mib) / rate, f"first time on a node, at {rate:.0f} MB/s from Ollama's registry"
        case _:
            assert_never(source)


def _mb(mib: float) -> float:
    return mib * 2**20 / 1e6
