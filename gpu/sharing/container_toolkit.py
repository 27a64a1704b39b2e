"""User data of AL2023 nodes whose tenants do not trust each other: GPUs come by the device plugin alone.

The AMI's NVIDIA Container Toolkit gives a container the GPUs that the variable NVIDIA_VISIBLE_DEVICES names, and any
image or pod can name `all`, with a slot or without (NVIDIA/k8s-device-plugin#87). Here it is told to ignore the
variable of containers without CAP_SYS_ADMIN, and to listen to mounts of /dev/null below
/var/run/nvidia-container-devices, which only those can make who may mount paths of the host (nvidia-container-toolkit
internal/config/image/cuda_image.go, VisibleDevices and requestsFromMounts). The device plugin makes them:
`gpu.sharing.plugin_config`. Bottlerocket does both by default: `gpu.sharing.bottlerocket`.
"""

from __future__ import annotations

import re

_BOUNDARY = "gpu-slices-toolkit"
#: What nodeadm's containerd runs is the toolkit's runtime; it reads this file for each container.
_CONFIG = "/etc/nvidia-container-runtime/config.toml"
_SETTINGS = {
    "accept-nvidia-visible-devices-envvar-when-unprivileged": "false",
    "accept-nvidia-visible-devices-as-volume-mounts": "true",
}

_SCRIPT = """#!/bin/bash
set -euo pipefail
failed="gpu-slices: cannot close the GPUs to containers without a slot; this node will not join, powering off"
trap 'echo "$failed" | tee /dev/console >&2; systemctl poweroff' ERR
# Closed until it is done, at this boot and every other: the kubelet does not start without the mark.
install -d /etc/gpu-slices /etc/systemd/system/kubelet.service.d
cat >/etc/systemd/system/kubelet.service.d/50-gpu-slices-devices.conf <<'UNIT'
[Unit]
ConditionPathExists=/etc/gpu-slices/devices-come-by-mount
UNIT
systemctl daemon-reload
nvidia-ctk config --config-file {config} --in-place {settings}
{checks}
touch /etc/gpu-slices/devices-come-by-mount
"""


def devices_by_mount(user_data: str | None = None) -> str:
    """MIME document for an EC2NodeClass: the script, before whatever the pool's user data has.

    Raises ValueError for user data that is no MIME document with a boundary.
    """
    part = f'Content-Type: text/x-shellscript; charset="us-ascii"\n\n{script()}'
    if user_data is None:
        head = f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{_BOUNDARY}"\n\n'
        return f"{head}--{_BOUNDARY}\n{part}\n--{_BOUNDARY}--\n"
    found = re.search(r'boundary="([^"]+)"', user_data.partition("\n\n")[0])
    if found is None:
        raise ValueError("user data is no MIME document with a boundary")
    line = f"--{found[1]}\n"
    head, _, rest = user_data.partition(line)
    return f"{head}{line}{part}\n{line}{rest}"


def script() -> str:
    """The shell script. A machine on which it fails, at whatever line, powers off and never joins."""
    return _SCRIPT.format(
        config=_CONFIG,
        settings=" ".join(f"--set {key}={value}" for key, value in _SETTINGS.items()),
        checks="\n".join(f"grep -Eq '^{key} *= *{value}$' {_CONFIG}" for key, value in _SETTINGS.items()),
    )
