"""Dialogue: the page on which models talk to each other, as a Knative service. The only service that people reach.

It sleeps too: a page that nobody opens costs nothing. One pod at most: one holds a conversation at a time, and more
would only show it. While it is there somebody talks, or has until a few minutes ago, so that its node is not taken away
to save money (`karpenter.sh/do-not-disrupt`, always: nobody needs to be allowed to change pods for it).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import pulumi

import versions
from components.arguments import Arguments
from components.karpenter.cpu_pool import INTENT_LABEL, INTENT_TOLERATION, Architecture
from components.options import child_options
from components.pods import restricted_admission, restricted_container, restricted_pod
from components.sdk import k8s
from components.serving import conversations
from components.serving.conversation_table import EGRESS
from components.serving.knative_config import INTERNAL_PORT, LONGEST_SECONDS, PROXIES, QUEUE_PORTS
from components.serving.knative_config import NAMESPACE as KNATIVE_NAMESPACE
from components.serving.knative_serving import CLIENT_LABEL
from components.serving.network_policy import DNS, namespace_peer, network_policy, tcp
from gpu.contract import (
    ARCH_LABEL,
    DO_NOT_DISRUPT_ANNOTATION,
    MAX_SCALE_ANNOTATION,
    METRICS_CLIENT_LABEL,
    MIN_SCALE_ANNOTATION,
    RETENTION_ANNOTATION,
    SETTINGS_ANNOTATION,
    VISIBILITY_LABEL,
)

NAMESPACE = "dialogue"
SERVICE = "dialogue"
SERVICE_ACCOUNT = "dialogue"
#: Name inside the cluster.
INTERNAL_HOST = f"{SERVICE}.{NAMESPACE}.svc.cluster.local"
#: Name of the file in the Secret: one `name:key` a line.
KEYS_FILE = "keys"

#: As in apps/dialogue/settings.py.
_FEWEST_SPEAKERS = 2
_PORT = 8080
#: Of `/metrics`: as exporters of OpenTelemetry have it; queue-proxy has 9090 and 9091.
METRICS_PORT = 9464
#: As in apps/dialogue/Dockerfile; any user does.
_USER = 65532
_SETTINGS_FILE = "dialogue.json"
#: Measured on 2026-11-29 (`python -m bench.dialogue`, a busy machine, Python 3.11), one conversation at 50 tokens/s
#: with 1, 50 and 200 watchers: 33, 151 and 488 millicores, 52, 54 and 61 MiB. It is one process, which more than one
#: processor would not help; each kept conversation is about 1 MiB more at most, of which there are 100.
_RESOURCES = {"requests": {"cpu": "150m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}


@dataclass(frozen=True, kw_only=True)
class Speaker(Arguments):
    """A model that takes part. Seconds: where the time of its cold start goes, for the page's waiting states.

    own: settings of the stack file that go before these, by the application's names.
    """

    name: str
    model: str
    url: str
    context_length: int
    guest: bool
    node_seconds: float
    image_seconds: float
    weights_seconds: float
    own: Mapping[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """As the application's settings have it (apps/dialogue/settings.py)."""
        wake = {"node": self.node_seconds, "image": self.image_seconds, "weights": self.weights_seconds}
        return {
            "name": self.name,
            "model": self.model,
            "url": self.url,
            "guest": self.guest,
            "context_tokens": self.context_length,
            "wake": {step: round(seconds) for step, seconds in wake.items()},
            **self.own,
        }


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of DynamoDB."""

    name: pulumi.Input[str]
    region: str


@dataclass(frozen=True, kw_only=True)
class DialogueArgs(Arguments):
    """Inputs of `Dialogue`.

    image: the application's, with a digest.
    arch: for which the image is built.
    settings: of the application, beside its speakers (`title`, `limits`), by its own names.
    keys_secret: name of a Secret in this namespace, with the API keys in a file `keys`. Somebody makes it, by hand, by
    an operator or by `slices open dialogue`: no key passes through Pulumi. Without it no pod starts.
    public: whether the load balancer leads to it; otherwise it is reached from inside the cluster only.
    storage_class: of the volume on which conversations are kept. None: they are kept in the pod, and end with it.
    table: table of DynamoDB in which they are kept instead, and its region; the pod's service account, which is this
        component's, needs a role for it (`ConversationTable`).
    node_selector: labels of the nodes that it may run on, beside the architecture; those of `CpuPool` by default.
    """

    image: pulumi.Input[str]
    arch: Architecture
    speakers: Sequence[Speaker]
    settings: Mapping[str, Any] = field(default_factory=dict)
    keys_secret: str = "dialogue-keys"
    public: bool = False
    storage_class: str | None = None
    table: Table | None = None
    node_selector: Mapping[str, str] = field(default_factory=lambda: dict(INTENT_LABEL))

    def __post_init__(self) -> None:
        """Raise ValueError for what the application, or the nodes, would not take."""
        super().__post_init__()
        if self.arch not in get_args(Architecture):
            raise ValueError(f"dialogue: arch is {self.arch!r}: write {' or '.join(get_args(Architecture))}")
        if sum(not speaker.guest for speaker in self.speakers) < _FEWEST_SPEAKERS:
            raise ValueError("dialogue: speakers must have two that are no guests")


class Dialogue(pulumi.ComponentResource):
    """Namespace, settings, walls and the service. Needs a Kubernetes provider.

    Let it depend on Knative, the models, and the pools that it may run on.
    """

    def __init__(self, name: str, args: DialogueArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:Dialogue", name, None, opts)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": NAMESPACE, "labels": {**restricted_admission(), **CLIENT_LABEL}},
            opts=pulumi.ResourceOptions(parent=self),
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        policy = network_policy(f"{name}-walls", "walls", NAMESPACE, _walls(args), inside)
        written = json.dumps(_settings(args), indent=2, ensure_ascii=False)
        settings = k8s.core.v1.ConfigMap(
            f"{name}-settings",
            metadata={"name": "dialogue", "namespace": NAMESPACE},
            data={_SETTINGS_FILE: written},
            opts=inside,
        )
        before = [namespace, policy, settings]
        if args.table:
            metadata: Any = {"name": SERVICE_ACCOUNT, "namespace": NAMESPACE}
            before.append(k8s.core.v1.ServiceAccount(f"{name}-account", metadata=metadata, opts=inside))
        elif args.storage_class:
            before.append(conversations.claim(f"{name}-conversations", NAMESPACE, args.storage_class, inside))
        k8s.apiextensions.CustomResource(
            name,
            api_version=versions.KNATIVE_SERVING_API,
            kind="Service",
            metadata={
                "name": SERVICE,
                "namespace": NAMESPACE,
                **({} if args.public else {"labels": {VISIBILITY_LABEL: "cluster-local"}}),
                "annotations": {"pulumi.com/waitFor": "condition=Ready"},
            },
            spec={"template": _template(args, hashlib.sha256(written.encode()).hexdigest()[:16])},
            opts=child_options(self, opts, *before),
        )
        self.register_outputs({})


def _settings(args: DialogueArgs) -> dict[str, Any]:
    # Hops can be trusted since nobody reaches the pod but by them (`_walls`).
    platform = {"trusted_hops": PROXIES, "metrics_port": METRICS_PORT}
    return {**args.settings, **platform, "speakers": [speaker.settings() for speaker in args.speakers]}


def _walls(args: DialogueArgs) -> dict[str, Any]:
    knative = [namespace_peer(KNATIVE_NAMESPACE)]
    return {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": knative, "ports": tcp(*QUEUE_PORTS)},
            {
                "from": [{"namespaceSelector": {"matchLabels": {METRICS_CLIENT_LABEL: "true"}}}],
                "ports": tcp(METRICS_PORT),
            },
        ],
        # Models are reached through Kourier: port 80 of its Service, INTERNAL_PORT of its pods.
        "egress": [DNS, {"to": knative, "ports": tcp(80, INTERNAL_PORT)}, *(EGRESS if args.table else ())],
    }


def _template(args: DialogueArgs, settings_digest: str) -> dict[str, Any]:
    container = restricted_container("dialogue", "", {})
    container |= {
        "resources": _RESOURCES,
        "image": args.image,
        "args": ["serve"],
        "env": [
            {"name": "DIALOGUE_KEYS_FILE", "value": f"/etc/dialogue-keys/{KEYS_FILE}"},
            *_store(args),
        ],
        "ports": [{"name": "http1", "containerPort": _PORT}],
        "volumeMounts": [
            {"name": "settings", "mountPath": "/etc/dialogue", "readOnly": True},
            {"name": "keys", "mountPath": "/etc/dialogue-keys", "readOnly": True},
            *([] if args.table else [conversations.mount()]),
        ],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": _PORT}, "successThreshold": 1},
    }
    pod = restricted_pod(_USER)
    kept = _kept(args)
    return {
        "metadata": {
            "annotations": {
                DO_NOT_DISRUPT_ANNOTATION: "true",
                MIN_SCALE_ANNOTATION: "0",
                MAX_SCALE_ANNOTATION: "1",
                RETENTION_ANNOTATION: "5m",
                # The service reads its settings when it starts: others need another revision.
                SETTINGS_ANNOTATION: settings_digest,
            }
        },
        "spec": {
            **pod,
            **kept,
            "securityContext": {**pod["securityContext"], **kept.get("securityContext", {})},
            # Watchers hold a request each, for as long as they watch.
            "containerConcurrency": 0,
            "timeoutSeconds": LONGEST_SECONDS,
            "nodeSelector": {**args.node_selector, ARCH_LABEL: args.arch},
            "tolerations": [INTENT_TOLERATION],
            "containers": [container],
            "volumes": [
                {"name": "settings", "configMap": {"name": "dialogue"}},
                {"name": "keys", "secret": {"secretName": args.keys_secret}},
                *kept.get("volumes", ()),
            ],
        },
    }


def _store(args: DialogueArgs) -> list[dict[str, Any]]:
    """Variables of the environment that say where conversations are kept."""
    if args.table is None:
        return [{"name": "DIALOGUE_STORE", "value": conversations.STORE}]
    return [
        {"name": "DIALOGUE_STORE_TABLE", "value": args.table.name},
        {"name": "AWS_REGION", "value": args.table.region},
    ]


def _kept(args: DialogueArgs) -> dict[str, Any]:
    """Fields of the pod's specification that keeping conversations needs."""
    if args.table is None:
        return conversations.pod_parts(SERVICE, _USER, args.storage_class)
    return {"serviceAccountName": SERVICE_ACCOUNT}
