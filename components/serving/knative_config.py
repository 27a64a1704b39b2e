"""What Knative is told: feature flags, time limits for nodes that first must be bought, and where its own pods run.

Keys and workloads are those of Knative 1.23 (`knative.dev/serving` config/core/configmaps, `knative.dev/operator`
cmd/operator/kodata); a test compares them with those sources.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import versions
from components.cluster.system_nodes import SYSTEM_NODE_TOLERATION
from components.serving.network_policy import namespace_peer, tcp
from gpu.coldstart import FIRST_BYTE_SECONDS
from gpu.host_share import QUEUE_PROXY_ASKS
from gpu.system_pods import KNATIVE_DEPLOYMENTS, KNATIVE_OPERATOR, KNATIVE_OPERATOR_WEBHOOK, SystemPod

NAMESPACE: Final = "knative-serving"
OPERATOR_NAMESPACE: Final = "knative-operator"

Feature = Literal[
    "affinity",
    "init-containers",
    "nodeselector",
    "persistent-volume-claim",
    "persistent-volume-write",
    "priorityclassname",
    "schedulername",
    "securitycontext",
    "tolerations",
    "volumes-image",
]

#: Feature flags that every service on GPU nodes needs.
FEATURES: Final[frozenset[Feature]] = frozenset({"nodeselector", "tolerations", "securitycontext"})

#: Longest that a request may take, in seconds: a cold start (a Spot node may need minutes) and an answer. It is also
#: the grace period of a pod's end, which `GpuPool` cuts short.
REQUEST_SECONDS: Final = 1200
#: Longest that anything may stay open: a page that watches a dialogue.
LONGEST_SECONDS: Final = 1800

#: Who adds to X-Forwarded-For on the way to a pod: Envoy, the activator, which stays in the path
#: (`target-burst-capacity`), and the pod's own queue-proxy.
PROXIES: Final = 3

#: Ports that Kourier listens on when an NLB leads to it; free in every cluster that has no other fixed node ports.
HTTP_NODE_PORT: Final = 31080
HTTPS_NODE_PORT: Final = 31443

#: Ports of queue-proxy, which stands before the service in its pod: requests, and what the autoscaler reads.
QUEUE_PORTS: Final = (8012, 8013, 8112, 9090, 9091)

_BUDGETS: Final = ("activator-pdb", "webhook-pdb", "3scale-kourier-gateway-pdb")
#: Jobs that run once after each version.
_JOBS: Final = ("storage-version-migration-serving-", "cleanup-serving-")


def operator_values(node_selector: Mapping[str, str]) -> dict[str, Any]:
    """Values of the operator's chart: both pods on the chosen nodes, as the restricted Pod Security Standard wants."""
    chosen = [{"key": key, "operator": "In", "values": [value]} for key, value in node_selector.items()]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": chosen}]}}
    on_system_nodes = {
        **({"affinity": {"nodeAffinity": required}} if chosen else {}),
        "tolerations": [SYSTEM_NODE_TOLERATION],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    return {
        "knative_operator": {
            "knative_operator": {**on_system_nodes, "resources": _resources(KNATIVE_OPERATOR, "1000m", "1000Mi")},
            "operator_webhook": {**on_system_nodes, "resources": _resources(KNATIVE_OPERATOR_WEBHOOK, "500m", "500Mi")},
        }
    }


def _resources(workload: SystemPod, cpu_limit: str, memory_limit: str) -> dict[str, Any]:
    requests = {"cpu": f"{workload.cpu_millis}m", "memory": f"{workload.memory_mib}Mi"}
    return {"requests": requests, "limits": {"cpu": cpu_limit, "memory": memory_limit}}


@dataclass(frozen=True, kw_only=True)
class ServingSpec:
    """What differs between installations.

    features: pod fields that services use and Knative allows behind flags; many cannot be taken back once in use.
    node_ports: whether Kourier listens on ports of the nodes, for a load balancer that is not Kubernetes' own.
    domain: the domain of services that are not cluster-local; None where all are.
    tls_secret: name of a Secret in `knative-serving` with the certificate of that domain.
    metrics: whether its parts have figures for Prometheus.
    node_selector: labels of the nodes that Knative's pods run on.
    """

    replicas: int
    features: Collection[Feature]
    node_ports: bool = False
    domain: str | None = None
    tls_secret: str | None = None
    metrics: bool = False
    node_selector: Mapping[str, str]


def serving_spec(spec: ServingSpec) -> dict[str, Any]:
    """The `spec` of the KnativeServing."""
    kourier: dict[str, Any] = {"enabled": True, "service-type": "ClusterIP"}
    if spec.node_ports:
        kourier |= {"service-type": "NodePort", "http-port": HTTP_NODE_PORT, "https-port": HTTPS_NODE_PORT}
    return {
        "version": versions.KNATIVE_SERVING_VERSION,
        "ingress": {"kourier": kourier},
        "config": config(spec),
        "high-availability": {"replicas": spec.replicas},
        "workloads": list(_workloads(spec.node_selector)),
        # Knative wants 80 % of its pods at all times, which of one or two is all: no node could ever be drained.
        "podDisruptionBudgets": [{"name": name, "maxUnavailable": 1} for name in _BUDGETS],
        "registry": {"override": {"kourier-gateway": versions.KOURIER_GATEWAY_IMAGE}},
    }


def _workloads(node_selector: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    chosen = {"nodeSelector": dict(node_selector)} if node_selector else {}
    for workload in KNATIVE_DEPLOYMENTS:
        requests = {"cpu": f"{workload.cpu_millis}m", "memory": f"{workload.memory_mib}Mi"}
        yield {
            "name": workload.name,
            **chosen,
            "tolerations": [SYSTEM_NODE_TOLERATION],
            "resources": [{"container": workload.container, "requests": requests}],
        }
    for job in _JOBS:
        # Otherwise Karpenter would buy a node for each of them.
        yield {"name": job, **chosen, "tolerations": [SYSTEM_NODE_TOLERATION]}


def config(spec: ServingSpec) -> dict[str, dict[str, str]]:
    """Knative's config maps, without `config-` before their names; only what differs from Knative's defaults."""
    maps = {
        "features": {f"kubernetes.podspec-{feature}": "enabled" for feature in sorted(spec.features)},
        "autoscaler": {
            # Without these two `pulumi up` would buy a GPU for every model, to see it start once.
            "allow-zero-initial-scale": "true",
            "initial-scale": "0",
            # A model takes as many requests as it has contexts, not 70 % of that: one request would take two slots.
            "container-concurrency-target-percentage": "100",
            # The activator stays in the path: it holds what one pod cannot take yet, and hands it to the free one.
            "target-burst-capacity": "-1",
        },
        "deployment": {
            "progress-deadline": f"{REQUEST_SECONDS}s",
            # A pod that waits for Karpenter's node is no failed revision.
            "pod-is-always-schedulable": "true",
            # Karpenter takes a preference for an order: spread pods would get a GPU each.
            "default-affinity-type": "none",
            "digest-resolution-timeout": "30s",
            "queue-sidecar-cpu-request": f"{QUEUE_PROXY_ASKS.cpu_millis}m",
            "queue-sidecar-memory-request": f"{QUEUE_PROXY_ASKS.memory_mib}Mi",
            "queue-sidecar-memory-limit": "256Mi",
        },
        "defaults": {
            "max-revision-timeout-seconds": str(LONGEST_SECONDS),
            "revision-timeout-seconds": str(REQUEST_SECONDS),
            "revision-response-start-timeout-seconds": str(FIRST_BYTE_SECONDS),
        },
        "network": {"ingress-class": "kourier.ingress.networking.knative.dev"},
        # Envoy adds whom it has a request from to X-Forwarded-For. Behind a load balancer that is in the PROXY header:
        # the node's port would show a node's own address. It is for the outer listeners only (net-kourier
        # pkg/generator/caches.go).
        "kourier": {"use-remote-address": "true", **({"enable-proxy-protocol": "true"} if spec.node_ports else {})},
        # Old revisions have no pods; two are enough to go back to.
        "gc": {"min-non-active-revisions": "2", "max-non-active-revisions": "4"},
    }
    if spec.metrics:
        maps["observability"] = {"metrics-protocol": "prometheus"}
    if spec.domain:
        maps["domain"] = {spec.domain: ""}
        # One level below the domain, so that one certificate does. Names inside the cluster keep their namespace.
        maps["network"]["domain-template"] = "{{.Name}}.{{.Domain}}"
    if spec.tls_secret:
        maps["kourier"] |= {"certs-secret-name": spec.tls_secret, "certs-secret-namespace": NAMESPACE}
    return {name: values for name, values in maps.items() if values}


#: Kourier's port for requests from inside the cluster, and those for requests from outside (http, https).
INTERNAL_PORT: Final = 8081
EXTERNAL_PORTS: Final = (8080, 8443)
#: Of the figures of Knative's own parts (knative.dev/pkg observability/metrics/prometheus).
METRICS_PORT: Final = 9090


def doors(
    clients: Mapping[str, str], outside: str | None, watchers: Mapping[str, str] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Who may reach Kourier's gateway and the activator, behind which the models are: ingress rules by app.

    clients: labels of namespaces that may call services; outside: IPv4 range of the load balancer's requests; watchers:
    labels of namespaces that may ask the activator for its figures.
    """
    knative = {"from": [namespace_peer(NAMESPACE)]}
    from_clients = {
        "from": [{"namespaceSelector": {"matchLabels": dict(clients)}}],
        "ports": tcp(INTERNAL_PORT),
    }
    from_outside = {"from": [{"ipBlock": {"cidr": outside}}], "ports": tcp(*EXTERNAL_PORTS)}
    figures = {
        "from": [{"namespaceSelector": {"matchLabels": dict(watchers or {})}}],
        "ports": tcp(METRICS_PORT),
    }
    return {
        "3scale-kourier-gateway": [knative, from_clients, *([from_outside] if outside else [])],
        "activator": [knative, *([figures] if watchers else [])],
    }
