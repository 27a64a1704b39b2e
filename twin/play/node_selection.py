"""Whether the scheduler lets a pod on a node by the labels that its node selector and its required affinity ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def selected(labels: Mapping[str, str], selector: Mapping[str, Any], affinity: Mapping[str, Any] | None = None) -> bool:
    """Whether a node with these labels is chosen (k8s.io/component-helpers scheduling/corev1/nodeaffinity).

    selector: a pod's `nodeSelector`. affinity: its `affinity`, of which only what is required of nodes counts; of its
    terms one is enough, and a term without expressions chooses nothing.
    """
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    required = ((affinity or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    terms = [term.get("matchExpressions") or () for term in required.get("nodeSelectorTerms") or ()]
    return any(term and all(_holds(labels, expression) for expression in term) for term in terms)


def _holds(labels: Mapping[str, str], expression: Mapping[str, Any]) -> bool:
    given = labels.get(str(expression.get("key")))
    values: Sequence[str] = expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return given in values
        case "NotIn":
            return given not in values
        case "Exists":
            return given is not None
        case "DoesNotExist":
            return given is None
        case "Gt":
            return given is not None and int(given) > int(values[0])
        case "Lt":
            return given is not None and int(given) < int(values[0])
        case _:
            return False
