"""Volumes of workloads: folders of the pod's own, claims that are there, buckets and file systems.

Buckets and file systems are bound by hand (static provisioning): a volume and a claim that name each other, so that no
other claim gets it. Their CSI drivers are the cluster's, and so is what these may read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import pulumi

from components.sdk import k8s

S3_DRIVER = "s3.csi.aws.com"
EFS_DRIVER = "efs.csi.aws.com"
#: Neither a bucket nor a file system has a size; the field is required.
_ANY_SIZE = "1Ti"


@dataclass(frozen=True, kw_only=True)
class EmptyDirSource:
    """A folder that lives as long as the pod. in_memory: in the node's memory. size_limit: a Kubernetes quantity."""

    in_memory: bool = False
    size_limit: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClaimSource:
    """A PersistentVolumeClaim that is there."""

    claim_name: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class BucketSource:
    """A bucket of S3, by the Mountpoint driver."""

    bucket_name: str
    read_only: bool = True


@dataclass(frozen=True, kw_only=True)
class FileSystemSource:
    """A file system of EFS. access_point_id: the one by which pods enter; None is the root, which belongs to root."""

    file_system_id: str
    access_point_id: str | None = None

    @property
    def handle(self) -> str:
        """What the driver calls it (aws-efs-csi-driver, pkg/driver/node.go, `parseVolumeId`)."""
        return f"{self.file_system_id}::{self.access_point_id}" if self.access_point_id else self.file_system_id


#: Closed.
VolumeSource = EmptyDirSource | ClaimSource | BucketSource | FileSystemSource


def pod_volume(workload: str, name: str, source: VolumeSource) -> dict[str, Any]:
    """A volume, as a pod names it."""
    match source:
        case EmptyDirSource():
            folder = {"medium": "Memory"} if source.in_memory else {}
            return {"name": name, "emptyDir": folder | ({"sizeLimit": source.size_limit} if source.size_limit else {})}
        case ClaimSource():
            return {"name": name, "persistentVolumeClaim": _claimed(source.claim_name, source.read_only)}
        case BucketSource():
            return {"name": name, "persistentVolumeClaim": _claimed(_claim_name(workload, name), source.read_only)}
        case FileSystemSource():
            return {"name": name, "persistentVolumeClaim": _claimed(_claim_name(workload, name), False)}
        case _:
            assert_never(source)


def _claimed(claim: str, read_only: bool) -> dict[str, Any]:
    return {"claimName": claim} | ({"readOnly": True} if read_only else {})


def _claim_name(workload: str, name: str) -> str:
    # Names hold no dots, so that no two pairs make one.
    return f"{workload}.{name}"


def mounted_volumes(
    prefix: str,
    workload: str,
    namespace: str,
    sources: Mapping[str, VolumeSource],
    owner: tuple[int, int],
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Claims of a workload's buckets and file systems. prefix: of logical names. owner: user and group of the pods."""
    made: list[pulumi.Resource] = []
    for name, source in sources.items():
        claim = _claim_name(workload, name)
        # Volumes have no namespace.
        volume_name = f"{namespace}.{claim}"
        csi = _csi(source, volume_name, owner)
        if csi is None:
            continue
        mode = "ReadOnlyMany" if isinstance(source, BucketSource) and source.read_only else "ReadWriteMany"
        common = {"accessModes": [mode], "storageClassName": ""}
        volume_spec: Any = {
            **common,
            **csi,
            "capacity": {"storage": _ANY_SIZE},
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": namespace, "name": claim},
        }
        volume = k8s.core.v1.PersistentVolume(
            f"{prefix}.{name}", metadata={"name": volume_name}, spec=volume_spec, opts=opts
        )
        claim_spec: Any = {
            **common,
            "volumeName": volume_name,
            "resources": {"requests": {"storage": _ANY_SIZE}},
        }
        bound = k8s.core.v1.PersistentVolumeClaim(
            f"{prefix}.{name}",
            metadata={"name": claim, "namespace": namespace},
            spec=claim_spec,
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[volume])),
        )
        made.append(bound)
    return made


def _csi(source: VolumeSource, handle: str, owner: tuple[int, int]) -> dict[str, Any] | None:
    """Driver and options of a volume; None for what needs no volume of ours."""
    match source:
        case EmptyDirSource() | ClaimSource():
            return None
        case BucketSource():
            user, group = owner
            # Mountpoint shows files to root alone by itself (driver's docs, "non-root").
            options = ["allow-other", f"uid={user}", f"gid={group}"]
            # The kubelet mounts one volume for each handle, so that it must be this volume's own.
            driver = {
                "driver": S3_DRIVER,
                "volumeHandle": handle,
                "volumeAttributes": {"bucketName": source.bucket_name},
            }
            return {"mountOptions": [*options, *(["read-only"] if source.read_only else [])], "csi": driver}
        case FileSystemSource():
            return {"csi": {"driver": EFS_DRIVER, "volumeHandle": source.handle}}
        case _:
            assert_never(source)
