"""A MIG pool's user data on a node that really boots: the kubelet starts exactly where every GPU is cut as wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpu.mig import mig_profiles
from gpu.sharing.al2023 import al2023_user_data
from tests.unit.gpu.al2023.eks_ami import Driver
from tests.unit.gpu.al2023.karpenter import merged
from tests.unit.gpu.al2023.nvidia_smi import Gpus
from tests.unit.gpu.al2023.playing import NEW, PROFILE, WANTED, hurried
from tests.unit.gpu.al2023.virtual_node import Boot, VirtualNode, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

DRIVERS: list[Driver] = ["kmod-load", "setup"]


def user_data(limit_s: float) -> str:
    """What EC2 gives to a node of a MIG pool."""
    document = al2023_user_data(mig_profiles("h100", 81920)[PROFILE], fast_image_pull=True)
    assert document is not None
    return hurried(merged(document), limit_s)


def node(folder: Path, *, limit_s: float = 60, driver: Driver = "setup", smi: bool = True, **gpus: Any) -> VirtualNode:
    """A node with two new GPUs, before its first boot."""
    return VirtualNode(folder, Gpus(list(NEW), **gpus), user_data(limit_s), driver=driver, smi=smi)


def joins(boot: Boot) -> bool:
    """Whether the kubelet started; it must have found every GPU cut as wanted."""
    if boot.kubelet is None:
        assert boot.states.get("kubelet") in (None, "inactive")
        return False
    assert boot.states["kubelet"] == "active"
    assert [gpu.instances for gpu in boot.kubelet.gpus] == [WANTED, WANTED]
    return True


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_node_joins_with_its_gpus_cut_at_every_boot(tmp_path: Path, driver: Driver) -> None:
    machine = node(tmp_path, driver=driver)
    first = machine.boot()
    assert joins(first)
    assert "every GPU has 7 x 1g.10gb" in first.console
    # Its instances are gone, and cloud-init runs no user data again.
    assert joins(machine.boot())


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_late_driver_delays_the_kubelet(tmp_path: Path, driver: Driver) -> None:
    boot = node(tmp_path, driver=driver, late=4).boot()
    assert joins(boot)
    assert "the driver does not answer" in boot.console


def test_ampere_is_reset_and_its_services_come_back(tmp_path: Path) -> None:
    machine = node(tmp_path, ampere=True)
    boot = machine.boot()
    assert joins(boot)
    assert machine.calls.count("--gpu-reset") == 1
    services = ("nvidia-persistenced", "nvidia-fabricmanager", "set-nvidia-clocks")
    assert {boot.states[service] for service in services} == {"active"}


def test_where_no_reset_is_allowed_the_node_reboots_once_and_joins(tmp_path: Path) -> None:
    machine = node(tmp_path, ampere=True, faults=("reset forbidden",))
    first = machine.boot()
    assert first.ended == "rebooted"
    assert not joins(first)
    assert joins(machine.boot())


@pytest.mark.parametrize(
    "gpus",
    [
        {"smi": False},
        {"late": 100_000},
        {"hidden": 1},
        {"faults": ("mode refused",)},
        {"faults": ("cut refused",)},
        {"faults": ("last GPU refuses",)},
        {"faults": ("last GPU silently uncut",)},
        {"faults": ("one instance too few",)},
        {"faults": ("same number of another profile",)},
    ],
    ids=lambda gpus: "-".join(f"{key}-{value}" for key, value in gpus.items()),
)
def test_a_node_that_is_not_cut_as_wanted_never_joins_and_says_why(tmp_path: Path, gpus: dict[str, Any]) -> None:
    boot = node(tmp_path, limit_s=1, **gpus).boot()
    assert not joins(boot)
    # nodeadm-run is over, too: it would ask for the kubelet's state for ever.
    assert (boot.states["gpu-slices-mig"], boot.states["nodeadm-run"]) == ("failed", "inactive")
    assert "THIS NODE DOES NOT JOIN THE CLUSTER" in boot.console


def test_a_node_that_can_no_longer_be_cut_does_not_join_again(tmp_path: Path) -> None:
    machine = node(tmp_path, limit_s=5)
    assert joins(machine.boot())
    gpus = machine.gpus
    gpus.faults = ("cut refused",)
    machine.gpus = gpus
    assert not joins(machine.boot())


@pytest.mark.parametrize("lost", ["sbin/gpu-slices-mig", "etc/gpu-slices-mig.service"])
def test_a_node_without_the_program_or_the_unit_does_not_join(tmp_path: Path, lost: str) -> None:
    machine = node(tmp_path)
    assert joins(machine.boot())
    (tmp_path / lost).unlink()
    assert not joins(machine.boot())


def test_a_machine_on_which_nothing_can_be_installed_goes_off(tmp_path: Path) -> None:
    machine = node(tmp_path)
    (tmp_path / "etc" / "gpu-slices-mig.service").mkdir()
    boot = machine.boot()
    assert boot.ended == "powered off"
    assert not joins(boot)
    assert "cannot install gpu-slices-mig.service; powering off" in boot.console


def test_an_unguarded_node_would_join_uncut(tmp_path: Path) -> None:
    # The played AMI starts its kubelet where nothing keeps it from doing so: the tests above are not empty.
    boot = VirtualNode(tmp_path, Gpus(list(NEW), faults=("cut refused",)), "MIME-Version: 1.0\n\n").boot()
    assert boot.states["kubelet"] == "active"
    assert boot.kubelet is not None
    assert [gpu.instances for gpu in boot.kubelet.gpus] == [(), ()]
