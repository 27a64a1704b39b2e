"""Mutants for the rules on GPUs, sharing and models."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from components.pods import restricted_container, restricted_pod
from gpu.contract import (
    CONSUMABLE_ANNOTATION,
    DO_NOT_DISRUPT_ANNOTATION,
    EXPIRES_ANNOTATION,
    IMPORTANCE_LABEL,
    JUSTIFICATION_ANNOTATION,
)
from policy.analyzer import UNKNOWN
from tests.plan.conftest import STACKS
from tests.plan.mutation import Inputs, Mutant, Mutation, Stack, at, change, plus, without

POOL = "kubernetes:karpenter.sh/v1:NodePool"
NODE_CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
OVERLAY = "kubernetes:karpenter.sh/v1alpha1:NodeOverlay"
RELEASE = "kubernetes:helm.sh/v3:Release"
CRON_JOB = "kubernetes:batch/v1:CronJob"
KNATIVE = "kubernetes:serving.knative.dev/v1:Service"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
CAPACITY = "karpenter.sh/capacity-type"


def requirements(inputs: Inputs) -> list[Inputs]:
    found: list[Inputs] = at(inputs, "spec", "template", "spec", "requirements")
    return found


def set_requirement(key: str, operator: str, *values: str) -> Callable[[Inputs], object]:
    def bend(inputs: Inputs) -> None:
        found = requirements(inputs)
        found[:] = [item for item in found if item["key"] != key]
        if operator:
            found.append({"key": key, "operator": operator, "values": list(values)})

    return bend


def in_configs(old: str, new: str) -> Callable[[Inputs], object]:
    """Replace text in every device-plugin configuration; it must be there."""

    def bend(inputs: Inputs) -> None:
        configs = at(inputs, "values", "config", "map")
        assert any(old in text for text in configs.values())
        for name, text in configs.items():
            configs[name] = text.replace(old, new)

    return bend


def pod(inputs: Inputs) -> Inputs:
    found: Inputs = at(inputs, "spec", "jobTemplate", "spec", "template", "spec")
    return found


def keep_from_eviction(inputs: Inputs) -> None:
    metadata = at(inputs, "spec", "jobTemplate", "spec", "template")["metadata"]
    metadata["annotations"] = {**metadata.get("annotations", {}), DO_NOT_DISRUPT_ANNOTATION: "true"}


def important(word: str, *, kept: bool = False) -> Callable[[Inputs], object]:
    """The job's pods say how important they are, and perhaps that they must not be disrupted."""

    def bend(inputs: Inputs) -> None:
        if kept:
            keep_from_eviction(inputs)
        metadata = at(inputs, "spec", "jobTemplate", "spec", "template")["metadata"]
        metadata["labels"] = {**metadata.get("labels", {}), IMPORTANCE_LABEL: word}

    return bend


def slots(quantity: str) -> Callable[[Inputs], object]:
    def bend(inputs: Inputs) -> None:
        limits = pod(inputs)["containers"][0]["resources"]["limits"]
        limits.update({key: quantity for key in limits if key.startswith("nvidia.com/")})

    return bend


def container_env(variable: Inputs) -> Callable[[Inputs], object]:
    return lambda inputs: pod(inputs)["containers"][0]["env"].append(variable)


def second_container(inputs: Inputs) -> None:
    containers = pod(inputs)["containers"]
    containers.append({**containers[0], "name": "second"})


def gpu_pods(stack: Stack) -> tuple[Inputs, dict[str, str]]:
    """Node selector and tolerations of the stack's GPU example, and its GPU request."""
    (example,) = [found for found in stack if found.type == CRON_JOB]
    spec = pod(dict(example.inputs))
    limits = spec["containers"][0]["resources"]["limits"]
    request = {key: value for key, value in limits.items() if key.startswith("nvidia.com/")}
    return {key: spec[key] for key in ("nodeSelector", "tolerations")}, request


def ollama(
    image: str = "ollama/ollama:0.17.4", context: str = "4096", model: str = "mistral:7b", **labels: str
) -> Mutation:
    """Add an Ollama server on the stack's GPU pool; as it stands it satisfies every rule."""

    def mutation(stack: Stack) -> Stack:
        place, request = gpu_pods(stack)
        env = {"OLLAMA_CONTEXT_LENGTH": context, "OLLAMA_KEEP_ALIVE": "-1"}
        container = {
            **restricted_container("ollama", image, {"cpu": "1", "memory": "4Gi", **request}),
            "env": [{"name": name, "value": value} for name, value in env.items() if value],
        }
        template = {
            "metadata": {"annotations": {"gpu-slices/model": model}},
            "spec": {**restricted_pod(run_as_user=1000), **place, "containers": [container]},
        }
        visible = {"networking.knative.dev/visibility": "cluster-local", **labels}
        metadata = {"name": "llm", "namespace": "models", "labels": visible}
        return plus(KNATIVE, {"metadata": metadata, "spec": {"template": template}})(stack)

    return mutation


def without_slot(inputs: Inputs) -> None:
    """Let a job go to its GPU node without a GPU."""
    for container in pod(inputs)["containers"]:
        resources = container["resources"]
        for kind in ("requests", "limits"):
            resources[kind] = {name: given for name, given in resources[kind].items() if "nvidia.com/" not in name}


def claims(then: Mutation = list) -> Mutation:
    """Let Karpenter take the GPUs of all pools for shared by claims, and more."""
    bend = change(NODE_CLASS, lambda i: i["metadata"]["annotations"].update({CONSUMABLE_ANNOTATION: "memory"}), "gpu-*")
    return lambda stack: then(bend(stack))


def _mutants() -> Iterator[tuple[str, str, str, Mutation]]:  # noqa: PLR0915  a table
    """Rule that must notice, stack, what is changed, and the change."""
    rule = "gpu-on-demand-needs-justification"
    justified = "gpu-always-on-pool"
    yield (
        rule,
        "prod",
        "no justification",
        change(POOL, lambda i: i["metadata"]["annotations"].pop(JUSTIFICATION_ANNOTATION), justified),
    )
    yield (
        rule,
        "prod",
        "no date",
        change(POOL, lambda i: i["metadata"]["annotations"].pop(EXPIRES_ANNOTATION), justified),
    )
    yield (
        rule,
        "prod",
        "expired",
        change(POOL, lambda i: i["metadata"]["annotations"].update({EXPIRES_ANNOTATION: "2026-11-01"}), justified),
    )
    yield (
        rule,
        "prod",
        "unknown justification",
        change(POOL, lambda i: i["metadata"]["annotations"].update({JUSTIFICATION_ANNOTATION: UNKNOWN}), justified),
    )
    for stack in ("dev", "staging", "local"):
        gpu_pools = "gpu-*-pool"
        yield rule, stack, "on-demand", change(POOL, set_requirement(CAPACITY, "In", "on-demand"), gpu_pools)
        yield rule, stack, "no capacity type", change(POOL, set_requirement(CAPACITY, ""), gpu_pools)
        yield rule, stack, "unknown capacity type", change(POOL, set_requirement(CAPACITY, "In", UNKNOWN), gpu_pools)
    yield rule, "dev", "CPU pool that admits GPUs", change(POOL, lambda i: requirements(i).clear(), "cpu-*-pool")
    yield rule, "dev", "GPU system nodes", change(NODE_GROUP, lambda i: i.update(instanceTypes=["g5g.xlarge"]))
    yield (
        "gpu-launch-template-is-spot",
        "dev",
        "GPU type in the template",
        change("aws:ec2/launchTemplate:LaunchTemplate", lambda i: i.update(instanceType="g5.xlarge")),
    )
    yield (
        rule,
        "dev",
        "GPU pool in helm values",
        change(RELEASE, lambda i: i.setdefault("values", {}).update(nodePool={"instanceTypes": ["g6.xlarge"]})),
    )
    yield (
        rule,
        "dev",
        "GPU node group of the cluster",
        change("eks:index:Cluster", lambda i: i.update(skipDefaultNodeGroup=False, instanceType="g5.xlarge")),
    )

    rule = "node-pool-known-values"
    for stack in STACKS:
        yield rule, stack, "capitals", change(POOL, set_requirement(CAPACITY, "In", "On-Demand"), "gpu-*-pool")
    arch = set_requirement("kubernetes.io/arch", "In", "x86_64")
    yield rule, "dev", "an architecture by EC2's name", change(POOL, arch, "cpu-x86-pool")

    rule = "gpu-sharing-consistent"
    yield (
        rule,
        "dev",
        "other replicas in the plugin",
        change(RELEASE, in_configs("replicas: 3", "replicas: 4"), "*plugin*"),
    )
    yield (
        rule,
        "staging",
        "other replicas in the plugin",
        change(RELEASE, in_configs("replicas: 3", "replicas: 6"), "*plugin*"),
    )
    for stack in STACKS:
        yield (
            rule,
            stack,
            "other capacity in an overlay",
            change(OVERLAY, lambda i: i["spec"]["capacity"].update(dict.fromkeys(i["spec"]["capacity"], "5"))),
        )
        yield rule, stack, "no overlays", without(OVERLAY)
        yield (
            rule,
            stack,
            "another configuration",
            change(
                POOL,
                lambda i: at(i, "spec", "template", "metadata", "labels").update(
                    {"nvidia.com/device-plugin.config": "none"}
                ),
                "gpu-*-pool",
            ),
        )
    yield (
        rule,
        "local",
        "a limit on the wrong resource",
        change(POOL, lambda i: i["spec"].update(limits={"nvidia.com/gpu": "9"}), "gpu-m*-pool"),
    )

    yield "gpu-claims-consistent", "dev", "claims beside a gate that is off", claims()
    unsized = {"spec": {"spec": {"devices": {"requests": [{"exactly": {"deviceClassName": "gpu.nvidia.com"}}]}}}}
    template = "kubernetes:resource.k8s.io/v1:ResourceClaimTemplate"
    yield "gpu-claims-say-memory", "dev", "a claim without a size", claims(plus(template, unsized))
    exactly = {"deviceClassName": "gpu.nvidia.com", "capacity": {"requests": {"memory": "6Gi"}}}
    whose = {"namespace": "ml", "name": "shared"}
    sized = {"metadata": whose, "spec": {"devices": {"requests": [{"exactly": exactly}]}}}
    spec = {"containers": [{"name": "main"}], "resourceClaims": [{"name": "gpu", "resourceClaimName": "shared"}]}
    nine = {"metadata": whose, "spec": {"replicas": 9, "template": {"spec": spec}}}

    def shared_claim(stack: Stack) -> Stack:
        both = (plus(template.removesuffix("Template"), sized), plus("kubernetes:apps/v1:Deployment", nine))
        return both[1](both[0](stack))

    yield "gpu-claim-for-one-pod", "dev", "nine pods in one claim", claims(shared_claim)
    yield "gpu-nodes-for-gpu-work", "dev", "a job without a slot", change(CRON_JOB, without_slot)
    yield "gpu-pool-has-limit", "dev", "claims under a limit on GPUs", claims()
    rule = "gpu-refuses-more-than-one-slot"
    for stack in ("dev", "staging"):
        yield (
            rule,
            stack,
            "not refused",
            change(
                RELEASE, in_configs("failRequestsGreaterThanOne: true", "failRequestsGreaterThanOne: false"), "*plugin*"
            ),
        )
    rule = "gpu-sharing-config-valid"
    yield rule, "dev", "one replica", change(RELEASE, in_configs("replicas: 3", "replicas: 1"), "*plugin*")
    yield rule, "staging", "too many clients", change(RELEASE, in_configs("replicas: 3", "replicas: 64"), "*plugin*")

    priced = change(OVERLAY, lambda i: i["spec"].update(priceAdjustment="-5%"))
    yield "gpu-no-price-overlays", "dev", "a price", priced
    for stack in STACKS:
        yield "gpu-pool-has-limit", stack, "no limit", change(POOL, lambda i: i["spec"].pop("limits"), "gpu-*-pool")
        yield (
            "gpu-pool-has-taint",
            stack,
            "no taint",
            change(POOL, lambda i: at(i, "spec", "template", "spec").pop("taints"), "gpu-*-pool"),
        )
    untrusted = {"gpu-slices/tenants": "untrusted"}
    yield (
        "gpu-mig-for-untrusted-tenants",
        "dev",
        "untrusted tenants",
        change(POOL, lambda i: at(i, "spec", "template", "metadata", "labels").update(untrusted), "gpu-*-pool"),
    )
    yield (
        "gpu-mig-for-untrusted-tenants",
        "staging",
        "untrusted namespace",
        change("kubernetes:core/v1:Namespace", lambda i: i["metadata"].setdefault("labels", {}).update(untrusted)),
    )
    yield (
        "gpu-ceiling-per-stack",
        "dev",
        "a hundred GPUs",
        change(POOL, lambda i: i["spec"].update(limits={"nvidia.com/gpu": "300"}), "gpu-*-pool"),
    )
    everything = {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}
    for stack in STACKS:
        yield "gpu-devices-by-slot-only", stack, "all GPUs", change(CRON_JOB, container_env(everything))
    threads = {"name": "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "value": "50"}
    for stack, what in {"dev": "a client's limit without MPS", "staging": "a client's limit above MPS'"}.items():
        yield "gpu-mps-client-limits", stack, what, change(CRON_JOB, container_env(threads))
    for stack in ("dev", "staging"):
        yield "gpu-one-slot-per-pod", stack, "two slots", change(CRON_JOB, slots("2"))
        yield "gpu-one-slot-per-pod", stack, "two containers", change(CRON_JOB, second_container)
    yield (
        "k8s-scheduler-runs",
        "dev",
        "a scheduler that nobody runs",
        change(CRON_JOB, lambda i: pod(i).update(schedulerName="gpu-slices-scheduler")),
    )
    yield (
        "gpu-spot-jobs-can-end",
        "dev",
        "a job that hears nothing",
        change(CRON_JOB, keep_from_eviction),
    )
    yield (
        "gpu-spot-jobs-can-end",
        "dev",
        "a job that needs longer to end than its node has",
        change(CRON_JOB, lambda i: pod(i).update(terminationGracePeriodSeconds=86_400)),
    )
    yield "gpu-critical-off-spot", "dev", "critical on Spot", change(CRON_JOB, important("critical"))
    yield "gpu-batch-gives-way", "dev", "batch that stays", change(CRON_JOB, important("batch", kept=True))
    yield (
        "gpu-mps-one-user",
        "staging",
        "no user",
        change(CRON_JOB, lambda i: pod(i)["securityContext"].pop("runAsUser")),
    )
    yield (
        "gpu-mps-no-own-shm",
        "staging",
        "a volume at /dev/shm",
        change(
            CRON_JOB,
            lambda i: pod(i)["containers"][0]["volumeMounts"].append({"name": "scratch", "mountPath": "/dev/shm"}),
        ),
    )

    yield "ollama-version-pinned", "dev", "an old version", ollama("ollama/ollama:0.17.0")
    yield "ollama-version-pinned", "dev", "a floating tag", ollama("ollama/ollama:latest")
    yield "ollama-context-and-keep-alive", "dev", "no context length", ollama(context="")
    yield "ollama-fits-slot", "dev", "a long context", ollama(context="32768")
    yield "ollama-fits-slot", "staging", "a large model", ollama(model="llama3.1:70b")
    everybody = {
        "metadata": {"name": "all"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "Group", "name": "system:authenticated"}],
    }
    binding = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"
    yield "k8s-rbac-not-for-all", "dev", "a binding for everybody", plus(binding, everybody)
    annotations = {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing"}
    page = {
        "metadata": {"name": "page", "annotations": annotations},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    }
    yield "k8s-public-tls", "dev", "a public page without TLS", plus("kubernetes:core/v1:Service", page)
    yield (
        "eks-no-root-access",
        "dev",
        "access for the account",
        plus("aws:eks/accessEntry:AccessEntry", {"principalArn": "arn:aws:iam::111122223333:root"}),
    )
    yield "ollama-models-told", "dev", "no model named", ollama(model="")
    elsewhere = {"templateUrl": "https://templates.example.com/gpu.yaml"}
    yield "contents-can-be-seen", "dev", "a template elsewhere", plus("aws:cloudformation/stack:Stack", elsewhere)
    yield "ollama-not-public", "dev", "a public route", ollama(**{"networking.knative.dev/visibility": "public"})


MUTANTS = [Mutant(*found) for found in _mutants()]
