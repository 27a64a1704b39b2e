"""A MIG pool's user data: what EC2 gets of it, and what systemd's own tools say to the unit beside the EKS AMI's."""

from __future__ import annotations

import shutil
import subprocess
from email import message_from_string
from pathlib import Path

import pytest
import yaml

from gpu.catalog import INSTANCE_TYPES
from gpu.mig import MigProfile, mig_profiles
from gpu.sharing.al2023 import al2023_user_data, mig_unit
from tests.unit.gpu.al2023 import eks_ami
from tests.unit.gpu.al2023.eks_ami import Driver
from tests.unit.gpu.al2023.karpenter import LIMIT, merged

H100 = mig_profiles("h100", 81920)
PROFILES = {p for t in INSTANCE_TYPES.values() for p in t.gpu.mig_profiles.values()}

needs_systemd = pytest.mark.skipif(not shutil.which("systemctl"), reason="no systemctl on this machine")


def document(profile: MigProfile) -> str:
    """The longest user data of a pool with this profile."""
    made = al2023_user_data(profile, fast_image_pull=True)
    assert made is not None
    return made


def ami(root: Path, driver: Driver = "setup") -> Path:
    """An EKS AMI's unit files under a root. Returns its folder of units."""
    units = root / "etc/systemd/system"
    programs = root / "bin"
    units.mkdir(parents=True)
    programs.mkdir()
    for name in eks_ami.PROGRAMS:
        (programs / name).symlink_to("/bin/true")
    for name, text in eks_ami.units(driver, str(programs)).items():
        (units / name).write_text(text)
    return units


def systemctl(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """systemctl on the files under a root."""
    return subprocess.run(["systemctl", f"--root={root}", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("profile", sorted(PROFILES, key=str), ids=lambda p: f"{p.name}x{p.max_per_gpu}")
def test_with_karpenters_part_it_is_small_enough_for_ec2(profile: MigProfile) -> None:
    assert len(merged(document(profile)).encode("ascii")) <= LIMIT


def test_every_part_arrives_as_it_was_written() -> None:
    parts = [part for part in message_from_string(merged(document(H100["1g.10gb"]))).walk() if not part.is_multipart()]
    kinds = [part.get_content_type() for part in parts]
    assert kinds == ["text/x-shellscript", "application/node.eks.aws", "application/node.eks.aws"]
    script = parts[0].get_payload()
    assert isinstance(script, str)
    assert script.startswith("#!/bin/bash\n"), "cloud-init runs what begins so"
    assert mig_unit(H100["1g.10gb"]) in script
    assert (Path(__file__).parents[4] / "gpu/sharing/mig.sh").read_text() in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert yaml.safe_load(str(parts[1].get_payload()))["spec"] == {"featureGates": {"FastImagePull": True}}


@needs_systemd
def test_systemd_masks_no_kubelet_that_is_a_file_of_the_image(tmp_path: Path) -> None:
    # Why the guard is a requirement. Where this fails one day, masking has become a way out, too.
    units = ami(tmp_path)
    tried = systemctl(tmp_path, "mask", "kubelet.service")
    assert tried.returncode != 0
    assert "already exists" in tried.stderr
    assert not (units / "kubelet.service").is_symlink()


@needs_systemd
def test_enabling_the_unit_makes_nodeadm_and_the_kubelet_require_it(tmp_path: Path) -> None:
    units = ami(tmp_path)
    (units / "gpu-slices-mig.service").write_text(mig_unit(H100["1g.10gb"]))
    enabled = systemctl(tmp_path, "enable", "gpu-slices-mig.service")
    assert enabled.returncode == 0, enabled.stderr
    assert systemctl(tmp_path, "is-enabled", "gpu-slices-mig.service").stdout == "enabled\n"
    for name in ("kubelet.service", "nodeadm-run.service"):
        assert (units / f"{name}.requires" / "gpu-slices-mig.service").is_symlink(), name
    # Again, as after a second run of the same user data.
    assert systemctl(tmp_path, "enable", "gpu-slices-mig.service").returncode == 0


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze on this machine")
@pytest.mark.parametrize("driver", ["kmod-load", "setup"])
def test_systemd_finds_no_fault_in_the_unit_nor_a_cycle(tmp_path: Path, driver: Driver) -> None:
    units = ami(tmp_path, driver)
    for target in ("basic", "sysinit", "shutdown", "network-online", "multi-user"):
        shutil.copy(f"/lib/systemd/system/{target}.target", units)
    unit = mig_unit(H100["1g.10gb"]).replace("/usr/local/sbin/gpu-slices-mig", "/bin/true")
    (units / "gpu-slices-mig.service").write_text(unit)
    assert systemctl(tmp_path, "enable", "gpu-slices-mig.service", *eks_ami.enabled(driver)).returncode == 0
    for folder in units.glob("*.requires"):
        # Made for the root; systemd-analyze reads the folder alone.
        for link in folder.iterdir():
            link.unlink()
            link.symlink_to(units / link.name)
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", *map(str, sorted(units.glob("*.service")))],
        env={"SYSTEMD_UNIT_PATH": str(units), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (checked.stderr, checked.returncode) == ("", 0)
