"""Plays `nvidia-smi` on GPUs whose state is a JSON file, with faults: answers in the real one's words and forms.

Words and forms: NVIDIA MIG User Guide, "Getting Started with MIG", and nvidia-smi(1). Started as a program, it knows
its machine by the file `gpus` in the folder that is its first argument; `Gpus` makes that file and reads it. A node
calls it dozens of times while it boots, so it imports nothing that takes time.
"""

from __future__ import annotations

import marshal
import os
import sys


class Gpu:
    """One GPU: whether its MIG mode is on and will be on after a reset, and the profiles of its instances."""

    def __init__(self, current: bool = False, pending: bool = False, instances: tuple[str, ...] = ()) -> None:
        self.current = current
        self.pending = pending
        self.instances = instances


class Gpus:
    """What the driver knows of a machine's GPUs.

    ampere: the mode needs a reset, which the persistence daemon blocks and the Fabric Manager must help, and survives a
    reboot; otherwise it is on at once and ends with the boot. late: calls until the driver answers (the program makes
    one every five seconds). hidden: GPUs that it does not show. faults: what goes wrong, by the names that `_Smi` looks
    for.
    """

    def __init__(
        self, gpus: list[Gpu], *, ampere: bool = False, late: int = 0, hidden: int = 0, faults: tuple[str, ...] = ()
    ) -> None:
        self.gpus = gpus
        self.ampere = ampere
        self.late = late
        self.hidden = hidden
        self.faults = faults

    @classmethod
    def read(cls, path: str) -> Gpus:
        """The machine as it is now."""
        with open(path, "rb") as file:
            kept = marshal.load(file)
        return cls(**{**kept, "gpus": [Gpu(**gpu) for gpu in kept["gpus"]]})

    def write(self, path: str) -> None:
        """Keep it for the program and the next look."""
        with open(path, "wb") as file:
            marshal.dump({**vars(self), "gpus": [vars(gpu) for gpu in self.gpus]}, file)

    def boot(self) -> None:
        """What a (re)boot does to it: instances go, and the mode as its generation has it."""
        for gpu in self.gpus:
            gpu.instances = ()
            gpu.current = gpu.pending = gpu.pending and self.ampere


class _Smi:
    def __init__(self, machine: Gpus) -> None:
        self.machine = machine

    def run(self, arguments: list[str]) -> int:
        if self.machine.late:
            self.machine.late -= 1
            print("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.")
            return 9
        match arguments:
            case ["-L"]:
                return self.show()
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

    def show(self) -> int:
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
            gpu.current, gpu.instances = gpu.pending, ()
        print("All done.")
        return 0

    def destroy(self, gpu: Gpu) -> int:
        if not gpu.instances:
            print("No GPU instances found: Not Found")
            return 6
        gpu.instances = ()
        return 0

    def create(self, index: int, profiles: list[str]) -> int:
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
        gpu.instances = tuple(profiles)
        for number, profile in enumerate(profiles):
            print(f"Successfully created GPU instance ID {number} on GPU {index} using profile MIG {profile} (ID 19)")
        return 0


def _active(service: str) -> bool:
    return os.system(f"systemctl is-active --quiet {service}") == 0


def main(folder: str, arguments: list[str]) -> int:
    """One call of the program."""
    with open(f"{folder}/calls", "a") as calls:
        calls.write(" ".join(arguments) + "\n")
    machine = Gpus.read(f"{folder}/gpus")
    code = _Smi(machine).run(arguments)
    machine.write(f"{folder}/gpus")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
