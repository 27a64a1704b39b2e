"""Karpenter's objects as the twin can play them: what AWS alone has is replaced by what moto has.

Images, subnets and security groups by id, roles and instance profiles of somebody's, and capacity reservations are none
of them there. What decides how GPUs are shared and what fits on a node stays as the program says it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import versions
from gpu.contract import CAPACITY_TYPE_LABEL, DISCOVERY_TAG, RESERVATION_TYPE_LABEL
from gpu.sharing.bottlerocket import is_bottlerocket

Manifest = dict[str, Any]

#: Of an EC2NodeClass: where nodes go, and what lets them through.
_TERMS: Final = ("subnetSelectorTerms", "securityGroupSelectorTerms")
_RESERVATIONS: Final = "capacityReservationSelectorTerms"
_RELEASE: Final = re.compile(r"(al2023|bottlerocket)@(latest|v\d[\d.]*)")


def playable(manifest: Manifest, cluster: str, role: str) -> Manifest:
    """An object for the twin. role: that of the nodes, which is there."""
    match manifest.get("kind"):
        case "EC2NodeClass":
            return {**manifest, "spec": _node_class(manifest["spec"], cluster, role)}
        case "NodePool":
            return _node_pool(manifest)
        case _:
            return manifest


def _node_class(spec: Mapping[str, Any], cluster: str, role: str) -> Manifest:
    tags = [{"tags": {DISCOVERY_TAG: cluster}}]
    found = {
        key: tags if key in _TERMS and any("id" in term for term in value) else value
        for key, value in spec.items()
        if key not in (_RESERVATIONS, "instanceProfile", "amiFamily")
    }
    return {**found, "role": role, "amiSelectorTerms": [_image(term, spec) for term in spec["amiSelectorTerms"][:1]]}


def _image(term: Mapping[str, Any], spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The release that the twin has, in place of an id or of another release; what is no alias at all stays wrong."""
    if "id" not in term and not _RELEASE.fullmatch(str(term.get("alias"))):
        return term
    return {"alias": versions.AMI_ALIASES["bottlerocket" if is_bottlerocket(spec) else "al2023"]}


def _node_pool(manifest: Manifest) -> Manifest:
    """Capacity that is reserved is on-demand capacity that somebody pays for already."""
    spec = manifest["spec"]
    inner = spec["template"]["spec"]
    requirements = [
        {**each, "values": ["on-demand" if value == "reserved" else value for value in each["values"]]}
        if each["key"] == CAPACITY_TYPE_LABEL and "values" in each
        else each
        for each in inner["requirements"]
        if each["key"] != RESERVATION_TYPE_LABEL
    ]
    template = {**spec["template"], "spec": {**inner, "requirements": requirements}}
    return {**manifest, "spec": {**spec, "template": template}}
