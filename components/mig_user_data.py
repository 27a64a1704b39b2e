"""User data of AL2023 nodes: cuts their GPUs into MIG instances before the kubelet starts, and pulls images faster.

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
        script = _SCRIPT.format(profile=profile.name, instances=",".join([profile.name] * profile.max_per_gpu))
        parts.append(f'Content-Type: text/x-shellscript; charset="us-ascii"\n\n{script}')
    if fast_image_pull:
        parts.append(f"Content-Type: application/node.eks.aws\n\n{_FAST_IMAGE_PULL}")
    if not parts:
        return None
    body = "".join(f"--{_BOUNDARY}\n{part}\n" for part in parts)
    return f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{_BOUNDARY}"\n\n{body}--{_BOUNDARY}--\n'
