"""What belongs to a VPC, such as its flow log: by an output of it, or as objects of a cluster name others."""

from __future__ import annotations

from policy.framework import Resource
from policy.reading import Unknown, get, present


def belongs(part: Resource, vpc: Resource) -> bool:
    """Whether a part takes the VPC's id from it.

    Objects of Crossplane name the VPC's object, or select it by labels, of which a selection may be of any. Objects of
    AWS' controllers have the id alone; one that another tool fills in may be of any.
    """
    if vpc.urn in part.dependencies:
        return True
    named = get(part.plain, "vpcIdRef", "name")
    if named is not None:
        return isinstance(named, Unknown) or named == vpc.name
    of_ack = part.type.startswith("aws:") and not part.dependencies
    return present(part.plain, "vpcIdSelector") or (of_ack and isinstance(get(part.plain, "resourceId"), Unknown))
