"""Containers get GPUs by asking for a slot, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Settings, Severity
from policy.pods import POD_TYPES, PodTemplate, pod_templates
from policy.reading import Unknown, each, get, text

_VARIABLE: Final = "NVIDIA_VISIBLE_DEVICES"
#: Values with which the container runtime mounts no GPU (nvidia-container-toolkit internal/config/image/cuda_image.go).
_NOTHING: Final = frozenset({"", "void", "none"})
#: Where the runtime reads devices from mounts of /dev/null.
_MOUNTS: Final = "/var/run/nvidia-container-devices"
#: Annotations by which containerd gives a pod devices (container-device-interface, `pkg/cdi/annotations.go`).
_CDI: Final = "cdi.k8s.io/"


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield every other way to a GPU."""
    for pod in pod_templates(resource):
        if pod.namespace in settings["exemptNamespaces"]:
            continue
        yield from _annotations(pod)
        for container in pod.containers(init=True):
            name = text(container.get("name"))
            yield from (f"container {name}: {problem}" for problem in _problems(container))


def _annotations(pod: PodTemplate) -> Iterator[str]:
    annotations = pod.metadata.get("annotations")
    for key in annotations if isinstance(annotations, Mapping) else ():
        if key.startswith(_CDI):
            yield f"annotation {key} gives the pod devices past the scheduler. Ask for a slot instead."


def _problems(container: Mapping[str, Any]) -> Iterator[str]:
    for variable in each(container.get("env")):
        if text(get(variable, "name")) != _VARIABLE:
            continue
        value = get(variable, "value")
        if isinstance(value, Unknown) or get(variable, "valueFrom") is not None:
            yield f"{_VARIABLE} must be a literal."
        elif text(value) not in _NOTHING:
            yield (
                f"{_VARIABLE} is {text(value)}, which gives it GPUs that it has no slot for. Remove it where the "
                "container asks for a slot, and write void where it does not."
            )
    for mount in each(container.get("volumeMounts")):
        path = text(get(mount, "mountPath"))
        if path.rstrip("/") == _MOUNTS or path.startswith(f"{_MOUNTS}/"):
            yield f"a mount at {path} asks the container runtime for GPUs. Ask for a slot instead."


RULE = ResourceRule(
    name="gpu-devices-by-slot-only",
    title="GPUs come with a slot, or not at all",
    description=(
        f"Pods must not give themselves GPUs: not by {_VARIABLE}, by a mount below {_MOUNTS} or by CDI annotations."
    ),
    why=(
        "The NVIDIA container runtime gives a container what this variable names, with a slot or without, and a pod's "
        "own value wins over the device plugin's: `all` is every GPU and MIG instance of the node, past the scheduler, "
        "past MPS' limits and past every other tenant's isolation (NVIDIA/k8s-device-plugin#87). A mount of /dev/null "
        f"below {_MOUNTS}, and CDI annotations, do the same."
    ),
    fix=(
        f"Remove {_VARIABLE} from containers with a slot: the device plugin sets it. Write `void` in those without one "
        "whose image says `all`, as NVIDIA's and Ollama's do. Name the namespaces of your own GPU tools in "
        "`exemptNamespaces`."
    ),
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=POD_TYPES,
    options={
        "exemptNamespaces": Option(
            type="array",
            default=["gpu-system"],
            description="Namespaces whose pods may see GPUs without a slot, such as exporters of metrics.",
            schema={"items": {"type": "string"}},
        ),
    },
    check=check,
)
