"""What the tables of the on-demand rule are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Case = tuple[str, Mapping[str, Any]]

POOL: Final = "kubernetes:karpenter.sh/v1:NodePool"
NODE_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP: Final = "aws:autoscaling/group:Group"
INSTANCE: Final = "aws:ec2/instance:Instance"
FLEET: Final = "aws:ec2/fleet:Fleet"
RELEASE: Final = "kubernetes:helm.sh/v3:Release"

AWS: Final = "karpenter.k8s.aws/instance-"
AUTO: Final = "eks.amazonaws.com/instance-"
CAPACITY: Final = "karpenter.sh/capacity-type"
TYPE: Final = "node.kubernetes.io/instance-type"

JUSTIFIED: Final = {
    "gpu-slices/on-demand-justification": "PLAT-123: the nightly evaluation cannot be interrupted",
    "gpu-slices/on-demand-expires": "2027-02-01",
}


def need(key: str, operator: str, *values: str) -> dict[str, Any]:
    """A requirement."""
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def pool(
    *requirements: dict[str, Any],
    group: str = "karpenter.k8s.aws",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Inputs of a NodePool."""
    kind = "NodeClass" if group == "eks.amazonaws.com" else "EC2NodeClass"
    spec = {"nodeClassRef": {"group": group, "kind": kind, "name": "gpu"}, "requirements": list(requirements)}
    template = {"metadata": {"labels": dict(labels)}, "spec": spec} if labels else {"spec": spec}
    metadata = {"name": "gpu", **({"annotations": dict(annotations)} if annotations else {})}
    manifest = {"apiVersion": "karpenter.sh/v1", "kind": "NodePool"}
    return {**manifest, "metadata": metadata, "spec": {"template": template}}


SPOT: Final = need(CAPACITY, "In", "spot")
ON_DEMAND: Final = need(CAPACITY, "In", "on-demand")
G5: Final = need(f"{AWS}family", "In", "g5")

POOL_YAML: Final = """
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: hidden}
spec:
  limits: {nvidia.com/gpu: 4}
  template:
    spec:
      taints: [{key: nvidia.com/gpu, value: "true", effect: NoSchedule}]
      nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: gpu}
      requirements:
        - {key: karpenter.k8s.aws/instance-category, operator: In, values: [g]}
        - {key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}
"""

MIXED: Final = {
    "launchTemplate": {
        "launchTemplateSpecification": {"launchTemplateId": "lt-1"},
        "overrides": [{"instanceType": "g6.xlarge"}, {"instanceType": "g5.xlarge"}],
    }
}

ALL_SPOT: Final = {"onDemandBaseCapacity": 0, "onDemandPercentageAboveBaseCapacity": 0}
