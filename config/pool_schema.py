"""The part of the stack file's schema that describes node pools and how their GPUs are shared. See `config.schema`."""

from __future__ import annotations

from typing import Annotated, Literal, assert_never

from pydantic import Field

from config.fields import (
    AccountId,
    AmiAlias,
    AmiId,
    Date,
    DeviceName,
    Duration,
    Int,
    LabelKey,
    LabelValue,
    Lifetime,
    Line,
    List,
    Name,
    ObjectName,
    ReservationId,
    RoleName,
    Snapshot,
    Strings,
    Text,
    TimeOfDay,
    TimeZone,
)
from config.section import Section
from gpu import gp3, sharing
from gpu.pool import ConsolidationPolicy, Purchase, ReservationType
from gpu.prices import CapacityType
from gpu.scheduler import PACKING_SCHEDULER
from gpu.sharing import Ami

Labels = dict[str, str]


class CpuPool(Section):
    """A Karpenter node pool without GPUs, for everything that needs none."""

    name: Name
    """Name of the NodePool; GPU and CPU pools share one name space."""
    arch: Literal["amd64", "arm64"]
    """Architecture: x86 of generation 7 or later, or Graviton of generation 7 or later."""
    cpus: Annotated[tuple[Annotated[Int, Field(ge=1, le=192)], ...], List, Field(min_length=1)] = (2, 4)
    """vCPUs that a node may have."""
    capacity_types: Annotated[tuple[CapacityType, ...], List, Field(min_length=1)] = (
        "spot",
        "on-demand",
    )
    """What Karpenter may buy; of both it takes Spot first."""
    limit_cpus: Annotated[Int, Field(ge=1, le=10_000)] = 64
    """Most vCPUs that the pool may have at a time, with 4 GiB of memory for each, or 256 GiB."""


class NoSharing(Section):
    """`strategy: none`: every GPU is one slot."""

    strategy: Literal["none"]
    """Whole GPUs."""

    def profile(self) -> sharing.SharingProfile:
        """The domain's value."""
        return sharing.NoSharing()


class TimeSlicing(Section):
    """`strategy: time-slicing`: slots take turns on the GPU; nothing isolates their memory."""

    strategy: Literal["time-slicing"]
    """Slots take turns."""
    replicas: Annotated[Int, Field(ge=sharing.MIN_REPLICAS, le=sharing.MAX_TIME_SLICING_REPLICAS)]
    """Slots per GPU. Each must have 512 MiB or more."""
    rename: bool = False
    """Whether slots are called `nvidia.com/gpu.shared`, so that nobody takes one for a whole GPU."""

    def profile(self) -> sharing.SharingProfile:
        """The domain's value."""
        return sharing.TimeSlicing(self.replicas, self.rename)


class Mps(Section):
    """`strategy: mps`: slots run side by side with an enforced share of memory and threads."""

    strategy: Literal["mps"]
    """Slots run side by side. Not on MIG: NVIDIA's device plugin refuses it."""
    replicas: Annotated[Int, Field(ge=sharing.MIN_REPLICAS, le=sharing.MAX_MPS_REPLICAS)]
    """Slots per GPU; 16 at most on a V100. Each must have 512 MiB or more."""
    rename: bool = False
    """Whether slots are called `nvidia.com/gpu.shared`, so that nobody takes one for a whole GPU."""

    def profile(self) -> sharing.SharingProfile:
        """The domain's value."""
        return sharing.Mps(self.replicas, self.rename)


class Mig(Section):
    """`strategy: mig`: hardware partitions, isolated from each other. Only on GPUs that have MIG."""

    strategy: Literal["mig"]
    """Slots are hardware partitions."""
    profile_name: Annotated[str, Field(alias="profile")]
    """MIG profile such as `1g.10gb`; every GPU of the pool is cut into as many of it as fit."""

    def profile(self) -> sharing.SharingProfile:
        """The domain's value."""
        return sharing.Mig(self.profile_name)


class MemoryClaims(Section):
    """`strategy: memory`: pods claim as many MiB of a GPU as each needs; nothing isolates their memory. Alpha: gates of
    NVIDIA's and Karpenter's that are off by default."""

    strategy: Literal["memory"]
    """Pods claim memory."""

    def profile(self) -> sharing.SharingProfile:
        """The domain's value."""
        return sharing.MemoryClaims()


STRATEGIES: dict[str, type[Section]] = {
    "time-slicing": TimeSlicing,
    "mps": Mps,
    "mig": Mig,
    "memory": MemoryClaims,
    "none": NoSharing,
}
Sharing = Annotated[NoSharing | TimeSlicing | Mps | Mig | MemoryClaims, Field(discriminator="strategy")]


class OnDemand(Section):
    """Why a pool may buy on-demand GPUs, and until when."""

    justification: Line
    """Why Spot does not do, and the ticket: one line of 20 to 256 characters."""
    expires: Date
    """Last day on which it holds, as YYYY-MM-DD; at most 180 days ahead."""


class Volume(Section):
    """The volume that holds a GPU node's images and models: gp3, encrypted."""

    size_gib: Annotated[Int, Field(ge=30, le=16384)] = 100
    """Size in GiB."""
    iops: Annotated[Int, Field(ge=gp3.BASE_IOPS, le=gp3.MAX_IOPS)] = gp3.BASE_IOPS
    """Operations per second; at most 500 for each GiB."""
    throughput_mibps: Annotated[Int, Field(ge=gp3.BASE_MIBPS, le=gp3.MAX_MIBPS)] = 250
    """Throughput in MiB/s; at most a quarter of iops."""
    snapshot_id: Snapshot | None = None
    """Snapshot from which the volume is made, with images and weights on it: Bottlerocket's data volume."""
    initialization_rate_mibps: Annotated[Int, Field(ge=100, le=300)] | None = None
    """Rate at which EBS fills the volume from its snapshot in advance, in MiB/s. Default: block by block, when read."""


class Taint(Section):
    """A taint of the pool's nodes beside `nvidia.com/gpu`. Pods of this stack that go to the pool tolerate it."""

    key: LabelKey
    """Key, such as `team`; none that Karpenter or Kubernetes writes itself, such as `karpenter.sh/disrupted`."""
    value: LabelValue = ""
    """Value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
    """What happens to pods that do not tolerate it."""


class ReservationTerm(Section):
    """A capacity reservation, as an EC2NodeClass selects it: by its id, or by tags."""

    id: ReservationId | None = None
    """Its id, such as `cr-0123456789abcdef0`."""
    tags: Labels = Field(default={})
    """Tags that it carries."""
    owner_id: Annotated[AccountId | None, Field(alias="ownerID")] = None
    """Account that shares it, where it is another one's. Only with tags."""


class ExtraVolume(Section):
    """A volume beside that of images and models: gp3, encrypted, gone with the node."""

    device_name: DeviceName
    """Device, such as `/dev/xvdc`."""
    size_gib: Annotated[Int, Field(ge=1, le=16384)]
    """Size in GiB."""
    iops: Annotated[Int, Field(ge=gp3.BASE_IOPS, le=gp3.MAX_IOPS)] = gp3.BASE_IOPS
    """Operations per second; at most 500 for each GiB."""
    throughput_mibps: Annotated[Int, Field(ge=gp3.BASE_MIBPS, le=gp3.MAX_MIBPS)] = gp3.BASE_MIBPS
    """Throughput in MiB/s; at most a quarter of iops."""
    snapshot_id: Snapshot | None = None
    """Snapshot from which it is made."""


class NodeClass(Section):
    """What the pool's EC2NodeClass has of your own."""

    ami_alias: AmiAlias | None = None
    """Image by alias and release, of the pool's `ami`. Default: the one that this release pins. With `@latest`
    Karpenter replaces nodes whenever AWS publishes an image."""
    ami_ids: Annotated[tuple[AmiId, ...], List] = ()
    """Images by id, one for each architecture, with NVIDIA's driver and container toolkit as EKS' own have them."""
    user_data: Text | None = None
    """User data, merged with the program's: for AL2023 a MIME document, a shell script or a NodeConfig, which run
    before it; for Bottlerocket settings in TOML, of other tables than the program writes."""
    role: RoleName | None = None
    """IAM role of the nodes. Default: that of Karpenter. Only with karpenter.existing, whose controller must be allowed
    to pass it."""
    instance_profile: RoleName | None = None
    """Instance profile of the nodes in place of a role. Only with karpenter.existing."""
    volumes: Annotated[tuple[ExtraVolume, ...], List, Field(max_length=10)] = ()
    """More volumes."""


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Warm(Section):
    """Slots that are kept free for models that wake: all the time, or at certain hours. Their nodes cost money."""

    slots: Annotated[Int, Field(ge=1, le=100)] = 1
    """Free slots."""
    days: Annotated[tuple[Day, ...], List] = ()
    """Days on which they are kept, such as `[mon, tue]`. Default: every day, at all hours."""
    start: TimeOfDay | None = None
    """When they begin on these days, such as `"08:00"`, in quotes."""
    end: TimeOfDay | None = None
    """When they end on the same day."""
    time_zone: TimeZone = "Etc/UTC"
    """Time zone of start and end, such as `Europe/Berlin`."""


class Static(Section):
    """A fixed number of nodes, whoever needs them. Alpha: a gate of Karpenter's that is off by default."""

    replicas: Annotated[Int, Field(ge=1, le=1000)]
    """Nodes that the pool always has, and that are always paid."""


class GpuPool(Section):
    """A Karpenter GPU node pool and the way in which its GPUs are shared."""

    name: Name
    """Name of the NodePool; GPU and CPU pools share one name space."""
    instance_families: Strings = ()
    """EC2 families that the pool may buy, such as `[g6, g5]`. Either this or instanceTypes."""
    instance_types: Strings = ()
    """EC2 instance types that the pool may buy, such as `[p5.4xlarge]`."""
    gpus_per_node: Annotated[tuple[Annotated[Int, Field(ge=1)], ...], List] = ()
    """Only types with so many GPUs. Default: `[1]` of instanceFamilies, and all instanceTypes."""
    sharing: Sharing
    """How each GPU is cut into slots: one strategy for the whole pool."""
    capacity_type: Purchase = "spot"
    """What the pool buys. On-demand and reserved need onDemand."""
    fallback: Literal["on-demand"] | None = None
    """What the pool buys where there is no Spot capacity. Needs onDemand."""
    capacity_reservation_selector_terms: Annotated[tuple[ReservationTerm, ...], List, Field(max_length=30)] = ()
    """Capacity reservations of a pool with capacityType reserved, for as many GPUs as maxGpus says: they are paid
    whether nodes run or not."""
    capacity_reservation_type: ReservationType = "default"
    """What these reservations are: `default`, on-demand capacity reservations, or `capacity-block`, which AWS sells for
    a time, all of it paid in advance. A capacity block ends at its hour: critical work is refused there."""
    upfront_fee_usd: Annotated[float, Field(gt=0, le=100_000_000, allow_inf_nan=False)] | None = None
    """What AWS took for the capacity block (`UpfrontFee` of its offering), in USD. The bill has it once. Default: not
    known, and so is the bill's sum."""
    on_demand: OnDemand | None = None
    """Why the pool may buy on-demand GPUs or use reserved ones, and until when."""
    max_gpus: Annotated[Int, Field(ge=1, le=1000)]
    """Most physical GPUs that the pool may have at a time: whole nodes."""
    static: Static | None = None
    """Nodes that always stand, in place of nodes that come and go with the pods. A pool that is there cannot become
    static, nor the other way round: give it another name. See sharing.md, "Nodes that always stand"."""
    ami: Ami = "al2023"
    """Operating system of the nodes."""
    tenants: Literal["trusted", "untrusted"] = "trusted"
    """`untrusted` when those who share a GPU do not trust each other: needs strategy mig or none."""
    volume: Volume = Volume()
    """The node's volume."""
    consolidation_policy: ConsolidationPolicy = "WhenEmpty"
    """When Karpenter takes nodes away: `WhenEmpty` moves no pod; with `Balanced` half-empty nodes merge where that
    saves more than it disturbs, and a model that is moved loads again. See sharing.md, "Nodes that merge"."""
    consolidate_after: Duration = "5m"
    """How long a node must be idle before Karpenter removes it, such as 5m or 1h30m. With `Balanced`: how long no pod
    must have come or gone."""
    expire_after: Lifetime = "336h"
    """Age at which Karpenter replaces a node, 15m or more, so that images and kernels stay fresh; or Never."""
    termination_grace_period: Duration = "15m"
    """Longest that pods can hold up the end of a node; at most 25m, since `pulumi destroy` waits for it."""
    labels: Labels = Field(default={})
    """Labels of the nodes beside the program's."""
    taints: Annotated[tuple[Taint, ...], List, Field(max_length=20)] = ()
    """Taints of the nodes beside `nvidia.com/gpu`."""
    node_class: NodeClass = NodeClass()
    """What the nodes' EC2NodeClass has of your own."""
    fast_image_pull: bool = False
    """Whether nodes pull images in parallel (SOCI). Needs a volume of 600 MiB/s or instanceStore to be faster."""
    instance_store: bool = False
    """Whether images and weights lie on the node's own disks, which all types but g5g have."""
    warm: Warm | None = None
    """Slots that are kept free, so that models wake without waiting for a node."""


class ExistingPlugin(Section):
    """A device plugin that is there: the stack adds its pools' configurations to the ConfigMap that it reads."""

    config_map: ObjectName
    """Name of that ConfigMap: `config.name` of the device plugin's chart, `devicePlugin.config.name` of the GPU
    Operator's. Without one it reads no labels: set it first."""
    namespace: ObjectName
    """Namespace of the ConfigMap: that of the release."""


#: As `NodeResourcesFitArgs` has it (kubescheduler.config.k8s.io/v1).
ScoringStrategy = Literal["LeastAllocated", "MostAllocated"]


class GpuSharing(Section):
    """What runs NVIDIA's device plugin on AL2023 nodes, and how pods are laid on the nodes."""

    installer: Literal["device-plugin", "gpu-operator"] = "device-plugin"
    """The device plugin's own chart, or the GPU Operator with driver and toolkit off."""
    existing: ExistingPlugin | None = None
    """The plugin, or the operator, is there already, as installer says which: the stack installs none. Default: the
    stack installs it."""
    scoring_strategy: ScoringStrategy = "LeastAllocated"
    """Which node with room a pod on GPUs takes: the emptiest, as EKS' scheduler does, or by a second scheduler, on the
    system nodes, the fullest (`MostAllocated`), so that the others empty and go. See sharing.md, "Packing"."""

    @property
    def scheduler(self) -> str | None:
        """Name of the scheduler of pods on GPUs; None where it is the cluster's own."""
        match self.scoring_strategy:
            case "LeastAllocated":
                return None
            case "MostAllocated":
                return PACKING_SCHEDULER
            case _:
                assert_never(self.scoring_strategy)
