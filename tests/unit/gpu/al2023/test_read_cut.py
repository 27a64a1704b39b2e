"""What a script of anybody's cuts out of each GPU."""

from __future__ import annotations

import pytest

from gpu.sharing.al2023 import read_mig_cut, read_mig_profile

CUT = "nvidia-smi mig -i {} -cgi {} -C\n"


@pytest.mark.parametrize(
    ("script", "cut", "profile"),
    [
        (CUT.format(0, "1g.10gb,1g.10gb"), {"1g.10gb": 2}, "1g.10gb"),
        (CUT.format(0, "1g.10gb") + CUT.format(1, "1g.10gb"), {"1g.10gb": 1}, "1g.10gb"),
        (CUT.format(0, "1g.10gb") + CUT.format(1, "3g.40gb"), {}, None),
        (CUT.format(0, "1g.10gb,"), {"1g.10gb": 1}, "1g.10gb"),
        ("  # " + CUT.format(0, "1g.10gb") + CUT.format(0, "3g.40gb"), {"3g.40gb": 1}, "3g.40gb"),
    ],
)
def test_a_cut_is_read_as_it_is_made(script: str, cut: dict[str, int], profile: str | None) -> None:
    assert dict(read_mig_cut(script)) == cut
    assert read_mig_profile(script) == profile
