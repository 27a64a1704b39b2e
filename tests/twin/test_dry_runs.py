"""What a stack file may say of a workload, the API server takes: odd values of every key, tried on a real one.

Nothing is made: requests are dry runs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from components.gpu.gpu_workload import NAMESPACE, ROOT_NAMESPACE
from components.gpu.workloads import GpuWorkloads, GpuWorkloadsArgs
from config.errors import ConfigError
from config.fields import available_time_zones
from config.load import parse
from config.schema import StackConfig
from stacks.workloads import gpu_workload
from tests.day import TODAY
from tests.plan import test_capacity_blocks as block
from tests.plan.test_destroy_order import NODE_CLASS, NODE_POOL
from tests.unit.components.recording import record
from tests.unit.config.support import changed
from twin.destroy import delete_and_wait
from twin.kube.client import ApiError, Kube, Object
from twin.machine.launch import connect
from twin.machine.state import TwinState


@pytest.fixture(scope="module")
def kube(twin: TwinState) -> Iterator[Kube]:
    """A cluster with the namespaces of workloads, and a priority."""
    found = connect(twin)
    made: list[Object] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in _NAMESPACES]
    made.append({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "b"}, "value": 1})
    for each in made:
        found.apply(each)
    yield found
    for each in made:
        delete_and_wait(found, each)  # nothing can be made in a namespace that is about to go


_NAMESPACES = (NAMESPACE, ROOT_NAMESPACE)


def _text(alphabet: str, most: int = 8) -> st.SearchStrategy[str]:
    return st.text(st.sampled_from(alphabet), min_size=1, max_size=most)


def _some(*often: Any, rarely: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.sampled_from(often), st.sampled_from(often), rarely)


def _keys(needed: dict[str, Any], **others: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(needed, optional=others)


OBJECT = _some("a", "a.b", "a-b.c", "x" * 253, rarely=_text("ab0-."))
LABEL = _some("team", "example.com/team", "kueue.x-k8s.io/queue-name", rarely=_text("abA0-._/", 12))
PATH = _some("/a", "/tmp", "/tmp/", "//tmp", "/dev/shm", rarely=_text("ab./", 8).map(lambda text: f"/{text}"))
AMOUNT = st.sampled_from(["1Gi", "512Mi", "0.5Gi", "1.5G", "0.001Mi", "100M"])
NUMBER = st.sampled_from([1, 3, 80, 65535])
FIELD = ("*", "?", "*/2", "1", "1-5", "1-5/2", "1,3", "mon-fri", "JAN", "L", "*-5", "1/2")
VARIABLE = _some("A", "a.b", "_x-y", rarely=_text("aA0_.-", 5))
FROM = _keys({"name": OBJECT, "key": _some("k", ".k", "a_b", rarely=_text("a._-", 4))})
ENV = st.one_of(
    _keys({"name": VARIABLE, "value": _some("", "$(A)", "é", rarely=st.text(max_size=5))}),
    _keys({"name": VARIABLE, "valueFrom": st.one_of(_keys({"secretKeyRef": FROM}), _keys({"configMapKeyRef": FROM}))}),
)
ENV_FROM = _keys({"prefix": VARIABLE, "secretRef": _keys({"name": OBJECT})})
HTTP = _keys({"port": NUMBER}, path=_some("/", "/v1/a:b?c=d", rarely=PATH), scheme=st.sampled_from(["HTTP", "HTTPS"]))
PROBE = st.one_of(
    _keys({"httpGet": HTTP}, periodSeconds=NUMBER, initialDelaySeconds=st.sampled_from([0, 9])),
    _keys({"tcpSocket": _keys({"port": NUMBER})}, timeoutSeconds=NUMBER, failureThreshold=NUMBER),
    _keys({"exec": _keys({"command": st.just(["true", ""])})}),
)
PORT = _keys({"containerPort": NUMBER}, name=_some("http", "a-1", rarely=_text("ab0-", 15)))
VOLUME = st.one_of(
    _keys({"emptyDir": _keys({}, sizeLimit=AMOUNT)}),
    _keys({"emptyDir": st.just({"medium": "Memory", "sizeLimit": "100M"})}),
    _keys({"persistentVolumeClaim": _keys({"claimName": OBJECT}, readOnly=st.booleans())}),
    _keys({"s3": _keys({"bucketName": _some("acme", "a.b.c", rarely=_text("ab0.-"))}, readOnly=st.booleans())}),
    _keys({"efs": _keys({"fileSystemId": st.just("fs-0c1d2e3f405162738")}, accessPointId=st.just("fsap-01234567"))}),
)
MOUNT = _keys({"mountPath": PATH}, subPath=_some("a", "a/b", "..a", rarely=_text("ab./")), readOnly=st.booleans())
CONTAINER = _keys(
    {"name": st.just("app"), "image": st.just("a:1"), "slots": st.just(1)},
    cpu=st.sampled_from(["1", "500m", "0.001", "0.25"]),
    memory=AMOUNT,
    imagePullPolicy=st.sampled_from(["Always", "Never"]),
    env=st.lists(ENV, max_size=2),
    envFrom=st.lists(ENV_FROM, max_size=1),
    ports=st.lists(PORT, max_size=2),
    startupProbe=PROBE,
    readinessProbe=PROBE,
    livenessProbe=PROBE,
)
SECURITY = _keys({}, runAsUser=NUMBER, runAsGroup=st.sampled_from([0, 2_147_483_647]), fsGroup=NUMBER)
WORKLOAD = _keys(
    {
        "name": _some("a", "x" * 40, rarely=_text("ab0-", 6)),
        "pool": st.just("shared"),
        "container": CONTAINER,
        "mounted": st.lists(st.tuples(VOLUME, MOUNT), max_size=2),
    },
    kind=st.sampled_from(["Deployment", "Job", "CronJob"]),
    schedule=st.one_of(st.just("@daily"), st.tuples(*[st.sampled_from(FIELD)] * 5).map(" ".join)),
    timeZone=st.sampled_from(available_time_zones() or ["UTC"]),
    concurrencyPolicy=st.sampled_from(["Allow", "Replace"]),
    replicas=st.sampled_from([0, 1, 5]),
    labels=st.dictionaries(LABEL, _some("", "a.b", "x" * 63, rarely=_text("aA0-._", 6)), max_size=2),
    annotations=st.dictionaries(LABEL, st.sampled_from(["", "any thing", "{}"]), max_size=2),
    priorityClassName=st.just("b"),
    imagePullSecrets=st.lists(_keys({"name": OBJECT}), max_size=1),
    clientNamespaces=st.lists(_some("my-team", rarely=OBJECT), max_size=1),
    serviceAccountName=OBJECT,
    securityContext=SECURITY,
)


def written(drawn: dict[str, Any]) -> dict[str, Any]:
    """An entry of `workloads`: each volume is mounted; keys of other kinds are left out."""
    workload = dict(drawn)
    container, mounted = dict(workload.pop("container")), workload.pop("mounted")
    names = [f"v{index}" for index in range(len(mounted))]
    container["volumeMounts"] = [{**mount, "name": name} for name, (_, mount) in zip(names, mounted, strict=True)]
    workload["volumes"] = [{**volume, "name": name} for name, (volume, _) in zip(names, mounted, strict=True)]
    if workload.get("kind") != "CronJob":
        workload = {key: value for key, value in workload.items() if key not in _OF_CRON_JOBS}
    if workload.get("kind", "Deployment") != "Deployment":
        container.pop("ports", None)
    if not container.get("ports"):
        workload.pop("clientNamespaces", None)
    return {**workload, "containers": [container]}


_OF_CRON_JOBS = ("schedule", "timeZone", "concurrencyPolicy")


def read(workload: dict[str, Any]) -> StackConfig | None:
    """The stack of one workload; None where it is refused."""
    others = {"dialogue": {}, "models": [], "budget": {"monthlyUsd": 40_000, "emails": ["platform@gpu-slices.dev"]}}
    with suppress(ConfigError):
        return parse(changed({**others, "workloads": [workload]}), stack="dev", region="us-east-1", today=TODAY)
    return None


def refused(kube: Kube, manifest: Object) -> str:
    """Why the API server would not make an object; empty where it would."""
    path = kube.collection(manifest["apiVersion"], manifest["kind"], manifest["metadata"].get("namespace"))
    try:
        kube.request("POST", path, manifest, query={"dryRun": "All", "fieldValidation": "Strict"})
    except ApiError as error:
        return str(error)
    return ""


@settings(
    max_examples=400,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(drawn=WORKLOAD)
def test_what_the_stack_file_takes_the_api_server_takes(kube: Kube, drawn: dict[str, Any]) -> None:
    workload = written(drawn)
    config = read(workload)
    if config is None:
        return
    (found,) = config.workloads
    made = gpu_workload(found, config.gpu_pools["shared"])
    objects = [
        each.inputs
        for each in record(lambda: GpuWorkloads("workloads", GpuWorkloadsArgs(workloads=[made]))).resources
        if each.type.startswith("kubernetes:") and not each.type.endswith(":Namespace")
    ]
    assert objects
    note(str(workload))
    assert [why for each in objects if (why := refused(kube, dict(each)))] == []


def test_a_fault_of_each_kind_would_be_seen(kube: Kube) -> None:
    """The server judges dry runs as it judges others."""
    metadata = {"name": "a", "namespace": NAMESPACE, "labels": {"a..b/c": "d"}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 1}]}}
    assert "a..b" in refused(kube, service)


def test_a_pool_of_a_capacity_block_is_taken_as_it_is_written(kube: Kube) -> None:
    """By Karpenter's definitions with their rules; which kinds of reservations there are, these leave to Karpenter."""
    node_class, node_pool = block.manifest(NODE_CLASS), block.manifest(NODE_POOL)
    assert [refused(kube, each) for each in (node_class, node_pool)] == ["", ""]
    terms = [{"id": "cr-0123456789abcdef0", "tags": {"team": "ml"}}]
    both = {**node_class, "spec": {**node_class["spec"], "capacityReservationSelectorTerms": terms}}
    assert "'id' is mutually exclusive" in refused(kube, both)
    asked = copy.deepcopy(node_pool)
    asked["spec"]["template"]["spec"]["requirements"][-2]["key"] = "karpenter.k8s.aws/reservation-type"
    assert "is restricted" in refused(kube, asked)
