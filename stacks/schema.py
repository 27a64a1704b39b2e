"""The stack file's schema: frozen pydantic models, one for each `gpu-slices:` key.

Field names are camelCase in stack files. What concerns one value is checked here; what concerns several (does a model
fit its slot?) in `stacks.checks`. Both report to `stacks.load`, which collects every problem before it gives up.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

import versions
from gpu import sharing


class Section(BaseModel):
    """Base of all sections: immutable, camelCase keys, unknown keys refused, no silent conversion of types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
    )


def _tuple(value: Any) -> Any:
    """YAML has lists only; strict mode wants the tuple that the field says."""
    return tuple(value) if isinstance(value, list) else value


def _date(value: Any) -> Any:
    """ISO dates come as text from Pulumi's configuration, as dates from a YAML parser."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise PydanticCustomError("iso_date", "must be a date such as 2027-03-31") from None
    return value


def _version(value: Any) -> Any:
    if isinstance(value, float):
        raise PydanticCustomError(
            "unquoted",
            'must be in quotes, such as "{example}": YAML reads it as a number',
            {"example": versions.EKS_DEFAULT_VERSION},
        )
    return value


def _whole(value: Any) -> Any:
    """Pulumi hands numbers over as JSON: 4.0 is the whole number 4, True is not 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


Int = Annotated[int, BeforeValidator(_whole)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
Arn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:(role|user)/\S+$")]
Image = Annotated[str, StringConstraints(pattern=r"^\S+[:@]\S+$")]
Duration = Annotated[str, StringConstraints(pattern=r"^([0-9]+(s|m|h))+$")]
Strings = Annotated[tuple[str, ...], BeforeValidator(_tuple)]


class SystemNodes(Section):
    """Managed arm64 nodes that run Karpenter and the add-ons; they are on-demand and never have GPUs."""

    instance_types: Annotated[Strings, Field(min_length=1)] = ("m7g.large",)
    min: Annotated[Int, Field(ge=1)] = 1
    desired: Annotated[Int, Field(ge=1)] = 2
    max: Annotated[Int, Field(ge=1)] = 3


class Cluster(Section):
    """The EKS cluster. An empty allowlist leaves the API server's endpoint private."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][-a-z0-9]*[a-z0-9]$", max_length=40)] | None = None
    version: Annotated[str, BeforeValidator(_version)] = versions.EKS_DEFAULT_VERSION
    public_access_cidrs: Strings = ()
    admins: Annotated[tuple[Arn, ...], BeforeValidator(_tuple)] = ()
    viewers: Annotated[tuple[Arn, ...], BeforeValidator(_tuple)] = ()
    system_nodes: SystemNodes = SystemNodes()
    log_retention_days: Literal[30, 60, 90, 180, 365, 731, 1827, 3653] = 365
    deletion_protection: bool = False


class Network(Section):
    """The VPC. Without `zoneIds` the zones that offer the wanted GPU types are taken."""

    cidr: str = "10.42.0.0/16"
    zone_ids: Strings = ()
    nat: Literal["single", "per-zone"] = "single"
    interface_endpoints: bool = False


class CpuPool(Section):
    """A Karpenter node pool without GPUs. `limitCpus` is the most vCPUs that it may have at a time."""

    name: Name
    arch: Literal["amd64", "arm64"]
    cpus: Annotated[tuple[Annotated[Int, Field(ge=1, le=192)], ...], BeforeValidator(_tuple), Field(min_length=1)] = (
        2,
        4,
    )
    capacity_types: Annotated[
        tuple[Literal["spot", "on-demand"], ...], BeforeValidator(_tuple), Field(min_length=1)
    ] = ("spot", "on-demand")
    limit_cpus: Annotated[Int, Field(ge=1)] = 64


class NoSharing(Section):
    """Every GPU is one slot."""

    strategy: Literal["none"]

    def profile(self) -> sharing.SharingProfile:
        """The domain's value."""
        return sharing.NoSharing()


class TimeSlicing(Section):
    """Slots take turns on the GPU; nothing isolates their memory."""

    strategy: Literal["time-slicing"]
    replicas: Annotated[Int, Field(ge=sharing.MIN_REPLICAS, le=sharing.MAX_TIME_SLICING_REPLICAS)]
    rename: bool = False

    def profile(self) -> sharing.SharingProfile:
        """The domain's value."""
        return sharing.TimeSlicing(self.replicas, self.rename)


class Mps(Section):
    """Slots run side by side with an enforced share of memory and threads."""

    strategy: Literal["mps"]
    replicas: Annotated[Int, Field(ge=sharing.MIN_REPLICAS, le=sharing.MAX_MPS_REPLICAS)]
    rename: bool = False

    def profile(self) -> sharing.SharingProfile:
        """The domain's value."""
        return sharing.Mps(self.replicas, self.rename)


class Mig(Section):
    """Hardware partitions of one MIG profile."""

    strategy: Literal["mig"]
    profile_name: Annotated[str, Field(alias="profile")]

    def profile(self) -> sharing.SharingProfile:
        """The domain's value."""
        return sharing.Mig(self.profile_name)


Sharing = Annotated[NoSharing | TimeSlicing | Mps | Mig, Field(discriminator="strategy")]


class OnDemand(Section):
    """Why a pool may buy on-demand GPUs, and until when."""

    justification: str
    expires: Annotated[date, BeforeValidator(_date)]


class Volume(Section):
    """Root (AL2023) or data (Bottlerocket) volume of a GPU node: gp3, encrypted. Size in GiB, throughput in MiB/s."""

    size_gib: Annotated[Int, Field(ge=30, le=16384)] = 100
    iops: Annotated[Int, Field(ge=3000, le=16000)] = 3000
    throughput_mibps: Annotated[Int, Field(ge=125, le=1000)] = 250


class GpuPool(Section):
    """A Karpenter GPU node pool and the way in which its GPUs are shared. `maxGpus` counts physical GPUs."""

    name: Name
    instance_families: Strings = ()
    instance_types: Strings = ()
    gpus_per_node: Annotated[tuple[Annotated[Int, Field(ge=1)], ...], BeforeValidator(_tuple)] = ()
    sharing: Sharing
    capacity_type: Literal["spot", "on-demand"] = "spot"
    on_demand: OnDemand | None = None
    max_gpus: Annotated[Int, Field(ge=1, le=1000)]
    ami: Literal["al2023", "bottlerocket"] = "al2023"
    tenants: Literal["trusted", "untrusted"] = "trusted"
    volume: Volume = Volume()
    consolidate_after: Duration = "5m"


class GpuSharing(Section):
    """What installs NVIDIA's device plugin on AL2023 nodes."""

    installer: Literal["device-plugin", "gpu-operator"] = "device-plugin"


class Model(Section):
    """An Ollama model that is served from one slot of a pool. Context in tokens; own weights in MiB, KV cache in KiB
    per token, for models that the built-in table does not know."""

    name: Name
    model: str | None = None
    pool: str
    slots: Int = 1
    context_length: Annotated[Int, Field(ge=512)] = 4096
    parallel: Annotated[Int, Field(ge=1, le=64)] = 1
    kv_cache_type: Literal["f16", "q8_0", "q4_0"] = "f16"
    weights_mib: Annotated[Int, Field(ge=1)] | None = None
    kv_kib_per_token: Annotated[Int, Field(ge=1)] | None = None
    max_context: Annotated[Int, Field(ge=512)] | None = None


class Container(Section):
    """A container of a workload. `slots` is 1 for the one container that uses the GPU."""

    name: Name
    image: Image
    command: Strings = ()
    args: Strings = ()
    slots: Int = 0
    cpu: str = "500m"
    memory: str = "1Gi"


class Workload(Section):
    """A workload that is no Ollama model: a Job that runs once, or a Deployment. `gpuMemoryMib` must fit a slot."""

    name: Name
    pool: str
    kind: Literal["Job", "Deployment"] = "Deployment"
    replicas: Annotated[Int, Field(ge=0)] = 1
    gpu_memory_mib: Annotated[Int, Field(ge=1)] | None = None
    containers: Annotated[tuple[Container, ...], BeforeValidator(_tuple), Field(min_length=1)]


class Dialogue(Section):
    """Models that talk to each other: all speakers and guests must be able to hold a slot at the same time."""

    speakers: Annotated[Strings, Field(min_length=2, max_length=4)]
    guests: Strings = ()


class Budget(Section):
    """What the stack may cost in a month, in USD, and who hears of it."""

    monthly_usd: Annotated[float, Field(gt=0, strict=False)]
    emails: Annotated[Strings, Field(min_length=1)]


class StackConfig(Section):
    """A whole stack: what `build` composes and `slices plan` explains."""

    stack: str
    region: str
    cluster: Cluster = Cluster()
    network: Network = Network()
    cpu_pools: tuple[CpuPool, ...] = (CpuPool(name="x86", arch="amd64"), CpuPool(name="arm64", arch="arm64"))
    pools: tuple[GpuPool, ...] = ()
    gpu_sharing: GpuSharing = GpuSharing()
    models: tuple[Model, ...] = ()
    workloads: tuple[Workload, ...] = ()
    dialogue: Dialogue | None = None
    budget: Budget | None = None
    examples: bool = True
    tags: dict[str, str] = {}

    @property
    def cluster_name(self) -> str:
        """Physical name of the EKS cluster; other systems select by it."""
        return self.cluster.name or f"gpu-slices-{self.stack}"
