"""Containers get GPUs by asking for a slot, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gpu.contract import GPU_SYSTEM_NAMESPACE, VISIBLE_DEVICES
from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Settings, Severity
from policy.pods import PATCH_TYPES, POD_TYPES, mount_paths, pod_templates
from policy.reading import Unknown, get, literal, literals, text

#: Values with which the container runtime mounts no GPU (nvidia-container-toolkit internal/config/image/cuda_image.go).
_NOTHING: Final = frozenset({"", "void", "none"})
#: Where the runtime reads devices from mounts of /dev/null.
_MOUNTS: Final = "/var/run/nvidia-container-devices"


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield every other way to a GPU."""
    for pod in pod_templates(resource):
        if pod.namespace in settings["exemptNamespaces"]:
            continue
        for container in pod.containers(init=True):
            name = text(container.get("name"))
            yield from (f"container {name}: {problem}" for problem in _problems(container))


def _problems(container: Mapping[str, Any]) -> Iterator[str]:
    named = [item for item in literals(container, "env") if text(literal(item, "name")) == VISIBLE_DEVICES]
    for variable in named:
        value = get(variable, "value")
        if isinstance(value, Unknown) or get(variable, "valueFrom") is not None:
            yield f"{VISIBLE_DEVICES} must be a literal."
        elif text(value) not in _NOTHING:
            yield (
                f"{VISIBLE_DEVICES} is {text(value)}, which gives it GPUs that it has no slot for. Remove it where the "
                "container asks for a slot, and write void where it does not."
            )
    if not named:  # what env says wins over envFrom
        yield from _sources(container)
    for written, path in mount_paths(container):
        if path.startswith(_MOUNTS):
            yield f"a mount at {written} asks the container runtime for GPUs. Ask for a slot instead."


def _sources(container: Mapping[str, Any]) -> Iterator[str]:
    """ConfigMaps and Secrets whose keys become variables. Nobody sees here which they are, or will be."""
    for source in literals(container, "envFrom"):
        prefix = get(source, "prefix")
        if isinstance(prefix, Unknown) or VISIBLE_DEVICES.startswith(text(prefix)):
            yield (
                f"envFrom may set {VISIBLE_DEVICES}. Write a prefix there, name the variables one by one, or, where "
                f"the container asks for no slot, write {VISIBLE_DEVICES} void under env, which wins."
            )
            return


RULE = ResourceRule(
    name="gpu-devices-by-slot-only",
    title="GPUs come with a slot, or not at all",
    description=(
        f"Pods must not give themselves GPUs: not by {VISIBLE_DEVICES}, and not by a mount below {_MOUNTS}. Nor may "
        "they leave open whether they do, by values that are unknown in preview or by `envFrom`."
    ),
    why=(
        "The NVIDIA container runtime gives a container what this variable names, with a slot or without, and a pod's "
        "own value wins over the device plugin's: `all` is every GPU and MIG instance of the node, past the scheduler, "
        "past MPS' limits and past every other tenant's isolation (NVIDIA/k8s-device-plugin#87). A mount of /dev/null "
        f"below {_MOUNTS} does the same. Annotations of a pod do not: containerd and the toolkit read `cdi.k8s.io/` "
        "from a container's, which the kubelet fills from device plugins alone (containerd 2.1 "
        "`internal/cri/server/container_create_linux.go`; kubelet `kuberuntime/labels.go` newContainerAnnotations)."
    ),
    fix=(
        f"Remove {VISIBLE_DEVICES} from containers with a slot: the device plugin sets it. Write `void` in those "
        "without one whose image says `all`, as NVIDIA's and Ollama's do. Name the namespaces of your own GPU tools in "
        "`exemptNamespaces`."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(*POD_TYPES, *PATCH_TYPES),
    options={
        "exemptNamespaces": Option(
            type="array",
            default=[GPU_SYSTEM_NAMESPACE],
            description="Namespaces whose pods may see GPUs without a slot, such as exporters of metrics.",
            schema={"items": {"type": "string"}},
        ),
    },
    check=check,
)
