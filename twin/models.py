"""The stack's models as the twin runs them: one pod each, from zero to one and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gpu.sharing import resource_name
from stacks.schema import StackConfig
from twin.plan import WINDOW_SECONDS, Model

KNATIVE_GROUP = "serving.knative.dev/"
NAMESPACE = "models"
POOL_LABEL = "gpu-slices/pool"
MODEL_LABEL = "gpu-slices/model"

_AUTOSCALING = "autoscaling.knative.dev/"


def models_of(manifests: Sequence[Mapping[str, Any]], config: StackConfig | None) -> tuple[Model, ...]:
    """The Knative services of the plan that take a GPU slot; where the program has none, the stack file's models."""
    services = [m for m in manifests if m["kind"] == "Service" and m["apiVersion"].startswith(KNATIVE_GROUP)]
    models = tuple(_from_service(service) for service in services if _takes_slot(service["spec"]["template"]["spec"]))
    return models or (_from_config(config) if config else ())


def _takes_slot(pod: Mapping[str, Any]) -> bool:
    return any(
        name.startswith("nvidia.com/")
        for container in pod["containers"]
        for name in ((container.get("resources") or {}).get("limits") or {})
    )


def _from_service(service: Mapping[str, Any]) -> Model:
    template = service["spec"]["template"]
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    metadata = service["metadata"]
    # What Knative adds to a revision does not belong into a pod.
    spec = {k: v for k, v in template["spec"].items() if k not in ("containerConcurrency", "timeoutSeconds")}
    spec = {k: v for k, v in spec.items() if k not in ("responseStartTimeoutSeconds", "idleTimeoutSeconds")}
    return Model(
        name=metadata["name"],
        namespace=metadata.get("namespace", "default"),
        template={"metadata": template.get("metadata") or {}, "spec": spec},
        window=_seconds(annotations.get(f"{_AUTOSCALING}window"), WINDOW_SECONDS),
        retention=_seconds(annotations.get(f"{_AUTOSCALING}scale-to-zero-pod-retention-period"), 0.0),
        minimum=int(annotations.get(f"{_AUTOSCALING}min-scale", "0")),
    )


def _from_config(config: StackConfig) -> tuple[Model, ...]:
    pools = {pool.name: pool for pool in config.pools}
    models = []
    for model in config.models:
        pool = pools[model.pool]
        slot = resource_name(pool.sharing.profile(), pool.ami)
        container = {
            "name": "ollama",
            "image": "ollama",
            "resources": {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {slot: "1"}},
        }
        spec = {
            "nodeSelector": {POOL_LABEL: pool.name},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "containers": [container],
        }
        models.append(Model(name=model.name, namespace=NAMESPACE, template={"metadata": {}, "spec": spec}))
    return tuple(models)


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(text: str | None, otherwise: float) -> float:
    """A Go duration such as `1m30s` in seconds."""
    parts = re.findall(r"([\d.]+)(ms|s|m|h)", text or "")
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else otherwise
