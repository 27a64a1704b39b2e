"""What all tests share: no setting of this machine or of another test leaks in."""

import os

import pulumi.runtime
import pytest

_LEAKY_PREFIXES = ("AWS_", "KUBECONFIG", "PULUMI_")


@pytest.fixture(autouse=True)
def _isolated_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without stack configuration and without this machine's Pulumi, AWS and cluster settings."""
    for name in [name for name in os.environ if name.startswith(_LEAKY_PREFIXES)]:
        monkeypatch.delenv(name)
    pulumi.runtime.set_all_config({}, [])
