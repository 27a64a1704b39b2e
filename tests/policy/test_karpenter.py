"""Requirements are evaluated as Karpenter evaluates them."""

from __future__ import annotations

from typing import Any

import pytest

from policy.instances import Candidate, candidates, category, gpu_types_in_text, is_gpu
from policy.karpenter import NodePool, Requirement
from tests.policy.case_parts import AUTO, AWS, CAPACITY, TYPE, need, pool

HAS = Candidate("has", {"size": ("4",), "any": (), "none": None})


@pytest.mark.parametrize(
    ("operator", "values", "has", "anything", "none"),
    [
        ("In", ("4", "8"), True, True, False),
        ("In", ("8",), False, True, False),
        ("NotIn", ("4",), False, True, True),
        ("NotIn", ("8",), True, True, True),
        ("Exists", (), True, True, False),
        ("DoesNotExist", (), False, False, True),
        ("Gt", ("3",), True, True, False),
        ("Gt", ("4",), False, True, False),
        ("Gte", ("4",), True, True, False),
        ("Gte", ("5",), False, True, False),
        ("Lt", ("5",), True, True, False),
        ("Lt", ("4",), False, True, False),
        ("Lte", ("4",), True, True, False),
        ("Lte", ("3",), False, True, False),
        ("Gt", ("x",), True, True, False),
        ("Similar", ("8",), True, True, True),
    ],
)
def test_operators(operator: str, values: tuple[str, ...], has: bool, anything: bool, none: bool) -> None:
    found = [Requirement(key, operator, values).admits(HAS) for key in ("size", "any", "none", "another")]
    assert found == [has, anything, none, True]


def test_unknown_values_restrict_nothing() -> None:
    assert Requirement("size", "In", None).admits(HAS)
    assert Requirement("none", "Exists", None).admits(HAS)


def gpus(*requirements: dict[str, Any], group: str = "karpenter.k8s.aws", **more: Any) -> set[str]:
    return {found.name for found in NodePool(pool(*requirements, group=group, **more)).gpu_types()}


def known(*requirements: dict[str, Any], **more: Any) -> set[str]:
    """Types of the catalogue alone, without the families in which AWS may add a size tomorrow."""
    return {name for name in gpus(*requirements, **more) if "." in name}


def test_types_are_selected_by_every_label() -> None:
    assert known(need(TYPE, "In", "g5.xlarge", "g6.xlarge"), need(f"{AWS}gpu-name", "In", "l4")) == {"g6.xlarge"}
    assert known(need(f"{AWS}family", "In", "g5"), need(f"{AWS}gpu-count", "Gte", "8")) == {"g5.48xlarge"}
    assert known(need(f"{AWS}family", "In", "g5"), need(f"{AWS}cpu", "Lte", "4")) == {"g5.xlarge"}
    assert known(need(f"{AWS}family", "In", "g5"), need(f"{AWS}memory", "Lt", "16384")) == set()
    assert known(need(TYPE, "In", "p4d.24xlarge", "p4de.24xlarge"), need(f"{AWS}gpu-memory", "Gt", "40960")) == {
        "p4de.24xlarge"
    }
    assert known(need(TYPE, "In", "g5g.xlarge", "g5.xlarge"), need("kubernetes.io/arch", "In", "arm64")) == {
        "g5g.xlarge"
    }
    assert known(need(f"{AUTO}family", "In", "g6"), need(f"{AUTO}size", "In", "xlarge"), group="eks.amazonaws.com") == {
        "g6.xlarge"
    }


def test_labels_of_the_template_restrict_too() -> None:
    assert known(need(f"{AWS}family", "In", "g5"), labels={TYPE: "g5.2xlarge", "team": "a"}) == {"g5.2xlarge"}


def test_types_that_do_not_exist_yet() -> None:
    everything_known = [found.name for found in candidates() if "." in found.name]
    assert gpus(need(TYPE, "NotIn", *everything_known)) == {
        "types of category g",
        "types of category gr",
        "types of category p",
    }
    assert gpus(need(f"{AWS}family", "NotIn", "gr6"), need(f"{AWS}category", "NotIn", "g", "p")) == {
        "types of category gr"
    }
    assert gpus(need(f"{AWS}family", "In", "g5"), need(f"{AWS}cpu", "In", "2")) == {"g5"}
    assert gpus(need(TYPE, "In", "g9x.large"), need(f"{AWS}generation", "In", "9")) == {"g9x.large"}
    assert gpus(need(TYPE, "In", "g9x.large"), need(f"{AWS}generation", "In", "8")) == set()
    assert gpus(need(f"{AWS}accelerator-name", "Exists")) == set()
    assert gpus(need(f"{AWS}accelerator-name", "NotIn", "inferentia"), need(f"{AWS}family", "In", "g5"))


@pytest.mark.parametrize(
    ("requirements", "capacity"),
    [
        ((), {"spot", "on-demand", "reserved"}),
        ((need(CAPACITY, "In", "spot"),), {"spot"}),
        ((need(CAPACITY, "In", "spot", "on-demand"), need(CAPACITY, "NotIn", "on-demand")), {"spot"}),
        ((need(CAPACITY, "In", "spot"), need(CAPACITY, "In", "on-demand")), set()),
        ((need(CAPACITY, "DoesNotExist"),), {"spot", "on-demand", "reserved"}),
        ((need(CAPACITY, "Gt", "1"),), {"spot", "on-demand", "reserved"}),
    ],
)
def test_capacity_types(requirements: tuple[dict[str, Any], ...], capacity: set[str]) -> None:
    assert NodePool(pool(*requirements)).capacity_types == capacity


@pytest.mark.parametrize(
    "name",
    [
        "g5.xlarge",
        "gr6.4xlarge",
        "P4D.24xlarge",
        "p6-b200.48xlarge",
        "ml.g5.xlarge",
        "g",
        "gr6",
        "g4ad.xlarge",
        "g*",
        "*",
        "g6.{{ .Values.size }}",
        "ml.g5.${var.size}",
    ],
)
def test_names_of_gpus(name: str) -> None:
    assert is_gpu(name)


@pytest.mark.parametrize(
    "name",
    [
        "m7g.{{ .Values.gpu.size }}",
        "m7g.large",
        "optimal",
        "t4g.nano",
        "trn1.2xlarge",
        "inf2.xlarge",
        "c*",
        "u-6tb1.metal",
        "",
    ],
)
def test_names_of_others(name: str) -> None:
    assert not is_gpu(name)


def test_other_categories_count_where_they_are_asked_for() -> None:
    assert is_gpu("trn1.2xlarge", ["trn"])
    assert is_gpu("trn*", ["trn"])
    assert is_gpu("inf", ["inf"])


def test_categories_are_karpenters() -> None:
    assert [
        category(name) for name in ("g4dn.xlarge", "gr6.4xlarge", "u-12tb1.112xlarge", "p6-b200.48xlarge", "x")
    ] == [
        "g",
        "gr",
        "u",
        "p",
        "",
    ]


def test_names_are_found_in_text() -> None:
    text = "--types=m5.large,g5.xlarge --backup ml.p4d.24xlarge; not g5.txt, /opt/g5.xlarge.sh, gp3 or g5.xlarge-x"
    assert gpu_types_in_text(text) == ["g5.xlarge", "p4d.24xlarge"]
