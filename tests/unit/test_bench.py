"""The comparison with others' planners says of each why it is not there."""

import shutil

import pytest

from bench.peers import compare


def test_a_peer_that_is_not_here_is_named_with_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)

    compare(1)

    said = capsys.readouterr().out
    assert "cdk" in said
    assert "it needs node and npm" in said
    assert "it needs terraform on PATH" in said
