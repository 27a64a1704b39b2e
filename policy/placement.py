"""Which nodes pods may have by labels: node selectors and required node affinity, held against what is known of nodes.

As the scheduler reads them (k8s.io/component-helpers scheduling/corev1/nodeaffinity): of terms one is enough, of a term
all expressions must be true, and a term that says nothing selects nothing. What is not known may be what fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from gpu.contract import NODE_POOL_LABEL
from policy.instances import Label
from policy.karpenter import NodePool, Requirement, admits, requirements_of
from policy.reading import Unknown, each, text

Labels = Callable[[str], Label]
"""Values that a node may have of a label: none known (`()`), or no such label (None)."""

#: Domains of labels that Karpenter, the kubelet, clouds and NVIDIA's discovery fill in; of others a node has what its
#: pool says.
DISCOVERED: Final = (
    *("kubernetes.io", "k8s.io", "karpenter.sh", "k8s.aws", "amazonaws.com", "csi.aws.com", "eksctl.io"),
    "nvidia.com",
)
_REQUIRED: Final = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")


def admitted(spec: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a node with such labels may be one that a pod's specification, or a chart's values, select.

    spec: what has `nodeSelector` and `affinity`.
    """
    return all(_meets(one, labels) for one in _selector(spec)) and _affinity(spec, labels)


def keys(spec: Mapping[str, Any]) -> Iterator[Requirement]:
    """What a specification asks of a node's labels: its selector, and every expression of its required affinity."""
    yield from _selector(spec)
    for term in each(_terms(spec)):
        if isinstance(term, Mapping):
            yield from requirements_of(term.get("matchExpressions"))


def _selector(spec: Mapping[str, Any]) -> Iterator[Requirement]:
    selector = spec.get("nodeSelector")
    for key, value in selector.items() if isinstance(selector, Mapping) else ():
        yield Requirement(str(key), "In", None if isinstance(value, Unknown) else (text(value),))


def _terms(spec: Mapping[str, Any]) -> Any:
    here: Any = spec
    for key in (*_REQUIRED, "nodeSelectorTerms"):
        here = here.get(key) if isinstance(here, Mapping) else here if isinstance(here, Unknown) else None
    return here


def _affinity(spec: Mapping[str, Any], labels: Labels) -> bool:
    terms = _terms(spec)
    if terms is None or isinstance(terms, Unknown) or not [*each(terms)]:
        return True
    return any(_term(term, labels) for term in each(terms))


def _term(term: Any, labels: Labels) -> bool:
    if not isinstance(term, Mapping):
        return True
    given = (term.get("matchExpressions"), term.get("matchFields"))
    if any(isinstance(one, Unknown) for one in given):
        return True
    # A field is the name of one node: which, nobody knows here.
    return any(given) and all(_meets(one, labels) for one in requirements_of(given[0]))


def _meets(asked: Requirement, labels: Labels) -> bool:
    return asked.values is None or admits(asked.operator, asked.values, labels(asked.key))


def on_pool(pool: NodePool) -> Labels:
    """Labels of a pool's nodes: its name, what its template declares and its requirements leave."""

    def labels(key: str) -> Label:
        if pool.lacks(key):
            return None
        if key == NODE_POOL_LABEL:
            name = pool.label(key)
            return (name,) if name else ()
        if key in pool.given_labels:
            given = pool.given_labels[key]
            return () if isinstance(given, Unknown) else (text(given),) if given is not None else None
        found = pool.values_of(key)
        return None if found is None and not _discovered(key) else found or ()

    return labels


def _discovered(key: str) -> bool:
    domain = key.partition("/")[0]
    return any(domain == one or domain.endswith(f".{one}") for one in DISCOVERED)
