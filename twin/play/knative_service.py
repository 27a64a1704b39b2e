"""A Knative service as the twin runs it. Nothing here loads a stack file: the twin's processes read services."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gpu.contract import (
    CLAIM_LABEL,
    MIN_SCALE_ANNOTATION,
    NVIDIA_PREFIX,
    RETENTION_ANNOTATION,
    WINDOW_ANNOTATION,
)
from gpu.pods import QUEUE_PROXY
from twin.plan import HARDENED_CONTAINER, HARDENED_POD, WINDOW_SECONDS, Model

#: What belongs to a revision and not to a pod.
_REVISION_ONLY = ("containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds")
#: Request of the sidecar that Knative puts beside each container (config-deployment: queue-sidecar-cpu-request).
_QUEUE_PROXY_CPU = "25m"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def slot_of(pod: Mapping[str, Any]) -> str:
    """Resource that a pod requests for its slot; empty for a pod without."""
    for container in pod["containers"]:
        for name in (container.get("resources") or {}).get("limits") or {}:
            if name.startswith(NVIDIA_PREFIX):
                return str(name)
    return ""


def model_of(service: Mapping[str, Any], sidecar: Mapping[str, Any]) -> Model:
    """A Knative service as something that is served. sidecar: the container that Knative puts beside its own."""
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


def queue_proxy(serving: Mapping[str, Any]) -> Mapping[str, Any]:
    """Knative's sidecar with the requests of a KnativeServing: it takes its share of a node too. {}: there is none."""
    config = ((serving.get("spec") or {}).get("config") or {}).get("deployment") or {}
    requests = {"cpu": config.get("queue-sidecar-cpu-request", _QUEUE_PROXY_CPU)}
    if "queue-sidecar-memory-request" in config:
        requests["memory"] = config["queue-sidecar-memory-request"]
    return {
        "name": QUEUE_PROXY,
        "image": QUEUE_PROXY,
        "resources": {"requests": requests},
        "securityContext": {**HARDENED_CONTAINER, **HARDENED_POD},
    }


def seconds(text: str | None, otherwise: float) -> float:
    """A Go duration such as `1m30s` in seconds."""
    parts = re.findall(r"([\d.]+)(ms|s|m|h)", text or "")
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else otherwise
