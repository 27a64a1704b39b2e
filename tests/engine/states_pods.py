"""States of what runs in the cluster: pods and their namespaces, and Ollama."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gpu.contract import POOL_LABEL
from tests.engine.states import Planned, State, id_of, secret
from tests.policy.case_parts import POOL, RELEASE, SPOT, need
from tests.policy.platform import DEPLOYMENT, GPU, KNATIVE

_LOCAL: Final = {"networking.knative.dev/visibility": "cluster-local"}
_OLLAMA: Final = {
    "name": "ollama",
    "image": "ollama/ollama:0.17.4",
    "env": [
        {"name": "OLLAMA_CONTEXT_LENGTH", "value": "4096"},
        {"name": "OLLAMA_KEEP_ALIVE", "value": "-1"},
        {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hugging-face", "key": "token"}}},
    ],
}


def pod(
    pool: str | None, container: Mapping[str, Any] | None = None, *, quantity: Any = "1", **spec: Any
) -> dict[str, Any]:
    """A pod's specification that the restricted level accepts; with one slot, where it goes to a GPU pool."""
    requests = {"cpu": "500m", "memory": "2Gi"}
    limits = {"memory": "2Gi", **({GPU: quantity} if pool else {})}
    main = {
        "name": "main",
        "image": "registry.example/worker:1.4.2",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": requests, "limits": limits},
        **(container or {}),
    }
    given: dict[str, Any] = {
        "securityContext": {
            "runAsUser": 1000,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            **spec.pop("securityContext", {}),
        },
        "containers": [main],
        **spec,
    }
    if pool:
        given["nodeSelector"] = {POOL_LABEL: pool}
        given["tolerations"] = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
    return given


def deployment(
    name: str,
    spec: Mapping[str, Any],
    *,
    type_: str = DEPLOYMENT,
    namespace: str = "ml",
    dependencies: tuple[str, ...] = (),
    **metadata: Any,
) -> Planned:
    """What keeps such pods running. metadata: of itself, beside name and namespace."""
    labels = {"app": name}
    inputs = {
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"template": {"metadata": {"labels": labels}, "spec": dict(spec)}},
    }
    if type_ == DEPLOYMENT:
        inputs["spec"]["selector"] = {"matchLabels": labels}
    return Planned(type=type_, name=name, inputs=inputs, dependencies=dependencies)


_PODS: Final = (
    State(
        name="namespace-without-level",
        fires=frozenset({"k8s-namespace-pod-security"}),
        resources=(
            Planned(
                type="kubernetes:core/v1:Namespace",
                name="ml",
                inputs={"metadata": {"name": "ml", "labels": {"team": "ml", "größe": "L"}}},
            ),
        ),
        mended={("ml", "metadata", "labels", "pod-security.kubernetes.io/enforce"): "baseline"},
    ),
    State(
        name="privileged-at-night",
        fires=frozenset({"k8s-pod-security"}),
        resources=(
            Planned(
                type="kubernetes:batch/v1:CronJob",
                name="nightly",
                inputs={
                    "metadata": {"name": "nightly", "namespace": "ml"},
                    "spec": {
                        "schedule": "0 3 * * *",
                        "jobTemplate": {
                            "spec": {
                                "template": {
                                    "spec": pod(
                                        None,
                                        {
                                            "securityContext": {
                                                "privileged": "true",
                                                "allowPrivilegeEscalation": False,
                                                "capabilities": {"drop": ["ALL"]},
                                            }
                                        },
                                        restartPolicy="Never",
                                    )
                                }
                            }
                        },
                    },
                },
            ),
        ),
        mended={
            (
                *("nightly", "spec", "jobTemplate", "spec", "template", "spec"),
                *("containers", 0, "securityContext", "privileged"),
            ): False
        },
    ),
    State(
        name="database-without-requests",
        fires=frozenset({"k8s-resource-limits"}),
        resources=(
            Planned(
                type="kubernetes:core/v1:Secret",
                name="password",
                inputs={"metadata": {"name": "db", "namespace": "ml"}, "stringData": {"password": secret("geheim")}},
            ),
            deployment(
                "database",
                pod(
                    None,
                    {
                        "resources": {"limits": {"memory": "4Gi", "cpu": 0}},
                        "env": [{"name": "SECRET", "value": id_of("password")}],
                    },
                ),
                type_="kubernetes:apps/v1:StatefulSet",
            ),
        ),
        mended={("database", "spec", "template", "spec", "containers", 0, "resources", "limits", "cpu"): 2.0},
    ),
)

_SERVERS: Final = (
    State(
        name="a-scheduler-that-is-not-there",
        fires=frozenset({"k8s-scheduler-runs"}),
        resources=(deployment("packed", pod(None, schedulerName="gpu-slices-scheduler")),),
        mended={("packed", "spec", "template", "spec", "schedulerName"): "default-scheduler"},
    ),
    State(
        name="all-gpus-without-a-slot",
        fires=frozenset({"gpu-devices-by-slot-only"}),
        resources=(
            deployment(
                "monitor",
                pod(None, {"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}, {"name": "ΔT", "value": "1"}]}),
            ),
        ),
        mended={("monitor", "spec", "template", "spec", "containers", 0, "env", 0, "value"): "void"},
    ),
    State(
        name="rights-for-everybody",
        fires=frozenset({"k8s-rbac-not-for-all"}),
        resources=(
            Planned(
                type="kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding",
                name="viewers",
                inputs={
                    "metadata": {"name": "viewers"},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                    "subjects": [{"kind": "Group", "name": "system:authenticated"}],
                },
            ),
        ),
        mended={("viewers", "subjects", 0, "name"): "team-größe"},
    ),
    State(
        name="page-in-the-clear",
        fires=frozenset({"k8s-public-tls"}),
        resources=(
            Planned(
                type="kubernetes:networking.k8s.io/v1:Ingress",
                name="page",
                inputs={
                    "metadata": {
                        "name": "page",
                        "namespace": "web",
                        "annotations": {"alb.ingress.kubernetes.io/scheme": "internet-facing"},
                    },
                    "spec": {"defaultBackend": {"service": {"name": "page", "port": {"number": 80.0}}}},
                },
            ),
        ),
        mended={("page", "spec", "tls"): [{"hosts": ["page.example.com"], "secretName": "straße-tls"}]},
    ),
    State(
        name="ollama-latest",
        fires=frozenset({"ollama-version-pinned"}),
        resources=(deployment("ollama", pod(None, {**_OLLAMA, "image": "ollama/ollama:latest"})),),
        mended={("ollama", "spec", "template", "spec", "containers", 0, "image"): "ollama/ollama:0.30.0"},
    ),
    State(
        name="ollama-by-chart",
        fires=frozenset({"ollama-context-and-keep-alive"}),
        resources=(
            Planned(
                type=RELEASE,
                name="ollama",
                inputs={
                    "chart": "ollama",
                    "version": "1.3.2",
                    "repositoryOpts": {"repo": "https://otwld.github.io/ollama-helm/"},
                    "values": {
                        "image": {"tag": "0.30.0"},
                        "ollama": {"gpu": {"enabled": True, "number": 1.0}, "models": {"pull": ["llama3.2:3b"]}},
                        "extraEnv": [{"name": "OLLAMA_KEEP_ALIVE", "value": "24h"}],
                    },
                },
            ),
        ),
        mended={
            ("ollama", "values", "extraEnv"): [
                {"name": "OLLAMA_KEEP_ALIVE", "value": "24h"},
                {"name": "OLLAMA_CONTEXT_LENGTH", "value": 12288.0},
            ]
        },
    ),
    State(
        name="ollama-with-a-model-of-the-house",
        fires=frozenset({"ollama-models-told"}),
        resources=(
            Planned(
                type=RELEASE,
                name="own-model",
                inputs={
                    "chart": "ollama",
                    "values": {
                        "image": {"tag": "0.30.0"},
                        "ollama": {"gpu": {"enabled": True}, "models": {"run": ["house/größer:27b"]}},
                        "extraEnv": [
                            {"name": "OLLAMA_KEEP_ALIVE", "value": "24h"},
                            {"name": "OLLAMA_CONTEXT_LENGTH", "value": "8192"},
                        ],
                    },
                },
            ),
        ),
        mended={("own-model", "values", "podAnnotations"): {"gpu-slices/model-memory-mib": "20000"}},
    ),
    State(
        name="ollama-behind-a-load-balancer",
        fires=frozenset({"ollama-not-public"}),
        resources=(
            deployment("chat", pod(None, _OLLAMA)),
            Planned(
                type="kubernetes:core/v1:Service",
                name="front",
                inputs={
                    "metadata": {"name": "front", "namespace": "ml", "annotations": {}},
                    "spec": {
                        "type": "LoadBalancer",
                        "selector": {"app": "chat"},
                        "ports": [{"port": 80.0, "targetPort": "http"}],
                    },
                },
                dependencies=("chat",),
            ),
        ),
        mended={
            (
                *("front", "metadata", "annotations"),
                "service.beta.kubernetes.io/aws-load-balancer-scheme",
            ): "internal"
        },
    ),
    State(
        name="ollama-by-knative",
        fires=frozenset({"ollama-not-public"}),
        resources=(deployment("mistral", pod(None, _OLLAMA), type_=KNATIVE, labels={"team": "ml"}),),
        mended={("mistral", "metadata", "labels"): _LOCAL},
    ),
    State(
        name="llama-in-a-quarter",
        fires=frozenset({"ollama-fits-slot"}),
        resources=(
            Planned(
                type=POOL,
                name="quarter-pool",
                inputs={
                    "metadata": {"name": "quarter"},
                    "spec": {
                        "limits": {GPU: "8"},
                        "template": {
                            "metadata": {
                                "labels": {POOL_LABEL: "quarter", "nvidia.com/device-plugin.config": "quarter"}
                            },
                            "spec": {
                                "nodeClassRef": {
                                    "group": "karpenter.k8s.aws",
                                    "kind": "EC2NodeClass",
                                    "name": "quarter",
                                },
                                "requirements": [
                                    SPOT,
                                    {
                                        "key": "node.kubernetes.io/instance-type",
                                        "operator": "In",
                                        "values": ["g5.xlarge"],
                                    },
                                ],
                                "taints": [{"key": GPU, "value": "true", "effect": "NoSchedule"}],
                            },
                        },
                    },
                },
            ),
            Planned(
                type="kubernetes:karpenter.sh/v1alpha1:NodeOverlay",
                name="quarter-overlay",
                inputs={
                    "metadata": {"name": "quarter"},
                    "spec": {
                        "requirements": [need("karpenter.sh/nodepool", "In", "quarter")],
                        "capacity": {GPU: "4"},
                    },
                },
            ),
            Planned(
                type="kubernetes:core/v1:ConfigMap",
                name="plugin-configs",
                inputs={
                    "metadata": {"name": "quarter", "namespace": "gpu-system"},
                    "data": {
                        "quarter": "version: v1\nflags: {migStrategy: none}\nsharing:\n  mps:\n"
                        "    failRequestsGreaterThanOne: true\n"
                        "    resources: [{name: nvidia.com/gpu, replicas: 4}]\n"
                    },
                },
            ),
            deployment(
                "llama",
                pod(
                    "quarter",
                    _OLLAMA
                    | {"resources": {"requests": {"cpu": 2, "memory": "6Gi"}, "limits": {"memory": "6Gi", GPU: "1"}}},
                ),
                type_=KNATIVE,
                labels=_LOCAL,
                annotations={"gpu-slices/model": "llama2:7b"},
            ),
        ),
        mended={("llama", "metadata", "annotations", "gpu-slices/model"): "llama3.2:3b"},
    ),
)

STATES: Final[tuple[State, ...]] = (*_PODS, *_SERVERS)
