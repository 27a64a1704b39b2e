"""What the Internet reaches speaks TLS: passwords and API keys pass there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from policy.framework import (
    EnforcementLevel,
    Finding,
    Resource,
    Settings,
    Severity,
    Stack,
    StackRule,
    by_resource,
    matches,
)
from policy.load_balancers import ALB, GATEWAY, INGRESS, NLB, PUBLIC, SCHEME_TYPES, Schemes, has_certificates, schemes
from policy.reading import each, get, present, text

_SERVICE: Final = "kubernetes:core/v1:Service"
_TYPES: Final = tuple(f"{kind}{end}" for kind in (_SERVICE, INGRESS, GATEWAY) for end in ("", "Patch"))

#: Ports on which nothing but plain HTTP is expected, and those of TLS.
_HTTP_PORTS: Final = frozenset({"80", "8000", "8080"})
_TLS_PORTS: Final = frozenset({"443", "8443"})


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield every public way in that speaks HTTP and nowhere TLS."""
    said = schemes(stack)

    def problems(resource: Resource) -> Iterator[Finding]:
        for message in _problems(resource, said):
            yield Finding(message, resource.urn)

    yield from by_resource(stack.of(*_TYPES), problems)


def _problems(resource: Resource, said: Schemes) -> Iterator[str]:
    props = resource.props
    if matches((_SERVICE, f"{_SERVICE}Patch"), resource.type):
        yield from _service(props)
    elif matches((INGRESS, f"{INGRESS}Patch"), resource.type):
        yield from _ingress(props, said)
    else:
        yield from _gateway(props, said)


def _service(props: Mapping[str, Any]) -> Iterator[str]:
    annotations = get(props, "metadata", "annotations")
    if text(get(annotations, f"{NLB}scheme")) != PUBLIC or text(get(props, "spec", "type")) != "LoadBalancer":
        return
    ports = list(each(get(props, "spec", "ports")))
    if not present(annotations, f"{NLB}ssl-cert") and any(map(_is_http, ports)) and not any(map(_is_tls, ports)):
        yield (
            f"its load balancer is {PUBLIC} and speaks plain HTTP: annotate {NLB}ssl-cert with a certificate, or "
            f"{NLB}scheme: internal."
        )


def _is_http(port: Any) -> bool:
    words = [text(get(port, key)) for key in ("name", "appProtocol")]
    plain = any(word.startswith("http") and not word.startswith("https") for word in words)
    return plain or text(get(port, "port")) in _HTTP_PORTS


def _is_tls(port: Any) -> bool:
    words = [text(get(port, key)) for key in ("name", "appProtocol")]
    return any(word.startswith(("https", "tls")) for word in words) or text(get(port, "port")) in _TLS_PORTS


def _ingress(props: Mapping[str, Any], said: Schemes) -> Iterator[str]:
    annotations = get(props, "metadata", "annotations")
    if said.of_ingress(props) != PUBLIC or present(props, "spec", "tls") or has_certificates(said.params(props)):
        return
    # With a listener for HTTPS the controller finds the certificate by the hosts.
    listens = text(get(annotations, f"{ALB}listen-ports"))
    if not present(annotations, f"{ALB}certificate-arn") and "HTTPS" not in listens:
        yield (
            f"it is {PUBLIC} and speaks plain HTTP: annotate {ALB}certificate-arn, write spec.tls, or "
            f"{ALB}scheme: internal."
        )


def _gateway(props: Mapping[str, Any], said: Schemes) -> Iterator[str]:
    protocols = [text(get(listener, "protocol")) for listener in each(get(props, "spec", "listeners"))]
    if said.of_gateway(props) == PUBLIC and "HTTP" in protocols and not {"HTTPS", "TLS"} & {*protocols}:
        yield f"it is {PUBLIC} and listens for plain HTTP alone: add a listener of protocol HTTPS, with a certificate."


RULE = StackRule(
    name="k8s-public-tls",
    title="What the Internet reaches speaks TLS",
    description=(
        "A Service, Ingress or Gateway that is `internet-facing`, by its own word or its class', must not speak plain "
        "HTTP alone. HTTP beside HTTPS may be there to redirect."
    ),
    why=(
        "Whoever is on the way reads what passes: prompts and answers, and the API key or password with which the next "
        "request is his. A page that is served so cannot keep anybody from changing it either."
    ),
    fix=(
        "Give the load balancer a certificate of ACM, or end TLS in the pods at port 443. What only one's own networks "
        "reach says `internal`."
    ),
    severity=Severity.HIGH,
    # TLS may end at something in front, such as CloudFront, which nobody sees here.
    level=EnforcementLevel.ADVISORY,
    types=(*_TYPES, *SCHEME_TYPES),
    check=check,
)
