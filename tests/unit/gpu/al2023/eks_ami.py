"""The part of the EKS AMI (AL2023, NVIDIA) that decides whether a kubelet starts: its units, written out as facts.

Source: awslabs/amazon-eks-ami, templates/al2023/runtime (rootfs/etc/systemd/system and gpu), read in 2026-11: the
units' names, places, order, requirements, types and restarts, and what nodeadm does
(nodeadm/internal/daemon/systemd.go: asks systemd over D-Bus to restart the kubelet, does not look at that job, and then
asks for the kubelet's state until it is "active"). cloud-init's are those of 22.2.2, which AL2023 has. What the units
run is played.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

#: How the AMI loads the driver: `nvidia-kmod-load.service` until v20260917, `nvidia-setup.service` from then on.
Driver = Literal["kmod-load", "setup"]

_UNITS: Mapping[str, str] = {
    "kubelet.service": """
[Unit]
After=containerd.service
Wants=containerd.service
[Service]
ExecStart={bin}/kubelet
Restart=on-failure
RestartForceExitStatus=SIGPIPE
RestartSec=5
KillMode=process
[Install]
WantedBy=multi-user.target
""",
    "containerd.service": """
[Service]
ExecStart=/bin/sleep infinity
""",
    "nodeadm-config.service": """
[Unit]
Before=cloud-init.service
[Service]
Type=oneshot
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
""",
    "nodeadm-run.service": """
[Unit]
After=nodeadm-config.service cloud-final.service
Requires=nodeadm-config.service
[Service]
Type=oneshot
ExecStart={bin}/nodeadm
[Install]
WantedBy=multi-user.target
""",
    "cloud-init.service": """
[Unit]
DefaultDependencies=no
Before=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
""",
    "cloud-final.service": """
[Unit]
After=network-online.target cloud-init.service
Wants=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
KillMode=process
TimeoutSec=0
ExecStart={bin}/cloud-init-final
StandardOutput=journal+console
[Install]
WantedBy=multi-user.target
""",
    "nvidia-persistenced.service": """
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
""",
    "nvidia-fabricmanager.service": """
[Unit]
After=network-online.target
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
""",
    "set-nvidia-clocks.service": """
[Unit]
After=nvidia-persistenced.service
Requires=nvidia-persistenced.service
[Service]
Type=oneshot
RemainAfterExit=true
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
""",
}

_LOADERS: Mapping[Driver, Mapping[str, str]] = {
    "kmod-load": {
        "nvidia-kmod-load.service": """
[Unit]
After=network-online.target
Wants=network-online.target
Before=nvidia-fabricmanager.service nvidia-persistenced.service
[Service]
Type=oneshot
RemainAfterExit=true
ExecStart={bin}/load-driver
[Install]
WantedBy=multi-user.target
""",
    },
    "setup": {
        "nvidia-setup.service": """
[Unit]
Before=nvidia-persistenced.service nvidia-fabricmanager.service
RefuseManualStart=yes
RefuseManualStop=yes
StartLimitBurst=5
StartLimitIntervalSec=infinity
[Service]
Type=oneshot
RemainAfterExit=true
ExecStart={bin}/load-driver
Restart=on-failure
RestartSec=5s
[Install]
WantedBy=multi-user.target
""",
    },
}

#: What the units run, in the folder of programs.
PROGRAMS = ("kubelet", "nodeadm", "cloud-init-final", "load-driver")

#: nodeadm never looks at the job that it asks for, and never stops asking for the state.
NODEADM = """
systemctl --no-block restart kubelet.service || exit 1
until [[ $(systemctl show --property ActiveState --value kubelet.service) == active ]]; do sleep 0.25; done
"""


def units(driver: Driver, programs: str) -> dict[str, str]:
    """The AMI's unit files by name, all of which it has in /etc/systemd/system. programs: folder of what they run."""
    return {name: text.format(bin=programs) for name, text in {**_UNITS, **_LOADERS[driver]}.items()}


def enabled(driver: Driver) -> list[str]:
    """The units that are enabled in the image. The kubelet is not: nodeadm starts it."""
    return [name for name in units(driver, "") if name not in ("kubelet.service", "containerd.service")]
