"""What the Internet reaches speaks TLS: passwords and API keys pass there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity, matches
from policy.reading import each, get, present, text

_SERVICE: Final = "kubernetes:core/v1:Service"
_INGRESS: Final = "kubernetes:networking.k8s.io/v1:Ingress"
_GATEWAY: Final = "kubernetes:gateway.networking.k8s.io/*:Gateway"

#: Annotations of the AWS Load Balancer Controller (docs/guide/service/annotations.md, its counterpart for ingress).
_NLB: Final = "service.beta.kubernetes.io/aws-load-balancer-"
_ALB: Final = "alb.ingress.kubernetes.io/"
_PUBLIC: Final = "internet-facing"
#: Ports on which nothing but plain HTTP is expected, and those of TLS.
_HTTP_PORTS: Final = frozenset({"80", "8000", "8080"})
_TLS_PORTS: Final = frozenset({"443", "8443"})


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield a public way in that speaks HTTP and nowhere TLS."""
    props = resource.props
    if matches((_SERVICE, f"{_SERVICE}Patch"), resource.type):
        yield from _service(props)
    elif matches((_INGRESS, f"{_INGRESS}Patch"), resource.type):
        yield from _ingress(props)
    else:
        yield from _gateway(props)


def _service(props: Mapping[str, Any]) -> Iterator[str]:
    annotations = get(props, "metadata", "annotations")
    if text(get(annotations, f"{_NLB}scheme")) != _PUBLIC or text(get(props, "spec", "type")) != "LoadBalancer":
        return
    ports = list(each(get(props, "spec", "ports")))
    if not present(annotations, f"{_NLB}ssl-cert") and any(map(_is_http, ports)) and not any(map(_is_tls, ports)):
        yield (
            f"its load balancer is {_PUBLIC} and speaks plain HTTP: annotate {_NLB}ssl-cert with a certificate, or "
            f"{_NLB}scheme: internal."
        )


def _is_http(port: Any) -> bool:
    words = [text(get(port, key)) for key in ("name", "appProtocol")]
    plain = any(word.startswith("http") and not word.startswith("https") for word in words)
    return plain or text(get(port, "port")) in _HTTP_PORTS


def _is_tls(port: Any) -> bool:
    words = [text(get(port, key)) for key in ("name", "appProtocol")]
    return any(word.startswith(("https", "tls")) for word in words) or text(get(port, "port")) in _TLS_PORTS


def _ingress(props: Mapping[str, Any]) -> Iterator[str]:
    annotations = get(props, "metadata", "annotations")
    if text(get(annotations, f"{_ALB}scheme")) != _PUBLIC or present(props, "spec", "tls"):
        return
    # With a listener for HTTPS the controller finds the certificate by the hosts.
    listens = text(get(annotations, f"{_ALB}listen-ports"))
    if not present(annotations, f"{_ALB}certificate-arn") and "HTTPS" not in listens:
        yield (
            f"it is {_PUBLIC} and speaks plain HTTP: annotate {_ALB}certificate-arn, write spec.tls, or "
            f"{_ALB}scheme: internal."
        )


def _gateway(props: Mapping[str, Any]) -> Iterator[str]:
    given = (get(props, "spec", "infrastructure", "annotations"), get(props, "metadata", "annotations"))
    schemes = {text(get(annotations, f"{which}scheme")) for annotations in given for which in (_NLB, _ALB)}
    protocols = [text(get(listener, "protocol")) for listener in each(get(props, "spec", "listeners"))]
    if _PUBLIC in schemes and "HTTP" in protocols and not {"HTTPS", "TLS"} & {*protocols}:
        yield f"it is {_PUBLIC} and listens for plain HTTP alone: add a listener of protocol HTTPS, with a certificate."


RULE = ResourceRule(
    name="k8s-public-tls",
    title="What the Internet reaches speaks TLS",
    description=(
        "A Service, Ingress or Gateway that says `internet-facing` must not speak plain HTTP alone. HTTP beside HTTPS "
        "may be there to redirect."
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
    types=tuple(f"{kind}{end}" for kind in (_SERVICE, _INGRESS, _GATEWAY) for end in ("", "Patch")),
    check=check,
)
