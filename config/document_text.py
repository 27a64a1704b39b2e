"""What docs/configuration.md says beside what `config.document` reads from the schema."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from config.checks.sharing import MIG_FAMILIES, MIN_SLOT_MIB
from config.checks.tags import MAX_TAG_NAME, MAX_TAGS, TAKEN
from config.errors import listed
from config.fields import MAX_TAG_VALUE
from config.placeholders import (
    DOCUMENTATION_RANGES,
    EXAMPLE_ACCOUNTS,
    EXAMPLE_DOMAINS,
    EXAMPLE_IDS,
    RESERVED_DOMAINS,
    STAND_IN_DOMAINS,
)
from config.pools import EKS_EXCLUDED_ZONES
from gpu.contract import MAX_JUSTIFIED_DAYS, MIN_JUSTIFICATION
from gpu.gpus import GPUS
from gpu.vllm import UTILIZATION

_CUT_BY_BOTTLEROCKET: Final = tuple(
    dict.fromkeys(row.product.removeprefix("NVIDIA ") for row in GPUS.values() if row.bottlerocket_key)
)

HEAD: Final = """# Configuration

An environment is one file, `Pulumi.<stack>.yaml`. This page is written from the schema that reads it:
`python -m config.document`. A small stack, complete but for its address range, which is one of documentation:

```yaml
config:
  aws:region: us-east-1
  gpu-slices:cluster:
    publicAccessCidrs: [203.0.113.0/24]   # who reaches the API server from outside
  gpu-slices:pools:
    - name: shared
      instanceFamilies: [g6, g5]          # Karpenter buys the cheapest Spot capacity among them
      gpusPerNode: [1]
      maxGpus: 2
      sharing: { strategy: time-slicing, replicas: 3 }
  gpu-slices:models:
    - { name: mistral, model: "mistral:7b", pool: shared }
```

`aws:region` is the AWS provider's own key and is required. Those that choose or guard an account (`aws:profile`,
`aws:allowedAccountIds`, roles) are refused, since the program's own provider would not read them: credentials come from
the environment, such as `AWS_PROFILE`. Everything else begins with `gpu-slices:`; only `pools` is required. Other stack
files to begin from: `Pulumi.staging.yaml` (MPS),
`Pulumi.prod.yaml` (MIG, and on-demand GPUs with their justification), `Pulumi.local.yaml` (all strategies side by
side), `Pulumi.memory.yaml` (memory claims, alpha).

YAML reads `1.36` as a number and `yes` as a word: versions stand in quotes, switches are `true` or `false`. Dates may
stand with quotes or without.
"""

ERRORS: Final = """## When something is wrong

Everything that is wrong is said at once, in the order of the file, before anything is planned or changed: the key, the
value, the line of the stack file, what is allowed, why, and the spelling that was probably meant. `slices plan`
exits with status 2.

```yaml
{file}
```

```text
{said}
```
"""

#: How some values are written, in fewer words than a message needs.
FORMS: Final[Mapping[str, str]] = {
    "name": "DNS label, at most 40 characters",
    "admins": "ARNs of IAM roles or users",
    "viewers": "ARNs of IAM roles or users",
    "image": "text",
    "profile": "text",
    "cpu": "text",
    "memory": "text",
    "emails": "e-mail addresses",
    "version": "text",
    "registryMirror": "registry, with or without a path",
    "cidr": "IPv4 range",
    "expires": "date",
    "consolidateAfter": "duration",
    "model": "text",
    "idle": "duration",
    "server": "DNS label, at most 40 characters",
    "digest": "64 hexadecimal digits",
    "domain": "domain",
    "hostedZoneId": "id of a hosted zone",
    "certificateArn": "ARN of an ACM certificate",
    "tlsSecret": "name of a Secret",
    "keysSecret": "name of a Secret",
    "snapshotId": "id of a snapshot",
    "start": "time of day",
    "end": "time of day",
    "timeZone": "time zone",
    "schedule": "schedule",
    "sizeLimit": "text",
    "bucketName": "name of a bucket",
    "accessPointId": "id of an access point",
    "fileSystemId": "id of a file system",
}

#: Every key: type, default, meaning.
KEYS: Final[Mapping[str, tuple[str, str, str]]] = {
    "cluster": ("section", "`{}`", "The EKS cluster: version, who reaches it, system nodes, logs."),
    "network": ("section", "`{}`", "The VPC: addresses, zones, NAT gateways, endpoints."),
    "karpenter": ("section", "`{}`", "The Karpenter of a cluster that is there."),
    "cpuPools": ("list of sections", "`x86` and `arm64`, 2 and 4 vCPUs", "Karpenter node pools without GPUs."),
    "pools": ("list of sections", "required", "GPU node pools, and how their GPUs are shared."),
    "gpuSharing": ("section", "`{}`", "What runs NVIDIA's device plugin."),
    "models": ("list of sections", "`[]`", "Ollama models, one slot each."),
    "serving": ("section", "`{}`", "Knative, which serves the models, and the door to the dialogue."),
    "workloads": ("list of sections", "`[]`", "Other GPU workloads: jobs and servers of any image."),
    "dialogue": ("section", "none", "Models that talk to each other, and so must run together."),
    "budget": ("section", "none", "What the stack may cost in a month."),
    "monitoring": ("section", "off", "How a running stack is watched."),
    "usage": ("section", "8 hours a day", "How much is used, for the bill alone."),
    "examples": ("true or false", "`true`", "Whether the example workloads are installed."),
    "tags": ("names with text values", "`{}`", "Tags for cost allocation, on every AWS resource."),
}

SCALARS: Final[Mapping[str, str]] = {
    "examples": (
        "`true` installs one workload that scales out on amd64, one on arm64, and a CUDA job that takes one slot.\n"
        "They do not run, and cost nothing, until somebody scales or starts them.\n"
    ),
    "tags": "Names with text values, such as `cost-center: research`.\n",
}

#: What is said once for all keys.
EXAMPLES: Final = f"""## Examples are refused

Samples hold values that are nobody's: ranges of documentation ({listed(DOCUMENTATION_RANGES, "and")}), domains kept for
examples ({listed(EXAMPLE_DOMAINS, "and")}, and all under {listed((f"`.{d}`" for d in RESERVED_DOMAINS), "and")}),
domains that stand for the reader's own ({STAND_IN_DOMAINS[0]}, {STAND_IN_DOMAINS[-1]}), accounts and ids of AWS'
documentation, such as {EXAMPLE_ACCOUNTS[2]} and `snap-{EXAMPLE_IDS[0]}`, in ARNs as in images of ECR, and registries
that are each node itself, such as `localhost:5000`. With them a stack can be planned: `slices plan` and
`pulumi preview` warn, and the twin does not mind. `pulumi up` shows its preview with the warning, and then refuses,
before anything is registered.
"""

RULES: Final[Mapping[str, tuple[str, ...]]] = {
    "cluster": (
        "The version must be in EKS standard support on the day of the plan: extended support costs six times as much.",
        "`publicAccessCidrs` must not hold 0.0.0.0/0 or anything wider than /8, private or otherwise reserved ranges, "
        "IPv6, or a range twice.",
        "An empty `publicAccessCidrs` is for those who run Pulumi inside the VPC or in a network joined to it. The VPC "
        "of a first `pulumi up` is joined to nothing yet: from elsewhere that run builds and pays for the cluster and "
        "its nodes, and fails at the first object in the cluster. Begin with your own address, and take it out later.",
        "`admins` and `viewers` are of partition `aws`, as all regions are that this project knows.",
        "Nobody can be among `admins` and `viewers` at the same time: EKS has one access entry for each principal.",
        "`systemNodes` must have min <= desired <= max, and Graviton types of size `large` or larger.",
        "A stack whose name makes no good cluster name (capitals, underscores, above 29 characters) needs `name`.",
    ),
    "network": (
        "`cidr` must lie in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16.",
        "`zoneIds` are ids, not names: `us-east-1a` means another zone in each account. Each pool's types must be "
        "offered in one of them. Zones in which EKS has no control plane are refused: " + ", ".join(EKS_EXCLUDED_ZONES),
    ),
    "cpuPools": (
        "`cpus` must be sizes that instances have, and `limitCpus` must hold the smallest.",
        "On a cluster that is there their nodes have the taint `intent=apps:NoSchedule`, which keeps other pods away.",
    ),
    "pools": (
        "Families and types must have NVIDIA GPUs and be offered in the region. Not supported: `g7` (the EKS AMIs' "
        "driver is too old), `g6f` and `gr6f` (parts of a GPU).",
        "A family means its nodes with one GPU: Karpenter would else buy a node of four for a single slot. Write "
        "`gpusPerNode: [1, 4]` for both; families without small nodes (p4d, p6-b200) need it.",
        "One strategy a pool. MPS and MIG exclude each other, in NVIDIA's device plugin too.",
        f"Every slot must have {MIN_SLOT_MIB} MiB or more on the smallest GPU that the pool may buy: small GPUs take "
        "fewer `replicas`.",
        f"MIG needs GPUs that have it ({', '.join(MIG_FAMILIES)}) and a profile that all of the pool's GPUs have. All "
        "types must give the same slots per GPU, on Bottlerocket those with the same number of GPUs. Bottlerocket cuts "
        f"{listed(_CUT_BY_BOTTLEROCKET, 'and')} only, and has no 4g profiles.",
        "`tenants: untrusted` needs `mig` or `none`: nothing else isolates memory and faults.",
        f"`capacityType: on-demand` needs `onDemand`, with a justification of {MIN_JUSTIFICATION} to "
        f"{MAX_TAG_VALUE} characters and a date that is not past and at most {MAX_JUSTIFIED_DAYS} days ahead.",
        "`maxGpus` counts whole nodes: with nodes of 8 GPUs it is 8, 16, 24, ...",
        "With `static` all types of a pool have as many GPUs, and `maxGpus` has room for one node more, unless they "
        "are reserved; not beside `warm`, `consolidationPolicy: Balanced` and `consolidateAfter`, nor with strategy "
        "`memory`. A node of each type must hold each pod of its workloads.",
        "`consolidationPolicy: Balanced` is not for reserved capacity, which is paid anyway.",
        "The name `default` is taken by GPU nodes of no pool.",
        "`volume.sizeGib` must hold the weights of all the pool's models that use the node's cache, beside 25 GiB.",
        "`fastImagePull` needs `volume: {throughputMibps: 600}` or `instanceStore`: with less it is slower than "
        "without. `volume.snapshotId` needs Bottlerocket, whose data volume it becomes.",
        "`terminationGracePeriod` of a pool with Jobs must be a minute longer than their pods have to end "
        "(`graceSeconds`, or 30 seconds): Karpenter would delete them instead, which their Job counts as a failure.",
        "`warm` has days, start and end, or none of them; then slots are always kept. What that costs is what "
        "always runs in the bill.",
    ),
    "models": (
        "Without a `pool` a model goes to the one with the cheapest slot or claim that holds it; nothing goes by "
        "itself to a pool with `tenants: untrusted`.",
        "Weights, KV cache (context x parallel requests) and overhead must fit a slot of the pool, on the smallest GPU "
        "that the pool may buy. The message says what would fit.",
        "A model that the built-in table does not know ([models.md](models.md)) needs `weightsMib` and "
        "`kvKibPerToken`.",
        "A model that sleeps must wake before its requests are given up, after 15 minutes: the message has the levers.",
        "Models for embeddings cannot be in the dialogue.",
        "`contextLength` must not exceed what the model was trained for.",
        "`maxScale` must not exceed the pool's slots, and models that never sleep (`minScale`) must find theirs beside "
        "Deployments.",
        "`weights` from an `image` (mounted as a volume; Kubernetes 1.35 or later) or `baked` into one need that "
        "image, with its digest. So do models of a pool whose tenants do not trust each other, unless it has only one.",
        "Models with one `server` are one process: they agree on pool, contextLength, parallel, kvCacheType, minScale, "
        "maxScale, idle and weights, fit one slot together, and are not on an MPS pool, which would limit each of them "
        "alone.",
        "`mps` is for models on MPS pools. A client can have less than its slot, not more: memory at least what the "
        "model needs and at most NVML's memory / replicas, threads at most 100 / replicas.",
        "A slot's share of its node must be 150m CPU and 1024 MiB at least: Ollama runs there, not only on the GPU.",
    ),
    "serving": (
        "Knative's control plane runs on the system nodes: they must have room for it beside Karpenter. Two "
        "`m7g.large` do.",
        "`door` is for the dialogue. With `certificateArn` or `tlsSecret` it speaks TLS, at port 443. Without either "
        "it would carry keys in the clear, inside the VPC: only with `plainHttp`, whose value is the reason.",
    ),
    "workloads": (
        "Without a `pool`, `gpuMemory` or `gpuShare` says what one pod needs: the pool with the cheapest slot or claim "
        "that has it is taken, and the only container gets its slots ([sharing.md](sharing.md#what-a-pod-needs)).",
        "Exactly one container has `slots: 1`. Two GPU containers in a pod would take two slots, for which Karpenter "
        "may buy a second GPU; two slots for one container are not twice the GPU.",
        "Several slots for one container are whole GPUs: the pool shares none (`strategy: none`), and all its nodes "
        "have so many. A shared slot is one, whatever is asked: NVIDIA's plugin refuses more "
        "(`failRequestsGreaterThanOne`).",
        "All Deployments of a pool together must hold no more than the pool's slots. A pod of 3 GPUs on nodes of 4 "
        "holds the node.",
        "Pods run as user 10001, write to their volumes alone, hold no token of the API, and nobody reaches them. "
        "`clientNamespaces` lets in; what weakens the rest needs `securityReason`, which the plan repeats as a "
        "warning.",
        "Root (`runAsUser: 0`) runs in namespace `workloads-baseline`; everything else in `workloads`. Secrets, "
        "ConfigMaps, claims and service accounts are looked for there.",
        f"A container that runs vLLM must keep within its slot: `{UTILIZATION}` is a share of the whole GPU, and the "
        "message has the right figure ([serving.md](serving.md#vllm-in-a-slot)).",
        "Each volume has one source and is mounted. A folder in memory needs `sizeLimit`, less than the containers' "
        "memory. On MPS pools `/dev/shm` is the device plugin's.",
        "A variable has `value` or `valueFrom`, a probe one of `httpGet`, `tcpSocket` and `exec`.",
        "`labels` and `annotations` must not begin with names of this project, Pulumi or Kubernetes.",
    ),
    "dialogue": (
        "Speakers and guests are names of `models`, each once. Each pool must have a slot for every one of them that "
        "it serves, beside those that Deployments and models that never sleep hold.",
        "`settings` are the application's, by its own names and checked by its own models: `title`, "
        "`limits: {turn_tokens: 400}`, `speakers: {mistral: {name: Ada, persona: A dry logician.}}`. "
        "[dialogue.md](dialogue.md#settings) lists them.",
        "With an image, conversations are kept on an encrypted volume of EBS, and outlive the pod in the volume's "
        "zone; [the dialogue](dialogue.md) says what that means. `storageClass` names another class that writes from "
        "one node (`ReadWriteOnce`), whose driver is yours to install.",
        "`image: build` needs Docker where `pulumi up` runs. With an image the stack needs a CPU pool, where it runs.",
    ),
    "tags": (
        f"At most {MAX_TAGS} tags; names of 1 to {MAX_TAG_NAME}, values of up to {MAX_TAG_VALUE} characters: letters, "
        "digits, spaces and `_ . : / = + - @`.",
        f"Names that begin with {listed(f'`{name}`' for name in TAKEN)} are taken.",
    ),
}

#: A stack with a few mistakes, and the day on which the page shows what is said about it.
SAMPLE_DAY: Final = date(2026, 11, 21)
SAMPLE: Final = """config:
  aws:region: us-east-1
  gpu-slices:cluster:
    publicAccessCidrs: [0.0.0.0/0]
  gpu-slices:pools:
    - name: shared
      instanceFamilies: [g6, g5]
      gpusPerNode: [1]
      maxGpus: 2
      sharing:
        strategy: time-slicing
        replica: 4
    - name: isolated
      instanceFamilies: [g6]
      maxGpus: 2
      sharing: { strategy: mig, profile: 1g.10gb }
      capacityType: on-demand
  gpu-slices:models:
    - { name: mistral, pool: shard }
"""
