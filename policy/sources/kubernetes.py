"""Objects of Kubernetes in YAML or JSON, each with the line on which it begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gpu.sharing.yaml_text import Placed
from policy.analyzer import Recorded
from policy.sources.program import Place, Program, Unseen, mapping, objects, texts, unmarked, urn

_HELM: Final = "a chart's templates are not rendered here: judge what `helm template` prints"
_KUSTOMIZE: Final = (
    "patches and generators are not applied: judge what `kubectl kustomize` prints, as in "
    "`kubectl kustomize DIR | slices judge -`"
)


def token(manifest: Mapping[str, Any]) -> str | None:
    """Pulumi's type for an object: `kubernetes:apps/v1:Deployment`; None for what is no object of Kubernetes."""
    version, kind = manifest.get("apiVersion"), manifest.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str) or not version or not kind:
        return None
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{kind}"


def is_list(manifest: Mapping[str, Any]) -> bool:
    """Whether it is a list of objects, as `kubectl get -o yaml` prints."""
    return str(manifest.get("kind", "")).endswith("List") and isinstance(manifest.get("items"), list)


def object_of(manifest: Mapping[str, Any], project: str, place: str) -> Recorded | None:
    """An object as the pack judges it, named by where it stands; None where it is none."""
    type_ = token(manifest)
    if type_ is None:
        return None
    name = mapping(manifest, "metadata").get("name") or mapping(manifest, "metadata").get("generateName")
    return Recorded(
        type=type_,
        name=name if isinstance(name, str) else "",
        urn=urn(project, type_, place),
        inputs=unmarked(manifest),
    )


def read(documents: list[Placed], file: str) -> Program:
    """Every object of a file's documents."""
    program = Program(kinds=["Kubernetes file"])
    foreign = 0
    for document in documents:
        for placed in _flat(document):
            found = object_of(placed.value, file, str(placed.line)) if isinstance(placed.value, Mapping) else None
            if found is not None:
                program.add(found, Place(file=file, line=placed.line))
            elif isinstance(placed.value, Mapping) and _is_kustomization(placed.value):
                program.unseen.append(Unseen(place=Place(file=file), what=_KUSTOMIZE))
            elif placed.value is not None:
                foreign += 1
    if foreign:
        what = f"documents that are no objects of Kubernetes: {foreign} of {len(documents)}"
        program.unseen.append(Unseen(place=Place(file=file), what=what))
    return program


def _flat(document: Placed) -> Iterator[Placed]:
    if isinstance(document.value, Mapping) and is_list(document.value):
        for item in document.items():
            yield from _flat(item)
    else:
        yield document


def _is_kustomization(value: Mapping[str, Any]) -> bool:
    return value.get("kind") in ("Kustomization", "Component") and "kustomize.config" in str(value.get("apiVersion"))


def kustomization(value: Mapping[str, Any], file: str) -> tuple[Unseen, list[str]]:
    """What a `kustomization.yaml` keeps from sight, and the files that it names as patches: parts of objects."""
    patches = [patch.get("path") for patch in objects([*_list(value, "patches"), *_list(value, "patchesJson6902")])]
    named = [*patches, *texts(value.get("patchesStrategicMerge"))]
    return Unseen(place=Place(file=file), what=_KUSTOMIZE), [path for path in named if isinstance(path, str)]


def _list(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def chart(file: str) -> Unseen:
    """A Helm chart that lies in a folder."""
    return Unseen(place=Place(file=file), what=_HELM)
