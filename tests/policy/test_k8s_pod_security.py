"""Pods against the Pod Security Standards, in every kind that makes them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from policy.pods import PATCH_TYPES, POD_TYPES
from policy.rules.k8s_pod_security import RULE
from tests.policy.support import UNKNOWN, violations

POD = "kubernetes:core/v1:Pod"
TYPES = [pattern.replace("*", "v1") for pattern in POD_TYPES]
EVERY_TYPE = pytest.mark.parametrize("type_", TYPES)
Json = dict[str, Any]


def pod(*, pod_context: Json | None = None, container: Json | None = None, **spec: Any) -> Json:
    """A specification that the restricted level accepts, changed; None takes a field away."""
    context = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **(pod_context or {})}
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, **(container or {})}
    main = {"name": "main", "image": "registry/model:1", "securityContext": _without_none(own)}
    return _without_none({"securityContext": _without_none(context), "containers": [main], **spec})


def _without_none(given: Json) -> Json:
    return {name: value for name, value in given.items() if value is not None}


def inside(type_: str, spec: Any, namespace: Any = "models") -> Json:
    """The specification as that kind holds it."""
    metadata = {"name": "it", **({} if namespace is None else {"namespace": namespace})}
    template: Json = {"template": {"spec": spec}}
    by_kind: dict[str, Json] = {
        "Pod": {"spec": spec},
        "Revision": {"spec": spec},
        "PodTemplate": template,
        "CronJob": {"spec": {"jobTemplate": {"spec": template}}},
        "JobSet": {"spec": {"replicatedJobs": [{"template": {"spec": template}}]}},
        "LeaderWorkerSet": {"spec": {"leaderWorkerTemplate": {"workerTemplate": {"spec": spec}}}},
    }
    return {"metadata": metadata, **by_kind.get(type_.rpartition(":")[2].removesuffix("Patch"), {"spec": template})}


@EVERY_TYPE
def test_restricted_pods_pass_in_every_kind(type_: str) -> None:
    assert violations(RULE, type_, inside(type_, pod())) == []


@EVERY_TYPE
def test_privileged_pods_fail_in_every_kind(type_: str) -> None:
    (message,) = violations(RULE, type_, inside(type_, pod(container={"privileged": True})))
    assert message == "container main: privileged is true: remove it."


def volume(kind: str) -> Json:
    return {"volumes": [{"name": "data", kind: {}}]}


BASELINE: dict[str, Json] = {
    "host network": pod(hostNetwork=True),
    "host processes": pod(hostPID=True),
    "host IPC": pod(hostIPC=True),
    "host path": pod(volumes=[{"name": "data", "hostPath": {"path": "/"}}]),
    "host path from an output": pod(volumes=[{"name": "data", "hostPath": UNKNOWN}]),
    "privileged": pod(container={"privileged": True}),
    "all capabilities": pod(container={"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}),
    "capability by its long name": pod(container={"capabilities": {"drop": ["ALL"], "add": ["CAP_CHOWN"]}}),
    "host port": pod(containers=[{**pod()["containers"][0], "ports": [{"containerPort": 80, "hostPort": 80}]}]),
    "host process": pod(container={"windowsOptions": {"hostProcess": True}}),
    "proc unmasked": pod(container={"procMount": "Unmasked"}),
    "no seccomp": pod(pod_context={"seccompProfile": {"type": "Unconfined"}}),
    "no seccomp for one": pod(container={"seccompProfile": {"type": "Unconfined"}}),
    "no AppArmor": pod(container={"appArmorProfile": {"type": "Unconfined"}}),
    "SELinux type": pod(pod_context={"seLinuxOptions": {"type": "spc_t"}}),
    "SELinux role": pod(container={"seLinuxOptions": {"role": "sysadm_r"}}),
    "unsafe sysctl": pod(pod_context={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
    "probe of another host": pod(
        containers=[{**pod()["containers"][0], "livenessProbe": {"httpGet": {"host": "10.0.0.1", "port": 80}}}]
    ),
}
RESTRICTED: dict[str, Json] = {
    "may be root": pod(pod_context={"runAsNonRoot": None}),
    "may be root for one": pod(container={"runAsNonRoot": False}),
    "is root": pod(pod_context={"runAsUser": 0.0}),
    "is root for one": pod(container={"runAsUser": 0.0}),
    "escalation not said": pod(container={"allowPrivilegeEscalation": None}),
    "escalation": pod(container={"allowPrivilegeEscalation": True}),
    "seccomp not said": pod(pod_context={"seccompProfile": None}),
    "capabilities kept": pod(container={"capabilities": None}),
    "capabilities dropped in small letters": pod(container={"capabilities": {"drop": ["all"]}}),
    "capabilities dropped in part": pod(container={"capabilities": {"drop": ["NET_RAW"]}}),
    "capability of baseline": pod(container={"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}),
    "volume of the network": pod(**volume("nfs")),
    "volume of the cloud": pod(**volume("awsElasticBlockStore")),
}


@pytest.mark.parametrize("spec", BASELINE.values(), ids=BASELINE)
def test_what_leaves_the_box_fails_at_both_levels(spec: Json) -> None:
    assert len(violations(RULE, POD, inside(POD, spec))) == 1
    assert len(violations(RULE, POD, inside(POD, spec), level="baseline")) == 1


@pytest.mark.parametrize("spec", RESTRICTED.values(), ids=RESTRICTED)
def test_what_only_the_restricted_level_minds(spec: Json) -> None:
    assert len(violations(RULE, POD, inside(POD, spec))) == 1
    assert violations(RULE, POD, inside(POD, spec), level="baseline") == []


# fmt: off
VOLUMES = [
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
]
SYSCTLS = [
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
]
CAPABILITIES = [
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
]
# fmt: on
BY_CONTAINER = {"runAsNonRoot": True, "seccompProfile": {"type": "Localhost"}}
ACCEPTED: dict[str, Json] = {
    "all said by the container": pod(pod_context=dict.fromkeys(BY_CONTAINER), container=BY_CONTAINER),
    "port below 1024": pod(container={"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}),
    "safe sysctl": pod(pod_context={"runAsUser": 1000.0, "sysctls": [{"name": "net.ipv4.tcp_syncookies"}]}),
    "windows": pod(os={"name": "windows"}, container={"allowPrivilegeEscalation": None, "capabilities": None}),
    "SELinux": pod(pod_context={"seLinuxOptions": {"type": "container_t", "level": "s0"}}),
    **{kind: pod(**volume(kind)) for kind in VOLUMES},
    **{name: pod(pod_context={"sysctls": [{"name": name, "value": "1"}]}) for name in SYSCTLS},
    **{
        f"SELinux type {name}": pod(container={"seLinuxOptions": {"type": name}})
        for name in ("container_init_t", "container_kvm_t", "container_engine_t")
    },
    "root in a user namespace": pod(hostUsers=False, pod_context={"runAsNonRoot": None, "runAsUser": 0.0}),
}


@pytest.mark.parametrize("spec", ACCEPTED.values(), ids=ACCEPTED)
def test_other_ways_to_satisfy_it(spec: Json) -> None:
    assert violations(RULE, POD, inside(POD, spec)) == []


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_capabilities_of_the_baseline_level(capability: str) -> None:
    inputs = inside(POD, pod(container={"capabilities": {"drop": ["ALL"], "add": [capability]}}))
    assert violations(RULE, POD, inputs, level="baseline") == []
    assert len(violations(RULE, POD, inputs)) == (capability != "NET_BIND_SERVICE")


@pytest.mark.parametrize("profile", ["unconfined", UNKNOWN])
def test_app_armor_by_its_old_annotation(profile: str) -> None:
    key = "container.apparmor.security.beta.kubernetes.io/main"
    for value, count in ((profile, 1), ("runtime/default", 0), ("localhost/mine", 0)):
        inputs = inside(POD, pod())
        inputs["metadata"]["annotations"] = {key: value, "other": UNKNOWN}
        assert len(violations(RULE, POD, inputs)) == count


def test_unmasked_proc_passes_at_the_baseline_level_in_a_user_namespace() -> None:
    inputs = inside(POD, pod(hostUsers=False, container={"procMount": "Unmasked"}))
    assert violations(RULE, POD, inputs, level="baseline") == []
    assert len(violations(RULE, POD, inputs)) == 1


@pytest.mark.parametrize("kind", ["initContainers", "ephemeralContainers", "containers"])
def test_every_container_counts(kind: str) -> None:
    spec = pod()
    spec[kind] = [*spec.get(kind, []), {"name": "second", "image": "x"}]
    messages = violations(RULE, POD, inside(POD, spec))
    assert len(messages) == 2
    assert all(message.startswith("container second: ") for message in messages)


@pytest.mark.parametrize(
    ("namespace", "exempt"), [("gpu-system", True), ("models", False), (None, False), (UNKNOWN, False)]
)
def test_the_gpu_system_namespace_is_the_one_exemption(namespace: Any, exempt: bool) -> None:
    inputs = inside(POD, pod(hostPID=True), namespace)
    assert (violations(RULE, POD, inputs) == []) == exempt
    assert violations(RULE, POD, inputs, exemptNamespaces=["nvidia"])


def test_the_exemption_can_be_renamed() -> None:
    inputs = inside(POD, pod(hostPID=True), "nvidia")
    assert violations(RULE, POD, inputs, exemptNamespaces=["nvidia"]) == []


DECIDING = [
    ("securityContext", "runAsNonRoot"),
    ("securityContext", "seccompProfile"),
    ("hostNetwork",),
    ("volumes",),
    ("containers",),
    ("containers", 0),
    ("containers", 0, "securityContext"),
    ("containers", 0, "securityContext", "privileged"),
    ("containers", 0, "securityContext", "allowPrivilegeEscalation"),
    ("containers", 0, "securityContext", "capabilities", "drop", 0),
]


@pytest.mark.parametrize("path", DECIDING, ids=str)
def test_unknown_fails(path: tuple[str | int, ...]) -> None:
    spec = copy.deepcopy(pod())
    holder: Any = spec
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = UNKNOWN
    (message,) = violations(RULE, POD, inside(POD, spec))
    assert "must be a literal" in message


@EVERY_TYPE
def test_an_unknown_specification_fails(type_: str) -> None:
    assert violations(RULE, type_, inside(type_, UNKNOWN))
    place = "template" if type_.endswith("PodTemplate") else "spec"
    assert violations(RULE, type_, {"metadata": {"namespace": "models"}, place: UNKNOWN})


def test_values_that_decide_nothing_may_be_unknown() -> None:
    main = {**pod()["containers"][0], "image": UNKNOWN, "env": [{"name": "A", "value": UNKNOWN}], "name": UNKNOWN}
    assert violations(RULE, POD, inside(POD, pod(containers=[main], serviceAccountName=UNKNOWN))) == []


def test_services_of_the_core_api_are_no_pods() -> None:
    assert violations(RULE, "kubernetes:core/v1:Service", {"spec": {"template": {"spec": pod(hostPID=True)}}}) == []


@pytest.mark.parametrize("type_", [pattern.replace("*", "v1") for pattern in PATCH_TYPES])
def test_patches_are_judged_by_what_they_say(type_: str) -> None:
    kind = type_.removesuffix("Patch")
    assert violations(RULE, type_, inside(kind, {"containers": [{"name": "main", "image": "model:2"}]})) == []
    assert violations(RULE, type_, inside(kind, {"hostPID": True}))
    assert violations(RULE, type_, {"metadata": {"labels": {"a": "b"}}}) == []


ROOT = {"pod_context": {"runAsNonRoot": None, "runAsUser": 0}}


def explained(type_: str, spec: Any, reason: Any) -> Json:
    """The pods with an annotation that says why they are as they are."""
    found = inside(type_, spec)
    found["spec"]["template"]["metadata"] = {"annotations": {"gpu-slices/security-reason": reason}}
    return found


def test_root_with_a_reason_keeps_to_baseline() -> None:
    type_ = "kubernetes:apps/v1:Deployment"
    reason = "GPU-142: the image writes below /opt"
    assert violations(RULE, type_, explained(type_, pod(**ROOT), reason)) == []
    (message,) = violations(RULE, type_, explained(type_, pod(**ROOT, hostIPC=True), reason))
    assert message == "hostIPC is true: remove it."


@pytest.mark.parametrize("reason", ["", "because", " " * 20, UNKNOWN])
def test_root_without_a_reason_is_refused(reason: Any) -> None:
    type_ = "kubernetes:apps/v1:Deployment"
    assert violations(RULE, type_, explained(type_, pod(**ROOT), reason)) == [
        "the pod: runAsUser is 0: write another.",
        "container main: runAsNonRoot is not true: write true.",
    ]


def test_a_reason_that_is_not_known_is_none_and_breaks_no_restricted_pod() -> None:
    type_ = "kubernetes:apps/v1:Deployment"
    assert violations(RULE, type_, explained(type_, pod(), UNKNOWN)) == []
