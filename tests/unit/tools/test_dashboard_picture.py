"""The pictures of the dashboards in the documents are those of today's definitions."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from components.monitoring.dashboard import dashboard
from components.monitoring.grafana import dashboard as grafana_dashboard
from tools.dashboard_picture import (
    GRAFANA_TARGET,
    MADE,
    MADE_OF_GRAFANA,
    TARGET,
    WATCHED,
    WATCHED_STACK,
    pictures,
)

TITLES = {
    TARGET: [each["properties"]["title"] for each in dashboard(WATCHED, "us-east-1")["widgets"]],
    GRAFANA_TARGET: [each["title"] for each in grafana_dashboard(WATCHED_STACK, "c")["panels"]],
}


@pytest.mark.parametrize("target", [TARGET, GRAFANA_TARGET], ids=lambda path: path.stem)
def test_the_committed_picture_is_of_the_definition(target: Path) -> None:
    assert target.read_text(encoding="utf-8") == pictures()[target], "make docs"


@pytest.mark.parametrize("target", [TARGET, GRAFANA_TARGET], ids=lambda path: path.stem)
def test_every_widget_is_drawn_once(target: Path) -> None:
    drawn = [each.text for each in ET.fromstring(pictures()[target]).iter() if each.get("font-weight") == "bold"]
    assert drawn == TITLES[target]
    assert set(drawn) == (MADE if target == TARGET else MADE_OF_GRAFANA).keys()
