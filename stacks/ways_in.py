"""How people get at what a stack serves: addresses, and the commands that come next."""

from __future__ import annotations

from components.gpu.gpu_workload import namespace_of
from components.serving.dialogue import INTERNAL_HOST, SERVICE
from config.schema import Dialogue, StackConfig
from gpu.standing import NODE_ROLE_SUFFIX

#: Groups of nodes in Kubernetes (EKS user guide).
_NODES = ("system:bootstrappers", "system:nodes")


def service_of(config: StackConfig) -> Dialogue | None:
    """The dialogue, where it is a service of the stack."""
    return config.dialogue if config.dialogue and config.dialogue.image else None


def dialogue_url(config: StackConfig) -> str | None:
    """The page's address: for people where there is a door, else inside the cluster; None without a service."""
    if service_of(config) is None:
        return None
    door = config.serving.door
    if door is None:
        return f"http://{INTERNAL_HOST}"
    return f"{'http' if door.plain_http is not None else 'https'}://{SERVICE}.{door.domain}"


def aws_auth(config: StackConfig) -> str | None:
    """What lets the nodes of the stack's own Karpenter into a cluster that knows `aws-auth` alone; None elsewhere.

    Entry as in the EKS user guide, "Grant IAM users access to Kubernetes with a ConfigMap".
    """
    if config.cluster.authentication_mode != "CONFIG_MAP" or config.karpenter.existing:
        return None
    role = f"arn:aws:iam::ACCOUNT:role/{config.cluster_name}{NODE_ROLE_SUFFIX}"
    entry = f"- {{rolearn: {role}, username: 'system:node:{{{{EC2PrivateDNSName}}}}', groups: [{', '.join(_NODES)}]}}"
    return (
        f"cluster {config.cluster_name} knows no access entries, and the stack does not touch aws-auth: its nodes "
        f"never join until mapRoles there has: {entry}"
    )


def next_steps(config: StackConfig, update_kubeconfig: str) -> list[str]:
    """Commands for a shell in the project's folder, in their order, once the stack is built."""
    steps = [update_kubeconfig, "kubectl get nodepools"]
    if aws_auth(config):
        steps.insert(1, "kubectl -n kube-system edit configmap aws-auth")
    if config.examples:
        steps.append("kubectl -n examples create job --from=cronjob/cuda-vector-add hello-gpu")
    if config.models:
        steps.append("kubectl -n models get ksvc")
    namespaces = dict.fromkeys(namespace_of(each.security_context.run_as_user) for each in config.on_request)
    steps += [f"kubectl -n {namespace} get ksvc" for namespace in namespaces]
    if service_of(config):
        steps.append(f".venv/bin/slices open dialogue {config.stack}")
    if config.monitoring.backend == "prometheus":
        steps.append(f".venv/bin/slices open monitoring {config.stack}")
    return steps
