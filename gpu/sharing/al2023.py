"""User data of AL2023 nodes: cuts their GPUs into MIG instances before the kubelet may start, and pulls images faster.

cloud-init runs the script of a pool with MIG once, at the first boot, before nodeadm's second step
(`nodeadm-run.service` is `After=cloud-final.service`, "to pickup changes the user may have applied via cloud-init
scripts"). The script installs `gpu-slices-mig.service` (mig.service, mig.sh) and enables it, and from then on that
unit works at every boot: both nodeadm-run and the kubelet require it, so a machine whose GPUs are not exactly as asked
for never becomes a node.

Masking the kubelet, or a condition in a drop-in, would not do. The EKS AMI has `kubelet.service` as a file in
/etc/systemd/system, where systemd refuses to put a mask; and a condition that does not hold counts as success, after
which nodeadm waits for an active kubelet for ever and says nothing. NVIDIA's MIG manager for Kubernetes works on nodes
that have joined, and restarts the kubelet or the node (NVIDIA/gpu-operator#2415).
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from gpu.mig import MigProfile

_BOUNDARY = "gpu-slices"
#: Instances that a script of anybody's cuts out of each GPU: `nvidia-smi mig -i N -cgi 1g.10gb,1g.10gb`.
_CUT = re.compile(r"nvidia-smi\s+mig\b[^\n]*?\s-cgi\s+([\w.,+]+)")
_COMMENT = re.compile(r"^\s*#[^\n]*", re.MULTILINE)
#: The same as our own unit says it: `gpu-slices-mig 1g.10gb 7` (mig.service).
_UNIT = re.compile(r"^ExecStart=\S*gpu-slices-mig ([\w.+]+) (\d+)$", re.MULTILINE)
#: A profile that a script names in another way.
_NAMED = re.compile(r"\b[1-7]g\.\d+gb\b")

_INSTALL = """#!/bin/bash
# Installs gpu-slices-mig.service. Where it cannot, this machine must not become a node with uncut GPUs.
set -euo pipefail
trap 'echo "gpu-slices: cannot install gpu-slices-mig.service; powering off" >/dev/console; systemctl poweroff' ERR
# The unit first: without its program it fails, and keeps the kubelet from starting.
cat >/etc/systemd/system/gpu-slices-mig.service <<'END_OF_UNIT'
{unit}END_OF_UNIT
systemctl enable gpu-slices-mig.service
install -D -m 0755 /dev/stdin /usr/local/sbin/gpu-slices-mig <<'END_OF_PROGRAM'
{program}END_OF_PROGRAM
# This boot's start of nodeadm-run is queued already and waits for the units that are ordered before it.
systemctl start --no-block gpu-slices-mig.service
"""


_FAST_IMAGE_PULL = """apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  featureGates:
    FastImagePull: true
"""


def al2023_user_data(profile: MigProfile | None = None, *, fast_image_pull: bool = False) -> str | None:
    """MIME document for an EC2NodeClass; Karpenter appends nodeadm's part to it. None where there is nothing to say.

    profile: MIG instances that every GPU is cut into. fast_image_pull: nodeadm's gate for pulling images in parallel
    (awslabs/amazon-eks-ami nodeadm/doc/examples.md, "Enabling fast image pull"), which it calls experimental.
    """
    parts = []
    if profile:
        script = _INSTALL.format(unit=mig_unit(profile), program=_file("mig.sh"))
        parts.append(f'Content-Type: text/x-shellscript; charset="us-ascii"\n\n{script}')
    if fast_image_pull:
        parts.append(f"Content-Type: application/node.eks.aws\n\n{_FAST_IMAGE_PULL}")
    if not parts:
        return None
    body = "".join(f"--{_BOUNDARY}\n{part}\n" for part in parts)
    return f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{_BOUNDARY}"\n\n{body}--{_BOUNDARY}--\n'


def mig_unit(profile: MigProfile) -> str:
    """The systemd unit that cuts a node's GPUs into as many instances of the profile as fit, at every boot."""
    return _file("mig.service").format(profile=profile.name, count=profile.max_per_gpu)


def read_mig_cut(user_data: str) -> Counter[str]:
    """MIG instances that user data cuts out of each GPU, by profile; empty where it cuts none that can be read."""
    if unit := _UNIT.search(user_data):
        return Counter({unit[1]: int(unit[2])})
    # What stands once for each GPU says the same; scripts that cut GPUs in different ways are not read.
    cuts = {cut.strip(",") for cut in _CUT.findall(_COMMENT.sub("", user_data))}
    return Counter(name for name in cuts.pop().split(",") if name) if len(cuts) == 1 else Counter()


def read_mig_profile(user_data: str) -> str | None:
    """The only MIG profile that user data names, however; None where it names none, or several."""
    names = set(read_mig_cut(user_data)) or set(_NAMED.findall(user_data))
    return names.pop() if len(names) == 1 else None


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="us-ascii")
