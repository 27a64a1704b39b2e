"""A claim of GPU memory is one pod's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pulumi_policy.proxy import UnknownValueError

from gpu.contract import MAX_SCALE_ANNOTATION
from policy.dra import CLAIM_TYPES, DEVICE_CLASS_TYPES, device_classes, requests
from policy.framework import EnforcementLevel, Finding, Resource, Settings, Severity, Stack, StackRule, by_resource
from policy.pods import PATCH_TYPES, POD_TYPES, pod_templates
from policy.reading import Unknown, get, literals, text, whole
from policy.sharing import NODE_CLASS_TYPES, claims_of

_CLAIM: Final = CLAIM_TYPES[1]
#: What makes the pods of another object more by itself.
_SCALERS: Final = ("kubernetes:autoscaling/*:HorizontalPodAutoscaler", "kubernetes:keda.sh/*:ScaledObject")
#: Numbers of pods in objects that make them (Kubernetes, JobSet, LeaderWorkerSet, scalers).
_COUNTS: Final = frozenset({"replicas", "parallelism", "size", "maxReplicas", "maxReplicaCount"})
#: Kinds that have several pods by their nature: one on each node, or as many as requests need.
_SEVERAL: Final = (":DaemonSet", ":DaemonSetPatch")
_SERVING: Final = "kubernetes:serving.knative.dev/"

Names = tuple[Any, Any]
"""Namespace and name of an object; what is not known may be any."""


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield pods that share a claim of GPU memory with others."""
    if not any(claims_of(resource.plain) == "memory" for resource in stack.of(*NODE_CLASS_TYPES)):
        return
    claims, scaled = _claims(stack), [_target(resource) for resource in stack.of(*_SCALERS)]
    users: list[tuple[Names, Resource]] = []

    def of(resource: Resource) -> Iterator[Finding]:
        several = _several(resource) or any(_alike(_names(resource), one) for one in scaled)
        for name in _named_claims(resource):
            if isinstance(name, Unknown):
                yield Finding(
                    f"{name.path} must be a literal, so that it can be seen who shares a claim.", resource.urn
                )
            elif any(_alike((_names(resource)[0], name), one) for one in claims):
                if several:
                    yield Finding(f"several of its pods share claim {name}{_REMEDY}", resource.urn)
                else:
                    users.append(((_names(resource)[0], name), resource))

    yield from by_resource(stack.of(*POD_TYPES, *PATCH_TYPES), of)
    for claim, resource in users:
        others = {one.name for name, one in users if _alike(name, claim) and _identity(one) != _identity(resource)}
        if others:
            who = "other pods of the same object" if others == {resource.name} else ", ".join(sorted(others))
            yield Finding(f"shares claim {claim[1]} with {who}{_REMEDY}", resource.urn)


_REMEDY: Final = (
    ": they are all on one GPU, within the memory that was promised once. Name a ResourceClaimTemplate "
    "(`resourceClaimTemplateName`), of which each pod gets a claim of its own."
)


def _named_claims(resource: Resource) -> Iterator[Any]:
    """Claims that its pods name, each once."""
    entries = [entry for pod in pod_templates(resource) for entry in literals(pod.spec, "resourceClaims")]
    found = (entry.get("resourceClaimName") for entry in entries if isinstance(entry, Mapping))
    yield from dict.fromkeys(name if isinstance(name, Unknown) else text(name) for name in found if name is not None)


def _claims(stack: Stack) -> list[Names]:
    """The claims of NVIDIA's GPUs, and those of which it is not known; templates make one for each pod."""
    classes = device_classes(stack)
    found = []
    for resource in stack.of(_CLAIM):
        try:
            with_gpus = any(one.device_class in classes and not one.admin for one in requests(resource))
        except UnknownValueError:  # gpu-claims-say-memory says so
            with_gpus = True
        if with_gpus:
            found.append(_names(resource))
    return found


def _names(resource: Resource) -> Names:
    about = resource.plain.get("metadata")
    if isinstance(about, Unknown):
        return about, about
    return get(about, "namespace") or "default", get(about, "name") or resource.name


def _alike(one: Names, other: Names) -> bool:
    """Whether two names may be the same object's."""
    pairs = zip(one, other, strict=True)
    return all(isinstance(a, Unknown) or isinstance(b, Unknown) or text(a) == text(b) for a, b in pairs)


def _identity(resource: Resource) -> object:
    """What makes pods, as one with what is laid over it."""
    name = text(get(resource.plain, "metadata", "name"))
    return (resource.type.removesuffix("Patch"), *_names(resource)) if name else resource.urn


def _target(scaler: Resource) -> Names:
    """What a scaler makes more of; of nothing where it makes one at most."""
    given = scaler.plain
    most = [whole(get(given, "spec", name)) for name in ("maxReplicas", "maxReplicaCount")]
    name = "" if 1 in most else text(get(given, "spec", "scaleTargetRef", "name"))
    return get(given, "metadata", "namespace") or "default", name


def _several(resource: Resource) -> bool:
    """Whether a resource may have more than one pod at a time; a number that is not known may be more than one."""
    if resource.type.endswith(_SEVERAL):
        return True
    if resource.type.startswith(_SERVING):
        pods = pod_templates(resource)
        annotations = (one.metadata.get("annotations") for one in pods)
        return any(whole(get(given, MAX_SCALE_ANNOTATION)) != 1 for given in annotations)
    return _counts(resource.plain.get("spec"))


def _counts(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(
            (isinstance(element, Unknown) or (whole(element) or 0) > 1)
            if key in _COUNTS
            else key not in {"containers", "initContainers", "volumes"} and _counts(element)
            for key, element in value.items()
        )
    return isinstance(value, list) and any(map(_counts, value))


RULE = StackRule(
    name="gpu-claim-for-one-pod",
    title="A claim of GPU memory is one pod's",
    description=(
        "Where an EC2NodeClass says that claims share the memory of its GPUs, no two pods may name the same "
        "ResourceClaim for NVIDIA's GPUs."
    ),
    why=(
        "A ResourceClaim is allocated once, and reserved for up to 256 pods (`ResourceClaimReservedForMaxSize` of "
        "resource.k8s.io): the scheduler puts all of them on the node of its device, where they share the memory that "
        "one of them was promised, and nothing keeps them apart. Nine pods of 6Gi each take 54Gi of a GPU whose other "
        "claims were counted with 6. Other nodes stay empty while these pods wait for room on one."
    ),
    fix=(
        "Write the request as a ResourceClaimTemplate, and name it by `resourceClaimTemplateName`: each pod then has a "
        "claim of its own. Containers of one pod may share its claim."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(*NODE_CLASS_TYPES, *CLAIM_TYPES, *DEVICE_CLASS_TYPES, *_SCALERS, *POD_TYPES, *PATCH_TYPES),
    check=check,
)
