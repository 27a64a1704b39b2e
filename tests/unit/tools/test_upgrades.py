"""Operations' page says how each pinned thing is raised."""

import re
from pathlib import Path

import pytest

import versions
from tools import upgrades


def test_every_pin_says_how_it_is_raised() -> None:
    assert upgrades.unlisted() == set()
    for step in upgrades.STEPS:
        assert step.pins or step.files, step.title
        assert all((upgrades.ROOT / name).is_file() for name in step.files), step.title
        assert step.source, step.title
        assert step.effect, step.title


def test_a_new_pin_and_a_pin_that_went_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "NEW_CHART", "1.0.0", raising=False)
    monkeypatch.delattr(versions, "PAUSE_IMAGE")
    assert upgrades.unlisted() == {"NEW_CHART", "PAUSE_IMAGE"}


def test_the_plugin_s_sources_were_read_at_the_version_that_is_pinned() -> None:
    """Its rules are copied into ours by hand: who raises the chart reads again what these places name."""
    pinned = versions.NVIDIA_DEVICE_PLUGIN_CHART.version
    places = [path for room in ("gpu", "policy", "components") for path in (upgrades.ROOT / room).rglob("*.py")]
    cited = {
        (str(path.relative_to(upgrades.ROOT)), version)
        for path in [*places, upgrades.ROOT / "versions.py"]
        for version in re.findall(r"k8s-device-plugin v(\d+\.\d+\.\d+)", path.read_text(encoding="utf-8"))
    }
    assert len(cited) > 5
    assert {(path, version) for path, version in cited if version != pinned} == set()


def test_the_page_is_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert upgrades.main(["--check"]) == 0
    page = tmp_path / "operations.md"
    page.write_text(upgrades.TARGET.read_text().replace(versions.AL2023_RELEASE, "v20260101"))
    monkeypatch.setattr(upgrades, "TARGET", page)
    assert upgrades.main(["--check"]) == 1
    assert "run python -m tools.upgrades" in capsys.readouterr().err
    assert upgrades.main([]) == 0
    assert upgrades.main(["--check"]) == 0


def test_the_tables_hold_what_is_pinned() -> None:
    said = upgrades.tables()
    for minor, addons in versions.EKS_ADDON_VERSIONS.items():
        assert minor in said
        assert all(version in said for version in addons.values())
        assert versions.SYSTEM_NODE_RELEASES[minor] in said
    rows = [line for line in said.splitlines() if re.match(r"\| \d+ \|", line)]
    assert len(rows) == len(upgrades.STEPS)
    assert all(line.count("|") == 6 for line in rows)
