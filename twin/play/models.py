"""What the stack serves on request, as the twin runs it: pods that come from zero and go back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from config.schema import StackConfig
from config.services import services
from gpu.coldstart import StepName
from gpu.contract import GPU_RESOURCE, POOL_LABEL
from twin.plan import Model
from twin.play.knative_service import model_of, queue_proxy

KNATIVE_GROUP = "serving.knative.dev/"
NAMESPACE = "models"
_NOT_PLAYED: tuple[StepName, ...] = ("image", "weights", "load")


def models_of(manifests: Sequence[Mapping[str, Any]], config: StackConfig | None) -> tuple[Model, ...]:
    """The plan's Knative services; where the program has none, the stack file's models."""
    services = [m for m in manifests if m["kind"] == "Service" and m["apiVersion"].startswith(KNATIVE_GROUP)]
    sidecar = queue_proxy(next((m for m in manifests if m["kind"] == "KnativeServing"), {}))
    models = [model_of(service, sidecar) for service in services]
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
