"""Checks of KnativeServices: what Knative's API takes of a pod, how many pods there may be, and whose keys are whose.

Rules are those of the pinned version (knative.dev/serving pkg/apis/serving/fieldmask.go and k8s_validation.go).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import Final

from config.checks.parts import all_of, attempt
from config.checks.serving import idle_problem
from config.errors import MISSING, Path, Problem, counted
from config.workload_schema import Container, Workload
from gpu.contract import MODELS_CLIENT_LABEL
from gpu.pods import QUEUE_PROXY
from gpu.pool import Pool

#: Attribute and key of what is a KnativeService's alone.
_KEYS: Final = {"min_scale": "minScale", "max_scale": "maxScale", "parallel": "parallel", "idle": "idle"}
#: Ports of queue-proxy, in the same pod.
_PORTS: Final = frozenset({8008, 8012, 8013, 8022, 9090, 9091})
_PORT_NAMES: Final = (None, "http1", "h2c")
_VARIABLES: Final = frozenset({"K_SERVICE", "K_CONFIGURATION", "K_REVISION"})
#: Of the container that is called: Knative tells it its port.
_PORT_VARIABLE: Final = "PORT"
_PATHS: Final = frozenset({"/dev", "/dev/log"})
_DOMAIN: Final = "knative.dev"
_PROBES: Final = {
    "startup_probe": "startupProbe",
    "readiness_probe": "readinessProbe",
    "liveness_probe": "livenessProbe",
}


def check_knative(workload: Workload, path: Path) -> Iterator[Problem]:
    """Everything about a KnativeService that is the same on all pools; of other kinds, that they have none of its keys.

    Raises BrokenValueError where the kind is not known.
    """
    if workload.kind != "KnativeService":
        for field, key in _KEYS.items():
            if field in workload.model_fields_set:
                message = f"is for a KnativeService: write kind: KnativeService, or remove {key}"
                yield Problem((*path, key), workload.__dict__.get(field), message)
        return
    yield from attempt(_scale(workload, path))
    yield from attempt(_left_out(workload, path))
    yield from attempt(_marks(workload, path))
    yield from attempt(_port(workload, path))
    containers: Sequence[Container | None] = workload.containers
    for index, container in enumerate(containers):
        if container is not None:
            yield from attempt(_container(container, (*path, "containers", index)))


def knative_on_pool(workload: Workload, path: Path, pool: Pool, slots: int) -> Iterator[Problem]:
    """What may be wrong with a KnativeService on one pool and right on another. slots: of each pod there."""
    if workload.kind != "KnativeService":
        return
    if pool.claims:
        message = (
            f"is no pool for a KnativeService: pods of {pool.name} claim memory, and Knative's API takes no claims; "
            "choose a pool with slots, or write kind: Deployment"
        )
        yield Problem((*path, "pool"), workload.pool, message)
        return
    each = pool.held_slots(slots)
    if workload.max_scale is not None and workload.max_scale * each > pool.max_slots:
        holds = "one" if each == 1 else str(each)
        has = counted(pool.max_slots, "slot")
        message = f"must be {pool.max_slots // each} or less: pool {pool.name} has {has}, and each pod takes {holds}"
        yield Problem((*path, "maxScale"), workload.max_scale, message)


def _scale(workload: Workload, path: Path) -> Iterator[Problem]:
    most = workload.max_scale
    if most is not None and workload.min_scale > most:
        yield Problem((*path, "minScale"), workload.min_scale, f"must be {most} or less, which is maxScale")
    if message := idle_problem(workload.idle):
        yield Problem((*path, "idle"), workload.idle, message)


def _left_out(workload: Workload, path: Path) -> Iterator[Problem]:
    """Keys of the other kinds that would say nothing here, or that Knative's API does not take."""
    if "replicas" in workload.model_fields_set:
        message = "is not read of a KnativeService, which has minScale and maxScale: remove it"
        yield Problem((*path, "replicas"), workload.replicas, message)
    if workload.client_namespaces:
        message = (
            "says nothing of a KnativeService, whose requests all come from Knative: label the namespaces that may "
            f'call it, and models, with {MODELS_CLIENT_LABEL}: "true"; remove it'
        )
        yield Problem((*path, "clientNamespaces"), list(workload.client_namespaces), message)
    if workload.automount_service_account_token:
        message = "must be false: Knative's API lets no service ask for the token; remove it, or write kind: Deployment"
        yield Problem((*path, "automountServiceAccountToken"), True, message)


def _marks(workload: Workload, path: Path) -> Iterator[Problem]:
    for key, given in (("labels", workload.labels), ("annotations", workload.annotations)):
        for name, value in given.items():
            if f".{name.partition('/')[0]}".endswith(f".{_DOMAIN}"):
                message = (
                    "has a name of Knative's: minScale, maxScale, parallel and idle say what it is told; remove it"
                )
                yield Problem((*path, key, name), value, message)


def _port(workload: Workload, path: Path) -> Iterator[Problem]:
    """Knative calls one port of the pod, and asks no other container how it is."""
    found = [
        (port, (*path, "containers", index, "ports", position))
        for index, container in enumerate(all_of(workload.containers))
        for position, port in enumerate(all_of(container.ports))
    ]
    if not found:
        message = "have no ports: a KnativeService is called at one; write ports: [{containerPort: ...}]"
        yield Problem((*path, "containers"), MISSING, message)
        return
    for _, place in found[1:]:
        yield Problem(place, MISSING, "is one more port: Knative calls one of all containers; remove it")
    port, place = found[0]
    if port.container_port in _PORTS:
        message = "is a port of Knative's own container in the pod: choose another"
        yield Problem((*place, "containerPort"), port.container_port, message)
    if port.name not in _PORT_NAMES:
        message = "must be http1, h2c or left out: Knative reads the protocol from it"
        yield Problem((*place, "name"), port.name, message)
    for index, container in enumerate(all_of(workload.containers)):
        called = bool(container.ports)
        for field, key in _PROBES.items():
            if not called and getattr(container, field):
                message = "is of a container that Knative does not call, and asks nothing: remove it"
                yield Problem((*path, "containers", index, key), MISSING, message)
        for position, variable in enumerate(all_of(container.env)):
            if called and variable.name == _PORT_VARIABLE:
                message = "is written by Knative: it is containerPort; remove it"
                yield Problem((*path, "containers", index, "env", position, "name"), variable.name, message)


def _container(container: Container, path: Path) -> Iterator[Problem]:
    if container.name == QUEUE_PROXY:
        message = "is the name of Knative's own container in the pod: choose another"
        yield Problem((*path, "name"), container.name, message)
    for index, variable in enumerate(all_of(container.env)):
        if variable.name in _VARIABLES:
            yield Problem((*path, "env", index, "name"), variable.name, "is written by Knative: remove it")
    for index, mount in enumerate(all_of(container.volume_mounts)):
        if posixpath.normpath(mount.mount_path) in _PATHS:
            message = "is a path at which Knative lets nothing be mounted: choose another, such as a folder below it"
            yield Problem((*path, "volumeMounts", index, "mountPath"), mount.mount_path, message)
