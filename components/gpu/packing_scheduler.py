"""PackingScheduler: a second kube-scheduler, which fills GPU nodes one after the other.

EKS runs the default scheduler and lets nobody configure it. This one has a profile of its own (`gpu.scheduler`) and
places only pods that name it; without it those pods wait, and nothing else does. Two pods, of which one leads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import yaml

import versions
from components.arguments import Arguments, check_minor
from components.cluster.system_nodes import SYSTEM_NODE_LABEL, SYSTEM_NODE_TOLERATION
from components.options import child_options
from components.pods import restricted_admission, restricted_container, restricted_pod
from components.sdk import k8s
from gpu.contract import NAME_LABEL, SETTINGS_ANNOTATION
from gpu.scheduler import PACKING_SCHEDULER, packing_profile
from gpu.system_pods import PACKING_SCHEDULER_POD, PACKING_SCHEDULER_REPLICAS

NAMESPACE = "gpu-scheduler"

#: As the images of Kubernetes' control plane name "nobody" (build/common.sh).
_USER = 65534
#: `DefaultKubeSchedulerPort`; by TLS with a certificate of its own making.
_PORT = 10259
_FOLDER = "/etc/kube-scheduler"
_FILE = "scheduler.yaml"
_LABELS = {NAME_LABEL: PACKING_SCHEDULER}
#: Roles that every API server makes itself (rbac/bootstrappolicy): what a scheduler reads and binds, and its volumes.
_CLUSTER_ROLES = ("system:kube-scheduler", "system:volume-scheduler")
#: In kube-system: who may ask for its health and figures is decided by the API server.
_AUTHENTICATION_ROLE = "extension-apiserver-authentication-reader"


@dataclass(frozen=True, kw_only=True)
class PackingSchedulerArgs(Arguments):
    """Inputs of `PackingScheduler`.

    kubernetes_version: minor of the cluster, of `versions.KUBE_SCHEDULER_IMAGES`: a scheduler may be a minor older than
        the API server, never newer (Kubernetes' version skew policy). ValueError for others.
    node_selector: labels of the nodes that stay, on which it runs; empty for any.
    """

    kubernetes_version: str
    node_selector: Mapping[str, str] = field(default_factory=lambda: dict(SYSTEM_NODE_LABEL))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_minor("images of the scheduler", self.kubernetes_version, versions.KUBE_SCHEDULER_IMAGES)


class PackingScheduler(pulumi.ComponentResource):
    """Namespace, rights, configuration and the scheduler's two pods. Needs a Kubernetes provider.

    Pods name it as `scheduler_name`. Let what does depend on it: without it they wait.
    """

    scheduler_name: str

    def __init__(self, name: str, args: PackingSchedulerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:PackingScheduler", name, None, opts)
        self._name, self._opts = name, opts
        self.scheduler_name = PACKING_SCHEDULER
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": NAMESPACE, "labels": restricted_admission()},
            opts=child_options(self, opts),
        )
        self._inside = child_options(self, opts, namespace)
        account = k8s.core.v1.ServiceAccount(f"{name}-account", metadata=_metadata(), opts=self._inside)
        written = configuration()
        settings = k8s.core.v1.ConfigMap(
            f"{name}-settings", metadata=_metadata(), data={_FILE: written}, opts=self._inside
        )
        before = [account, settings, *self._rights(account)]
        k8s.apps.v1.Deployment(
            name,
            metadata=_metadata(),
            spec=_deployment(args, written),
            opts=child_options(self, opts, *before),
        )
        budget: Any = {"maxUnavailable": 1, "selector": {"matchLabels": _LABELS}}
        k8s.policy.v1.PodDisruptionBudget(f"{name}-budget", metadata=_metadata(), spec=budget, opts=self._inside)
        self.register_outputs({"schedulerName": self.scheduler_name})

    def _rights(self, account: pulumi.Resource) -> list[pulumi.Resource]:
        """Those of any scheduler, and a lease of its own: the role knows that of the default scheduler alone."""
        of_account = child_options(self, self._opts, account)
        roles: list[pulumi.Resource] = [
            k8s.rbac.v1.ClusterRoleBinding(
                f"{self._name}-{role.removeprefix('system:')}",
                metadata={"name": f"{PACKING_SCHEDULER}-{role.removeprefix('system:')}"},
                role_ref=_ref("ClusterRole", role),
                subjects=[_SUBJECT],
                opts=of_account,
            )
            for role in _CLUSTER_ROLES
        ]
        lease = k8s.rbac.v1.Role(f"{self._name}-lease", metadata=_metadata(), rules=_LEASE_RULES, opts=self._inside)
        return [
            *roles,
            k8s.rbac.v1.RoleBinding(
                f"{self._name}-lease",
                metadata=_metadata(),
                role_ref=_ref("Role", PACKING_SCHEDULER),
                subjects=[_SUBJECT],
                opts=child_options(self, self._opts, account, lease),
            ),
            k8s.rbac.v1.RoleBinding(
                f"{self._name}-authentication",
                metadata={"name": PACKING_SCHEDULER, "namespace": "kube-system"},
                role_ref=_ref("Role", _AUTHENTICATION_ROLE),
                subjects=[_SUBJECT],
                opts=of_account,
            ),
        ]


_SUBJECT: Any = {"kind": "ServiceAccount", "name": PACKING_SCHEDULER, "namespace": NAMESPACE}
_LEASE_RULES: Any = [
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": [PACKING_SCHEDULER],
        "verbs": ["get", "list", "watch", "update", "patch"],
    },
]


def _ref(kind: str, name: str) -> Any:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}


def _metadata() -> Any:
    return {"name": PACKING_SCHEDULER, "namespace": NAMESPACE, "labels": _LABELS}


def configuration() -> str:
    """The scheduler's configuration, as YAML."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {
                "leaderElect": True,
                "resourceNamespace": NAMESPACE,
                "resourceName": PACKING_SCHEDULER,
            },
            "profiles": [packing_profile()],
        },
        sort_keys=False,
    )


def _deployment(args: PackingSchedulerArgs, settings: str) -> Any:
    requests = {"cpu": f"{PACKING_SCHEDULER_POD.cpu_millis}m", "memory": f"{PACKING_SCHEDULER_POD.memory_mib}Mi"}
    container = restricted_container(
        PACKING_SCHEDULER_POD.container, versions.KUBE_SCHEDULER_IMAGES[args.kubernetes_version], requests
    )
    container["resources"]["limits"] = {"memory": "512Mi"}
    healthy = {"scheme": "HTTPS", "port": _PORT}
    container |= {
        "command": ["kube-scheduler", f"--config={_FOLDER}/{_FILE}", f"--secure-port={_PORT}"],
        "ports": [{"name": "https", "containerPort": _PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/readyz", **healthy}, "periodSeconds": 10},
        "livenessProbe": {"httpGet": {"path": "/livez", **healthy}, "periodSeconds": 15, "failureThreshold": 8},
        "volumeMounts": [{"name": "settings", "mountPath": _FOLDER, "readOnly": True}],
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        # One system node is enough to run both.
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _LABELS},
    }
    pod = restricted_pod(_USER) | {
        # It must come back before those that it places.
        "priorityClassName": "system-cluster-critical",
        "serviceAccountName": PACKING_SCHEDULER,
        "automountServiceAccountToken": True,
        **({"nodeSelector": dict(args.node_selector)} if args.node_selector else {}),
        "tolerations": [SYSTEM_NODE_TOLERATION],
        "topologySpreadConstraints": [spread],
        "containers": [container],
        "volumes": [{"name": "settings", "configMap": {"name": PACKING_SCHEDULER}}],
    }
    # A scheduler reads its configuration once: another one needs other pods.
    read = {SETTINGS_ANNOTATION: hashlib.sha256(settings.encode()).hexdigest()[:16]}
    return {
        "replicas": PACKING_SCHEDULER_REPLICAS,
        "selector": {"matchLabels": _LABELS},
        "template": {"metadata": {"labels": _LABELS, "annotations": read}, "spec": pod},
    }
