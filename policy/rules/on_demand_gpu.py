"""No GPU is bought on demand without a written, dated reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gpu.contract import EXPIRES_ANNOTATION, JUSTIFICATION_ANNOTATION, MIN_JUSTIFICATION
from policy.contents import UNSEEN_PART
from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Settings, Severity, matches
from policy.inventory.charts import lies_here
from policy.justification import OPTIONS, problems
from policy.nodes import LAUNCH_TEMPLATE
from policy.ondemand.aws import HANDLERS
from policy.ondemand.hidden import search
from policy.ondemand.pools import of_patch, of_pool
from policy.ondemand.programs import started_by_code, started_in_pods
from policy.ondemand.purchase import Purchase
from policy.pods import PATCH_TYPES, POD_TYPES
from policy.reading import get

_POOLS: Final = tuple(f"*:karpenter.sh/*:{kind}" for kind in ("NodePool", "NodeClaim", "Provisioner"))
_PATCHES: Final = tuple(f"{pattern}Patch" for pattern in _POOLS)

#: Services of AWS that judge, watch, store or forbid, and never start an instance, by every name that Pulumi's
#: providers, Terraform's and Kubernetes' operators have for them. A budget or a policy names GPU types too.
_WATCHERS: Final = (
    *("appconfig", "budgets", "ce", "cfg", "cloudwatch", "computeoptimizer", "config", "configservice"),
    *("configuration", "controltower", "costexplorer", "dlm", "dynamodb", "guardduty", "iam", "inspector2"),
    *("inspectorv2", "kms", "logs", "organizations", "resourcegroups", "s3", "secretsmanager", "securityhub"),
    *("servicediscovery", "servicequotas", "sns", "sqs", "sso", "ssoadmin"),
)
#: Types that choose, describe or forbid instances and never start one.
_NEVER_BUY: Final = (
    *(f"aws:{service}/*" for service in _WATCHERS),
    *(f"aws-native:{service}:*" for service in _WATCHERS),
    *(f"kubernetes:{service}.services.k8s.aws/*" for service in _WATCHERS),
    *(f"kubernetes:{service}.aws.*upbound.io/*" for service in _WATCHERS),
    "aws:ec2/spotInstanceRequest:SpotInstanceRequest",
    "aws:*/tag:Tag",
    "aws:glue/catalogTable:CatalogTable",
    "aws:service/discovery*",  # what a plan of Terraform has of servicediscovery
    "aws:servicecatalog/tagOption:TagOption",
    "aws:ssm/parameter:Parameter",
    "aws-native:ssm:Parameter",
    "kubernetes:admissionregistration.k8s.io/*",
    "kubernetes:apiextensions.k8s.io/*",
    "kubernetes:apps/*",
    "kubernetes:autoscaling/*",
    "kubernetes:autoscaling.x-k8s.io/*",
    "kubernetes:batch/*",
    "kubernetes:constraints.gatekeeper.sh/*",
    "kubernetes:core/*",
    "kubernetes:karpenter.k8s.aws/*",
    "kubernetes:karpenter.sh/*:NodeOverlay*",
    "kubernetes:kyverno.io/*",
    "kubernetes:networking.k8s.io/*",
    "kubernetes:policy/*",
    "kubernetes:rbac.authorization.k8s.io/*",
    "kubernetes:scheduling.k8s.io/*",
    "kubernetes:serving.knative.dev/*",
    "kubernetes:storage.k8s.io/*",
    "kubernetes:templates.gatekeeper.sh/*",
    "pulumi:*",
    "random:*",
    UNSEEN_PART,
)
#: Functions, of whose variables those with one GPU type may say what they start; lists of types are watched.
_FUNCTIONS: Final = ("aws:lambda/*", "aws-native:lambda:*")
#: Types whose commands run in a cluster, and may start machines.
_RUN: Final = (*POD_TYPES, *PATCH_TYPES, "kubernetes:tekton.dev/*")
#: Clouds whose machine types have other names: Alibaba's ecs.g6 has no GPU.
_OTHER_CLOUDS: Final = tuple(
    f"{cloud}:*"
    for cloud in (
        *("alicloud", "azure", "azure-native", "civo", "digitalocean", "gcp", "google-native", "hcloud", "linode"),
        *("oci", "openstack", "ovh", "scaleway", "tencentcloud", "vultr", "yandex"),
    )
)
#: Types whose free text ends up in something that starts instances.
_FREE_TEXT: Final = (
    "aws-native:cloudformation:*",
    "aws:cloudformation/*",
    "aws:ssm/association:Association",
    "aws:ssm/document:Document",
    "command:*",
    "kubernetes:argoproj.io/*:Application*",
    "kubernetes:helm.cattle.io/*:HelmChart*",
    "kubernetes:helm.sh/*",
    "kubernetes:helm.toolkit.fluxcd.io/*:HelmRelease*",
)
#: Services of AWS that have types with GPUs.
_OF_GPUS: Final = (
    *("appstream", "autoscaling", "batch", "cloud9", "ec2", "ecs", "eks", "emr", "gamelift", "imagebuilder", "pcs"),
    "sagemaker",
)
#: Types whose `instanceType` is an EC2 type that may have a GPU: where it is unknown, it counts as one.
_STRICT: Final = (
    *(f"aws:{service}/*" for service in _OF_GPUS),
    *(f"aws-native:{service}:*" for service in _OF_GPUS),
    "eks:*",
    "kubernetes:*.services.k8s.aws/*",
    "kubernetes:*.upbound.io/*",
    "kubernetes:infrastructure.cluster.x-k8s.io/*",
)


def spoken(purchase: Purchase, settings: Settings) -> str | None:
    """What is wrong with a purchase; None where it is justified."""
    missing = list(problems(purchase.marks, settings)) if purchase.literal else []
    return None if purchase.literal and not missing else _message(purchase, missing)


def _one_each(variables: Any) -> Iterator[tuple[str, Any]]:
    """Variables with one value each."""
    for name, value in variables.items() if isinstance(variables, Mapping) else ():
        if not isinstance(value, str) or not re.search(r"[,;\s]", value.strip()):
            yield name, value


def _purchases(resource: Resource, settings: Settings) -> Iterator[Purchase]:
    if resource.type == LAUNCH_TEMPLATE:
        yield from started_by_code(resource.plain, tuple(settings["alsoCategories"]))
        return  # gpu-launch-template-is-spot judges it together with what uses it
    if matches(_RUN, resource.type):
        yield from started_in_pods(resource.plain, tuple(settings["alsoCategories"]))
    also = tuple(settings["alsoCategories"])
    props = resource.plain
    if matches(_NEVER_BUY, resource.type) or matches(_OTHER_CLOUDS, resource.type):
        return
    if resource.type.startswith("aws"):
        yield from started_by_code(props, also)
    if matches(_FUNCTIONS, resource.type):
        props = {**props, "environment": {"variables": dict(_one_each(get(props, "environment", "variables")))}}
    handler = HANDLERS.get(resource.type)
    if handler is not None:
        yield from handler(props, also)
    elif matches(_POOLS, resource.type):
        yield from of_pool(props, also, resource.name)
    elif matches(_PATCHES, resource.type):
        yield from of_patch(props, also, resource.name)
    else:
        free_text = matches(_FREE_TEXT, resource.type) and not lies_here(props)
        strict = matches(_STRICT, resource.type)
        yield from search(props, also, free_text=free_text, strict=strict)


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield every purchase that is not Spot and not justified."""
    for purchase in _purchases(resource, settings):
        message = spoken(purchase, settings)
        if message:
            yield message


def _message(purchase: Purchase, missing: list[str]) -> str:
    how = "as capacity that is paid ahead, neither Spot nor on demand" if purchase.prepaid else "on demand"
    message = f"can buy {purchase.what} {how}: {purchase.why}. To stay on Spot, {purchase.spot}."
    again = "that way" if purchase.prepaid else "on demand"
    return f"{message} To buy it {again}: {'; '.join(missing)}." if missing else message


_ALSO: Final[dict[str, Any]] = {"items": {"type": "string"}}

SETTINGS: Final[dict[str, Option]] = {
    **OPTIONS,
    "alsoCategories": Option(
        type="array",
        default=[],
        description="EC2 instance categories to treat like GPUs, such as trn, inf and dl.",
        schema=_ALSO,
    ),
}

RULE = ResourceRule(
    name="gpu-on-demand-needs-justification",
    title="No on-demand GPU without a written reason",
    description="GPUs must be Spot, unless a dated justification that names a ticket stands on the resource.",
    why=(
        "On demand the smaller GPU instances cost two to three times their Spot price, and one that nobody remembers "
        "costs it for months. "
        "The rule finds every way to get one: Karpenter NodePools (also of EKS Auto Mode), NodeClaims and patches "
        "whose requirements admit a GPU type and a capacity type other than Spot; EKS node groups; Auto Scaling "
        "groups; fleets; single instances; capacity reservations; AWS Batch; the pulumi-eks components; and GPU types "
        "in helm values, local charts, embedded manifests, CloudFormation templates and commands. Launch templates "
        "have `gpu-launch-template-is-spot`. AMD's g4ad counts as a GPU; Trainium, Inferentia and Gaudi do not, unless "
        "`alsoCategories` names them."
    ),
    fix=(
        "Buy Spot: `karpenter.sh/capacity-type In [spot]`, `capacityType: SPOT` and the like. Keep GPUs out of CPU "
        "pools with `karpenter.k8s.aws/instance-category In [c, m, r]` or `instance-gpu-count DoesNotExist`. Or write "
        f"down why: annotation (AWS resources: tag) `{JUSTIFICATION_ANNOTATION}` of at least {MIN_JUSTIFICATION} "
        f"characters that names a ticket, and `{EXPIRES_ANNOTATION}` with a date. All of it must be literal values."
    ),
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    types=("*",),
    options=SETTINGS,
    check=check,
)
