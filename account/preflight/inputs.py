"""Things that the stack file names and that somebody else made: each must be there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from account.commands import HOME_REGION, aws
from account.preflight.requirement import Missing, Note, Ok, Requirement, Sight, Verdict
from account.session import Absent, Found, Unseen
from config.schema import Door, GpuPool, StackConfig
from gpu.registries import UPSTREAMS, EcrRegistry, ecr_registry
from plan.make import Plan
from plan.wire import UNKNOWN

TOPIC = "What the stack file names"
IMAGES = "Images"

#: Account, region, repository, tag, digest (ECR user guide, "Pushing a Docker image").
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<repository>[^:@]+)"
    r"(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)

#: For each IPv4 address (docs.docker.com, "Docker Hub pull usage and limits", read 2026-11).
_ANONYMOUS_PULLS = 100
_ANONYMOUS_HOURS = 6


def requirements(plan: Plan, config: StackConfig) -> list[Requirement]:
    """Snapshots, the door's certificate and zone, images in ECR, and Docker Hub's limit."""
    found = [_snapshot(pool, config.region) for pool in config.pools if pool.volume.snapshot_id]
    door = config.serving.door
    if door and door.certificate_arn:
        found.append(_certificate(door.certificate_arn, config.region))
    if door and door.hosted_zone_id:
        found.append(_hosted_zone(door))
    # What is built here is not known yet.
    images = sorted({i for resource in plan.recording.resources for i in _images(resource.inputs)} - {UNKNOWN})
    of_charts = sorted({i for resource in plan.recording.resources for i in _repositories(resource.inputs)})
    rules = sorted({prefix for image in (*images, *of_charts) if (prefix := _pulled_through(image, config))})
    found += [_rule(prefix, config.cluster.registry_mirror or "") for prefix in rules]
    found += [
        _ecr(image, match)
        for image in images
        if (match := _ECR.fullmatch(image)) and not _pulled_through(image, config)
    ]
    hub = [image for image in (*images, *of_charts) if is_on_docker_hub(image)]
    if hub:
        found.append(_docker_hub(hub, len(plan.recording.of_type("aws:ec2/natGateway:NatGateway"))))
    return found


# --- Snapshots, certificate, zone -------------------------------------------------------------------------------------


def _snapshot(pool: GpuPool, region: str) -> Requirement:
    return Requirement(
        topic=TOPIC,
        what=f"snapshot {pool.volume.snapshot_id} of pool {pool.name} is complete and fits its volume",
        look=[
            aws(
                "ec2",
                "describe-snapshots",
                region=region,
                snapshot_ids=pool.volume.snapshot_id,
                query="Snapshots[].[State,VolumeSize]",
            )
        ],
        judge=partial(_judge_snapshot, pool),
    )


def _judge_snapshot(pool: GpuPool, sight: Sight) -> Verdict:
    answer = sight.account.collect(
        "ec2",
        "describe_snapshots",
        "Snapshots[]",
        absent=["InvalidSnapshot.NotFound"],
        SnapshotIds=[pool.volume.snapshot_id],
    )
    if isinstance(answer, Unseen):
        return answer
    if isinstance(answer, Absent) or not answer.value:
        return Missing(f"{sight.config.region} has none that this account may use")
    snapshot = answer.value[0]
    if snapshot["State"] != "completed":
        return Missing(f"it is {snapshot['State']}: wait for it")
    if snapshot["VolumeSize"] > pool.volume.size_gib:
        return Missing(f"it is of {snapshot['VolumeSize']} GiB: write volume.sizeGib of that or more")
    return Ok()


def _certificate(arn: str, region: str) -> Requirement:
    return Requirement(
        topic=TOPIC,
        what=f"certificate {arn} is issued",
        look=[
            aws("acm", "describe-certificate", region=region, certificate_arn=arn, query="Certificate.Status"),
        ],
        judge=partial(_judge_certificate, arn),
    )


def _judge_certificate(arn: str, sight: Sight) -> Verdict:
    answer = sight.account.ask("acm", "describe_certificate", absent=["ResourceNotFoundException"], CertificateArn=arn)
    match answer:
        case Found(value):
            status = value["Certificate"]["Status"]
            return (
                Ok() if status == "ISSUED" else Missing(f"ACM says {status}: the load balancer takes issued ones only")
            )
        case Absent():
            return Missing("ACM has none: write the ARN of another into gpu-slices:serving.door.certificateArn")
        case Unseen() as unseen:
            return unseen


def _hosted_zone(door: Door) -> Requirement:
    return Requirement(
        topic=TOPIC,
        what=f"hosted zone {door.hosted_zone_id} holds {door.domain}",
        look=[aws("route53", "get-hosted-zone", region=HOME_REGION, id=door.hosted_zone_id, query="HostedZone.Name")],
        judge=partial(_judge_hosted_zone, door),
    )


def _judge_hosted_zone(door: Door, sight: Sight) -> Verdict:
    match sight.account.ask("route53", "get_hosted_zone", absent=["NoSuchHostedZone"], Id=door.hosted_zone_id):
        case Found(value):
            name = value["HostedZone"]["Name"].rstrip(".")
            if door.domain == name or door.domain.endswith(f".{name}"):
                return Ok()
            return Missing(f"it holds {name}: Route 53 would refuse the door's record")
        case Absent():
            return Missing("Route 53 has none: write the id of another into gpu-slices:serving.door.hostedZoneId")
        case Unseen() as unseen:
            return unseen


# --- Images -----------------------------------------------------------------------------------------------------------


def _images(value: Any) -> Iterator[str]:
    """Images of containers and of image volumes, wherever they stand in an object."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "image" and isinstance(item, str):
                yield item
            elif key == "image" and isinstance(item, dict) and isinstance(item.get("reference"), str):
                yield item["reference"]
            elif isinstance(item, str) and item.startswith("docker.io/"):
                # Overrides of what operators install, such as Kourier's gateway.
                yield item
            else:
                yield from _images(item)
    elif isinstance(value, list):
        for item in value:
            yield from _images(item)


def _repositories(value: Any) -> Iterator[str]:
    """Repositories of images in the values of charts, without tag: whole, or with the registry beside them."""
    match value:
        case {"registry": str(registry), "repository": str(repository)}:
            yield f"{registry}/{repository}"
        case {"repository": str(repository)} if "." in repository.partition("/")[0]:
            yield repository
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _repositories(item)


def is_on_docker_hub(image: str) -> bool:
    """Whether an image comes from Docker Hub: it names no other registry (distribution/reference, normalize.go)."""
    first, slash, _ = image.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        return "<" not in image
    return first in ("docker.io", "index.docker.io")


def _ecr(image: str, match: re.Match[str]) -> Requirement:
    which = f"imageDigest={match['digest']}" if match["digest"] else f"imageTag={match['tag'] or 'latest'}"
    return Requirement(
        topic=IMAGES,
        what=f"{image} is in ECR",
        look=[
            aws(
                "ecr",
                "describe-images",
                region=match["region"],
                registry_id=match["account"],
                repository_name=match["repository"],
                image_ids=which,
            )
        ],
        judge=partial(_judge_ecr, match),
    )


def _judge_ecr(match: re.Match[str], sight: Sight) -> Verdict:
    which = {"imageDigest": match["digest"]} if match["digest"] else {"imageTag": match["tag"] or "latest"}
    answer = sight.account.ask(
        "ecr",
        "describe_images",
        absent=["ImageNotFoundException", "RepositoryNotFoundException"],
        region=match["region"],
        registryId=match["account"],
        repositoryName=match["repository"],
        imageIds=[which],
    )
    match answer:
        case Found():
            return Ok()
        case Absent():
            return Missing("ECR has none: push it first")
        case Unseen() as unseen:
            return unseen


def _pulled_through(image: str, config: StackConfig) -> str | None:
    """Prefix of the rule by which ECR gets an image that nobody pushes: it is there after its first pull."""
    mirror = config.cluster.registry_mirror
    if not mirror or not ecr_registry(mirror) or not image.startswith(f"{mirror}/"):
        return None
    path = image.partition("/")[2]
    prefixes = [f"{mirror}/{each.prefix}".partition("/")[2] for each in UPSTREAMS.values() if each.ecr]
    return next((prefix for prefix in prefixes if path.startswith(f"{prefix}/")), None)


def _rule(prefix: str, mirror: str) -> Requirement:
    registry = ecr_registry(mirror)
    assert registry is not None
    return Requirement(
        topic=IMAGES,
        what=f"ECR of {registry.account} in {registry.region} has a pull through cache rule for {prefix}",
        look=[
            aws(
                "ecr",
                "describe-pull-through-cache-rules",
                region=registry.region,
                registry_id=registry.account,
                ecr_repository_prefixes=prefix,
            )
        ],
        judge=partial(_judge_rule, prefix, registry),
    )


def _judge_rule(prefix: str, registry: EcrRegistry, sight: Sight) -> Verdict:
    answer = sight.account.ask(
        "ecr",
        "describe_pull_through_cache_rules",
        absent=["PullThroughCacheRuleNotFoundException"],
        region=registry.region,
        registryId=registry.account,
        ecrRepositoryPrefixes=[prefix],
    )
    match answer:
        case Found(value) if value["pullThroughCacheRules"]:
            return Ok()
        case Found() | Absent():
            return Missing("no node could pull what gpu-slices:cluster.registryMirror promises: make the rule first")
        case Unseen() as unseen:
            return unseen


def _docker_hub(images: list[str], addresses: int) -> Requirement:
    where = "one NAT address" if addresses == 1 else f"{addresses} NAT addresses"
    detail = (
        f"Docker Hub lets each address pull {_ANONYMOUS_PULLS} anonymously in {_ANONYMOUS_HOURS} hours, and all nodes "
        f"share {where}: many new nodes at once may have to wait"
    )
    return Requirement(
        topic=IMAGES,
        what=f"pulls from Docker Hub: {', '.join(image.partition('@')[0] for image in images)}",
        judge=Note(detail),
    )
