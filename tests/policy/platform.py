"""A small GPU platform as recorded resources, all parts of which can be bent."""

from __future__ import annotations

from typing import Any, Final

import yaml

from policy.analyzer import Recorded
from tests.policy.support import recorded

POOL: Final = "kubernetes:karpenter.sh/v1:NodePool"
CLASS: Final = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
OVERLAY: Final = "kubernetes:karpenter.sh/v1alpha1:NodeOverlay"
RELEASE: Final = "kubernetes:helm.sh/v3:Release"
DEPLOYMENT: Final = "kubernetes:apps/v1:Deployment"
KNATIVE: Final = "kubernetes:serving.knative.dev/v1:Service"

GPU: Final = "nvidia.com/gpu"
SHARED: Final = "nvidia.com/gpu.shared"
TOLERATION: Final = {"key": GPU, "operator": "Exists", "effect": "NoSchedule"}
USER: Final = 1000


def section(replicas: Any = 4, **more: Any) -> dict[str, Any]:
    """The timeSlicing or mps section of a plugin configuration."""
    return {
        "renameByDefault": False,
        "failRequestsGreaterThanOne": True,
        "resources": [{"name": GPU, "replicas": replicas}],
        **more,
    }


def config(**sharing: Any) -> dict[str, Any]:
    """A configuration of the device plugin: `timeSlicing=` or `mps=` a section."""
    found: dict[str, Any] = {"version": "v1", "flags": {"migStrategy": "none"}}
    return {**found, "sharing": sharing} if sharing else found


def release(pool: str, name: str = "plugin", selector: Any = None, **values: Any) -> Recorded:
    """A release of the device plugin's chart for the nodes of one pool, with one configuration."""
    texts = {name: yaml.safe_dump(given) for name, given in values.items()}
    chosen = {"config": {"map": texts}, "nodeSelector": {"gpu-slices/pool": pool} if selector is None else selector}
    return recorded(RELEASE, {"chart": "nvidia-device-plugin", "values": chosen}, f"{name}-{pool}")


def plugin(**configs: Any) -> Recorded:
    """The device plugin's chart with named configurations; text is taken as it is."""
    texts = {name: given if isinstance(given, str) else yaml.safe_dump(given) for name, given in configs.items()}
    default = {"default": yaml.safe_dump(config())}
    values = {"config": {"map": {**default, **texts}, "default": "default"}}
    return recorded(RELEASE, {"chart": "nvidia-device-plugin", "values": values}, "plugin")


def node_class(alias: str = "al2023@v20261023", user_data: Any = None, name: str = "gpu") -> Recorded:
    """An EC2NodeClass."""
    spec = {"amiSelectorTerms": [{"alias": alias}], **({"userData": user_data} if user_data is not None else {})}
    return recorded(CLASS, {"metadata": {"name": name}, "spec": spec}, f"class-{name}")


def pool(
    *types: str,
    name: str = "gpu",
    labels: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    taints: list[dict[str, Any]] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Recorded:
    """A Spot NodePool of some instance types."""
    template = {
        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": name},
        "requirements": [
            {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"]},
            {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": list(types or ("g5.xlarge",))},
        ],
        "taints": [{"key": GPU, "value": "true", "effect": "NoSchedule"}] if taints is None else taints,
    }
    given = {"gpu-slices/pool": name, "nvidia.com/device-plugin.config": name, **(labels or {})}
    spec = {
        "template": {"metadata": {"labels": given}, "spec": template},
        "limits": {GPU: "8"} if limits is None else limits,
    }
    return recorded(POOL, {"metadata": {"name": name, **(metadata or {})}, "spec": spec}, f"pool-{name}")


def overlay(
    capacity: dict[str, Any], count: int = 1, pool: str = "gpu", weight: int = 10, name: str = "overlay"
) -> Recorded:
    """A NodeOverlay for one pool and one GPU count."""
    requirements = [
        {"key": "karpenter.sh/nodepool", "operator": "In", "values": [pool]},
        {"key": "karpenter.k8s.aws/instance-gpu-count", "operator": "In", "values": [str(count)]},
    ]
    spec = {"weight": weight, "requirements": requirements, "capacity": capacity}
    return recorded(OVERLAY, {"metadata": {"name": name}, "spec": spec}, f"{name}-{count}")


def container(quantity: Any = "1", resource: str = GPU, name: str = "main", **more: Any) -> dict[str, Any]:
    """A container that asks for a GPU; `quantity` None asks for none."""
    limits = {} if quantity is None else {resource: quantity}
    return {"name": name, "image": "registry.example/cuda:1.0.0", "resources": {"limits": limits}, **more}


def deployment(
    *containers: dict[str, Any],
    pool: str = "gpu",
    name: str = "app",
    spec: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    type_: str = DEPLOYMENT,
    owner: dict[str, Any] | None = None,
) -> Recorded:
    """A Deployment (or a resource like it) whose pods go to a pool."""
    pod = {
        "securityContext": {"runAsUser": USER},
        "nodeSelector": {"gpu-slices/pool": pool},
        "tolerations": [TOLERATION],
        "containers": list(containers or (container(),)),
        **(spec or {}),
    }
    template = {"metadata": metadata or {}, "spec": pod}
    about = {"name": name, "namespace": "models", **(owner or {})}
    return recorded(type_, {"metadata": about, "spec": {"template": template}}, name)


def platform(strategy: str = "timeSlicing", replicas: int = 4) -> list[Recorded]:
    """One pool of single-GPU nodes, shared by the device plugin, all parts in agreement."""
    return [
        node_class(),
        pool(limits={GPU: str(2 * replicas)}),
        overlay({GPU: str(replicas)}),
        plugin(gpu=config(**{strategy: section(replicas)})),
    ]
