"""What the measuring programs reckon with, and what they draw."""

from __future__ import annotations

import json
import random
import ssl
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import claims, document, load, packing, study
from bench.chart import Chart, Line, svg
from bench.custom_metrics import served
from bench.fewest import TooManyWaysError, fewest
from bench.fleet import Demand, Fleet, Policy
from tests.patience import PATIENCE
from twin.kube.client import Object


def test_what_comes_goes_to_the_emptiest_or_the_fullest() -> None:
    def after(policy: Any) -> int:
        fleet = Fleet(4, policy, Demand([1]))
        for item in range(8):
            fleet.add(item, 1, "pack")
        for item in (0, 4, 5):
            fleet.remove(item)  # three and two are left
        fleet.add(8, 1)
        for item in (1, 2, 3):
            fleet.remove(item)
        return len(fleet)

    assert (after("spread"), after("pack")) == (1, 2)


def test_a_gpu_comes_when_nothing_fits_and_goes_when_it_is_empty() -> None:
    fleet = Fleet(10, "pack", Demand([4]))
    fleet.add(1, 6)
    fleet.add(2, 4)
    assert (len(fleet), fleet.used) == (1, 10)
    fleet.add(3, 1)
    assert len(fleet) == 2
    fleet.remove(3)
    assert len(fleet) == 1
    with pytest.raises(ValueError, match="11 does not fit 10"):
        fleet.add(4, 11)


def test_fragmentation_is_what_those_who_come_cannot_use() -> None:
    demand = Demand([2, 5, 5, 8])
    assert demand.unusable(1) == 1
    assert demand.unusable(4) == pytest.approx(4 * 3 / 4)
    assert demand.unusable(5) == pytest.approx(5 * 1 / 4)
    assert demand.unusable(8) == 0


def test_fgd_leaves_what_is_asked_for_where_best_fit_leaves_crumbs() -> None:
    """Of 6 and 7 free, 2 fit both: best-fit leaves 4, which is nobody's; after FGD 5 and 6 are left."""
    lost = {}
    for policy in get_args(Policy):
        fleet = Fleet(10, policy, Demand([5]))
        for item, need in enumerate((4, 7, 3)):
            fleet.add(item, need, "pack")
        fleet.remove(1)
        fleet.add(3, 2)
        lost[policy] = fleet.unusable
    assert lost == {"spread": 0, "pack": 4, "fgd": 0}


def test_the_same_seed_is_the_same_day() -> None:
    first, second = (list(packing.awake(300, 16, packing.STEPS)) for _ in range(2))
    assert first == second
    assert [len(now) for now in first] == [round(300 * part) for part in packing.STEPS]
    assert list(packing.awake(300, 17, packing.STEPS)) != first


def test_ways_that_know_sizes_take_fewer_gpus_and_none_takes_less_than_there_is() -> None:
    rows = list(study.study([60], range(2)))
    assert len(rows) == len(study.SHAPES) * len(study.WAYS)
    for shape in study.SHAPES:
        by_way = {row["way"]: row for row in rows if row["shape"] == shape}
        one_gpu = {way: row for way, row in by_way.items() if row["gpu"] == study.SHARED.gpu.product}
        assert all(row["gpus"] >= row["fewest"] for row in one_gpu.values())
        assert by_way["memory as needed, best-fit"]["gpus"] < by_way["slots of one size, packed"]["gpus"]
        assert all(0 <= row["unusable"] < 1 for row in rows)


def test_the_tasks_of_the_trace_are_all_there_and_fit() -> None:
    assert sum(weight for _, weight in study.TRACE) == pytest.approx(1)
    assert max(study.trace(random.Random(1), 500)) <= study.SHARED.gpu.usable_mib


def test_a_chart_is_an_image_that_names_its_lines() -> None:
    chart = Chart("A & B", "ms", [Line("first", [1, 10, 100], [0, 5, 2]), Line("none", [], [])], "n", logarithmic=True)
    drawn = ET.fromstring(svg([chart, Chart("empty", "", [], "")], "a note"))
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"A & B", "first", "none", "a note", "100"} <= set(texts)


@pytest.mark.parametrize("name", document.TABLES)
def test_a_result_has_its_day_and_machine(name: str) -> None:
    program, _ = document.TABLES[name]
    result = json.loads(program.RESULT.read_text(encoding="utf-8"))
    assert result["date"]
    assert result["machine"]


@pytest.mark.parametrize("program", document.PICTURED)
def test_the_picture_is_of_the_figures_that_are_kept(program: Any) -> None:
    result = json.loads(program.RESULT.read_text(encoding="utf-8"))
    assert program.picture(result) == program.PICTURE.read_text(encoding="utf-8")


def test_what_is_kept_of_claims_is_what_comes_out_today() -> None:
    """It is arithmetic, of a seed: where the model of Karpenter's order changes, the page must too."""
    kept = json.loads(claims.RESULT.read_text(encoding="utf-8"))
    assert kept["rows"][:2] == [claims.model(pods) for pods in claims.PODS[:2]]


@given(st.lists(st.integers(1, 100), max_size=8))
def test_the_fewest_gpus_by_trying_every_placing(sizes: list[int]) -> None:
    """The order does not matter to the search, and here every pod tries every GPU."""

    def least(left: list[int], gpus: list[int]) -> int:
        if not left:
            return len(gpus)
        placed = [[*gpus[:i], used + left[0], *gpus[i + 1 :]] for i, used in enumerate(gpus) if used + left[0] <= 100]
        return min(least(left[1:], each) for each in [*placed, [*gpus, left[0]]])

    assert fewest(sizes, 100) == least(sizes, [])


def test_a_search_that_takes_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.fewest._MOST_TRIED", 3)
    with pytest.raises(TooManyWaysError, match="3 ways to fill a GPU were tried in vain"):
        fewest([60, 50, 40, 30, 20, 51, 52, 53], 100)


def test_the_page_has_the_tables_of_the_figures_that_are_kept() -> None:
    page = document.PAGE.read_text(encoding="utf-8")
    assert document.written(page) == page
    assert all(f"<!-- {name} -->\n| " in page for name in document.TABLES)


class Applied:
    """An API server that keeps what it is told."""

    def __init__(self) -> None:
        self.objects: list[Object] = []

    def apply(self, thing: Object) -> Object:
        self.objects.append(thing)
        return thing


def test_the_figures_are_served_as_the_autoscaler_asks_for_them() -> None:
    kube: Any = Applied()
    context = ssl._create_unverified_context()
    with served(kube, "workloads", "in_flight", lambda: {"a": 2.5}):
        service = next(thing for thing in kube.objects if thing["kind"] == "APIService")["spec"]
        base = f"https://127.0.0.1:{service['service']['port']}/apis/{service['group']}/{service['version']}"

        def get(path: str) -> Any:
            with urllib.request.urlopen(f"{base}{path}", context=context, timeout=PATIENCE) as answer:
                return json.load(answer)

        (resource,) = get("")["resources"]
        (value,) = get("/namespaces/workloads/pods/%2A/in_flight?labelSelector=app%3Dx")["items"]
        with pytest.raises(urllib.error.HTTPError):
            get("/namespaces/workloads/pods/*/other")
    assert resource["name"] == "pods/in_flight"
    assert (value["describedObject"]["name"], value["value"]) == ("a", "2500m")


def test_a_line_of_the_load_test_says_what_happened_in_it() -> None:
    test = load.Test()
    test.requests = [load.Request(at, 0.1 * (at + 1), 200 if at != 3 else 0) for at in range(10)]
    test.moments = [load.Moment(float(at), 8, 3 + at // 5, 3, 3, 1) for at in range(10)]
    found = load.summary(test)
    assert found["all"] == {"requests": 9, "errors": 1, "p50": 600.0, "p95": 1000.0, "p99": 1000.0}
    assert found["changes"] == [(0, 3, 3, 1), (5, 4, 3, 1)]
    (line,) = found["lines"]
    assert (line["wanted"], line["errors"], line["users"]) == (4, 1, 8)
