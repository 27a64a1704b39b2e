"""Texts of other people are read as the plugin reads them, and none of them breaks a rule."""

from __future__ import annotations

from typing import Any

import pytest

from gpu.sharing.yaml_text import documents, plugin_document
from policy.device_plugin import named_configs
from policy.inventory.texts import parsed
from policy.pack import RULES
from tests.policy.support import judged, recorded

#: Each ends a naive reader: by a KeyError, an AttributeError, an IndexError, a fault of the process, or never.
BREAKING = {
    "no boolean": "sharing: !!bool x",
    "no date": "sharing: !!timestamp x",
    "no figure": 'sharing: !!int ""',
    "no float": "sharing: !!float _",
    "too deep": "sharing: " + "[" * 50_000,
    "itself": "sharing: &a [*a]",
    "too large": "sharing: &a0 [x]\n"
    + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)),
}


@pytest.mark.parametrize("text", BREAKING.values(), ids=BREAKING)
def test_a_text_that_is_no_yaml_breaks_nothing(text: str) -> None:
    assert parsed(text) == []
    with pytest.raises(ValueError, match="not YAML"):
        documents(text)
    config_map = {"metadata": {"name": "settings"}, "data": {"text": text}}
    release = {"chart": "nvidia-device-plugin", "values": {"config": {"map": {"default": text}}}}
    for type_, inputs in (("kubernetes:core/v1:ConfigMap", config_map), ("kubernetes:helm.sh/v3:Release", release)):
        list(named_configs(inputs))
        for rule in RULES:
            judged(rule, recorded(type_, inputs))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        *(("4", 4), ("0x4", 4), ("010", 8), ("0o10", 8), ("1_000", 1000), ("1e1", 10.0), ("08", 8.0), ("0B11", 3)),
        *(("1:30", "1:30"), ("190:20", "190:20"), ("2026-01-01", "2026-01-01"), ("y", True), ("N", False)),
        *(("off", False), ("~", None), ("", None), ('"4"', "4"), ("!!str 4", "4"), ("!foo 4", "4"), ("=", "=")),
        *(("0b", "0b"), ("1.5.0", "1.5.0"), (".5", 0.5), ("+4", 4), ("99999999999999999999", 1e20)),
    ],
)
def test_scalars_are_what_go_makes_of_them(written: str, read: Any) -> None:
    found = plugin_document(f"key: {written}")["key"]
    assert (type(found), found) == (type(read), read)


@pytest.mark.parametrize("written", [".inf", "-.INF", ".nan", "!!int x", "!!int 4.5", "!!float x", '!!bool "maybe"'])
def test_what_has_no_json_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="not YAML"):
        plugin_document(f"key: {written}")


def test_the_plugin_reads_the_first_document_alone() -> None:
    assert plugin_document("version: v1\n---\nversion: v2") == {"version": "v1"}
    assert plugin_document("") is None
