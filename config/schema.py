"""The stack file's schema: frozen pydantic models, one for each `gpu-slices:` key.

Field names are camelCase in stack files. What concerns one value is checked here; what concerns several (does a model
fit its slot?) in `config.checks`. Both report to `config.load`, which collects every problem before it gives up.

The text under each field is its entry in docs/configuration.md (`python -m config.document`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

import versions
from config.fields import (
    Arn,
    BuiltImage,
    CertificateArn,
    ChartVersion,
    ClusterName,
    Digest,
    Domain,
    Duration,
    Email,
    HostedZone,
    Image,
    Int,
    Line,
    List,
    Name,
    NodeLabels,
    OllamaModel,
    RegistryMirror,
    RoleName,
    SecurityGroupId,
    SelectingTags,
    Strings,
    SubnetId,
    Version,
    VpcId,
)
from config.pool_schema import CpuPool, GpuPool, GpuSharing
from config.pools import network_zones, resolve
from config.section import Section
from config.workload_schema import Container, Workload
from gpu import prices
from gpu.importance import Importance
from gpu.models import KvCacheType
from gpu.pool import Pool
from gpu.prices import CapacityType, RegionPrices
from gpu.standing import Floor, Identity, MonitoringBackend, Nat
from gpu.weights import WeightsSource

__all__ = [
    "Budget",
    "Cluster",
    "Container",
    "CpuPool",
    "Dialogue",
    "Door",
    "ExistingKarpenter",
    "ExistingNetwork",
    "GpuPool",
    "GpuSharing",
    "Karpenter",
    "Model",
    "Monitoring",
    "MpsLimits",
    "Network",
    "Serving",
    "StackConfig",
    "SystemNodes",
    "Usage",
    "UsageOf",
    "Weights",
    "Workload",
]


FeatureGate = Literal["nodeOverlay", "capacityBuffer", "staticCapacity"]
AuthenticationMode = Literal["API", "API_AND_CONFIG_MAP", "CONFIG_MAP"]


class SystemNodes(Section):
    """Managed arm64 nodes that run Karpenter and the add-ons; they never have GPUs."""

    instance_types: Annotated[Strings, Field(min_length=1)] = ("m7g.large",)
    """Graviton instance types, `large` or larger."""
    min: Annotated[Int, Field(ge=1, le=100)] = 1
    """Fewest nodes. Always min <= desired <= max."""
    desired: Annotated[Int, Field(ge=1, le=100)] = 2
    """Nodes to begin with."""
    max: Annotated[Int, Field(ge=1, le=100)] = 3
    """Most nodes."""
    capacity_type: CapacityType = "on-demand"
    """How they are bought. On Spot they go when AWS wants them back, and nobody replaces nodes until EKS has others."""


class Cluster(Section):
    """The EKS cluster."""

    name: Name | None = None
    """Name of the cluster, and the beginning of the names of what belongs to it. Default: `gpu-slices-<stack>`."""
    existing: ClusterName | None = None
    """Name of a cluster that is there: it is looked up, never changed, never destroyed. Without karpenter.existing the
    stack installs its own Karpenter in it. Of the other keys version, systemNodeLabels, authenticationMode and
    registryMirror go with it."""
    authentication_mode: AuthenticationMode = "API_AND_CONFIG_MAP"
    """How an existing cluster lets nodes in, where the stack installs Karpenter: `aws eks describe-cluster --region
    REGION --name NAME --query cluster.accessConfig.authenticationMode`. With CONFIG_MAP the stack makes no access entry
    and says what aws-auth needs."""
    system_node_labels: NodeLabels = Field(default={})
    """Labels of the nodes of an existing cluster that stay, on which the stack's own Karpenter, Knative, the GPU
    Operator and a second scheduler run. Default: `karpenter.sh/controller: "true"`, as in Karpenter's own guide."""
    version: Version = versions.EKS_DEFAULT_VERSION
    """Kubernetes version, in quotes; must be in EKS standard support. Of an existing cluster: the one that it has."""
    public_access_cidrs: Annotated[Strings, Field(max_length=40)] = ()
    """Public IPv4 ranges that may reach the API server, /8 or smaller. Without any, the endpoint is private, and Pulumi
    must run where it reaches the VPC."""
    admins: Annotated[tuple[Arn, ...], List] = ()
    """ARNs of IAM roles or users that may do everything in the cluster."""
    viewers: Annotated[tuple[Arn, ...], List] = ()
    """ARNs of IAM roles or users that may look at everything but secrets."""
    system_nodes: SystemNodes = SystemNodes()
    """The nodes that are always there."""
    floor: Floor = "standard"
    """`lean` makes what stands when nobody works as cheap as it can be, wherever the stack file says nothing else: one
    system node on Spot, no NAT gateway, one pod of each part of Knative. See [costs.md](costs.md#a-cheaper-floor)."""
    log_retention_days: Literal[30, 60, 90, 180, 365, 731, 1827, 3653] = 365
    """Days for which control-plane and flow logs are kept."""
    registry_mirror: RegistryMirror | None = None
    """Registry, or a path in it, from which every image and chart comes: ECR with its pull through cache, Harbor,
    Artifactory. See operations.md, "A registry mirror". Default: each from its own."""
    node_repair: bool = False
    """Whether Karpenter replaces nodes that EKS' monitoring agent calls unfit or whose kubelet is silent, one GPU node
    of a pool at a time. Alpha, and the agent may be wrong for ever: see operations.md, "Node repair"."""
    deletion_protection: bool = False
    """Whether EKS refuses to delete the cluster."""


class ExistingNetwork(Section):
    """Private subnets of somebody's VPC: for the nodes of a cluster that is there, or for a cluster of the stack's."""

    vpc_id: VpcId | None = None
    """The VPC. Default: that of subnetIds, or of the existing cluster."""
    subnet_ids: Annotated[tuple[SubnetId, ...], List] = ()
    """Private subnets, in two zones or more. Either this or subnetTags."""
    subnet_tags: SelectingTags = Field(default={})
    """Tags that all of them carry, and no public one. Default with cluster.existing: `karpenter.sh/discovery` with the
    cluster's name."""
    security_group_ids: Annotated[tuple[SecurityGroupId, ...], List] = ()
    """Security groups of the nodes. Only with cluster.existing; either this or securityGroupTags."""
    security_group_tags: SelectingTags = Field(default={})
    """Tags of the nodes' security groups. Only with cluster.existing. Default: `karpenter.sh/discovery` with the
    cluster's name."""


class Network(Section):
    """The VPC."""

    cidr: str = "10.42.0.0/16"
    """Private IPv4 range of the VPC, /16 to /19."""
    zone_ids: Strings = ()
    """Zone ids such as `use1-az1`, two or more. Default: the zones that offer the pools' instance types."""
    nat: Nat = "single"
    """One NAT gateway, or one in each zone: dearer, but no zone depends on another. With `none` nodes have public
    addresses, which no security group opens."""
    interface_endpoints: bool = False
    """Whether AWS services are reached by interface endpoints instead of the NAT gateway."""
    existing: ExistingNetwork | None = None
    """Subnets that are there: looked up, never tagged, changed or destroyed. Of the other keys zoneIds goes with it."""


class ExistingKarpenter(Section):
    """The Karpenter of an existing cluster: what nobody can see before its API server is asked."""

    chart_version: ChartVersion
    """Version of its chart, in quotes, such as `"1.15.0"`: `helm list -A` says it."""
    node_role: RoleName
    """Name of the IAM role of its nodes, which the cluster lets in."""
    feature_gates: Annotated[tuple[FeatureGate, ...], List] = ()
    """Of its gates (`settings.featureGates` of its chart) those that are on and that pools need: `nodeOverlay` wherever
    GPUs are shared, `capacityBuffer` where slots are kept warm at all hours, `staticCapacity` where a pool is
    static."""
    controller_role: RoleName | None = None
    """Name of its controller's role, which the budget's brake denies new GPU instances, for every NodePool there is.
    Only with a budget."""
    subnet_tags: SelectingTags = Field(default={})
    """Tags of the private subnets for nodes. Default: `karpenter.sh/discovery` with the cluster's name."""
    subnet_ids: Annotated[tuple[SubnetId, ...], List] = ()
    """The private subnets for nodes, where no tags tell them."""
    security_group_tags: SelectingTags = Field(default={})
    """Tags of the nodes' security groups. Default: `karpenter.sh/discovery` with the cluster's name."""
    security_group_ids: Annotated[tuple[SecurityGroupId, ...], List] = ()
    """The nodes' security groups, where no tags tell them."""


class Karpenter(Section):
    """Karpenter, which buys the nodes."""

    existing: ExistingKarpenter | None = None
    """The Karpenter of an existing cluster. Default: the stack installs its own."""
    identity: Identity = "pod-identity"
    """How the stack's own Karpenter gets its role in an existing cluster: by the add-on eks-pod-identity-agent, or by
    the cluster's OIDC provider in IAM (`irsa`)."""


class Weights(Section):
    """Where a model's weights come from."""

    source: WeightsSource = "node-cache"
    """Ollama's registry, once for each node; an OCI image that is mounted; or an image of Ollama that holds them."""
    image: Image | None = None
    """The OCI image, with a digest."""
    digest: Digest | None = None
    """sha256 of the model's manifest, as `ollama list` shows its beginning: a pod with other weights does not start."""


class MpsLimits(Section):
    """What a model may take of its MPS slot, where that is to be less than the slot. Names as in Amazon ECS."""

    memory_mib: Annotated[Int, Field(ge=1, le=4_000_000)] | None = None
    """Most GPU memory that it may allocate, in MiB: at least what it needs, at most the slot's limit."""
    max_compute_percent: Annotated[Int, Field(ge=1, le=100)] | None = None
    """Most of the GPU's threads that it may use, in percent; at most 100 / replicas."""


class Model(Section):
    """An Ollama model that is served from one slot of a pool."""

    name: Name
    """Name of the service."""
    model: OllamaModel | None = None
    """Ollama's name and tag, such as `mistral:7b`. Default: the name."""
    pool: str = ""
    """Name of the GPU pool. Default: the one with the cheapest slot or claim that holds the model, or all models
    of its server."""
    importance: Importance = "standard"
    """`critical`: never on Spot, with a slot that is always there. `batch`: on Spot alone, and first to give way. See
    [importance.md](importance.md)."""
    slots: Int = 1
    """Always 1: two slots of a shared GPU are not twice the GPU."""
    context_length: Annotated[Int, Field(ge=512, le=10_000_000)] = 4096
    """Context of one request in tokens; at most what the model was trained for."""
    parallel: Annotated[Int, Field(ge=1, le=64)] = 1
    """Requests served at the same time; each needs a context of its own in memory."""
    kv_cache_type: KvCacheType = "f16"
    """Precision of the KV cache: q8_0 takes about half of f16, q4_0 about a quarter."""
    weights_mib: Annotated[Int, Field(ge=1, le=4_000_000)] | None = None
    """Size of the weights in MiB, for models that the built-in table does not know."""
    kv_kib_per_token: Annotated[Int, Field(ge=0, le=100_000)] | None = None
    """KV cache per token at f16 in KiB, for models that the built-in table does not know; 0 for an encoder, which keeps
    none. `slices model NAME --gguf FILE` prints both."""
    max_context: Annotated[Int, Field(ge=512, le=10_000_000)] | None = None
    """Longest context in tokens that the model was trained for, where the built-in table does not know it."""
    min_scale: Annotated[Int, Field(ge=0, le=1000)] = 0
    """Pods that always run, each on a slot that is always paid for. 0 lets the model sleep."""
    max_scale: Annotated[Int, Field(ge=1, le=1000)] | None = None
    """Most pods, each in one slot. Default: 2, or as many as the pool has slots."""
    idle: Duration = "5m"
    """How long the last pod stays when nobody asks any more, beside Knative's window of a minute; at most 1h."""
    weights: Weights = Weights()
    """Where the weights come from."""
    mps: MpsLimits | None = None
    """Limits of its own below those of its slot; only on an MPS pool."""
    server: Name | None = None
    """Name of a server that several models share: one pod in one slot, which wakes and sleeps with all of them."""


class Door(Section):
    """An internal load balancer through which people reach the dialogue."""

    domain: Domain
    """Domain of the services behind it: the dialogue is `dialogue.<domain>`."""
    hosted_zone_id: HostedZone | None = None
    """Hosted zone of Route 53 that gets the record. Default: somebody else makes it."""
    allowed_cidrs: Annotated[Strings, Field(max_length=60)] = ()
    """Private IPv4 ranges that may reach it, such as a VPN's. Default: the VPC's."""
    certificate_arn: CertificateArn | None = None
    """ACM certificate: the load balancer ends TLS. It closes connections after 350 silent seconds."""
    tls_secret: Name | None = None
    """Secret in `knative-serving` with the certificate (`tls.crt`, `tls.key`): Kourier ends TLS."""
    plain_http: Line | None = None
    """Why the door may speak plain HTTP: who can read what passes can read the keys. Default: it must speak TLS."""
    idle_seconds: Annotated[Int, Field(ge=60, le=6000)] = 1200
    """Silence after which the load balancer closes a connection."""


class Serving(Section):
    """Knative, which serves the models and KnativeServices. It is installed where there are such."""

    replicas: Annotated[Int, Field(ge=1, le=5)] = 2
    """Pods of each part of Knative's control plane, on the system nodes."""
    registry_cidrs: Annotated[Strings, Field(max_length=20)] = ()
    """Private IPv4 ranges of your own model registries, from which the nodes' caches may pull on port 443. A model's
    name then begins with the registry's host: `models.example.com/acme/own:7b`."""
    door: Door | None = None
    """Default: the dialogue is reached from inside the cluster only."""


class Dialogue(Section):
    """Models that talk to each other: all speakers and guests must be able to hold a slot at the same time."""

    speakers: Annotated[Strings, Field(min_length=2, max_length=4)]
    """Names of models that talk from the beginning."""
    guests: Strings = ()
    """Names of models that can be asked to join."""
    image: BuiltImage | None = None
    """The service's image, with a digest; or `build`, which builds `apps/dialogue` with Docker and keeps it in ECR.
    Default: the models are there for a dialogue, and no service is."""
    keys_secret: Name = "dialogue-keys"
    """Secret in namespace `dialogue` with the API keys: a file `keys`, one `name:key` a line. `slices open dialogue`
    makes it, or you do."""
    settings: dict[str, Any] = Field(default={})
    """The application's own: `title`, `limits`, and under `speakers` by model `name`, `persona`, `options`, `wake`."""
    store: Literal["volume", "dynamodb"] = "volume"
    """Where conversations are kept: SQLite on a volume of EBS, which is in one zone, or a table of DynamoDB. The latter
    needs `image`."""
    storage_class: Name | None = None
    """StorageClass for the 1 GiB on which conversations are kept, where the cluster has one of yours; needs `image`.
    Default: the stack's own, encrypted gp3 by EKS' EBS CSI driver, which it then installs."""

    @property
    def needs_driver(self) -> bool:
        """Whether the stack itself brings what makes the volume of the conversations."""
        return self.on_volume and self.storage_class is None

    @property
    def on_volume(self) -> bool:
        """Whether there are conversations to keep, and on a volume."""
        return self.image is not None and self.store == "volume"


class Budget(Section):
    """What the stack may cost in a month, and who hears of it."""

    monthly_usd: Annotated[float, Field(ge=0.01, le=10_000_000, allow_inf_nan=False)]
    """Most that the stack may cost in a month, in USD."""
    emails: Annotated[tuple[Email, ...], List, Field(min_length=1, max_length=10)]
    """Who is told by mail; the topic `<cluster>-alerts` hears the same."""
    anomalies: bool = False
    """Whether AWS' Cost Anomaly Detection watches the stack. Only a management account, or one of no organisation, may
    have a monitor by tag."""
    soft_brake: bool = False
    """Whether from 80 % of the budget on no more GPU nodes are bought, and what runs goes on: a job in the cluster that
    asks AWS once an hour. See operations.md."""


class Monitoring(Section):
    """How a running stack is watched."""

    backend: MonitoringBackend = "off"
    """`cloudwatch`: Container Insights with GPU metrics, alarms, a dashboard and the pods' logs. `prometheus`:
    Prometheus, Alertmanager and Grafana in the cluster, on the system nodes. See monitoring.md."""
    volume_gib: Annotated[Int, Field(ge=0, le=16_384)] = 20
    """Size in GiB of Prometheus' volume, encrypted gp3. 0: figures are on the node's disk and end with it."""

    @property
    def needs_driver(self) -> bool:
        """Whether the stack itself brings what makes the volume of the figures."""
        return self.backend == "prometheus" and self.volume_gib > 0


Hours = Annotated[float, Field(ge=0, le=24, allow_inf_nan=False)]
RunHours = Annotated[float, Field(gt=0, le=720, allow_inf_nan=False)]
Runs = Annotated[Int, Field(ge=0, le=100_000)]


class UsageOf(Section):
    """What is known better of one model, server or Job."""

    name: Name
    """Name of the model, server, KnativeService or Job, or `cuda-vector-add` of the examples."""
    hours_per_day: Hours | None = None
    """Hours a day for which a model or KnativeService that may sleep holds its slot."""
    runs_per_month: Runs | None = None
    """Runs of a Job in a month."""
    hours_per_run: RunHours | None = None
    """How long a run of it takes."""
    requests_per_minute: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None
    """Requests a minute that a model or server answers while it holds its slots."""
    tokens_per_request: Annotated[Int, Field(ge=1, le=10_000_000)] | None = None
    """Tokens of an answer."""
    tokens_per_second: Annotated[float, Field(gt=0, le=10_000_000, allow_inf_nan=False)] | None = None
    """Tokens a second that one of its slots answers with while it works, as you measured it."""
    api_usd_per_million_tokens: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    """What an API asks for a million tokens of answer, in USD: to be compared with."""


class Usage(Section):
    """How much is used, as far as somebody knows: for the bill alone. Nothing is built or limited by it."""

    hours_per_day: Hours = 8
    """Hours a day for which every model and KnativeService that may sleep holds its slot, all at the same hours."""
    starts_per_day: Annotated[Int, Field(ge=0, le=1000)] = 1
    """How often a day the nodes of models that sleep start anew, and fetch image and weights."""
    runs_per_month: Runs = 1
    """Runs of every Job in a month."""
    hours_per_run: RunHours = 1
    """How long a run takes."""
    log_gb_per_month: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = 10
    """Control-plane and flow logs that are written in a month, in GB."""
    each: Annotated[tuple[UsageOf, ...], List] = ()
    """What is known better of single ones."""


class StackConfig(Section):
    """A whole stack: what `build` composes and `slices plan` explains."""

    stack: str
    region: str
    cluster: Cluster = Cluster()
    network: Network = Network()
    karpenter: Karpenter = Karpenter()
    cpu_pools: tuple[CpuPool, ...] = (CpuPool(name="x86", arch="amd64"), CpuPool(name="arm64", arch="arm64"))
    pools: tuple[GpuPool, ...] = ()
    gpu_sharing: GpuSharing = GpuSharing()
    models: tuple[Model, ...] = ()
    serving: Serving = Serving()
    workloads: tuple[Workload, ...] = ()
    dialogue: Dialogue | None = None
    budget: Budget | None = None
    monitoring: Monitoring = Monitoring()
    usage: Usage = Usage()
    examples: bool = True
    tags: Annotated[dict[str, str], Field(default_factory=dict)]

    @property
    def gpu_pools(self) -> Mapping[str, Pool]:
        """GPU pools with their figures, by name and in the order of the file."""
        return {pool.name: resolve(pool, self.region) for pool in self.pools}

    @property
    def zones(self) -> tuple[str, ...]:
        """Zone ids of the network: those of the stack file, else those that offer the pools' types."""
        types = [each for pool in self.gpu_pools.values() for each in pool.types]
        return self.network.zone_ids or network_zones(self.region, types)

    @property
    def prices(self) -> RegionPrices:
        """Prices of the stack's region."""
        return prices.of(self.region)

    @property
    def work(self) -> tuple[Model | Workload, ...]:
        """All that has an importance."""
        return (*self.models, *self.workloads)

    @property
    def on_request(self) -> tuple[Workload, ...]:
        """Workloads that Knative runs."""
        return tuple(workload for workload in self.workloads if workload.kind == "KnativeService")

    @property
    def knative(self) -> bool:
        """Whether the stack brings Knative."""
        return bool(self.models or self.on_request)

    @property
    def cluster_name(self) -> str:
        """Physical name of the EKS cluster; other systems select by it."""
        return self.cluster.existing or self.own_name

    @property
    def own_name(self) -> str:
        """Name of what the stack itself makes: its cluster, where it makes one, and its budget."""
        return self.cluster.name or f"gpu-slices-{self.stack}"
