"""SoftBrake: from 80 % of the budget on Karpenter buys no more GPU nodes; what runs goes on.

Once an hour a job asks AWS whether the budget's notification is in alarm, and says so to Karpenter in its own words: a
limit of no memory on each GPU NodePool. Pods that find no free slot then wait, and Karpenter's event on them says
that the pool's limits are exceeded.

Why by limits, and not by an admission policy that refuses NodeClaims: Karpenter takes a refusal for a fault of the API
server. It tries again every ten seconds, logs an error each time, and says nothing to the pod (seen with core 1.15;
pkg/controllers/provisioning/provisioner.go, `Reconcile`). Other pools it serves as ever, in both ways.

Why this does not quarrel with who makes the NodePools: `spec.limits` is a map, in which server-side apply gives each
key an owner of its own. `memory` (of the host) is the job's, and nobody else's here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pulumi
import yaml

import versions
from components.cluster.pod_identity import OwnPolicy, PodRoleArgs, pod_access
from components.cluster.system_nodes import SYSTEM_NODE_LABEL, SYSTEM_NODE_TOLERATION
from components.money.budget import SOFT_BRAKE_AT
from components.options import child_options
from components.pods import restricted_admission, restricted_container, restricted_pod
from components.sdk import k8s
from components.serving.network_policy import DNS, network_policy, tcp
from gpu.contract import BRAKE_ANNOTATION, NAME_LABEL
from gpu.system_pods import SOFT_BRAKE_POD

NAMESPACE: Final = "budget-brake"
NAME: Final = "soft-brake"
#: Owner of the limit among the NodePools' field managers.
MANAGER: Final = "gpu-slices-soft-brake"
#: ConfigMap that people make to take the brake off, and its key: a month as YYYY-MM (UTC), in which alone it counts.
RELEASE_MAP, RELEASE_KEY = "released", "month"
#: Once an hour: AWS counts a few times a day (AWS Cost Management user guide, "Managing your costs with AWS Budgets").
SCHEDULE: Final = "17 * * * *"
#: What no pool of GPUs can stay below, and no pool of ours has a limit of.
LIMIT: Final = {"memory": "0"}

_USER = 65534
_FOLDER = "/brake"
_SCRIPT = "soft_brake.sh"
_MANIFEST = "/tmp/nodepools.yaml"
_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class SoftBrakeArgs:
    """Inputs of `SoftBrake`.

    budget_name: a budget of the account that has a notification at `SOFT_BRAKE_AT` percent (`Budget`).
    pools: NodePools that the brake holds. others: GPU NodePools that it leaves alone, such as those of capacity that is
        paid for anyway; listed, since one may have been among `pools` before.
    node_selector: labels of the nodes that stay, on which the job runs; empty for any.
    after: what the association needs: the cluster with its agent of Pod Identity.
    """

    cluster_name: str
    account_id: pulumi.Input[str]
    partition: str = "aws"
    budget_name: str
    pools: Sequence[str]
    others: Sequence[str] = ()
    node_selector: Mapping[str, str] = field(default_factory=lambda: dict(SYSTEM_NODE_LABEL))
    tags: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[pulumi.Resource] = ()


class SoftBrake(pulumi.ComponentResource):
    """Namespace with walls, the job and its rights: to read one budget, and to change the named NodePools.

    Needs an AWS and a Kubernetes provider. Let it depend on the NodePools. Whoever takes it away while the brake is on
    takes the brake off first: nobody else does.
    """

    def __init__(self, name: str, args: SoftBrakeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:SoftBrake", name, None, opts)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": NAMESPACE, "labels": restricted_admission()},
            opts=child_options(self, opts),
        )
        inside = child_options(self, opts, namespace)
        account = k8s.core.v1.ServiceAccount(f"{name}-account", metadata=_metadata(), opts=inside)
        walls = network_policy(f"{name}-walls", "walls", NAMESPACE, _WALLS, inside)
        files = {_SCRIPT: script(), **manifests(args.pools, args.others)}
        shown = k8s.core.v1.ConfigMap(f"{name}-manifests", metadata=_metadata(), data=files, opts=inside)
        role = k8s.rbac.v1.ClusterRole(
            name, metadata=_cluster_metadata(), rules=_rules(args), opts=child_options(self, opts)
        )
        binding = k8s.rbac.v1.ClusterRoleBinding(
            name,
            metadata=_cluster_metadata(),
            role_ref=_ROLE,
            subjects=[_ACCOUNT],
            opts=child_options(self, opts, account, role),
        )
        k8s.batch.v1.CronJob(
            name,
            metadata=_metadata(),
            spec=_cron_job(args),
            opts=child_options(self, opts, account, walls, shown, binding, self._identity(name, args)),
        )
        self.register_outputs({})

    def _identity(self, name: str, args: SoftBrakeArgs) -> pulumi.Resource:
        """What lets the job read the budget, and nothing else."""
        return pod_access(
            name,
            PodRoleArgs(
                cluster_name=args.cluster_name,
                account_id=args.account_id,
                partition=args.partition,
                namespace=NAMESPACE,
                service_account=NAME,
                tags=args.tags,
            ),
            OwnPolicy(
                name=name,
                key="budget",
                description=f"The soft brake of {args.cluster_name}: whether its budget is in alarm",
                document=_may_read(args),
            ),
            self,
            pulumi.ResourceOptions(parent=self, depends_on=[*args.after]),
        )


def script() -> str:
    """The script that asks AWS; see `soft_brake.sh`."""
    return Path(__file__).with_name(_SCRIPT).read_text(encoding="utf-8")


def manifests(pools: Sequence[str], others: Sequence[str] = ()) -> dict[str, str]:
    """What the job applies, by file: of each NodePool the fields that are the brake's. A field that is not there goes.

    An annotation says what holds, for people.
    """
    said = {
        "on": f"on: {SOFT_BRAKE_AT} % of the budget is spent",
        "off": None,
        "released": "off: released by hand until the month ends",
        "unknown": "off: AWS did not say what is spent",
    }
    return {
        f"{state}.yaml": yaml.safe_dump_all(
            [
                *(_node_pool(pool, text, braked=state == "on") for pool in pools),
                *(_node_pool(pool, None, braked=False) for pool in others),
            ],
            sort_keys=False,
        )
        for state, text in said.items()
    }


def _node_pool(name: str, text: str | None, *, braked: bool) -> dict[str, Any]:
    annotations = {"annotations": {BRAKE_ANNOTATION: text}} if text else {}
    return {
        "apiVersion": versions.NODE_POOL_API,
        "kind": "NodePool",
        "metadata": {"name": name, **annotations},
        **({"spec": {"limits": dict(LIMIT)}} if braked else {}),
    }


def _may_read(args: SoftBrakeArgs) -> pulumi.Output[str]:
    # Service authorization reference of AWS Budgets: ViewBudget is what DescribeNotificationsForBudget asks for.
    budget = pulumi.Output.concat("arn:", args.partition, ":budgets::", args.account_id, ":budget/", args.budget_name)
    statement = {"Effect": "Allow", "Action": "budgets:ViewBudget", "Resource": budget}
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]})


def _rules(args: SoftBrakeArgs) -> Any:
    """Server-side apply of what is there asks for `patch` alone; what is not there it may not make."""
    return [
        {
            "apiGroups": ["karpenter.sh"],
            "resources": ["nodepools"],
            "resourceNames": [*args.pools, *args.others],
            "verbs": ["patch"],
        }
    ]


#: Nobody comes in. Out: names, the agent of Pod Identity, AWS Budgets (which has public addresses only), and the API
#: server, whose addresses in the VPC nobody knows beforehand.
_WALLS: Final[dict[str, Any]] = {
    "podSelector": {},
    "policyTypes": ["Ingress", "Egress"],
    "egress": [
        DNS,
        {"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": tcp(80)},
        {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}], "ports": tcp(443)},
    ],
}


_ROLE: Final[Any] = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": MANAGER}
_ACCOUNT: Final[Any] = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}


def _metadata() -> Any:
    return {"name": NAME, "namespace": NAMESPACE, "labels": {NAME_LABEL: NAME}}


def _cluster_metadata() -> Any:
    return {"name": MANAGER, "labels": {NAME_LABEL: NAME}}


def _cron_job(args: SoftBrakeArgs) -> Any:
    pod = restricted_pod(_USER) | {
        "serviceAccountName": NAME,
        "restartPolicy": "Never",
        **({"nodeSelector": dict(args.node_selector)} if args.node_selector else {}),
        "tolerations": [SYSTEM_NODE_TOLERATION],
        "initContainers": [_asking(args)],
        "containers": [_telling()],
        "volumes": [
            {"name": "manifests", "configMap": {"name": NAME}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "16Mi"}},
            {"name": "token", "projected": {"sources": _TOKEN}},
        ],
    }
    return {
        "schedule": SCHEDULE,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": _SECONDS,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {
            "spec": {
                "backoffLimit": 2,
                "activeDeadlineSeconds": _SECONDS,
                "template": {"metadata": {"labels": {NAME_LABEL: NAME}}, "spec": pod},
            }
        },
    }


def _asking(args: SoftBrakeArgs) -> dict[str, Any]:
    """Asks AWS, and writes which manifest holds: its image has a shell, and no kubectl."""
    released = {"configMapKeyRef": {"name": RELEASE_MAP, "key": RELEASE_KEY, "optional": True}}
    return _container("ask", versions.AWS_CLI_IMAGE) | {
        "command": ["/bin/sh", f"{_FOLDER}/{_SCRIPT}"],
        "env": [
            {"name": "ACCOUNT_ID", "value": args.account_id},
            {"name": "BUDGET_NAME", "value": args.budget_name},
            {"name": "PERCENT", "value": str(SOFT_BRAKE_AT)},
            {"name": "RELEASED_IN", "valueFrom": released},
            {"name": "WANTED", "value": _MANIFEST},
            {"name": "AWS_RETRY_MODE", "value": "standard"},
            {"name": "AWS_MAX_ATTEMPTS", "value": "5"},
            {"name": "AWS_EC2_METADATA_DISABLED", "value": "true"},
            {"name": "HOME", "value": "/tmp"},
        ],
        "volumeMounts": [{"name": "manifests", "mountPath": _FOLDER, "readOnly": True}, _SCRATCH],
    }


def _telling() -> dict[str, Any]:
    """Applies it: its image has kubectl, and no shell."""
    return _container("apply", versions.KUBECTL_IMAGE) | {
        "args": ["apply", "--server-side", f"--field-manager={MANAGER}", f"--filename={_MANIFEST}"],
        "env": [{"name": "HOME", "value": "/tmp"}],
        "volumeMounts": [_SCRATCH, {"name": "token", "mountPath": _TOKEN_FOLDER, "readOnly": True}],
    }


_SCRATCH: Final = {"name": "scratch", "mountPath": "/tmp"}
#: What the API server would mount into both containers, for the one that speaks to it (Kubernetes, "Managing service
#: accounts", "Bound service account token volume").
_TOKEN_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN: Final[list[dict[str, Any]]] = [
    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    {
        "downwardAPI": {
            "items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]
        }
    },
]


def _container(name: str, image: str) -> dict[str, Any]:
    requests = {"cpu": f"{SOFT_BRAKE_POD.cpu_millis}m", "memory": f"{SOFT_BRAKE_POD.memory_mib}Mi"}
    container = restricted_container(name, image, requests)
    # Both work for seconds, once an hour.
    container["resources"]["limits"] = {"cpu": "1", "memory": "256Mi"}
    return container
