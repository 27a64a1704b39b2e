"""The Pod Security Standards, as checks of a pod's specification.

Source: kubernetes.io/docs/concepts/security/pod-security-standards, of Kubernetes 1.36. The API server enforces them
where the namespace asks for it; here they are said in the pull request, and also for namespaces that do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from policy.framework import Resource
from policy.reading import declared, each, get, known, present, strings, text, truthy, whole

# fmt: off
_BASELINE_CAPABILITIES: Final = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})
_VOLUME_KINDS: Final = frozenset({
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
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
_PROFILES: Final = frozenset({"RuntimeDefault", "Localhost"})
_APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"


@dataclass(frozen=True)
class Setter:
    """The pod or one of its containers, both of which can have a security context; `name` is for people."""

    name: str
    spec: Any

    def context(self, *path: str) -> Any:
        """A value of its security context."""
        return get(self.spec, "securityContext", *path)


def namespace(resource: Resource) -> str:
    """Where it runs: `default` if nothing is said, empty if that is not known in preview."""
    if not present(resource.props, "metadata", "namespace"):
        return "default"
    return text(known(resource.props, "metadata", "namespace"))


def containers(spec: Any) -> Iterator[Setter]:
    """All containers: of the pod, of its start, and for debugging."""
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for index, container in enumerate(each(get(spec, kind))):
            yield Setter(f"container {text(known(container, 'name')) or f'{kind}.{index}'}", container)


def baseline(template: Any) -> Iterator[str]:
    """What lets a pod out of its box."""
    spec = get(template, "spec")
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if truthy(get(spec, name)):
            yield f"{name} is true: remove it."
    for volume in each(get(spec, "volumes")):
        if declared(volume, "hostPath"):
            yield f"volume {text(known(volume, 'name'))} is a hostPath: use emptyDir, a claim or a config map."
    for sysctl in each(get(spec, "securityContext", "sysctls")):
        if text(get(sysctl, "name")) not in _SAFE_SYSCTLS:
            yield f"sysctl {text(get(sysctl, 'name'))} is not among the safe ones: remove it."
    yield from _annotations(get(template, "metadata", "annotations"))
    for setter in (Setter("the pod", spec), *containers(spec)):
        yield from (f"{setter.name}: {problem}" for problem in _confinement(setter))
    for container in containers(spec):
        problems = _privileges(container, unmasked=own_users(spec))
        yield from (f"{container.name}: {problem}" for problem in problems)


def _annotations(annotations: Any) -> Iterator[str]:
    for key in annotations if isinstance(annotations, Mapping) else ():
        if key.startswith(_APP_ARMOR):
            profile = text(get(annotations, key))
            if profile not in {"", "runtime/default"} and not profile.startswith("localhost/"):
                yield f"annotation {key} is {profile}: remove it."


def _confinement(setter: Setter) -> Iterator[str]:
    selinux = setter.context("seLinuxOptions")
    if text(get(selinux, "type")) not in _SELINUX_TYPES or get(selinux, "user") or get(selinux, "role"):
        yield "seLinuxOptions choose their own type, user or role: remove them."
    for name in ("seccompProfile", "appArmorProfile"):
        profile = text(setter.context(name, "type"))
        if profile and profile not in _PROFILES:
            yield f"{name} is {profile}: write RuntimeDefault."
    if truthy(setter.context("windowsOptions", "hostProcess")):
        yield "windowsOptions.hostProcess is true: remove it."


def _privileges(container: Setter, *, unmasked: bool) -> Iterator[str]:
    if truthy(container.context("privileged")):
        yield "privileged is true: remove it."
    for capability in strings(container.context("capabilities", "add")):
        if capability not in _BASELINE_CAPABILITIES:
            yield f"capability {capability} is added: remove it."
    for port in each(get(container.spec, "ports")):
        if whole(known(port, "hostPort", default=0)) != 0:
            yield "a port has a hostPort: use a Service."
    for probe in _PROBES:
        if any(get(container.spec, *probe, kind, "host") for kind in ("httpGet", "tcpSocket")):
            yield f"{'.'.join(probe)} names a host: remove it, the pod itself is meant."
    if not unmasked and text(container.context("procMount")) not in {"", "Default"}:
        yield "procMount is not Default: remove it."


def own_users(spec: Any) -> bool:
    """Whether the pod has a user namespace, in which root is nobody on the host; the standard relaxes there."""
    host = get(spec, "hostUsers")
    return text(host) != "" and not truthy(host)


def restricted(template: Any) -> Iterator[str]:
    """What the restricted level asks for on top of `baseline`."""
    spec = get(template, "spec")
    for volume in each(get(spec, "volumes")):
        keys = volume if isinstance(volume, Mapping) else ()
        others = [key for key in keys if key not in {*_VOLUME_KINDS, "name", "hostPath"} and declared(volume, key)]
        if others:
            yield f"volume {text(known(volume, 'name'))} is of kind {', '.join(others)}, which is not allowed."
    windows = text(get(spec, "os", "name")) == "windows"
    pod = Setter("the pod", spec)
    if not own_users(spec):
        yield from _roots(pod, spec)
    for container in containers(spec):
        if own_users(spec) and text(container.context("procMount")) not in {"", "Default"}:
            yield f"{container.name}: procMount is not Default: remove it."
        if not windows:  # these fields do not exist there
            yield from (f"{container.name}: {problem}" for problem in _rights(container, pod))


def _roots(pod: Setter, spec: Any) -> Iterator[str]:
    everywhere = pod.context("runAsNonRoot")
    for setter in (pod, *containers(spec)):
        own = setter.context("runAsNonRoot")
        inherits = own is None and (setter is pod or truthy(everywhere))
        if not inherits and not truthy(own):
            yield f"{setter.name}: runAsNonRoot is not true: write true."
        user = setter.context("runAsUser")
        if user is not None and (whole(user) or 0) <= 0:
            yield f"{setter.name}: runAsUser is {text(user) or 'no number'}: write another."


def _rights(container: Setter, pod: Setter) -> Iterator[str]:
    escalation = container.context("allowPrivilegeEscalation")
    if escalation is None or truthy(escalation):
        yield "allowPrivilegeEscalation is not false: write false."
    if not text(container.context("seccompProfile", "type")) and not text(pod.context("seccompProfile", "type")):
        yield "seccompProfile.type is missing: write RuntimeDefault."
    if "ALL" not in strings(container.context("capabilities", "drop")):
        yield "capabilities.drop does not have ALL: write [ALL]."
    for capability in strings(container.context("capabilities", "add")):
        if capability in _BASELINE_CAPABILITIES and capability != "NET_BIND_SERVICE":
            yield f"capability {capability} is added: remove it."


#: Level to its checks of a pod template.
LEVELS: Final[Mapping[str, tuple[Callable[[Any], Iterator[str]], ...]]] = {
    "baseline": (baseline,),
    "restricted": (baseline, restricted),
}
