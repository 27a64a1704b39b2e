"""A node that really boots: systemd as process 1 of its own namespaces, with the EKS AMI's units and played GPUs.

Nothing of this machine is touched: mounts, processes, control groups, host name and network are the node's own, and it
has no rights outside. Where a machine does not allow that, `why_not` says so and the tests skip.
"""

from __future__ import annotations

import functools
import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.unit.gpu.al2023 import cloud_init, eks_ami
from tests.unit.gpu.al2023.eks_ami import Driver
from tests.unit.gpu.al2023.nvidia_smi import Gpus
from tests.unit.gpu.al2023.playing import Hardware

_SYSTEMD = Path("/lib/systemd/systemd")
_UNSHARE = [
    "unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--cgroup", "--uts", "--ipc", "--net",
    "--kill-child",
]  # fmt: skip

#: Units of systemd's own that a machine needs to come up, to log, and to go down; taken from this one's.
_OWN = [
    *("basic.target", "sysinit.target", "multi-user.target", "local-fs.target", "network-online.target"),
    *("shutdown.target", "umount.target", "final.target", "reboot.target", "poweroff.target"),
    *("systemd-reboot.service", "systemd-poweroff.service", "systemd-journald.socket"),
]
#: The journal without the confinement that systemd's own unit gives it, which needs more rights than a node has here.
_JOURNAL = f"""
[Unit]
DefaultDependencies=no
Requires=systemd-journald.socket
After=systemd-journald.socket
Before=sysinit.target
[Service]
Type=notify
ExecStart={_SYSTEMD.parent}/systemd-journald
Sockets=systemd-journald.socket
FileDescriptorStoreMax=4096
"""

#: Makes the node's view of the file system, then becomes its systemd.
_INIT = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mkdir -p /var/lib/gpu-slices-mig /run/systemd
mount --bind {root}/etc /etc/systemd/system
mount --bind {root}/sbin /usr/local/sbin
mount --bind {root}/state /var/lib/gpu-slices-mig
mount --bind {root}/pci /sys/bus/pci/devices
mount --bind {console} /dev/console
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export container=gpu-slices-test SYSTEMD_UNIT_PATH=/etc/systemd/system
exec {systemd} --system --unit=multi-user.target --log-target=console --show-status=true </dev/null
"""

#: Waits until the kubelet runs or all else is over, waits on to see it stay so, and switches the machine off.
_JUDGE = """
is() {{ [[ $(systemctl show --property ActiveState --value "$1") == "$2" ]]; }}
until is kubelet.service active || is multi-user.target active; do sleep 0.1; done
sleep 1
for unit in kubelet gpu-slices-mig nodeadm-run nvidia-persistenced nvidia-fabricmanager set-nvidia-clocks; do
  echo "$unit=$(systemctl show --property ActiveState --value $unit.service)"
done >{report}
systemctl poweroff --force --force
"""


Ended = Literal["judged", "rebooted", "powered off"]
#: What the signal that ends process 1 of a namespace says; see reboot(2).
_ENDS: Mapping[int, Ended] = {signal.SIGHUP: "rebooted", signal.SIGINT: "powered off"}


@dataclass
class Boot:
    """One boot, as seen from outside.

    ended: how; states: of the units when all was decided; console: what EC2's serial console would show.
    kubelet: how the GPUs were cut when the kubelet started, None where it did not.
    """

    ended: Ended
    states: dict[str, str]
    console: str
    kubelet: Gpus | None


class VirtualNode(Hardware):
    """A node with the EKS AMI's units and a user data document; `boot` and `reboot` run it until all is decided."""

    def __init__(self, folder: Path, gpus: Gpus, user_data: str, *, driver: Driver = "setup", smi: bool = True) -> None:
        super().__init__(folder, gpus, smi=smi)
        self.etc = folder / "etc"
        self.sbin = folder / "sbin"
        for path in (self.etc, self.sbin, folder / "state"):
            path.mkdir()
        (folder / "user-data").write_text(user_data)
        # Where the unit's PATH has it: systemd gives services /usr/local/sbin first.
        if smi:
            shutil.copy(self.bin / "nvidia-smi", self.sbin / "nvidia-smi")
        python = shlex.quote(sys.executable)
        self.program("cloud-init-final", f"exec {python} -S {cloud_init.__file__} {folder}")
        self.program("nodeadm", eks_ami.NODEADM)
        self.program("load-driver", "sleep 0.2")
        self.program("kubelet", f"cp {folder}/gpus {folder}/kubelet-saw\nexec sleep infinity")
        self.program("judge", _JUDGE.format(report=folder / "report"))
        for name in _OWN:
            shutil.copy(_SYSTEMD.parent / "system" / name, self.etc / name)
        for name, text in eks_ami.units(driver, str(self.bin)).items():
            (self.etc / name).write_text(text)
        judge = f"[Service]\nExecStart={self.bin}/judge\n[Install]\nWantedBy=multi-user.target\n"
        (self.etc / "judge.service").write_text(judge)
        (self.etc / "systemd-journald.service").write_text(_JOURNAL)
        wanted = {"multi-user": [*eks_ami.enabled(driver), "judge.service"], "sysinit": ["systemd-journald.service"]}
        for target, names in wanted.items():
            wants = self.etc / f"{target}.target.wants"
            wants.mkdir()
            for name in names:
                (wants / name).symlink_to(f"/etc/systemd/system/{name}")

    def boot(self) -> Boot:
        """Switch it on, first boot or not, and wait until it is decided."""
        self.power_up()
        for name in ("report", "kubelet-saw"):
            (self.folder / name).unlink(missing_ok=True)
        code, console = _run(self.folder, limit_s=300)
        report = self.folder / "report"
        states = dict(line.split("=") for line in report.read_text().splitlines()) if report.exists() else {}
        seen = self.folder / "kubelet-saw"
        return Boot(
            "judged" if states else _ENDS[code], states, console, Gpus.read(str(seen)) if seen.exists() else None
        )


def _run(root: Path, limit_s: float) -> tuple[int, str]:
    """Run a node to its end. Returns the signal that ended its process 1 (see reboot(2)), and its console."""
    master, slave = pty.openpty()
    script = _INIT.format(root=root, console=os.ttyname(slave), systemd=_SYSTEMD)
    process = subprocess.Popen([*_UNSHARE, "bash", "-c", script], stdout=slave, stderr=slave, stdin=subprocess.DEVNULL)
    console, deadline = b"", time.monotonic() + limit_s
    try:
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the node was not decided after {limit_s} s:\n{console.decode(errors='replace')}")
            if select.select([master], [], [], 0.1)[0]:
                console += os.read(master, 65536)
        while select.select([master], [], [], 0)[0]:
            console += os.read(master, 65536)
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)
    return -process.returncode, console.decode(errors="replace")


@functools.cache
def why_not() -> str | None:
    """Why no node can boot here, or None."""
    for program in ("unshare", "systemctl"):
        if not shutil.which(program):
            return f"no {program} on this machine"
    if not _SYSTEMD.exists():
        return f"no {_SYSTEMD} on this machine"
    for covered in ("/sys/bus/pci/devices", "/usr/local/sbin", "/etc/systemd/system"):
        if not Path(covered).is_dir():
            return f"no {covered} on this machine"
    group = "/sys/fs/cgroup/gpu-slices-probe"
    probe = f"mount -t proc proc /proc && mount -t cgroup2 cgroup2 /sys/fs/cgroup && mkdir {group} && rmdir {group}"
    tried = subprocess.run(
        [*_UNSHARE, "bash", "-c", probe],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tried.returncode:
        return f"systemd cannot have namespaces of its own here: {tried.stderr.strip()}"
    return None
