"""The Pod Security Standards, as checks of a pod's specification.

Source: kubernetes.io/docs/concepts/security/pod-security-standards, of Kubernetes 1.36. The API server enforces them
where the namespace asks for it; here they are said in the pull request, and also for namespaces that do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from policy.framework import Resource
from policy.reading import each, get, known, number, present, strings, text, truthy

_TEMPLATE: Final = ("spec", "template")
_CRON_JOB: Final = ("spec", "jobTemplate", "spec", "template")
#: Shell pattern over type tokens to where the pod template stands.
_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "kubernetes:core/*:Pod": (),
    "kubernetes:core/*:ReplicationController": _TEMPLATE,
    "kubernetes:apps/*:Deployment": _TEMPLATE,
    "kubernetes:apps/*:DaemonSet": _TEMPLATE,
    "kubernetes:apps/*:ReplicaSet": _TEMPLATE,
    "kubernetes:apps/*:StatefulSet": _TEMPLATE,
    "kubernetes:batch/*:Job": _TEMPLATE,
    "kubernetes:batch/*:CronJob": _CRON_JOB,
    "kubernetes:serving.knative.dev/*:Service": _TEMPLATE,
    "kubernetes:serving.knative.dev/*:Configuration": _TEMPLATE,
}
POD_TYPES: Final = tuple(_PLACES)
#: The same for what changes an object that is there: it says a part, so what is missing says nothing.
PATCH_TYPES: Final = tuple(f"{pattern}Patch" for pattern in _PLACES if "knative" not in pattern)
_BY_KIND: Final = {pattern.rpartition(":")[2]: place for pattern, place in _PLACES.items()}

# fmt: off
_BASELINE_CAPABILITIES: Final = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})
_VOLUME_KINDS: Final = frozenset({
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
})
_SAFE_SYSCTLS: Final = frozenset({
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
})
# fmt: on
_SELINUX_TYPES: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_PROBES: Final = (
    *(("livenessProbe",), ("readinessProbe",), ("startupProbe",)),
    *(("lifecycle", "postStart"), ("lifecycle", "preStop")),
)
_SECCOMP: Final = frozenset({"RuntimeDefault", "Localhost"})


@dataclass(frozen=True)
class Container:
    """A container of any sort: `name` for people, what it says, and what the pod says for all."""

    name: str
    spec: Any
    pod: Any

    def own(self, *path: str) -> Any:
        """A value of the container's security context."""
        return get(self.spec, "securityContext", *path)

    def value(self, *path: str) -> Any:
        """The same, or the pod's where the container says nothing."""
        own = self.own(*path)
        return get(self.pod, "securityContext", *path) if own is None else own


def pod_spec(resource: Resource) -> Any:
    """The pod's specification. Raises UnknownValueError if it is not known in preview."""
    return get(resource.props, *_BY_KIND[resource.type.rpartition(":")[2].removesuffix("Patch")], "spec")


def namespace(resource: Resource) -> str:
    """Where it runs: `default` if nothing is said, empty if that is not known in preview."""
    if not present(resource.props, "metadata", "namespace"):
        return "default"
    return text(known(resource.props, "metadata", "namespace"))


def containers(spec: Any) -> Iterator[Container]:
    """All containers: of the pod, of its start, and for debugging."""
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for index, container in enumerate(each(get(spec, kind))):
            yield Container(text(known(container, "name")) or f"{kind}.{index}", container, spec)


def baseline(spec: Any) -> Iterator[str]:
    """What lets a pod out of its box."""
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if truthy(get(spec, name)):
            yield f"{name} is true: remove it."
    for volume in each(get(spec, "volumes")):
        if present(volume, "hostPath"):
            yield f"volume {text(known(volume, 'name'))} is a hostPath: use emptyDir, a claim or a config map."
    for sysctl in each(get(spec, "securityContext", "sysctls")):
        if text(get(sysctl, "name")) not in _SAFE_SYSCTLS:
            yield f"sysctl {text(get(sysctl, 'name'))} is not among the safe ones: remove it."
    for container in containers(spec):
        for problem in (*_privileges(container), *_confinement(container)):
            yield f"container {container.name}: {problem}"


def _privileges(container: Container) -> Iterator[str]:
    if truthy(container.own("privileged")):
        yield "privileged is true: remove it."
    added = [item.upper().removeprefix("CAP_") for item in strings(container.own("capabilities", "add"))]
    for capability in added:
        if capability not in _BASELINE_CAPABILITIES:
            yield f"capability {capability} is added: remove it."
    for port in each(get(container.spec, "ports")):
        if number(known(port, "hostPort")):
            yield "a port has a hostPort: use a Service."
    if truthy(container.value("windowsOptions", "hostProcess")):
        yield "windowsOptions.hostProcess is true: remove it."
    for probe in _PROBES:
        if any(get(container.spec, *probe, kind, "host") for kind in ("httpGet", "tcpSocket")):
            yield f"{'.'.join(probe)} names a host: remove it, the pod itself is meant."


def _confinement(container: Container) -> Iterator[str]:
    selinux = container.value("seLinuxOptions")
    if text(get(selinux, "type")) not in _SELINUX_TYPES or get(selinux, "user") or get(selinux, "role"):
        yield "seLinuxOptions choose their own type, user or role: remove them."
    if text(container.own("procMount")) not in {"", "Default"}:
        yield "procMount is not Default: remove it."
    for profile in ("seccompProfile", "appArmorProfile"):
        if text(container.value(profile, "type")) == "Unconfined":
            yield f"{profile} is Unconfined: write RuntimeDefault."


def restricted(spec: Any) -> Iterator[str]:
    """What the restricted level asks for on top of `baseline`."""
    for volume in each(get(spec, "volumes")):
        keys = volume if isinstance(volume, Mapping) else ()
        others = [key for key in keys if key not in {*_VOLUME_KINDS, "name", "hostPath"} and present(volume, key)]
        if others:
            yield f"volume {text(known(volume, 'name'))} is of kind {', '.join(others)}, which is not allowed."
    windows = text(get(spec, "os", "name")) == "windows"
    for container in containers(spec):
        for problem in _restricted_of(container, windows=windows):
            yield f"container {container.name}: {problem}"


def _restricted_of(container: Container, *, windows: bool) -> Iterator[str]:
    if not truthy(container.value("runAsNonRoot")):
        yield "runAsNonRoot is not true: write true."
    user = container.value("runAsUser")
    if user is not None and number(user) == 0:
        yield "runAsUser is 0: write another."
    if windows:  # these fields do not exist there
        return
    if container.own("allowPrivilegeEscalation") is None or truthy(container.own("allowPrivilegeEscalation")):
        yield "allowPrivilegeEscalation is not false: write false."
    if text(container.value("seccompProfile", "type")) not in {*_SECCOMP, "Unconfined"}:
        yield "seccompProfile.type is missing: write RuntimeDefault."
    if "ALL" not in {item.upper() for item in strings(container.own("capabilities", "drop"))}:
        yield "capabilities.drop does not have ALL: write [ALL]."
    for item in strings(container.own("capabilities", "add")):
        capability = item.upper().removeprefix("CAP_")
        if capability in _BASELINE_CAPABILITIES and capability != "NET_BIND_SERVICE":
            yield f"capability {capability} is added: remove it."


LEVELS: Final[Mapping[str, tuple[Callable[[Any], Iterator[str]], ...]]] = {
    "baseline": (baseline,),
    "restricted": (baseline, restricted),
}
