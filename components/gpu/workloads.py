"""GpuWorkloads: a stack's own GPU workloads, each of which takes a slot, or several whole GPUs."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never, get_args

import pulumi

import versions
from components.arguments import Arguments
from components.disruption_budget import one_at_a_time
from components.gpu.autoscaling import Autoscaling, autoscaler
from components.gpu.claims import claim_templates, container_claims, pod_claims
from components.gpu.on_request import OnRequest, features_of, service_metadata, service_spec, way_in_from_knative
from components.gpu.workload_volumes import Mounts, VolumeSource
from components.options import child_options
from components.pods import NO_GPU, restricted_admission, restricted_container, restricted_pod
from components.sdk import k8s
from components.serving.knative_config import Feature
from components.serving.network_policy import namespace_peer, network_policy, tcp
from gpu.checkpoints import GRACE_VARIABLE, INTERVAL_VARIABLE, RUN_VARIABLES, URL_VARIABLE, check_prefix, run_url
from gpu.contract import NAME_LABEL, SECURITY_ANNOTATION
from gpu.importance import Placing
from gpu.naming import check_name
from gpu.pods import GPU_USER, OUTLASTS_DISRUPTION, SCRATCH_VOLUME

NAMESPACE = "workloads"
TEMP = "/tmp"
USER_NAME = "workload"
#: Of pods that run as root, which the restricted standard refuses and the baseline standard admits.
ROOT_NAMESPACE = "workloads-baseline"

WorkloadKind = Literal["Job", "CronJob", "Deployment", "KnativeService"]


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


@dataclass(frozen=True, kw_only=True)
class Checkpointing(Arguments):
    """Where and how often the pods of a Job keep checkpoints; `components.gpu.checkpoints` makes the bucket and a role.

    bucket_name, prefix: below which every run has a folder of its own. region: the bucket's.
    interval_seconds: most work that may be lost. grace_seconds: from SIGTERM to the pod's end.
    after: what lets the pods at the bucket: they come after it.
    """

    bucket_name: pulumi.Input[str]
    prefix: str
    region: str
    interval_seconds: int
    grace_seconds: int
    after: Sequence[pulumi.Resource] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a prefix that could mean more than one place."""
        super().__post_init__()
        check_prefix("Checkpointing.prefix", self.prefix)


@dataclass(frozen=True, kw_only=True)
class GpuWorkload(Arguments):
    """A Job that runs once, a CronJob, a Deployment, or a KnativeService, on slots of a pool.

    resource_name: what one slot is called, such as `nvidia.com/gpu`. claim_mib: MiB of a GPU that each pod claims in
    place of a slot, on a memory pool.
    node_selector, tolerations: those of the pool's workloads.
    scheduler: name of the scheduler that places its pods; None is the default one.
    placing: what its pods get of its importance; a class of their own, where there is one, in place of priority_class.
    autoscaling: of a Deployment, in place of replicas.
    on_request: of a KnativeService, in place of replicas; its Knative must have `features` on.
    schedule: of a CronJob. client_namespaces: whose pods may reach the ports of a Deployment.
    checkpoint: of a Job or CronJob, whose pods then have a service account of the workload's name.
    Raises ValueError unless exactly one container uses the GPU (Karpenter would count a GPU for each), a CronJob, and
    nothing else, has a schedule, a KnativeService on_request and what Knative takes, only a Deployment autoscaling, and
    what ends and no other account's keeps checkpoints.
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
        if self.checkpoint and (self.kind in ("Deployment", "KnativeService") or self.security.service_account):
            raise ValueError(f"workload {self.name}: a Job with a service account of its own keeps checkpoints")
        if self.priority_class and self.placing.priority_class:
            raise ValueError(f"workload {self.name}: has a priority class, and another by its importance")

    @property
    def namespace(self) -> str:
        """Where it runs."""
        return namespace_of(self.security.user)

    @property
    def service_account(self) -> str | None:
        """The pods'; None is the namespace's."""
        return self.name if self.checkpoint else self.security.service_account

    @property
    def ports(self) -> Sequence[Mapping[str, Any]]:
        """Ports of all containers."""
        return [port for container in self.containers for port in container.ports]

    @property
    def features(self) -> set[Feature]:
        """Flags of Knative's that it needs, where it is a KnativeService."""
        return features_of(_template(self)["spec"]) if self.on_request else set()


def namespace_of(user: int) -> str:
    """Where pods of a user run."""
    return NAMESPACE if user else ROOT_NAMESPACE


@dataclass(frozen=True, kw_only=True)
class GpuWorkloadsArgs:
    """Inputs of `GpuWorkloads`."""

    workloads: Sequence[GpuWorkload]


class GpuWorkloads(pulumi.ComponentResource):
    """A namespace that admits restricted pods only and lets nobody in, and the workloads in it.

    Let it depend on the pools: their nodes must outlive the pods.
    """

    def __init__(self, name: str, args: GpuWorkloadsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:GpuWorkloads", name, None, opts)
        prefixes = {NAMESPACE: name, ROOT_NAMESPACE: f"{name}-baseline"}
        used = dict.fromkeys(workload.namespace for workload in args.workloads)
        walls = {namespace: self._namespace(prefixes[namespace], namespace, args, opts) for namespace in used}
        for workload in args.workloads:
            _make(f"{name}-{workload.name}", workload, child_options(self, opts, *walls[workload.namespace]))
        self.register_outputs({})

    def _namespace(
        self, name: str, namespace_name: str, args: GpuWorkloadsArgs, opts: pulumi.ResourceOptions | None
    ) -> Sequence[pulumi.Resource]:
        """A namespace, its wall, and the templates of what its pods claim."""
        labels = restricted_admission()
        if namespace_name == ROOT_NAMESPACE:
            labels["pod-security.kubernetes.io/enforce"] = "baseline"
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": namespace_name, "labels": labels},
            opts=child_options(self, opts),
        )
        no_ingress: Any = {"podSelector": {}, "policyTypes": ["Ingress"]}
        policy = k8s.networking.v1.NetworkPolicy(
            f"{name}-no-ingress",
            metadata={"name": "no-ingress", "namespace": namespace_name},
            spec=no_ingress,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace]),
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        of_knative = [each for each in args.workloads if each.namespace == namespace_name and each.on_request]
        way_in = [way_in_from_knative(name, namespace_name, inside)] if of_knative else []
        sizes = [each.claim_mib for each in args.workloads if each.namespace == namespace_name and each.claim_mib]
        return namespace, policy, *way_in, *claim_templates(name, namespace_name, sizes, inside)


def _make(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    """A workload, after its volumes and the way in to it."""
    parts = _mounts(workload).make(name, opts)
    if workload.ports and workload.kind == "Deployment":
        _service(name, workload, opts)
        if workload.client_namespaces:
            _way_in(name, workload, opts)
    if workload.checkpoint:
        account = k8s.core.v1.ServiceAccount(
            name,
            metadata={"name": workload.service_account, "namespace": workload.namespace, "labels": _labels(workload)},
            automount_service_account_token=False,
            opts=opts,
        )
        parts = [*parts, account, *workload.checkpoint.after]
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=parts))
    metadata = _metadata(workload)
    match workload.kind:
        case "Job":
            k8s.batch.v1.Job(name, metadata=metadata, spec=_job(workload), opts=after)
        case "CronJob":
            k8s.batch.v1.CronJob(name, metadata=metadata, spec=_cron_job(workload), opts=after)
        case "Deployment":
            _budget(name, workload, opts)
            _make_deployment(name, workload, after)
        case "KnativeService":
            _budget(name, workload, opts)
            _make_service(name, workload, after)
        case _:
            assert_never(workload.kind)


def _budget(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    """Of what serves: a drain takes no second pod while one is away, where its importance wants that."""
    if workload.placing.one_at_a_time:
        one_at_a_time(f"{name}-budget", workload.name, workload.namespace, _selector(workload), opts)


def _make_deployment(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    scaling, metadata = workload.autoscaling, _metadata(workload)
    if scaling:
        # Else every `pulumi up` would put the number back.
        ours = pulumi.ResourceOptions(ignore_changes=["spec.replicas"])
        opts = pulumi.ResourceOptions.merge(opts, ours)
    deployment = k8s.apps.v1.Deployment(name, metadata=metadata, spec=_deployment(workload), opts=opts)
    if scaling:
        after = pulumi.ResourceOptions(parent=opts.parent, depends_on=[deployment])
        autoscaler(name, scaling, metadata, after)


def _make_service(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    scale = workload.on_request
    assert scale is not None
    k8s.apiextensions.CustomResource(
        name,
        api_version=versions.KNATIVE_SERVING_API,
        kind="Service",
        metadata=service_metadata(_metadata(workload), scale.min_scale),
        spec=service_spec(scale, _template(workload)),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(scale.after))),
    )


def _service(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    """A ClusterIP with the Deployment's name and ports."""
    ports = [
        {
            "name": port.get("name", f"tcp-{port['containerPort']}"),
            "port": port["containerPort"],
            "targetPort": port["containerPort"],
            "protocol": "TCP",
        }
        for port in workload.ports
    ]
    spec: Any = {"type": "ClusterIP", "selector": _selector(workload), "ports": ports}
    # It has endpoints only when a GPU came: nothing waits for that.
    k8s.core.v1.Service(name, metadata=_metadata(workload), spec=spec, opts=opts)


def _way_in(name: str, workload: GpuWorkload, opts: pulumi.ResourceOptions) -> None:
    numbers = [port["containerPort"] for port in workload.ports]
    spec = {
        "podSelector": {"matchLabels": _selector(workload)},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [namespace_peer(client) for client in workload.client_namespaces], "ports": tcp(*numbers)}
        ],
    }
    network_policy(f"{name}-clients", f"{workload.name}-clients", workload.namespace, spec, opts)


def _job(workload: GpuWorkload) -> Any:
    spec: Any = {
        "completions": workload.replicas,
        "parallelism": workload.replicas,
        **OUTLASTS_DISRUPTION,
        "template": _template(workload),
    }
    spec["template"]["spec"]["restartPolicy"] = "Never"
    if workload.checkpoint:
        # Each pod of several goes on with its own checkpoints.
        spec["completionMode"] = "Indexed"
    return spec


def _cron_job(workload: GpuWorkload) -> Any:
    times = workload.schedule
    assert times is not None
    spec: Any = {
        "schedule": times.schedule,
        "concurrencyPolicy": times.concurrency_policy,
        "jobTemplate": {"metadata": {"labels": _labels(workload)}, "spec": _job(workload)},
    }
    return spec | ({"timeZone": times.time_zone} if times.time_zone else {})


def _deployment(workload: GpuWorkload) -> Any:
    return {
        "replicas": workload.autoscaling.min_replicas if workload.autoscaling else workload.replicas,
        "selector": {"matchLabels": _selector(workload)},
        # A surge would need a spare slot, for which Karpenter might buy a GPU. So does a rolling update without: the
        # new pod is there while the old one still ends, whose slot Karpenter counts as taken (1.15,
        # pkg/controllers/state/cluster.go: only pods that have ended are left out).
        "strategy": {"type": "Recreate"},
        "template": _template(workload),
    }


def _metadata(workload: GpuWorkload) -> Any:
    return {
        "name": workload.name,
        "namespace": workload.namespace,
        "labels": _labels(workload),
        # A Spot GPU may take long to come: `pulumi up` does not wait for it, Kubernetes does.
        "annotations": {**workload.annotations, "pulumi.com/skipAwait": "true"},
    }


def _selector(workload: GpuWorkload) -> dict[str, str]:
    return {NAME_LABEL: workload.name}


def _labels(workload: GpuWorkload) -> dict[str, str]:
    return {**workload.labels, **_selector(workload)}


def _group(security: Security) -> int:
    return security.user if security.group is None else security.group


def _mounts(workload: GpuWorkload) -> Mounts:
    return Mounts(
        workload=workload.name,
        namespace=workload.namespace,
        sources=workload.volumes,
        user=workload.security.user,
        group=_group(workload.security),
    )


def _template(workload: GpuWorkload) -> Any:
    reason = workload.security.reason
    placing = workload.placing
    annotations = {**workload.annotations, **placing.annotations, **({SECURITY_ANNOTATION: reason} if reason else {})}
    metadata: dict[str, Any] = {"labels": {**_labels(workload), **placing.labels}}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "metadata": metadata,
        "spec": {
            **_pod(workload),
            "nodeSelector": {**workload.node_selector, **placing.node_selector},
            "tolerations": [dict(toleration) for toleration in workload.tolerations],
            "containers": [_container(container, workload) for container in workload.containers],
            "volumes": [{"name": SCRATCH_VOLUME, "emptyDir": {}}, *_mounts(workload).of_pod()],
        },
    }


def _pod(workload: GpuWorkload) -> dict[str, Any]:
    """Pod-level fields: restricted, and what was asked for."""
    security = workload.security
    spec = restricted_pod(security.user)
    context = spec["securityContext"]
    context["runAsGroup"] = _group(security)
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
            environment += _checkpoint_variables(workload.checkpoint, environment)
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


def _checkpoint_variables(checkpoint: Checkpointing, given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a job knows of its checkpoints. Kubernetes fills in `$(NAME)` of variables that stand before.

    given: what the container has already, which stays.
    """
    labels = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{label}']"}}}
        for name, label in RUN_VARIABLES.items()
    ]
    values = {
        URL_VARIABLE: pulumi.Output.from_input(checkpoint.bucket_name).apply(
            lambda bucket: run_url(bucket, checkpoint.prefix)
        ),
        INTERVAL_VARIABLE: str(checkpoint.interval_seconds),
        GRACE_VARIABLE: str(checkpoint.grace_seconds),
        "AWS_DEFAULT_REGION": checkpoint.region,
    }
    there = {variable["name"] for variable in given}
    return [*labels, *({"name": name, "value": value} for name, value in values.items() if name not in there)]
