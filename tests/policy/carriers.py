"""The same program through other carriers: what a program registers in place of the objects themselves.

A carrier takes the resources of a program and a folder of its own for files. It gives the program again, with what it
can hold inside it, or None where it can hold nothing of it. What it cannot hold stays beside it, as it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pulumi_policy.deserialize import SPECIAL_ASSET_SIG, SPECIAL_SIG_KEY

from policy.analyzer import UNKNOWN, Recorded
from policy.reading import get, quantity
from tests.policy.corpus import type_of
from tests.policy.support import recorded

Carrier = Callable[[Sequence[Recorded], Path], list[Recorded] | None]
Object = dict[str, Any]

#: Types of pulumi-kubernetes that are no objects of a cluster.
_NO_OBJECTS: Final = ("kubernetes:helm.sh/", "kubernetes:yaml", "kubernetes:kustomize", "kubernetes:index")


def literal(value: Any) -> bool:
    """Whether a value can stand in a text: nothing in it is unknown, a secret or a file."""
    if isinstance(value, Mapping):
        return SPECIAL_SIG_KEY not in value and all(map(literal, value.values()))
    return all(map(literal, value)) if isinstance(value, list) else value != UNKNOWN


def manifest(resource: Recorded) -> Object | None:
    """The Kubernetes object that a resource is, with what its type says; None for other resources."""
    if not resource.type.startswith("kubernetes:") or resource.type.startswith(_NO_OBJECTS):
        return None
    _, api_version, kind = resource.type.split(":")
    if kind.endswith("Patch"):
        return None
    about = {"apiVersion": api_version.removeprefix("core/"), "kind": kind, "metadata": {"name": resource.name}}
    return {**about, **resource.inputs}


def held(program: Sequence[Recorded], *, text: bool) -> tuple[list[Object], list[Recorded]]:
    """The objects that a carrier can hold, and the resources that stay. text: whether they must be literal."""
    objects, others = [], []
    for resource in program:
        found = manifest(resource)
        if found is not None and (not text or literal(found)):
            objects.append(found)
        else:
            others.append(resource)
    return objects, others


def _in_one(type_: str, wrap: Callable[[list[Object]], Mapping[str, Any]], *, text: bool = False) -> Carrier:
    """A carrier that is one resource."""

    def carry(program: Sequence[Recorded], folder: Path) -> list[Recorded] | None:
        objects, others = held(program, text=text)
        return [*others, recorded(type_, wrap(objects), "carrier")] if objects else None

    return carry


def _each_in(type_: str, wrap: Callable[[Object], Mapping[str, Any]], *, text: bool = False) -> Carrier:
    """A carrier that is a resource for each object."""

    def carry(program: Sequence[Recorded], folder: Path) -> list[Recorded] | None:
        objects, others = held(program, text=text)
        carried = [recorded(type_, wrap(found), f"carrier-{index}") for index, found in enumerate(objects)]
        return [*others, *carried] if objects else None

    return carry


#: The one in C, where there is one.
_DUMPER: Final[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def documents(objects: Sequence[Object]) -> str:
    """Objects as YAML documents, without anchors."""
    copies = [json.loads(json.dumps(found)) for found in objects]
    return str(yaml.dump_all(copies, Dumper=_DUMPER, sort_keys=False))


def _text(value: Mapping[str, Any]) -> str:
    return documents([dict(value)])


def _v1_list(objects: list[Object]) -> Object:
    return {"apiVersion": "v1", "kind": "List", "items": objects}


def _object(type_: str, spec: Callable[[list[Object]], Mapping[str, Any]]) -> tuple[str, Callable[..., Object]]:
    """A Kubernetes object that holds others in its specification."""
    _, api_version, kind = type_.split(":")
    return type_, lambda objects: {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "carrier"},
        "spec": spec(objects),
    }


def _kind_lists(program: Sequence[Recorded], folder: Path) -> list[Recorded] | None:
    """A list for each kind, such as `NodePoolList`."""
    objects, others = held(program, text=False)
    by_kind: dict[tuple[str, str], list[Object]] = {}
    for found in objects:
        by_kind.setdefault((found["apiVersion"], found["kind"]), []).append(found)
    lists = [
        recorded(f"{type_of(items[0])}List", {"apiVersion": api_version, "kind": f"{kind}List", "items": items}, kind)
        for (api_version, kind), items in by_kind.items()
    ]
    return [*others, *lists] if lists else None


def _typed(*, kind: bool) -> Carrier:
    """The objects themselves, as pulumi-kubernetes registers them, which says kind and version, or without both."""

    def carry(program: Sequence[Recorded], folder: Path) -> list[Recorded] | None:
        objects, others = held(program, text=False)
        left = () if kind else ("apiVersion", "kind")
        given = [(type_of(found), {key: found[key] for key in found if key not in left}) for found in objects]
        typed = [recorded(type_, inputs, f"typed-{index}") for index, (type_, inputs) in enumerate(given)]
        return [*others, *typed] if typed else None

    return carry


def _patches(program: Sequence[Recorded], folder: Path) -> list[Recorded] | None:
    """Patches of server-side apply with the same content."""
    objects, others = held(program, text=False)
    patches = [recorded(f"{type_of(found)}Patch", found, f"patch-{index}") for index, found in enumerate(objects)]
    lists = any(patch.type.endswith("ListPatch") for patch in patches)  # of which no server has one
    return [*others, *patches] if patches and not lists else None


def _config_file(type_: str) -> Carrier:
    def carry(program: Sequence[Recorded], folder: Path) -> list[Recorded] | None:
        objects, others = held(program, text=True)
        if not objects:
            return None
        file = folder / "manifests.yaml"
        file.write_text(documents(objects), encoding="utf-8")
        return [*others, recorded(type_, {"file": str(file)}, "carrier")]

    return carry


def _kustomized(type_: str) -> Carrier:
    def carry(program: Sequence[Recorded], folder: Path) -> list[Recorded] | None:
        objects, others = held(program, text=True)
        if not objects:
            return None
        (folder / "kustomization.yaml").write_text("resources: [all.yaml]\n", encoding="utf-8")
        (folder / "all.yaml").write_text(documents(objects), encoding="utf-8")
        return [*others, recorded(type_, {"directory": str(folder)}, "carrier")]

    return carry


def _local_chart(*, templated: bool) -> Carrier:
    """A chart that lies beside the program. templated: whether what the specifications say stands in its values."""

    def carry(program: Sequence[Recorded], folder: Path) -> list[Recorded] | None:
        objects, others = held(program, text=True)
        if not objects:
            return None
        values: dict[str, Any] = {}
        shown = [_templated(found, values) for found in objects] if templated else objects
        (folder / "templates").mkdir(exist_ok=True)
        (folder / "Chart.yaml").write_text("apiVersion: v2\nname: carrier\nversion: 1.0.0\n", encoding="utf-8")
        content = documents(shown)
        for name, value in values.items():
            quoted = " | quote" if isinstance(value, str) else ""
            content = content.replace(f"={name}=", f"{{{{ .Values.of.{name}{quoted} }}}}")
        (folder / "templates" / "all.yaml").write_text(content, encoding="utf-8")
        inputs = {"chart": str(folder), "values": {"of": values}}
        return [*others, recorded("kubernetes:helm.sh/v3:Release", inputs, "carrier")]

    return carry


def _templated(found: Object, values: dict[str, Any]) -> Object:
    """An object with marks in place of its scalars, which are added to `values`; its name and kind stay."""

    def marked(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: marked(item) for key, item in value.items()}
        if isinstance(value, list):
            return [marked(item) for item in value]
        name = f"v{len(values)}v"
        values[name] = value
        return f"={name}="

    stays = ("apiVersion", "kind", "metadata")
    return {key: value if key in stays else marked(value) for key, value in found.items()}


def _release(values: Callable[[list[Object]], Mapping[str, Any]], *, text: bool = False) -> Carrier:
    return _in_one(
        "kubernetes:helm.sh/v3:Release", lambda objects: {"chart": "raw", "values": values(objects)}, text=text
    )


def _value_file(objects: list[Object]) -> Object:
    """A chart's value file, as the engine shows an asset."""
    file = {SPECIAL_SIG_KEY: SPECIAL_ASSET_SIG, "text": _text({"extraObjects": objects})}
    return {"chart": "raw", "valueYamlFiles": [file]}


def _texts(objects: list[Object]) -> list[str]:
    return [documents([found]) for found in objects]


def _crossplane_object(found: Object) -> Object:
    return {
        "apiVersion": "kubernetes.crossplane.io/v1alpha2",
        "kind": "Object",
        "metadata": {"name": "carrier"},
        "spec": {"forProvider": {"manifest": found}, "providerConfigRef": {"name": "cluster"}},
    }


def _bases(objects: Sequence[Object]) -> list[Object]:
    return [{"name": f"r{index}", "base": found} for index, found in enumerate(objects)]


def pipeline(bases: Sequence[Object]) -> Object:
    """A Composition's specification whose function has these bases (function-patch-and-transform)."""
    given = {"apiVersion": "pt.fn.crossplane.io/v1beta1", "kind": "Resources", "resources": _bases(bases)}
    step = {"step": "make", "functionRef": {"name": "function-patch-and-transform"}, "input": given}
    return {"compositeTypeRef": {"apiVersion": "acme.example/v1", "kind": "Pool"}, "pipeline": [step]}


def _heredoc(objects: list[Object]) -> Object:
    return {"create": f"kubectl apply -f - <<EOF\n{documents(objects)}EOF\n"}


def _json_list(objects: list[Object]) -> str:
    return json.dumps(_v1_list(objects))


def _kro(objects: list[Object]) -> Object:
    schema = {"apiVersion": "v1alpha1", "kind": "Platform"}
    return {"schema": schema, "resources": [{"id": f"r{i}", "template": found} for i, found in enumerate(objects)]}


_APPLICATION: Final = "kubernetes:argoproj.io/v1alpha1:Application"
_COMPOSITION: Final = "kubernetes:apiextensions.crossplane.io/v1:Composition"
_COMMAND: Final = "command:local:Command"


def _application(values: Callable[[list[Object]], Mapping[str, Any]]) -> tuple[str, Callable[..., Object]]:
    return _object(_APPLICATION, lambda objects: {"source": {"chart": "raw", "helm": values(objects)}})


def _no_quantity(value: Any) -> bool:
    return value is not None and quantity(value) is None


#: What the baseline of pods forbids; what the restricted standard asks for may be left out of a patch.
_OUT_OF_THE_BOX: Final = ("'privileged': True", "'hostNetwork'", "'hostPath'", "'hostPID'", "'hostIPC'", "'hostPort'")


def left_to_others(program: Sequence[Recorded]) -> frozenset[str]:
    """Rules about what patches leave out: that stays as others have it, so nothing is missing."""
    patches = [resource for resource in program if resource.type.endswith("Patch")]
    inputs = [patch.inputs for patch in patches]
    limits = [item for given in inputs for item in dict(get(given, "spec", "limits") or {}).items()]
    kinds = {patch.type.rpartition(":")[2].removesuffix("Patch") for patch in patches}
    said = {
        "gpu-nodes-for-gpu-work": False,
        "gpu-pool-has-limit": any(key.startswith("nvidia.com/") and _no_quantity(value) for key, value in limits),
        "gpu-pool-has-taint": any(get(given, "spec", "template", "spec", "taints") for given in inputs),
        "gpu-sharing-consistent": "NodeOverlay" in kinds,
        "k8s-namespace-pod-security": any(
            get(given, "metadata", "labels", "pod-security.kubernetes.io/enforce") for given in inputs
        ),
        "k8s-pod-security": any(word in str(inputs) for word in _OUT_OF_THE_BOX),
        "ollama-not-public": any(get(given, "spec", "type") == "LoadBalancer" for given in inputs),
        "node-no-ssh": "ssh" in str(inputs),
        "node-encrypted-volumes": "encrypted" in str(inputs),
        "eks-endpoint-allowlist": "publicAccessC" in str(inputs),
        "eks-control-plane-logs": "logging" in str(inputs),
        "eks-secrets-encrypted": "encryptionConfig" in str(inputs),
        "eks-standard-support": "upgradePolicy" in str(inputs),
    }
    return frozenset(rule for rule, found in said.items() if not found)


#: Carriers of Kubernetes objects.
KUBERNETES: Final[Mapping[str, Carrier]] = {
    "typed, with kind": _typed(kind=True),
    "typed, without kind": _typed(kind=False),
    "v1 List": _in_one("kubernetes:core/v1:List", _v1_list),
    "lists of a kind": _kind_lists,
    "patches": _patches,
    "ConfigGroup v1, text": _in_one("kubernetes:yaml:ConfigGroup", lambda o: {"yaml": documents(o)}, text=True),
    "ConfigGroup v1, texts": _in_one("kubernetes:yaml:ConfigGroup", lambda o: {"yaml": _texts(o)}, text=True),
    "ConfigGroup v1, objects": _in_one("kubernetes:yaml:ConfigGroup", lambda o: {"objs": o}),
    "ConfigGroup v2, text": _in_one("kubernetes:yaml/v2:ConfigGroup", lambda o: {"yaml": documents(o)}, text=True),
    "ConfigGroup v2, objects": _in_one("kubernetes:yaml/v2:ConfigGroup", lambda o: {"objs": o}),
    "ConfigGroup v2, JSON": _in_one("kubernetes:yaml/v2:ConfigGroup", lambda o: {"yaml": _json_list(o)}, text=True),
    "ConfigFile v1": _config_file("kubernetes:yaml:ConfigFile"),
    "ConfigFile v2": _config_file("kubernetes:yaml/v2:ConfigFile"),
    "Kustomize v1": _kustomized("kubernetes:kustomize:Directory"),
    "Kustomize v2": _kustomized("kubernetes:kustomize/v2:Directory"),
    "chart, extraObjects": _release(lambda o: {"extraObjects": o}),
    "chart, extraObjects as texts": _release(lambda o: {"extraObjects": _texts(o)}, text=True),
    "chart, extraManifests by name": _release(lambda o: {"extraManifests": {f"m{i}": m for i, m in enumerate(o)}}),
    "chart, value file": _in_one("kubernetes:helm.sh/v3:Release", _value_file, text=True),
    "chart v3": _in_one("kubernetes:helm.sh/v3:Chart", lambda o: {"chart": "raw", "values": {"extraObjects": o}}),
    "chart v4": _in_one("kubernetes:helm.sh/v4:Chart", lambda o: {"chart": "raw", "values": {"extraObjects": o}}),
    "chart beside the program": _local_chart(templated=False),
    "chart with templates": _local_chart(templated=True),
    "Argo CD, values": _in_one(*_application(lambda o: {"values": _text({"extraObjects": o})}), text=True),
    "Argo CD, valuesObject": _in_one(*_application(lambda o: {"valuesObject": {"extraObjects": o}})),
    "Flux": _in_one(*_object("kubernetes:helm.toolkit.fluxcd.io/v2:HelmRelease", lambda o: {"values": {"extra": o}})),
    "k3s HelmChart": _in_one(
        *_object(
            "kubernetes:helm.cattle.io/v1:HelmChart",
            lambda o: {"chart": "raw", "valuesContent": _text({"extraObjects": o})},
        ),
        text=True,
    ),
    "kro": _in_one(*_object("kubernetes:kro.run/v1alpha1:ResourceGraphDefinition", _kro)),
    "Crossplane Object": _each_in("kubernetes:kubernetes.crossplane.io/v1alpha2:Object", _crossplane_object),
    "Crossplane Composition": _in_one(
        *_object(_COMPOSITION, lambda o: {"mode": "Resources", "resources": _bases([_crossplane_object(m) for m in o])})
    ),
    "Crossplane pipeline": _in_one(*_object(_COMPOSITION, lambda o: pipeline([_crossplane_object(m) for m in o]))),
    "ManifestWork": _in_one(
        *_object("kubernetes:work.open-cluster-management.io/v1:ManifestWork", lambda o: {"workload": {"manifests": o}})
    ),
    "Fleet bundle": _in_one(
        *_object(
            "kubernetes:fleet.cattle.io/v1alpha1:Bundle",
            lambda o: {"resources": [{"name": f"m{i}.yaml", "content": text} for i, text in enumerate(_texts(o))]},
        ),
        text=True,
    ),
    "bridged manifest": _each_in("kubernetes:index/manifest:Manifest", lambda found: {"manifest": found}),
    "bridged release": _in_one(
        "helm:index/release:Release",
        lambda o: {"chart": "raw", "values": [_text({"extraObjects": o})]},
        text=True,
    ),
    "Rancher app": _in_one(
        "rancher2:index/appV2:AppV2",
        lambda o: {"chartName": "raw", "values": _text({"extraObjects": o})},
        text=True,
    ),
    "kubectl Manifest": _each_in(
        "kubectl:index/manifest:Manifest", lambda found: {"yamlBody": documents([found])}, text=True
    ),
    "kubectl in a command": _in_one(_COMMAND, _heredoc, text=True),
    "kubectl with input": _in_one(
        _COMMAND, lambda o: {"create": "kubectl apply -f -", "stdin": documents(o)}, text=True
    ),
}
