"""Plays `nvidia-smi` on GPUs whose state is a JSON file, with faults: answers in the real one's words and forms.

Words and forms: NVIDIA MIG User Guide, "Getting Started with MIG", and nvidia-smi(1). Started as a program, it knows
its machine by the file `gpus.json` in $GPUS; `Gpus` makes that file and reads it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Gpu:
    """One GPU: whether its MIG mode is on and will be on after a reset, and the profiles of its instances."""

    current: bool = False
    pending: bool = False
    instances: list[str] = field(default_factory=list)


@dataclass
class Gpus:
    """What the driver knows of a machine's GPUs.

    ampere: the mode needs a reset, which the persistence daemon blocks and the Fabric Manager must help, and survives a
    reboot; otherwise it is on at once and ends with the boot. late_s: seconds after the boot until the driver answers.
    hidden: GPUs that it does not show. faults: what goes wrong, by the names that `_Smi` looks for.
    """

    gpus: list[Gpu]
    ampere: bool = False
    late_s: float = 0
    hidden: int = 0
    faults: list[str] = field(default_factory=list)
    booted_at: float = 0

    @classmethod
    def read(cls, path: Path) -> Gpus:
        """The machine as it is now."""
        data = json.loads(path.read_text())
        return cls(**{**data, "gpus": [Gpu(**gpu) for gpu in data["gpus"]]})

    def write(self, path: Path) -> None:
        """Keep it for the program and the next look."""
        path.write_text(json.dumps(asdict(self)))

    def boot(self) -> None:
        """What a (re)boot does to it: instances go, and the mode as its generation has it."""
        self.booted_at = time.time()
        for gpu in self.gpus:
            gpu.instances = []
            gpu.current = gpu.pending = gpu.pending and self.ampere


class _Smi:
    def __init__(self, machine: Gpus) -> None:
        self.machine = machine

    def run(self, arguments: Sequence[str]) -> int:
        if time.time() - self.machine.booted_at < self.machine.late_s:
            print("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.")
            return 9
        match list(arguments):
            case ["-L"]:
                return self.list()
            case ["--query-gpu=index,mig.mode.current", "--format=csv,noheader"]:
                for index, gpu in self.shown():
                    print(f"{index}, {'Enabled' if gpu.current else 'Disabled'}")
                return 0
            case ["-mig", "1"]:
                return self.enable()
            case ["--gpu-reset"]:
                return self.reset()
            case ["mig", "-i", index, "-dci" | "-dgi"]:
                return self.destroy(self.machine.gpus[int(index)])
            case ["mig", "-i", index, "-cgi", profiles, "-C"]:
                return self.create(int(index), profiles.split(","))
        print(f"Invalid combination of input arguments: {arguments}")
        return 6

    def shown(self) -> list[tuple[int, Gpu]]:
        return list(enumerate(self.machine.gpus))[: len(self.machine.gpus) - self.machine.hidden]

    def list(self) -> int:
        for index, gpu in self.shown():
            print(f"GPU {index}: NVIDIA H100 80GB HBM3 (UUID: GPU-{index})")
            for number, profile in enumerate(gpu.instances):
                print(f"  MIG {profile:<11} Device {number:>2}: (UUID: MIG-{index}-{number})")
        return 0

    def enable(self) -> int:
        for index, gpu in self.shown():
            if "mode refused" in self.machine.faults:
                print(f"Unable to enable MIG Mode for GPU {index:02X}:00.0: Insufficient Permissions")
                return 4
            gpu.pending = True
            if not self.machine.ampere:
                gpu.current = True
                print(f"Enabled MIG Mode for GPU {index:02X}:00.0")
            elif not gpu.current:
                print(f"Warning: MIG mode is in pending enable state for GPU {index:02X}:00.0:Not Supported")
        print("All done.")
        return 0

    def reset(self) -> int:
        if "reset forbidden" in self.machine.faults:
            print("Resetting GPU 00000000:00:03.0 is not supported.")
            return 3
        if _active("nvidia-persistenced"):
            print("GPU 00000000:00:03.0: In use by another client")
            return 255
        if len(self.machine.gpus) > 1 and not _active("nvidia-fabricmanager"):
            print("Unable to reset: the Fabric Manager is not running")
            return 255
        for gpu in self.machine.gpus:
            gpu.current, gpu.instances = gpu.pending, []
        print("All done.")
        return 0

    def destroy(self, gpu: Gpu) -> int:
        if not gpu.instances:
            print("No GPU instances found: Not Found")
            return 6
        gpu.instances = []
        return 0

    def create(self, index: int, profiles: Sequence[str]) -> int:
        gpu = self.machine.gpus[index]
        if not gpu.current or gpu.instances or "cut refused" in self.machine.faults:
            print("Failed to create GPU instances: Insufficient Resources")
            return 19
        if "last GPU refuses" in self.machine.faults and index == len(self.machine.gpus) - 1:
            print("Failed to create GPU instances: In use by another client")
            return 19
        if "one instance too few" in self.machine.faults:
            profiles = profiles[1:]
        if "another profile" in self.machine.faults:
            profiles = ["3g.40gb", "3g.40gb"]
        if "same number of another profile" in self.machine.faults:
            profiles = ["1g.10gb+me", *profiles[1:]]
        if "last GPU silently uncut" in self.machine.faults and index == len(self.machine.gpus) - 1:
            profiles = []
        gpu.instances = list(profiles)
        for number, profile in enumerate(profiles):
            print(f"Successfully created GPU instance ID {number} on GPU {index} using profile MIG {profile} (ID 19)")
        return 0


def _active(service: str) -> bool:
    return subprocess.run(["systemctl", "is-active", "--quiet", service], check=False).returncode == 0


def main() -> int:
    """One call of the program."""
    folder = Path(os.environ["GPUS"])
    with (folder / "calls").open("a") as calls:
        calls.write(" ".join(sys.argv[1:]) + "\n")
    machine = Gpus.read(folder / "gpus.json")
    code = _Smi(machine).run(sys.argv[1:])
    machine.write(folder / "gpus.json")
    return code


if __name__ == "__main__":
    sys.exit(main())
