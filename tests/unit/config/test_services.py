"""What models come to as services: names, pods, memory, hours."""

from __future__ import annotations

from typing import Any

import pytest

from config.schema import Model, StackConfig
from config.services import max_scale, stack_services, tagged_name, warm_hours_per_month
from tests.unit.config.support import GONE, changed, parsed

PAIR = {
    "pools[0].sharing.replicas": 2,
    "models[1].server": "chat",
    "models[1].model": "qwen2.5:3b",
    "models[2].server": "chat",
}
WEEKDAYS = {"days": ["mon", "tue", "wed", "thu", "fri"], "start": "08:00", "end": "18:00"}


def config(**changes: Any) -> StackConfig:
    return parsed(changed({"dialogue": GONE, **changes}))


def model(**values: Any) -> Model:
    return Model.model_validate({"name": "a", "pool": "p", **values})


@pytest.mark.parametrize(
    ("name", "tagged"),
    [
        ("mistral", "mistral:latest"),
        ("mistral:7b", "mistral:7b"),
        ("hf.co/acme/model", "hf.co/acme/model:latest"),
        ("registry:5000/acme/model", "registry:5000/acme/model:latest"),
        ("registry:5000/acme/model:1", "registry:5000/acme/model:1"),
    ],
)
def test_names_have_tags_as_ollama_shows_them(name: str, tagged: str) -> None:
    assert tagged_name(model(model=name)) == tagged


@pytest.mark.parametrize(
    ("values", "slots", "most"),
    [({}, 6, 2), ({}, 1, 1), ({"minScale": 4}, 6, 4), ({"maxScale": 1}, 6, 1), ({"minScale": 2, "maxScale": 5}, 6, 5)],
)
def test_pods_by_default(values: dict[str, Any], slots: int, most: int) -> None:
    assert max_scale(model(**values), slots) == most


def test_each_model_is_a_service_unless_they_share_a_server() -> None:
    assert [service.name for service in stack_services(config())] == ["mistral", "llama2", "llama3-2"]
    alone, together = stack_services(config(**PAIR))
    assert (alone.name, together.name) == ("mistral", "chat")
    assert [m.name for m in together.models] == ["llama2", "llama3-2"]
    single = stack_services(config(**{"models[1].model": "qwen2.5:3b", "pools[0].sharing.replicas": 2}))
    assert together.weights_mib == sum(service.weights_mib for service in single[1:])
    assert together.memory_mib == sum(service.memory_mib for service in single[1:])


def test_models_of_one_server_take_one_slot_of_a_dialogue() -> None:
    """Three names, two slots."""
    changes = {**PAIR, "pools[0].maxGpus": 1}
    assert parsed(changed(changes)).dialogue


def test_a_speaker_that_never_sleeps_holds_its_slot_already() -> None:
    assert parsed(changed({"pools[0].maxGpus": 1, "models[0].minScale": 1, "models[0].maxScale": 1})).dialogue


@pytest.mark.parametrize(
    ("warm", "hours"),
    [(None, 0), ({}, 730), (WEEKDAYS, 730 * 50 / 168), ({**WEEKDAYS, "days": ["sun"]}, 730 * 10 / 168)],
)
def test_warm_hours_of_a_month(warm: dict[str, Any] | None, hours: float) -> None:
    changes = {} if warm is None else {"pools[0].warm": warm}
    assert warm_hours_per_month(config(**changes).pools[0]) == pytest.approx(hours)
