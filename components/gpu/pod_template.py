"""The template of a workload's pods (v1.PodTemplateSpec): restricted, and what was asked for."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from components.gpu.checkpoints import checkpoint_variables
from components.gpu.claims import container_claims, pod_claims
from components.gpu.gpu_workload import GpuWorkload, Security, WorkloadContainer
from components.pods import NO_GPU, restricted_container, restricted_pod
from gpu.contract import SECURITY_ANNOTATION
from gpu.pods import SCRATCH_VOLUME

TEMP = "/tmp"
USER_NAME = "workload"


def pod_template(workload: GpuWorkload) -> Any:
    """The template by which its Job, Deployment or service makes pods."""
    reason = workload.security.reason
    placing = workload.placing
    annotations = {**workload.annotations, **placing.annotations, **({SECURITY_ANNOTATION: reason} if reason else {})}
    metadata: dict[str, Any] = {"labels": {**workload.metadata["labels"], **placing.labels}}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "metadata": metadata,
        "spec": {
            **_pod(workload),
            "nodeSelector": {**workload.node_selector, **placing.node_selector},
            "tolerations": [dict(toleration) for toleration in workload.tolerations],
            "containers": [_container(container, workload) for container in workload.containers],
            "volumes": [{"name": SCRATCH_VOLUME, "emptyDir": {}}, *workload.mounts.of_pod()],
        },
    }


def _pod(workload: GpuWorkload) -> dict[str, Any]:
    """Pod-level fields: restricted, and what was asked for."""
    security = workload.security
    spec = restricted_pod(security.user)
    context = spec["securityContext"]
    context["runAsGroup"] = security.primary_group
    if security.user == 0:
        del context["runAsNonRoot"]
    if security.fs_group is not None:
        context["fsGroup"] = security.fs_group
    if security.token:
        spec["automountServiceAccountToken"] = True
    if workload.service_account:
        spec["serviceAccountName"] = workload.service_account
    if workload.checkpoint:
        spec["terminationGracePeriodSeconds"] = workload.checkpoint.grace_seconds
    if priority_class := workload.priority_class or workload.placing.priority_class:
        spec["priorityClassName"] = priority_class
    if workload.scheduler:
        spec["schedulerName"] = workload.scheduler
    if workload.claim_mib:
        spec["resourceClaims"] = pod_claims(workload.claim_mib)
    if workload.pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret} for secret in workload.pull_secrets]
    return spec


def _person(security: Security) -> Mapping[str, str]:
    """Variables by which programs know who they are. Images know no user of our number, and PyTorch, with it vLLM, ends
    at the start where neither they nor `USER` have a name (pytorch/pytorch#140765)."""
    return {"HOME": TEMP, **({"USER": USER_NAME} if security.user else {})}


def _container(container: WorkloadContainer, workload: GpuWorkload) -> dict[str, Any]:
    resources = {"cpu": container.cpu, "memory": container.memory}
    own = {variable["name"] for variable in container.env}
    ours = [{"name": name, "value": value} for name, value in _person(workload.security).items() if name not in own]
    environment = [*ours, *(dict(variable) for variable in container.env)]
    if container.slots:
        if not workload.claim_mib:
            resources[workload.resource_name] = str(container.slots)
        if workload.checkpoint:
            environment += checkpoint_variables(workload.checkpoint, environment)
    else:
        environment.append(dict(NO_GPU))
    mounts = [dict(mount) for mount in container.volume_mounts]
    # The root file system is read-only; the CUDA driver keeps compiled kernels below HOME.
    if not any(posixpath.normpath(f"/{mount['mountPath'].lstrip('/')}") == TEMP for mount in mounts):
        mounts.insert(0, {"name": SCRATCH_VOLUME, "mountPath": TEMP})
    spec = restricted_container(container.name, container.image, resources)
    spec |= {"imagePullPolicy": container.image_pull_policy, "volumeMounts": mounts, "env": environment}
    spec["securityContext"]["readOnlyRootFilesystem"] = container.read_only_root
    if container.slots and workload.claim_mib:
        spec["resources"]["claims"] = container_claims()
    lists = {
        "command": list(container.command),
        "args": list(container.args),
        "envFrom": [dict(source) for source in container.env_from],
        "ports": [{**port, "protocol": "TCP"} for port in container.ports],
    }
    probes = {name: dict(probe) for name, probe in container.probes.items()}
    return spec | {key: value for key, value in lists.items() if value} | probes
