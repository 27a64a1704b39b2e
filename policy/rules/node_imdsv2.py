"""Pods cannot take their node's credentials from the instance metadata service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from policy import nodes
from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity, matches
from policy.reading import get, text, whole

_ACCOUNT: Final = "aws:ec2/instanceMetadataDefaults:InstanceMetadataDefaults"


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield metadata options that let pods in, and machines that cannot have any."""
    most = settings["maxHopLimit"]
    if resource.type == _ACCOUNT:
        yield from _weakened(resource.props, most)
    elif matches(nodes.NODE_CLASSES, resource.type):
        # Karpenter fills in what is missing: required, and one hop (pkg/apis/v1/ec2nodeclass.go).
        yield from _options(get(resource.props, "spec", "metadataOptions"), "spec.", most, tokens="required", hops="1")
    elif resource.type in nodes.MANAGED_GROUPS:
        if most < 2 and not nodes.from_template(resource):
            yield "has no launchTemplate, so EKS allows two hops: give it one that says metadataOptions."
    elif resource.type in nodes.OWN_GROUPS:
        if most < 2 and nodes.own_group(resource) is not None:
            yield (
                "makes self-managed nodes, whose metadata options cannot be set here: use a managed node group with a "
                "launch template, and skipDefaultNodeGroup in the cluster."
            )
    else:
        options = get(resource.props, "metadataOptions")
        if options is not None or resource.type not in nodes.INSTANCES or not nodes.from_template(resource):
            yield from _options(options, "", most)


def _weakened(options: Any, most: int) -> Iterator[str]:
    """Defaults of the account, which machines take that say nothing: what is not said here is as it was."""
    tokens, hops = get(options, "httpTokens"), get(options, "httpPutResponseHopLimit")
    if text(tokens) == "optional":
        yield "httpTokens is optional for all machines of the account that say nothing: write required."
    if hops is not None and (whole(hops) or 0) > most:
        yield f"httpPutResponseHopLimit is {text(hops)} for all machines that say nothing: write {most:g}."


def _options(options: Any, where: str, most: int, *, tokens: str = "", hops: str = "") -> Iterator[str]:
    """`tokens` and `hops` are what an absent value means; empty where the image decides."""
    if text(get(options, "httpEndpoint")) == "disabled":
        return
    given = text(get(options, "httpTokens")) or tokens
    if given != "required":
        yield f"{where}metadataOptions.httpTokens is {given or 'missing'}: write required."
    limit = get(options, "httpPutResponseHopLimit")
    given_hops = hops if limit is None else text(limit)
    hop = whole(given_hops)
    if given_hops in {"", "0"}:  # the provider sends no 0
        if most < 2:
            yield f"{where}metadataOptions.httpPutResponseHopLimit is missing, and EKS images make it 2: write 1."
    elif hop is None or not 1 <= hop <= most:
        yield f"{where}metadataOptions.httpPutResponseHopLimit is {given_hops}: write {most:g}."


RULE = ResourceRule(
    name="node-imdsv2",
    title="Instance metadata only with tokens, and not for pods",
    description="Machines must require IMDSv2 tokens and allow one hop to the instance metadata service.",
    why=(
        "Every pod without host network is one hop further away than its node. With a hop limit of 2 any pod, also a "
        "model server that was broken into, can fetch the node role's credentials. Without tokens a simple request "
        "forgery does. Pods get their own credentials from Pod Identity, so nothing is lost."
    ),
    fix=(
        "Write `metadataOptions: {httpEndpoint: enabled, httpTokens: required, httpPutResponseHopLimit: 1}` in launch "
        "templates, instances and launch configurations. An EC2NodeClass that says nothing is safe already. Set "
        "`maxHopLimit` to 2 where pods must reach the service."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(
        _ACCOUNT,
        nodes.LAUNCH_TEMPLATE,
        *nodes.INSTANCES,
        nodes.LAUNCH_CONFIGURATION,
        *nodes.NODE_CLASSES,
        *nodes.MANAGED_GROUPS,
        *nodes.OWN_GROUPS,
    ),
    scanners=Scanners(checkov=("CKV_AWS_79", "CKV_AWS_341"), trivy=("AWS-0028", "AWS-0130")),
    options={
        "maxHopLimit": Option(
            type="integer",
            default=1,
            description="Most hops that an answer of the metadata service may take; pods need 2.",
            schema={"minimum": 1, "maximum": 64},
        )
    },
    check=check,
)
