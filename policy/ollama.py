"""Reading Ollama servers: in pods, in Knative services, in the values of the community chart otwld/ollama-helm."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from policy.framework import Resource, matches
from policy.pods import POD_TYPES, PodTemplate, pod_templates
from policy.reading import Unknown, each, get, literals, text

PORT: Final = "11434"

CHART_TYPES: Final = ("kubernetes:helm.sh/*:Release", "kubernetes:helm.sh/*:Chart")
OLLAMA_TYPES: Final = (*POD_TYPES, *CHART_TYPES)

_VERSION: Final = re.compile(r"v?([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})(?![\d.])")
#: A model as a shell's line names it: `ollama pull llama3.1:70b`, options before it; no variable of the shell.
_PULLED: Final = re.compile(r"(?:^|[\s/;&|])ollama\s+(?:pull|run)\s+(?:-\S+\s+)*([A-Za-z0-9][\w./-]*(?::[\w.-]+)?)")
_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")


@dataclass(frozen=True)
class Image:
    """A container image reference, taken apart."""

    repository: str
    tag: str
    digest: bool

    @classmethod
    def of(cls, reference: str) -> Image:
        """Parse `registry:port/repository:tag@sha256:...`."""
        name = _DIGEST.sub("", reference)
        head, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:
            head, tag = name, ""
        return cls(head, tag, name != reference)

    @property
    def is_ollama(self) -> bool:
        """Whether it is Ollama's image, or one made from it by its name (`ollama-mistral`)."""
        return re.match(r"ollama\b", self.repository.rpartition("/")[2]) is not None

    @property
    def version(self) -> tuple[int, int, int] | None:
        """The version that the tag begins with."""
        match = _VERSION.match(self.tag)
        return (int(match[1]), int(match[2]), int(match[3])) if match else None


@dataclass(frozen=True)
class Server:
    """An Ollama server: `image` may be Unknown, `env` holds what is set, `pod` is None for a chart.

    pulled: models that its command line gets or runs.
    """

    name: str
    image: Any
    env: Mapping[str, Any]
    pod: PodTemplate | None
    pulled: tuple[str, ...] = ()


def servers(resource: Resource) -> Iterator[Server]:
    """The Ollama servers of a resource."""
    if matches(CHART_TYPES, resource.type):
        yield from _of_chart(resource.plain)
        return
    for pod in pod_templates(resource):
        for container in pod.containers():
            image = container.get("image")
            if _is_server(container, image):
                pulled = tuple(dict.fromkeys(_PULLED.findall(_words(container))))
                yield Server(text(container.get("name")), image, _env(container.get("env")), pod, pulled)


def images(resource: Resource) -> Iterator[tuple[str, Any]]:
    """Name and image of every container that runs Ollama, also the ones that only fetch a model."""
    for pod in pod_templates(resource):
        for container in pod.containers(init=True):
            if _is_server(container, container.get("image")):
                yield text(container.get("name")), container.get("image")
    if matches(CHART_TYPES, resource.type):
        yield from ((server.name, server.image) for server in _of_chart(resource.plain))


def _is_server(container: Mapping[str, Any], image: Any) -> bool:
    if isinstance(image, str) and Image.of(image).is_ollama:
        return True
    return re.search(r"(^|[\s/])ollama\s+(serve|run|pull)\b", _words(container)) is not None


def _words(container: Mapping[str, Any]) -> str:
    """Command and arguments of a container; each may be one text."""
    parts = (container.get(name) for name in ("command", "args"))
    return " ".join(text(word) for part in parts for word in ([part] if isinstance(part, str) else each(part)))


def _of_chart(props: Mapping[str, Any]) -> Iterator[Server]:
    if not text(props.get("chart")).rstrip("/").endswith("ollama"):
        return
    values = props.get("values")
    tag = get(values, "image", "tag")
    repository = text(get(values, "image", "repository")) or "ollama/ollama"
    image = tag if isinstance(tag, Unknown) else f"{repository}:{text(tag)}".removesuffix(":")
    yield Server("chart", image, _env(get(values, "extraEnv")), None)


def _env(given: Any) -> dict[str, Any]:
    """Environment by name; a value from a Secret or ConfigMap counts as set."""
    found = {}
    for variable in literals(given):
        name = text(get(variable, "name"))
        if name:
            value = get(variable, "value")
            found[name] = value if value is not None else get(variable, "valueFrom")
    return {name: value for name, value in found.items() if value not in (None, "")}
