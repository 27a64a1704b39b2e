"""`slices init` offers only what the configuration takes, and what it writes says what was chosen."""

from __future__ import annotations

from itertools import combinations, islice

import pytest
import yaml

from config import choosing
from config.errors import ConfigError
from config.load import parse
from config.starter import MEANINGS, Choices, service_names, starter, starters, suggested, text
from gpu.catalog import FAMILIES, REGIONS, UNSUPPORTED_FAMILIES
from gpu.models import MODELS
from gpu.sharing import STRATEGIES
from tests.sweep import tried

PAIR = ("mistral:7b", "llama3.2:3b")


def values_in(content: str) -> tuple[str, dict[str, object]]:
    config = yaml.safe_load(content)["config"]
    region = config.pop("aws:region")
    return region, {key.removeprefix("gpu-slices:"): value for key, value in config.items()}


#: Of all regions in `make test-sweep`; here some, each with all that it is offered.
TRIED_REGIONS = [region for region in sorted(REGIONS) if region == "us-east-1" or tried(region, 4)]


@pytest.mark.parametrize("region", TRIED_REGIONS)
def test_what_is_offered_is_written_as_it_was_chosen_and_taken(region: str) -> None:
    made = list(starters(region, PAIR))
    assert made, "a region of the catalogue has a GPU for two small models"
    for each in made:
        assert values_in(text(each)) == (region, each.values)
        config = parse(each.values, stack="mine", region=region)
        assert config.dialogue is not None
        assert each.choices.strategy == "memory" or each.pool.max_slots >= 2


#: Of so many models the pools are sought for 20 seconds.
ALL = pytest.param(tuple(MODELS), marks=pytest.mark.parts)


@pytest.mark.parametrize("models", [*((name,) for name in MODELS), tuple(MODELS)[:9], ALL])
def test_any_model_is_held_by_something_or_by_nothing(models: tuple[str, ...]) -> None:
    for each in islice(starters("us-east-1", models), 4):
        assert values_in(text(each)) == ("us-east-1", each.values)
        assert each.pool.max_slots >= len(models)


@pytest.mark.parametrize(
    "families", list(combinations([name for name in FAMILIES if name not in UNSUPPORTED_FAMILIES], 2))
)
def test_two_families_go_into_one_pool_where_both_can(families: tuple[str, str]) -> None:
    for each in starters("us-west-2", PAIR, families):
        assert {kind.family for kind in each.pool.types} == set(families)
        most_gpus = max(kind.gpu_count for kind in each.pool.types)
        assert each.pool.max_gpus >= most_gpus, "a node of each can be bought"


def test_every_family_is_offered_somewhere_and_none_that_is_not_supported() -> None:
    def offered(family: str) -> bool:
        """Looks in one region that has the family, which is as good as another."""
        regions = sorted(region for kind in FAMILIES[family] for region in kind.zone_ids)
        return bool(regions) and next(starters(regions[0], PAIR, (family,)), None) is not None

    assert {family for family in FAMILIES if offered(family)} == FAMILIES.keys() - UNSUPPORTED_FAMILIES.keys()


def test_as_many_slots_as_models_and_fewer_where_they_would_be_too_small() -> None:
    def replicas(*models: str) -> int:
        made = starter(Choices(region="us-east-1", models=models, families=("g4dn",), strategy="mps"))
        return made.pool.slots_per_gpu

    assert replicas("llama3.2:1b", "qwen2.5:0.5b", "gemma2:2b") == 3
    assert replicas("mistral:7b", "llama3.2:3b", "gemma2:2b") == 2
    with pytest.raises(ConfigError, match=r"llama3\.1:70b needs .* GiB"):
        replicas("llama3.1:70b")


def test_claims_get_as_few_gpus_as_hold_them_and_are_offered_after_all_that_is_not_alpha() -> None:
    four = ("llama3.1:8b", "gemma2:9b", "qwen2.5:14b", "mistral:7b")
    for models, gpus in (PAIR, 1), (four, 2):
        made = starter(Choices(region="us-east-1", models=models, families=("g6",), strategy="memory"))
        assert made.values["pools"][0]["maxGpus"] == gpus
        assert "gpu-slices:examples: false" in text(made)
    assert list(MEANINGS)[-1] == "memory"


def test_a_mig_pool_has_the_smallest_partition_that_holds_the_models() -> None:
    def profile(model: str) -> object:
        made = starter(Choices(region="us-east-1", models=(model,), families=("p5",), strategy="mig"))
        return made.values["pools"][0]["sharing"]["profile"]

    assert profile("mistral:7b") == "1g.10gb"
    assert profile("phi4:14b") == "1g.20gb"


def test_the_suggestion_is_the_cheapest_node_without_graviton() -> None:
    best = suggested(list(starters("us-east-1", PAIR)))
    assert best is not None
    assert (best.choices.families, best.choices.strategy) == (("g4dn",), "time-slicing")
    assert suggested([]) is None


def test_strategies_are_those_that_there_are() -> None:
    assert MEANINGS.keys() == STRATEGIES.keys()


def test_services_are_called_by_their_model_and_by_its_tag_where_that_is_needed() -> None:
    assert service_names(["llama3.2:3b", "deepseek-r1:7b", "deepseek-r1:8b"]) == [
        "llama3-2",
        "deepseek-r1-7b",
        "deepseek-r1-8b",
    ]


def test_the_page_of_tables_is_fresh_and_has_every_family_and_model() -> None:
    page = choosing.page()
    assert choosing.TARGET.read_text(encoding="utf-8") == page, "run make docs"
    assert all(f"| `{model}` |" in page for model in MODELS)
    assert all(f"| `{family}`" in page for family in FAMILIES.keys() - UNSUPPORTED_FAMILIES.keys())
