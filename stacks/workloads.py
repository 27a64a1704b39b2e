"""The stack file's workloads, as `GpuWorkloads` takes them; and warnings of what weakens them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pulumi

from components.gpu.autoscaling import Autoscaling
from components.gpu.checkpoints import Checkpointing
from components.gpu.gpu_workload import CronSchedule, GpuWorkload, Security, WorkloadContainer
from components.gpu.on_request import OnRequest
from components.gpu.workload_volumes import BucketSource, ClaimSource, EmptyDirSource, FileSystemSource, VolumeSource
from components.pods import tolerations
from config.schema import Container, Workload
from config.section import Section
from config.services import workload_claim, workload_scale
from config.workload_schema import WorkloadVolume
from gpu.contract import POOL_LABEL
from gpu.importance import Placing
from gpu.pool import Pool


def gpu_workload(
    workload: Workload,
    pool: Pool,
    checkpoint: Checkpointing | None = None,
    scheduler: str | None = None,
    placing: Placing | None = None,
) -> GpuWorkload:
    """A workload on its pool. Warns of what its reason is for.

    checkpoint: where its pods keep checkpoints. scheduler: of its pods; None is the default one. placing: what its pods
    get of its importance.
    """
    weak = list(weaknesses(workload))
    if weak:
        pulumi.log.warn(f"workload {workload.name} {', '.join(weak)}: {workload.security_reason}")
    context = workload.security_context
    return GpuWorkload(
        name=workload.name,
        kind=workload.kind,
        replicas=workload.replicas,
        autoscaling=_autoscaling(workload),
        on_request=_on_request(workload, pool),
        resource_name=pool.resource,
        claim_mib=workload_claim(workload, pool) or None,
        node_selector={POOL_LABEL: pool.name},
        tolerations=tolerations(pool.taints),
        schedule=_schedule(workload),
        labels=workload.labels,
        annotations=workload.annotations,
        priority_class=workload.priority_class_name,
        scheduler=scheduler,
        placing=placing or Placing(),
        pull_secrets=[secret.name for secret in workload.image_pull_secrets],
        client_namespaces=workload.client_namespaces,
        volumes={volume.name: _source(volume) for volume in workload.volumes},
        security=Security(
            user=context.run_as_user,
            group=context.run_as_group,
            fs_group=context.fs_group,
            service_account=workload.service_account_name,
            token=workload.automount_service_account_token,
            reason=workload.security_reason,
        ),
        containers=[_container(container) for container in workload.containers],
        checkpoint=checkpoint,
    )


def on_knative(workload: GpuWorkload, ready: pulumi.Resource) -> GpuWorkload:
    """A workload that comes after Knative, and ends before it, where it is a KnativeService. ready: of Knative."""
    if workload.on_request is None:
        return workload
    return replace(workload, on_request=replace(workload.on_request, after=[ready]))


def weaknesses(workload: Workload) -> Iterator[str]:
    """What a workload may that others may not."""
    if workload.security_context.run_as_user == 0:
        yield "runs as root"
    writable = [each.name for each in workload.containers if not each.security_context.read_only_root_filesystem]
    if writable:
        yield f"writes to the root file system of {', '.join(writable)}"
    if workload.automount_service_account_token:
        yield "holds the token of its service account"


def _autoscaling(workload: Workload) -> Autoscaling | None:
    section = workload.autoscaling
    if section is None:
        return None
    return Autoscaling(
        min_replicas=section.min_replicas,
        max_replicas=section.max_replicas,
        metric=section.metric,
        average_value=section.average_value,
        stabilization_window_seconds=section.stabilization_window_seconds,
    )


def _on_request(workload: Workload, pool: Pool) -> OnRequest | None:
    if workload.kind != "KnativeService":
        return None
    return OnRequest(
        min_scale=workload.min_scale,
        max_scale=workload_scale(workload, pool),
        parallel=workload.parallel,
        idle=workload.idle,
    )


def _schedule(workload: Workload) -> CronSchedule | None:
    if workload.schedule is None:
        return None
    return CronSchedule(
        schedule=workload.schedule, time_zone=workload.time_zone, concurrency_policy=workload.concurrency_policy
    )


def _source(volume: WorkloadVolume) -> VolumeSource:
    if claim := volume.persistent_volume_claim:
        return ClaimSource(claim_name=claim.claim_name, read_only=claim.read_only)
    if bucket := volume.s3:
        return BucketSource(bucket_name=bucket.bucket_name, read_only=bucket.read_only)
    if file_system := volume.efs:
        return FileSystemSource(file_system_id=file_system.file_system_id, access_point_id=file_system.access_point_id)
    folder = volume.empty_dir
    return EmptyDirSource(
        in_memory=bool(folder and folder.medium == "Memory"), size_limit=folder.size_limit if folder else None
    )


def _container(container: Container) -> WorkloadContainer:
    probes = {
        "startupProbe": container.startup_probe,
        "readinessProbe": container.readiness_probe,
        "livenessProbe": container.liveness_probe,
    }
    return WorkloadContainer(
        name=container.name,
        image=container.image,
        image_pull_policy=container.image_pull_policy,
        command=container.command,
        args=container.args,
        slots=container.slots,
        cpu=container.cpu,
        memory=container.memory,
        env=[_whole(variable) for variable in container.env],
        env_from=[_whole(source) for source in container.env_from],
        ports=[_whole(port) for port in container.ports],
        probes={name: _whole(probe) for name, probe in probes.items() if probe},
        volume_mounts=[_whole(mount) for mount in container.volume_mounts],
        read_only_root=container.security_context.read_only_root_filesystem,
    )


def _whole(section: Section) -> dict[str, Any]:
    """A section whose keys and values are Kubernetes' own; what only says the API's default is left out."""
    found = section.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {key: value for key, value in found.items() if value is not False and value != 0}
