"""The processes that a twin consists of, with their command lines.

What each flag is for stands beside it where it is not obvious; the versions come from `twin/machine/tools`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from gpu.scheduler import packing_profile
from twin.machine.processes import Spec
from twin.machine.state import Run, TwinState, write_text

#: What needs a port of its own.
PORTS = ("etcd", "etcd-peer", "apiserver", "aws", "karpenter-metrics", "karpenter-health")

#: The garbage collector ends a NodePool's nodes (by owner references); node-lifecycle takes the not-ready taint off
#: new nodes; the others run the workloads.
_CONTROLLERS = (
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    # Makes claims for devices (DRA) from a pod's templates.
    "resourceclaim-controller",
    "statefulset-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
)


def _scheduler(state: TwinState) -> str:
    """Both schedulers in one process, which gives the same placements: EKS' own, and the one that packs."""
    return json.dumps(
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": False},
            "clientConnection": {"kubeconfig": str(state.kubeconfig), "qps": 500, "burst": 1000},
            "profiles": [{"schedulerName": "default-scheduler"}, packing_profile()],
        }
    )


def control_plane(state: TwinState, run: Run, programs: Path) -> list[Spec]:
    """etcd, API server, scheduler and controllers."""
    write_text(state.folder / "scheduler.yaml", _scheduler(state))
    etcd = f"http://127.0.0.1:{run.ports['etcd']}"
    peer = f"http://127.0.0.1:{run.ports['etcd-peer']}"
    pki = state.pki
    kubeconfig = f"--kubeconfig={state.kubeconfig}"
    return [
        Spec(
            name="etcd",
            program=str(programs / "etcd"),
            arguments=[
                f"--data-dir={state.folder / 'etcd'}",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                # A twin may lose its last writes when the machine loses power; it may not be slow.
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        ),
        Spec(
            name="kube-apiserver",
            program=str(programs / "kube-apiserver"),
            arguments=[
                f"--etcd-servers={etcd}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--secure-port={run.ports['apiserver']}",
                f"--tls-cert-file={pki / 'apiserver.crt'}",
                f"--tls-private-key-file={pki / 'apiserver.key'}",
                f"--token-auth-file={pki / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                # Pods get no tokens: nothing runs in them.
                "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
                "--enable-priority-and-fairness=false",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={pki / 'accounts.key'}",
                f"--service-account-signing-key-file={pki / 'accounts.key'}",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--endpoint-reconciler-type=none",
            ],
            environment={"GOGC": "200"},
            needs=[run.ports["etcd"]],
        ),
        Spec(
            name="kube-scheduler",
            program=str(programs / "kube-scheduler"),
            arguments=[f"--config={state.folder / 'scheduler.yaml'}", "--secure-port=0"],
            needs=[run.ports["apiserver"]],
        ),
        Spec(
            name="kube-controller-manager",
            program=str(programs / "kube-controller-manager"),
            arguments=[
                kubeconfig,
                "--leader-elect=false",
                "--secure-port=0",
                f"--controllers={','.join(_CONTROLLERS)}",
                "--use-service-account-credentials=false",
                "--kube-api-qps=300",
                "--kube-api-burst=500",
                # New nodes come in dozens, and each add-on's pods must be on all of them.
                "--concurrent-daemonset-syncs=8",
                # The twin's nodes send no heartbeats: at a thousand pods they would be most of the traffic.
                "--node-monitor-grace-period=8760h",
            ],
            needs=[run.ports["apiserver"]],
        ),
    ]


def kwok(state: TwinState, run: Run, programs: Path) -> Spec:
    """Plays the kubelets, by the stages that `twin.play.stages` wrote."""
    stages = str(state.folder / "stages.yaml").replace('"', '""')
    return Spec(
        name="kwok",
        program=str(programs / "kwok"),
        arguments=[
            f"--kubeconfig={state.kubeconfig}",
            "--manage-all-nodes",
            # Without leases a restarted kwok takes its nodes over at once.
            "--node-lease-duration-seconds=0",
            f'--config="{stages}"',  # a list, read as a line of CSV
        ],
        needs=[run.ports["apiserver"]],
    )


def aws(run: Run, fingerprint: str) -> Spec:
    """Plays AWS: moto, seeded from the plan. fingerprint: changes with the plan, and with it the process."""
    return Spec(
        name="aws",
        program="",
        module="twin.aws",
        arguments=[str(run.ports["aws"])],
        environment={"TWIN_CLOUD": fingerprint},
    )


def agent(run: Run, fingerprint: str) -> Spec:
    """Plays device plugins and Knative, and counts dollars. fingerprint: changes with the plan."""
    return Spec(
        name="agent",
        program="",
        module="twin.play.agent",
        arguments=[],
        environment={"TWIN_PLAN": fingerprint},
        needs=[run.ports["apiserver"]],
    )


def karpenter(run: Run, programs: Path, settings: Mapping[str, str], region: str, kubeconfig: Path) -> Spec:
    """The real AWS provider in its kwok flavour: EC2's instances are its own, everything else it asks of `aws`.

    settings: the environment that the program's own values give the controller. kubeconfig: acts as its account.
    """
    return Spec(
        name="karpenter",
        program=str(programs / "karpenter"),
        arguments=[],
        needs=[run.ports["apiserver"], run.ports["aws"]],
        environment={
            **settings,
            "KUBECONFIG": str(kubeconfig),
            "GOGC": "200",
            "SYSTEM_NAMESPACE": "kube-system",
            "KARPENTER_SERVICE": "karpenter",
            "KUBERNETES_MIN_VERSION": "1.19.0-0",
            "DISABLE_LEADER_ELECTION": "true",
            "METRICS_PORT": str(run.ports["karpenter-metrics"]),
            "HEALTH_PROBE_PORT": str(run.ports["karpenter-health"]),
            "AWS_ENDPOINT_URL": run.aws,
            "AWS_REGION": region,
            "AWS_ACCESS_KEY_ID": "twin",
            "AWS_SECRET_ACCESS_KEY": "twin",
            "AWS_SESSION_TOKEN": "",
            "AWS_PROFILE": "",
            "AWS_EC2_METADATA_DISABLED": "true",
        },
    )
