"""What the stack serves on request, as the twin runs it: pods that come from zero and go back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from config.schema import StackConfig
from config.services import services
from gpu.coldstart import StepName
from gpu.contract import (
    CLAIM_LABEL,
    GPU_RESOURCE,
    MIN_SCALE_ANNOTATION,
    NVIDIA_PREFIX,
    POOL_LABEL,
    RETENTION_ANNOTATION,
    WINDOW_ANNOTATION,
)
from twin.plan import HARDENED_CONTAINER, HARDENED_POD, WINDOW_SECONDS, Model

KNATIVE_GROUP = "serving.knative.dev/"
NAMESPACE = "models"
_NOT_PLAYED: tuple[StepName, ...] = ("image", "weights", "load")

#: What belongs to a revision and not to a pod.
_REVISION_ONLY = ("containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds")
#: Request of the sidecar that Knative puts beside each container (config-deployment: queue-sidecar-cpu-request).
_QUEUE_PROXY_CPU = "25m"


def models_of(manifests: Sequence[Mapping[str, Any]], config: StackConfig | None) -> tuple[Model, ...]:
    """The plan's Knative services; where the program has none, the stack file's models."""
    services = [m for m in manifests if m["kind"] == "Service" and m["apiVersion"].startswith(KNATIVE_GROUP)]
    sidecar = _queue_proxy(manifests)
    models = [_from_service(service, sidecar) for service in services]
    # Models first: they are what people ask for.
    found = tuple(sorted(models, key=lambda m: not m.wants_gpu)) or (_from_config(config) if config else ())
    left_out = _not_played(config) if config else {}
    return tuple(replace(model, not_played=left_out.get(model.name, {})) for model in found)


def _not_played(config: StackConfig) -> Mapping[str, Mapping[str, float]]:
    """Steps of the plan's cold start that have no part here, by service: nothing is pulled or loaded."""
    pools = {pool.name: pool for pool in config.pools}
    return {
        service.name: {
            step.name: step.seconds
            for step in service.cold_start(pools[service.first.pool]).steps
            if step.name in _NOT_PLAYED and step.seconds
        }
        for service in services(config, dict.fromkeys(pools, 1))
    }


def slot_of(pod: Mapping[str, Any]) -> str:
    """Resource that a pod requests for its slot; empty for a pod without."""
    for container in pod["containers"]:
        for name in (container.get("resources") or {}).get("limits") or {}:
            if name.startswith(NVIDIA_PREFIX):
                return str(name)
    return ""


def _from_service(service: Mapping[str, Any], sidecar: Mapping[str, Any]) -> Model:
    template, metadata = service["spec"]["template"], service["metadata"]
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    spec = {key: value for key, value in template["spec"].items() if key not in _REVISION_ONLY}
    slot = slot_of(spec)
    return Model(
        name=metadata["name"],
        namespace=metadata.get("namespace", "default"),
        template={
            "metadata": template.get("metadata") or {},
            "spec": {**spec, "containers": [*spec["containers"], dict(sidecar)]},
        },
        window=seconds(annotations.get(WINDOW_ANNOTATION), WINDOW_SECONDS),
        retention=seconds(annotations.get(RETENTION_ANNOTATION), 0.0),
        minimum=int(annotations.get(MIN_SCALE_ANNOTATION, "0")),
        slot=slot,
        claim_mib=int(((template.get("metadata") or {}).get("labels") or {}).get(CLAIM_LABEL, "0")),
    )


def _queue_proxy(manifests: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Knative's sidecar with the requests of the plan's KnativeServing: it takes its share of a node too."""
    serving = next((m for m in manifests if m["kind"] == "KnativeServing"), {})
    config = ((serving.get("spec") or {}).get("config") or {}).get("deployment") or {}
    requests = {"cpu": config.get("queue-sidecar-cpu-request", _QUEUE_PROXY_CPU)}
    if "queue-sidecar-memory-request" in config:
        requests["memory"] = config["queue-sidecar-memory-request"]
    return {
        "name": "queue-proxy",
        "image": "queue-proxy",
        "resources": {"requests": requests},
        "securityContext": {**HARDENED_CONTAINER, **HARDENED_POD},
    }


def _from_config(config: StackConfig) -> tuple[Model, ...]:
    models = []
    for model in config.models:
        pool = config.gpu_pools[model.pool]
        slot = pool.resource
        container = {
            "name": "ollama",
            "image": "ollama",
            "resources": {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {slot: "1"}},
        }
        spec = {
            "nodeSelector": {POOL_LABEL: pool.name},
            "tolerations": [{"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}],
            "containers": [container],
        }
        template = {"metadata": {}, "spec": spec}
        models.append(Model(name=model.name, namespace=NAMESPACE, template=template, knative=False, slot=slot))
    return tuple(models)


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str | None, otherwise: float) -> float:
    """A Go duration such as `1m30s` in seconds."""
    parts = re.findall(r"([\d.]+)(ms|s|m|h)", text or "")
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else otherwise
