"""Pieces of a platform whose pods claim memory of GPUs, in anybody's words."""

from __future__ import annotations

from typing import Any

from policy.analyzer import Recorded
from tests.policy.platform import GPU, node_class, overlay, pool
from tests.policy.support import recorded

ANNOTATION = "karpenter.k8s.aws/nvidia-consumable-capacity"
TEMPLATE = "kubernetes:resource.k8s.io/v1:ResourceClaimTemplate"
CLAIM = "kubernetes:resource.k8s.io/v1:ResourceClaim"
RELEASE = "kubernetes:helm.sh/v3:Release"
LABELS = {"owner": "dra", "nvidia.com/device-plugin.config": None}
OWN: dict[str, Any] = {"limits": {"cpu": "16"}, "labels": LABELS}


def claimed(annotation: Any = "memory", alias: str = "al2023@v20261023", name: str = "gpu") -> Recorded:
    made = node_class(alias, name=name)
    metadata = {"name": name, "annotations": {ANNOTATION: annotation}}
    return recorded(made.type, {**made.inputs, "metadata": metadata}, f"class-{name}")


def driver(**changes: Any) -> Recorded:
    values: dict[str, Any] = {
        "gpuResourcesEnabledOverride": True,
        "featureGates": {"ConsumableShares": True},
        "consumableShares": "memory",
        "kubeletPlugin": {"nodeSelector": {"owner": "dra"}},
        **changes,
    }
    chart = "oci://registry.k8s.io/dra-driver-nvidia/charts/dra-driver-nvidia-gpu"
    return recorded(RELEASE, {"chart": chart, "values": values}, "driver")


def karpenter(**settings: Any) -> Recorded:
    values = {"settings": settings or {"awsFeatureGates": {"draNVIDIAGPU": True}}}
    return recorded(RELEASE, {"chart": "oci://public.ecr.aws/karpenter/karpenter", "values": values}, "karpenter")


def claim(*requests: Any, type_: str = TEMPLATE) -> Recorded:
    devices = {"devices": {"requests": list(requests)}}
    spec = {"spec": devices} if type_ == TEMPLATE else devices
    return recorded(type_, {"metadata": {"name": "gpu-6gi", "namespace": "models"}, "spec": spec}, "claim")


def device_class(name: str = "team-gpu", **spec: Any) -> Recorded:
    """A class of the program's own for NVIDIA's GPUs."""
    selectors = [{"cel": {"expression": "device.driver == 'gpu.nvidia.com'"}}]
    given = {"metadata": {"name": name}, "spec": {"selectors": selectors, **spec}}
    return recorded("kubernetes:resource.k8s.io/v1:DeviceClass", given, name)


def request(memory: Any = "6Gi", **changes: Any) -> dict[str, Any]:
    exactly = {"deviceClassName": "gpu.nvidia.com", "capacity": {"requests": {"memory": memory}}, **changes}
    return {"name": "gpu", "exactly": {key: value for key, value in exactly.items() if value is not None}}


GOOD = (claimed(), pool(**OWN), overlay({GPU: "0"}), driver(), karpenter(), claim(request()))
