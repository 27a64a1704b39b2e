"""Names by which the parts of a platform find one another: labels, annotations, tags, taints, resources.

They are a contract: whoever writes one and whoever reads it may be of two releases, and AWS bills by some. Every room
imports them from here. Ours begin with `gpu-slices/`; of others' names, those that more than one module needs.
Each name says who writes it and, after the arrow, who reads it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

#: What all keys of ours begin with; no one else may set such tags.
OURS: Final = "gpu-slices/"

# On nodes (labels)
#: Name of the pool: NodePools, and EC2NodeClasses as a tag -> selectors of slots' pods, checks of pods, bills.
POOL_LABEL: Final = f"{OURS}pool"
#: Strategy of the pool's sharing profile: GPU NodePools -> policies, the watch page.
SHARING_LABEL: Final = f"{OURS}sharing"
#: `trusted` or `untrusted`: GPU NodePools; others' namespaces and pods, also as annotation -> policies.
TENANTS_LABEL: Final = f"{OURS}tenants"

# On NodePools (annotations), and on AWS resources of others (tags)
#: Why GPUs are bought on demand, with a ticket: GPU NodePools -> policies.
JUSTIFICATION_ANNOTATION: Final = f"{OURS}on-demand-justification"
#: Day after which that reason no longer counts, as YYYY-MM-DD: GPU NodePools -> policies.
EXPIRES_ANNOTATION: Final = f"{OURS}on-demand-expires"
#: Fewest characters of the reason, and different letters and figures in it, for one again and again is no reason; most
#: days until it expires: the stack file's checks, policies.
MIN_JUSTIFICATION: Final = 20
MIN_DIFFERENT_LETTERS: Final = 8
MAX_JUSTIFIED_DAYS: Final = 180
#: What the brake inside the cluster does, and why; on NodePools only: the soft brake's job -> people, the watch page.
BRAKE_ANNOTATION: Final = f"{OURS}brake"

# On namespaces, services and pods
#: Name of the served model (label): pods of a model -> the twin's view.
MODEL_LABEL: Final = f"{OURS}model"
#: Ollama's names of the models that a server loads, separated by commas (annotation): served models -> policies.
MODEL_ANNOTATION: Final = f"{OURS}model"
#: GPU memory that those models need, in MiB, where the catalog does not know them: served models -> policies.
MEMORY_ANNOTATION: Final = f"{OURS}model-memory-mib"
#: Where a model's weights come from: pods of a model -> the network policy that lets `node-cache` fetch nothing.
WEIGHTS_LABEL: Final = f"{OURS}weights"
#: Pool that a placeholder keeps warm: warm slots -> their own Deployment.
WARM_LABEL: Final = f"{OURS}warm"
#: `true` on namespaces whose pods may call models: the dialogue's namespace -> the network policy of the door.
MODELS_CLIENT_LABEL: Final = f"{OURS}models-client"
#: Digest of settings that a program reads once (annotation): the dialogue, the packing scheduler -> new pods.
SETTINGS_ANNOTATION: Final = f"{OURS}settings"
#: `true` on namespaces whose pods may ask the dialogue and Knative for figures: whoever runs Prometheus, also
#: the stack's own -> their network policies.
METRICS_CLIENT_LABEL: Final = f"{OURS}metrics-client"

#: Why pods may be root, write to their root file system or hold a token (annotation): workloads -> policies.
SECURITY_ANNOTATION: Final = f"{OURS}security-reason"
#: Fewest characters of that reason: the stack file's checks, policies.
MIN_SECURITY_REASON: Final = 15
#: `critical` or `batch` (label): pods of models and workloads, priority classes -> policies, whoever looks for them.
IMPORTANCE_LABEL: Final = f"{OURS}importance"

#: MiB of a GPU that the pod claims (label): models of memory pools -> the policy that gives pods claims, policies, the
#: twin.
CLAIM_LABEL: Final = f"{OURS}gpu-memory-mib"
# In the cluster

#: Namespace of what makes GPUs usable, the device plugin and the cache of weights: every stack makes it.
GPU_SYSTEM_NAMESPACE: Final = "gpu-system"

# On AWS resources (tags)
#: Pulumi stack: all AWS resources, down to the disks of nodes -> the budget, preflight, teardown, policies.
STACK_TAG: Final = f"{OURS}stack"
#: Cluster: the same, and EC2NodeClasses -> teardown. Another project's stack may have the same name, no cluster has.
CLUSTER_TAG: Final = f"{OURS}cluster"
#: Region: the same -> teardown. What has none of its own, as in IAM, could be of a stack of that name elsewhere.
REGION_TAG: Final = f"{OURS}region"

# In the twin only
#: How long a bound pod takes to get ready, such as `20s`, or at once: the twin's agent, scenarios -> its stages.
START_ANNOTATION: Final = f"{OURS}twin-start"
#: How long the pod of a Job runs, such as `20s`; a second without it: scenarios -> the twin's stages.
RUN_ANNOTATION: Final = f"{OURS}twin-run"
#: How long a pod takes to end when it is told to, such as `20s`: scenarios -> the twin's stages.
STOP_ANNOTATION: Final = f"{OURS}twin-stop"
#: Pod of the device plugin with which a node offers its slots (annotation): the twin's device plugin -> itself.
PLUGIN_ANNOTATION: Final = f"{OURS}twin-plugin"
#: When the last request ended, or will end, in seconds since 1970: `slices request` -> the twin's Knative.
REQUEST_ANNOTATION: Final = f"{OURS}last-request"
#: Seconds in place of window and retention period, for those who cannot wait: `slices request` -> the twin's Knative.
IDLE_ANNOTATION: Final = f"{OURS}twin-idle"
#: Name of a scenario's workload (label): scenarios -> scenarios.
SCENARIO_LABEL: Final = f"{OURS}scenario"
#: `theirs` or `slots` on pods of a rehearsal, and by the second what they belong to: the rehearsal -> itself.
REHEARSAL_LABEL: Final = f"{OURS}rehearsal"
REHEARSAL_OF_LABEL: Final = f"{OURS}rehearsal-of"
#: `true` on nodes that stand for those of the managed node group: the twin's platform -> its view.
TWIN_SYSTEM_LABEL: Final = f"{OURS}system-node"

# Karpenter's (karpenter.sh and karpenter.k8s.aws v1)
#: NodePool of a node: Karpenter -> overlays, IAM conditions, policies, the twin.
NODE_POOL_LABEL: Final = "karpenter.sh/nodepool"
#: `spot`, `on-demand` or `reserved`: Karpenter -> requirements of pools, policies, the twin.
CAPACITY_TYPE_LABEL: Final = "karpenter.sh/capacity-type"
#: `default` or `capacity-block`, of what is reserved: Karpenter -> requirements of pools, policies, adoption.
RESERVATION_TYPE_LABEL: Final = "karpenter.k8s.aws/capacity-reservation-type"
#: `SPOT`, `ON_DEMAND` or `CAPACITY_BLOCK`: EKS, on nodes of its managed node groups -> policies.
EKS_CAPACITY_TYPE_LABEL: Final = "eks.amazonaws.com/capacityType"
#: The group's name: EKS, on nodes of its managed node groups -> policies, adoption, the twin.
EKS_NODE_GROUP_LABEL: Final = "eks.amazonaws.com/nodegroup"
#: Effects of taints as EKS writes them (EKS API, Taint), and as Kubernetes does: node groups -> policies, the twin.
EKS_TAINT_EFFECTS: Final = MappingProxyType(
    {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}
)
#: `true` on the nodes that Karpenter itself runs on: the managed node group -> what must not run on Karpenter's nodes.
CONTROLLER_LABEL: Final = "karpenter.sh/controller"
#: Key of those nodes' taint, which charts of many tolerate by themselves: the managed node group -> what runs there.
SYSTEM_NODE_TAINT: Final = "CriticalAddonsOnly"
#: Name of the cluster (tag): subnets and the security group -> EC2NodeClasses.
DISCOVERY_TAG: Final = "karpenter.sh/discovery"
#: Karpenter does not take the pod's node to save money (annotation): the dialogue, critical work -> Karpenter,
#: policies.
DO_NOT_DISRUPT_ANNOTATION: Final = "karpenter.sh/do-not-disrupt"
#: `true` on nodes that have all that their pods were bought for: Karpenter -> alarms.
INITIALIZED_LABEL: Final = "karpenter.sh/initialized"
#: GPUs of the machine: Karpenter -> overlays, CPU pools, policies, the twin.
GPU_COUNT_LABEL: Final = "karpenter.k8s.aws/instance-gpu-count"
#: Weight of NodeOverlays, the most that there is: GPU pools -> Karpenter, adoption. Overlays of one pool never meet on
#: an instance type, but somebody's may be for all pools. Of two that say the same at one weight Karpenter drops one,
#: also for the pools of its owner (sigs.k8s.io/karpenter v1.15.0, pkg/controllers/nodeoverlay/store.go
#: isCapacityUpdateConflicting; at most 10,000 in its definition).
OVERLAY_WEIGHT: Final = 10_000
#: What claims may share of a node's GPUs (annotation): EC2NodeClasses of memory pools -> Karpenter (1.15, gate
#: DRANVIDIAGPU), policies. Must say what NVIDIA's DRA driver is set to, which Karpenter cannot read.
CONSUMABLE_ANNOTATION: Final = "karpenter.k8s.aws/nvidia-consumable-capacity"
#: GPU of the machine, as the catalog names it: Karpenter -> the twin's view.
GPU_NAME_LABEL: Final = "karpenter.k8s.aws/instance-gpu-name"

# Kubernetes'
#: Instance type: the cloud provider -> requirements of pools, policies, the twin.
INSTANCE_TYPE_LABEL: Final = "node.kubernetes.io/instance-type"
#: `amd64` or `arm64`: the kubelet -> selectors, requirements, policies.
ARCH_LABEL: Final = "kubernetes.io/arch"
#: `linux` or `windows`: the kubelet -> selectors, requirements, policies.
OS_LABEL: Final = "kubernetes.io/os"
#: Availability zone: the cloud provider -> the twin.
ZONE_LABEL: Final = "topology.kubernetes.io/zone"
#: Region: the cloud provider, and Karpenter as a tag of instance profiles -> IAM conditions, teardown.
REGION_LABEL: Final = "topology.kubernetes.io/region"
#: Name of an application: whoever makes its pods -> selectors, the twin.
NAME_LABEL: Final = "app.kubernetes.io/name"

#: What stands before the name of any DeviceClass in a resource that a pod may request in place of a claim
#: (`ResourceDeviceClassPrefix` of k8s.io/api resource/v1; gate DRAExtendedResource, on since 1.36): the scheduler ->
#: policies, in the pack and in the cluster.
DEVICE_CLASS_PREFIX: Final = "deviceclass.resource.kubernetes.io/"

# NVIDIA's (k8s-device-plugin v0.20)
#: What the names of all resources of the device plugin begin with.
NVIDIA_PREFIX: Final = "nvidia.com/"
#: A GPU, or a slot without a name of its own; also the key of the taint of GPU nodes: the device plugin -> all.
GPU_RESOURCE: Final = f"{NVIDIA_PREFIX}gpu"
#: Of nodes of GPU pools, so that nothing else runs there: GPU NodePools -> all pods that may.
GPU_TAINT: Final = MappingProxyType({"key": GPU_RESOURCE, "value": "true", "effect": "NoSchedule"})
#: What the device plugin calls slots with `renameByDefault` (`DefaultSharedResourceNameSuffix`).
SHARED_RESOURCE: Final = f"{NVIDIA_PREFIX}gpu.shared"
#: Configuration that a node's device plugin takes: GPU NodePools -> the device plugin, policies, the twin.
CONFIG_LABEL: Final = f"{NVIDIA_PREFIX}device-plugin.config"
#: `true` on nodes with GPUs: GPU NodePools, GPU feature discovery -> charts of the device plugin and of the DRA driver.
GPU_PRESENT_LABEL: Final = f"{NVIDIA_PREFIX}gpu.present"
#: `false` on nodes that all parts of a GPU Operator leave alone: GPU NodePools -> the operator, policies, `adopt`.
OPERANDS_LABEL: Final = f"{NVIDIA_PREFIX}gpu.deploy.operands"
#: Variable by which a container is given GPUs: the device plugin, images -> NVIDIA's container runtime. Who writes it
#: chooses GPUs without a slot: pods of ours without one, checks, policies.
VISIBLE_DEVICES: Final = "NVIDIA_VISIBLE_DEVICES"
MIG_CONFIG_LABEL: Final = f"{NVIDIA_PREFIX}mig.config"

# NVIDIA's (dra-driver-nvidia-gpu v0.5)
#: DeviceClass of its chart, which claims name, and also the name of the driver on ResourceSlices: the chart, the driver
#: on each node -> claims, Karpenter, policies, the twin.
DEVICE_CLASS: Final = "gpu.nvidia.com"
#: What a pod would request to get a device without a claim, in place of the chart's `nvidia.com/gpu`, which would take
#: GPUs from claims: the driver's DeviceClass -> nobody.
UNCLAIMED_RESOURCE: Final = f"{OURS}unclaimed-gpu"
#: Digest of the driver's release, with which its DeviceClass is patched anew (annotation): `GpuSharing` -> nobody.
DRIVER_ANNOTATION: Final = f"{OURS}driver"

# Knative's (serving v1)
#: `cluster-local`: no route from outside: services of models and the dialogue -> Knative, policies.
VISIBILITY_LABEL: Final = "networking.knative.dev/visibility"
#: Service of a pod: Knative -> the twin's view.
SERVICE_LABEL: Final = "serving.knative.dev/service"
#: Fewest and most pods (annotations): models, the dialogue -> Knative, the twin's Knative.
MIN_SCALE_ANNOTATION: Final = "autoscaling.knative.dev/min-scale"
MAX_SCALE_ANNOTATION: Final = "autoscaling.knative.dev/max-scale"
#: Time without requests over which scaling decides (annotation): others' services -> the twin's Knative.
WINDOW_ANNOTATION: Final = "autoscaling.knative.dev/window"
#: How long the last pod stays after the last request (annotation): models, the dialogue -> the same.
RETENTION_ANNOTATION: Final = "autoscaling.knative.dev/scale-to-zero-pod-retention-period"
