"""Plays Knative: its operator, its controllers, its autoscaler. Traffic itself is not played.

A service becomes a Deployment at zero. A request scales it to one pod; when nobody has asked for the stable window plus
the retention period of the last pod, it goes back. Knative's own pods stand on the system nodes with the requests that
the plan gives them.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpu.contract import IDLE_ANNOTATION, NAME_LABEL, REQUEST_ANNOTATION, SERVICE_LABEL, START_ANNOTATION
from twin.kube.client import ApiError, Kube, Object
from twin.kube.observe import Observed
from twin.plan import HARDENED_CONTAINER, HARDENED_POD, Model
from twin.play.knative_service import model_of, queue_proxy
from twin.play.platform import PAUSE

#: How long a model takes from a bound pod to its first answer here. Real ones pull images and weights: the plan's
#: cold-start budget says how long that takes.
_START = "3s"
#: Seconds.
_LONGEST_REQUEST = 86400.0


class Knative:
    """Brings services and Knative itself to where they should be, each time it is called."""

    def __init__(self, kube: Kube, observed: Observed, models: Sequence[Model]) -> None:
        self._kube = kube
        self._observed = observed
        self._models = models
        self._applied: dict[str, str] = {}
        """What was applied, by the owner's uid and generation."""

    def tick(self, now: float) -> None:
        """Install, report, scale. now: seconds since 1970."""
        for serving in self._observed.all("KnativeServing"):
            self._once(serving, control_plane(serving), {"version": serving["spec"].get("version", "")}, now)
        for model in (*self._models, *self._others()):
            self._model(model, now)

    def _others(self) -> Iterator[Model]:
        """Services that the plan does not have: somebody applied them, and Knative serves whatever is there."""
        planned = {(model.namespace, model.name) for model in self._models}
        found = [each for each in self._observed.all("KnativeService") if _place(each) not in planned]
        sidecar = queue_proxy(next(iter(self._observed.all("KnativeServing")), {})) if found else {}
        for service in found:
            # Knative's webhook refuses one without containers.
            if ((service["spec"].get("template") or {}).get("spec") or {}).get("containers"):
                yield model_of(service, sidecar)

    def _model(self, model: Model, now: float) -> None:
        service = self._observed.get("KnativeService", model.name, model.namespace)
        if model.knative and service is None:
            return
        if service is not None:
            url = f"http://{model.name}.{model.namespace}.svc.cluster.local"
            status = {"url": url, "latestReadyRevisionName": f"{model.name}-00001"}
            self._once(service, [deployment(model)], status, now)
        found = self._observed.get("Deployment", deployment_name(model), model.namespace)
        if found is None:
            if not model.knative:
                self._stand_in(model)
            return
        wanted = max(model.minimum, 1 if now < busy_until(model, found, now) else 0)
        if found["spec"].get("replicas", 1) != wanted:
            with contextlib.suppress(ApiError):
                self._kube.patch({**found, **_DEPLOYMENT}, {"spec": {"replicas": wanted}})

    def _once(self, owner: Object, children: list[Object], status: Mapping[str, Any], now: float) -> None:
        """Apply what belongs to an object, and report it Ready; again only when it has changed."""
        metadata = owner["metadata"]
        state = f"{metadata['uid']}/{metadata.get('generation', 0)}"
        if self._applied.get(metadata["uid"]) == state or metadata.get("deletionTimestamp"):
            return
        reference = {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        for child in children:
            child["metadata"]["ownerReferences"] = [reference]
            self._apply(child)
        ready = {"observedGeneration": metadata.get("generation", 0), "conditions": _conditions(owner["kind"], now)}
        self._kube.patch(owner, {"status": {**ready, **status}}, subresource="status")
        self._applied[metadata["uid"]] = state

    def _apply(self, child: Object) -> None:
        """Apply a Deployment; the number of pods of one that is there stays what it is."""
        metadata = child["metadata"]
        if self._kube.get("apps/v1", "Deployment", metadata["name"], metadata["namespace"]) is None:
            self._kube.create({**child, "spec": {"replicas": 0, **child["spec"]}})
        else:
            self._kube.apply(child)

    def _stand_in(self, model: Model) -> None:
        with contextlib.suppress(ApiError):
            self._kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": model.namespace}})
        with contextlib.suppress(ApiError):
            made = deployment(model)
            self._kube.create({**made, "spec": {**made["spec"], "replicas": 0}})


def _place(found: Object) -> tuple[str, str]:
    return found["metadata"]["namespace"], found["metadata"]["name"]


_DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment"}
#: Conditions that make an object of each kind Ready (knative.dev/serving and knative.dev/operator, `*_lifecycle.go`).
_CONDITIONS = {
    "KnativeServing": ("DependenciesInstalled", "DeploymentsAvailable", "InstallSucceeded", "Ready"),
    "Service": ("ConfigurationsReady", "RoutesReady", "Ready"),
}


def _conditions(kind: str, now: float) -> list[dict[str, str]]:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    return [{"type": name, "status": "True", "lastTransitionTime": since} for name in _CONDITIONS[kind]]


def deployment_name(model: Model) -> str:
    """Name of the Deployment behind a service's first revision."""
    return f"{model.name}-00001-deployment"


def busy_until(model: Model, found: Object, now: float) -> float:
    """When the model may go, in seconds since 1970; 0 when nobody has ever asked.

    A request that ends days from now was made by a clock that was off, and has been set since.
    """
    annotations = found["metadata"].get("annotations") or {}
    asked = float(annotations.get(REQUEST_ANNOTATION, "0"))
    return asked + idle_seconds(model, annotations) if 0 < asked < now + _LONGEST_REQUEST else 0.0


def idle_seconds(model: Model, annotations: Mapping[str, str]) -> float:
    """How long nobody must ask before the model goes."""
    return float(annotations.get(IDLE_ANNOTATION, model.window + model.retention))


def deployment(model: Model) -> Object:
    """The Deployment behind a service, without its number of pods."""
    labels = {SERVICE_LABEL: model.name, "serving.knative.dev/revision": f"{model.name}-00001"}
    metadata = dict(model.template.get("metadata") or {})
    return {
        **_DEPLOYMENT,
        "metadata": {"name": deployment_name(model), "namespace": model.namespace, "labels": labels},
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


def control_plane(serving: Object) -> list[Object]:
    """Knative's own Deployments, with replicas, places and requests as a KnativeServing gives them."""
    spec, namespace = serving["spec"], serving["metadata"]["namespace"]
    replicas = (spec.get("highAvailability") or spec.get("high-availability") or {}).get("replicas", 1)
    found = []
    for workload in spec.get("workloads") or []:
        name = workload["name"]
        if name.endswith("-"):
            continue  # a Job of the installation, by the beginning of its name
        containers = [
            {
                "name": given["container"],
                "image": PAUSE,
                "resources": {"requests": given.get("requests") or {}},
                "securityContext": dict(HARDENED_CONTAINER),
            }
            for given in workload.get("resources") or [{"container": name}]
        ]
        labels = {NAME_LABEL: name}
        found.append(
            {
                **_DEPLOYMENT,
                "metadata": {"name": name, "namespace": namespace, "labels": labels},
                "spec": {
                    "replicas": workload.get("replicas", replicas),
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {
                            "nodeSelector": workload.get("nodeSelector") or {},
                            "tolerations": workload.get("tolerations") or [],
                            "containers": containers,
                            "securityContext": dict(HARDENED_POD),
                        },
                    },
                },
            }
        )
    return found


def put_to_sleep(kube: Kube, model: Model) -> None:
    """Let a model go at once, as if nobody had ever asked. Raises ApiError where it is not installed."""
    ask(kube, model, 0.0)


def ask(kube: Kube, model: Model, until: float, idle: float | None = None) -> None:
    """Send a request that ends at a time (seconds since 1970). Raises ApiError where the model is not installed.

    idle: seconds without a request after which it goes, instead of its own.
    """
    annotations = {REQUEST_ANNOTATION: f"{until:.3f}", IDLE_ANNOTATION: None if idle is None else f"{idle:.1f}"}
    about = {**_DEPLOYMENT, "metadata": {"name": deployment_name(model), "namespace": model.namespace}}
    kube.patch(about, {"metadata": {"annotations": annotations}})
