"""AppImage: an application's image, built from its Dockerfile and kept in a registry of the account."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pulumi

from components.sdk import aws

#: Untagged images are layers of builds that were broken off.
_UNTAGGED_DAYS = 7
_KEPT_IMAGES = 20


@dataclass(frozen=True, kw_only=True)
class AppImageArgs:
    """Inputs of `AppImage`.

    repository: name of the ECR repository.
    context: folder of the Dockerfile and of everything it copies, relative to the program.
    platform: what it is built for.
    key_arn: KMS key that encrypts the images.
    """

    repository: str
    context: str
    platform: Literal["linux/amd64", "linux/arm64"]
    key_arn: pulumi.Input[str]
    tags: Mapping[str, str] = field(default_factory=dict)


class AppImage(pulumi.ComponentResource):
    """An ECR repository with immutable tags, and the image in it. Needs an AWS provider, and Docker to build.

    The tag is the content's, so that the same sources are never pushed twice and a tag never moves. Raises ValueError
    unless the Dockerfile names its base images by digest: the tag would stay where the image is another.
    """

    reference: pulumi.Output[str]
    """The image with its digest."""

    def __init__(self, name: str, args: AppImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:AppImage", name, None, opts)
        # Here, because they take a tenth of a second that most programs need not spend.
        import pulumi_docker_build as docker_build  # noqa: PLC0415
        from pulumi_aws import ecr  # noqa: PLC0415

        child = pulumi.ResourceOptions(parent=self)
        repository = aws.ecr.Repository(
            name,
            name=args.repository,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            encryption_configurations=[
                aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=args.key_arn)
            ],
            # Everything in it can be built again.
            force_delete=True,
            tags=dict(args.tags),
            opts=child,
        )
        aws.ecr.LifecyclePolicy(name, repository=repository.name, policy=json.dumps(_lifecycle()), opts=child)
        token = ecr.get_authorization_token_output(opts=pulumi.InvokeOutputOptions(parent=self))
        image = docker_build.Image(
            name,
            context=docker_build.BuildContextArgs(location=args.context),
            platforms=[docker_build.Platform(args.platform)],
            tags=[pulumi.Output.concat(repository.repository_url, ":", content_tag(Path(args.context), args.platform))],
            push=True,
            # A preview must need neither Docker nor a registry.
            build_on_preview=False,
            registries=[
                docker_build.RegistryArgs(
                    address=repository.repository_url,
                    username=token.user_name,
                    password=pulumi.Output.secret(token.password),
                )
            ],
            opts=child,
        )
        self.reference = image.ref
        self.register_outputs({"reference": self.reference})


def content_tag(folder: Path, platform: str) -> str:
    """A tag that stands for the files of a folder, Python's bytecode aside, and for what they are built for.

    The Dockerfile is one of the files, and so are the digests of its base images. Raises ValueError where it has none.
    """
    moving = moving_bases((folder / "Dockerfile").read_text(encoding="utf-8"))
    if moving:
        raise ValueError(f"{folder / 'Dockerfile'}: base images need a digest (@sha256:...): {', '.join(moving)}")
    digest = hashlib.sha256(platform.encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


_TAKES = re.compile(r"(?:FROM\s+(?:--\S+\s+)*|COPY\s+(?:--\S+\s+)*?--from=)(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)


def moving_bases(dockerfile: str) -> list[str]:
    """Images that a Dockerfile takes without a digest, its own stages and `scratch` aside."""
    defaults = dict(re.findall(r"^ARG\s+(\w+)=(\S+)", dockerfile, re.MULTILINE))
    own = {"scratch"}
    moving = []
    for base, stage in filter(None, (_taken(line) for line in dockerfile.splitlines())):
        image = re.sub(r"\$\{?(\w+)\}?", lambda name: defaults.get(name[1], name[0]), base)
        if image not in own and not re.search(r"@sha256:[0-9a-f]{64}$", image):
            moving.append(image)
        own.add(stage)
    return moving


def _taken(line: str) -> tuple[str, str] | None:
    """Image and name of the stage in a FROM line; what COPY takes from, and no name."""
    found = _TAKES.match(line)
    return (found[1], found[2] or "") if found else None


def _lifecycle() -> dict[str, object]:
    untagged = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days"}
    kept = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": _KEPT_IMAGES}
    return {
        "rules": [
            {
                "rulePriority": 1,
                "description": "Builds that were broken off",
                "selection": {**untagged, "countNumber": _UNTAGGED_DAYS},
                "action": {"type": "expire"},
            },
            {
                "rulePriority": 2,
                "description": "Old versions",
                "selection": kept,
                "action": {"type": "expire"},
            },
        ]
    }
