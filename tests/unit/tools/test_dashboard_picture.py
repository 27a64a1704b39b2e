"""The picture of the dashboard in the documents is that of today's definition."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from components.monitoring.dashboard import dashboard
from tools.dashboard_picture import MADE, TARGET, WATCHED, picture


def test_the_committed_picture_is_of_the_definition() -> None:
    assert TARGET.read_text(encoding="utf-8") == picture(), "make docs"


def test_every_widget_is_drawn_once() -> None:
    titles = [each["properties"]["title"] for each in dashboard(WATCHED, "us-east-1")["widgets"]]
    drawn = [each.text for each in ET.fromstring(picture()).iter() if each.get("font-weight") == "bold"]
    assert drawn == titles
    assert set(titles) == MADE.keys()
