"""Ollama has no authentication: nothing public may lead to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gpu.contract import VISIBILITY_LABEL
from policy.framework import EnforcementLevel, Finding, Resource, Settings, Severity, Stack, StackRule
from policy.ollama import CHART_TYPES, OLLAMA_TYPES, PORT, servers
from policy.pods import PodTemplate
from policy.reading import Unknown, each, get, text, truthy

_SERVICE: Final = "kubernetes:core/v1:Service"
_INGRESS: Final = "kubernetes:networking.k8s.io/v1:Ingress"
_KNATIVE: Final = "kubernetes:serving.knative.dev/v1:Service"

_GATEWAY: Final = "kubernetes:gateway.networking.k8s.io/*:Gateway"
_LB_CONFIGURATION: Final = "kubernetes:gateway.k8s.aws/*:LoadBalancerConfiguration"
#: Routes by which a gateway, a mesh or another ingress controller leads to services.
_ROUTES: Final = (
    *(f"kubernetes:gateway.networking.k8s.io/*:{kind}Route" for kind in ("HTTP", "GRPC", "TCP", "TLS")),
    "kubernetes:networking.istio.io/*:VirtualService",
    "kubernetes:projectcontour.io/*:HTTPProxy",
    "kubernetes:traefik.io/*:IngressRoute",
)
_BACKENDS: Final = ("backendRefs", "destination", "services")
_NLB_SCHEME: Final = "service.beta.kubernetes.io/aws-load-balancer-scheme"
_NLB_INTERNAL: Final = "service.beta.kubernetes.io/aws-load-balancer-internal"
_ALB_SCHEME: Final = "alb.ingress.kubernetes.io/scheme"


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield every way from outside to an Ollama server."""
    pods = [server.pod for resource in stack.resources for server in servers(resource)]
    leading = {"ollama"}
    for resource in stack.of(_SERVICE, f"{_SERVICE}Patch"):
        props = resource.plain
        if _leads_to_ollama(props, pods):
            leading.add(text(get(props, "metadata", "name")) or resource.name)
            spec = props.get("spec")
            kind = spec if isinstance(spec, Unknown) else get(spec, "type")
            yield from _found(resource, _service_problem(props, "spec.type", kind))
    for resource in stack.of(_INGRESS, f"{_INGRESS}Patch"):
        props = resource.plain
        if _routes_to(props, leading):
            yield from _found(resource, _ingress_problem(props))
    gateways = {_name(gateway): gateway for gateway in stack.of(_GATEWAY)}
    schemes = {_name(one): get(one.plain, "spec", "scheme") for one in stack.of(_LB_CONFIGURATION)}
    for resource in stack.of(*_ROUTES):
        if _backends(resource.plain) & leading:
            parents = [gateways.get(text(get(one, "name"))) for one in each(get(resource.plain, "spec", "parentRefs"))]
            if not parents or not all(parent and _internal(parent.plain, schemes) for parent in parents):
                yield from _found(
                    resource, f"a route leads to Ollama: remove it, or let its Gateway say {_NLB_SCHEME}: internal."
                )
    for resource in stack.of(_KNATIVE, *CHART_TYPES):
        if any(True for _ in servers(resource)):
            knative = resource.type == _KNATIVE
            props = resource.plain
            yield from _found(resource, _knative_problem(props) if knative else _chart_problem(props))


def _name(resource: Resource) -> str:
    return text(get(resource.plain, "metadata", "name")) or resource.name


def _backends(value: Any) -> set[str]:
    """Services that a route names, whatever its kind calls them (Gateway API, Istio, Contour, Traefik)."""
    if isinstance(value, Mapping):
        named = {name for key in _BACKENDS for one in each(value.get(key)) for name in _backends_of(one)}
        return named.union(*map(_backends, value.values()))
    return set().union(*map(_backends, value)) if isinstance(value, list) else set()


def _backends_of(one: Any) -> set[str]:
    return {text(get(one, "name")), text(get(one, "host")).partition(".")[0]} - {""}


def _internal(gateway: Mapping[str, Any], schemes: Mapping[str, Any]) -> bool:
    """Whether a Gateway says that it is for the inside (AWS Load Balancer Controller, Envoy Gateway, Istio)."""
    spec = gateway.get("spec")
    reference = text(get(spec, "infrastructure", "parametersRef", "name"))
    if reference in schemes:
        return text(schemes[reference]) == "internal"
    annotations = (get(spec, "infrastructure", "annotations"), get(gateway, "metadata", "annotations"))
    return any(text(get(given, name)) == "internal" for given in annotations for name in (_NLB_SCHEME, _ALB_SCHEME))


def _found(resource: Resource, problem: str | None) -> Iterator[Finding]:
    if problem:
        yield Finding(problem, resource.urn)


def _leads_to_ollama(service: Mapping[str, Any], pods: list[PodTemplate]) -> bool:
    spec = service.get("spec")
    ports = [text(get(port, key)) for port in each(get(spec, "ports")) for key in ("port", "targetPort", "name")]
    if PORT in ports or "ollama" in ports:
        return True
    selector = spec if isinstance(spec, Unknown) else get(spec, "selector")
    if not selector:
        return False
    given = get(service, "metadata", "namespace")
    namespaces = {pod.namespace for pod in pods} if isinstance(given, Unknown) else {text(given) or "default"}
    return any(pod.namespace in namespaces and _selects(selector, pod.metadata.get("labels")) for pod in pods)


def _selects(selector: Any, labels: Any) -> bool:
    """Whether a selector may choose pods with these labels; what is not known may be anything."""
    if isinstance(selector, Unknown) or isinstance(labels, Unknown):
        return True
    found = labels if isinstance(labels, Mapping) else {}
    wanted = selector.items() if isinstance(selector, Mapping) else ()
    pairs = [(value, found.get(key)) for key, value in wanted]
    return bool(pairs) and all(a == b or isinstance(a, Unknown) or isinstance(b, Unknown) for a, b in pairs)


def _service_problem(manifest: Mapping[str, Any], path: str, kind: Any) -> str | None:
    if isinstance(kind, Unknown):
        return f"{path} must be a literal: this service leads to Ollama."
    annotations = get(manifest, "metadata", "annotations")
    # The older annotation counts only where the newer one says nothing (AWS Load Balancer Controller).
    scheme = get(annotations, _NLB_SCHEME)
    internal = truthy(get(annotations, _NLB_INTERNAL)) if scheme is None else text(scheme) == "internal"
    if text(kind) == "LoadBalancer" and not internal:
        return (
            f"a load balancer leads to Ollama: write {path} ClusterIP, or annotate {_NLB_SCHEME}: internal "
            "(whether a load balancer without it is public depends on the controller)."
        )
    if get(manifest, "spec", "externalIPs"):
        return "spec.externalIPs lead to Ollama from outside the cluster: remove them."
    return None


def _ingress_problem(manifest: Mapping[str, Any]) -> str | None:
    if text(get(manifest, "metadata", "annotations", _ALB_SCHEME)) == "internal":
        return None
    return f"an Ingress leads to Ollama: remove it, or annotate {_ALB_SCHEME}: internal."


def _routes_to(ingress: Mapping[str, Any], services: set[str]) -> bool:
    spec = ingress.get("spec")
    paths = [path for rule in each(get(spec, "rules")) for path in each(get(rule, "http", "paths"))]
    backends = [get(spec, "defaultBackend"), *(get(path, "backend") for path in paths)]
    named = {text(get(backend, "service", "name")) for backend in backends}
    ports = {text(get(backend, "service", "port", "number")) for backend in backends}
    return bool(named & services) or PORT in ports


def _knative_problem(props: Mapping[str, Any]) -> str | None:
    value = get(props, "metadata", "labels", VISIBILITY_LABEL)
    if isinstance(value, str) and value == "cluster-local":
        return None
    return (
        f"this Knative service gets a public route: write the label {VISIBILITY_LABEL}: cluster-local on the service."
    )


def _chart_problem(props: Mapping[str, Any]) -> str | None:
    values = props.get("values")
    if truthy(get(values, "ingress", "enabled")):
        problem = _ingress_problem({"metadata": {"annotations": get(values, "ingress", "annotations")}})
        if problem:
            return problem
    service = {"metadata": {"annotations": get(values, "service", "annotations")}}
    return _service_problem(service, "values.service.type", get(values, "service", "type"))


RULE = StackRule(
    name="ollama-not-public",
    title="Ollama is not public",
    description="No public load balancer, Ingress or Knative route may lead to an Ollama server.",
    why=(
        "Ollama's API has no authentication: whoever reaches it uses the GPU, pulls, pushes and deletes models, and "
        "before 0.17.1 reads the server's memory. 175,108 such servers stood open in January 2026 (SentinelLabs and "
        "Censys)."
    ),
    fix=(
        f"Keep it inside the cluster: ClusterIP services, and the label `{VISIBILITY_LABEL}: cluster-local` on Knative "
        "services. Put a gateway with authentication before it that forwards chat and generate alone."
    ),
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    types=tuple(
        dict.fromkeys(
            (
                *OLLAMA_TYPES,
                *(f"{kind}{end}" for kind in (_SERVICE, _INGRESS) for end in ("", "Patch")),
                *_ROUTES,
                _GATEWAY,
                _LB_CONFIGURATION,
            )
        )
    ),
    check=check,
)
