"""When a model's pod comes and goes: by a clock of the test's own, in no time."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from gpu.contract import SERVICE_LABEL, START_ANNOTATION
from twin.kube.client import ApiError, Object
from twin.kube.observe import _NAMES
from twin.plan import Model
from twin.play.agent.knative import Knative, ask, deployment_name

#: Seconds since 1970, and the same moment in RFC 3339.
START, STAMP = 1_790_000_000.0, "2026-09-21T14:13:20Z"
TEMPLATE: Mapping[str, Any] = {
    "metadata": {"labels": {"gpu-slices/model": "mistral"}},
    "spec": {"containers": [{"name": "server"}]},
}
MODEL = Model(name="mistral", namespace="models", template=TEMPLATE, window=60, retention=300)
Key = tuple[str, str, str]


def merge(value: Any, change: Any) -> Any:
    """JSON merge patch (RFC 7396)."""
    if not isinstance(change, Mapping):
        return change
    old = value if isinstance(value, Mapping) else {}
    merged = {key: merge(old.get(key), new) for key, new in change.items() if new is not None}
    return {**{key: kept for key, kept in old.items() if key not in change}, **merged}


class Server:
    """The objects that Knative's part sees, and what it does to them."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.did: list[tuple[str, str]] = []
        self.refuses = False

    def add(self, kind: str, name: str, spec: Object, namespace: str = "models") -> Object:
        metadata = {"name": name, "namespace": namespace, "uid": f"uid-of-{name}", "generation": 1}
        found = {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
        self.objects[kind, namespace, name] = found
        return found

    def write(self, what: str, obj: Object) -> Key:
        if self.refuses:
            raise ApiError(500, "InternalError", "not now")
        metadata = obj["metadata"]
        self.did.append((what, metadata["name"]))
        return obj["kind"], metadata.get("namespace", ""), metadata["name"]

    @property
    def pods(self) -> int | None:
        """How many pods the model's Deployment wants; None where there is no Deployment."""
        found = self.objects.get(("Deployment", "models", deployment_name(MODEL)))
        return found["spec"].get("replicas", 1) if found else None

    def condition(self, kind: str, name: str) -> Mapping[str, str]:
        """Its condition Ready."""
        found = next(o for (k, _, n), o in self.objects.items() if (k, n) == (kind, name))
        return next(c for c in found["status"]["conditions"] if c["type"] == "Ready")


class Observed:
    """Copies, as the watch keeps them. Knative's Service has a name of its own there."""

    def __init__(self, server: Server) -> None:
        self._objects = server.objects

    def all(self, kind: str) -> list[Object]:
        return [copy.deepcopy(o) for (k, _, _), o in self._objects.items() if k == _NAMES.get(kind, kind)]

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        return copy.deepcopy(self._objects.get((_NAMES.get(kind, kind), namespace, name)))


class Kube:
    """The API server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        return self._server.objects.get((kind, namespace or "", name))

    def create(self, obj: Object) -> Object:
        key = self._server.write("create", obj)
        if key in self._server.objects:
            raise ApiError(409, "AlreadyExists", obj["metadata"]["name"])
        self._server.objects[key] = copy.deepcopy(obj)
        return obj

    def apply(self, obj: Object) -> Object:
        key = self._server.write("apply", obj)
        self._server.objects[key] = merge(self._server.objects[key], copy.deepcopy(obj))
        return obj

    def patch(self, obj: Object, change: Object, *, subresource: str = "") -> Object:
        key = self._server.write(subresource or "patch", obj)
        if key not in self._server.objects:
            raise ApiError(404, "NotFound", obj["metadata"]["name"])
        self._server.objects[key] = merge(self._server.objects[key], change)
        return obj


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def kube(server: Server) -> Any:
    return Kube(server)


def agent(server: Server, *models: Model) -> Knative:
    """Knative's part, newly started."""
    kube: Any = Kube(server)
    observed: Any = Observed(server)
    return Knative(kube, observed, models)


def pods_at(server: Server, knative: Knative, *seconds: float) -> dict[float, int | None]:
    """How many pods are wanted at some moments after START."""
    seen = {}
    for second in seconds:
        knative.tick(START + second)
        seen[second] = server.pods
    return seen


def test_a_service_is_ready_at_zero_and_comes_when_somebody_asks(server: Server, kube: Any) -> None:
    knative = agent(server, MODEL)
    assert pods_at(server, knative, 0) == {0: None}, "the program has not applied its service yet"
    server.add("Service", "mistral", {})
    assert pods_at(server, knative, 1, 1000) == {1: 0, 1000: 0}
    assert server.objects["Service", "models", "mistral"]["status"]["url"] == "http://mistral.models.svc.cluster.local"
    made = server.objects["Deployment", "models", deployment_name(MODEL)]
    assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-of-mistral"
    pod = made["spec"]["template"]
    assert pod["metadata"]["labels"] == {
        "gpu-slices/model": "mistral", SERVICE_LABEL: "mistral", "serving.knative.dev/revision": "mistral-00001"
    }  # fmt: skip
    assert START_ANNOTATION in pod["metadata"]["annotations"]
    ask(kube, MODEL, START + 1001)
    assert pods_at(server, knative, 1001) == {1001: 1}


def test_it_says_since_when_it_is_ready_by_the_clock_that_it_is_given(server: Server) -> None:
    server.add("Service", "mistral", {})
    agent(server, MODEL).tick(START)
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": STAMP}
    assert server.condition("Service", "mistral") == condition


def test_it_goes_after_window_and_retention_of_the_last_request(server: Server, kube: Any) -> None:
    server.add("Service", "mistral", {})
    knative = agent(server, MODEL)
    knative.tick(START)
    ask(kube, MODEL, START + 10)  # ends in ten seconds
    assert pods_at(server, knative, 0, 10, 369) == {0: 1, 10: 1, 369: 1}
    ask(kube, MODEL, START + 369)
    assert pods_at(server, knative, 370, 728, 729, 5000) == {370: 1, 728: 1, 729: 0, 5000: 0}


def test_who_cannot_wait_gives_an_idle_time_that_the_next_request_takes_back(server: Server, kube: Any) -> None:
    server.add("Service", "mistral", {})
    knative = agent(server, MODEL)
    knative.tick(START)
    ask(kube, MODEL, START, idle=5)
    assert pods_at(server, knative, 0, 4, 5) == {0: 1, 4: 1, 5: 0}
    ask(kube, MODEL, START + 10)
    assert pods_at(server, knative, 15, 369, 370) == {15: 1, 369: 1, 370: 0}


@pytest.mark.parametrize("minimum", [1, 2])
def test_the_minimum_stays_when_nobody_asks(server: Server, kube: Any, minimum: int) -> None:
    model = Model(name="mistral", namespace="models", template=TEMPLATE, window=60, minimum=minimum)
    server.add("Service", "mistral", {})
    knative = agent(server, model)
    # The copy of the new Deployment comes with the next turn at the latest.
    assert pods_at(server, knative, 0, 1, 10_000) == {0: minimum, 1: minimum, 10_000: minimum}
    ask(kube, model, START + 10_000)
    assert pods_at(server, knative, 10_000, 10_061) == {10_000: minimum, 10_061: minimum}


def test_a_restart_keeps_what_runs_and_forgets_no_request(server: Server, kube: Any) -> None:
    server.add("Service", "mistral", {})
    before = agent(server, MODEL)
    before.tick(START)
    ask(kube, MODEL, START)
    before.tick(START + 1)
    server.did.clear()
    after = agent(server, MODEL)
    assert pods_at(server, after, 100) == {100: 1}
    assert server.did == [("apply", deployment_name(MODEL)), ("status", "mistral")], "nothing is made anew"
    assert pods_at(server, after, 359, 360) == {359: 1, 360: 0}


def test_what_has_not_changed_is_left_alone(server: Server) -> None:
    server.add("Service", "mistral", {})
    knative = agent(server, MODEL)
    knative.tick(START)
    server.did.clear()
    knative.tick(START + 1)
    assert not server.did
    server.objects["Service", "models", "mistral"]["metadata"]["generation"] = 2
    knative.tick(START + 2)
    assert server.did == [("apply", deployment_name(MODEL)), ("status", "mistral")]
    assert server.objects["Service", "models", "mistral"]["status"]["observedGeneration"] == 2


def test_a_service_that_is_being_deleted_gets_nothing(server: Server) -> None:
    server.add("Service", "mistral", {})["metadata"]["deletionTimestamp"] = STAMP
    assert pods_at(server, agent(server, MODEL), 0) == {0: None}
    assert not server.did


def test_a_model_without_a_service_gets_its_place_and_comes_when_somebody_asks(server: Server, kube: Any) -> None:
    model = Model(name="mistral", namespace="models", template=TEMPLATE, window=60, knative=False)
    knative = agent(server, model)
    assert pods_at(server, knative, 0, 1) == {0: 0, 1: 0}
    assert server.did == [("create", "models"), ("create", deployment_name(model))]
    ask(kube, model, START + 1)
    assert pods_at(server, knative, 2, 60, 61) == {2: 1, 60: 1, 61: 0}


def test_a_request_for_what_is_not_installed_is_an_error(server: Server, kube: Any) -> None:
    with pytest.raises(ApiError):
        ask(kube, MODEL, START)


def test_what_the_api_server_refuses_is_done_the_next_time(server: Server, kube: Any) -> None:
    server.add("Service", "mistral", {})
    knative = agent(server, MODEL)
    server.refuses = True
    with pytest.raises(ApiError):
        knative.tick(START)
    server.refuses = False
    assert pods_at(server, knative, 1) == {1: 0}
    ask(kube, MODEL, START + 1)
    server.refuses = True
    assert pods_at(server, knative, 2) == {2: 0}
    server.refuses = False
    assert pods_at(server, knative, 3) == {3: 1}


def test_knative_itself_stands_as_its_object_says(server: Server) -> None:
    spec = {
        "version": "1.23",
        "high-availability": {"replicas": 2},
        "workloads": [
            {"name": "activator", "resources": [{"container": "activator", "requests": {"cpu": "50m"}}]},
            {"name": "autoscaler", "replicas": 1},
            {"name": "storage-version-migration-"},
        ],
    }
    server.add("KnativeServing", "knative-serving", spec, "knative-serving")
    agent(server).tick(START)
    replicas = {n: o["spec"]["replicas"] for (kind, _, n), o in server.objects.items() if kind == "Deployment"}
    assert replicas == {"activator": 2, "autoscaler": 1}
    assert server.objects["KnativeServing", "knative-serving", "knative-serving"]["status"]["version"] == "1.23"
    assert server.condition("KnativeServing", "knative-serving")["lastTransitionTime"] == STAMP


def test_a_service_that_no_plan_has_is_served_as_it_is_written(server: Server, kube: Any) -> None:
    annotations = {
        "autoscaling.knative.dev/window": "60s",
        "autoscaling.knative.dev/scale-to-zero-pod-retention-period": "5m",
    }
    template = {
        "metadata": {**TEMPLATE["metadata"], "annotations": annotations},
        "spec": {**TEMPLATE["spec"], "timeoutSeconds": 600},
    }
    service = server.add("Service", "mistral", {"template": template})
    knative = agent(server)
    assert pods_at(server, knative, 0) == {0: 0}
    assert server.condition("Service", "mistral")["status"] == "True"
    pod = server.objects["Deployment", "models", deployment_name(MODEL)]["spec"]["template"]["spec"]
    assert [container["name"] for container in pod["containers"]] == ["server", "queue-proxy"]
    assert "timeoutSeconds" not in pod, "it is of a revision"
    ask(kube, MODEL, START)
    assert pods_at(server, knative, 1, 359, 360) == {1: 1, 359: 1, 360: 0}
    service["spec"]["template"]["spec"]["containers"][0]["name"] = "other"
    service["metadata"]["generation"] = 2
    knative.tick(START + 361)
    pod = server.objects["Deployment", "models", deployment_name(MODEL)]["spec"]["template"]["spec"]
    assert [container["name"] for container in pod["containers"]] == ["other", "queue-proxy"]


@pytest.mark.parametrize("spec", [{}, {"template": {}}, {"template": {"spec": {"containers": []}}}])
def test_a_service_that_knative_would_refuse_gets_nothing(server: Server, spec: Object) -> None:
    server.add("Service", "mistral", spec)
    assert pods_at(server, agent(server), 0) == {0: None}
    assert not server.did
