"""Which containers of a plan may see GPUs: those with a slot, whatever the images of the others ask for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gpu.contract import CLAIM_LABEL
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
    """Containers, and those that run before them, of pods that may run on GPU nodes; claims as the policy adds them."""
    for resource in recording.resources:
        if resource.type.startswith("kubernetes:"):
            inputs = json.loads(json.dumps(resource.inputs, default=str))
            claims = [{"name": "gpu"}] if CLAIM_LABEL in json.dumps(inputs) else []
            for pod in filter(reaches_gpus, pods(inputs)):
                for container in [*pod.get("initContainers", []), *pod["containers"]]:
                    if claims and container in pod["containers"]:
                        container["resources"]["claims"] = claims
                    yield f"{resource.name}: {container['name']}", container


def has_gpu(container: dict[str, Any]) -> bool:
    """Whether it has a slot, or a claim of the pod's own or of the policy's, which names the container."""
    slots = any(key.startswith("nvidia.com/") for key in container["resources"].get("limits", {}))
    return slots or bool(container["resources"].get("claims"))


@pytest.mark.parametrize("name", [*STACKS, *VARIANTS])
def test_containers_without_a_slot_see_no_gpu(name: str, recorded: Callable[[str], Recording]) -> None:
    found = list(gpu_containers(recorded(name) if name in STACKS else varied(name)))
    assert len(found) >= 2
    values = {
        where: {each["name"]: each.get("value") for each in container.get("env", [])}.get(VARIABLE)
        for where, container in found
    }
    with_gpu = {where for where, container in found if has_gpu(container)}
    assert with_gpu
    # The device plugin sets it for those with a slot, and a value of the pod's own would win. NVIDIA's DRA driver needs
    # none.
    assert values == {where: None if where in with_gpu else "void" for where, _ in found}
