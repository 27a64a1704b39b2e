"""What the components of pulumi-eks make, as its provider registers it in a preview.

After `nodejs/eks/cluster/cluster.ts` and `nodejs/eks/nodes/nodegroup.ts` of pulumi-eks 4: parents, and the inputs that
rules read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from policy.analyzer import Recorded
from tests.policy.clusters import AWS, COMPONENT, cluster
from tests.policy.support import UNKNOWN, recorded

MANAGED: Final = "eks:index:ManagedNodeGroup"
V1: Final = "eks:index:NodeGroup"
V2: Final = "eks:index:NodeGroupV2"


def contents(component: Recorded) -> list[Recorded]:
    """The resources inside a component with these inputs."""
    inputs = component.inputs
    match component.type:
        case "eks:index:Cluster":
            made = [_cluster(component)]
            if not inputs.get("skipDefaultNodeGroup"):
                made += _own_v2(component, {**inputs, **inputs.get("nodeGroupOptions", {})})
            return made
        case "eks:index:ManagedNodeGroup":
            return [_managed(component)]
        case "eks:index:NodeGroup":
            return _own_v1(component)
        case _:
            return _own_v2(component, inputs)


def silent(component: Recorded) -> list[Recorded]:
    """The engine's picture of a component built with a Pulumi SDK before 3.202: no inputs, and what is inside."""
    return [replace(component, inputs={}), *contents(component)]


def spoken(component: Recorded) -> list[Recorded]:
    """The engine's picture of a component built with a later SDK."""
    return [component, *contents(component)]


def _cluster(component: Recorded) -> Recorded:
    named = {name: value for name, value in component.inputs.items() if name not in ("upgradePolicy", "tags")}
    absent = dict.fromkeys(cluster(COMPONENT))
    support = component.inputs.get("upgradePolicy", {})
    support = support.get("supportType") if isinstance(support, Mapping) else UNKNOWN
    known = {name: value for name, value in named.items() if name in absent}
    inputs = cluster(AWS, **{**absent, **known, "supportType": support})
    if "encryptionConfig" in inputs:
        inputs["encryptionConfig"] = UNKNOWN  # the key's ARN goes through an apply
    inputs["tags"] = {"Name": f"{component.name}-eksCluster", **component.inputs.get("tags", {})}
    return recorded(AWS, inputs, f"{component.name}-eksCluster", component.urn)


def _managed(component: Recorded) -> Recorded:
    scaling = component.inputs.get("scalingConfig", {})
    if isinstance(scaling, Mapping):
        scaling = {"desiredSize": 2, "minSize": 1, "maxSize": 2, **scaling}
    inputs = {**component.inputs, "scalingConfig": scaling, "clusterName": UNKNOWN, "subnetIds": UNKNOWN}
    return recorded("aws:eks/nodeGroup:NodeGroup", inputs, component.name, component.urn)


def _own_v1(component: Recorded) -> list[Recorded]:
    given = component.inputs
    configuration = recorded(
        "aws:ec2/launchConfiguration:LaunchConfiguration",
        _some(
            imageId=UNKNOWN,
            instanceType=given.get("instanceType", "t3.medium"),
            keyName=UNKNOWN if "nodePublicKey" in given else given.get("keyName"),
            spotPrice=given.get("spotPrice"),
            rootBlockDevice=_some(encrypted=given.get("nodeRootVolumeEncrypted")),
        ),
        f"{component.name}-nodeLaunchConfiguration",
        component.urn,
    )
    stack = recorded(
        "aws:cloudformation/stack:Stack",
        {"templateBody": UNKNOWN},
        f"{component.name}-nodes",
        component.urn,
        (configuration.urn,),
    )
    return [configuration, stack]


def _own_v2(component: Recorded, given: Mapping[str, Any]) -> list[Recorded]:
    price = given.get("spotPrice")
    encrypted = given.get("nodeRootVolumeEncrypted")
    devices = [{"deviceName": UNKNOWN, "ebs": {"encrypted": "true" if encrypted else "false"}}]
    template = recorded(
        "aws:ec2/launchTemplate:LaunchTemplate",
        _some(
            imageId=UNKNOWN,
            instanceType=given.get("instanceType", "t3.medium"),
            keyName=UNKNOWN if "nodePublicKey" in given else given.get("keyName"),
            instanceMarketOptions={"marketType": "spot", "spotOptions": {"maxPrice": price}} if price else None,
            blockDeviceMappings=[] if encrypted is None else devices,
            userData=UNKNOWN,
        ),
        f"{component.name}-launchTemplate",
        component.urn,
    )
    group = recorded(
        "aws:autoscaling/group:Group",
        {
            "minSize": given.get("minSize", 1),
            "maxSize": given.get("maxSize", 2),
            "launchTemplate": {"name": UNKNOWN, "version": UNKNOWN},
        },
        component.name,
        component.urn,
        (template.urn,),
    )
    return [template, group]


def _some(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
