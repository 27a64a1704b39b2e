"""States of GPU pools: who may buy what, and whether all that says how GPUs are shared says the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import yaml

from gpu.contract import DO_NOT_DISRUPT_ANNOTATION, IMPORTANCE_LABEL, POOL_LABEL
from tests.engine.states import Planned, State, changed, text_asset
from tests.engine.states_pods import deployment, pod
from tests.policy.case_parts import AWS, CAPACITY, JUSTIFIED, POOL_YAML, RELEASE, SPOT, TYPE, need
from tests.policy.case_parts import POOL as NODE_POOL
from tests.policy.platform import GPU, SHARED, config, section

_CLASS: Final = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
_OVERLAY: Final = "kubernetes:karpenter.sh/v1alpha1:NodeOverlay"
_CONFIG_MAP: Final = "kubernetes:core/v1:ConfigMap"
_NAMESPACE: Final = "kubernetes:core/v1:Namespace"
_TAINT: Final = {"key": GPU, "value": "true", "effect": "NoSchedule"}
_KEPT: Final = {DO_NOT_DISRUPT_ANNOTATION: "true"}
_PLUGIN_CONFIG: Final = "nvidia.com/device-plugin.config"


def _class(name: str, **spec: Any) -> Planned:
    """An EC2NodeClass."""
    found = {"amiSelectorTerms": [{"alias": "al2023@v20261023"}], "role": "node", "tags": {"team": "ml"}, **spec}
    return Planned(
        type=_CLASS,
        name=f"{name}-class",
        inputs={
            "apiVersion": "karpenter.k8s.aws/v1",
            "kind": "EC2NodeClass",
            "metadata": {"name": name},
            "spec": found,
        },
    )


def _pool(name: str, *requirements: dict[str, Any], limit: Any = "8", **spec: Any) -> Planned:
    """A Spot NodePool of g5.xlarge, unless requirements are given."""
    found = list(requirements) or [SPOT, need(TYPE, "In", "g5.xlarge")]
    node = {
        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": name},
        "requirements": found,
        "taints": [_TAINT],
    }
    template = {"metadata": {"labels": {POOL_LABEL: name, _PLUGIN_CONFIG: name}}, "spec": node}
    return Planned(
        type=NODE_POOL,
        name=f"{name}-pool",
        inputs={"metadata": {"name": name}, "spec": {"template": template, "limits": {GPU: limit}, **spec}},
        dependencies=(f"{name}-class",),
    )


def _overlay(name: str, **capacity: Any) -> Planned:
    """A NodeOverlay for single-GPU nodes of a pool."""
    requirements = [need("karpenter.sh/nodepool", "In", name), need(f"{AWS}gpu-count", "In", "1")]
    spec = {"weight": 10.0, "requirements": requirements, "capacity": {GPU: "4"} | capacity}
    return Planned(type=_OVERLAY, name=f"{name}-overlay", inputs={"metadata": {"name": name}, "spec": spec})


def _plugin(name: str, given: Any) -> Planned:
    """NVIDIA's device plugin with one configuration, named like the pool."""
    text = given if isinstance(given, str) else yaml.safe_dump(given)
    values = {"config": {"map": {name: text}}, "nodeSelector": {POOL_LABEL: name}}
    repository = {"repo": "https://nvidia.github.io/k8s-device-plugin"}
    inputs = {"chart": "nvidia-device-plugin", "version": "0.20.0", "repositoryOpts": repository, "values": values}
    return Planned(type=RELEASE, name=f"{name}-plugin", inputs=inputs)


def _shared(name: str, strategy: str = "timeSlicing", replicas: int = 4) -> tuple[Planned, ...]:
    """A pool of single-GPU nodes whose GPUs are shared, all parts in agreement."""
    return (
        _class(name),
        _pool(name),
        _overlay(name, **{GPU: str(replicas)}),
        _plugin(name, config(**{strategy: section(replicas)})),
    )


_PURCHASES: Final = (
    State(
        name="spot-or-on-demand",
        fires=frozenset({"gpu-on-demand-needs-justification"}),
        resources=(
            _class("mixed"),
            _pool("mixed", need(CAPACITY, "In", "spot", "on-demand"), need(f"{AWS}family", "In", "g5", "g6")),
        ),
        mended={("mixed-pool", "metadata", "annotations"): JUSTIFIED},
    ),
    State(
        name="architecture-by-another-name",
        fires=frozenset({"node-pool-known-values"}),
        resources=(
            _class("arch"),
            _pool("arch", SPOT, need("kubernetes.io/arch", "In", "amd64", "x86_64"), need(TYPE, "In", "g6.xlarge")),
        ),
        mended={
            (*("arch-pool", "spec", "template", "spec", "requirements"), 1, "values"): ["amd64"],
        },
    ),
    State(
        name="pool-inside-yaml",
        fires=frozenset({"gpu-on-demand-needs-justification"}),
        resources=(
            Planned(
                type="kubernetes:yaml/v2:ConfigGroup", name="manifests", inputs={"yaml": POOL_YAML}, component=True
            ),
        ),
        mended={("manifests", "yaml"): POOL_YAML.replace("[on-demand]", "[spot]")},
    ),
    State(
        name="template-that-lies-elsewhere",
        fires=frozenset({"contents-can-be-seen"}),
        resources=(
            Planned(
                type="aws:cloudformation/stack:Stack",
                name="elsewhere",
                inputs={"templateUrl": "https://templates.example.com/gpu.yaml"},
            ),
        ),
        mended={("elsewhere", "templateUrl"): ""},
    ),
    State(
        name="instance-type-in-a-value-file",
        fires=frozenset({"gpu-on-demand-needs-justification"}),
        resources=(
            Planned(
                type=RELEASE,
                name="workers",
                inputs={
                    "chart": "workers",
                    "valueYamlFiles": [text_asset("workers:\n  instanceType: g5.xlarge  # größer als nötig\n")],
                },
            ),
        ),
        mended={("workers", "valueYamlFiles"): [text_asset("workers:\n  instanceType: m7i.xlarge\n")]},
    ),
    State(
        name="deep-in-values",
        fires=frozenset({"gpu-on-demand-needs-justification"}),
        resources=(
            Planned(
                type=RELEASE,
                name="umbrella",
                inputs={
                    "chart": "umbrella",
                    "values": {
                        "__hidden": {"instanceType": "p4d.24xlarge"},  # the engine keeps such keys to itself
                        "a": {"b": [{"c": {"d": [[{"e": {"f": {"g": [{"h": {"instanceTypes": ["g6.xlarge"]}}]}}}]]}}]},
                    },
                },
            ),
        ),
        mended={
            ("umbrella", "values", "a", "b", 0, "c", "d", 0, 0, "e", "f", "g", 0, "h", "capacityType"): "spot",
        },
    ),
    State(
        name="component-of-somebody",
        fires=frozenset({"gpu-on-demand-needs-justification"}),
        resources=(
            Planned(
                type="acme:index:Workers",
                name="workers",
                inputs={"pools": [{"instanceType": "g5.xlarge", "capacityType": "on-demand", "size": 2.0}]},
                component=True,
            ),
            Planned(
                type="kubernetes:core/v1:ServiceAccount",
                name="account",
                inputs={"metadata": {"name": "workers", "namespace": "ml"}},
                parent="workers",
            ),
        ),
        mended={("workers", "pools", 0, "capacityType"): "SPOT"},
    ),
    State(
        name="forty-gpus",
        fires=frozenset({"gpu-ceiling-per-stack"}),
        resources=(
            _class("vision"),
            _pool("vision", limit="8"),
            Planned(
                type="aws:eks/nodeGroup:NodeGroup",
                name="training",
                inputs={
                    "instanceTypes": ["g5.12xlarge"],
                    "capacityType": "SPOT",
                    "launchTemplate": {"name": "training", "version": "3"},
                    "scalingConfig": {"minSize": 0.0, "maxSize": 8.0},
                    "tags": {"team": "ml"},
                },
            ),
        ),
        mended={("training", "scalingConfig", "maxSize"): 2},
    ),
    State(
        name="static-pool",
        fires=frozenset({"gpu-ceiling-per-stack"}),
        resources=(
            _class("static"),
            _pool("static", SPOT, need(TYPE, "In", "g5.48xlarge"), replicas=3.0),
        ),
        mended={("static-pool", "spec", "replicas"): 2},
    ),
    State(
        name="no-limit",
        fires=frozenset({"gpu-pool-has-limit"}),
        resources=(
            _class("endless"),
            Planned(
                type=NODE_POOL,
                name="endless",
                inputs={
                    "metadata": {"name": "endless"},
                    "spec": {
                        "limits": {"cpu": 1000},
                        "template": {
                            "spec": {
                                "nodeClassRef": {
                                    "group": "karpenter.k8s.aws",
                                    "kind": "EC2NodeClass",
                                    "name": "endless",
                                },
                                "requirements": [SPOT, need(f"{AWS}gpu-name", "In", "l4", "a10g")],
                                "taints": [{"key": "team", "effect": "NoExecute"}],
                            }
                        },
                    },
                },
            ),
        ),
        mended={("endless", "spec", "limits", GPU): 4.0},
    ),
    State(
        name="soft-taint",
        fires=frozenset({"gpu-pool-has-taint"}),
        resources=(
            _class("soft"),
            Planned(
                type=NODE_POOL,
                name="soft",
                inputs={
                    "metadata": {"name": "soft"},
                    "spec": {
                        "limits": {GPU: "4"},
                        "template": {
                            "spec": {
                                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "soft"},
                                "requirements": [SPOT, need(TYPE, "In", "g6.xlarge")],
                                "taints": [{**_TAINT, "effect": "PreferNoSchedule"}],
                            }
                        },
                    },
                },
            ),
        ),
        mended={("soft", "spec", "template", "spec", "taints", 0, "effect"): "NoSchedule"},
    ),
    State(
        name="two-hops",
        fires=frozenset({"node-imdsv2"}),
        resources=(
            _class(
                "hops",
                metadataOptions={"httpTokens": "required", "httpPutResponseHopLimit": 2.0},
                blockDeviceMappings=[{"deviceName": "/dev/xvda", "ebs": {"volumeSize": "100Gi", "encrypted": True}}],
            ),
        ),
        mended={("hops-class", "spec", "metadataOptions", "httpPutResponseHopLimit"): 1.0},
    ),
)

_SHARING: Final = (
    State(
        name="overlay-of-another-figure",
        fires=frozenset({"gpu-sharing-consistent"}),
        resources=(
            *_shared("chat")[:2],
            _overlay("chat", **{GPU: "8"}),
            *_shared("chat")[3:],
        ),
        mended={("chat-overlay", "spec", "capacity", GPU): 4.0},
    ),
    State(
        name="overlay-of-the-other-name",
        fires=frozenset({"gpu-sharing-consistent"}),
        resources=(
            *_shared("renamed")[:3],
            _plugin("renamed", config(timeSlicing=section(4, renameByDefault=True))),
        ),
        mended={
            ("renamed-overlay", "spec", "capacity"): {SHARED: "4", GPU: "0"},
            ("renamed-pool", "spec", "limits", SHARED): "8",
        },
    ),
    State(  # the engine shows resources in no order
        name="one-name-in-many-places",
        fires=frozenset({"gpu-sharing-consistent"}),
        resources=(
            _class("often"),
            _pool("often"),
            *(
                Planned(
                    type=_CONFIG_MAP,
                    name=f"plugin-configs-{replicas}",
                    inputs={
                        "metadata": {"name": "device-plugin", "namespace": f"team-{replicas}"},
                        "data": {"often": yaml.safe_dump(config(timeSlicing=section(replicas)))},
                    },
                )
                for replicas in (2, 3, 4, 5, 6)
            ),
        ),
        more=(_overlay("often", **{GPU: "6"}),),
    ),
    State(
        name="fifty-clients",
        fires=frozenset({"gpu-sharing-config-valid"}),
        resources=(
            Planned(
                type=_CONFIG_MAP,
                name="plugin-configs",
                inputs={
                    "metadata": {"name": "device-plugin", "namespace": "gpu-system"},
                    "data": {"embed": yaml.safe_dump(config(mps=section(50.0)), allow_unicode=True)},
                },
            ),
        ),
        mended={("plugin-configs", "data", "embed"): yaml.safe_dump(config(mps=section(48)))},
    ),
    State(
        name="many-slots-for-one",
        fires=frozenset({"gpu-refuses-more-than-one-slot"}),
        resources=(_plugin("lenient", config(timeSlicing=section(4, failRequestsGreaterThanOne=False))),),
        mended={
            ("lenient-plugin", "values", "config", "map", "lenient"): yaml.safe_dump(config(timeSlicing=section(4)))
        },
    ),
    State(
        name="cheaper-by-overlay",
        fires=frozenset({"gpu-no-price-overlays"}),
        resources=(
            Planned(
                type=_OVERLAY,
                name="cheaper",
                inputs={
                    "metadata": {"name": "cheaper"},
                    "spec": {"requirements": [need(f"{AWS}family", "In", "g6")], "priceAdjustment": "-10%"},
                },
            ),
        ),
        mended={("cheaper", "spec", "priceAdjustment"): None},
    ),
    State(
        name="two-slots",
        fires=frozenset({"gpu-one-slot-per-pod"}),
        resources=(*_shared("slots"), deployment("slots", pod("slots", quantity=2.0))),
        mended={("slots", "spec", "template", "spec", "containers", 0, "resources", "limits", GPU): 1.0},
    ),
    State(
        name="job-that-hears-nothing",
        fires=frozenset({"gpu-spot-jobs-can-end"}),
        resources=(
            *_shared("jobs"),
            Planned(
                type="kubernetes:batch/v1:Job",
                name="jobs",
                inputs={
                    "metadata": {"name": "jobs", "namespace": "ml"},
                    "spec": {
                        "template": {
                            "metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "true"}},
                            "spec": pod("jobs", restartPolicy="Never"),
                        }
                    },
                },
            ),
        ),
        mended={("jobs", "spec", "template", "metadata", "annotations"): {}},
    ),
    State(
        name="critical-on-spot",
        fires=frozenset({"gpu-critical-off-spot"}),
        resources=(
            *_shared("critical"),
            Planned(
                type="kubernetes:scheduling.k8s.io/v1:PriorityClass",
                name="vip",
                inputs={"metadata": {"name": "vip", "labels": {IMPORTANCE_LABEL: "critical"}}, "value": 1000.0},
            ),
            deployment("critical", pod("critical", priorityClassName="vip")),
        ),
        mended={("vip", "metadata", "labels"): {}},
    ),
    State(
        name="batch-that-stays",
        fires=frozenset({"gpu-batch-gives-way"}),
        resources=(
            *_shared("batch"),
            Planned(
                type="kubernetes:scheduling.k8s.io/v1:PriorityClass",
                name="last",
                inputs={"metadata": {"name": "last"}, "value": -5.0},
            ),
            Planned(
                type="kubernetes:apps/v1:Deployment",
                name="batch",
                inputs={
                    "metadata": {"name": "batch", "namespace": "ml"},
                    "spec": {
                        "selector": {"matchLabels": {"app": "batch"}},
                        "template": {
                            "metadata": {"labels": {"app": "batch"}, "annotations": _KEPT},
                            "spec": pod("batch", priorityClassName="last"),
                        },
                    },
                },
            ),
        ),
        mended={("batch", "spec", "template", "metadata", "annotations"): {}},
    ),
    State(
        name="two-users",
        fires=frozenset({"gpu-mps-one-user"}),
        resources=(
            *_shared("users", "mps"),
            deployment("ana", pod("users")),
            deployment("bo", pod("users", securityContext={"runAsUser": "2000"})),
        ),
        mended={("bo", "spec", "template", "spec", "securityContext", "runAsUser"): 1000.0},
    ),
    State(
        name="limit-without-a-unit",
        fires=frozenset({"gpu-mps-client-limits"}),
        resources=(
            *_shared("limited", "mps"),
            deployment(
                "limited",
                pod("limited", {"env": [{"name": "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", "value": "0=3072"}]}),
            ),
        ),
        mended={("limited", "spec", "template", "spec", "containers", 0, "env", 0, "value"): "0=3G"},
    ),
    State(
        name="own-shm",
        fires=frozenset({"gpu-mps-no-own-shm"}),
        resources=(
            *_shared("torch", "mps"),
            deployment(
                "torch",
                pod(
                    "torch",
                    {"volumeMounts": [{"name": "shm", "mountPath": "/dev/shm/"}]},
                    volumes=[{"name": "shm", "emptyDir": {"medium": "Memory"}}],
                ),
            ),
        ),
        mended={
            ("torch", "spec", "template", "spec", "containers", 0, "volumeMounts", 0, "mountPath"): "/tmp/shm",
        },
    ),
    State(
        name="more-than-the-daemon-gives",
        fires=frozenset({"gpu-mps-client-limits"}),
        resources=(
            *_shared("greedy", "mps"),
            deployment(
                "greedy", pod("greedy", {"env": [{"name": "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "value": "90"}]})
            ),
        ),
        mended={("greedy", "spec", "template", "spec", "containers", 0, "env", 0, "value"): "10"},
    ),
    State(
        name="no-slot-on-a-gpu-node",
        fires=frozenset({"gpu-nodes-for-gpu-work"}),
        resources=(
            *_shared("idle"),
            deployment(
                "idle", pod(None, nodeSelector={POOL_LABEL: "idle"}, tolerations=[{"key": GPU, "operator": "Exists"}])
            ),
        ),
        mended={("idle", "spec", "template", "spec", "containers", 0, "resources", "limits", GPU): "1"},
    ),
    State(
        name="every-gpu-without-a-slot",
        fires=frozenset({"gpu-devices-by-slot-only"}),
        resources=(
            *_shared("sees"),
            deployment("sees", pod(None, {"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]})),
        ),
        mended={("sees", "spec", "template", "spec", "containers", 0, "env", 0, "value"): "void"},
    ),
    State(
        name="strangers-share",
        fires=frozenset({"gpu-mig-for-untrusted-tenants"}),
        resources=(
            *_shared("strangers"),
            Planned(
                type=_NAMESPACE,
                name="guests",
                inputs={
                    "metadata": {
                        "name": "gäste",
                        "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
                        "annotations": {"gpu-slices/tenants": "untrusted", "note": "наши гости 🐢"},
                    }
                },
            ),
            deployment("guest", pod("strangers"), namespace="gäste", dependencies=("guests",)),
        ),
        mended={("guests", "metadata", "annotations", "gpu-slices/tenants"): "trusted"},
    ),
)

_CLAIM: Final = "kubernetes:resource.k8s.io/v1:ResourceClaimTemplate"
_SHARES: Final = {"karpenter.k8s.aws/nvidia-consumable-capacity": "memory"}
_SIX_GIB: Final = {"requests": {"memory": "6Gi"}}
#: Where a template says how much of a GPU it claims.
_SIZE: Final = ("spec", "spec", "devices", "requests", 0, "exactly", "capacity")


def _with(planned: Planned, *path: str | int, value: Any) -> Planned:
    """The same with another input."""
    return replace(planned, inputs=changed(planned.inputs, path, value))


def _claimed(name: str, shares: str = "memory", size: Any = None, limits: Any = None) -> tuple[Planned, ...]:
    """A pool of single-GPU nodes whose memory is claimed, all parts in agreement unless another one is given."""
    values = {
        "featureGates": {"ConsumableShares": True},
        "consumableShares": shares,
        "kubeletPlugin": {"nodeSelector": {POOL_LABEL: name}},
    }
    chart = "oci://registry.k8s.io/dra-driver-nvidia/charts/dra-driver-nvidia-gpu"
    exactly = {"deviceClassName": "gpu.nvidia.com", "count": 1.0, "capacity": _SIX_GIB if size is None else size}
    pool = _with(_pool(name), "spec", "limits", value=limits or {"cpu": "16"})
    return (
        _with(_class(name), "metadata", "annotations", value=_SHARES),
        _with(pool, "spec", "template", "metadata", "labels", value={POOL_LABEL: name}),
        _overlay(name, **{GPU: "0"}),
        Planned(type=RELEASE, name=f"{name}-driver", inputs={"chart": chart, "version": "0.5.0", "values": values}),
        Planned(
            type=_CLAIM,
            name=f"{name}-claim",
            inputs={
                "metadata": {"name": "gpu-6gi", "namespace": "models"},
                "spec": {"spec": {"devices": {"requests": [{"name": "gpu", "exactly": exactly}]}}},
            },
        ),
    )


def _one_claim(name: str) -> Planned:
    """The claim of which others make a template."""
    template = _claimed(name)[4]
    inputs = {**template.inputs, "spec": template.inputs["spec"]["spec"]}
    return replace(template, type=_CLAIM.removesuffix("Template"), inputs=inputs)


_CLAIMS: Final = (
    State(
        name="driver-that-shares-otherwise",
        fires=frozenset({"gpu-claims-consistent"}),
        resources=_claimed("otherwise", shares="4"),
        mended={("otherwise-driver", "values", "consumableShares"): "memory"},
    ),
    State(
        name="claim-without-a-size",
        fires=frozenset({"gpu-claims-say-memory"}),
        resources=_claimed("unsized", size={}),
        mended={("unsized-claim", *_SIZE): _SIX_GIB},
    ),
    State(
        name="claim-of-nine-pods",
        fires=frozenset({"gpu-claim-for-one-pod"}),
        resources=(
            *_claimed("nine")[:4],
            _one_claim("nine"),
            _with(
                deployment(
                    "nine",
                    pod(
                        None,
                        nodeSelector={POOL_LABEL: "nine"},
                        tolerations=[{"key": GPU, "operator": "Exists"}],
                        resourceClaims=[{"name": "gpu", "resourceClaimName": "gpu-6gi"}],
                    ),
                    namespace="models",
                    dependencies=("nine-claim",),
                ),
                *("spec", "replicas"),
                value=9.0,
            ),
        ),
        mended={("nine", "spec", "replicas"): 1.0},
    ),
    State(
        name="claims-under-a-limit-that-counts-nothing",
        fires=frozenset({"gpu-pool-has-limit"}),
        resources=_claimed("endless", limits={GPU: "2"}),
        mended={("endless-pool", "spec", "limits"): {"cpu": "16"}},
    ),
)

#: kubernetes-sigs/karpenter#729: 24 replicas by helm, pods that ask for 4, and no overlay.
_REPORTED: Final = State(
    name="karpenter-729",
    fires=frozenset(
        {
            "gpu-one-slot-per-pod",
            "gpu-refuses-more-than-one-slot",
            "gpu-sharing-consistent",
            "k8s-pod-security",
            "k8s-resource-limits",
            "tags-cost-allocation",
        }
    ),
    resources=(
        _class("gpu", tags={}),
        _pool("gpu", SPOT, need(TYPE, "In", "g4dn.xlarge"), limit=10),
        _plugin("gpu", config(timeSlicing=section(24, failRequestsGreaterThanOne=False))),
        deployment(
            "app",
            {
                "nodeSelector": {POOL_LABEL: "gpu"},
                "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
                "containers": [
                    {
                        "name": "main",
                        "image": "nvidia/cuda:12.6.0-base-ubuntu22.04",
                        "resources": {"limits": {GPU: "4"}, "requests": {"memory": "4Gi", GPU: "4"}},
                    }
                ],
            },
            namespace="default",
        ),
    ),
    mended={
        ("gpu-class", "spec", "tags"): {"team": "ml"},
        ("gpu-pool", "spec", "limits", GPU): 48,
        ("gpu-plugin", "values", "config", "map", "gpu"): yaml.safe_dump(config(timeSlicing=section(24))),
        ("app", "spec", "template", "spec"): pod("gpu"),
    },
    more=(_overlay("gpu", **{GPU: "24"}),),
)

STATES: Final[tuple[State, ...]] = (*_PURCHASES, *_SHARING, *_CLAIMS, _REPORTED)
