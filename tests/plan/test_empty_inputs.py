"""No resource has an empty map or list in its inputs: `pulumi up` would never come to rest.

The Kubernetes provider compares new inputs with the live object, as a merge patch (pulumi-kubernetes 4.34.2,
`provider.go` Diff, `inputPatch`). For the kinds it knows it first drops what the API server would drop
(`normalizeInputs`); for custom resources it does not. The API server drops empty `labels` and `annotations` of any
object, and a controller that writes an object drops empty fields of its own, so that an empty map is added at every
update. What is empty says nothing, but for the places below.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from plan.record import Recording
from policy.framework import matches
from tests.plan.conftest import STACKS
from tests.plan.variants import VARIANTS, varied

#: Type and place of what means something by being empty, and what that is.
MEANT: Final = {
    ("kubernetes:networking.k8s.io/v1:NetworkPolicy", "spec.podSelector"): "all pods of the namespace",
    ("kubernetes:apps/v1:Deployment", "spec.template.spec.volumes.emptyDir"): "a folder without a limit of its own",
    ("kubernetes:batch/v1:Job", "spec.template.spec.volumes.emptyDir"): "the same",
    ("kubernetes:batch/v1:CronJob", "spec.jobTemplate.spec.template.spec.volumes.emptyDir"): "the same",
    ("kubernetes:serving.knative.dev/v1:Service", "spec.template.spec.volumes.emptyDir"): (
        "the same, and Knative keeps it (`test_knative_judge`)"
    ),
    ("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "ingress"): (
        "no rules, also not those that somebody adds: left out, the provider takes over what it finds"
    ),
    ("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "egress"): "the same in the other direction",
}


def empty(value: Any, path: str = "") -> Iterator[str]:
    """Places of empty maps and lists, their indices left out."""
    if isinstance(value, dict):
        if not value:
            yield path
        for key, element in value.items():
            yield from empty(element, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        if not value:
            yield path
        for element in value:
            yield from empty(element, path)


def unmeant(recording: Recording) -> list[str]:
    return [
        f"{resource.type} {resource.name}: {place}"
        for resource in recording.resources
        for name, value in resource.inputs.items()
        for place in empty(value, name)
        if not any(matches((type_,), resource.type) and matches((where,), place) for type_, where in MEANT)
    ]


@pytest.mark.parametrize("stack", STACKS)
def test_no_stack_has_an_empty_map_or_list(stack: str, recorded: Callable[[str], Recording]) -> None:
    assert unmeant(recorded(stack)) == []


@pytest.mark.parametrize("name", VARIANTS)
def test_no_variant_has_an_empty_map_or_list(name: str) -> None:
    assert unmeant(varied(name)) == []


def test_every_place_that_may_be_empty_is_somewhere(recorded: Callable[[str], Recording]) -> None:
    found = [
        (resource.type, place)
        for recording in (*(recorded(stack) for stack in STACKS), *(varied(name) for name in VARIANTS))
        for resource in recording.resources
        for place in empty(dict(resource.inputs))
    ]
    unused = [
        meant
        for meant in MEANT
        if not any(matches((meant[0],), type_) and matches((meant[1],), place) for type_, place in found)
    ]
    assert unused == []
