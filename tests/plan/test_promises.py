"""What a model's pod is told that it may take of a GPU: what its models need at least, and no more than pods have."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from config.services import stack_services
from plan.make import stack_config
from plan.project import find_project, load_stack
from plan.record import Recording
from tests.plan.conftest import ROOT, STACKS
from tests.plan.knative import SERVICE


@pytest.mark.parametrize("stack", [*STACKS, "memory"])
def test_each_model_may_take_what_it_needs_and_no_more_than_there_is(
    stack: str, recorded: Callable[[str], Recording]
) -> None:
    config = stack_config(load_stack(find_project(ROOT), stack))
    services = {each.inputs["metadata"]["name"]: each.inputs for each in recorded(stack).of_type(SERVICE)}
    assert config.models
    for service in stack_services(config):
        (container,) = services[service.name]["spec"]["template"]["spec"]["containers"]
        promised = next(int(each["value"]) for each in container["env"] if each["name"] == "PROMISED_MIB")
        pool = config.gpu_pools[service.first.pool]
        assert service.memory_mib <= promised <= pool.slot_memory_mib
        if pool.claims:
            # Its part of what the driver keeps is in the claim, and not in the promise.
            label = services[service.name]["spec"]["template"]["metadata"]["labels"]["gpu-slices/gpu-memory-mib"]
            assert promised < int(label)
