"""User data that cuts the GPUs of an AL2023 node into MIG instances before the kubelet starts.

On AL2023 the EKS AMI runs user-data scripts between nodeadm's two steps, so the instances are there when the device
plugin first looks. NVIDIA's MIG manager would restart the kubelet or the node instead (NVIDIA/gpu-operator#2415), and
a layout does not outlive a reboot (NVIDIA/mig-parted#368). A node whose GPUs cannot be cut never joins: Karpenter
gives up on it after 15 minutes and buys another, and no workload ever sees an unpartitioned GPU.
"""

from __future__ import annotations

from gpu.mig import MigProfile

_BOUNDARY = "gpu-slices"

_SCRIPT = """#!/bin/bash
set -euo pipefail
refuse() {{
  echo "gpu-slices: cannot cut the GPUs into {profile}; this node will not join the cluster" >&2
  systemctl mask --now kubelet
}}
trap refuse ERR
nvidia-smi -mig 1
if nvidia-smi --query-gpu=mig.mode.current --format=csv,noheader | grep -qv Enabled; then
  # Ampere takes the mode over on a GPU reset only, and these services hold the GPUs.
  systemctl stop nvidia-persistenced nvidia-fabricmanager 2>/dev/null || true
  nvidia-smi --gpu-reset
  systemctl start nvidia-fabricmanager nvidia-persistenced 2>/dev/null || true
fi
for gpu in $(nvidia-smi --query-gpu=index --format=csv,noheader); do
  nvidia-smi mig -i "$gpu" -cgi {instances} -C
done
"""


def mig_user_data(profile: MigProfile) -> str:
    """MIME document for an EC2NodeClass; Karpenter appends nodeadm's part to it."""
    script = _SCRIPT.format(profile=profile.name, instances=",".join([profile.name] * profile.max_per_gpu))
    return (
        f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{_BOUNDARY}"\n\n'
        f'--{_BOUNDARY}\nContent-Type: text/x-shellscript; charset="us-ascii"\n\n{script}\n--{_BOUNDARY}--\n'
    )
