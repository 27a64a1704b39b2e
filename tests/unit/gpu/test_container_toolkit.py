"""User data by which a node hands out GPUs by the device plugin alone: the script is run, on folders of a test's."""

from __future__ import annotations

import shutil
import subprocess
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from gpu.catalog import INSTANCE_TYPES
from gpu.sharing.al2023 import al2023_user_data
from gpu.sharing.container_toolkit import devices_by_mount, script
from tests.gotools import tool

#: The newest whose module is served here; EKS AMIs have 1.20.0 since v20260818 (amazon-eks-ami#2790).
NVIDIA_CTK = ("github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-ctk", "v1.18.0")
#: What the toolkit's package installs (as `nvidia-ctk config` prints it), shortened.
SHIPPED = """\
#accept-nvidia-visible-devices-as-volume-mounts = false
#accept-nvidia-visible-devices-envvar-when-unprivileged = true
disable-require = false
supported-driver-capabilities = "compat32,compute,display,graphics,ngx,utility,video"

[nvidia-container-cli]
environment = []
ldconfig = "@/sbin/ldconfig"
load-kmods = true

[nvidia-container-runtime]
log-level = "info"
mode = "auto"
runtimes = ["runc", "crun"]
"""
MARK = "etc/gpu-slices/devices-come-by-mount"
CONFIG = "etc/nvidia-container-runtime/config.toml"


def run(root: Path, nvidia_ctk: str, *, shipped: str | None = SHIPPED) -> subprocess.CompletedProcess[str]:
    """Run the script with `root` in place of /, a `systemctl` that only notes its calls, and a `nvidia-ctk`."""
    commands = root / "bin"
    commands.mkdir()
    for name, text in {"systemctl": f'echo "$@" >>{root}/systemctl', "nvidia-ctk": nvidia_ctk}.items():
        (commands / name).write_text(f"#!/bin/bash\n{text}\n")
        (commands / name).chmod(0o755)
    if shipped is not None:
        (root / CONFIG).parent.mkdir(parents=True)
        (root / CONFIG).write_text(shipped)
    bash = shutil.which("bash")
    assert bash
    return subprocess.run(
        [bash, "-c", script().replace("/etc/", f"{root}/etc/")],
        env={"PATH": f"{commands}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def guarded(root: Path) -> bool:
    """Whether the kubelet waits for the mark."""
    drop_in = root / "etc/systemd/system/kubelet.service.d/50-gpu-slices-devices.conf"
    return f"ConditionPathExists={root}/{MARK}" in drop_in.read_text().splitlines()


@pytest.mark.go
def test_nvidia_s_own_tool_closes_the_variable_and_opens_the_mounts(tmp_path: Path) -> None:
    done = run(tmp_path, f'exec {tool(*NVIDIA_CTK)} "$@"')
    assert done.returncode == 0, done.stderr
    written = (tmp_path / CONFIG).read_text().splitlines()
    assert "accept-nvidia-visible-devices-envvar-when-unprivileged = false" in written
    assert "accept-nvidia-visible-devices-as-volume-mounts = true" in written
    assert 'mode = "auto"' in (line.strip() for line in written)
    assert (tmp_path / MARK).exists()
    assert guarded(tmp_path)
    assert (tmp_path / "systemctl").read_text() == "daemon-reload\n"


_MOUNTS = "accept-nvidia-visible-devices-as-volume-mounts"
BROKEN = {
    "the tool fails": ("exit 1", SHIPPED),
    "there is no tool": ("exec /nonexistent/nvidia-ctk", SHIPPED),
    "the tool does nothing": ("true", SHIPPED),
    "there is no toolkit": ("true", None),
    "it writes one of the two": (
        f"sed -i 's/#{_MOUNTS}.*/{_MOUNTS} = true/' {{}}/{CONFIG}",
        SHIPPED,
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_node_that_cannot_be_closed_never_starts_its_kubelet(case: str, tmp_path: Path) -> None:
    nvidia_ctk, shipped = BROKEN[case]
    done = run(tmp_path, nvidia_ctk.replace("{}", str(tmp_path)), shipped=shipped)
    assert done.returncode != 0
    assert not (tmp_path / MARK).exists()
    assert guarded(tmp_path)
    assert (tmp_path / "systemctl").read_text().splitlines()[-1] == "poweroff"
    assert "gpu-slices: cannot close the GPUs to containers without a slot; this node will not join" in done.stderr


def parts(user_data: str) -> list[Any]:
    found = message_from_string(user_data)
    assert found.is_multipart()
    assert not found.defects
    return list(found.get_payload())


def test_it_stands_alone() -> None:
    (part,) = parts(devices_by_mount())
    assert part.get_content_type() == "text/x-shellscript"
    assert part.get_payload() == script()


@pytest.mark.parametrize("fast", [False, True])
def test_it_comes_before_what_the_pool_has(fast: bool) -> None:
    profile = INSTANCE_TYPES["p5.4xlarge"].gpu.mig_profiles["1g.10gb"]
    before = al2023_user_data(profile, fast_image_pull=fast)
    assert before is not None
    first, *others = parts(devices_by_mount(before))
    assert first.get_payload() == script()
    assert [part.as_string() for part in others] == [part.as_string() for part in parts(before)]


def test_text_that_is_no_mime_document_is_refused() -> None:
    with pytest.raises(ValueError, match="no MIME document"):
        devices_by_mount("#!/bin/bash\ntrue\n")
