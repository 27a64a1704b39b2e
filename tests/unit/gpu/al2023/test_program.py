"""`mig.sh`, run by bash on GPUs that are played: it ends well exactly where every GPU is cut as wanted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.unit.gpu.al2023.nvidia_smi import Gpu, Gpus
from tests.unit.gpu.al2023.playing import COUNT, NEW, PROFILE, PROGRAM, WANTED, Hardware, hurried

#: Plays systemd to the program alone: which services are up stands in files, and every order is written down.
SYSTEMCTL = """
up={folder}/up
echo "$*" >>{folder}/orders
case "$1" in
is-active) test -e "$up/$3" ;;
stop) shift; for service; do rm -f "$up/$service"; done ;;
start) shift; for service; do touch "$up/$service"; done ;;
esac
"""


@dataclass
class Ran:
    """How the program ended."""

    code: int
    said: str
    orders: list[str]


class Machine(Hardware):
    """Hardware on which the program is run by hand; the services that the EKS AMI has are up."""

    def __init__(self, folder: Path, gpus: Gpus, *, on_the_bus: int | None = None, smi: bool = True) -> None:
        super().__init__(folder, gpus, on_the_bus=on_the_bus, smi=smi)
        self.program("systemctl", SYSTEMCTL.format(folder=folder))
        (folder / "up").mkdir()
        for service in ("nvidia-persistenced", "nvidia-fabricmanager", "set-nvidia-clocks"):
            (folder / "up" / service).touch()

    def command(self, limit_s: float, call_s: float = PATIENCE) -> list[str]:
        text = hurried(PROGRAM.read_text(), limit_s, call_s)
        places = {"PCI=/sys/bus/pci/devices": f"PCI={self.bus}", "REBOOTED=/var/lib/": f"REBOOTED={self.folder}/"}
        for old, new in places.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        program = self.folder / "program"
        program.write_text(text)
        return ["bash", str(program), PROFILE, str(COUNT)]

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.bin}:/usr/bin:/bin"}

    def run(self, *, limit_s: float = PATIENCE, call_s: float = PATIENCE) -> Ran:
        (self.folder / "orders").write_text("")
        command = self.command(limit_s, call_s)
        process = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=2 * PATIENCE, check=False
        )
        assert process.stderr == ""
        return Ran(process.returncode, process.stdout, (self.folder / "orders").read_text().splitlines())


def machine(folder: Path, **gpus: object) -> Machine:
    """A machine with two new GPUs."""
    return Machine(folder, Gpus(list(NEW), **gpus))  # type: ignore[arg-type]


def test_new_gpus_are_cut(tmp_path: Path) -> None:
    node = machine(tmp_path)
    ran = node.run()
    assert (ran.code, node.cut()) == (0, True)
    assert ran.said == "every GPU has 7 x 1g.10gb\n"
    assert not any("reset" in call for call in node.calls), "Hopper needs no reset"
    assert ran.orders == ["--no-block restart nvidia-cdi-refresh.service"]


def test_what_is_cut_already_is_left_alone(tmp_path: Path) -> None:
    node = machine(tmp_path)
    node.run()
    before = len(node.calls)
    assert node.run().code == 0
    assert node.cut()
    assert set(node.calls[before:]) == {"-L", "--query-gpu=index,mig.mode.current --format=csv,noheader"}


@pytest.mark.parametrize("ampere", [False, True])
def test_a_reboot_loses_the_instances_and_they_are_cut_again(tmp_path: Path, ampere: bool) -> None:
    node = machine(tmp_path, ampere=ampere)
    node.run()
    node.power_up()
    assert not node.cut()
    assert node.gpus.gpus[0].current is ampere, "the played GPU keeps its mode as its generation does"
    assert node.run().code == 0
    assert node.cut()


def test_another_layout_is_replaced(tmp_path: Path) -> None:
    node = machine(tmp_path)
    gpus = node.gpus
    gpus.gpus = [Gpu(True, True, ("3g.40gb",)), Gpu(True, True, WANTED)]
    node.gpus = gpus
    assert node.run().code == 0
    assert node.cut()
    assert not any(" -i 1 " in call for call in node.calls), "the GPU that was right was not touched"


def test_a_late_driver_is_waited_for(tmp_path: Path) -> None:
    node = machine(tmp_path, late=4)
    ran = node.run()
    assert (ran.code, node.cut()) == (0, True)
    assert "the driver does not answer: NVIDIA-SMI has failed because" in ran.said
    assert ran.said.count("trying again") == 1, "the console is not filled with the same line"


def test_ampere_takes_the_mode_over_when_it_is_reset(tmp_path: Path) -> None:
    node = machine(tmp_path, ampere=True)
    ran = node.run()
    assert (ran.code, node.cut()) == (0, True)
    assert node.calls.count("--gpu-reset") == 1
    assert "stop nvidia-persistenced set-nvidia-clocks" in ran.orders
    assert "start nvidia-persistenced set-nvidia-clocks" in ran.orders
    assert "stop nvidia-fabricmanager" not in ran.orders, "the reset needs it"


def test_where_the_reset_is_forbidden_it_reboots_once(tmp_path: Path) -> None:
    node = machine(tmp_path, ampere=True, faults=("reset forbidden",))
    ran = node.run()
    assert (ran.code, node.cut()) == (1, False)
    assert ran.orders[-1] == "--no-block reboot"
    assert "MIG mode is not in effect on GPU 0 1" in ran.said
    assert "rebooting once" in ran.said
    node.power_up()
    ran = node.run()
    assert (ran.code, node.cut()) == (0, True)
    assert not (tmp_path / "gpu-slices-mig" / "rebooted").exists(), "a later reboot may need it again"


def test_a_mode_that_no_reboot_brings_is_no_reason_to_reboot_for_ever(tmp_path: Path) -> None:
    node = machine(tmp_path, ampere=True, faults=("reset forbidden",))
    assert node.run().orders[-1] == "--no-block reboot"
    gpus = node.gpus
    gpus.gpus = list(NEW)
    node.gpus = gpus
    ran = node.run(limit_s=2)
    assert ran.code == 1
    assert not any("reboot" in order for order in ran.orders)
    assert "DOES NOT JOIN" in ran.said


#: What may be wrong, and what the console must then say.
REFUSALS = {
    "mode refused": "MIG mode cannot be enabled: Unable to enable MIG Mode for GPU 00:00.0: Insufficient Permissions",
    "cut refused": "GPU 0: Failed to create GPU instances: Insufficient Resources",
    "last GPU refuses": "GPU 1: Failed to create GPU instances: In use by another client",
    "last GPU silently uncut": "GPU 1: other instances than asked for",
    "one instance too few": "GPU 0 1: other instances than asked for",
    "another profile": "GPU 0 1: other instances than asked for",
    "same number of another profile": "GPU 0 1: other instances than asked for",
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_gpus_that_are_not_as_wanted_are_refused(tmp_path: Path, fault: str) -> None:
    node = machine(tmp_path, faults=(fault,))
    ran = node.run(limit_s=1)
    assert (ran.code, node.cut()) == (1, False)
    assert f"DOES NOT JOIN THE CLUSTER: its GPUs are not cut into 7 x 1g.10gb each: {REFUSALS[fault]}\n" in ran.said


def test_a_machine_without_the_driver_is_refused(tmp_path: Path) -> None:
    ran = Machine(tmp_path, Gpus(list(NEW)), smi=False).run(limit_s=1)
    assert ran.code == 1
    assert "the driver does not answer: timeout: failed to run command" in ran.said


def test_a_driver_that_never_answers_is_refused(tmp_path: Path) -> None:
    assert machine(tmp_path, late=100_000).run(limit_s=1).code == 1


def test_a_driver_that_hangs_is_refused(tmp_path: Path) -> None:
    node = machine(tmp_path)
    node.program("nvidia-smi", "sleep 100")
    assert node.run(limit_s=1, call_s=0.5).code == 1


def test_a_gpu_that_the_driver_does_not_show_is_missed(tmp_path: Path) -> None:
    ran = machine(tmp_path, hidden=1).run(limit_s=1)
    assert ran.code == 1
    assert "the driver shows 1 GPUs, the PCI bus has 2" in ran.said


def test_a_machine_without_gpus_is_refused(tmp_path: Path) -> None:
    ran = Machine(tmp_path, Gpus([]), on_the_bus=0).run(limit_s=1)
    assert ran.code == 1
    assert "the driver shows 0 GPUs, the PCI bus has 0" in ran.said


def test_systemds_patience_ends_with_a_reason_too(tmp_path: Path) -> None:
    node = machine(tmp_path, late=100_000)
    process = subprocess.Popen(
        node.command(PATIENCE), env=node.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert "trying again" in process.stdout.readline()
    # systemd signals everything in the unit's control group.
    os.killpg(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "THIS NODE DOES NOT JOIN THE CLUSTER" in said


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck on this machine")
def test_shellcheck_finds_nothing() -> None:
    # The trap calls `refuse`.
    subprocess.run(["shellcheck", "--exclude=SC2329,SC2317", str(PROGRAM)], check=True)
