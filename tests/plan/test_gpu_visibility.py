"""Which containers of a plan may see GPUs: those with a slot, whatever the images of the others ask for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from plan.record import Recording
from tests.plan.conftest import STACKS
from tests.plan.variants import VARIANTS, varied

GPU_TAINT = "nvidia.com/gpu"
VARIABLE = "NVIDIA_VISIBLE_DEVICES"


def pods(value: Any) -> Iterator[dict[str, Any]]:
    """Every pod specification anywhere in an object."""
    if isinstance(value, dict):
        if isinstance(value.get("containers"), list):
            yield value
        for each in value.values():
            yield from pods(each)
    elif isinstance(value, list):
        for each in value:
            yield from pods(each)


def reaches_gpus(pod: dict[str, Any]) -> bool:
    """Whether it tolerates the taint of our GPU nodes."""
    return any(each.get("key") in (GPU_TAINT, None) for each in pod.get("tolerations", []))


def gpu_containers(recording: Recording) -> Iterator[tuple[str, dict[str, Any]]]:
    """Containers, and those that run before them, of pods that may run on GPU nodes."""
    for resource in recording.resources:
        if resource.type.startswith("kubernetes:"):
            for pod in filter(reaches_gpus, pods(json.loads(json.dumps(resource.inputs, default=str)))):
                for container in [*pod.get("initContainers", []), *pod["containers"]]:
                    yield f"{resource.name}: {container['name']}", container


@pytest.mark.parametrize("name", [*STACKS, *VARIANTS])
def test_containers_without_a_slot_see_no_gpu(name: str, recorded: Callable[[str], Recording]) -> None:
    found = list(gpu_containers(recorded(name) if name in STACKS else varied(name)))
    assert len(found) >= 2
    values = {
        where: {each["name"]: each.get("value") for each in container.get("env", [])}.get(VARIABLE)
        for where, container in found
    }
    with_slot = {
        where for where, c in found if any(key.startswith("nvidia.com/") for key in c["resources"].get("limits", {}))
    }
    assert with_slot
    # The device plugin sets it for those with a slot, and a value of the pod's own would win.
    assert values == {where: None if where in with_slot else "void" for where, _ in found}
