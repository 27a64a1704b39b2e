from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gpu.contract import EXPIRES_ANNOTATION, JUSTIFICATION_ANNOTATION
from policy.rules import launch_template_spot
from policy.rules.on_demand_gpu import RULE
from tests.policy.case_parts import (
    AWS,
    CAPACITY,
    G5,
    JUSTIFIED,
    NODE_GROUP,
    ON_DEMAND,
    POOL,
    POOL_YAML,
    RELEASE,
    SPOT,
    TEMPLATE,
    Case,
    need,
    pool,
)
from tests.policy.on_demand_cases import BYPASSES, CLOUD, HIDDEN, LEGITIMATE, POOLS
from tests.policy.support import UNKNOWN, judged, recorded, violations


def test_tables_are_as_large_as_promised() -> None:
    assert len(BYPASSES) >= 40
    assert len(LEGITIMATE) >= 20


def _said(type_: str, inputs: Mapping[str, Any]) -> list[str]:
    """What the rule says that judges the type: templates are judged together with what uses them."""
    return violations(launch_template_spot.RULE if type_ == TEMPLATE else RULE, type_, inputs)


@pytest.mark.parametrize("case", BYPASSES.values(), ids=list(BYPASSES))
def test_no_bypass_gets_through(case: Case) -> None:
    assert _said(*case)


@pytest.mark.parametrize("case", LEGITIMATE.values(), ids=list(LEGITIMATE))
def test_legitimate_programs_raise_nothing(case: Case) -> None:
    assert violations(RULE, *case) == []
    assert violations(launch_template_spot.RULE, *case) == []


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict | list) and value:
        yield path
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, element in pairs:
            yield from _leaves(element, (*path, key))
    elif path:
        yield path


def _masked(inputs: Any, path: tuple[str | int, ...]) -> Any:
    changed = copy.deepcopy(inputs)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = UNKNOWN
    return changed


@pytest.mark.parametrize("case", [*POOLS.values(), *CLOUD.values()], ids=[*POOLS, *CLOUD])
def test_no_unknown_value_opens_a_way(case: Case) -> None:
    """Whatever part of a bypass is not known in preview, it is still refused."""
    type_, inputs = case
    passed = [path for path in _leaves(inputs) if path and not _said(type_, _masked(inputs, path))]
    # Only where the whole meaning is gone may it pass: an Auto Scaling group that leaves the types to its template, a
    # node group whose image alone told of GPUs.
    assert [path for path in passed if path[-1] not in {"amiType", "gpu"}] == []


@pytest.mark.parametrize("masked", [JUSTIFICATION_ANNOTATION, EXPIRES_ANNOTATION])
def test_an_unknown_justification_is_none(masked: str) -> None:
    (message,) = violations(RULE, POOL, pool(G5, ON_DEMAND, annotations={**JUSTIFIED, masked: UNKNOWN}))
    assert f"{masked} must be a literal" in message


@pytest.mark.parametrize("key", ["annotations", "metadata"])
def test_unknown_annotations_are_no_justification(key: str) -> None:
    inputs = pool(G5, ON_DEMAND, annotations=JUSTIFIED)
    (inputs if key == "metadata" else inputs["metadata"])[key] = UNKNOWN
    assert violations(RULE, POOL, inputs)


def test_unknown_capacity_type_is_refused_even_with_a_justification() -> None:
    (message,) = violations(RULE, POOL, pool(G5, need(CAPACITY, "In", UNKNOWN), annotations=JUSTIFIED))
    assert "must be a literal" in message
    (message,) = violations(
        RULE, NODE_GROUP, {"instanceTypes": ["g5.xlarge"], "capacityType": UNKNOWN, "tags": JUSTIFIED}
    )
    assert "capacityType is unknown in preview and must be a literal" in message


def test_unknown_values_that_do_not_matter_are_left_alone() -> None:
    zone = need("topology.kubernetes.io/zone", "In", UNKNOWN)
    assert violations(RULE, POOL, pool(G5, SPOT, zone, labels={"team": UNKNOWN})) == []
    assert (
        violations(RULE, NODE_GROUP, {"clusterName": UNKNOWN, "subnetIds": UNKNOWN, "instanceTypes": ["m7g.large"]})
        == []
    )


def test_message_names_the_type_and_all_ways_out() -> None:
    (message,) = violations(RULE, POOL, pool(G5))
    assert "can buy g5." in message
    assert "karpenter.sh/capacity-type In [spot]" in message
    assert f"{JUSTIFICATION_ANNOTATION} is missing; {EXPIRES_ANNOTATION} is missing" in message


@pytest.mark.parametrize(
    "reason", ["#1234 evaluation of the new model", "see https://tickets.example/1 for the reason"]
)
def test_tickets_are_issue_numbers_keys_or_links(reason: str) -> None:
    assert (
        violations(RULE, POOL, pool(G5, ON_DEMAND, annotations={**JUSTIFIED, JUSTIFICATION_ANNOTATION: reason})) == []
    )


@pytest.mark.parametrize("day", ["2026-11-21", "2027-05-20"])
def test_dates_from_today_to_180_days_ahead(day: str) -> None:
    assert violations(RULE, POOL, pool(G5, ON_DEMAND, annotations={**JUSTIFIED, EXPIRES_ANNOTATION: day})) == []


@pytest.mark.parametrize("max_days", [1, 30, 180, 10**9])
@pytest.mark.parametrize("expires", [None, "soon"])
def test_the_date_of_the_hint_is_one_that_passes(expires: str | None, max_days: int) -> None:
    given = {**JUSTIFIED, EXPIRES_ANNOTATION: expires}
    (message,) = violations(RULE, POOL, pool(G5, ON_DEMAND, annotations=given), maxDays=max_days)
    day = re.search(r"a date such as ([0-9-]{10})", message)
    assert day
    given[EXPIRES_ANNOTATION] = day[1]
    assert violations(RULE, POOL, pool(G5, ON_DEMAND, annotations=given), maxDays=max_days) == []


def test_options_change_tickets_days_and_categories() -> None:
    justified = pool(G5, ON_DEMAND, annotations=JUSTIFIED)
    assert "ticket" in violations(RULE, POOL, justified, ticketPattern=r"INC\d{7}")[0]
    assert "at most 30" in violations(RULE, POOL, justified, maxDays=30)[0]
    assert "no regular expression" in violations(RULE, POOL, justified, ticketPattern="(")[0]
    trainium = pool(need(f"{AWS}family", "In", "trn1"), ON_DEMAND)
    assert "trn1" in violations(RULE, POOL, trainium, alsoCategories=["trn", "inf"])[0]


def test_auto_mode_is_told_of_its_own_labels() -> None:
    (message,) = violations(RULE, *POOLS["Auto Mode by family"])
    assert "eks.amazonaws.com/instance-gpu-count DoesNotExist" in message


def test_hidden_ones_say_where() -> None:
    (message,) = violations(RULE, *HIDDEN["helm values, on demand beside it"])
    assert "g5.xlarge (values.pools.gpu.instanceTypes)" in message


@pytest.mark.parametrize(
    "alias", ["nodes: &a\n  instanceType: m7g.large\n  more: *a\n", "- &b\n  - capacity: x\n  - *b\n"]
)
def test_an_alias_inside_what_it_names_breaks_nothing(alias: str) -> None:
    assert violations(RULE, "kubernetes:yaml/v2:ConfigGroup", {"yaml": alias}) == []


@pytest.mark.parametrize("path", ["x" * 5000, "nul\0", "."])
def test_paths_that_no_file_has_break_nothing(path: str) -> None:
    assert violations(RULE, RELEASE, {"chart": path}) == []
    assert violations(RULE, "kubernetes:yaml/v2:ConfigGroup", {"files": [path]}) == []


def test_files_are_read_where_they_can_be(tmp_path: Path) -> None:
    manifest, values = tmp_path / "pool.yaml", tmp_path / "values.yaml"
    manifest.write_text(POOL_YAML)
    values.write_text("nodes: {instanceType: g5.xlarge}\n")
    files = ("kubernetes:yaml/v2:ConfigGroup", {"files": [str(manifest)]})
    assert "g" in violations(RULE, *files)[0]
    asset = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "path": str(values)}
    assert "g5.xlarge" in violations(RULE, RELEASE, {"valueYamlFiles": [asset]})[0]
    values.write_text("nodes: {instanceType: m7g.large}\n")
    assert violations(RULE, RELEASE, {"valueYamlFiles": [asset]}) == []


@pytest.mark.parametrize(
    "template",
    [
        POOL_YAML,
        POOL_YAML.replace("name: hidden", 'name: "{{ .Release.Name }}"').replace(
            "spec:", "{{- if .Values.gpus }}\nspec:", 1
        ),
        POOL_YAML.replace("[on-demand]", '[{{ .Values.capacity | default "on-demand" | quote }}]'),
    ],
    ids=["a manifest", "a template", "a value"],
)
def test_a_chart_beside_the_program_is_read(tmp_path: Path, template: str) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "pool.yaml").write_text(template)
    assert violations(RULE, RELEASE, {"chart": str(tmp_path)}) == []
    (tmp_path / "Chart.yaml").write_text("name: pools\nversion: 1.0.0\n")
    (message,) = violations(RULE, RELEASE, {"chart": str(tmp_path)})
    assert "pool.yaml" in message
    (tmp_path / "templates" / "pool.yaml").write_text(template.replace("on-demand", "spot").replace("g5.", "m5."))
    assert violations(RULE, RELEASE, {"chart": str(tmp_path)}) == []


@pytest.mark.parametrize(
    ("type_", "inputs"),
    [
        ("aws:eks/nodeGroup:NodeGroup", {"instanceTypes": ["p5.48xlarge"], "capacityType": "CAPACITY_BLOCK"}),
        (
            "aws:ec2/launchTemplate:LaunchTemplate",
            {"instanceType": "p5.48xlarge", "instanceMarketOptions": {"marketType": "capacity-block"}},
        ),
        ("aws:ec2/capacityReservation:CapacityReservation", {"instanceType": "p5.48xlarge", "instanceCount": 2}),
        (
            "kubernetes:karpenter.sh/v1:NodePool",
            {
                "spec": {
                    "template": {
                        "spec": {
                            "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "gpu"},
                            "requirements": [
                                {"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["p5"]},
                                {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["reserved"]},
                            ],
                        }
                    }
                }
            },
        ),
    ],
)
def test_what_is_paid_ahead_is_called_so(type_: str, inputs: dict[str, Any]) -> None:
    rule = launch_template_spot.RULE if type_ == TEMPLATE else RULE
    (verdict,) = judged(rule, recorded(type_, inputs))
    assert "as capacity that is paid ahead, neither Spot nor on demand" in verdict.message
