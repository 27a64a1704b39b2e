"""KnativeServing: what puts a model to sleep and wakes it with the first request. No pod of a model runs before that.

Its own pods stay on the system nodes: the activator holds requests while a GPU node starts, and must not be lost with a
Spot node meanwhile. It adds no node and so nothing to the idle floor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pulumi

import versions
from components.arguments import Arguments
from components.cluster.system_nodes import SYSTEM_NODE_LABEL
from components.options import child_options
from components.pods import restricted_admission
from components.sdk import k8s
from components.serving.knative_config import (
    NAMESPACE,
    OPERATOR_NAMESPACE,
    Feature,
    ServingSpec,
    doors,
    operator_values,
    serving_spec,
)
from components.serving.network_policy import network_policy
from gpu.contract import METRICS_CLIENT_LABEL, MODELS_CLIENT_LABEL

_TIMEOUTS = pulumi.CustomTimeouts(create="15m", update="15m", delete="15m")
#: Namespaces with this label may send requests to models.
CLIENT_LABEL = {MODELS_CLIENT_LABEL: "true"}
_WATCHERS = {METRICS_CLIENT_LABEL: "true"}


@dataclass(frozen=True, kw_only=True)
class KnativeServingArgs(Arguments):
    """Inputs of `KnativeServing`.

    features: pod fields behind feature flags that its services use; no others are allowed.
    replicas: pods of each part of the control plane.
    domain: domain of services that people reach from outside the cluster; None where there are none.
    tls_secret: Secret in `knative-serving` with the domain's certificate; None where the load balancer has it, or none.
    metrics: whether its parts have figures for Prometheus, for namespaces with the label `gpu-slices/metrics-client`.
    vpc_cidr: range from which the load balancer's requests come; only with a domain.
    node_selector: labels of the nodes that its own pods run on, which Karpenter must not take away: the activator holds
    requests while a GPU node starts. Empty: any node without a taint, or with `CriticalAddonsOnly`.
    """

    features: Collection[Feature]
    replicas: int = 2
    domain: str | None = None
    tls_secret: str | None = None
    metrics: bool = False
    vpc_cidr: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=lambda: dict(SYSTEM_NODE_LABEL))


class KnativeServing(pulumi.ComponentResource):
    """Knative's operator, and Knative Serving with Kourier. Needs a Kubernetes provider.

    Services must depend on `ready`: they go before it, it before the operator.
    """

    ready: pulumi.Resource

    def __init__(self, name: str, args: KnativeServingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:KnativeServing", name, None, opts)
        operator = self._operator(f"{name}-operator", args, opts)
        namespace = _namespace(f"{name}-namespace", NAMESPACE, child_options(self, opts))
        # Requests for models pass Kourier and the activator: who may not reach these may not reach any model.
        policies = [
            network_policy(
                f"{name}-{app}",
                app,
                NAMESPACE,
                {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"], "ingress": ingress},
                pulumi.ResourceOptions(parent=self, depends_on=[namespace]),
            )
            for app, ingress in doors(CLIENT_LABEL, args.vpc_cidr, _WATCHERS if args.metrics else None).items()
        ]
        self.ready = k8s.apiextensions.CustomResource(
            f"{name}-serving",
            api_version=versions.KNATIVE_OPERATOR_API,
            kind="KnativeServing",
            metadata={
                "name": NAMESPACE,
                "namespace": NAMESPACE,
                "annotations": {"pulumi.com/waitFor": "condition=Ready"},
            },
            spec=serving_spec(
                ServingSpec(
                    replicas=args.replicas,
                    features=args.features,
                    node_ports=args.domain is not None,
                    domain=args.domain,
                    tls_secret=args.tls_secret,
                    metrics=args.metrics,
                    node_selector=args.node_selector,
                )
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[operator, namespace, *policies],
                custom_timeouts=_TIMEOUTS,
            ),
        )
        self.register_outputs({})

    def _operator(
        self, name: str, args: KnativeServingArgs, opts: pulumi.ResourceOptions | None
    ) -> k8s.helm.v3.Release:
        """The operator's chart, in a namespace of its own."""
        namespace = _namespace(f"{name}-namespace", OPERATOR_NAMESPACE, child_options(self, opts))
        return k8s.helm.v3.Release(
            name,
            name="knative-operator",
            namespace=OPERATOR_NAMESPACE,
            chart=versions.KNATIVE_OPERATOR_CHART.chart,
            version=versions.KNATIVE_OPERATOR_CHART.version,
            repository_opts=k8s.helm.v3.RepositoryOptsArgs(repo=versions.KNATIVE_OPERATOR_CHART.repo),
            values=operator_values(args.node_selector),
            atomic=True,
            max_history=5,
            timeout=600,
            opts=pulumi.ResourceOptions.merge(
                child_options(self, opts, namespace), pulumi.ResourceOptions(custom_timeouts=_TIMEOUTS)
            ),
        )


def _namespace(name: str, namespace: str, opts: pulumi.ResourceOptions) -> k8s.core.v1.Namespace:
    return k8s.core.v1.Namespace(name, metadata={"name": namespace, "labels": restricted_admission()}, opts=opts)
