"""The stack file's sections of workloads. Names are those of Kubernetes' API, v1 of core, apps and batch.

Sections that a pod takes as they are (variables, probes, mounts) are handed on whole: `stacks.workloads`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.fields import (
    AbsolutePath,
    AccessPoint,
    Bucket,
    Cpu,
    DataKey,
    Duration,
    FileSystem,
    GpuMemory,
    GpuShare,
    HttpPath,
    Image,
    Int,
    Line,
    List,
    Memory,
    Metric,
    Name,
    Namespace,
    ObjectName,
    PortName,
    Prefix,
    SubPath,
    Text,
    Texts,
    TimeZone,
    VariableName,
)
from config.section import Section
from gpu.checkpoints import MAX_GRACE_SECONDS
from gpu.importance import Importance
from gpu.pods import GPU_USER, WorkloadKind

Port = Annotated[Int, Field(ge=1, le=65535)]
#: Kubernetes' users and groups are 32 bits wide, and not negative.
Id = Annotated[Int, Field(ge=0, le=2_147_483_647)]


class KeyRef(Section):
    """One key of a Secret or ConfigMap that is there."""

    name: ObjectName
    """Name of the Secret or ConfigMap, in the workload's namespace."""
    key: DataKey
    """The key."""


class ValueFrom(Section):
    """Where a variable's value comes from: one of the two."""

    secret_key_ref: KeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap."""


class EnvVar(Section):
    """A variable: `value` or `valueFrom`."""

    name: VariableName
    """Name of the variable."""
    value: Text | None = None
    """Its value, in quotes where it is a number. Nothing secret: plan and state hold it."""
    value_from: ValueFrom | None = None
    """A Secret or ConfigMap that has it."""


class ObjectRef(Section):
    """An object that is there."""

    name: ObjectName
    """Its name, in the workload's namespace."""


class EnvFrom(Section):
    """All keys of a Secret or a ConfigMap as variables: one of the two."""

    prefix: VariableName | None = None
    """What the variables' names begin with, before the key. Needed in the container with the slots."""
    secret_ref: ObjectRef | None = None
    """A Secret."""
    config_map_ref: ObjectRef | None = None
    """A ConfigMap."""


class ContainerPort(Section):
    """A TCP port."""

    name: PortName | None = None
    """Name of the port, in the Service too; needed where there are several."""
    container_port: Port
    """Number of the port, in the Service too."""


class HttpGet(Section):
    """A request that is answered with 200 to 399."""

    path: HttpPath = "/"
    """Path of the request."""
    port: Port
    """Number of the port."""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    """Whether it is asked by TLS, whose certificate nobody looks at."""


class TcpSocket(Section):
    """A port that takes connections."""

    port: Port
    """Number of the port."""


class ExecCommand(Section):
    """A command in the container that ends with 0."""

    command: Annotated[Texts, Field(min_length=1)]
    """The command and its arguments; no shell."""


class Probe(Section):
    """How the kubelet asks the container: exactly one of `httpGet`, `tcpSocket` and `exec`."""

    http_get: HttpGet | None = None
    """A request."""
    tcp_socket: TcpSocket | None = None
    """A connection."""
    exec: ExecCommand | None = None
    """A command."""
    initial_delay_seconds: Annotated[Int, Field(ge=0, le=86_400)] = 0
    """Seconds before the first time."""
    period_seconds: Annotated[Int, Field(ge=1, le=86_400)] = 10
    """Seconds from one time to the next."""
    timeout_seconds: Annotated[Int, Field(ge=1, le=86_400)] = 1
    """Seconds that an answer may take."""
    failure_threshold: Annotated[Int, Field(ge=1, le=100_000)] = 3
    """Failures in a row that count."""


class VolumeMount(Section):
    """Where a container sees a volume of the workload."""

    name: Name
    """Name of the volume."""
    mount_path: AbsolutePath
    """Path in the container."""
    sub_path: SubPath | None = None
    """A folder or file of the volume in place of the whole."""
    read_only: bool = False
    """Whether the container cannot write there."""


class ContainerSecurity(Section):
    """What a container may do beyond the restricted standard."""

    read_only_root_filesystem: bool = True
    """Whether everything but its volumes is read only. `false` needs `securityReason`."""


class Container(Section):
    """A container of a workload."""

    name: Name
    """Name of the container."""
    image: Image
    """Image with a tag or digest."""
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """Whether the node asks the registry for an image that it has."""
    command: Texts = ()
    """Replaces the image's entry point."""
    args: Texts = ()
    """Arguments."""
    slots: Int = 0
    """1 for the one container that uses the GPU; more are whole GPUs, on pools that share none. The
    workload's gpuMemory or gpuShare say it too."""
    cpu: Cpu = "500m"
    """CPU request and limit, such as `500m`, or `"2"` in quotes."""
    memory: Memory = "1Gi"
    """Memory request and limit, such as `512Mi` or `2Gi`."""
    env: Annotated[tuple[EnvVar, ...], List] = ()
    """Variables. `HOME` is `/tmp`, and `USER` of pods that are not root is `workload`, unless they are among them."""
    env_from: Annotated[tuple[EnvFrom, ...], List] = ()
    """Secrets and ConfigMaps whose keys become variables."""
    ports: Annotated[tuple[ContainerPort, ...], List] = ()
    """Ports of a Deployment, at which its Service answers. A KnativeService has one, which is called at port 80."""
    startup_probe: Probe | None = None
    """Until it succeeds the other two wait: give it the time that loading may take."""
    readiness_probe: Probe | None = None
    """While it fails the Service sends nothing. Keys are those of `startupProbe`."""
    liveness_probe: Probe | None = None
    """When it fails the container starts anew. Keys are those of `startupProbe`."""
    volume_mounts: Annotated[tuple[VolumeMount, ...], List] = ()
    """Volumes that it sees; `/tmp` is a disk of the pod's own unless one of them is there."""
    security_context: ContainerSecurity = ContainerSecurity()
    """What weakens it."""


class EmptyDir(Section):
    """A folder that lives as long as the pod."""

    medium: Literal["Memory"] | None = None
    """The node's memory, which counts as the containers'. Default: its disk."""
    size_limit: Memory | None = None
    """Most that it may hold, such as `2Gi`."""


class ClaimSource(Section):
    """A PersistentVolumeClaim that is there."""

    claim_name: ObjectName
    """Its name, in the workload's namespace."""
    read_only: bool = False
    """Whether the pod cannot write to it."""


class S3(Section):
    """A bucket that is there, by the Mountpoint for Amazon S3 CSI driver, which the cluster must have."""

    bucket_name: Bucket
    """Name of the bucket, in the stack's region. The driver's role, not the pod's, reads it."""
    read_only: bool = True
    """Whether nothing is written to it."""


class Efs(Section):
    """A file system of Amazon EFS that is there, by its CSI driver, which the cluster must have."""

    file_system_id: FileSystem
    """Id of the file system, with a mount target in each zone of the nodes."""
    access_point_id: AccessPoint | None = None
    """Id of an access point of it, which says as whom pods read and write. Default: the root folder, which belongs to
    root until somebody changes that."""


class WorkloadVolume(Section):
    """A volume of a workload: exactly one source."""

    name: Name
    """Name by which containers mount it."""
    empty_dir: EmptyDir | None = None
    """A folder of the pod's own. With `medium: Memory` at `/dev/shm` it is what PyTorch needs for several GPUs."""
    persistent_volume_claim: ClaimSource | None = None
    """A claim that somebody made."""
    s3: S3 | None = None
    """A bucket."""
    efs: Efs | None = None
    """A file system."""


class Checkpoint(Section):
    """How a Job goes on after an interruption: where it keeps checkpoints, and how many minutes of work it may lose."""

    bucket: Bucket | None = None
    """A bucket of yours in the stack's region, which S3 encrypts by a key of its own, or by one whose policy admits the
    Job's role. Default: one that the stack makes, with its own key; with `cluster.existing` write yours."""
    prefix: Prefix | None = None
    """Where in the bucket, and the only place that the Job's role may see. Default: the workload's name."""
    interval_minutes: Annotated[Int, Field(ge=1, le=1440)] = 10
    """Most minutes of work that an interruption may cost."""
    grace_seconds: Annotated[Int, Field(ge=10, le=MAX_GRACE_SECONDS)] = MAX_GRACE_SECONDS
    """Seconds in which a pod that is told to end keeps its state. Spot gives 120 from its notice to the end of the
    node, of which hearing of it takes some."""
    size_gb: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] = 1
    """Size of a checkpoint, in GB: for the bill alone."""


class Autoscaling(Section):
    """How many pods a Deployment has: as many as a figure of theirs asks for, by a HorizontalPodAutoscaler."""

    min_replicas: Annotated[Int, Field(ge=1, le=10_000)] = 1
    """Fewest pods; they hold their slots at all times."""
    max_replicas: Annotated[Int, Field(ge=1, le=10_000)]
    """Most pods: at most the pool's slots, and what the bill counts."""
    metric: Metric
    """Name of a figure that each pod has, such as `requests_in_flight`. The cluster must serve it as a custom metric
    (`custom.metrics.k8s.io`): docs/classifier.md."""
    average_value: Annotated[Int, Field(ge=1, le=1_000_000)]
    """What the figure should be on average of the pods; above it there will be more of them."""
    stabilization_window_seconds: Annotated[Int, Field(ge=0, le=3600)] = 300
    """Seconds for which the figure must have asked for fewer pods before some go."""


class PodSecurity(Section):
    """As whom the pods run."""

    run_as_user: Id = GPU_USER
    """User of all containers. 0 is root: it needs `securityReason`, and the namespace is `workloads-baseline`."""
    run_as_group: Id | None = None
    """Group of all containers. Default: the user's number."""
    fs_group: Id | None = None
    """Group that owns the volumes."""


class Workload(Section):
    """A workload that is no Ollama model: a Job that runs once, a CronJob, a Deployment, or a KnativeService."""

    name: Name
    """Name of the object; models and workloads share one name space."""
    pool: str = ""
    """Name of the GPU pool. Default: of those that have gpuMemory and gpuShare, the one with the cheapest slot or
    claim."""
    gpu_memory: GpuMemory | None = None
    """GPU memory that each pod needs, such as `3 GiB`. With it or gpuShare the one container needs no `slots`."""
    gpu_share: GpuShare | None = None
    """Part of a GPU that each pod needs, such as `20 %`: one slot that is as large, or whole GPUs (`200 %`) on a pool
    that shares none."""
    importance: Importance = "standard"
    """`critical`: never on Spot, and never moved to save money. `batch`: on Spot alone, and first to give way. See
    [importance.md](importance.md)."""
    kind: WorkloadKind = "Deployment"
    """Whether it ends, and begins again. A KnativeService sleeps, and wakes with a request, as models do."""
    schedule: str | None = None
    """When a CronJob runs: minute, hour, day of the month, month, day of the week, such as `"30 3 * * 1-5"`;
    or `"@daily"`, or `"@every 6h"`, which no time zone moves."""
    time_zone: TimeZone | None = None
    """Time zone of the schedule. Default: that of the cluster, UTC."""
    concurrency_policy: Literal["Forbid", "Allow", "Replace"] = "Forbid"
    """What happens when a run is due while another runs: it is left out, runs beside it, or takes its place."""
    replicas: Annotated[Int, Field(ge=0, le=10_000)] = 1
    """Pods; each takes its slots. For a Deployment at most the pool's slots."""
    autoscaling: Autoscaling | None = None
    """Of a Deployment, in place of `replicas`: how many pods it has as requests come and go."""
    min_scale: Annotated[Int, Field(ge=0, le=1000)] = 0
    """Of a KnativeService: pods that always run, each on slots that are always paid for. 0 lets it sleep."""
    max_scale: Annotated[Int, Field(ge=1, le=1000)] | None = None
    """Of a KnativeService: most pods. Default: 2, or as many as the pool has slots for."""
    parallel: Annotated[Int, Field(ge=1, le=1000)] = 1
    """Of a KnativeService: requests that a pod answers at the same time; more wait, or start another pod."""
    idle: Duration = "5m"
    """Of a KnativeService: how long the last pod stays when nobody asks any more, beside Knative's window of a minute;
    at most 1h."""
    gpu_memory_mib: Annotated[Int, Field(ge=1)] | None = None
    """The same as gpuMemory, as a number of MiB: one of the two."""
    labels: dict[str, str] = Field(default={})
    """Labels of the object and its pods."""
    annotations: dict[str, str] = Field(default={})
    """Annotations of the object and its pods."""
    priority_class_name: ObjectName | None = None
    """A PriorityClass that is there; of standard work alone, the others have their own."""
    image_pull_secrets: Annotated[tuple[ObjectRef, ...], List] = ()
    """Secrets with the registries' passwords."""
    client_namespaces: Annotated[tuple[Namespace, ...], List, Field(max_length=50)] = ()
    """Namespaces whose pods may reach the ports of a Deployment. Default: nobody may. A KnativeService is called by
    namespaces with the label `gpu-slices/models-client`, as models are."""
    volumes: Annotated[tuple[WorkloadVolume, ...], List] = ()
    """Volumes that its containers mount."""
    security_context: PodSecurity = PodSecurity()
    """As whom its pods run."""
    service_account_name: ObjectName | None = None
    """A ServiceAccount that is there. Default: the namespace's, which may nothing. With `checkpoint` the stack makes
    one; with `cluster.existing` write yours."""
    automount_service_account_token: bool = False
    """Whether pods get the token of their service account. `true` needs `securityReason`."""
    security_reason: Line | None = None
    """Why its pods may be root, write to their root file system or hold a token. The plan repeats it as a warning."""
    checkpoint: Checkpoint | None = None
    """Makes a Job or CronJob go on after an interruption; `{}` is enough. Its program must use it: docs/jobs.md."""
    containers: Annotated[tuple[Container, ...], List, Field(min_length=1)]
    """Containers; exactly one has slots."""

    @property
    def ends(self) -> bool:
        """Whether its pods do something and are done, so that an interruption may count as a failure."""
        return self.kind in ("Job", "CronJob")

    @property
    def fewest_replicas(self) -> int:
        """Pods that it has at least at any time."""
        return self.autoscaling.min_replicas if self.autoscaling else self.replicas

    @property
    def most_replicas(self) -> int:
        """Pods that it has at most at the same time."""
        return self.autoscaling.max_replicas if self.autoscaling else self.replicas
