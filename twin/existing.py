"""Plays what a stack on an existing cluster finds there: a cluster as this program makes one, with a Karpenter in it.

The same program is recorded once more, for a stack that makes its own cluster, under the existing one's name. Of that
recording the network, the cluster, and where it is somebody's the roles and the two charts of Karpenter are played; the
stack itself has none of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from config.errors import PROJECT
from config.schema import StackConfig
from gpu.contract import DISCOVERY_TAG
from gpu.naming import MAX_NAME, NAME
from gpu.standing import NODE_ROLE_SUFFIX
from plan.project import Project, StackFile
from plan.record import Recording, record
from twin.errors import TwinError
from twin.plan import CONTROLLER_CHART, CRD_CHART, CloudResource, Planned, TwinPlan

#: Keys of the stack that say nothing of its ground.
_ON_TOP: Final = ("models", "workloads", "dialogue", "serving", "budget", "usage", "karpenter", "gpuSharing", "network")
_SUBNET: Final = "aws:ec2/subnet:Subnet"
_TAG: Final = "aws:ec2/tag:Tag"
_ROLE: Final = "aws:iam/role:Role"
_NODES: Final = "aws:eks/nodeGroup:NodeGroup"
#: In the URNs of all that belongs to a Karpenter.
_OF_KARPENTER: Final = "gpu-slices:index:Karpenter$"


def ground_of(project: Project, config: StackFile, stack: StackConfig) -> Recording:
    """The recording of a stack that makes the cluster. Raises TwinError where none could bear its name."""
    name = stack.cluster_name
    if not re.fullmatch(NAME, name) or len(name) > MAX_NAME:
        raise TwinError(
            f"the twin plays clusters whose name is a DNS label of at most {MAX_NAME} characters, and {name} is none: "
            "give it another one in cluster.existing for a try"
        )
    top = {f"{PROJECT}:{key}" for key in _ON_TOP}
    values = {key: text for key, text in config.values.items() if key not in top}
    values |= {f"{PROJECT}:cluster": json.dumps({"name": name}), f"{PROJECT}:examples": "false"}
    return record(project, replace(config, values=values))


def own_network(project: Project, config: StackFile) -> Recording:
    """The recording of a stack whose cluster is in a network of its own: the twin has no other that it could play."""
    values = {key: text for key, text in config.values.items() if key != f"{PROJECT}:network"}
    return record(project, replace(config, values=values))


def on_ground(plan: TwinPlan, ground: TwinPlan, stack: StackConfig) -> TwinPlan:
    """The plan of a stack that makes no cluster, with what its ground has of AWS and of Karpenter."""
    theirs = stack.karpenter.existing is not None
    charts = [thing for thing in ground.planned if theirs and thing.chart in (CRD_CHART, CONTROLLER_CHART)]
    first = tuple(replace(thing, after=_among(thing, charts)) for thing in charts)
    before = tuple(thing.urn for thing in first)
    own = tuple(replace(thing, after=(*before, *thing.after)) for thing in plan.planned)
    there = [found for found in ground.cloud if theirs or _OF_KARPENTER not in found.urn]
    return replace(
        plan,
        kubernetes=ground.kubernetes,  # of the one API server that the twin has
        cloud=(*(each for found in there for each in _as_existing(found, plan, stack)), *plan.cloud),
        outputs={**ground.outputs, **plan.outputs},
        planned=(*first, *own),
    )


def _among(thing: Planned, things: list[Planned]) -> tuple[str, ...]:
    there = {each.urn for each in things}
    return tuple(urn for urn in thing.after if urn in there)


def _as_existing(found: CloudResource, plan: TwinPlan, stack: StackConfig) -> Iterator[CloudResource]:
    """A resource of the ground, under the names and tags that the stack file says of its like."""
    karpenter = stack.karpenter.existing
    where = karpenter or stack.network.existing
    inputs: dict[str, Any] = dict(found.inputs)
    if karpenter and found.type == _ROLE and inputs.get("name") == f"{plan.cluster}{NODE_ROLE_SUFFIX}":
        inputs["name"] = karpenter.node_role
    if where and found.type == _SUBNET and DISCOVERY_TAG in (inputs.get("tags") or {}):
        inputs["tags"] = {**inputs["tags"], **where.subnet_tags}
    if found.type == _NODES:
        inputs["labels"] = {**(inputs.get("labels") or {}), **stack.cluster.system_node_labels}
    yield replace(found, inputs=inputs)
    if where and found.type == _TAG and inputs.get("key") == DISCOVERY_TAG:
        for key, value in where.security_group_tags.items():
            yield replace(found, urn=f"{found.urn}-{key}", inputs={**inputs, "key": key, "value": value})
