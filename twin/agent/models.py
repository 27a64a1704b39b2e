"""Plays Knative's part for the models: a request brings a model from zero to one pod, silence brings it back.

The path is Knative's: a Deployment per model at zero, scaled up when somebody asks, and down when nobody has asked for
the stable window plus the retention period of the last pod. Traffic itself is not played.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from twin.kube import ApiError, Kube, Object
from twin.observe import Observed
from twin.plan import Model
from twin.stages import START_ANNOTATION

MODEL_LABEL = "gpu-slices/model"
#: When the last request ended, or will end, in seconds since 1970; `slices request` writes it.
REQUEST_ANNOTATION = "gpu-slices/last-request"
#: How long a model takes from a bound pod to its first answer here. Real ones pull images and weights: the plan's
#: cold-start budget says how long that takes.
_START = "3s"


class Models:
    """Keeps each model's Deployment at the right number of pods."""

    def __init__(self, kube: Kube, observed: Observed, models: Sequence[Model]) -> None:
        self._kube = kube
        self._observed = observed
        self._models = models

    def install(self) -> None:
        """Make the Deployments that are not there. The API server checks their pods against the namespace's level."""
        for model in self._models:
            with contextlib.suppress(ApiError):
                self._kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": model.namespace}})
            if self._kube.get("apps/v1", "Deployment", model.name, model.namespace) is None:
                self._kube.create(
                    {**deployment(model), "spec": {**deployment(model)["spec"], "replicas": model.minimum}}
                )
            else:
                self._kube.apply(deployment(model))

    def tick(self, now: float) -> None:
        """Scale. now: seconds since 1970."""
        for model in self._models:
            found = self._observed.get("Deployment", model.name, model.namespace)
            if found is None or MODEL_LABEL not in (found["metadata"].get("labels") or {}):
                continue
            wanted = max(model.minimum, 1 if now < busy_until(model, found) else 0)
            if found["spec"].get("replicas", 1) != wanted:
                with contextlib.suppress(ApiError):
                    self._kube.patch(found, {"spec": {"replicas": wanted}})


def busy_until(model: Model, found: Object) -> float:
    """When the model may go, in seconds since 1970; 0 when nobody has ever asked."""
    asked = float((found["metadata"].get("annotations") or {}).get(REQUEST_ANNOTATION, "0"))
    return asked + model.window + model.retention if asked else 0.0


def deployment(model: Model) -> Object:
    """The Deployment of a model, without its number of pods."""
    labels = {MODEL_LABEL: model.name}
    metadata = dict(model.template.get("metadata") or {})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": model.name, "namespace": model.namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": {**(metadata.get("labels") or {}), **labels},
                    "annotations": {START_ANNOTATION: _START, **(metadata.get("annotations") or {})},
                },
                "spec": dict(model.template["spec"]),
            },
        },
    }


def ask(kube: Kube, model: Model, until: float) -> None:
    """Send a request that ends at a time (seconds since 1970). Raises ApiError where the model is not installed."""
    body = {"metadata": {"annotations": {REQUEST_ANNOTATION: f"{until:.3f}"}}}
    about = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": model.name, "namespace": model.namespace},
    }
    kube.patch(about, body)
