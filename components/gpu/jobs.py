"""Jobs and CronJobs of GPU pods, which outlast that Spot takes their nodes."""

from __future__ import annotations

from typing import Any

import pulumi

from components.gpu.gpu_workload import GpuWorkload
from components.gpu.pod_template import pod_template
from components.sdk import k8s
from gpu.pods import OUTLASTS_DISRUPTION


def job(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    """A Job that runs once. name: the logical one."""
    k8s.batch.v1.Job(name, metadata=workload.metadata, spec=_job_spec(workload), opts=opts)


def cron_job(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    """A CronJob, whose Jobs are like those that run once. name: the logical one."""
    k8s.batch.v1.CronJob(name, metadata=workload.metadata, spec=_cron_job_spec(workload), opts=opts)


def service_account(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """Of pods with checkpoints that name none, whom Pod Identity knows by it. name: the logical one."""
    metadata: Any = {
        "name": workload.service_account,
        "namespace": workload.namespace,
        "labels": workload.metadata["labels"],
    }
    made: pulumi.Resource = k8s.core.v1.ServiceAccount(
        name, metadata=metadata, automount_service_account_token=False, opts=opts
    )
    return made


def _job_spec(workload: GpuWorkload) -> Any:
    spec: Any = {
        "completions": workload.replicas,
        "parallelism": workload.replicas,
        **OUTLASTS_DISRUPTION,
        "template": pod_template(workload),
    }
    spec["template"]["spec"]["restartPolicy"] = "Never"
    if workload.checkpoint:
        # Each pod of several goes on with its own checkpoints.
        spec["completionMode"] = "Indexed"
    return spec


def _cron_job_spec(workload: GpuWorkload) -> Any:
    times = workload.schedule
    assert times is not None
    spec: Any = {
        "schedule": times.schedule,
        "concurrencyPolicy": times.concurrency_policy,
        "jobTemplate": {"metadata": {"labels": workload.metadata["labels"]}, "spec": _job_spec(workload)},
    }
    return spec | ({"timeZone": times.time_zone} if times.time_zone else {})
