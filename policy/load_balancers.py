"""Whether a load balancer is for the Internet or the inside: by annotations, or by objects that admins keep.

AWS Load Balancer Controller: an IngressClass names an IngressClassParams, whose scheme wins over the annotation
(docs/guide/ingress/ingress_class.md); a Gateway, or its class, names a LoadBalancerConfiguration
(docs/guide/gateway/loadbalancerconfig.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from policy.framework import Resource, Stack
from policy.reading import each, get, text

PUBLIC: Final = "internet-facing"
INTERNAL: Final = "internal"

INGRESS: Final = "kubernetes:networking.k8s.io/v1:Ingress"
GATEWAY: Final = "kubernetes:gateway.networking.k8s.io/*:Gateway"
_INGRESS_CLASS: Final = "kubernetes:networking.k8s.io/v1:IngressClass"
_CLASS_PARAMS: Final = "kubernetes:elbv2.k8s.aws/*:IngressClassParams"
_GATEWAY_CLASS: Final = "kubernetes:gateway.networking.k8s.io/*:GatewayClass"
_CONFIGURATION: Final = "kubernetes:gateway.k8s.aws/*:LoadBalancerConfiguration"
SCHEME_TYPES: Final = (_INGRESS_CLASS, _CLASS_PARAMS, _GATEWAY_CLASS, _CONFIGURATION)
"""Objects by which Ingresses and Gateways are for the Internet, or not."""

#: Beginnings of annotations (docs/guide/service/annotations.md, its counterpart for ingress).
NLB: Final = "service.beta.kubernetes.io/aws-load-balancer-"
ALB: Final = "alb.ingress.kubernetes.io/"

Specs = Mapping[str, Any]
"""`spec` of objects by name."""


@dataclass(frozen=True)
class Schemes:
    """What the stack's classes and configurations say."""

    ingress_classes: Specs = field(default_factory=dict)
    class_params: Specs = field(default_factory=dict)
    gateway_classes: Specs = field(default_factory=dict)
    configurations: Specs = field(default_factory=dict)

    def params(self, ingress: Mapping[str, Any]) -> Any:
        """`spec` of the IngressClassParams that hold for an Ingress; None where the stack has none."""
        named = get(ingress, "spec", "ingressClassName")
        given = get(ingress, "metadata", "annotations", "kubernetes.io/ingress.class") if named is None else named
        reference = get(self.ingress_classes.get(text(given)), "parameters")
        ours = text(get(reference, "kind")) == "IngressClassParams"
        return self.class_params.get(text(get(reference, "name"))) if ours else None

    def of_ingress(self, ingress: Mapping[str, Any]) -> str:
        """Scheme of an Ingress; empty where nothing is said."""
        kept = text(get(self.params(ingress), "scheme"))
        return kept or text(get(ingress, "metadata", "annotations", f"{ALB}scheme"))

    def of_gateway(self, gateway: Mapping[str, Any]) -> str:
        """Scheme of a Gateway; empty where nothing is said. Of two that differ the one for the Internet counts."""
        said = set(self._of_gateway(gateway)) - {""}
        return PUBLIC if PUBLIC in said else next(iter(sorted(said)), "")

    def _of_gateway(self, gateway: Mapping[str, Any]) -> Iterator[str]:
        spec = gateway.get("spec")
        given_class = self.gateway_classes.get(text(get(spec, "gatewayClassName")))
        for reference in (get(spec, "infrastructure", "parametersRef"), get(given_class, "parametersRef")):
            yield text(get(self.configurations.get(text(get(reference, "name"))), "scheme"))
        for given in (get(spec, "infrastructure", "annotations"), get(gateway, "metadata", "annotations")):
            for start in (NLB, ALB):
                yield text(get(given, f"{start}scheme"))


def schemes(stack: Stack) -> Schemes:
    """What the stack's classes and configurations say."""

    def specs(kind: str) -> Specs:
        return {_name(resource): get(resource.plain, "spec") for resource in stack.of(kind)}

    return Schemes(specs(_INGRESS_CLASS), specs(_CLASS_PARAMS), specs(_GATEWAY_CLASS), specs(_CONFIGURATION))


def has_certificates(params: Any) -> bool:
    """Whether IngressClassParams give every Ingress a certificate."""
    return any(True for _ in each(get(params, "certificateArn")))


def _name(resource: Resource) -> str:
    return text(get(resource.plain, "metadata", "name")) or resource.name
