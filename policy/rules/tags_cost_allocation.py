"""What costs money bears tags by which the bill can be divided."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from policy import nodes
from policy.framework import EnforcementLevel, Finding, Option, Resource, Settings, Severity, Stack, StackRule, matches
from policy.reading import each, get, known, present, text

_PROVIDER: Final = "pulumi:providers:aws"
_NODE_CLASSES: Final = (nodes.NODE_CLASS, "kubernetes:eks.amazonaws.com/*:NodeClass")
#: Types with `tags`, as an object of keys, that appear on the bill. No components: what is inside them appears there.
_PRICED: Final = (
    "aws:cloudwatch/logGroup:LogGroup",
    "aws:ebs/volume:Volume",
    "aws:ec2/eip:Eip",
    "aws:ec2/fleet:Fleet",
    "aws:ec2/instance:Instance",
    "aws:ec2/natGateway:NatGateway",
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    "aws:ecr/repository:Repository",
    "aws:efs/fileSystem:FileSystem",
    "aws:eks/cluster:Cluster",
    "aws:eks/nodeGroup:NodeGroup",
    "aws:fsx/*FileSystem:*",
    "aws:kms/key:Key",
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:rds/cluster:Cluster",
    "aws:rds/instance:Instance",
    "aws:s3/bucket:Bucket",
    "aws:s3/bucketV2:BucketV2",
    "aws:sqs/queue:Queue",
)
_LAUNCHED: Final = ("instance", "volume")


def check(stack: Stack, settings: Settings) -> Iterator[Finding]:
    """Yield what lacks the wanted tags, or where none are wanted by name, any tag but a name."""
    default = {key for provider in stack.of(_PROVIDER) for key in _default_tags(provider)}
    wanted = [text(key) for key in settings["required"]]
    for resource in stack.resources:
        for where, keys in _tags(resource):
            own = where == "tags"
            missing = _missing(keys | default if own else keys, wanted)
            if missing:
                yield Finding(f"{where} lack {missing}: add it.", resource.urn)


def _missing(keys: set[str], wanted: list[str]) -> str:
    if wanted:
        return ", ".join(key for key in wanted if key not in keys)
    return "" if keys - {"Name"} else "any tag beside Name"


def _tags(resource: Resource) -> Iterator[tuple[str, set[str]]]:
    """Places for tags, each with its keys; nothing where they are not known in preview."""
    props = resource.props
    if matches(_PRICED, resource.type):
        keys = [_keys(props, name) for name in ("tags", "tagsAll")]
        if all(found is not None for found in keys):
            yield "tags", {key for found in keys for key in found or ()}
    elif matches(_NODE_CLASSES, resource.type):
        keys_of_class = _keys(props, "spec", "tags")
        if keys_of_class is not None:
            yield "spec.tags", keys_of_class
    elif resource.type == nodes.LAUNCH_TEMPLATE:
        yield from _launched(known(props, "tagSpecifications", default=()), present(props, "tagSpecifications"))


def _launched(specifications: Any, given: bool) -> Iterator[tuple[str, set[str]]]:
    """Tags that a launch template puts on what it starts. The provider's default tags do not get there."""
    found = {text(get(item, "resourceType")): _keys(item, "tags") for item in each(specifications)}
    if given and not found:
        return  # unknown in preview
    for kind in _LAUNCHED:
        keys = found.get(kind, set())
        if keys is not None:
            yield f"tagSpecifications of {kind}", keys


def _keys(holder: Any, *path: str) -> set[str] | None:
    """Keys of a tag object, also of empty ones; None where they are not known in preview."""
    if not present(holder, *path):
        return set()
    found = known(holder, *path)
    return {str(key) for key in found} if isinstance(found, Mapping) else None


def _default_tags(provider: Resource) -> Iterator[str]:
    """Keys of the provider's default tags. Providers get their inputs as JSON text."""
    given = known(provider.props, "defaultTags")
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            return
    yield from _keys(given, "tags") or ()


RULE = StackRule(
    name="tags-cost-allocation",
    title="What costs money is tagged",
    description=(
        "Resources that appear on the bill should bear the tags named in `required`, or where none are named, at "
        "least one tag beside Name."
    ),
    why=(
        "A bill can be divided by tag alone, and only from the day on which the tag is there. GPU nodes are the "
        "largest part of it and get their tags from the EC2NodeClass or the launch template's tag specifications; a "
        "provider's default tags do not reach them."
    ),
    fix=(
        "Write the same tags on everything, or `defaultTags` in the AWS provider, and repeat them in `spec.tags` of "
        "each EC2NodeClass and in `tagSpecifications` (instance and volume) of each launch template. Then activate "
        "them as cost allocation tags in the billing console."
    ),
    severity=Severity.LOW,
    level=EnforcementLevel.ADVISORY,
    types=(_PROVIDER, *_PRICED, *_NODE_CLASSES, nodes.LAUNCH_TEMPLATE),
    options={
        "required": Option(
            type="array",
            default=[],
            description='Tag keys that must be there, such as `["cost-center"]`.',
            schema={"items": {"type": "string"}},
        )
    },
    check=check,
)
