"""Words of messages: reasons for limits, how values are written, what people call our keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import versions
from gpu import sharing

_NO_FEWER = "NVIDIA's device plugin refuses fewer; for whole GPUs write strategy: none"
#: Why a value is out of range, where a number alone would not tell: (section, key, kind of error).
REASONS: Final[Mapping[tuple[str, str, str], str]] = {
    ("TimeSlicing", "replicas", "greater_than_equal"): _NO_FEWER,
    ("TimeSlicing", "replicas", "less_than_equal"): "a smaller slot holds no CUDA context",
    ("Mps", "replicas", "greater_than_equal"): _NO_FEWER,
    ("Mps", "replicas", "less_than_equal"): "one MPS server takes no more clients",
    ("Dialogue", "speakers", "too_short"): "one model cannot talk to itself",
    ("Volume", "sizeGib", "greater_than_equal"): "the image and one model's weights need that much",
    ("Cluster", "publicAccessCidrs", "too_long"): "EKS takes no more",
    ("Budget", "emails", "too_long"): "AWS Budgets takes no more",
    ("Door", "allowedCidrs", "too_long"): "a security group takes no more",
    ("OnDemand", "justification", "string_too_long"): "the ticket holds the rest",
    ("SystemNodes", "min", "greater_than_equal"): "without a node nothing could add one",
    ("SystemNodes", "desired", "greater_than_equal"): "without a node nothing could add one",
    ("SystemNodes", "max", "greater_than_equal"): "without a node nothing could add one",
}

#: What a value must be, by pydantic's kind of error.
TYPES: Final[Mapping[str, str]] = {
    "int_type": "must be a whole number",
    "string_type": "must be a text",
    "string_unicode": "must be a text",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "tuple_type": "must be a list",
    "model_type": "must be a section with keys of its own",
    "model_attributes_type": "must be a section with keys of its own",
    "dict_type": "must be a section with keys of its own",
}

#: What the figure of a key counts.
UNITS: Final[Mapping[str, str]] = {
    "contextLength": "tokens",
    "maxContext": "tokens",
    "weightsMib": "MiB",
    "gpuMemoryMib": "MiB",
    "kvKibPerToken": "KiB",
    "sizeGib": "GiB",
    "initializationRateMibps": "MiB/s",
    "idleSeconds": "seconds",
    "hoursPerDay": "hours",
    "hoursPerRun": "hours",
    "tokensPerRequest": "tokens",
    "tokensPerSecond": "tokens",
    "apiUsdPerMillionTokens": "USD",
    "logGbPerMonth": "GB",
    "initialDelaySeconds": "seconds",
    "intervalMinutes": "minutes",
    "graceSeconds": "seconds",
    "sizeGb": "GB",
    "periodSeconds": "seconds",
    "timeoutSeconds": "seconds",
}

#: How values with a form of their own are written. Keys mean the same in every section.
FORMS: Final[Mapping[str, str]] = {
    "name": (
        "must be a DNS label: lower-case letters, digits and hyphens, beginning with a letter, at most 40 characters"
    ),
    "admins": "must be the ARN of an IAM role or user: arn:aws:iam::ACCOUNT:role/NAME, with the account's 12 digits",
    "viewers": "must be the ARN of an IAM role or user: arn:aws:iam::ACCOUNT:role/NAME, with the account's 12 digits",
    "image": "must be an image with a tag or digest, in lower case before it, such as ghcr.io/acme/app:1.2.3",
    "consolidateAfter": "must be a duration such as 5m or 1h30m",
    "emails": "must be an e-mail address: name@domain, without a display name",
    "model": "must be a model of Ollama's, such as mistral:7b",
    "cpu": 'must be CPUs, such as 500m or "2", in quotes where it is a number',
    "memory": "must be an amount of memory, such as 512Mi or 2Gi",
    "gpuMemory": "must be GPU memory, such as 3 GiB or 512 MiB",
    "gpuShare": "must be a part of a GPU in percent, such as 20 %",
    "expires": "must be a date, as YYYY-MM-DD",
    "existing": "must be the name of an EKS cluster: letters, digits, hyphens and underscores, at most 100",
    "nodeRole": "must be the name of an IAM role, without path and ARN",
    "role": "must be the name of an IAM role, without path and ARN",
    "instanceProfile": "must be the name of an instance profile, without path and ARN",
    "vpcId": "must be the id of a VPC: vpc- and 17 digits and letters a to f, or 8",
    "subnetIds": "must be the id of a subnet: subnet- and 17 digits and letters a to f, or 8",
    "securityGroupIds": "must be the id of a security group: sg- and 17 digits and letters a to f, or 8",
    "amiIds": "must be the id of an image: ami- and 17 digits and letters a to f, or 8",
    "amiAlias": "must be an alias with a release, such as al2023@v20260930",
    "expireAfter": "must be a duration such as 336h, or Never",
    "terminationGracePeriod": "must be a duration such as 15m",
    "id": "must be the id of a capacity reservation, such as cr-0123456789abcdef0",
    "ownerID": "must be the number of an AWS account, 12 digits in quotes",
    "deviceName": "must be the name of a device, such as /dev/xvdc",
    "effect": "must be NoSchedule, PreferNoSchedule or NoExecute",
    "controllerRole": "must be the name of an IAM role, without path and ARN",
    "chartVersion": f'must be a version in quotes, such as "{versions.KARPENTER_VERSION}"',
    "version": f'must be a version in quotes, such as "{versions.EKS_DEFAULT_VERSION}"',
    "registryMirror": (
        "must be a registry and perhaps a path in it, without https:// and / at the end, such as "
        "mirror.acme.dev/cache or ACCOUNT.dkr.ecr.REGION.amazonaws.com"
    ),
    "cidr": "must be an IPv4 range such as 10.42.0.0/16",
    "idle": "must be a duration such as 5m or 1h30m",
    "server": (
        "must be a DNS label: lower-case letters, digits and hyphens, beginning with a letter, at most 40 characters"
    ),
    "digest": "must be the sha256 of the model's manifest: 64 digits and letters a to f",
    "domain": "must be a domain in lower case, two labels or more: labels have letters, digits and hyphens",
    "hostedZoneId": "must be the id of a hosted zone: Z, then 5 to 31 capital letters and digits",
    "certificateArn": (
        "must be the ARN of an ACM certificate: arn:aws:acm:REGION:ACCOUNT:certificate/ID, with the account's 12 digits"
    ),
    "profile": "must be one MIG profile, such as 1g.10gb: another profile is another pool",
    "tlsSecret": "must be the name of a Secret: lower-case letters, digits and hyphens, beginning with a letter",
    "storageClass": (
        "must be the name of a StorageClass: lower-case letters, digits and hyphens, beginning with a letter"
    ),
    "keysSecret": "must be the name of a Secret: lower-case letters, digits and hyphens, beginning with a letter",
    "snapshotId": "must be the id of an EBS snapshot: snap- and 17 digits and letters a to f, or 8",
    "start": 'must be a time of day in quotes, such as "08:00"',
    "end": 'must be a time of day in quotes, such as "18:00"',
    "timeZone": "must be a time zone such as Europe/Berlin",
    "schedule": 'must be a schedule in quotes, such as "30 3 * * 1-5"',
    "sizeLimit": "must be an amount of memory, such as 512Mi or 2Gi",
    "bucketName": "must be the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens",
    "accessPointId": "must be the id of an access point of EFS: fsap- and 17 digits and letters a to f, or 8",
    "bucket": "must be the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens",
    "prefix": (
        "must be the beginning of keys, such as team/train: letters, digits, dots, underscores and hyphens between "
        "slashes, none at the ends, at most 200 characters"
    ),
    "fileSystemId": "must be the id of an EFS file system: fs- and 17 digits and letters a to f, or 8",
}

#: How sections are written which people write in a shorter form, as other tools take it.
SAMPLES: Final[Mapping[str, str]] = {
    "autoscaling": "{maxReplicas: 4, metric: requests_in_flight, averageValue: 2}",
    "checkpoint": "{}",
    "emptyDir": "{}",
    "env": "{name: LOG_LEVEL, value: debug}",
    "envFrom": "{prefix: APP_, secretRef: {name: app}}",
    "onDemand": "{justification: ..., expires: ...}",
    "ports": "{name: http, containerPort: 8000}",
    "imagePullSecrets": "{name: registry}",
    "volumes": "{name: models, s3: {bucketName: acme-models}}",
    "volumeMounts": "{name: models, mountPath: /models}",
    **dict.fromkeys(("startupProbe", "readinessProbe", "livenessProbe"), "{httpGet: {path: /health, port: 8000}}"),
}

#: What to write for a key that is missing.
PURPOSES: Final[Mapping[str, str]] = {
    "name": "every entry needs a name of its own",
    "arch": "write amd64 or arm64",
    "sharing": "write how the pool's GPUs are shared, such as sharing: {strategy: time-slicing, replicas: 4}",
    "replicas": (
        f"write the number of slots per GPU, {sharing.MIN_REPLICAS} or more; below static the number of nodes"
    ),
    "profile": "write a MIG profile, such as 1g.10gb",
    "maxGpus": "write the most physical GPUs that the pool may buy",
    "pool": (
        "write the name of one of the entries of pools, or what a pod needs of a GPU, such as gpuMemory: 3 GiB or "
        "gpuShare: 20 %"
    ),
    "justification": "write why Spot does not do, and the ticket",
    "expires": "write the last day on which it holds, as YYYY-MM-DD",
    "containers": "write at least one container",
    "image": "write an image with a tag or digest",
    "chartVersion": "write the version of Karpenter's chart in quotes: helm list -A says it",
    "nodeRole": "write the name of the IAM role of Karpenter's nodes",
    "configMap": "write the name of the ConfigMap that the plugin reads: config.name among the values of its chart",
    "namespace": "write the namespace of the ConfigMap",
    "deviceName": "write the name of the device, such as /dev/xvdc",
    "effect": "write NoSchedule, PreferNoSchedule or NoExecute",
    "speakers": "write the names of the models that talk",
    "monthlyUsd": "write the most that the stack may cost in a month, in USD",
    "emails": "write who is told",
    "domain": "write the domain of the services behind the door",
    "key": "write which key of it",
    "containerPort": "write the number of the port",
    "port": "write the number of the port",
    "mountPath": "write where the container sees it",
    "claimName": "write the name of the claim",
    "bucketName": "write the name of the bucket",
    "fileSystemId": "write the id of the file system",
    "command": "write the command and its arguments",
}

#: What other tools call our keys, so that a message can name ours. Keys of any section.
SYNONYMS: Final[Mapping[str, str]] = {
    "gpuPools": "pools",
    "nodePools": "pools",
    "llms": "models",
    "context": "contextLength",
    "contextSize": "contextLength",
    "numCtx": "contextLength",
    "num_ctx": "contextLength",
    "numParallel": "parallel",
    "containerConcurrency": "parallel",
    "renameByDefault": "rename",
    "slices": "replicas",
    "architecture": "arch",
    "zones": "zoneIds",
    "availabilityZones": "zoneIds",
    "kubernetesVersion": "version",
    "reason": "justification",
    "until": "expires",
    "limit": "monthlyUsd",
    "gpu": "slots",
    "gpus": "slots",
    "minReplicas": "minScale",
    "maxReplicas": "maxScale",
    "scaleToZeroAfter": "idle",
}

#: Values that other tools use for ours.
VALUE_SYNONYMS: Final[Mapping[str, str]] = {
    "x86": "amd64",
    "x86_64": "amd64",
    "x64": "amd64",
    "aarch64": "arm64",
    "graviton": "arm64",
    "per-az": "per-zone",
    "exclusive": "none",
    "whole": "none",
}

_OWN_VPC = (
    "is not a key here: for subnets that are there write network: {existing: {vpcId: ..., subnetIds: [...]}}, or with "
    "somebody's Karpenter its subnetTags"
)
_OWN_CLUSTER = (
    "is not a key here: for a cluster that is there write cluster: {existing: NAME}, and where it has a Karpenter "
    "karpenter: {existing: ...}"
)
_ONE_PURCHASE = (
    "is not a key here: write capacityType, and fallback: on-demand where the pool may buy that when Spot is out"
)
_RESERVATION = "is not a key here: write capacityType: reserved and capacityReservationSelectorTerms: [{id: cr-...}]"
_BLOCK = f"{_RESERVATION}, and capacityReservationType: capacity-block"
_NO_AUTO_MODE = "is not a key here: EKS Auto Mode knows no NodeOverlay, so it cannot count slots of shared GPUs"
_OWN_WAY = (
    "is not a key here: Karpenter buys nodes when pods wait, and takes idle ones away; warm keeps slots free, and "
    "static: {replicas: ...} nodes"
)
_EQUAL_SLOTS = (
    "is not a key here: slots of a pool are equal parts of its GPUs, by the replicas or profile of sharing; another "
    "size is another pool"
)
_IMPORTANCE = "is not a key here: write importance: critical, standard or batch; its pool says what is bought"
_OLLAMA = "is not a key here: models are served by Ollama; another engine runs as an entry of workloads"
_TOLERATED = "is not a key here: pods of this stack that go to the pool tolerate its taints"
_NODE_CLASS = "belongs under nodeClass"

_HOST = (
    "is not a key here: pods of workloads never share the host's namespaces; processes of one pod share memory by a "
    "volume with emptyDir: {medium: Memory} at /dev/shm"
)
_NO_PRIVILEGES = (
    "is not a key here: GPUs come from the device plugin, and no workload needs privileges or the host's paths"
)
_CLUSTER_IP = (
    "is not a key here: a Deployment whose containers have ports gets a Service of its name, inside the cluster; "
    "clientNamespaces says who reaches it"
)

#: What people wish for and there is not: section to key to what to say.
WISHES: Final[Mapping[str, Mapping[str, str]]] = {
    "Cluster": {
        **dict.fromkeys(("vpcId", "vpc", "subnetIds", "subnets"), _OWN_VPC),
        **dict.fromkeys(("existingCluster", "arn", "endpoint", "kubeconfig", "import"), _OWN_CLUSTER),
        **dict.fromkeys(("autoMode", "computeConfig"), _NO_AUTO_MODE),
    },
    "Network": dict.fromkeys(
        ("vpcId", "vpc", "existingVpc", "subnetIds", "subnets", "privateSubnets", "publicSubnets"), _OWN_VPC
    ),
    "GpuPool": {
        **dict.fromkeys(("capacityTypes", "onDemandFallback", "spotFallback"), _ONE_PURCHASE),
        **dict.fromkeys(
            ("capacityReservation", "capacityReservationId", "reserved"),
            _RESERVATION,
        ),
        **dict.fromkeys(("capacityBlock", "capacityBlocks"), _BLOCK),
        **dict.fromkeys(
            ("min", "minSize", "minGpus", "minNodes", "desired", "desiredSize", "desiredCapacity"), _OWN_WAY
        ),
        **dict.fromkeys(("memory", "memoryGib", "memoryMib", "gpuMemory", "gpuMemoryMib", "vram"), _EQUAL_SLOTS),
        "tolerations": _TOLERATED,
        **dict.fromkeys(("userData", "amiAlias", "amiIds", "role", "instanceProfile"), _NODE_CLASS),
        **dict.fromkeys(("vpcId", "subnetIds", "subnets"), _OWN_VPC),
    },
    "Model": {
        **dict.fromkeys(("engine", "runtime", "backend", "vllm", "llamaCpp"), _OLLAMA),
        **dict.fromkeys(("priority", "priorityClassName", "critical", "spot", "capacityType"), _IMPORTANCE),
        **dict.fromkeys(
            ("memory", "memoryMib", "memoryGib", "gpuMemory", "gpuMemoryMib", "vram"),
            "is not a key here: what a model needs is known, and without pool it goes to the cheapest that holds it; "
            "on an MPS pool mps: {memoryMib: ...} limits it further",
        ),
        "quantization": 'is not a key here: Ollama\'s tag says it, such as model: "mistral:7b-instruct-q8_0"',
    },
    "Workload": {
        **dict.fromkeys(("hostIPC", "hostPID", "hostNetwork"), _HOST),
        **dict.fromkeys(("priority", "critical", "spot", "capacityType"), _IMPORTANCE),
        **dict.fromkeys(("service", "serviceType", "ingress", "loadBalancer"), _CLUSTER_IP),
        "knative": "is not a key here: write kind: KnativeService, and minScale, maxScale, parallel, idle beside it",
        **dict.fromkeys(
            ("nodeSelector", "affinity", "tolerations"),
            "is not a key here: pods go to the nodes of their pool",
        ),
    },
    "Container": dict.fromkeys(("privileged", "devices", "hostPath"), _NO_PRIVILEGES),
    "ContainerSecurity": dict.fromkeys(
        ("privileged", "capabilities", "allowPrivilegeEscalation", "seccompProfile", "procMount"), _NO_PRIVILEGES
    ),
    "WorkloadVolume": dict.fromkeys(("hostPath", "nfs"), _NO_PRIVILEGES),
    "Mig": dict.fromkeys(
        ("profiles", "partitions", "layout", "geometry"),
        "is not a key here: a pool cuts all its GPUs by one profile; another profile is another pool",
    ),
}

#: Keys that are written elsewhere: (section, key) to where, and to the key of the same section that is meant.
ELSEWHERE: Final[Mapping[tuple[str, str], tuple[str, str | None]]] = {
    ("Container", "resources"): ("is not a key here: write cpu and memory, and slots: 1 for the GPU", "slots"),
    ("Container", "volumes"): ("belongs to the workload, beside containers; write volumeMounts here", "volumeMounts"),
    ("Container", "shmSize"): (
        "is not a key here: write a volume with emptyDir: {medium: Memory, sizeLimit: 2Gi}, mounted at /dev/shm",
        None,
    ),
    ("Workload", "minReplicas"): ("belongs under autoscaling", "autoscaling"),
    ("Workload", "maxReplicas"): ("belongs under autoscaling", "autoscaling"),
    ("Workload", "runAsUser"): ("belongs under securityContext", "securityContext"),
    ("Workload", "env"): ("belongs to a container", None),
    ("Workload", "ports"): ("belongs to a container", None),
    ("Cluster", "region"): ("is not a key here: write aws:region beside the gpu-slices: keys", None),
    ("GpuPool", "justification"): ("belongs under onDemand", "onDemand"),
    ("GpuPool", "expires"): ("belongs under onDemand", "onDemand"),
    ("GpuPool", "sizeGib"): ("belongs under volume", "volume"),
    ("GpuPool", "diskSize"): ("is not a key here: write volume: {sizeGib: 100}", "volume"),
    ("GpuPool", "spot"): (
        "is not a key here: write capacityType: spot, the default, or on-demand",
        "capacityType",
    ),
    ("GpuPool", "zoneIds"): ("belongs under network", None),
    ("GpuPool", "zones"): ("is not a key here: write zoneIds under network", None),
    ("GpuPool", "maxNodes"): ("is not a key here: write maxGpus, which counts GPUs", "maxGpus"),
    ("GpuPool", "maxSize"): ("is not a key here: write maxGpus, which counts GPUs", "maxGpus"),
    ("Model", "replicas"): (
        "is not a key here: Knative starts as many as requests need, each in one slot, between minScale and maxScale",
        None,
    ),
    ("GpuPool", "snapshotId"): ("belongs under volume", "volume"),
    ("Model", "digest"): ("belongs under weights", "weights"),
    ("Model", "image"): ("belongs under weights", "weights"),
    ("Serving", "domain"): ("belongs under door", "door"),
}
#: The same for keys at the top, wishes included.
TOP_ELSEWHERE: Final[Mapping[str, str]] = {
    **dict.fromkeys(("vpc", "vpcId", "subnets", "subnetIds"), _OWN_VPC),
    **dict.fromkeys(("existingCluster", "eks", "kubeconfig"), _OWN_CLUSTER),
    **dict.fromkeys(
        ("quota", "quotas", "teams", "tenants", "namespaces"),
        "is not a key of this project: quotas and costs by tenant are not kept; a pool's tenants says whether they "
        "trust each other, and maxGpus bounds it",
    ),
    "region": "is not a key of this project: write aws:region",
    "aws": "is not a section: write aws:region in one word",
    "gpu-slices": "is not a section: write each key in one word with it, such as gpu-slices:pools",
    "sharing": "belongs to a pool: write it in an entry of pools",
    "version": "belongs under cluster",
}
#: Keys of `sharing`, wherever they are found: to the strategies that they belong to.
SHARING_KEYS: Final[Mapping[str, str]] = {
    "strategy": "",
    "replicas": "time-slicing or mps",
    "rename": "time-slicing or mps",
    "profile": "mig",
}
#: Strategies as people write them for keys, to ours.
STRATEGY_KEYS: Final[Mapping[str, sharing.Strategy]] = {
    "time-slicing": "time-slicing",
    "timeSlicing": "time-slicing",
    "time_slicing": "time-slicing",
    "mps": "mps",
    "mig": "mig",
    "memory": "memory",
    "none": "none",
}
EXAMPLES: Final[Mapping[sharing.Strategy, str]] = {
    "time-slicing": "{strategy: time-slicing, replicas: 4}",
    "mps": "{strategy: mps, replicas: 4}",
    "mig": "{strategy: mig, profile: 1g.10gb}",
    "memory": "{strategy: memory}",
    "none": "{strategy: none}",
}
