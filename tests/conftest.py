"""What all tests share: no setting of this machine or of another test leaks in."""

import asyncio
import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pulumi.runtime
import pytest
from hypothesis import HealthCheck, settings

import config.pools
import gpu.prices
from plan.monitor import Inline
from tests.day import fixed

#: Tests that other people's parts judge (moto, botocore's models, systemd, Terraform, Pulumi's own runtime): they take
#: the larger half of the time. `make test-parts` runs them.
_PARTS = (
    "plan/test_aws_strings.py",
    "plan/test_engine_protocol.py",
    "plan/test_terraform_schema.py",
    "unit/account/",
    "unit/gpu/al2023/test_boot.py",
    "unit/gpu/al2023/test_program.py",
)
# Collecting looks at everything alive, and Pulumi's SDKs are a million objects that stay: at Python's own thresholds it
# takes half the time of running a program.
gc.set_threshold(50_000, 20, 50)
# How long an example takes is the machine's affair, and so is how long it takes to be drawn.
settings.register_profile("without a clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("without a clock")
_LEAKY_PREFIXES = ("AWS_", "KUBECONFIG", "PULUMI_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test` leaves to `make test-parts`."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).as_posix().startswith(_PARTS):
            item.add_marker(pytest.mark.parts)


@pytest.hookimpl(tryfirst=True)  # before fixtures that take long
def pytest_runtest_setup() -> None:
    """Skip where the time that `.ci/run` gives is over (`TESTS_END`, in seconds since 1970)."""
    if time.time() > float(os.environ.get("TESTS_END", "inf")):
        pytest.skip("NOT TESTED: the time is over, .ci/run says why")


def pytest_collection_finish() -> None:
    """What the test modules imported stays to the end: no collection looks at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _isolated_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without stack configuration and without this machine's Pulumi, AWS and cluster settings."""
    for name in [name for name in os.environ if name.startswith(_LEAKY_PREFIXES)]:
        monkeypatch.delenv(name)
    pulumi.runtime.set_all_config({}, [])


def forget_prices() -> None:
    """Ask the files again."""
    for cached in (gpu.prices._files, gpu.prices.of, gpu.prices.named_types, config.pools._resolved):
        cached.cache_clear()


@pytest.fixture
def few_prices(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of no other region than these are prices known: stacks of the others have none."""
    folder = tmp_path_factory.mktemp("price_data")
    for region in ("us-east-1", "us-gov-east-1", "us-gov-west-1"):
        (folder / f"{region}.json").symlink_to(gpu.prices._FOLDER / f"{region}.json")
    monkeypatch.setattr(gpu.prices, "_FOLDER", folder)
    forget_prices()
    yield
    monkeypatch.undo()
    forget_prices()


@pytest.fixture(scope="session", autouse=True)
def _committed_prices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Figures are those of the committed tables, whatever whoever runs the tests has asked of AWS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu.prices, "REFRESHED", tmp_path_factory.mktemp("prices"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _fixed_day() -> Iterator[None]:
    """The day does not change what tests say: `tests.day`."""
    with fixed():
        yield


@pytest.fixture(autouse=True)
def _own_event_loop() -> Iterator[None]:
    """Pulumi's test runtime takes the current event loop, and `asyncio.run` in another test leaves none."""
    loop = asyncio.new_event_loop()
    # In threads of an executor Pulumi would make further loops, which nobody closes.
    loop.set_default_executor(Inline())
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
