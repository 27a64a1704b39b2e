"""What both kinds of MIG tests share: a machine's GPUs played from a folder, and the program that cuts them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import gpu.sharing
from tests.unit.gpu.al2023 import nvidia_smi
from tests.unit.gpu.al2023.nvidia_smi import Gpu, Gpus

PROGRAM = Path(gpu.sharing.__path__[0]) / "mig.sh"
PROFILE = "1g.10gb"
COUNT = 7
WANTED = (PROFILE,) * COUNT

#: Two of them, so that a node can be right in part.
NEW: Sequence[Gpu] = (Gpu(), Gpu())


class Hardware:
    """GPUs in a folder: their state, a PCI bus that shows them, and an `nvidia-smi` in `bin`."""

    def __init__(self, folder: Path, gpus: Gpus, *, on_the_bus: int | None = None, smi: bool = True) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bus = folder / "pci"
        self.bin.mkdir(parents=True)
        gpus.boot()
        gpus.write(f"{folder}/gpus")
        present = len(gpus.gpus) if on_the_bus is None else on_the_bus
        # A GPU, an NVSwitch (a bridge of NVIDIA's) and Amazon's network interface: only the first kind counts.
        devices = [("0x10de", "0x030200")] * present + [("0x10de", "0x068000"), ("0x1d0f", "0x020000")]
        for number, (vendor, class_) in enumerate(devices):
            device = self.bus / f"0000:{number:02x}:00.0"
            device.mkdir(parents=True)
            (device / "vendor").write_text(vendor + "\n")
            (device / "class").write_text(class_ + "\n")
        if smi:
            play = shlex.join([sys.executable, "-I", "-S", nvidia_smi.__file__, str(folder)])
            self.program("nvidia-smi", f'exec {play} "$@"')

    def program(self, name: str, body: str) -> None:
        """Put a program of the machine's in its `bin`."""
        path = self.bin / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    @property
    def gpus(self) -> Gpus:
        """As they are now; what is assigned is what they then are."""
        return Gpus.read(f"{self.folder}/gpus")

    @gpus.setter
    def gpus(self, gpus: Gpus) -> None:
        gpus.write(f"{self.folder}/gpus")

    @property
    def calls(self) -> list[str]:
        """Every call of nvidia-smi until now."""
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def cut(self) -> bool:
        """Whether every GPU is in MIG mode and has exactly the instances that are wanted."""
        return all(gpu.current and gpu.instances == WANTED for gpu in self.gpus.gpus)

    def power_up(self) -> None:
        """A boot, as the GPUs see it."""
        gpus = self.gpus
        gpus.boot()
        self.gpus = gpus


def hurried(text: str, limit_s: float, call_s: float = 20) -> str:
    """The program with its waiting shortened, and nothing else."""
    shorter = {"LIMIT_S=300": f"LIMIT_S={limit_s:g}", "PAUSE_S=5": "PAUSE_S=0.1", "CALL_S=120": f"CALL_S={call_s:g}"}
    for old, new in shorter.items():
        assert text.count(f"\n{old}\n") == 1, old
        text = text.replace(f"\n{old}\n", f"\n{new}\n")
    return text
