from __future__ import annotations

from typing import Any

import pytest
import yaml

from gpu.sharing import Mps, TimeSlicing
from gpu.sharing.bottlerocket import bottlerocket_settings
from policy.rules.fail_requests_greater_than_one import RULE
from tests.policy.platform import config, node_class, plugin, section
from tests.policy.support import UNKNOWN, judged, violations

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


def said(resource: Any) -> list[str]:
    return [verdict.message for verdict in judged(RULE, resource)]


@pytest.mark.parametrize("strategy", ["timeSlicing", "mps"])
def test_written_true_passes(strategy: str) -> None:
    assert said(plugin(gpu=config(**{strategy: section()}))) == []


@pytest.mark.parametrize("strategy", ["timeSlicing", "mps"])
@pytest.mark.parametrize("value", [False, None, "no"])
def test_anything_else_fails(strategy: str, value: Any) -> None:
    (message,) = said(plugin(gpu=config(**{strategy: section(failRequestsGreaterThanOne=value)})))
    assert message.startswith("values.config.map.gpu")


@pytest.mark.parametrize("strategy", ["timeSlicing", "mps"])
def test_left_out_fails_whatever_the_plugin_would_assume(strategy: str) -> None:
    given = section()
    del given["failRequestsGreaterThanOne"]
    (message,) = said(plugin(gpu=config(**{strategy: given})))
    assert "is not written" in message


def test_each_configuration_is_looked_at() -> None:
    bad = config(mps=section(failRequestsGreaterThanOne=False))
    assert len(said(plugin(one=bad, two=config(mps=section()), three=bad))) == 2


def test_config_maps_are_read_and_others_left_alone() -> None:
    bad = yaml.safe_dump(config(mps=section(failRequestsGreaterThanOne=False)))
    assert violations(RULE, CONFIG_MAP, {"data": {"gpu": bad}})
    assert violations(RULE, CONFIG_MAP, {"data": {"page": "sharing is caring: [", "other": UNKNOWN}}) == []


def test_unknown_configuration_fails() -> None:
    assert "must be a literal" in said(plugin(gpu=UNKNOWN))[0]


def test_bottlerocket() -> None:
    good = bottlerocket_settings(TimeSlicing(4), [])
    assert said(node_class("bottlerocket@v1", good)) == []
    assert said(node_class("bottlerocket@v1", bottlerocket_settings(Mps(4), []))) == []
    assert said(node_class("bottlerocket@v1", good.replace("one = true", "one = false")))
    assert said(node_class(user_data="#!/bin/bash\n# nvidia\n")) == []
