"""Volumes of workloads: folders of the pod's own, claims that are there, buckets and file systems.

Buckets and file systems are bound by hand (static provisioning): a volume and a claim that name each other, so that no
other claim gets it. Their CSI drivers are the cluster's, and so is what these may read.

Neither volume nor claim can be changed, and neither goes while pods have it. So both have names that say what they are:
with another bucket they are others, which come before the pods that mount them, and the old ones go after theirs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import pulumi

from components.arguments import Arguments
from components.sdk import k8s

S3_DRIVER = "s3.csi.aws.com"
EFS_DRIVER = "efs.csi.aws.com"
#: Neither a bucket nor a file system has a size; the field is required.
_ANY_SIZE = "1Ti"


@dataclass(frozen=True, kw_only=True)
class EmptyDirSource(Arguments):
    """A folder that lives as long as the pod. in_memory: in the node's memory. size_limit: a Kubernetes quantity."""

    in_memory: bool = False
    size_limit: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClaimSource(Arguments):
    """A PersistentVolumeClaim that is there."""

    claim_name: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class BucketSource(Arguments):
    """A bucket of S3, by the Mountpoint driver."""

    bucket_name: str
    read_only: bool = True


@dataclass(frozen=True, kw_only=True)
class FileSystemSource(Arguments):
    """A file system of EFS. access_point_id: the one by which pods enter; None is the root, which belongs to root."""

    file_system_id: str
    access_point_id: str | None = None

    @property
    def handle(self) -> str:
        """What the driver calls it (aws-efs-csi-driver, pkg/driver/node.go, `parseVolumeId`)."""
        return f"{self.file_system_id}::{self.access_point_id}" if self.access_point_id else self.file_system_id


#: Closed.
VolumeSource = EmptyDirSource | ClaimSource | BucketSource | FileSystemSource


@dataclass(frozen=True, kw_only=True)
class Mounts:
    """The volumes of a workload. user, group: of its pods."""

    workload: str
    namespace: str
    sources: Mapping[str, VolumeSource]
    user: int
    group: int

    def of_pod(self) -> list[dict[str, Any]]:
        """As a pod names them."""
        return [self._of_pod(name, source) for name, source in self.sources.items()]

    def _of_pod(self, name: str, source: VolumeSource) -> dict[str, Any]:
        match source:
            case EmptyDirSource():
                folder = {"medium": "Memory"} if source.in_memory else {}
                size = {"sizeLimit": source.size_limit} if source.size_limit else {}
                return {"name": name, "emptyDir": folder | size}
            case ClaimSource():
                return {"name": name, "persistentVolumeClaim": _claimed(source.claim_name, source.read_only)}
            case BucketSource():
                return {"name": name, "persistentVolumeClaim": _claimed(self._claim(name, source), source.read_only)}
            case FileSystemSource():
                return {"name": name, "persistentVolumeClaim": _claimed(self._claim(name, source), False)}
            case _:
                assert_never(source)

    def make(self, prefix: str, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
        """Claims of buckets and file systems, each with its volume. prefix: of logical names."""
        return [
            self._make(f"{prefix}.{name}", self._claim(name, source), source, opts)
            for name, source in self.sources.items()
            if isinstance(source, BucketSource | FileSystemSource)
        ]

    def _make(
        self, logical: str, claim: str, source: BucketSource | FileSystemSource, opts: pulumi.ResourceOptions
    ) -> pulumi.Resource:
        # Volumes have no namespace.
        volume_name = f"{self.namespace}.{claim}"
        common = {"accessModes": [_mode(source)], "storageClassName": ""}
        volume_spec: Any = {
            **common,
            **self._csi(source, volume_name),
            "capacity": {"storage": _ANY_SIZE},
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": self.namespace, "name": claim},
        }
        volume = k8s.core.v1.PersistentVolume(logical, metadata={"name": volume_name}, spec=volume_spec, opts=opts)
        claim_spec: Any = {
            **common,
            "volumeName": volume_name,
            "resources": {"requests": {"storage": _ANY_SIZE}},
        }
        return k8s.core.v1.PersistentVolumeClaim(
            logical,
            metadata={"name": claim, "namespace": self.namespace},
            spec=claim_spec,
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[volume])),
        )

    def _claim(self, name: str, source: BucketSource | FileSystemSource) -> str:
        what = json.dumps([self._csi(source, ""), _mode(source)], sort_keys=True)
        # Names hold no dots, so that no two make one.
        return f"{self.workload}.{name}.{hashlib.sha256(what.encode()).hexdigest()[:8]}"

    def _csi(self, source: BucketSource | FileSystemSource, handle: str) -> dict[str, Any]:
        """Driver and options of a volume. handle: its own; the kubelet mounts one volume for each."""
        match source:
            case BucketSource():
                # Mountpoint shows files to root alone by itself (driver's docs, "non-root").
                options = ["allow-other", f"uid={self.user}", f"gid={self.group}"]
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


def _claimed(claim: str, read_only: bool) -> dict[str, Any]:
    return {"claimName": claim} | ({"readOnly": True} if read_only else {})


def _mode(source: BucketSource | FileSystemSource) -> str:
    return "ReadOnlyMany" if isinstance(source, BucketSource) and source.read_only else "ReadWriteMany"
