"""What is left costs what its region asks; where no price of the region is known, no figure is shown."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from account.teardown.costs import Costs
from account.teardown.kinds import Leftover
from cli.render_teardown import _costs
from gpu.prices import of


def every(costs: Costs) -> dict[str, float | None]:
    return {
        "cluster": costs.cluster,
        "NAT gateway": costs.nat_gateway,
        "address": costs.address,
        "load balancer": costs.load_balancer,
        "classic": costs.classic_load_balancer,
        "key": costs.key,
        "node": costs.instance("g6.xlarge"),
        "system node": costs.instance("m7g.large"),
        "volume": costs.volume("gp3", 100),
        "snapshot": costs.snapshot(10 * 2**30),
        "endpoint": costs.endpoint(3),
        "logs": costs.logs(2**30),
    }


def test_a_month_of_things_that_stand_there() -> None:
    assert every(Costs(of("us-east-1"))) == pytest.approx(
        {
            "cluster": 73.0,  # 0.10 x 730
            "NAT gateway": 32.85,
            "address": 3.65,
            "load balancer": 16.425,
            "classic": 18.25,
            "key": 1.0,
            "node": 587.504,  # 0.8048 x 730
            "system node": 59.568,
            "volume": 8.0,
            "snapshot": 0.5,
            "endpoint": 21.9,
            "logs": 0.03,
        }
    )
    assert Costs(of("us-east-1")).instance("x9.huge") is None
    assert Costs(of("us-east-1")).volume("io2", 100) is None
    assert Costs(of("us-east-1")).snapshot(None) is None


def test_a_region_of_which_part_is_known() -> None:
    known = {name: usd for name, usd in every(Costs(of("us-gov-west-1"))).items() if usd is not None}
    assert known == pytest.approx({"node": 740.512, "system node": 75.044})  # 1.0144 and 0.1028 x 730


def test_a_region_without_data_costs_nothing_that_could_be_said() -> None:
    assert set(every(Costs(of("ap-south-2"))).values()) == {None}


@pytest.mark.parametrize(
    ("region", "usd", "said"),
    [
        (
            "us-east-1",
            [1.5, 0.14, None],
            ["1.64 USD/month", "of us-east-1 (instances 2026-07-06, on demand; services "],
        ),
        (
            "us-gov-west-1",
            [1.5],
            ["1.50 USD/month", "of us-gov-west-1 (instances 2026-06-15, on demand), "],
        ),
        ("ap-south-2", [None], ["No prices of ap-south-2 are known; `slices prices refresh --region ap-south-2`"]),
        ("us-east-1", [None], []),
    ],
)
def test_what_is_said_of_the_sum(region: str, usd: Sequence[float | None], said: Sequence[str]) -> None:
    console = Console(file=io.StringIO(), width=120)
    _costs(
        console, [Leftover(kind="k", id=str(i), why="tag", usd_per_month=each) for i, each in enumerate(usd)], region
    )
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert [each for each in said if each not in text] == []
    assert bool(text) == bool(said)
