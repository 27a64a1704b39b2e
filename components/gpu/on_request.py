"""Workloads that Knative runs: they sleep at zero pods, wake with a request, and are reached inside the cluster alone.

Knative takes a part of a pod's fields, some of them behind flags that its installation must have on: those that a
service needs are `features_of` (knative.dev/serving pkg/apis/serving/fieldmask.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

import versions
from components.arguments import Arguments
from components.quantities import canonical
from components.sdk import k8s
from components.serving.knative_config import (
    FEATURES,
    QUEUE_PORTS,
    REQUEST_SECONDS,
    Feature,
)
from components.serving.knative_config import NAMESPACE as KNATIVE_NAMESPACE
from components.serving.network_policy import namespace_peer, network_policy, tcp
from gpu.coldstart import FIRST_BYTE_SECONDS
from gpu.contract import (
    MAX_SCALE_ANNOTATION,
    MIN_SCALE_ANNOTATION,
    RETENTION_ANNOTATION,
    SERVICE_LABEL,
    VISIBILITY_LABEL,
)


@dataclass(frozen=True, kw_only=True)
class OnRequest(Arguments):
    """How a KnativeService scales.

    parallel: requests that a pod answers at the same time. idle: how long the last pod stays when nobody asks any more,
    beside Knative's window of a minute. after: what installs Knative.
    Raises ValueError unless max_scale and parallel are at least 1, for 0 is no limit to Knative, and min_scale at most
    max_scale.
    """

    min_scale: int = 0
    max_scale: int = 2
    parallel: int = 1
    idle: str = "5m"
    after: Sequence[pulumi.Resource] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("max_scale", self.max_scale), ("parallel", self.parallel)):
            if value < 1:
                raise ValueError(f"on_request: {name} is {value}, which is no limit to Knative: write 1 or more")
        if not 0 <= self.min_scale <= self.max_scale:
            raise ValueError(f"on_request: {self.min_scale} to {self.max_scale} pods are no range")


def knative_service(
    name: str,
    scale: OnRequest,
    metadata: Mapping[str, Any],
    template: Mapping[str, Any],
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """A service (serving.knative.dev/v1). name: the logical one. template: of its pods, as a Deployment has it."""
    return k8s.apiextensions.CustomResource(
        name,
        api_version=versions.KNATIVE_SERVING_API,
        kind="Service",
        metadata=_metadata(metadata, scale.min_scale),
        spec=_spec(scale, template),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(scale.after))),
    )


def _spec(scale: OnRequest, template: Mapping[str, Any]) -> dict[str, Any]:
    metadata, pod = template["metadata"], template["spec"]
    annotations = {
        **metadata.get("annotations", {}),
        MIN_SCALE_ANNOTATION: str(scale.min_scale),
        MAX_SCALE_ANNOTATION: str(scale.max_scale),
        RETENTION_ANNOTATION: scale.idle,
    }
    spec = {
        **pod,
        **_as_knative_takes(pod["containers"], pod["volumes"]),
        "containerConcurrency": scale.parallel,
        # A node that first must be bought: Knative's own defaults are shorter.
        "timeoutSeconds": REQUEST_SECONDS,
        "responseStartTimeoutSeconds": FIRST_BYTE_SECONDS,
    }
    if not spec["volumes"]:
        del spec["volumes"]
    return {"template": {"metadata": {**metadata, "annotations": annotations}, "spec": spec}}


def _as_knative_takes(containers: Iterable[Mapping[str, Any]], volumes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Volumes that some container mounts, and mounts that say of read-only volumes that they are: else it refuses.

    Quantities are as it stores them, and variables without a value have none.
    """
    mounted = {mount["name"] for container in containers for mount in container["volumeMounts"]}
    sealed = {each["name"] for each in volumes if each.get("persistentVolumeClaim", {}).get("readOnly")}
    return {
        "volumes": [_volume(volume) for volume in volumes if volume["name"] in mounted],
        "containers": [
            {
                **container,
                "resources": {
                    kind: {name: canonical(value) for name, value in given.items()}
                    for kind, given in container["resources"].items()
                },
                "env": [
                    {key: value for key, value in variable.items() if value != ""} for variable in container["env"]
                ],
                "volumeMounts": [
                    {**mount, "readOnly": True} if mount["name"] in sealed else mount
                    for mount in container["volumeMounts"]
                ],
            }
            for container in containers
        ],
    }


def _volume(volume: Mapping[str, Any]) -> dict[str, Any]:
    size = volume.get("emptyDir", {}).get("sizeLimit")
    return {**volume, "emptyDir": {**volume["emptyDir"], "sizeLimit": canonical(size)}} if size else dict(volume)


def features_of(pod: Mapping[str, Any]) -> set[Feature]:
    """Feature flags that a pod of a service needs. pod: its `spec`."""
    claims = [volume["persistentVolumeClaim"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    asked: dict[Feature, bool] = {
        "persistent-volume-claim": bool(claims),
        "persistent-volume-write": not all(claim.get("readOnly") for claim in claims),
        "priorityclassname": "priorityClassName" in pod,
        "schedulername": "schedulerName" in pod,
    }
    return {*FEATURES, *(feature for feature, is_asked in asked.items() if is_asked)}


def _metadata(metadata: Mapping[str, Any], min_scale: int) -> dict[str, Any]:
    """No route from outside. One that sleeps is ready without a pod, which is waited for."""
    annotations = dict(metadata["annotations"])
    if min_scale == 0:
        del annotations["pulumi.com/skipAwait"]
        annotations["pulumi.com/waitFor"] = "condition=Ready"
    return {**metadata, "labels": {**metadata["labels"], VISIBILITY_LABEL: "cluster-local"}, "annotations": annotations}


def way_in_from_knative(name: str, namespace: str, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """Lets Knative at the pods of services of a namespace, and nobody else: requests come through it alone."""
    spec = {
        "podSelector": {"matchExpressions": [{"key": SERVICE_LABEL, "operator": "Exists"}]},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [namespace_peer(KNATIVE_NAMESPACE)], "ports": tcp(*QUEUE_PORTS)}],
    }
    return network_policy(f"{name}-from-knative", "from-knative", namespace, spec, opts)
