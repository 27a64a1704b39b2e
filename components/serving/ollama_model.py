"""OllamaModel: a Knative service that serves one model, or several in one server, from one slot.

It sleeps until the first request, and is ready only when its weights lie in the GPU's memory, all of them: Ollama would
rather compute the rest on the CPU and answer, slowly and with status 200 (ollama/ollama#14461). Settings were read in
Ollama 0.32.15: envconfig/config.go, llm/llama_server.go, server/routes.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

import pulumi

import versions
from components.arguments import Arguments
from components.disruption_budget import one_at_a_time
from components.options import child_options
from components.pods import NO_GPU, restricted_container, restricted_pod, tolerations
from components.quantities import canonical
from components.sdk import k8s
from components.serving.knative_config import REQUEST_SECONDS, Feature
from components.serving.model_cache import CACHE_CLAIM, CACHE_HOST
from components.serving.model_space import NAMESPACE, script_name
from gpu.coldstart import FIRST_BYTE_SECONDS
from gpu.contract import (
    CLAIM_LABEL,
    MAX_SCALE_ANNOTATION,
    MEMORY_ANNOTATION,
    MIN_SCALE_ANNOTATION,
    MODEL_ANNOTATION,
    MODEL_LABEL,
    POOL_LABEL,
    RETENTION_ANNOTATION,
    VISIBILITY_LABEL,
    WEIGHTS_LABEL,
)
from gpu.host_share import QUEUE_PROXY_ASKS, HostShare, server_asks
from gpu.importance import Placing
from gpu.models import KvCacheType
from gpu.naming import check_name
from gpu.pods import GPU_USER
from gpu.pool import Taint
from gpu.sharing import MPS_MEMORY, MPS_THREADS
from gpu.weights import WEIGHTS, WeightsSource

PORT = 11434
WEIGHTS_PATH = "/models"

_SCRIPT = ["/bin/bash", "/opt/gpu-slices/model.sh"]


@dataclass(frozen=True, kw_only=True)
class Weights(Arguments):
    """Where the weights come from.

    node-cache: Ollama's registry, once for each node. image: an OCI image whose files are Ollama's `blobs` and
    `manifests`, mounted as a volume. baked: an image of Ollama with the same files in `/models`.
    image: for the latter two, with a digest.
    """

    source: WeightsSource = "node-cache"
    image: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError unless an image is named exactly where one is needed."""
        super().__post_init__()
        if WEIGHTS[self.source].from_image != bool(self.image):
            raise ValueError(f"weights from {self.source}: {'no image' if self.image else 'an image'} is needed")

    @property
    def features(self) -> set[Feature]:
        """Feature flags of Knative's that pods with such weights need."""
        match self.source:
            case "node-cache":
                return {"init-containers", "persistent-volume-claim"}
            case "image":
                return {"volumes-image"}
            case "baked":
                return set()
            case _:
                assert_never(self.source)


@dataclass(frozen=True, kw_only=True)
class ServedModel(Arguments):
    """A model. name: Ollama's, with tag, such as `mistral:7b`. digest: sha256 of its manifest; None for any."""

    name: str
    digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class MpsClient:
    """An MPS client's own limits: memory in MiB, threads in percent of the GPU. The daemon's, where lower, win."""

    memory_mib: int | None = None
    threads_percent: int | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables that CUDA reads when the client starts (docs.nvidia.com/deploy/mps, environment variables).

        A container with one slot sees one device, so it has the ordinal 0.
        """
        found = {}
        if self.memory_mib:
            found[MPS_MEMORY] = f"0={self.memory_mib}M"
        if self.threads_percent:
            found[MPS_THREADS] = str(self.threads_percent)
        return found


@dataclass(frozen=True, kw_only=True)
class OllamaModelArgs(Arguments):
    """Inputs of `OllamaModel`.

    service: name of the Knative service.
    models: one, or those of a shared server. They share context_length (tokens), parallel and kv_cache_type.
    resource_name: what one slot of the pool is called. claim_mib: MiB of a GPU that a pod claims in place of a slot, on
    a memory pool (`ModelClaims`); `ModelSpace` has the template of that size.
    promised_mib: MiB of a GPU that the slot or claim promises. A pod in which Ollama has loaded more is restarted, and
    says so; None does not look.
    share: what a slot or claim may take of its node; the pod requests no more than that.
    taints: of the pool's nodes, beside that of GPU nodes.
    weights_mib: of all models together.
    memory_mib: GPU memory that they need; None where policies can find it by the models' names.
    mps: limits of its own on a slot of an MPS pool.
    scheduler: name of the scheduler that places the pods; None is the default one.
    placing: what the pods get of the models' importance; with a class Knative needs its flag `priorityclassname`.
    idle: how long the last pod stays when nobody asks any more, beside Knative's window of a minute.
    """

    service: str
    models: Sequence[ServedModel]
    pool: str
    resource_name: str
    claim_mib: int | None = None
    promised_mib: int | None = None
    share: HostShare
    taints: Sequence[Taint] = ()
    weights_mib: int
    memory_mib: int | None = None
    context_length: int = 4096
    parallel: int = 1
    kv_cache_type: KvCacheType = "f16"
    weights: Weights = Weights()
    mps: MpsClient = MpsClient()
    min_scale: int = 0
    max_scale: int = 2
    idle: str = "5m"
    scheduler: str | None = None
    placing: Placing = field(default_factory=Placing)

    @property
    def url(self) -> str:
        """Where pods in the cluster reach it."""
        return model_url(self.service)

    def __post_init__(self) -> None:
        """Raise ValueError for names that a Knative service cannot have, and for a server of no model."""
        super().__post_init__()
        check_name("OllamaModelArgs.service", self.service)
        if not self.models or self.weights_mib < 1:
            raise ValueError(f"model {self.service}: models must name at least one, and weights_mib its size")


def model_url(service: str) -> str:
    """Where pods in the cluster reach a model."""
    return f"http://{service}.{NAMESPACE}.svc.cluster.local"


class OllamaModel(pulumi.ComponentResource):
    """One Knative service. Needs a Kubernetes provider.

    Let it depend on what it needs and the same program makes: Knative, `ModelSpace.ready`, the pool.
    """

    url: str

    def __init__(self, name: str, args: OllamaModelArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:OllamaModel", name, None, opts)
        self.url = args.url
        if args.placing.one_at_a_time:
            labels = {MODEL_LABEL: args.service}
            one_at_a_time(f"{name}-budget", args.service, NAMESPACE, labels, child_options(self, opts))
        k8s.apiextensions.CustomResource(
            name,
            api_version=versions.KNATIVE_SERVING_API,
            kind="Service",
            metadata=_metadata(args),
            spec={"template": _template(args)},
            opts=child_options(self, opts),
        )
        self.register_outputs({"url": self.url})


def _metadata(args: OllamaModelArgs) -> dict[str, Any]:
    # A model that sleeps is ready without a pod. One that does not needs a GPU node, and Spot may make it wait.
    wait = {"pulumi.com/waitFor": "condition=Ready"} if args.min_scale == 0 else {"pulumi.com/skipAwait": "true"}
    return {
        "name": args.service,
        "namespace": NAMESPACE,
        "labels": {VISIBILITY_LABEL: "cluster-local", POOL_LABEL: args.pool},
        "annotations": wait,
    }


def _template(args: OllamaModelArgs) -> dict[str, Any]:
    annotations = {
        MIN_SCALE_ANNOTATION: str(args.min_scale),
        MAX_SCALE_ANNOTATION: str(args.max_scale),
        RETENTION_ANNOTATION: args.idle,
        MODEL_ANNOTATION: ",".join(model.name for model in args.models),
    }
    if args.memory_mib is not None:
        annotations[MEMORY_ANNOTATION] = str(args.memory_mib)
    cached = WEIGHTS[args.weights.source].cached
    return {
        "metadata": {
            "labels": {
                MODEL_LABEL: args.service,
                WEIGHTS_LABEL: args.weights.source,
                **_claim(args),
                **args.placing.labels,
            },
            "annotations": {**annotations, **args.placing.annotations},
        },
        "spec": {
            **restricted_pod(GPU_USER),
            "containerConcurrency": args.parallel,
            "timeoutSeconds": REQUEST_SECONDS,
            "responseStartTimeoutSeconds": FIRST_BYTE_SECONDS,
            "nodeSelector": {POOL_LABEL: args.pool, **args.placing.node_selector},
            "tolerations": tolerations(args.taints),
            **({"priorityClassName": args.placing.priority_class} if args.placing.priority_class else {}),
            **({"schedulerName": args.scheduler} if args.scheduler else {}),
            **({"initContainers": [_fetch(args)]} if cached else {}),
            "containers": [_serve(args)],
            "volumes": _volumes(args.weights),
        },
    }


def _claim(args: OllamaModelArgs) -> dict[str, str]:
    """Label by which a policy gives the pod its claim."""
    return {CLAIM_LABEL: str(args.claim_mib)} if args.claim_mib else {}


def _volumes(weights: Weights) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [
        # Ollama makes itself a key below HOME, the CUDA driver keeps compiled kernels there.
        {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "script", "configMap": {"name": script_name()}},
    ]
    match weights.source:
        case "node-cache":
            claim = {"claimName": CACHE_CLAIM, "readOnly": True}
            volumes.append({"name": "weights", "persistentVolumeClaim": claim})
        case "image":
            volumes.append({"name": "weights", "image": {"reference": weights.image, "pullPolicy": "IfNotPresent"}})
        case "baked":
            pass
        case _:
            assert_never(weights.source)
    return volumes


def _mounts(weights: Weights) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [
        {"name": "scratch", "mountPath": "/tmp"},
        {"name": "script", "mountPath": "/opt/gpu-slices", "readOnly": True},
    ]
    if WEIGHTS[weights.source].mounted:
        mounts.append({"name": "weights", "mountPath": WEIGHTS_PATH, "readOnly": True})
    return mounts


def _fetch(args: OllamaModelArgs) -> dict[str, Any]:
    container = restricted_container("weights", versions.OLLAMA_IMAGE, {"cpu": "50m", "memory": "64Mi"})
    # Ollama's image asks for every GPU of the node; this container has none.
    environment = {**_environment(args), "CACHE": CACHE_HOST, "PULLED_BY": versions.OLLAMA_VERSION}
    return container | {
        "command": [*_SCRIPT, "fetch"],
        "env": [*_env(environment), dict(NO_GPU)],
        "volumeMounts": _mounts(args.weights),
    }


def _serve(args: OllamaModelArgs) -> dict[str, Any]:
    image = versions.OLLAMA_IMAGE
    if args.weights.image and not WEIGHTS[args.weights.source].mounted:
        image = args.weights.image
    cpu, memory = _requests(args)
    slot = {} if args.claim_mib else {args.resource_name: "1"}
    container = restricted_container("ollama", image, {"memory": memory, **slot})
    # Reading weights takes more processors than answering; without a limit a start may have what is free.
    container["resources"]["requests"]["cpu"] = cpu
    ready = {"exec": {"command": [*_SCRIPT, "ready"]}, "timeoutSeconds": 5}
    return container | {
        "command": [*_SCRIPT, "serve"],
        "env": _env({**_environment(args), **_server_environment(args)}),
        "ports": [{"name": "http1", "containerPort": PORT}],
        "volumeMounts": _mounts(args.weights),
        # As long as it loads; it ends by itself if it cannot.
        "startupProbe": {**ready, "periodSeconds": 1, "failureThreshold": REQUEST_SECONDS},
        "readinessProbe": {**ready, "periodSeconds": 5, "failureThreshold": 1, "successThreshold": 1},
        # Not whether the models are loaded: the script loads them again, which may take minutes, and ends if it cannot.
        "livenessProbe": {
            "exec": {"command": [*_SCRIPT, "alive"]},
            "timeoutSeconds": 5,
            "periodSeconds": 15,
            "failureThreshold": 4,
        },
    }


def _requests(args: OllamaModelArgs) -> tuple[str, str]:
    """CPU and memory: what the pod asks for, without Knative's own container."""
    pod = server_asks(args.share, args.weights_mib)
    cpu, memory = pod.cpu_millis - QUEUE_PROXY_ASKS.cpu_millis, pod.memory_mib - QUEUE_PROXY_ASKS.memory_mib
    return canonical(f"{cpu}m"), canonical(f"{memory}Mi")


def _environment(args: OllamaModelArgs) -> dict[str, str]:
    environment = {
        "MODELS": " ".join(model.name for model in args.models),
        "OLLAMA_MODELS": WEIGHTS_PATH,
        "HOME": "/tmp",
    }
    if any(model.digest for model in args.models):
        environment["DIGESTS"] = " ".join(model.digest or "-" for model in args.models)
    return environment


def _server_environment(args: OllamaModelArgs) -> dict[str, str]:
    environment = {
        # Ollama would choose one by the memory of the whole card, of which a slot is a part.
        "OLLAMA_CONTEXT_LENGTH": str(args.context_length),
        "OLLAMA_NUM_PARALLEL": str(args.parallel),
        "OLLAMA_MAX_LOADED_MODELS": str(len(args.models)),
        "OLLAMA_KV_CACHE_TYPE": args.kv_cache_type,
        # As long as the pod lives: Knative decides when the GPU is given back.
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_LOAD_TIMEOUT": "15m",
        "OLLAMA_NO_CLOUD": "1",
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_VULKAN": "0",
        # llama.cpp would put on the CPU what does not fit, whatever a request asks for.
        "LLAMA_ARG_FIT": "off",
    }
    if args.promised_mib:
        environment["PROMISED_MIB"] = str(args.promised_mib)
    if args.kv_cache_type != "f16":
        environment["OLLAMA_FLASH_ATTENTION"] = "1"
    return environment | args.mps.environment


def _env(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in sorted(values.items())]
