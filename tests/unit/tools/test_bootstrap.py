"""What `make setup` leaves in .venv."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_an_environment_starts_in_a_folder_of_any_name_in_any_locale() -> None:
    """Python 3.11 reads .pth files in the locale's encoding: one that says where the checkout lies ended it at once."""
    packages = Path(sysconfig.get_path("purelib"))
    if not packages.is_relative_to(ROOT / ".venv"):
        pytest.skip("another environment than that of this checkout")
    written = (packages / "_gpu_slices.pth").read_text(encoding="ascii").split()
    assert [(packages / line).resolve() for line in written] == [ROOT.resolve(), (ROOT / "apps").resolve()]
    assert not any(Path(line).is_absolute() for line in written)
