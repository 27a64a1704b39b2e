"""Tables over our own closed sets have a row for each member; what is matched ends in `assert_never` (mypy)."""

import importlib
import inspect
import pkgutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_args

import pytest

import versions
from account import preflight, teardown
from account.preflight import offers, quotas
from account.teardown.kinds import Kind
from account.teardown.table import KINDS
from config import pool_schema, wording
from gpu import coldstart, estimate, prices
from gpu.catalog import INSTANCE_TYPES
from gpu.sharing import AMIS, STRATEGIES, Ami, SharingProfile, Strategy
from gpu.weights import WEIGHTS, WeightsSource
from tests.unit.gpu.nvidia import test_plugin_reads
from tests.unit.gpu.support import profiles


@pytest.mark.parametrize(
    ("table", "members"),
    [
        (AMIS, Ami),
        (versions.AMI_ALIASES, Ami),
        (coldstart._NODE, Ami),
        (coldstart._PLUGIN, Ami),
        ({ami for ami, soci in coldstart._PULL}, Ami),
        ({ami for ami, soci in coldstart._PULL if soci}, Ami),
        (STRATEGIES, Strategy),
        (pool_schema.STRATEGIES, Strategy),
        (wording.EXAMPLES, Strategy),
        (set(wording.STRATEGY_KEYS.values()), Strategy),
        (set(STRATEGIES) & set(wording.STRATEGY_KEYS), Strategy),
        # Claims have neither slots nor a device plugin: `tests/unit/gpu/test_memory_claims.py`.
        ({"memory", *(profile.strategy for profile in profiles(INSTANCE_TYPES["p5.4xlarge"].gpu))}, Strategy),
        ({"memory", *(profile.strategy for profile in test_plugin_reads.PROFILES)}, Strategy),
        (estimate.BOUGHT, prices.CapacityType),
        (quotas.STANDARD, prices.CapacityType),
        (offers._AS, offers.UsageClass),
        (WEIGHTS, WeightsSource),
    ],
)
def test_a_table_has_a_row_for_each_member(table: Collection[str], members: Any) -> None:
    assert set(table) == set(get_args(members))


def test_every_strategy_can_stand_in_a_stack_file() -> None:
    sections = get_args(get_args(pool_schema.Sharing)[0])
    assert set(sections) == set(pool_schema.STRATEGIES.values())
    assert {section.__name__ for section in sections} == {kind.__name__ for kind in get_args(SharingProfile)}
    assert set(STRATEGIES.values()) == set(get_args(SharingProfile))


def test_the_table_of_strategies_in_the_document_has_them_all() -> None:
    page = Path(__file__).parents[2] / "docs" / "sharing.md"
    titles = [kind.title for kind in STRATEGIES.values() if kind.shares]
    assert f"| | {' | '.join(titles)} |" in page.read_text(encoding="utf-8").splitlines()


def test_every_key_of_a_strategy_is_known_where_it_is_misplaced() -> None:
    owners: dict[str, list[str]] = {}
    for strategy, section in pool_schema.STRATEGIES.items():
        for field in section.model_fields.values():
            owners.setdefault(str(field.alias), []).append(strategy)
    del owners["strategy"]
    assert {key: " or ".join(names) for key, names in owners.items()} == {
        key: names for key, names in wording.SHARING_KEYS.items() if key != "strategy"
    }


def test_every_module_of_the_preflight_is_asked_for_its_requirements() -> None:
    asked = inspect.getsource(preflight.requirements)
    names = [found.name for found in pkgutil.iter_modules(preflight.__path__)]
    able = [name for name in names if hasattr(importlib.import_module(f"account.preflight.{name}"), "requirements")]
    assert able
    assert [name for name in able if f"*{name}.requirements(" not in asked] == []


def test_every_kind_that_a_module_of_the_teardown_defines_is_looked_for() -> None:
    names = [found.name for found in pkgutil.iter_modules(teardown.__path__)]
    modules = [importlib.import_module(f"account.teardown.{name}") for name in names]
    defined = [value for module in modules for value in vars(module).values() if isinstance(value, Kind)]
    assert {kind.name for kind in defined} == {kind.name for kind in KINDS}
