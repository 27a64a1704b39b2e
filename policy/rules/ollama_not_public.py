"""Ollama has no authentication: nothing public may lead to it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from gpu.contract import VISIBILITY_LABEL
from policy.dra import RELEASE_TYPES
from policy.framework import EnforcementLevel, Finding, Resource, Settings, Severity, Stack, StackRule
from policy.load_balancers import ALB, GATEWAY, INGRESS, INTERNAL, NLB, SCHEME_TYPES, Schemes, schemes
from policy.ollama import OLLAMA_TYPES, PORT, servers
from policy.pods import PodTemplate
from policy.reading import Unknown, each, get, text, truthy

_SERVICE: Final = "kubernetes:core/v1:Service"
_KNATIVE: Final = "kubernetes:serving.knative.dev/v1:Service"

#: What hangs pods behind a load balancer that somebody else makes (AWS Load Balancer Controller).
_BINDING: Final = "kubernetes:elbv2.k8s.aws/*:TargetGroupBinding"
_LOAD_BALANCER: Final = "aws:lb/loadBalancer:LoadBalancer"
_LISTENERS: Final = ("aws:lb/listener:*", "aws:lb/listenerRule:*")
#: Routes by which a gateway, a mesh or another ingress controller leads to services.
_ROUTES: Final = (
    *(f"kubernetes:gateway.networking.k8s.io/*:{kind}Route" for kind in ("HTTP", "GRPC", "TCP", "TLS")),
    "kubernetes:networking.istio.io/*:VirtualService",
    "kubernetes:projectcontour.io/*:HTTPProxy",
    "kubernetes:traefik.io/*:IngressRoute",
)
_BACKENDS: Final = ("backendRefs", "destination", "services")
_NLB_SCHEME: Final = f"{NLB}scheme"
_NLB_INTERNAL: Final = f"{NLB}internal"
_ALB_SCHEME: Final = f"{ALB}scheme"


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
    said = schemes(stack)
    for resource in stack.of(INGRESS, f"{INGRESS}Patch"):
        props = resource.plain
        if _routes_to(props, leading):
            yield from _found(resource, _ingress_problem(props, said))
    yield from _bindings(stack, leading)
    gateways = [(_name(gateway), said.of_gateway(gateway.plain) == INTERNAL) for gateway in stack.of(GATEWAY)]
    # Of two with one name in two namespaces, both must be for the inside.
    inside = {name for name, internal in gateways if internal} - {name for name, internal in gateways if not internal}
    for resource in stack.of(*_ROUTES):
        parents = get(resource.plain, "spec", "parentRefs")
        if _backends(resource.plain) & leading and not _stays_inside(parents, inside):
            yield from _found(resource, _ROUTE_PROBLEM)
    for resource in stack.of(_KNATIVE, *RELEASE_TYPES):
        if any(True for _ in servers(resource)):
            knative = resource.type == _KNATIVE
            props = resource.plain
            yield from _found(resource, _knative_problem(props) if knative else _chart_problem(props, inside, said))


def _stays_inside(parents: Any, inside: Collection[str]) -> bool:
    """Whether a route hangs on gateways for the inside alone."""
    names = [text(get(one, "name")) for one in each(parents)]
    return bool(names) and all(name in inside for name in names)


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


def _bindings(stack: Stack, leading: Collection[str]) -> Iterator[Finding]:
    """Pods behind a target group, unless every load balancer that may stand before it is internal."""
    for resource in stack.of(_BINDING):
        reference = get(resource.plain, "spec", "serviceRef")
        if text(get(reference, "name")) in leading or text(get(reference, "port")) == PORT:
            before = _balancers_before(resource, stack)
            if not before or not all(truthy(get(one.plain, "internal")) for one in before):
                yield Finding(_BINDING_PROBLEM, resource.urn)


def _balancers_before(binding: Resource, stack: Stack) -> list[Resource]:
    """Load balancers whose listeners, or these listeners' rules, take the target group; all where none is found."""
    joined = set(binding.dependencies)
    listeners = list(stack.of(*_LISTENERS))
    for _ in range(2):  # a rule takes the group and its listener, the listener its load balancer
        joined |= {urn for one in listeners if joined & {one.urn, *one.dependencies} for urn in one.dependencies}
    balancers = list(stack.of(_LOAD_BALANCER))
    return [one for one in balancers if one.urn in joined] or balancers


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


def _ingress_problem(manifest: Mapping[str, Any], said: Schemes) -> str | None:
    if said.of_ingress(manifest) == INTERNAL:
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


_BINDING_PROBLEM: Final = (
    "a target group leads to Ollama, and a load balancer before it may be public: remove it, or make the load "
    "balancers of this program internal."
)
_ROUTE_PROBLEM: Final = f"a route leads to Ollama: remove it, or let its Gateway say {_NLB_SCHEME}: internal."


def _chart_problem(props: Mapping[str, Any], inside: Collection[str], said: Schemes) -> str | None:
    """What otwld/ollama-helm 1.77 lets in. Its Knative service has no labels but the chart's own."""
    values = props.get("values")
    if truthy(get(values, "knative", "enabled")):
        return "values.knative.enabled gives Ollama a public route, and the chart has no label against it: remove it."
    if truthy(get(values, "httpRoute", "enabled")):
        own = {"metadata": {"annotations": get(values, "gateway", "annotations")}}
        parents = get(values, "httpRoute", "parentRefs")
        has_own = truthy(get(values, "gateway", "enabled"))
        stays = said.of_gateway(own) == INTERNAL if has_own else _stays_inside(parents, inside)
        if not stays:
            return _ROUTE_PROBLEM
    if truthy(get(values, "ingress", "enabled")):
        given = {"ingressClassName": get(values, "ingress", "className")}
        own = {"metadata": {"annotations": get(values, "ingress", "annotations")}, "spec": given}
        problem = _ingress_problem(own, said)
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
                *(f"{kind}{end}" for kind in (_SERVICE, INGRESS) for end in ("", "Patch")),
                *_ROUTES,
                GATEWAY,
                *SCHEME_TYPES,
                _BINDING,
                _LOAD_BALANCER,
                *_LISTENERS,
            )
        )
    ),
    check=check,
)
