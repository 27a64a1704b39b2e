"""Reading Ollama servers: in pods, in Knative services, in the values of the community chart otwld/ollama-helm."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gpu.contract import GPU_RESOURCE, MODEL_ANNOTATION, NAME_LABEL, NVIDIA_PREFIX
from gpu.models import find_model
from policy.dra import RELEASE_TYPES
from policy.framework import matches
from policy.pods import POD_TYPES, PodTemplate, pod_templates
from policy.reading import Unknown, each, each_known, get, literals, text, truthy
from policy.registered import Resource, shared

PORT: Final = "11434"
OLLAMA_TYPES: Final = (*POD_TYPES, *RELEASE_TYPES)

_VERSION: Final = re.compile(r"v?([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})(?![\d.])")
#: A model as a shell's line names it: `ollama pull llama3.1:70b`, options before it; no variable of the shell.
_PULLED: Final = re.compile(r"(?:^|[\s/;&|])ollama\s+(?:pull|run)\s+(?:-\S+\s+)*([A-Za-z0-9][\w./-]*(?::[\w.-]+)?)")
#: A request of Ollama's API that loads a model, and the model in its body.
_API: Final = re.compile(r"/(api/(pull|generate|chat|embed)|v1/(chat/)?completions)\b")
_ASKED: Final = re.compile(r"""["'](?:name|model)["']\s*:\s*\\?["']([A-Za-z0-9][\w./:-]*)""")
#: How images and charts around Ollama call the model that they load. OLLAMA_MODELS is a folder.
_VARIABLE: Final = re.compile(r"(OLLAMA_)?((PULL|DEFAULT|LOAD|LLM|PRELOAD)_)?MODEL(_NAME|_TAG|_ID|S_TO_PULL|_TO_PULL)?")
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
    """An Ollama server: `image` may be Unknown, `env` holds what is set; of a chart, `pod` is what its values say.

    pulled: models that a command line, a request, a variable or the chart's values get or run.
    """

    name: str
    image: Any
    env: Mapping[str, Any]
    pod: PodTemplate
    pulled: tuple[str, ...] = ()


def servers(resource: Resource) -> Sequence[Server]:
    """The Ollama servers of a resource."""
    return shared("servers", resource.props, lambda: list(_servers(resource)))


def _servers(resource: Resource) -> Iterator[Server]:
    if matches(RELEASE_TYPES, resource.type):
        yield from _of_chart(resource)
        return
    for pod in pod_templates(resource):
        beside = [model for container in pod.containers(init=True) for model in _pulled(container)]
        for container in pod.containers():
            image = container.get("image")
            if _is_server(container, image):
                env = _env(container.get("env"))
                models = tuple(dict.fromkeys((*beside, *_in_variables(env))))
                yield Server(text(container.get("name")), image, env, pod, models)


def stated(server: Server, name: str) -> Any:
    """An annotation of the pods, or of the resource that makes them."""
    for metadata in (server.pod.metadata, server.pod.owner.get("metadata")):
        annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else metadata
        value = annotations.get(name) if isinstance(annotations, Mapping) else annotations
        if value is not None:
            return value  # all annotations that are not known may be that one
    return None


def models(server: Server) -> Sequence[str] | Unknown:
    """Models that a server says it runs; where it says nothing, those that it pulls (`server.pulled` itself)."""
    given = stated(server, MODEL_ANNOTATION) or server.env.get("OLLAMA_MODEL")
    if isinstance(given, Unknown):
        return given
    if given is None:
        return server.pulled
    return [name.strip() for name in text(given).split(",") if name.strip()]


def images(resource: Resource) -> Iterator[tuple[str, Any]]:
    """Name and image of every container that runs Ollama, also the ones that only fetch a model."""
    for pod in pod_templates(resource):
        for container in pod.containers(init=True):
            if _is_server(container, container.get("image")):
                yield text(container.get("name")), container.get("image")
    if matches(RELEASE_TYPES, resource.type):
        yield from ((server.name, server.image) for server in _of_chart(resource))


def _is_server(container: Mapping[str, Any], image: Any) -> bool:
    if isinstance(image, str) and Image.of(image).is_ollama:
        return True
    return re.search(r"(^|[\s/])ollama\s+(serve|run|pull)\b", _words(container)) is not None


def _pulled(container: Mapping[str, Any]) -> Iterator[str]:
    """Models that a container's commands get or run, by Ollama's command or its API."""
    words = _words(container)
    yield from _PULLED.findall(words)
    if _API.search(words):
        yield from _ASKED.findall(words)


def _in_variables(env: Mapping[str, Any]) -> Iterator[str]:
    """Models that variables of common wrappers name."""
    for name, value in env.items():
        if _VARIABLE.fullmatch(name) and isinstance(value, str):
            yield from (model for model in re.split(r"[\s,;]+", value) if find_model(model))


def _words(container: Mapping[str, Any]) -> str:
    """Commands and arguments of a container, also of its start hook; each may be one text."""
    hook = get(container, "lifecycle", "postStart", "exec", "command")
    parts = (*(container.get(name) for name in ("command", "args")), hook)
    return " ".join(text(word) for part in parts for word in ([part] if isinstance(part, str) else each(part)))


def _of_chart(resource: Resource) -> Iterator[Server]:
    props = resource.plain
    values = props.get("values")
    if not text(props.get("chart")).rstrip("/").endswith("ollama"):
        inner = {key: one for key, one in values.items() if key != "ollama"} if isinstance(values, Mapping) else None
        yield from _in_values(inner, "values", resource, {})
        return
    tag = get(values, "image", "tag")
    repository = text(get(values, "image", "repository")) or "ollama/ollama"
    image = tag if isinstance(tag, Unknown) else f"{repository}:{text(tag)}".removesuffix(":")
    env = _env(get(values, "extraEnv"))
    models = tuple(dict.fromkeys((*_chart_models(get(values, "ollama", "models")), *_in_variables(env))))
    yield Server("chart", image, env, _chart_pod(resource, values, image), models)


def _in_values(value: Any, place: str, resource: Resource, pod: Mapping[str, Any]) -> Iterator[Server]:
    """Ollama's image among the values of another chart, with what stands beside it; objects are read by themselves."""
    if isinstance(value, list):
        for index, element in enumerate(value):
            yield from _in_values(element, f"{place}.{index}", resource, pod)
    if not isinstance(value, Mapping) or ("kind" in value and "apiVersion" in value):
        return
    pod = {**pod, **{name: value[name] for name in _OF_PODS if name in value}}
    repository, image = _image_of(value.get("image"))
    if Image.of(repository).is_ollama:
        container = {name: value[name] for name in ("command", "args", "resources") if name in value}
        given = value.get("env")
        listed = [{"name": name, "value": one} for name, one in given.items()] if isinstance(given, Mapping) else given
        env = _env(listed)
        models = tuple(dict.fromkeys((*_pulled(container), *_in_variables(env))))
        template = _pod_of(resource, {"containers": [{"name": place, "image": image, **container}], **pod}, {})
        yield Server(place, image, env, template, models)
        return
    for key, element in value.items():
        yield from _in_values(element, f"{place}.{key}", resource, pod)


#: What values of a chart say of where a pod lands, under the names of its specification.
_OF_PODS: Final = ("nodeSelector", "tolerations")


def _image_of(given: Any) -> tuple[str, Any]:
    """Repository and reference of an image in values, which may be a map of repository, tag and digest."""
    if not isinstance(given, Mapping):
        return (given, given) if isinstance(given, str) else ("", given)
    repository, tag, digest = text(get(given, "repository")), given.get("tag"), text(get(given, "digest"))
    whole = f"{repository}:{text(tag)}".removesuffix(":") + (f"@{digest}" if digest else "")
    return repository, tag if isinstance(tag, Unknown) else whole


def _chart_models(given: Any) -> Iterator[str]:
    """Models that otwld/ollama-helm pulls, runs and creates; before 1.0 it had one list."""
    for value in (given, *(get(given, name) for name in ("pull", "run"))):
        yield from (text(model) for model in each_known(value) if isinstance(model, str))
    for made in each_known(get(given, "create")):
        yield from re.findall(r"(?im)^\s*FROM\s+(\S+)", text(get(made, "template")))


def _chart_pod(resource: Resource, values: Any, image: Any) -> PodTemplate:
    """The pod that otwld/ollama-helm 1.x makes (`templates/deployment.yaml`)."""
    gpu, limits = get(values, "ollama", "gpu"), get(values, "resources", "limits")
    asked: dict[str, Any] = dict(limits) if isinstance(limits, Mapping) else {}
    enabled = get(gpu, "enabled")
    by_claim = truthy(get(gpu, "draEnabled"))
    if (isinstance(enabled, Unknown) or truthy(enabled)) and text(get(gpu, "type")) != "amd" and not by_claim:
        devices = get(gpu, "mig", "devices") if truthy(get(gpu, "mig", "enabled")) else None
        if isinstance(devices, Mapping):
            asked = {f"{NVIDIA_PREFIX}mig-{name}": count for name, count in devices.items()} | asked
        else:
            number = get(gpu, "number")
            # What `resources.limits` says goes first, and no number is 1.
            asked.setdefault(text(get(gpu, "nvidiaResource")) or GPU_RESOURCE, number or 1)
    container = {"name": "ollama", "image": image, "resources": {"limits": asked}}
    spec = {name: found for name in _OF_PODS if (found := get(values, name)) is not None}
    return _pod_of(resource, {"containers": [container], **spec}, get(values, "podAnnotations") or {})


def _pod_of(resource: Resource, spec: Mapping[str, Any], annotations: Any) -> PodTemplate:
    """A pod that a chart makes of its values."""
    return PodTemplate(
        name=resource.name,
        urn=resource.urn,
        namespace=text(resource.plain.get("namespace")) or "default",
        metadata={"labels": {NAME_LABEL: "ollama"}, "annotations": annotations},
        spec=spec,
        owner={},
    )


def _env(given: Any) -> dict[str, Any]:
    """Environment by name; a value from a Secret or ConfigMap counts as set."""
    found = {}
    for variable in literals(given):
        name = text(get(variable, "name"))
        if name:
            value = get(variable, "value")
            found[name] = value if value is not None else get(variable, "valueFrom")
    return {name: value for name, value in found.items() if value not in (None, "")}
