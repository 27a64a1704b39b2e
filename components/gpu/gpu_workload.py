"""GpuWorkload: one workload of a stack's own, as it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import pulumi

from components.arguments import Arguments
from components.gpu.autoscaling import Autoscaling
from components.gpu.checkpoints import Checkpointing
from components.gpu.on_request import OnRequest
from components.gpu.workload_volumes import Mounts, VolumeSource
from gpu.contract import NAME_LABEL
from gpu.importance import Placing
from gpu.naming import check_name
from gpu.pods import GPU_USER, WorkloadKind

NAMESPACE = "workloads"
#: Of pods that run as root, which the restricted standard refuses and the baseline standard admits.
ROOT_NAMESPACE = "workloads-baseline"


@dataclass(frozen=True, kw_only=True)
class WorkloadContainer(Arguments):
    """A container; `cpu` and `memory` are Kubernetes quantities. The one with `slots` uses the GPU.

    env, env_from, ports, volume_mounts: as in a pod (v1.Container). probes: by name, such as `readinessProbe`.
    """

    name: str
    image: pulumi.Input[str]
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    command: Sequence[str] = ()
    args: Sequence[str] = ()
    slots: int = 0
    cpu: str
    memory: str
    env: Sequence[Mapping[str, Any]] = ()
    env_from: Sequence[Mapping[str, Any]] = ()
    ports: Sequence[Mapping[str, Any]] = ()
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    volume_mounts: Sequence[Mapping[str, Any]] = ()
    read_only_root: bool = True


@dataclass(frozen=True, kw_only=True)
class CronSchedule(Arguments):
    """When a CronJob runs. schedule: five fields. time_zone: of the IANA database; None is the cluster's."""

    schedule: str
    time_zone: str | None = None
    concurrency_policy: Literal["Forbid", "Allow", "Replace"] = "Forbid"


@dataclass(frozen=True, kw_only=True)
class Security(Arguments):
    """As whom pods run. reason: why they may do what the default does not allow; a mark of theirs, for the policies."""

    user: int = GPU_USER
    group: int | None = None
    fs_group: int | None = None
    service_account: str | None = None
    token: bool = False
    reason: str | None = None

    @property
    def primary_group(self) -> int:
        """Group of the pods' processes: the one that was named, or that with the user's number."""
        return self.user if self.group is None else self.group


@dataclass(frozen=True, kw_only=True)
class GpuWorkload(Arguments):
    """A Job that runs once, a CronJob, a Deployment, or a KnativeService, on slots of a pool.

    resource_name: what one slot is called, such as `nvidia.com/gpu`. claim_mib: MiB of a GPU that each pod claims in
    place of a slot, on a memory pool.
    node_selector, tolerations: those of the pool's workloads.
    scheduler: name of the scheduler that places its pods; None is the default one.
    placing: what its pods get of its importance; a class of their own, where there is one, in place of priority_class.
    autoscaling: of a Deployment, in place of replicas.
    on_request: of a KnativeService, in place of replicas; its Knative must have `knative_features` on.
    schedule: of a CronJob. client_namespaces: whose pods may reach the ports of a Deployment.
    checkpoint: of a Job or CronJob, whose pods have an account of the workload's name unless security names one.
    Raises ValueError unless exactly one container uses the GPU (Karpenter would count a GPU for each), a CronJob, and
    nothing else, has a schedule, a KnativeService on_request and what Knative takes, only a Deployment autoscaling, and
    what ends alone keeps checkpoints.
    """

    name: str
    kind: WorkloadKind
    replicas: int
    resource_name: str
    claim_mib: int | None = None
    node_selector: Mapping[str, str]
    tolerations: Sequence[Mapping[str, str]]
    containers: Sequence[WorkloadContainer]
    autoscaling: Autoscaling | None = None
    on_request: OnRequest | None = None
    schedule: CronSchedule | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    priority_class: str | None = None
    scheduler: str | None = None
    placing: Placing = field(default_factory=Placing)
    pull_secrets: Sequence[str] = ()
    client_namespaces: Sequence[pulumi.Input[str]] = ()
    volumes: Mapping[str, VolumeSource] = field(default_factory=dict)
    security: Security = Security()
    checkpoint: Checkpointing | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("GpuWorkload.name", self.name)
        if self.kind not in get_args(WorkloadKind):
            raise ValueError(
                f"workload {self.name}: kind is {self.kind!r}: write {' or '.join(get_args(WorkloadKind))}"
            )
        using = sum(container.slots > 0 for container in self.containers)
        if using != 1:
            raise ValueError(f"workload {self.name}: exactly one container must use the GPU, not {using}")
        if (self.kind == "CronJob") != (self.schedule is not None):
            raise ValueError(f"workload {self.name}: a CronJob, and nothing else, has a schedule")
        if (self.kind == "KnativeService") != (self.on_request is not None):
            raise ValueError(f"workload {self.name}: a KnativeService, and nothing else, has on_request")
        if self.on_request and self.claim_mib:
            raise ValueError(f"workload {self.name}: Knative's API takes no claims: a KnativeService has a slot")
        if self.on_request and len(self.ports) != 1:
            raise ValueError(f"workload {self.name}: a KnativeService has one port, not {len(self.ports)}")
        if self.on_request and self.security.token:
            raise ValueError(f"workload {self.name}: Knative's API lets no service ask for the token")
        if self.autoscaling and self.kind != "Deployment":
            raise ValueError(f"workload {self.name}: only a Deployment has autoscaling")
        if self.checkpoint and self.kind in ("Deployment", "KnativeService"):
            raise ValueError(f"workload {self.name}: only a Job or CronJob keeps checkpoints")
        if self.priority_class and self.placing.priority_class:
            raise ValueError(f"workload {self.name}: has a priority class, and another by its importance")

    @property
    def namespace(self) -> str:
        """Where it runs."""
        return namespace_of(self.security.user)

    @property
    def service_account(self) -> str | None:
        """The pods'; None is the namespace's."""
        return self.security.service_account or (self.name if self.checkpoint else None)

    @property
    def selector(self) -> Mapping[str, str]:
        """Labels by which its pods are found."""
        return {NAME_LABEL: self.name}

    @property
    def metadata(self) -> Any:
        """Of its objects (meta.v1.ObjectMeta)."""
        return {
            "name": self.name,
            "namespace": self.namespace,
            "labels": {**self.labels, **self.selector},
            # A Spot GPU may take long to come: `pulumi up` does not wait for it, Kubernetes does.
            "annotations": {**self.annotations, "pulumi.com/skipAwait": "true"},
        }

    @property
    def mounts(self) -> Mounts:
        """Its volumes, and how its pods have them."""
        return Mounts(
            workload=self.name,
            namespace=self.namespace,
            sources=self.volumes,
            user=self.security.user,
            group=self.security.primary_group,
        )

    @property
    def ports(self) -> Sequence[Mapping[str, Any]]:
        """Ports of all containers."""
        return [port for container in self.containers for port in container.ports]


def namespace_of(user: int) -> str:
    """Where pods of a user run."""
    return NAMESPACE if user else ROOT_NAMESPACE
