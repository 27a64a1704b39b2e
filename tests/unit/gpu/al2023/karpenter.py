"""What Karpenter makes of an EC2NodeClass' user data for AL2023.

Source: aws/karpenter-provider-aws v1.15.0, pkg/providers/amifamily/bootstrap/nodeadm.go and mime/mime.go: the parts as
they are with their Content-Type alone, then Karpenter's own NodeConfig, in a document whose boundary is "//".
"""

from __future__ import annotations

from email import message_from_string
from typing import Any

#: EC2's limit for user data before its base64, in bytes (EC2 API reference, RunInstances, UserData). Karpenter's node
#: class turns NotReady above it ("UserDataSizeLimitExceeded").
LIMIT = 16384

#: As generous as it gets: a certificate authority of 2048 bits in base64, an endpoint and a name at their longest,
#: Karpenter's labels and the pool's, its taint.
NODE_CONFIG = f"""# Karpenter Generated NodeConfig
apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
metadata: {{}}
spec:
  cluster:
    apiServerEndpoint: https://{"A" * 32}.gr7.ap-northeast-1.eks.amazonaws.com
    certificateAuthority: {"A" * 1600}
    cidr: 10.100.0.0/16
    name: {"c" * 100}
  containerd: {{}}
  instance:
    localStorage:
      strategy: RAID0
  kubelet:
    config:
      clusterDNS:
      - 10.100.0.10
      maxPods: 110
      registerWithTaints:
      - effect: NoExecute
        key: karpenter.sh/unregistered
      - effect: NoSchedule
        key: nvidia.com/gpu
        value: "true"
    flags:
    - --node-labels="{",".join(f"gpu-slices/label-{n}={'v' * 63}" for n in range(12))}"
"""


def merged(document: str) -> str:
    """The user data that EC2 gets, before its base64."""
    parts: Any = message_from_string(document).get_payload()
    entries = [(part["Content-Type"], part.get_payload()) for part in parts]
    entries.append(("application/node.eks.aws", NODE_CONFIG))
    body = "".join(f"--//\nContent-Type: {kind}\n\n{content}\n" for kind, content in entries)
    return f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="//"\n\n{body}--//--\n'
